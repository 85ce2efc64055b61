/* IMAP in the not authenticated state (RFC 9051 §3.1, §6.1, §6.2). */
#include "gate/prelogin.h"

static struct slice tag_of(const struct prelogin *prelogin)
{
	return slice_make(prelogin->tag, prelogin->tag_len);
}

/* ---- Answers ---- */

static void put_tagged(struct prelogin *prelogin, const char *status, const char *text, struct buffer *out)
{
	if (prelogin->tag_len)
		buffer_put(out, tag_of(prelogin));
	else
		buffer_put_byte(out, '*');
	buffer_printf(out, " %s %s\r\n", status, text);
}

static enum prelogin_action ok(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	put_tagged(prelogin, "OK", text, out);
	return PRELOGIN_NEXT;
}

static enum prelogin_action no(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	put_tagged(prelogin, "NO", text, out);
	return PRELOGIN_NEXT;
}

static enum prelogin_action bad(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	put_tagged(prelogin, "BAD", text, out);
	return prelogin_count_bad(prelogin, out);
}

static void put_capabilities(const struct prelogin *prelogin, struct buffer *out)
{
	const struct prelogin_transport *transport = &prelogin->transport;
	struct slice names = transport->mechanisms;

	buffer_put_text(out, "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE");
	if (transport->tls_possible && !transport->tls)
		buffer_put_text(out, " STARTTLS");
	if (!prelogin_takes_password(prelogin))
		buffer_put_text(out, " LOGINDISABLED");
	while (names.len) {
		struct slice name = slice_split(&names, ' ');

		if (name.len == 0)
			continue;
		buffer_put_text(out, " AUTH=");
		buffer_put(out, name);
	}
}

static void greet(struct prelogin *prelogin, struct buffer *out)
{
	buffer_put_text(out, "* OK [");
	put_capabilities(prelogin, out);
	buffer_printf(out, "] %.*s Penfold ready\r\n", SLICE_ARG(prelogin->site->hostname));
}

static void bye(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	(void)prelogin;
	buffer_printf(out, "* BYE %s\r\n", text);
}

static void sasl_refused(struct prelogin *prelogin, const char *why, struct buffer *out)
{
	put_tagged(prelogin, "BAD", why, out);
}

/* Response codes: RFC 9051 §7.1. */
static void failed(struct prelogin *prelogin, enum gate_failure failure, struct slice text, struct buffer *out)
{
	static const struct {
		const char *code, *text;
	} answers[GATE_FAILURES] = {
		[GATE_WRONG] = {"AUTHENTICATIONFAILED", "Wrong user name or password"},
		[GATE_UNAVAILABLE] = {"UNAVAILABLE", "Login is not possible at the moment, please try again"},
		[GATE_FORBIDDEN] = {"AUTHORIZATIONFAILED", "This account may not be used with IMAP"},
		[GATE_THROTTLED] = {"UNAVAILABLE", "Too many failed logins, please wait a while"},
	};

	buffer_put(out, tag_of(prelogin));
	buffer_printf(out, " NO [%s] ", answers[failure].code);
	if (text.len)
		buffer_put(out, text);
	else
		buffer_put_text(out, answers[failure].text);
	buffer_put_text(out, "\r\n");
}

/* ---- Framing: a command is its lines and the literals between them ---- */

struct literal {
	uint64_t bytes;
	bool waits; /* for our "+" */
};

/* Does the line announce a literal (RFC 9051 §4.3, RFC 7888 §3)? */
static bool announces_literal(struct slice line, struct literal *ret_literal)
{
	size_t open;
	struct slice digits;
	struct literal literal = {0, true};

	if (line.len < 3 || line.at[line.len - 1] != '}')
		return false;
	open = slice_find_last_byte(line, '{');
	if (open == SIZE_MAX)
		return false;
	digits = slice_from(slice_first(line, line.len - 1), open + 1);
	if (digits.len && digits.at[digits.len - 1] == '+') {
		digits.len--;
		literal.waits = false;
	}
	if (slice_to_u64(digits, UINT32_MAX, &literal.bytes))
		return false;
	*ret_literal = literal;
	return true;
}

static bool is_atom_byte(char c)
{
	return c > ' ' && c < 0x7f && !strchr("(){%*\"\\]", c);
}

static struct slice take_atom(struct slice *rest)
{
	size_t len = 0;
	struct slice atom;

	while (len < rest->len && is_atom_byte(rest->at[len]))
		len++;
	atom = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	return atom;
}

static bool take_space(struct slice *rest)
{
	if (rest->len == 0 || rest->at[0] != ' ')
		return false;
	*rest = slice_from(*rest, 1);
	return true;
}

