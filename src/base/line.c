#include "base/line.h"

/* Drops the rest of a line that was reported as too long. */
static void swallow(struct lines *lines, struct slice *rest)
{
	size_t end = slice_find_byte(*rest, '\n');

	if (end == SIZE_MAX) {
		*rest = slice_from(*rest, rest->len);
		return;
	}
	lines->swallowing = false;
	*rest = slice_from(*rest, end + 1);
}

enum line_state lines_next(struct lines *lines, struct slice *rest, struct slice *ret_line)
{
	struct slice line;
	size_t end;

	if (lines->swallowing)
		swallow(lines, rest);
	/* Looks no further than a line may reach with its CRLF. */
	end = slice_find_byte(slice_first(*rest, lines->line_bytes_max + 2), '\n');
	if (end == SIZE_MAX && rest->len < lines->line_bytes_max + 2)
		return LINE_NONE;
	line = slice_first(*rest, end);
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	if (end == SIZE_MAX || line.len > lines->line_bytes_max) {
		lines->swallowing = true;
		swallow(lines, rest);
		return LINE_TOO_LONG;
	}
	*rest = slice_from(*rest, end + 1);
	*ret_line = line;
	return LINE_READY;
}
