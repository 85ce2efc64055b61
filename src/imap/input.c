#include "imap/input.h"

enum { KEPT_ROOM = 1024, MARKS_ROOM = 4096 };

void input_init(struct imap_input *input, size_t line_bytes_max, size_t literal_bytes_max)
{
	*input = (struct imap_input){
		/* Each literal adds a CRLF that line_bytes does not count, but at least three bytes that it does. */
		.text = BUFFER_INIT(2 * line_bytes_max + literal_bytes_max + MARKS_ROOM),
		.line_bytes_max = line_bytes_max,
		.literal_bytes_max = literal_bytes_max,
	};
}

void input_free(struct imap_input *input)
{
	buffer_free(&input->text);
}

bool input_is_empty(const struct imap_input *input)
{
	/* Bytes for which there was no memory are pending, too: the end of their line says so. */
	return input->mode == INPUT_LINE && !input->text.len && !buffer_error(&input->text) && !input->continued;
}

static void text_clear(struct imap_input *input, bool idle)
{
	if (idle || input->text.room > KEPT_ROOM)
		buffer_free(&input->text);
	buffer_reset(&input->text);
	input->line_bytes = input->literal_bytes = input->line_at = 0;
	input->tail_len = 0;
	input->too_long = false;
}

void input_reset(struct imap_input *input, bool idle)
{
	text_clear(input, idle);
	input->mode = INPUT_LINE;
	input->continued = false;
}

bool input_literal_at_end(struct slice line, struct imap_literal *ret_literal)
{
	struct imap_literal literal = {.synchronising = true};
	size_t end = line.len, at;

	if (end < 3 || line.at[--end] != '}')
		return false;
	if (line.at[end - 1] == '+') {
		literal.synchronising = false;
		end--;
	}
	for (at = end; at && byte_is_digit(line.at[at - 1]); at--)
		;
	if (at == end || !at || line.at[at - 1] != '{')
		return false;
	if (slice_to_u64((struct slice){line.at + at, end - at}, INT64_MAX, &literal.bytes) < 0)
		literal.bytes = UINT64_MAX;
	literal.binary = at > 1 && line.at[at - 2] == '~';
	*ret_literal = literal;
	return true;
}

/* Where the line ends in `bytes`: behind its LF, or behind all of them with *ret_end false. */
static size_t line_part(struct slice bytes, bool *ret_end)
{
	size_t lf = slice_find_byte(bytes, '\n');

	*ret_end = lf != SIZE_MAX;
	return *ret_end ? lf + 1 : bytes.len;
}

