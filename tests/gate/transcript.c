#include "transcript.h"

const struct prelogin_transport transport_open = {{"SCRAM-SHA-256", 13}, false, false, true};
const struct prelogin_transport transport_loopback = {{"SCRAM-SHA-256 PLAIN LOGIN", 25}, true, false, true};
const struct prelogin_transport transport_tls = {
	{"SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", 44}, true, true, true};

static const struct prelogin_site site = {{"mail.example.org", 16}, -1, 0};

struct play {
	struct prelogin prelogin;
	struct buffer in, out, decided;
	bool bytewise;
};

static void put_bytes(struct buffer *out, struct slice bytes)
{
	buffer_put_text(out, " [");
	for (size_t i = 0; i < bytes.len; i++) {
		char c = bytes.at[i];

		if (c != '\r')
			buffer_put_byte(out, c == '\n' ? '|' : c ? c : '^');
	}
	buffer_put_text(out, "]");
}

static void put_decision(struct play *play, enum prelogin_action action)
{
	struct prelogin *prelogin = &play->prelogin;
	struct buffer *out = &play->decided;

	switch (action) {
	case PRELOGIN_AUTH_START:
		buffer_printf(out, "start %.*s", (int)prelogin->mechanism_len, prelogin->mechanism);
		if (prelogin->has_initial)
			put_bytes(out, buffer_slice(&prelogin->sasl));
		break;
	case PRELOGIN_AUTH_STEP:
		buffer_put_text(out, "step");
		put_bytes(out, buffer_slice(&prelogin->sasl));
		break;
	case PRELOGIN_AUTH_CANCEL:
		buffer_put_text(out, "cancel");
		break;
	case PRELOGIN_START_TLS:
		buffer_put_text(out, "starttls");
		break;
	case PRELOGIN_HANDOVER:
		buffer_printf(out, "handover %.*s", (int)prelogin->tag_len, prelogin->tag);
		put_bytes(out, buffer_slice(&play->in));
		break;
	default:
		buffer_put_text(out, "close");
		break;
	}
	buffer_put_text(out, "\r\n");
}

static void look(struct play *play)
{
	enum prelogin_action action;

	do {
		struct slice rest = buffer_slice(&play->in);

		action = prelogin_input(&play->prelogin, &rest, &play->out);
		buffer_consume(&play->in, play->in.len - rest.len);
		if (action != PRELOGIN_MORE && action != PRELOGIN_DRAIN)
			put_decision(play, action);
	} while (action != PRELOGIN_MORE && action != PRELOGIN_DRAIN);
}

static void client_says(struct play *play, struct slice line)
{
	struct buffer bytes = BUFFER_INIT(65536);

	buffer_put(&bytes, line);
	buffer_put_text(&bytes, "\r\n");
	for (size_t i = 0; i < bytes.len; i++)
		if (bytes.at[i] == '^')
			bytes.at[i] = '\0';
	for (size_t i = 0; i < bytes.len && play->bytewise; i++) {
		buffer_put_byte(&play->in, bytes.at[i]);
		look(play);
	}
	if (!play->bytewise) {
		buffer_put(&play->in, buffer_slice(&bytes));
		look(play);
	}
	buffer_free(&bytes);
}

static void core_says(struct play *play, struct slice what)
{
	static const char *const failures[] = {"wrong", "unavailable", "forbidden", "throttled"};
	struct slice word = slice_split(&what, ' ');
	enum prelogin_action action = PRELOGIN_MORE;

	if (slice_equal(word, SLICE("challenge")))
		prelogin_challenge(&play->prelogin, what, &play->out);
	else if (slice_equal(word, SLICE("ok")))
		action = prelogin_ok(&play->prelogin, what, &play->out);
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (slice_equal(word, slice_of(failures[i])))
			action = prelogin_failed(&play->prelogin, (enum gate_failure)i, what, &play->out);
	if (action != PRELOGIN_MORE)
		put_decision(play, action);
	look(play);
}

/* Takes one line off the front of `from`, which must be the expected one. */
static void expect(struct buffer *from, struct slice expected)
{
	struct slice rest = buffer_slice(from);
	struct slice line = {NULL, 0};

	if (!prelogin_line(&rest, &line))
		fail_msg("nothing instead of: %.*s", SLICE_ARG(expected));
	if (!slice_equal(line, expected))
		fail_msg("\n   expected: %.*s\n   got:      %.*s", SLICE_ARG(expected), SLICE_ARG(line));
	buffer_consume(from, from->len - rest.len);
}

static void play_line(struct play *play, const char *text)
{
	struct slice line = slice_of(text);

	if (slice_starts(line, SLICE("C:")))
		client_says(play, slice_from(line, MIN(line.len, 3)));
	else if (slice_starts(line, SLICE("S: ")))
		expect(&play->out, slice_from(line, 3));
	else if (slice_starts(line, SLICE("< ")))
		core_says(play, slice_from(line, 2));
	else if (slice_starts(line, SLICE("> ")))
		expect(&play->decided, slice_from(line, 2));
	else
		fail_msg("no such line in a transcript: %s", text);
	/* Whatever the server has to say it says before the client goes on. */
	if (slice_starts(line, SLICE("C:")) || slice_starts(line, SLICE("< ")))
		assert_int_equal(buffer_error(&play->out), 0);
}

static void run_once(enum gate_protocol protocol, const struct prelogin_transport *transport, const char *const *lines,
	size_t count, bool bytewise)
{
	struct play play = {.in = BUFFER_INIT(65536),
		.out = BUFFER_INIT(PRELOGIN_OUT_ROOM),
		.decided = BUFFER_INIT(65536),
		.bytewise = bytewise};

	prelogin_init(&play.prelogin, protocol, &site, transport);
	for (size_t i = 0; i < count; i++)
		play_line(&play, lines[i]);
	assert_string_equal(buffer_text(&play.out), "");
	assert_string_equal(buffer_text(&play.decided), "");
	prelogin_clear(&play.prelogin);
	buffer_free(&play.in);
	buffer_free(&play.out);
	buffer_free(&play.decided);
}

void run_transcript(
	enum gate_protocol protocol, const struct prelogin_transport *transport, const char *const *lines, size_t count)
{
	run_once(protocol, transport, lines, count, false);
	run_once(protocol, transport, lines, count, true);
}