/* Some clients put a space behind their arguments. */
static bool only_spaces(struct slice rest)
{
	while (take_space(&rest))
		;
	return rest.len == 0;
}

/* RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">, which is an atom that "]" may stand in. */
static size_t tag_length(struct slice rest)
{
	size_t len = 0;

	while (len < rest.len && rest.at[len] != '+' && (is_atom_byte(rest.at[len]) || rest.at[len] == ']'))
		len++;
	return len;
}

/* Takes the tag off and keeps it; false when there is none that could be repeated to the client. */
static bool take_tag(struct prelogin *prelogin, struct slice *rest)
{
	struct slice tag = slice_first(*rest, tag_length(*rest));

	*rest = slice_from(*rest, tag.len);
	prelogin->tag_len = 0;
	if (tag.len == 0 || tag.len > GATE_TAG_MAX)
		return false;
	memcpy(prelogin->tag, tag.at, tag.len);
	prelogin->tag_len = tag.len;
	return true;
}

/* Only these have strings; a literal for anything else is not asked for, nor a password that would not be taken. */
static bool may_have_literals(struct prelogin *prelogin, struct slice command)
{
	struct slice name;

	if (!take_tag(prelogin, &command) || !take_space(&command))
		return false;
	name = take_atom(&command);
	if (slice_equal_nocase(name, SLICE("LOGIN")))
		return prelogin_takes_password(prelogin);
	return slice_equal_nocase(name, SLICE("ID"));
}

/* What framing says of a command that it has answered itself: DRAIN, or CLOSE. */
static enum prelogin_action refuse_literal(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	return bad(prelogin, text, out) == PRELOGIN_CLOSE ? PRELOGIN_CLOSE : PRELOGIN_DRAIN;
}

/*
 * A literal stands at the end of the line that ends before `end`. NEXT: go on behind it; MORE: it is not here yet; anything else
 * ends the command, of which everything up to `end` is then consumed.
 */
static enum prelogin_action pass_literal(struct prelogin *prelogin, struct slice rest, size_t end,
	const struct literal *literal, unsigned number, struct buffer *out)
{
	bool allowed = may_have_literals(prelogin, rest);
	bool fits = literal->bytes <= PRELOGIN_LITERAL_MAX && end + literal->bytes <= PRELOGIN_COMMAND_MAX;

	if (!fits && !literal->waits) {
		/* It is on its way and would be taken for commands (RFC 7888 §4). */
		prelogin_bye(prelogin, "[TOOBIG] Literal too long", out);
		return PRELOGIN_CLOSE;
	}
	if (!fits)
		return refuse_literal(prelogin, "[TOOBIG] Literal too long", out);
	if (literal->waits && !allowed)
		return refuse_literal(prelogin, "No literal is taken here", out);
	if (literal->waits && number == prelogin->continued) {
		prelogin->continued++;
		buffer_put_text(out, "+ OK\r\n");
	}
	return rest.len - end < literal->bytes ? PRELOGIN_MORE : PRELOGIN_NEXT;
}

/* NEXT: a whole command of *ret_len bytes is there. DRAIN: it was answered; *ret_len bytes are done with. */
static enum prelogin_action frame(struct prelogin *prelogin, struct slice rest, size_t *ret_len, struct buffer *out)
{
	size_t at = 0;
	unsigned waiting = 0; /* literals so far that wait for our "+" */

	for (;;) {
		struct slice behind = slice_from(rest, at);
		struct literal literal;
		struct slice line;
		enum prelogin_action action;

		if (!prelogin_line(&behind, &line)) {
			if (rest.len < PRELOGIN_COMMAND_MAX)
				return PRELOGIN_MORE;
			prelogin_bye(prelogin, "Command too long", out);
			return PRELOGIN_CLOSE;
		}
		at = rest.len - behind.len;
		*ret_len = at;
		if (!announces_literal(line, &literal))
			return PRELOGIN_NEXT;
		action = pass_literal(prelogin, rest, at, &literal, waiting, out);
		if (action != PRELOGIN_NEXT)
			return action;
		waiting += literal.waits;
		at += (size_t)literal.bytes;
	}
}

/* ---- Arguments ---- */

static bool take_quoted(struct slice *rest, struct buffer *out)
{
	size_t i = 1;

	for (; i < rest->len && rest->at[i] != '"'; i++) {
		if (rest->at[i] == '\\' && ++i >= rest->len)
			return false;
		if (rest->at[i] == '\r' || rest->at[i] == '\n' || rest->at[i] == '\0')
			return false;
		buffer_put_byte(out, rest->at[i]);
	}
	if (i >= rest->len)
		return false;
	*rest = slice_from(*rest, i + 1);
	return true;
}

