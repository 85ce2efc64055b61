#include "gate/prelogin.h"

void prelogin_init(struct prelogin *prelogin, enum gate_protocol protocol, const struct prelogin_site *site,
	const struct prelogin_transport *transport)
{
	*prelogin = (struct prelogin){
		.protocol = protocol == GATE_IMAP ? &prelogin_imap : &prelogin_pop3,
		.site = site,
		.transport = *transport,
		.sasl = BUFFER_INIT(GATE_SASL_MAX),
		.client = BUFFER_INIT(GATE_CLIENT_MAX),
		.user = BUFFER_INIT(PRELOGIN_CREDENTIAL_MAX),
	};
}

/* What may be a password is wiped, so that it does not lie about in memory that is handed out again. */
static void forget_sasl(struct prelogin *prelogin)
{
	if (prelogin->sasl.at)
		explicit_bzero(prelogin->sasl.at, prelogin->sasl.room);
	buffer_free(&prelogin->sasl);
}

void prelogin_clear(struct prelogin *prelogin)
{
	forget_sasl(prelogin);
	buffer_free(&prelogin->client);
	buffer_free(&prelogin->user);
}

void prelogin_set_transport(struct prelogin *prelogin, const struct prelogin_transport *transport)
{
	prelogin_clear(prelogin);
	prelogin->transport = *transport;
	prelogin->utf8 = false;
	prelogin->continued = 0;
	prelogin->state = PRELOGIN_COMMAND;
}

void prelogin_greet(struct prelogin *prelogin, struct buffer *out)
{
	prelogin->protocol->greet(prelogin, out);
}

void prelogin_bye(struct prelogin *prelogin, const char *text, struct buffer *out)
{
	prelogin->protocol->bye(prelogin, text, out);
	prelogin->state = PRELOGIN_OVER;
}

bool prelogin_line(struct slice *rest, struct slice *ret_line)
{
	size_t end = slice_find_byte(*rest, '\n');
	struct slice line;

	if (end == SIZE_MAX)
		return false;
	line = slice_first(*rest, end);
	*rest = slice_from(*rest, end + 1);
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	*ret_line = line;
	return true;
}

enum prelogin_action prelogin_count_bad(struct prelogin *prelogin, struct buffer *out)
{
	if (++prelogin->bad_count < PRELOGIN_BAD_MAX)
		return PRELOGIN_NEXT;
	prelogin_bye(prelogin, "Too many invalid commands", out);
	return PRELOGIN_CLOSE;
}

/* ---- SASL (RFC 4422), as IMAP and POP3 frame it: base64 lines, "*" to cancel ---- */

bool prelogin_offers(const struct prelogin *prelogin, struct slice mechanism)
{
	struct slice names = prelogin->transport.mechanisms;

	while (names.len) {
		struct slice name = slice_split(&names, ' ');

		if (name.len && slice_equal_nocase(name, mechanism))
			return true;
	}
	return false;
}

bool prelogin_is_plaintext(struct slice mechanism)
{
	return slice_equal_nocase(mechanism, SLICE("PLAIN")) || slice_equal_nocase(mechanism, SLICE("LOGIN"));
}

bool prelogin_takes_password(const struct prelogin *prelogin)
{
	return prelogin->transport.confidential && prelogin_offers(prelogin, SLICE("PLAIN"));
}

enum prelogin_action prelogin_no_memory(struct prelogin *prelogin, struct buffer *out)
{
	prelogin_bye(prelogin, "Out of memory, please try again", out);
	return PRELOGIN_CLOSE;
}

static bool server_speaks_first(struct slice mechanism)
{
	return slice_equal_nocase(mechanism, SLICE("LOGIN"));
}

static enum prelogin_action refuse_sasl(struct prelogin *prelogin, const char *why, struct buffer *out)
{
	prelogin->state = PRELOGIN_COMMAND;
	forget_sasl(prelogin);
	prelogin->protocol->sasl_refused(prelogin, why, out);
	return prelogin_count_bad(prelogin, out);
}

static void begin_exchange(struct prelogin *prelogin, struct slice mechanism)
{
	prelogin->mechanism_len = mechanism.len;
	for (size_t i = 0; i < mechanism.len; i++)
		prelogin->mechanism[i] = byte_upper(mechanism.at[i]);
	forget_sasl(prelogin);
	prelogin->has_initial = true;
	prelogin->state = PRELOGIN_CORE;
}

enum prelogin_action prelogin_authenticate(
	struct prelogin *prelogin, struct slice mechanism, struct slice initial, struct buffer *out)
{
	int error = 0;

	CHECK(mechanism.len <= GATE_MECHANISM_MAX);
	begin_exchange(prelogin, mechanism);
	if (server_speaks_first(mechanism)) {
		prelogin->has_initial = false;
		if (initial.at) /* RFC 9051 §6.2.2, RFC 5034 §4 */
			return refuse_sasl(prelogin, "This mechanism has no initial response", out);
		return PRELOGIN_AUTH_START;
	}
	if (!initial.at) {
		buffer_put_text(out, "+ \r\n");
		prelogin->state = PRELOGIN_SASL_FIRST;
		return PRELOGIN_NEXT;
	}
	if (!slice_equal(initial, SLICE("=")))
		error = initial.len ? buffer_put_base64_decoded(&prelogin->sasl, initial) : -EBADMSG;
	if (error == -ENOMEM)
		return prelogin_no_memory(prelogin, out);
	if (error)
		return refuse_sasl(prelogin, "The initial response is not base64", out);
	return PRELOGIN_AUTH_START;
}

