/*
 * The messages of a channel, as bytes: pure, and decoded as if a stranger had written them.
 *
 * A message is its kind (one byte), the exchange's number, a set of flags and a small number (varints), then the texts that its
 * kind has, each with its length. Every text has a limit; nothing may follow the last one.
 */
#ifndef PENFOLD_GATE_MESSAGE_H
#define PENFOLD_GATE_MESSAGE_H

#include "base/buffer.h"
#include "gate/protocol.h"

enum gate_message_kind {
	GATE_AUTH_START = 1,
	GATE_AUTH_STEP,
	GATE_AUTH_CANCEL,
	GATE_HANDOVER,
	GATE_TO_CORE_END,
	GATE_HELLO = 65,
	GATE_CHALLENGE,
	GATE_OK,
	GATE_FAILED,
	GATE_FROM_CORE_END,
};

enum {
	GATE_FLAG_INITIAL = 1,      /* AUTH_START: there is an initial response, maybe empty */
	GATE_FLAG_TLS = 2,          /* AUTH_START */
	GATE_FLAG_CONFIDENTIAL = 4, /* AUTH_START */
	GATE_FLAG_UTF8 = 8,         /* HANDOVER */
	GATE_FLAGS_ALL = 15,
};

/* What a kind does not have stays empty. */
struct gate_message {
	enum gate_message_kind kind;
	uint64_t id; /* HELLO: 0 */
	unsigned flags;
	unsigned number; /* AUTH_START: enum gate_protocol; FAILED: enum gate_failure */
	struct slice mechanism, sasl, peer, local, tls_text, tls_exporter, tls_unique,
		client;                    /* AUTH_START; sasl also STEP, CHALLENGE, OK */
	struct slice tag, pipelined;       /* HANDOVER */
	struct slice text;                 /* FAILED */
	struct gate_mechanisms mechanisms; /* HELLO */
};

/* The largest message, and then some. */
enum { GATE_MESSAGE_BYTES_MAX = 32768 };

void gate_message_encode(const struct gate_message *message, struct buffer *out);
/* -EBADMSG for anything that the other side could not rightly have sent. Slices point into `bytes`. */
MUST_CHECK int gate_message_decode(struct slice bytes, bool to_core, struct gate_message *ret_message);

#endif