static struct slice without_line_end(struct slice line)
{
	if (line.len && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void tail_add(struct imap_input *input, struct slice part)
{
	size_t keep = sizeof(input->tail);

	if (part.len < keep) {
		size_t old = MIN(input->tail_len, keep - part.len);

		memmove(input->tail, input->tail + input->tail_len - old, old);
		input->tail_len = old;
	} else {
		part = slice_from(part, part.len - keep);
		input->tail_len = 0;
	}
	if (part.len)
		memcpy(input->tail + input->tail_len, part.at, part.len);
	input->tail_len += part.len;
}

static struct slice present_line(const struct imap_input *input)
{
	return slice_from(buffer_slice(&input->text), input->line_at);
}

static void skip_from_here(struct imap_input *input)
{
	input->mode = INPUT_SKIP_LINE;
	input->tail_len = 0;
	tail_add(input, present_line(input));
}

static size_t feed_skip_line(struct imap_input *input, struct slice bytes, enum imap_input_event *ret_event)
{
	bool ended;
	size_t len = line_part(bytes, &ended);
	struct imap_literal literal;

	tail_add(input, slice_first(bytes, len));
	*ret_event = INPUT_NONE;
	if (!ended)
		return len;
	if (!input_literal_at_end(without_line_end((struct slice){input->tail, input->tail_len}), &literal) ||
		literal.synchronising) {
		*ret_event = INPUT_SKIPPED;
		return len;
	}
	input->tail_len = 0;
	input->literal = literal;
	input->literal_left = literal.bytes;
	input->mode = literal.bytes ? INPUT_SKIP_LITERAL : INPUT_SKIP_LINE;
	if (literal.bytes > INPUT_SKIP_BYTES_MAX)
		*ret_event = INPUT_HOPELESS;
	return len;
}

static enum imap_input_event line_ended(struct imap_input *input)
{
	struct slice line = without_line_end(present_line(input));

	if (buffer_error(&input->text) < 0)
		return INPUT_HOPELESS;
	buffer_truncate(&input->text, input->line_at + line.len);
	if (input_literal_at_end(line, &input->literal))
		return INPUT_LITERAL;
	/* An empty line between commands is what some clients send behind a literal; it is no command. */
	return input->text.len || input->continued ? INPUT_COMMAND : INPUT_NONE;
}

static size_t feed_line(struct imap_input *input, struct slice bytes, enum imap_input_event *ret_event)
{
	bool ended;
	size_t len = line_part(bytes, &ended);
	size_t room = input->line_bytes_max + 2 - input->line_bytes; /* its CRLF is not counted */

	buffer_put(&input->text, slice_first(bytes, MIN(len, room)));
	if (len > room) {
		input->too_long = true;
		skip_from_here(input);
		return room + feed_skip_line(input, slice_from(bytes, room), ret_event);
	}
	input->line_bytes += len;
	*ret_event = ended ? line_ended(input) : INPUT_NONE;
	return len;
}

/* Bytes of a literal: into `text`, to be streamed, or dropped. */
static size_t feed_literal(struct imap_input *input, struct slice bytes, enum imap_input_event *ret_event)
{
	size_t len = (size_t)MIN((uint64_t)bytes.len, input->literal_left);
	bool complete = len == input->literal_left;

	*ret_event = INPUT_NONE;
	input->literal_left -= len;
	if (input->mode == INPUT_IN_LITERAL) {
		buffer_put(&input->text, slice_first(bytes, len));
		if (complete)
			input->mode = INPUT_LINE;
	} else if (input->mode == INPUT_SKIP_LITERAL) {
		if (complete)
			input->mode = INPUT_SKIP_LINE;
	} else {
		input->data = slice_first(bytes, len);
		*ret_event = complete ? INPUT_DATA_END : INPUT_DATA;
		if (complete) {
			input_reset(input, false);
			input->continued = true;
		}
	}
	return len;
}

size_t input_feed(struct imap_input *input, struct slice bytes, enum imap_input_event *ret_event)
{
	switch (input->mode) {
	case INPUT_LINE:
		return feed_line(input, bytes, ret_event);
	case INPUT_SKIP_LINE:
		return feed_skip_line(input, bytes, ret_event);
	case INPUT_STREAMING:
	case INPUT_IN_LITERAL:
	case INPUT_SKIP_LITERAL:
		break;
	}
	return feed_literal(input, bytes, ret_event);
}

bool input_accept(struct imap_input *input)
{
	if (input->literal.bytes > input->literal_bytes_max - input->literal_bytes)
		return false;
	input->literal_bytes += (size_t)input->literal.bytes;
	input->literal_left = input->literal.bytes;
	buffer_put_text(&input->text, "\r\n");
	input->line_at = input->text.len + (size_t)input->literal.bytes;
	input->mode = input->literal.bytes ? INPUT_IN_LITERAL : INPUT_LINE;
	return true;
}

void input_stream(struct imap_input *input)
{
	CHECK(input->literal.bytes > 0);
	input->literal_left = input->literal.bytes;
	input->mode = INPUT_STREAMING;
}

/* In INPUT_LINE mode a literal was just announced, or the line behind a streamed literal has just ended. */
bool input_skip(struct imap_input *input, bool announced)
{
	input->tail_len = 0;
	if (input->mode == INPUT_STREAMING) {
		input->mode = INPUT_SKIP_LITERAL;
		return true;
	}
	if (!announced || input->literal.synchronising)
		return false;
	input->literal_left = input->literal.bytes;
	input->mode = input->literal.bytes ? INPUT_SKIP_LITERAL : INPUT_SKIP_LINE;
	return true;
}

void input_skip_line(struct imap_input *input)
{
	skip_from_here(input);
}
