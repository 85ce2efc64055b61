#include "imap/session.h"

enum imap_run cmd_unselect(struct imap_session *s, const struct imap_command *command)
{
	(void)command;
	session_deselect(s);
	session_ok(s, NULL, "Mailbox is no longer selected");
	return RUN_DONE;
}
