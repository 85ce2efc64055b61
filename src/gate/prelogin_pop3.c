/* POP3 in the AUTHORIZATION state (RFC 1939 §4, RFC 2449, RFC 2595 §4, RFC 5034, RFC 6856). */
#include "gate/prelogin.h"

static enum prelogin_action answer(const char *text, struct buffer *out)
{
	buffer_put_text(out, text);
	buffer_put_text(out, "\r\n");
	return PRELOGIN_NEXT;
}

static enum prelogin_action bad(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	(void)answer(text, out);
	return prelogin_count_bad(prelogin, out);
}

static void greet(struct prelogin *prelogin, struct buffer *out)
{
	/* No time stamp: there is no APOP. */
	buffer_printf(out, "+OK %.*s Penfold ready\r\n", SLICE_ARG(prelogin->site->hostname));
}

static void bye(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	(void)prelogin;
	buffer_printf(out, "-ERR %s\r\n", text);
}

static void sasl_refused(struct prelogin *prelogin, const char *why, struct buffer *out)
{
	bye(prelogin, why, out);
}

/* Response codes: RFC 3206 §4, §5. */
static void failed(struct prelogin *prelogin, enum gate_failure failure, struct slice text, struct buffer *out)
{
	static const struct {
		const char *code, *text;
	} answers[GATE_FAILURES] = {
		[GATE_WRONG] = {"AUTH", "Wrong user name or password"},
		[GATE_UNAVAILABLE] = {"SYS/TEMP", "Login is not possible at the moment, please try again"},
		[GATE_FORBIDDEN] = {"SYS/PERM", "This account may not be used with POP3"},
		[GATE_THROTTLED] = {"SYS/TEMP", "Too many failed logins, please wait a while"},
	};

	(void)prelogin;
	buffer_printf(out, "-ERR [%s] ", answers[failure].code);
	if (text.len)
		buffer_put(out, text);
	else
		buffer_put_text(out, answers[failure].text);
	buffer_put_text(out, "\r\n");
}

/* ---- Commands ---- */

static enum prelogin_action cmd_capa(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	const struct prelogin_transport *transport = &prelogin->transport;

	(void)rest;
	buffer_put_text(out, "+OK Capabilities follow\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
			     "UTF8 USER\r\nLANG\r\n");
	if (prelogin->site->pop3_expire_days < 0)
		buffer_put_text(out, "EXPIRE NEVER\r\n");
	else
		buffer_printf(out, "EXPIRE %d\r\n", prelogin->site->pop3_expire_days);
	if (prelogin->site->pop3_login_delay_s)
		buffer_printf(out, "LOGIN-DELAY %u\r\n", prelogin->site->pop3_login_delay_s);
	if (transport->tls_possible && !transport->tls)
		buffer_put_text(out, "STLS\r\n");
	if (prelogin_takes_password(prelogin))
		buffer_put_text(out, "USER\r\n");
	if (transport->mechanisms.len) {
		buffer_put_text(out, "SASL ");
		buffer_put(out, transport->mechanisms);
		buffer_put_text(out, "\r\n");
	}
	return answer("IMPLEMENTATION Penfold\r\n.", out);
}

static enum prelogin_action refuse_plaintext(struct buffer *out)
{
	return answer("-ERR [AUTH] Passwords are taken over TLS only", out);
}

static enum prelogin_action cmd_user(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	if (!prelogin_takes_password(prelogin))
		return refuse_plaintext(out);
	buffer_free(&prelogin->user);
	buffer_put(&prelogin->user, rest);
	if (buffer_error(&prelogin->user) == -ENOMEM)
		return prelogin_no_memory(prelogin, out);
	if (rest.len == 0 || slice_find_byte(rest, '\0') != SIZE_MAX || buffer_error(&prelogin->user)) {
		buffer_free(&prelogin->user);
		return bad(prelogin, "-ERR USER wants a name", out);
	}
	return answer("+OK Now the password", out); /* also for a name that does not exist */
}

