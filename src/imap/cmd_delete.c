#include "imap/session.h"

enum imap_run cmd_delete(struct imap_session *s, const struct imap_command *command)
{
	struct mailbox *mailbox = mailbox_find(s->account, command->mailbox);
	int error = mailbox ? mailbox_delete(s->account, mailbox, &s->actor) : -ENOENT;

	if (error < 0)
		session_error(s, error);
	else
		session_ok(s, NULL, "Mailbox deleted");
	return RUN_DONE;
}
