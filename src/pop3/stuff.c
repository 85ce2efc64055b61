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
	else if (stuff->lines_left != POP3_ALL_LINES)
		stuff->lines_left--;
	return !stuff->in_body || stuff->lines_left > 0;
}

/* Moves on inside a line to behind its next CR, or to the end. */
static size_t skip_text(struct slice piece, size_t i)
{
	size_t cr = slice_find_byte(slice_from(piece, i), '\r');

	return cr == SIZE_MAX ? piece.len : i + cr + 1;
}

bool pop3_stuff_feed(struct pop3_stuff *stuff, struct slice piece, struct buffer *out)
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

void pop3_stuff_finish(struct pop3_stuff *stuff, struct buffer *out)
{
	if (stuff->state != POP3_AT_LINE)
		buffer_put(out, SLICE("\r\n"));
	buffer_put(out, SLICE(".\r\n"));
}
