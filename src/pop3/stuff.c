#include "pop3/stuff.h"

struct pop3_stuff pop3_stuff_start(uint64_t body_lines)
{
	return (struct pop3_stuff){.state = POP3_AT_LINE, .lines_left = body_lines};
}

/* A line is over; an empty one ends the header. Is more wanted? */
static bool end_line(struct pop3_stuff *stuff, bool empty)
{
	stuff->state = POP3_AT_LINE;
	if (!stuff->in_body)
		stuff->in_body = empty;
	else
		stuff->lines_left--;
	return !stuff->in_body || stuff->lines_left > 0;
}

/* Moves on inside a line to behind its next CR, or to the end. */
static size_t skip_text(struct slice piece, size_t i)
{
	size_t cr = slice_find_byte(slice_from(piece, i), '\r');

	return cr == SIZE_MAX ? piece.len : i + cr + 1;
}

static bool is_after_cr(const struct pop3_stuff *stuff)
{
	return stuff->state == POP3_AFTER_CR || stuff->state == POP3_AT_LINE_CR;
}

/* Does a line begin at `i`? What was before the piece is in the state. */
static bool begins_line(const struct pop3_stuff *stuff, struct slice piece, size_t i)
{
	if (i == 0)
		return stuff->state == POP3_AT_LINE;
	return piece.at[i - 1] == '\n' && (i == 1 ? is_after_cr(stuff) : piece.at[i - 2] == '\r');
}

/* Where lines need not be counted only dots matter, and there are few: base64 has none. */
static void feed_all(struct pop3_stuff *stuff, struct slice piece, struct buffer *out)
{
	size_t from = 0, i = 0, dot;

	while ((dot = slice_find_byte(slice_from(piece, i), '.')) != SIZE_MAX) {
		dot += i;
		if (begins_line(stuff, piece, dot)) {
			buffer_put(out, slice_from(slice_first(piece, dot), from));
			buffer_put_byte(out, '.');
			from = dot;
		}
		i = dot + 1;
	}
	buffer_put(out, slice_from(piece, from));
	if (begins_line(stuff, piece, piece.len))
		stuff->state = POP3_AT_LINE;
	else
		stuff->state = piece.at[piece.len - 1] == '\r' ? POP3_AFTER_CR : POP3_IN_LINE;
}

static bool feed_lines(struct pop3_stuff *stuff, struct slice piece, struct buffer *out)
{
	bool more = true;
	size_t from = 0, i = 0;

	while (i < piece.len && more) {
		char c = piece.at[i];

		switch (stuff->state) {
		case POP3_AT_LINE:
			if (c == '.') {
				buffer_put(out, slice_from(slice_first(piece, i), from));
				buffer_put_byte(out, '.');
				from = i;
			}
			stuff->state = c == '\r' ? POP3_AT_LINE_CR : POP3_IN_LINE;
			i++;
			break;
		case POP3_IN_LINE:
			i = skip_text(piece, i);
			stuff->state = piece.at[i - 1] == '\r' ? POP3_AFTER_CR : POP3_IN_LINE;
			break;
		case POP3_AT_LINE_CR:
		case POP3_AFTER_CR:
			i++;
			if (c == '\n')
				more = end_line(stuff, stuff->state == POP3_AT_LINE_CR);
			else
				stuff->state = c == '\r' ? POP3_AFTER_CR : POP3_IN_LINE;
			break;
		}
	}
	buffer_put(out, slice_from(slice_first(piece, i), from));
	return more;
}

bool pop3_stuff_feed(struct pop3_stuff *stuff, struct slice piece, struct buffer *out)
{
	if (stuff->lines_left != POP3_ALL_LINES)
		return feed_lines(stuff, piece, out);
	if (piece.len)
		feed_all(stuff, piece, out);
	return true;
}

void pop3_stuff_finish(struct pop3_stuff *stuff, struct buffer *out)
{
	if (stuff->state != POP3_AT_LINE)
		buffer_put(out, SLICE("\r\n"));
	buffer_put(out, SLICE(".\r\n"));
}