/* The framing has seen to it that the literal is whole. */
static bool take_literal(struct slice *rest, struct buffer *out)
{
	struct slice line, bytes;
	struct literal literal;

	if (!prelogin_line(rest, &line) || !announces_literal(line, &literal) || literal.bytes > rest->len)
		return false;
	bytes = slice_first(*rest, (size_t)literal.bytes);
	*rest = slice_from(*rest, (size_t)literal.bytes);
	buffer_put(out, bytes);
	return slice_find_byte(bytes, '\0') == SIZE_MAX;
}

/* astring of RFC 9051 §9, where "]" may stand in an atom. */
static bool take_astring(struct slice *rest, struct buffer *out)
{
	size_t len = 0;

	if (rest->len && rest->at[0] == '"')
		return take_quoted(rest, out) && buffer_error(out) == 0;
	if (rest->len && rest->at[0] == '{')
		return take_literal(rest, out) && buffer_error(out) == 0;
	while (len < rest->len && (is_atom_byte(rest->at[len]) || rest->at[len] == ']'))
		len++;
	buffer_put(out, slice_first(*rest, len));
	*rest = slice_from(*rest, len);
	return len != 0 && buffer_error(out) == 0;
}

/* ---- Commands ---- */

static enum prelogin_action cmd_capability(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)rest;
	buffer_put_text(out, "* ");
	put_capabilities(prelogin, out);
	buffer_put_text(out, "\r\n");
	return ok(prelogin, "CAPABILITY completed", out);
}

static enum prelogin_action cmd_noop(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)rest;
	return ok(prelogin, "NOOP completed", out);
}

static enum prelogin_action cmd_logout(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)rest;
	bye(prelogin, "Logging out", out);
	put_tagged(prelogin, "OK", "LOGOUT completed", out);
	return PRELOGIN_CLOSE;
}

static enum prelogin_action cmd_starttls(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	(void)rest;
	if (prelogin->transport.tls)
		return bad(prelogin, "TLS is on already", out);
	if (!prelogin->transport.tls_possible)
		return no(prelogin, "There is no TLS here", out);
	put_tagged(prelogin, "OK", "Begin TLS negotiation now", out);
	return PRELOGIN_START_TLS;
}

static enum prelogin_action cmd_login(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	struct buffer user = BUFFER_INIT(PRELOGIN_CREDENTIAL_MAX);
	struct buffer password = BUFFER_INIT(PRELOGIN_CREDENTIAL_MAX);
	enum prelogin_action action;

	if (!prelogin_takes_password(prelogin)) {
		/* RFC 9051 §6.2.3: refused without looking at the password, which came in clear all the same. */
		action = no(prelogin, "[PRIVACYREQUIRED] Passwords are taken over TLS only", out);
	} else if (!take_space(&rest) || !take_astring(&rest, &user) || !take_space(&rest) ||
		   !take_astring(&rest, &password) || !only_spaces(rest)) {
		if (buffer_error(&user) == -ENOMEM || buffer_error(&password) == -ENOMEM)
			action = prelogin_no_memory(prelogin, out);
		else
			action = bad(prelogin, "LOGIN wants a user name and a password", out);
	} else {
		action = prelogin_password(prelogin, buffer_slice(&user), buffer_slice(&password), out);
	}
	if (password.at)
		explicit_bzero(password.at, password.room);
	buffer_free(&user);
	buffer_free(&password);
	return action;
}

static enum prelogin_action cmd_authenticate(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	struct slice mechanism;
	struct slice initial = {NULL, 0};
	bool has_space = take_space(&rest);

	mechanism = take_atom(&rest);
	if (rest.len && take_space(&rest)) { /* RFC 4959 §3 */
		initial = rest;
		rest = slice_from(rest, rest.len);
	}
	if (!has_space || mechanism.len == 0 || rest.len)
		return bad(prelogin, "AUTHENTICATE wants the name of a mechanism", out);
	if (!prelogin_offers(prelogin, mechanism) || mechanism.len > GATE_MECHANISM_MAX) {
		if (!prelogin->transport.confidential && prelogin_is_plaintext(mechanism))
			return no(prelogin, "[PRIVACYREQUIRED] Passwords are taken over TLS only", out);
		return no(prelogin, "[CANNOT] No such mechanism here", out);
	}
	return prelogin_authenticate(prelogin, mechanism, initial, out);
}

static void put_printable(struct buffer *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] >= ' ' && text.at[i] <= '~')
			buffer_put_byte(out, text.at[i]);
}

