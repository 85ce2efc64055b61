/* A message on its way out: dots stuffed (RFC 1939 §3), and cut after some lines of its body for TOP. Pure. */
#ifndef PENFOLD_POP3_STUFF_H
#define PENFOLD_POP3_STUFF_H

#include "base/buffer.h"

#define POP3_ALL_LINES UINT64_MAX

struct pop3_stuff {
	enum { POP3_AT_LINE, POP3_AT_LINE_CR, POP3_IN_LINE, POP3_AFTER_CR } state;
	bool in_body;
	uint64_t lines_left; /* of the body */
};

struct pop3_stuff pop3_stuff_start(uint64_t body_lines);
/*
 * The next piece of the message has been appended to `out`, from `from` on: it is stuffed where it is, and cut where TOP has all it asked for. False
 * then: nothing more is needed. Where there is no memory for that, it is not stuffed, and buffer_error() says so.
 */
bool pop3_stuff_added(struct pop3_stuff *stuff, size_t from, struct buffer *out);
/* Appends what ends the answer: a CRLF where the message had none at its end, and the line with the dot. */
void pop3_stuff_finish(struct pop3_stuff *stuff, struct buffer *out);

#endif
