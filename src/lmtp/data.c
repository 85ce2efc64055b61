#include "lmtp/data.h"

/* Moves on inside a line to behind its next CR, or to the end. */
static size_t skip_text(struct slice bytes, size_t i)
{
	size_t cr = slice_find_byte(slice_from(bytes, i), '\r');

	return cr == SIZE_MAX ? bytes.len : i + cr + 1;
}

/* Bytes [from, to) are text; what follows `next` is still to be looked at. */
static enum lmtp_data_event give(struct slice *rest, size_t from, size_t to, size_t next, struct slice *ret_piece)
{
	*ret_piece = slice_from(slice_first(*rest, to), from);
	*rest = slice_from(*rest, next);
	return LMTP_DATA_PIECE;
}

enum lmtp_data_event lmtp_data_next(struct lmtp_data *data, struct slice *rest, struct slice *ret_piece)
{
	size_t start = 0;

	for (size_t i = 0; i < rest->len;) {
		char c = rest->at[i];

		switch (data->state) {
		case LMTP_AT_LINE:
			if (c != '.') {
				data->state = LMTP_IN_TEXT;
				break;
			}
			data->state = LMTP_AFTER_DOT;
			if (i > start)
				return give(rest, start, i, i + 1, ret_piece);
			start = ++i;
			break;
		case LMTP_AFTER_DOT:
			data->state = c == '\r' ? LMTP_AFTER_DOT_CR : LMTP_IN_TEXT;
			if (c == '\r')
				start = ++i;
			break;
		case LMTP_AFTER_DOT_CR:
			if (c == '\n') {
				data->state = LMTP_AT_LINE;
				*rest = slice_from(*rest, i + 1);
				return LMTP_DATA_END;
			}
			/* It was text after all: the CR was held back, perhaps in an earlier call. */
			data->state = LMTP_AFTER_CR;
			*rest = slice_from(*rest, i);
			*ret_piece = SLICE("\r");
			return LMTP_DATA_PIECE;
		case LMTP_IN_TEXT:
			i = skip_text(*rest, i);
			data->state = rest->at[i - 1] == '\r' ? LMTP_AFTER_CR : LMTP_IN_TEXT;
			break;
		case LMTP_AFTER_CR:
			data->state = c == '\n' ? LMTP_AT_LINE : c == '\r' ? LMTP_AFTER_CR : LMTP_IN_TEXT;
			i++;
			break;
		}
	}
	if (rest->len > start)
		return give(rest, start, rest->len, rest->len, ret_piece);
	*rest = slice_from(*rest, rest->len);
	return LMTP_DATA_MORE;
}

static void end_line(struct lmtp_hops *hops)
{
	/* An empty line, whether it ends with CRLF or LF, ends the header. */
	hops->in_body = hops->bytes == 0;
	hops->bytes = 0;
	hops->matched = 0;
	hops->in_line = false;
}

static void feed_byte(struct lmtp_hops *hops, char c)
{
	static const char field[] = "received:";

	if (c == '\r' && hops->bytes == 0)
		return;
	if (byte_lower(c) != field[hops->matched]) {
		hops->in_line = true;
	} else if (field[++hops->matched] == '\0') {
		hops->count++;
		hops->in_line = true;
	}
	hops->bytes++;
}

void lmtp_hops_feed(struct lmtp_hops *hops, struct slice piece)
{
	while (piece.len && !hops->in_body) {
		if (hops->in_line) {
			size_t end = slice_find_byte(piece, '\n');

			if (end == SIZE_MAX)
				return;
			piece = slice_from(piece, end + 1);
			end_line(hops);
			continue;
		}
		if (piece.at[0] == '\n')
			end_line(hops);
		else
			feed_byte(hops, piece.at[0]);
		piece = slice_from(piece, 1);
	}
}
