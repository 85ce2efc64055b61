/* ID: RFC 2971. */
#include "imap/private.h"

enum { LOGGED_BYTES_MAX = 100 };

/* The name of the client program stands for the device in the journal, unless its app password has named it. */
static void name_device(struct imap_session_private *p, struct slice name)
{
	size_t len = MIN(name.len, sizeof(p->device) - 1);

	if (p->device[0] || !len)
		return;
	memcpy(p->device, name.at, len);
	p->device[len] = '\0';
	p->session.actor.device = slice_of(p->device);
}

enum imap_run cmd_id(struct imap_session *s, const struct imap_command *command)
{
	struct imap_session_private *p = s->private;
	char id[17];

	(void)snprintf(id, sizeof(id), "%llx", (unsigned long long)p->session_id);
	LOG(s->services->log, LOG_INFO, "client", {"proto", SLICE("imap")}, {"session", slice_of(id)},
		{"account", buffer_slice(&p->address)}, {"name", slice_first(command->id.name, LOGGED_BYTES_MAX)},
		{"version", slice_first(command->id.version, LOGGED_BYTES_MAX)});
	name_device(p, command->id.name);
	buffer_put_text(session_out(s), "* ID (\"name\" \"Penfold\")\r\n");
	session_ok(s, NULL, "ID completed");
	return RUN_DONE;
}
