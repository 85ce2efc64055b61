#include "imap/cursor.h"
#include "imap/sync.h"

/* COPY (RFC 9051 §6.4.7) and MOVE (§6.4.8, RFC 6851), with COPYUID (RFC 4315 §3). */

enum { COPYUID_RANGES_MAX = 5000 /* more would make a line of over 100 KB: COPYUID may be left out */ };

struct copy_state {
	struct uid_list from, to;
	uint32_t uidvalidity;
	bool move, some_gone;
};

static void copy_release(void *state)
{
	struct copy_state *copy = state;

	uid_list_free(&copy->from);
	uid_list_free(&copy->to);
}

static bool has_copyuid(const struct copy_state *copy)
{
	return copy->from.count && copy->from.count + copy->to.count <= COPYUID_RANGES_MAX;
}

static void put_copyuid(struct buffer *b, const struct copy_state *copy)
{
	buffer_printf(b, "[COPYUID %u ", copy->uidvalidity);
	put_uid_set(b, uid_list_set(&copy->from));
	buffer_put_byte(b, ' ');
	put_uid_set(b, uid_list_set(&copy->to));
	buffer_put_byte(b, ']');
}

static void copied(struct imap_session *s, const struct copy_state *copy)
{
	struct buffer code = BUFFER_INIT(1 << 20);

	if (has_copyuid(copy)) {
		put_copyuid(&code, copy);
		session_ok_printf(s, "%s Copied", buffer_text(&code));
	} else if (copy->some_gone && !copy->from.count) {
		/* RFC 2180 §4.4, RFC 5530: they may be in the view still, but not in the mailbox. */
		session_no(s, "EXPUNGEISSUED", "The messages have been expunged");
	} else {
		session_ok(s, NULL, "Copied");
	}
	buffer_free(&code);
}

/* RFC 6851 §4.3: COPYUID comes untagged and first; then the expunges; then the answer. */
static enum imap_run moved(struct imap_session *s, void *state)
{
	const struct copy_state *copy = state;

	session_sync(s, true);
	if (session_is_full(s) && view_has_changes(s->view))
		return RUN_MORE;
	if (!copy->from.count && copy->some_gone)
		session_no(s, "EXPUNGEISSUED", "The messages have been expunged");
	else if (copy->from.count && (s->enabled & ENABLED_QRESYNC))
		session_ok_printf(
			s, "[HIGHESTMODSEQ %llu] Moved", (unsigned long long)view_mailbox(s->view)->highestmodseq);
	else
		session_ok(s, NULL, "Moved");
	return RUN_DONE;
}

static int copy_set(
	struct imap_session *s, const struct imap_command *command, struct mailbox *target, struct copy_state *copy)
{
	struct uid_list uids = UID_LIST_INIT(1);
	int rc = session_resolve(s, &command->copy.set, command->uid, &uids);

	if (rc)
		return rc;
	copy->some_gone = uids.count && !command->uid;
	if (uids.count)
		rc = entries_copy(view_mailbox(s->view), uid_list_set(&uids), target, copy->move, &s->actor,
			&copy->from, &copy->to);
	uid_list_free(&uids);
	return rc ? rc : copy->from.error ? copy->from.error : copy->to.error;
}

static bool is_move(const struct imap_command *command)
{
	return slice_equal(slice_of(command->info->name), SLICE("MOVE"));
}

static struct copy_state *copy_new(struct imap_session *s, const struct imap_command *command)
{
	struct copy_state *copy = arena_zalloc(session_arena(s), 1, sizeof(*copy));

	if (copy) {
		copy->from = copy->to = UID_LIST_INIT(SYNC_RANGES_MAX);
		copy->move = is_move(command);
	}
	return copy;
}

static enum imap_run answer(struct imap_session *s, struct copy_state *copy)
{
	struct buffer *out = session_out(s);

	if (!copy->move) {
		copied(s, copy);
		copy_release(copy);
		return RUN_DONE;
	}
	if (has_copyuid(copy)) {
		buffer_put_text(out, "* OK ");
		put_copyuid(out, copy);
		buffer_put_text(out, " Moved\r\n");
	}
	return cursor_run(s, moved, copy_release, copy);
}

enum imap_run cmd_copy(struct imap_session *s, const struct imap_command *command)
{
	struct mailbox *target = mailbox_find(s->account, command->copy.mailbox);
	struct copy_state *copy;
	int rc;

	if (s->read_only && is_move(command)) {
		session_no(s, "CANNOT", "Mailbox is selected read-only");
		return RUN_DONE;
	}
	if (!target) {
		session_no(s, "TRYCREATE", "No such mailbox");
		return RUN_DONE;
	}
	copy = copy_new(s, command);
	rc = copy ? copy_set(s, command, target, copy) : -ENOBUFS;
	if (!rc) {
		copy->uidvalidity = target->uidvalidity;
		return answer(s, copy);
	}
	if (copy)
		copy_release(copy);
	sync_set_error(s, rc);
	return RUN_DONE;
}
