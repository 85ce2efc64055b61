/*
 * The LMTP state machine with a delivery that only counts. The first byte chooses how the rest is cut into pieces, as a network would; what is
 * answered must not depend on that, and everything begun must end.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lmtp/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink {
	struct lmtp_protocol *protocol;
	bool open;
	uint64_t bytes;
};

static int resolve(void *context, struct slice address, struct lmtp_envelope *envelope)
{
	struct sink *sink = context;

	CHECK(sink->protocol);
	if (address.len % 7 == 0)
		return -ENOENT;
	if (address.len % 7 == 1 && lmtp_envelope_target(envelope, address.len, SLICE("folder")))
		return -ENOBUFS;
	return lmtp_envelope_target(envelope, address.len, (struct slice){NULL, 0});
}

static int begin(void *context)
{
	struct sink *sink = context;

	CHECK(!sink->open);
	sink->open = true;
	sink->bytes = 0;
	return 0;
}

static int write_bytes(void *context, struct slice bytes)
{
	struct sink *sink = context;

	CHECK(sink->open);
	sink->bytes += bytes.len;
	return sink->bytes > 2000 ? -EMSGSIZE : 0;
}

static void deliver(void *context)
{
	struct sink *sink = context;

	CHECK(sink->open);
	sink->open = false;
	for (uint32_t i = 0; i < sink->protocol->envelope.target_count; i++)
		sink->protocol->envelope.targets[i].error = i % 3 == 2 ? -EDQUOT : 0;
	lmtp_protocol_delivered(sink->protocol);
}

static void abandon(void *context)
{
	struct sink *sink = context;

	CHECK(sink->open);
	sink->open = false;
}

static void put_id(void *context UNUSED, struct buffer *out)
{
	buffer_put_text(out, "1.1");
}

static void answered(void *context UNUSED, struct slice recipient UNUSED, int error UNUSED)
{
}

static int64_t now_s(void *context UNUSED)
{
	return 0;
}

static void play(struct slice input, size_t step, struct buffer *out)
{
	struct lmtp_limits limits = lmtp_limits_default;
	struct lmtp_protocol protocol;
	struct sink sink = {.protocol = &protocol};
	struct lmtp_backend backend = {resolve, begin, write_bytes, deliver, abandon, put_id, answered, now_s, &sink};
	size_t taken = 0, shown = 0;
	enum lmtp_step state = LMTP_STEP_NEEDS_INPUT;

	limits.recipients_max = 10;
	limits.targets_max = 15;
	limits.line_bytes_max = 200;
	if (lmtp_protocol_init(&protocol, &limits, &backend, SLICE("host.example"), SLICE("[::1]")))
		return;
	while (shown < input.len && state != LMTP_STEP_CLOSED) {
		struct slice rest;

		shown = MIN(input.len, shown + step);
		rest = slice_first(slice_from(input, taken), shown - taken);
		while ((state = lmtp_protocol_step(&protocol, &rest, out)) == LMTP_STEP_MORE)
			;
		taken = shown - rest.len;
		/* A session must never need more than a line to go on. */
		CHECK(rest.len <= limits.line_bytes_max + 1 || state == LMTP_STEP_CLOSED);
	}
	lmtp_protocol_free(&protocol);
	CHECK(!sink.open);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = BUFFER_INIT(1 << 20), pieces = BUFFER_INIT(1 << 20);
	struct slice input;

	if (size < 2)
		return 0;
	input = slice_make(data + 1, size - 1);
	play(input, input.len, &whole);
	play(input, 1 + data[0] % 64, &pieces);
	CHECK(slice_equal(buffer_slice(&whole), buffer_slice(&pieces)));
	buffer_free(&whole);
	buffer_free(&pieces);
	return 0;
}
