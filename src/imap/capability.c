#include "imap/session.h"

/* IMAP4rev1 comes first for clients that look no further. LITERAL+ stands for LITERAL-, which it contains (RFC 7888 §5: never both). */
static const char always[] = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE";
static const char after_login[] =
	" NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE"
	" ESEARCH SEARCHRES CONDSTORE QRESYNC MULTIAPPEND BINARY OBJECTID UTF8=ACCEPT";

static void put_mechanisms(struct slice mechanisms, struct buffer *out)
{
	bool plaintext = false;

	while (mechanisms.len) {
		struct slice name = slice_split(&mechanisms, ' ');

		if (!name.len)
			continue;
		buffer_put_text(out, " AUTH=");
		buffer_put(out, name);
		plaintext |= slice_equal(name, SLICE("PLAIN")) || slice_equal(name, SLICE("LOGIN"));
	}
	if (!plaintext)
		buffer_put_text(out, " STARTTLS LOGINDISABLED");
}

void imap_capabilities(const struct imap_services *services, bool logged_in, struct buffer *out)
{
	buffer_put_text(out, always);
	if (!logged_in) {
		put_mechanisms(services->mechanisms, out);
		return;
	}
	buffer_put_text(out, after_login);
	buffer_printf(out, " APPENDLIMIT=%llu", (unsigned long long)services->limits.append_bytes_max);
}

enum imap_run cmd_capability(struct imap_session *s, const struct imap_command *command)
{
	(void)command;
	buffer_put_text(session_out(s), "* CAPABILITY ");
	imap_capabilities(s->services, true, session_out(s));
	buffer_put_text(session_out(s), "\r\n");
	session_ok(s, NULL, "Capability completed");
	return RUN_DONE;
}