static enum prelogin_action cmd_pass(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	if (!prelogin_takes_password(prelogin))
		return refuse_plaintext(out);
	if (prelogin->user.len == 0)
		return bad(prelogin, "-ERR USER comes first", out);
	if (rest.len > PRELOGIN_CREDENTIAL_MAX || slice_find_byte(rest, '\0') != SIZE_MAX)
		return bad(prelogin, "-ERR That is no password", out);
	return prelogin_password(prelogin, buffer_slice(&prelogin->user), rest, out);
}

static enum prelogin_action list_mechanisms(struct prelogin *prelogin, struct buffer *out)
{
	struct slice names = prelogin->transport.mechanisms;

	(void)answer("+OK Mechanisms follow", out);
	while (names.len) {
		struct slice name = slice_split(&names, ' ');

		if (name.len == 0)
			continue;
		buffer_put(out, name);
		buffer_put_text(out, "\r\n");
	}
	return answer(".", out);
}

static enum prelogin_action cmd_auth(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	struct slice mechanism = slice_split(&rest, ' ');

	/* RFC 5034 wants an argument, but clients older than CAPA ask like this. */
	if (mechanism.len == 0)
		return list_mechanisms(prelogin, out);
	if (!prelogin_offers(prelogin, mechanism) || mechanism.len > GATE_MECHANISM_MAX) {
		if (!prelogin->transport.confidential && prelogin_is_plaintext(mechanism))
			return refuse_plaintext(out);
		return answer("-ERR No such mechanism here", out);
	}
	return prelogin_authenticate(prelogin, mechanism, rest, out);
}

static enum prelogin_action cmd_stls(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)rest;
	if (prelogin->transport.tls)
		return bad(prelogin, "-ERR TLS is on already", out);
	if (!prelogin->transport.tls_possible)
		return answer("-ERR There is no TLS here", out);
	if (prelogin->utf8) /* RFC 6856 §2.1 */
		return bad(prelogin, "-ERR Not after UTF8", out);
	(void)answer("+OK Begin TLS negotiation now", out);
	return PRELOGIN_START_TLS;
}

static enum prelogin_action cmd_utf8(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)rest;
	prelogin->utf8 = true;
	return answer("+OK UTF-8 it is", out);
}

/* RFC 6856 §3: our texts come in one language. */
static enum prelogin_action cmd_lang(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)prelogin;
	if (rest.len == 0)
		return answer("+OK Languages follow\r\nen English\r\n.", out);
	if (slice_equal(rest, SLICE("*")) || slice_equal_nocase(rest, SLICE("en")))
		return answer("+OK en English it is", out);
	return answer("-ERR We do not speak that", out);
}

static enum prelogin_action cmd_quit(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)prelogin;
	(void)rest;
	(void)answer("+OK Bye", out);
	return PRELOGIN_CLOSE;
}

static const struct command {
	const char *name;
	bool takes_arguments;
	enum prelogin_action (*run)(struct prelogin *prelogin, struct slice rest, struct buffer *out);
} commands[] = {
	{"AUTH", true, cmd_auth},
	{"CAPA", false, cmd_capa},
	{"LANG", true, cmd_lang},
	{"PASS", true, cmd_pass},
	{"QUIT", false, cmd_quit},
	{"STLS", false, cmd_stls},
	{"USER", true, cmd_user},
	{"UTF8", false, cmd_utf8},
};

static enum prelogin_action command(struct prelogin *prelogin, struct slice *rest, struct buffer *out)
{
	struct slice line, name;

	if (!prelogin_line(rest, &line)) {
		if (rest->len < PRELOGIN_COMMAND_MAX)
			return PRELOGIN_MORE;
		prelogin_bye(prelogin, "Command too long", out);
		return PRELOGIN_CLOSE;
	}
	name = slice_split(&line, ' ');
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!slice_equal_nocase(name, slice_of(commands[i].name)))
			continue;
		if (line.len && !commands[i].takes_arguments)
			return bad(prelogin, "-ERR Arguments that this command does not have", out);
		return commands[i].run(prelogin, line, out);
	}
	return bad(prelogin, "-ERR Unknown command, or not before login", out);
}

const struct prelogin_protocol prelogin_pop3 = {greet, command, sasl_refused, failed, bye};
