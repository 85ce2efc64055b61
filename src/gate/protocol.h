/* What the gate speaks, for both ends of the channel. */
#ifndef PENFOLD_GATE_PROTOCOL_H
#define PENFOLD_GATE_PROTOCOL_H

#include "base/slice.h"

enum gate_protocol { GATE_IMAP, GATE_POP3 };
enum { GATE_PROTOCOLS = 2 };

/* Why a login failed, as far as the client is told. */
enum gate_failure {
	GATE_WRONG,       /* user, password, or proof */
	GATE_UNAVAILABLE, /* ours, and temporary */
	GATE_FORBIDDEN,   /* this account may not use this protocol, or is disabled */
	GATE_THROTTLED,   /* too many failures from there */
};
enum { GATE_FAILURES = 4 };

/*
 * SASL mechanisms, space separated, strongest first, by what the connection is: core says them to each gate at its start, since
 * the gate knows nothing of auth.
 */
struct gate_mechanisms {
	struct slice open;         /* neither TLS nor loopback: nothing that sends the password */
	struct slice loopback;     /* confidential, but without channel binding */
	struct slice tls_exporter; /* TLS 1.3: channel binding "tls-exporter" (RFC 9266 §2) */
	struct slice tls_unique;   /* TLS 1.2: channel binding "tls-unique" (RFC 5929 §3) */
};

enum {
	GATE_MECHANISM_MAX = 32,
	GATE_SASL_MAX = 12288, /* one SASL message, decoded */
	GATE_PIPELINED_MAX = 18432,
	GATE_ADDRESS_MAX = 64,
	GATE_TLS_TEXT_MAX = 64,
	GATE_BINDING_MAX = 64,
	GATE_CLIENT_MAX = 256,
	GATE_TAG_MAX = 128,
	GATE_TEXT_MAX = 512,
	GATE_MECHANISMS_MAX = 512, /* of each list above */
};

#endif
