/*
 * The POP3 state machine on a maildrop of a few messages, one of which cannot be read. The first byte chooses how the rest is cut into pieces, and how
 * much room there is for an answer; the answers must not depend on that, and what is expunged must have been marked.
 */
#include <stdint.h>
#include <stdlib.h>

#include "pop3/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES ".\r\n..a\r\nb\r\r\n.\n.c\r\nd.\r\nmore"
static const char text[] = "Subject: x\r\n\r\n" LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES
	LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES LINES "last";
enum { MESSAGES = 5, ROOM_LEAST = 600 /* for what is answered at once */ };

struct source {
	bool open;
	unsigned expunges;
	struct pop3_maildrop drop;
};

static int find(void *context, uint32_t number, struct pop3_message *ret_message)
{
	(void)context;
	CHECK(number >= 1 && number <= MESSAGES);
	*ret_message = (struct pop3_message){number * 2, number - 1, number == 2 ? 0 : sizeof(text) - 1};
	return 0;
}

static int open_message(void *context, uint64_t email)
{
	struct source *source = context;

	CHECK(!source->open && email < MESSAGES);
	if (email == 3)
		return -ENOENT;
	source->open = true;
	return 0;
}

static int append(void *context, uint64_t at, uint64_t bytes, struct buffer *out)
{
	struct source *source = context;

	CHECK(source->open && bytes && at + bytes <= sizeof(text) - 1);
	buffer_put(out, slice_first(slice_from(slice_of(text), at), bytes));
	return 0;
}

static void close_message(void *context)
{
	struct source *source = context;

	CHECK(source->open);
	source->open = false;
}

static int expunge(void *context, struct uid_set uids)
{
	struct source *source = context;

	CHECK(source->expunges++ == 0);
	CHECK(uid_set_count(uids) == source->drop.count - source->drop.live);
	for (uint32_t number = 1; number <= MESSAGES; number++)
		CHECK(uid_set_has(uids, number * 2) == maildrop_is_marked(&source->drop, number));
	return 0;
}

/* `room`: for what one step answers. */
static void play(struct slice input, size_t step, size_t room, struct buffer *out)
{
	const struct pop3_settings settings = {100, 10, SLICE("PLAIN"), 5, 7};
	struct source source = {0};
	const struct pop3_backend backend = {open_message, append, close_message, expunge, &source};
	struct buffer some = BUFFER_INIT(room);
	struct pop3_protocol protocol;
	size_t taken = 0, shown = 0;
	enum pop3_step state = POP3_STEP_NEEDS_INPUT;

	maildrop_init(&source.drop, MESSAGES, (uint64_t)(MESSAGES - 1) * (sizeof(text) - 1), find, &source);
	pop3_protocol_init(&protocol, &settings, &backend, &source.drop);
	while (shown < input.len && state != POP3_STEP_CLOSED) {
		struct slice rest;

		shown = MIN(input.len, shown + step);
		rest = slice_first(slice_from(input, taken), shown - taken);
		do {
			state = pop3_protocol_step(&protocol, &rest, &some);
			CHECK(buffer_error(&some) == 0);
			buffer_put(out, buffer_slice(&some));
			buffer_reset(&some);
		} while (state == POP3_STEP_MORE);
		taken = shown - rest.len;
		CHECK(rest.len <= settings.line_bytes_max + 1 || state == POP3_STEP_CLOSED);
	}
	pop3_protocol_free(&protocol);
	CHECK(!source.open);
	maildrop_free(&source.drop);
	buffer_free(&some);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = BUFFER_INIT(1 << 26), pieces = BUFFER_INIT(1 << 26);
	struct slice input;

	if (size < 2 || size > 20000)
		return 0;
	input = slice_make(data + 1, size - 1);
	play(input, input.len, 1 << 20, &whole);
	play(input, 1 + data[0] % 64, ROOM_LEAST + data[0], &pieces);
	CHECK(slice_equal(buffer_slice(&whole), buffer_slice(&pieces)));
	buffer_free(&whole);
	buffer_free(&pieces);
	return 0;
}
