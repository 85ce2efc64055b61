/* CREATE: RFC 9051 §6.3.4, RFC 6154 §3, RFC 8474 §4.1. */
#include "imap/list.h"
#include "store/email.h"

static void created(struct imap_session *s, const struct mailbox *mailbox, struct slice given)
{
	struct buffer id = BUFFER_INIT(32);

	if (slice_ends(given, SLICE("/")))
		given.len--;
	/* RFC 9051 §6.3.9.7: the name is another than the client gave. */
	if (s->enabled & (ENABLED_REV2 | ENABLED_UTF8) && !slice_equal(given, mailbox->name))
		put_list_mailbox(s, mailbox, given);
	object_id_put(&id, 'M', mailbox->id);
	session_ok_printf(s, "[MAILBOXID (%s)] Mailbox created", buffer_text(&id));
	buffer_free(&id);
}

enum imap_run cmd_create(struct imap_session *s, const struct imap_command *command)
{
	const struct imap_create_args *args = &command->create;
	struct mailbox *mailbox;
	int error;

	if (args->unknown_use) {
		session_no(s, "USEATTR", "No mailbox can be made for this use");
		return RUN_DONE;
	}
	error = mailbox_create(s->account, args->mailbox, args->special_use, &s->actor, &mailbox);
	if (error == -EEXIST && args->special_use && !mailbox_find(s->account, args->mailbox))
		session_no(s, "USEATTR", "Another mailbox has this use");
	else if (error < 0)
		session_error(s, error);
	else
		created(s, mailbox, args->given);
	return RUN_DONE;
}