enum prelogin_action prelogin_password(
	struct prelogin *prelogin, struct slice user, struct slice password, struct buffer *out)
{
	/* RFC 4616 §2: no authorization identity. The lengths were limited where they were read. */
	begin_exchange(prelogin, SLICE("PLAIN"));
	buffer_put_byte(&prelogin->sasl, '\0');
	buffer_put(&prelogin->sasl, user);
	buffer_put_byte(&prelogin->sasl, '\0');
	buffer_put(&prelogin->sasl, password);
	/* Half of it would be a wrong password. */
	if (buffer_error(&prelogin->sasl))
		return prelogin_no_memory(prelogin, out);
	return PRELOGIN_AUTH_START;
}

/* The client's answer to additional data with success says nothing; the login is through (RFC 4422 §3.6). */
static enum prelogin_action take_final(struct prelogin *prelogin, struct slice line, struct buffer *out)
{
	if (line.len == 0 || slice_equal(line, SLICE("="))) {
		prelogin->state = PRELOGIN_OVER;
		return PRELOGIN_HANDOVER;
	}
	if (refuse_sasl(prelogin, "Authentication cancelled", out) == PRELOGIN_CLOSE)
		return PRELOGIN_CLOSE;
	return PRELOGIN_AUTH_CANCEL;
}

static enum prelogin_action refuse_answer(struct prelogin *prelogin, bool begun, const char *why, struct buffer *out)
{
	enum prelogin_action action = refuse_sasl(prelogin, why, out);

	return begun && action == PRELOGIN_NEXT ? PRELOGIN_AUTH_CANCEL : action;
}

static enum prelogin_action take_answer(struct prelogin *prelogin, struct slice *rest, struct buffer *out)
{
	bool begun = prelogin->state != PRELOGIN_SASL_FIRST; /* core knows of the exchange */
	struct slice line;
	int error;

	if (!prelogin_line(rest, &line)) {
		if (rest->len < PRELOGIN_COMMAND_MAX)
			return PRELOGIN_MORE;
		prelogin_bye(prelogin, "Line too long", out);
		return PRELOGIN_CLOSE;
	}
	if (prelogin->state == PRELOGIN_SASL_FINAL)
		return take_final(prelogin, line, out);
	if (slice_equal(line, SLICE("*")))
		return refuse_answer(prelogin, begun, "Authentication cancelled", out);
	forget_sasl(prelogin);
	error = buffer_put_base64_decoded(&prelogin->sasl, line);
	if (error == -ENOMEM)
		return prelogin_no_memory(prelogin, out);
	if (error)
		return refuse_answer(prelogin, begun, "That was not base64", out);
	prelogin->state = PRELOGIN_CORE;
	return begun ? PRELOGIN_AUTH_STEP : PRELOGIN_AUTH_START;
}

/* ---- Input ---- */

static enum prelogin_action take_one(struct prelogin *prelogin, struct slice *rest, struct buffer *out)
{
	switch (prelogin->state) {
	case PRELOGIN_COMMAND:
		return prelogin->protocol->command(prelogin, rest, out);
	case PRELOGIN_SASL_FIRST:
	case PRELOGIN_SASL_RESPONSE:
	case PRELOGIN_SASL_FINAL:
		return take_answer(prelogin, rest, out);
	case PRELOGIN_CORE:
	case PRELOGIN_TLS:
	case PRELOGIN_OVER:
		break;
	}
	return PRELOGIN_MORE;
}

enum prelogin_action prelogin_input(struct prelogin *prelogin, struct slice *rest, struct buffer *out)
{
	enum prelogin_action action;

	do {
		if (out->len >= PRELOGIN_OUT_MAX)
			return PRELOGIN_DRAIN;
		action = take_one(prelogin, rest, out);
	} while (action == PRELOGIN_NEXT);
	if (action == PRELOGIN_START_TLS)
		prelogin->state = PRELOGIN_TLS;
	if (action == PRELOGIN_CLOSE)
		prelogin->state = PRELOGIN_OVER;
	return action;
}

/* ---- Core's answers ---- */

void prelogin_challenge(struct prelogin *prelogin, struct slice challenge, struct buffer *out)
{
	CHECK(prelogin->state == PRELOGIN_CORE);
	forget_sasl(prelogin);
	buffer_put_text(out, "+ ");
	buffer_put_base64(out, challenge);
	buffer_put_text(out, "\r\n");
	prelogin->state = PRELOGIN_SASL_RESPONSE;
}

enum prelogin_action prelogin_ok(struct prelogin *prelogin, struct slice final, struct buffer *out)
{
	CHECK(prelogin->state == PRELOGIN_CORE);
	forget_sasl(prelogin);
	if (final.len == 0) {
		prelogin->state = PRELOGIN_OVER;
		return PRELOGIN_HANDOVER;
	}
	prelogin_challenge(prelogin, final, out);
	prelogin->state = PRELOGIN_SASL_FINAL;
	return PRELOGIN_MORE;
}

enum prelogin_action prelogin_failed(
	struct prelogin *prelogin, enum gate_failure failure, struct slice text, struct buffer *out)
{
	CHECK(prelogin->state == PRELOGIN_CORE);
	forget_sasl(prelogin);
	buffer_free(&prelogin->user);
	prelogin->state = PRELOGIN_COMMAND;
	prelogin->protocol->failed(prelogin, failure, text, out);
	if (++prelogin->failed_count < PRELOGIN_FAILED_MAX)
		return PRELOGIN_MORE;
	prelogin_bye(prelogin, "Too many failed logins", out);
	return PRELOGIN_CLOSE;
}
