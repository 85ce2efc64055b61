/*
 * Readable protocol tests: a text of lines that the client sends and the server must answer.
 *
 *   C: NOOP            sent with CRLF
 *   C| half a li       sent without a line end; \r and \n in it stand for CR and LF
 *   S: 250 2.0.0 *     the next line must be this; `*` stands for anything
 *   S. <closed>        the server must have closed the connection
 *
 * Lines are separated by LF; leading tabs and empty lines do not matter. A mismatch fails the running test and says which line.
 */
#ifndef PENFOLD_TESTS_TRANSCRIPT_H
#define PENFOLD_TESTS_TRANSCRIPT_H

#include "base/buffer.h"

struct transcript {
	void (*send)(void *context, struct slice bytes);
	/* The server's next line without CRLF; false when there is none and will be none. */
	bool (*receive)(void *context, struct buffer *ret_line);
	void *context;
};
void transcript_play(const struct transcript *io, const char *text);

/* The same over a connected socket; gives up after 10 seconds without a byte. */
struct transcript_socket {
	int fd;
	struct buffer input;
	size_t at; /* of it is read */
};
struct transcript transcript_over(struct transcript_socket *socket);
/* Nothing has come that was not read, and the connection is open. */
bool transcript_is_quiet(const struct transcript_socket *socket);
bool transcript_matches(struct slice line, struct slice pattern);

#endif
