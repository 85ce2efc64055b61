#include "lmtp/protocol.h"

const struct lmtp_limits lmtp_limits_default = {
	.recipients_max = 2000,
	.targets_max = 10000,
	.hops_max = 100,
	.bad_max = 20,
	.line_bytes_max = 4096,
	.message_bytes_max = 104857600,
	.idle_ms = 300000,
	.output_bytes_max = 65536,
};

int lmtp_protocol_init(struct lmtp_protocol *p, const struct lmtp_limits *limits, const struct lmtp_backend *backend,
	struct slice hostname, struct slice peer)
{
	struct lmtp_protocol fresh = {
		.limits = limits,
		.backend = backend,
		.hostname = hostname,
		.peer = peer,
		.phase = LMTP_COMMANDS,
		.lines = {.line_bytes_max = limits->line_bytes_max},
		.client = BUFFER_INIT(LMTP_NAME_MAX),
	};
	int error = lmtp_envelope_init(&fresh.envelope, limits->recipients_max, limits->targets_max);

	if (error)
		return error;
	*p = fresh;
	return 0;
}

void lmtp_protocol_free(struct lmtp_protocol *p)
{
	lmtp_message_abandon(p);
	lmtp_envelope_free(&p->envelope);
	buffer_free(&p->client);
}

void lmtp_answer(struct buffer *out, const char *text)
{
	buffer_put_text(out, text);
	buffer_put(out, SLICE("\r\n"));
}

void lmtp_protocol_greet(struct lmtp_protocol *p, struct buffer *out)
{
	buffer_printf(out, "220 %.*s LMTP Penfold ready\r\n", SLICE_ARG(p->hostname));
}

void lmtp_transaction_reset(struct lmtp_protocol *p)
{
	lmtp_message_abandon(p);
	lmtp_envelope_reset(&p->envelope);
	p->has_sender = false;
	p->message_error = 0;
	p->chunking = false;
}

bool lmtp_protocol_is_between(const struct lmtp_protocol *p)
{
	/* A BDAT that was not the last is in flight, too, though no octet of it is missing. */
	return p->phase == LMTP_CLOSED || (p->phase == LMTP_COMMANDS && !p->chunking);
}

void lmtp_protocol_stop(struct lmtp_protocol *p, struct buffer *out)
{
	if (p->phase == LMTP_CLOSED)
		return;
	buffer_printf(out, "421 4.3.2 %.*s is shutting down\r\n", SLICE_ARG(p->hostname));
	p->phase = LMTP_CLOSED;
}

void lmtp_protocol_delivered(struct lmtp_protocol *p)
{
	CHECK(p->phase == LMTP_DELIVERING);
	p->phase = LMTP_ANSWERS;
	p->next_answer = 0;
}

/* Too many mistakes: whoever is there does not speak LMTP. */
static void count_bad(struct lmtp_protocol *p, unsigned before, struct buffer *out)
{
	if (p->bad == before || p->bad < p->limits->bad_max || p->phase == LMTP_CLOSED)
		return;
	lmtp_answer(out, "421 4.7.0 Too many errors");
	p->phase = LMTP_CLOSED;
}

static enum lmtp_step step_command(struct lmtp_protocol *p, struct slice *input, struct buffer *out)
{
	unsigned before = p->bad;
	struct slice line;

	switch (lines_next(&p->lines, input, &line)) {
	case LINE_NONE:
		return LMTP_STEP_NEEDS_INPUT;
	case LINE_TOO_LONG:
		lmtp_answer(out, "500 5.5.2 Line too long");
		p->bad++;
		break;
	case LINE_READY:
		lmtp_command_run(p, line, out);
		break;
	}
	count_bad(p, before, out);
	return LMTP_STEP_MORE;
}

enum lmtp_step lmtp_protocol_step(struct lmtp_protocol *p, struct slice *input, struct buffer *out)
{
	switch (p->phase) {
	case LMTP_COMMANDS:
		return step_command(p, input, out);
	case LMTP_MESSAGE:
		if (input->len == 0)
			return LMTP_STEP_NEEDS_INPUT;
		lmtp_message_feed(p, input, out);
		return LMTP_STEP_MORE;
	case LMTP_CHUNK:
		if (input->len == 0 && p->chunk_left)
			return LMTP_STEP_NEEDS_INPUT;
		lmtp_chunk_feed(p, input, out);
		return LMTP_STEP_MORE;
	case LMTP_DELIVERING:
		return LMTP_STEP_WAITS;
	case LMTP_ANSWERS:
		lmtp_answer_next(p, out);
		return LMTP_STEP_MORE;
	case LMTP_CLOSED:
		break;
	}
	return LMTP_STEP_CLOSED;
}