/* One name and its value, which may be NIL. Keeps the client's name and version (RFC 2971 §3.3). */
static int take_id_pair(struct prelogin *prelogin, struct slice *rest)
{
	struct buffer name = BUFFER_INIT(PRELOGIN_LITERAL_MAX);
	struct buffer value = BUFFER_INIT(PRELOGIN_LITERAL_MAX);
	bool nil, ok, wanted;
	int error;

	ok = take_astring(rest, &name) && take_space(rest);
	nil = ok && rest->len && rest->at[0] != '"' && rest->at[0] != '{';
	ok = ok && take_astring(rest, &value) && (!nil || slice_equal_nocase(buffer_slice(&value), SLICE("NIL")));
	wanted = slice_equal_nocase(buffer_slice(&name), SLICE("name")) ||
		 slice_equal_nocase(buffer_slice(&name), SLICE("version"));
	if (ok && wanted && !nil && prelogin->client.len + 1 < GATE_CLIENT_MAX / 2) {
		if (prelogin->client.len)
			buffer_put_byte(&prelogin->client, ' ');
		put_printable(&prelogin->client, slice_first(buffer_slice(&value), GATE_CLIENT_MAX / 2));
	}
	error = buffer_error(&name) == -ENOMEM || buffer_error(&value) == -ENOMEM ? -ENOMEM : ok ? 0 : -EBADMSG;
	buffer_free(&name);
	buffer_free(&value);
	return error;
}

static enum prelogin_action cmd_id(struct prelogin *prelogin, struct slice rest, struct buffer *out)
{
	bool valid = take_space(&rest);
	int error = 0;

	buffer_free(&prelogin->client);
	if (valid && !slice_equal_nocase(rest, SLICE("NIL"))) {
		valid = rest.len && rest.at[0] == '(';
		rest = slice_from(rest, 1);
		while (valid && rest.len && rest.at[0] != ')') {
			error = take_id_pair(prelogin, &rest);
			valid = !error;
			if (valid && rest.len && rest.at[0] != ')')
				valid = take_space(&rest);
		}
		valid = valid && slice_equal(rest, SLICE(")"));
	}
	if (error == -ENOMEM)
		return prelogin_no_memory(prelogin, out);
	if (!valid)
		return bad(prelogin, "ID wants NIL or a list of names and values", out);
	buffer_put_text(out, "* ID (\"name\" \"Penfold\")\r\n");
	return ok(prelogin, "ID completed", out);
}

struct command {
	struct slice name;
	bool takes_arguments;
	enum prelogin_action (*run)(struct prelogin *prelogin, struct slice rest, struct buffer *out);
};
#define COMMAND(name, takes_arguments, run)                    \
	{                                                      \
		{name, sizeof(name) - 1}, takes_arguments, run \
	}
static const struct command commands[] = {
	COMMAND("AUTHENTICATE", true, cmd_authenticate),
	COMMAND("CAPABILITY", false, cmd_capability),
	COMMAND("ID", true, cmd_id),
	COMMAND("LOGIN", true, cmd_login),
	COMMAND("LOGOUT", false, cmd_logout),
	COMMAND("NOOP", false, cmd_noop),
	COMMAND("STARTTLS", false, cmd_starttls),
};

static enum prelogin_action dispatch(struct prelogin *prelogin, struct slice command, struct buffer *out)
{
	struct slice name;

	if (!take_tag(prelogin, &command) || (command.len && !take_space(&command))) {
		prelogin->tag_len = 0;
		return bad(prelogin, "A command begins with a tag", out);
	}
	name = take_atom(&command);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!slice_equal_nocase(name, commands[i].name))
			continue;
		if (!commands[i].takes_arguments && !only_spaces(command))
			return bad(prelogin, "Arguments that this command does not have", out);
		return commands[i].run(prelogin, command, out);
	}
	return bad(prelogin, "Unknown command, or not before login", out);
}

static enum prelogin_action command(struct prelogin *prelogin, struct slice *rest, struct buffer *out)
{
	size_t len = 0;
	struct slice whole;
	enum prelogin_action action = frame(prelogin, *rest, &len, out);

	if (action == PRELOGIN_MORE)
		return action;
	prelogin->continued = 0;
	whole = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	if (action == PRELOGIN_DRAIN)
		return PRELOGIN_NEXT;
	if (action != PRELOGIN_NEXT)
		return action;
	/* Without the line end. */
	whole.len--;
	if (whole.len && whole.at[whole.len - 1] == '\r')
		whole.len--;
	/* An empty line is what some clients send behind a literal; it is no command. */
	if (whole.len == 0)
		return PRELOGIN_NEXT;
	return dispatch(prelogin, whole, out);
}

const struct prelogin_protocol prelogin_imap = {greet, command, sasl_refused, failed, bye};
