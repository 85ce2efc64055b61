#include "imap/session.h"

enum imap_run cmd_too_late(struct imap_session *s, const struct imap_command *command)
{
	(void)command;
	session_bad(s, NULL, "Already logged in");
	return RUN_DONE;
}
