/* NAMESPACE: RFC 9051 §6.3.10. One personal namespace, without prefix. */
#include "imap/session.h"

enum imap_run cmd_namespace(struct imap_session *s, const struct imap_command *command)
{
	(void)command;
	buffer_put_text(session_out(s), "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	session_ok(s, NULL, "Namespace completed");
	return RUN_DONE;
}
