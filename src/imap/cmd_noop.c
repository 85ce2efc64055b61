#include "imap/session.h"

/* NOOP and CHECK: there is nothing to do but to tell the news. */
enum imap_run cmd_noop(struct imap_session *s, const struct imap_command *command)
{
	(void)command;
	session_ok(s, NULL, "Completed");
	return RUN_DONE;
}
