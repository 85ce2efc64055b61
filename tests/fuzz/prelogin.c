#include "prelogin.h"

/*
 * The first byte says what the connection is (bits 0 and 1) and in which pieces the client's bytes come (the others); the second gives
 * core's answers, two bits each, over and over. The rest is what the client sends.
 */
struct play {
	struct prelogin prelogin;
	struct buffer in, out;
	uint8_t answers;
	bool over;
};

static const struct prelogin_transport transports[4] = {
	{{"SCRAM-SHA-256", 13}, false, false, true},
	{{"SCRAM-SHA-256 PLAIN LOGIN", 25}, true, false, true},
	{{"SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", 44}, true, true, true},
	{{NULL, 0}, false, false, false},
};

static void core_answers(struct play *play)
{
	enum prelogin_action action = PRELOGIN_MORE;
	unsigned answer = play->answers & 3;

	play->answers = (uint8_t)(play->answers >> 2 | play->answers << 6);
	CHECK(play->prelogin.sasl.len <= GATE_SASL_MAX && play->prelogin.client.len <= GATE_CLIENT_MAX);
	if (answer == 0)
		prelogin_challenge(&play->prelogin, SLICE("challenge"), &play->out);
	else if (answer == 1)
		action = prelogin_failed(&play->prelogin, GATE_WRONG, SLICE(""), &play->out);
	else
		action = prelogin_ok(&play->prelogin, answer == 2 ? SLICE("") : SLICE("final"), &play->out);
	play->over = action != PRELOGIN_MORE;
}

static void act(struct play *play, enum prelogin_action action)
{
	switch (action) {
	case PRELOGIN_AUTH_START:
	case PRELOGIN_AUTH_STEP:
		core_answers(play);
		break;
	case PRELOGIN_START_TLS:
		CHECK(!play->prelogin.transport.tls);
		buffer_reset(&play->in);
		prelogin_set_transport(&play->prelogin, &transports[2]);
		break;
	case PRELOGIN_HANDOVER:
	case PRELOGIN_CLOSE:
		play->over = true;
		break;
	default:
		break;
	}
}

static void look(struct play *play)
{
	enum prelogin_action action;

	do {
		struct slice rest = buffer_slice(&play->in);
		size_t before = rest.len;

		action = prelogin_input(&play->prelogin, &rest, &play->out);
		CHECK(rest.len <= before);
		CHECK(buffer_error(&play->out) == 0);
		/* Nothing but "more" may leave everything as it was: that would go on for ever. */
		CHECK(action == PRELOGIN_MORE || action == PRELOGIN_DRAIN || rest.len < before);
		buffer_consume(&play->in, play->in.len - rest.len);
		act(play, action);
		buffer_reset(&play->out);
	} while (action != PRELOGIN_MORE && !play->over);
}

int fuzz_prelogin(enum gate_protocol protocol, const uint8_t *data, size_t size)
{
	static const struct prelogin_site site = {{"mail.example.org", 16}, 30, 60};
	struct play play = {.in = BUFFER_INIT(PRELOGIN_COMMAND_MAX + 1024), .out = BUFFER_INIT(PRELOGIN_OUT_ROOM)};
	size_t piece;

	if (size < 2)
		return 0;
	piece = (size_t)(data[0] >> 2) * (data[0] >> 2) + 1;
	play.answers = data[1];
	prelogin_init(&play.prelogin, protocol, &site, &transports[data[0] & 3]);
	prelogin_greet(&play.prelogin, &play.out);
	buffer_reset(&play.out);
	for (size_t at = 2; at < size && !play.over;) {
		size_t room = play.in.max - play.in.len;
		struct slice some = slice_make(data + at, MIN(piece, size - at));

		CHECK(room); /* a command too long is given up before */
		some = slice_first(some, room);
		buffer_put(&play.in, some);
		at += some.len;
		look(&play);
	}
	prelogin_clear(&play.prelogin);
	buffer_free(&play.in);
	buffer_free(&play.out);
	return 0;
}
