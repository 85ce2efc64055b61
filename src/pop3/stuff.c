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

/* Where the first line from `i` on begins with a dot; SIZE_MAX: none does. There are few such, and base64 has no dots at all. */
static size_t next_dot(const struct pop3_stuff *stuff, struct slice piece, size_t i)
{
	size_t lf = i ? i - 1 : 0;

	if (i == 0 && piece.len && piece.at[0] == '.' && begins_line(stuff, piece, 0))
		return 0;
	for (;;) {
		size_t found = slice_find(slice_from(piece, lf), SLICE("\n."));

		if (found == SIZE_MAX)
			return SIZE_MAX;
		lf += found + 1;
		if (begins_line(stuff, piece, lf))
			return lf;
	}
}

static size_t last_dot(const struct pop3_stuff *stuff, struct slice piece)
{
	size_t dot = slice_find_last_byte(piece, '.');

	while (dot != SIZE_MAX && !begins_line(stuff, piece, dot))
		dot = slice_find_last_byte(slice_first(piece, dot), '.');
	return dot;
}

/* Doubles the dots that begin lines, from behind, so that every byte is moved once. */
static void stuff_dots(const struct pop3_stuff *stuff, size_t from, struct buffer *out)
{
	struct slice piece = slice_from(buffer_slice(out), from);
	size_t count = 0;

	for (size_t i = next_dot(stuff, piece, 0); i != SIZE_MAX; i = next_dot(stuff, piece, i + 1))
		count++;
	if (!count || !buffer_room(out, count))
		return;
	piece = slice_from(buffer_slice(out), from);
	buffer_added(out, count);
	for (; count; count--) {
		size_t dot = last_dot(stuff, piece);
		char *at = out->at + from + dot;

		memmove(at + count, at, piece.len - dot);
		at[count - 1] = '.';
		piece = slice_first(piece, dot);
	}
}

/* How much of the piece TOP wants. */
static size_t take_lines(struct pop3_stuff *stuff, struct slice piece, bool *ret_more)
{
	bool more = true;
	size_t i = 0;

	while (i < piece.len && more) {
		char c = piece.at[i];

		switch (stuff->state) {
		case POP3_AT_LINE:
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
	*ret_more = more;
	return i;
}

bool pop3_stuff_added(struct pop3_stuff *stuff, size_t from, struct buffer *out)
{
	struct slice piece = slice_from(buffer_slice(out), from);
	const struct pop3_stuff before = *stuff;
	bool more = true;

	if (!piece.len)
		return true;
	if (stuff->lines_left != POP3_ALL_LINES)
		buffer_truncate(out, from + take_lines(stuff, piece, &more));
	else if (begins_line(&before, piece, piece.len))
		stuff->state = POP3_AT_LINE;
	else
		stuff->state = piece.at[piece.len - 1] == '\r' ? POP3_AFTER_CR : POP3_IN_LINE;
	stuff_dots(&before, from, out);
	return more;
}

void pop3_stuff_finish(struct pop3_stuff *stuff, struct buffer *out)
{
	if (stuff->state != POP3_AT_LINE)
		buffer_put(out, SLICE("\r\n"));
	buffer_put(out, SLICE(".\r\n"));
}
