/* SELECT and EXAMINE: RFC 9051 §6.3.2, RFC 3501 §6.3.1, RFC 7162 §3.2.5, RFC 8474 §4.2. */
#include "imap/list.h"
#include "imap/private.h"
#include "store/email.h"

/* The view has changes queued; called with the store in the middle of one, so only noted. */
static void on_changed(void *owner)
{
	struct imap_session_private *p = owner;

	if (p->session.idling)
		session_post(p);
}

static void put_permanent_flags(struct imap_session *s, const struct mailbox *mailbox)
{
	struct buffer *out = session_out(s);

	buffer_put_text(out, "* OK [PERMANENTFLAGS ");
	if (s->read_only)
		buffer_put_text(out, "()");
	else
		put_all_flags(out, mailbox, true);
	buffer_put_text(out, "] Permanent flags\r\n");
}

/* What only IMAP4rev1 has: RFC 9051 App. E 20. */
static void put_rev1(struct imap_session *s)
{
	struct buffer *out = session_out(s);
	uint32_t seq;

	buffer_put_text(out, "* 0 RECENT\r\n");
	if (view_first_unseen(s->view, &seq) == 0)
		buffer_printf(out, "* OK [UNSEEN %u] First unseen\r\n", seq);
}

static void put_state(struct imap_session *s)
{
	const struct mailbox *mailbox = view_mailbox(s->view);
	struct buffer *out = session_out(s);

	buffer_put_text(out, "* FLAGS ");
	put_all_flags(out, mailbox, false);
	buffer_printf(out, "\r\n* %u EXISTS\r\n", view_count(s->view));
	if (s->enabled & ENABLED_REV2)
		put_list_mailbox(s, mailbox, (struct slice){NULL, 0});
	else
		put_rev1(s);
	put_permanent_flags(s, mailbox);
	buffer_printf(out, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", mailbox->uidvalidity);
	buffer_printf(out, "* OK [UIDNEXT %u] Next UID\r\n", mailbox->uidnext);
	buffer_printf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n", (unsigned long long)mailbox->highestmodseq);
	buffer_put_text(out, "* OK [MAILBOXID (");
	object_id_put(out, 'M', mailbox->id);
	buffer_put_text(out, ")] Mailbox id\r\n");
}

static void selected(struct imap_session *s)
{
	session_ok(s, s->read_only ? "READ-ONLY" : "READ-WRITE", s->read_only ? "Examined" : "Selected");
}

struct resync {
	const struct imap_select_args *args;
	uint64_t progress;
};

static enum imap_run resync(struct imap_session *s, void *state)
{
	struct resync *r = state;

	if (!session_qresync(s, r->args, &r->progress))
		return RUN_MORE;
	selected(s);
	return RUN_DONE;
}

static enum imap_run start_resync(struct imap_session *s, const struct imap_select_args *args)
{
	struct resync *r = arena_zalloc(s->arena, 1, sizeof(*r));

	if (!r) {
		session_deselect(s);
		session_error(s, -ENOBUFS);
		return RUN_DONE;
	}
	r->args = args;
	return session_continue(s, resync, NULL, r);
}

enum imap_run cmd_select(struct imap_session *s, const struct imap_command *command)
{
	const struct imap_select_args *args = &command->select;
	struct mailbox *mailbox;
	int error;

	if (args->qresync && !(s->enabled & ENABLED_QRESYNC)) {
		session_bad(s, NULL, "QRESYNC is not enabled");
		return RUN_DONE;
	}
	if (s->view)
		buffer_put_text(session_out(s), "* OK [CLOSED] Previous mailbox is closed\r\n");
	session_deselect(s);
	mailbox = mailbox_find(s->account, args->mailbox);
	error = mailbox ? view_open(mailbox, on_changed, s->private, &s->view) : -ENOENT;
	if (error < 0) {
		session_error(s, error);
		return RUN_DONE;
	}
	s->read_only = command->info->name[0] == 'E';
	s->synced_modseq = mailbox->highestmodseq;
	if (args->condstore || args->qresync)
		s->enabled |= ENABLED_CONDSTORE; /* HIGHESTMODSEQ is told anyhow */
	put_state(s);
	if (args->qresync && args->uidvalidity == mailbox->uidvalidity)
		return start_resync(s, args);
	selected(s);
	return RUN_DONE;
}
