/*
 * Bytes of a client to commands as values: assembling lines and literals, then parsing. The first byte chooses how the rest is cut into
 * pieces and whether UTF-8 is enabled.
 */
#include <stdint.h>

#include "imap/command.h"
#include "imap/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX = 4000, LITERAL_MAX = 4000, ARENA_MAX = 1 << 20, STREAMED_FROM = 1000 };

static void parse(struct slice text, bool utf8, struct arena *arena)
{
	struct imap_lexer l = {.rest = text, .arena = arena, .utf8 = utf8, .depth_max = 10, .set_ranges_max = 100};
	struct imap_command command;
	const char *problem = NULL;
	int error = imap_command_parse(&l, &command, &problem);

	CHECK(!error == !problem);
	CHECK(error != 0 || (command.info && command.tag.len && !l.rest.len));
	CHECK(error != -EBADMSG || !l.too_big);
	arena_reset(arena);
}

static void literal(struct imap_input *in)
{
	if (in->literal.bytes >= STREAMED_FROM && in->literal.bytes < LITERAL_MAX)
		input_stream(in);
	else if (!input_accept(in) && !input_skip(in, true))
		input_reset(in, true);
}

static void take(struct imap_input *in, enum imap_input_event event, bool utf8, struct arena *arena)
{
	switch (event) {
	case INPUT_NONE:
	case INPUT_DATA:
		break;
	case INPUT_LITERAL:
		literal(in);
		break;
	case INPUT_DATA_END:
		if (in->data.len && in->data.at[0] == 'x')
			input_skip_line(in);
		break;
	case INPUT_COMMAND:
		parse(buffer_slice(&in->text), utf8, arena);
		input_reset(in, false);
		break;
	case INPUT_SKIPPED:
	case INPUT_HOPELESS:
		input_reset(in, true);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_make(data, size), part;
	struct imap_input in;
	struct arena *arena;
	size_t piece;
	bool utf8;

	if (!size || arena_new(ARENA_MAX, &arena) < 0)
		return 0;
	utf8 = data[0] & 1;
	piece = (size_t)(data[0] >> 1) + 1;
	input_init(&in, LINE_MAX, LITERAL_MAX);
	for (rest = slice_from(rest, 1); rest.len; rest = slice_from(rest, piece)) {
		for (part = slice_first(rest, piece); part.len;) {
			enum imap_input_event event;
			size_t used = input_feed(&in, part, &event);

			CHECK(used && used <= part.len);
			part = slice_from(part, used);
			take(&in, event, utf8, arena);
		}
	}
	input_free(&in);
	arena_free(&arena);
	return 0;
}
