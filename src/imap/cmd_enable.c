/* ENABLE: RFC 5161, RFC 9051 §6.3.1. */
#include "imap/session.h"

static const struct {
	unsigned bit;
	const char *name;
} names[] = {
	{ENABLED_CONDSTORE, "CONDSTORE"},
	{ENABLED_QRESYNC, "QRESYNC"},
	{ENABLED_UTF8, "UTF8=ACCEPT"},
	{ENABLED_REV2, "IMAP4rev2"},
};

enum imap_run cmd_enable(struct imap_session *s, const struct imap_command *command)
{
	struct buffer *out = session_out(s);

	buffer_put_text(out, "* ENABLED");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (command->enable & names[i].bit)
			buffer_printf(out, " %s", names[i].name);
	}
	buffer_put_text(out, "\r\n");
	if (command->enable & ENABLED_CONDSTORE)
		session_enable_condstore(s);
	s->enabled |= command->enable;
	session_ok(s, NULL, "Enabled");
	return RUN_DONE;
}
