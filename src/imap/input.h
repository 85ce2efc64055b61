/*
 * Assembling commands from what a client sends: lines and literals, within limits. A state machine without I/O: bytes in, one event at a
 * time out; the session decides about literals and answers.
 *
 * A command is collected in `text` as the lexer wants it: the line, each literal inline behind its "{n}\r\n". The memory exists only while a command is
 * being collected or in flight. What is refused is skipped as the client goes on sending it (RFC 7888 §4): a refused synchronising literal is not
 * sent at all, after others the rest of the command follows.
 */
#ifndef PENFOLD_IMAP_INPUT_H
#define PENFOLD_IMAP_INPUT_H

#include "base/buffer.h"

enum imap_input_event {
	INPUT_NONE,    /* more bytes are needed */
	INPUT_COMMAND, /* `text` is a complete command; before the next feed: input_reset() */
	INPUT_LITERAL, /* `literal` was announced: input_accept(), input_stream() or input_skip() before the next feed */
	INPUT_DATA,    /* `data`: bytes of a streamed literal */
	INPUT_DATA_END, /* the same, and the literal is complete; `text` is empty and collects what follows it */
	INPUT_SKIPPED,  /* the refused command is over: answer it, then input_reset() */
	INPUT_HOPELESS, /* what is announced is so big that only closing the connection helps */
};

struct imap_literal {
	uint64_t bytes;
	bool synchronising, binary; /* "{n}" rather than "{n+}"; "~{n}" */
};

struct imap_input {
	struct buffer text;
	size_t line_bytes_max, literal_bytes_max;
	size_t line_bytes, literal_bytes; /* of the command so far */
	size_t line_at; /* where in `text` the present line begins: behind the last literal, whose octets may look like the announcement of another */
	enum { INPUT_LINE, INPUT_IN_LITERAL, INPUT_STREAMING, INPUT_SKIP_LINE, INPUT_SKIP_LITERAL } mode;
	bool continued; /* behind a streamed literal: an empty line means something */
	bool too_long;  /* the line was over its limit; being skipped */
	struct imap_literal literal;
	uint64_t literal_left;
	struct slice data;
	char tail[24]; /* end of the line that is being skipped: may announce a literal */
	size_t tail_len;
};

enum { INPUT_SKIP_BYTES_MAX = 1 << 30 /* a longer literal is not waited for */ };

void input_init(struct imap_input *input, size_t line_bytes_max, size_t literal_bytes_max);
void input_free(struct imap_input *input);
/* Takes bytes up to the next event. INPUT_DATA's slice points into `bytes`. Returns how many were taken, at least one of a non-empty slice. */
size_t input_feed(struct imap_input *input, struct slice bytes, enum imap_input_event *ret_event);

/* Nothing of a command is pending. */
bool input_is_empty(const struct imap_input *input);
/* Forgets the command; gives back memory beyond a small block, all of it with `idle`. */
void input_reset(struct imap_input *input, bool idle);

/* The announced literal becomes part of `text`. False when it is over the limit: nothing changed, refuse it. */
bool input_accept(struct imap_input *input);
/* The announced literal is shown as INPUT_DATA. */
void input_stream(struct imap_input *input);
/*
 * Refuses what was `announced` (after INPUT_LITERAL), or else the rest of a literal being streamed and what follows it. False when nothing of the
 * command will come any more, because the client waits or the line is over: answer at once and reset. Otherwise INPUT_SKIPPED says when
 * it is over. After INPUT_DATA_END the line behind the literal is still to come: input_skip_line().
 */
bool input_skip(struct imap_input *input, bool announced);
void input_skip_line(struct imap_input *input);

/* Does the line announce a literal at its end? Pure. A number that is too large gives UINT64_MAX. */
bool input_literal_at_end(struct slice line, struct imap_literal *ret_literal);

#endif
