/*
 * LMTP's server side as a state machine: bytes in, answers out, no I/O. What it needs from the world comes through a backend.
 *
 * The owner calls lmtp_protocol_step() with what came in until it says that it needs something; each step takes one command, one piece of a
 * message or gives one answer, so that the owner can stop where its output is full.
 */
#ifndef PENFOLD_LMTP_PROTOCOL_H
#define PENFOLD_LMTP_PROTOCOL_H

#include "base/line.h"
#include "lmtp/data.h"
#include "lmtp/envelope.h"
#include "lmtp/lmtp.h"

struct lmtp_backend {
	/*
	 * Adds the targets an address stands for with lmtp_envelope_target(). 0, -ENOENT (no such user), -EXDEV (not our domain), -EPERM (disabled), or
	 * another -errno.
	 */
	int (*resolve)(void *context, struct slice address, struct lmtp_envelope *envelope);
	/* A message begins (after begin() one of deliver() and abandon() follows), gets its bytes, header first. */
	int (*begin)(void *context);
	int (*write)(void *context, struct slice bytes);
	/* All bytes are there: sets the error of every target, then calls lmtp_protocol_delivered(), perhaps later. */
	void (*deliver)(void *context);
	void (*abandon)(void *context);
	/* "1f2e.3": of this session and message, for Received and the log. */
	void (*id)(void *context, struct buffer *out);
	/* An answer was given to a recipient, at RCPT or at the end: for the log. `error` as of resolve() and targets. */
	void (*answered)(void *context, struct slice recipient, int error);
	int64_t (*now_s)(void *context);
	void *context;
};

enum lmtp_phase {
	LMTP_COMMANDS,
	LMTP_MESSAGE,    /* after DATA */
	LMTP_CHUNK,      /* after BDAT */
	LMTP_DELIVERING, /* until lmtp_protocol_delivered() */
	LMTP_ANSWERS,    /* one for each recipient */
	LMTP_CLOSED,
};

struct lmtp_protocol {
	const struct lmtp_limits *limits;
	const struct lmtp_backend *backend;
	struct slice hostname, peer; /* peer: as it stands in Received, "[192.0.2.1]" */
	enum lmtp_phase phase;
	struct lines lines;
	struct buffer client; /* the name it gave with LHLO; empty before */
	struct lmtp_envelope envelope;
	bool has_sender;   /* a transaction is open */
	bool has_message;  /* begin() was called: DATA or the first BDAT */
	bool chunking;     /* BDAT has begun: there is no way back to RCPT and DATA (RFC 3030 §2) */
	int message_error; /* why the message cannot be taken; what follows of it is dropped */
	struct lmtp_data data;
	struct lmtp_hops hops;
	uint64_t chunk_left;
	bool chunk_is_last;
	bool chunk_is_refused; /* there is no transaction it could belong to */
	uint32_t next_answer;
	unsigned bad;
};

enum lmtp_step { LMTP_STEP_MORE, LMTP_STEP_NEEDS_INPUT, LMTP_STEP_WAITS, LMTP_STEP_CLOSED };

/* `limits`, `backend`, `hostname` and `peer` must outlive it. */
MUST_CHECK int lmtp_protocol_init(struct lmtp_protocol *p, const struct lmtp_limits *limits,
	const struct lmtp_backend *backend, struct slice hostname, struct slice peer);
void lmtp_protocol_free(struct lmtp_protocol *p); /* abandons a message on its way; not while delivering */
void lmtp_protocol_greet(struct lmtp_protocol *p, struct buffer *out);
MUST_CHECK enum lmtp_step lmtp_protocol_step(struct lmtp_protocol *p, struct slice *input, struct buffer *out);
void lmtp_protocol_delivered(struct lmtp_protocol *p);
/* Nothing is in flight that should be finished before the server stops. */
bool lmtp_protocol_is_between(const struct lmtp_protocol *p);
void lmtp_protocol_stop(struct lmtp_protocol *p, struct buffer *out); /* 421 (RFC 5321 §3.8) */

/* command.c: one command line. message.c: what follows DATA and BDAT, and the answers. */
void lmtp_command_run(struct lmtp_protocol *p, struct slice line, struct buffer *out);
void lmtp_message_begin(struct lmtp_protocol *p);
void lmtp_message_abandon(struct lmtp_protocol *p);
void lmtp_message_feed(struct lmtp_protocol *p, struct slice *input, struct buffer *out);
void lmtp_chunk_begin(struct lmtp_protocol *p, const struct lmtp_command *command, struct buffer *out);
void lmtp_chunk_feed(struct lmtp_protocol *p, struct slice *input, struct buffer *out);
void lmtp_answer_next(struct lmtp_protocol *p, struct buffer *out);
/* Ends the transaction (RFC 5321 §4.1.1.5). */
void lmtp_transaction_reset(struct lmtp_protocol *p);
void lmtp_answer(struct buffer *out, const char *text);
const char *lmtp_error_answer(int error); /* "552 5.2.2 ..." of what resolve() and delivery say */

/* trace.c: Return-Path, Delivered-To, Received (RFC 5321 §4.4). */
struct lmtp_trace {
	struct slice sender, client, peer, hostname, id;
	struct slice recipient; /* empty when there are several */
	bool smtputf8;
	int64_t now_s;
};
void lmtp_trace_put(const struct lmtp_trace *trace, struct buffer *out);

#endif
