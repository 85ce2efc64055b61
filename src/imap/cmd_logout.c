#include "imap/private.h"

enum imap_run cmd_logout(struct imap_session *s, const struct imap_command *command)
{
	struct buffer *out = session_out(s);

	buffer_put_text(out, "* BYE Logging out\r\n");
	buffer_put(out, command->tag);
	buffer_put_text(out, " OK Logged out\r\n");
	session_finish(s->private);
	return RUN_DONE;
}
