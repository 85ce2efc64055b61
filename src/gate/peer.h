/*
 * Core's end of a channel to one gate. The gate talks to strangers: whatever comes over the channel is taken for hostile, and
 * anything that breaks the rules ends the channel, not core.
 *
 * The rules, kept here so that the owner need not: an exchange has a number that was never used before; it goes on only in
 * turns; a hand-over comes only for an exchange that the owner said is through, and once; at most GATE_EXCHANGES_MAX exchanges are
 * open. So after `handover` the owner may rely on: this descriptor belongs to the exchange that it answered with gate_peer_ok(), and is a stream socket
 * that does not listen.
 *
 *   gate → core   auth_start · auth_step · auth_cancel · handover
 *   core → gate   mechanisms (once, first) · challenge · ok · failed
 *
 * All on the thread of the loop. Slices in callbacks are valid during the call.
 */
#ifndef PENFOLD_GATE_PEER_H
#define PENFOLD_GATE_PEER_H

#include "gate/protocol.h"
#include "net/net.h"

enum { GATE_EXCHANGES_MAX = 4096 };

struct gate_auth_start {
	uint64_t id; /* of the exchange, chosen by the gate */
	enum gate_protocol protocol;
	struct slice mechanism;
	/*
	 * The client's first message where the mechanism lets the client speak first; the gate has fetched it when the command did
	 * not carry it. `has_initial` is false only where the server speaks first (LOGIN): step with empty input then. LOGIN (IMAP)
	 * and USER with PASS (POP3) come as PLAIN.
	 */
	bool has_initial;
	struct slice initial;
	struct slice peer, local; /* addresses as net_address_text() puts them */
	bool tls;
	bool confidential;         /* TLS, or from loopback */
	struct slice tls_text;     /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	struct slice tls_exporter; /* channel bindings; see struct gate_mechanisms */
	struct slice tls_unique;
	struct slice client; /* name and version from IMAP ID (RFC 2971 §3.3), printable ASCII; may be empty */
};

struct gate_handover {
	uint64_t id;
	enum gate_protocol protocol; /* as in its auth_start */
	bool tls;                    /* as in its auth_start; then `fd` is our end of the relay */
	bool utf8;                   /* POP3: the client said UTF8 (RFC 6856 §2.1) */
	struct slice tag;            /* IMAP: of the command to answer */
	struct slice pipelined;      /* what the client sent behind it, at most GATE_PIPELINED_MAX bytes */
	int fd;                      /* the owner's from now on; -1: it was lost, as this process may have no more */
};

struct gate_peer;
struct gate_peer_events {
	void (*auth_start)(void *owner, const struct gate_auth_start *start);
	void (*auth_step)(void *owner, uint64_t id, struct slice response);
	/* The client gave up or is gone; nothing more comes for this exchange, and answers to it are dropped. */
	void (*auth_cancel)(void *owner, uint64_t id);
	void (*handover)(void *owner, const struct gate_handover *handover);
	/*
	 * The gate is gone, or broke a rule, which `why` names (NULL: it just ended). All its exchanges are over, without
	 * auth_cancel(). The owner frees the peer in here or later. Never called from inside another gate_peer_ call.
	 */
	void (*closed)(void *owner, const char *why);
};
/* Owns `fd` (SOCK_SEQPACKET) on success, and says hello to the gate, which serves nobody before that. */
MUST_CHECK int gate_peer_new(struct net_loop *loop, int fd, const struct gate_mechanisms *mechanisms,
	const struct gate_peer_events *events, void *owner, struct gate_peer **ret_peer);
void gate_peer_free(struct gate_peer **peer);

/* Answers, for an exchange that waits for one; for any other number (it was cancelled meanwhile) nothing happens. */
void gate_peer_challenge(struct gate_peer *peer, uint64_t id, struct slice challenge);
void gate_peer_failed(struct gate_peer *peer, uint64_t id, enum gate_failure failure, struct slice text);
/*
 * The login is right; `final` is SASL's additional data with success. Then either handover() or auth_cancel() comes. When descriptors are short
 * (-EMFILE) or the relay for a TLS connection cannot be made, or there is no such exchange (-ENOENT), neither comes: the client has been told
 * GATE_UNAVAILABLE.
 */
MUST_CHECK int gate_peer_ok(struct gate_peer *peer, uint64_t id, struct slice final);

#endif
