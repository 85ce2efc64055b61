#include "imap/session.h"

enum imap_run cmd_rename(struct imap_session *s, const struct imap_command *command)
{
	struct mailbox *mailbox = mailbox_find(s->account, command->rename.from);
	int error = mailbox ? mailbox_rename(s->account, mailbox, command->rename.to, &s->actor) : -ENOENT;

	if (error < 0)
		session_error(s, error);
	else
		session_ok(s, NULL, "Mailbox renamed");
	return RUN_DONE;
}
