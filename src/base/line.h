/*
 * Lines out of a stream's input, for the line protocols (LMTP, POP3): pure, no memory of its own.
 *
 * A line ends with CRLF or bare LF; what is handed out has neither. A line longer than the limit is reported once, as soon as that is known,
 * and the rest of it is swallowed: it never needs more input memory than the limit.
 */
#ifndef PENFOLD_LINE_H
#define PENFOLD_LINE_H

#include "base/slice.h"

struct lines {
	size_t line_bytes_max; /* without its end */
	bool swallowing;       /* inside a line that was too long */
};
enum line_state { LINE_NONE, LINE_READY, LINE_TOO_LONG };

/* Takes the next line off *rest, which moves behind it. LINE_NONE: there is no whole line (yet). */
MUST_CHECK enum line_state lines_next(struct lines *lines, struct slice *rest, struct slice *ret_line);

#endif
