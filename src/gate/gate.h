/*
 * The gate: everything that happens before somebody has logged in, in a process that owns nothing.
 *
 * A gate accepts connections, speaks TLS, greets, understands the few commands that are allowed before login, and asks core
 * over its channel (peer.h) whether a login is right. Then it hands the client's descriptor to core, or, where it holds the TLS
 * end, relays between it and a socket pair that core made. One thread, one net_loop, no files, no new sockets (sandbox.h).
 *
 * Threads: all of it runs on the thread that called gate_run().
 */
#ifndef PENFOLD_GATE_GATE_H
#define PENFOLD_GATE_GATE_H

#include "base/log.h"
#include "gate/protocol.h"

enum { GATE_LISTENERS_MAX = 32, GATE_CERTIFICATES_MAX = 1024, GATE_PEM_BYTES_MAX = 61440 };

struct gate_listener {
	int fd; /* bound and listening */
	enum gate_protocol protocol;
	bool tls; /* from the first byte (RFC 8314 §3) */
};

/* PEM: the chain, its own certificate first, and the unencrypted key; both at most GATE_PEM_BYTES_MAX bytes together. */
struct gate_certificate {
	struct slice chain, key;
};

struct gate_settings {
	const struct gate_listener *listeners;
	size_t listener_count;
	/* Served by the DNS names in them; the first one also to whoever asks for none of these. None: no TLS is offered. */
	const struct gate_certificate *certificates;
	size_t certificate_count;
	int channel_fd; /* to core, SOCK_SEQPACKET; the gate owns it */
	int control_fd; /* to the supervisor, SOCK_SEQPACKET; the gate owns it */
	struct slice hostname;
	struct log *log; /* writes to descriptor 0, 1 or 2; may be NULL */
	size_t connections_max;
	size_t connections_per_address_max; /* an IPv4 address, or an IPv6 /64; loopback does not count */
	uint64_t handshake_ms;              /* 30,000 */
	uint64_t login_ms;                  /* 60,000: from the greeting, or from a failed login */
	uint64_t turn_ms;     /* 20,000: a login waits so long until core is asked, where too many are in flight */
	uint64_t stalled_ms;  /* 600,000: a TLS client that takes nothing of what waits for it */
	int pop3_expire_days; /* what CAPA says (RFC 2449 §6.7); negative: NEVER */
	unsigned pop3_login_delay_s; /* RFC 2449 §6.5; 0: not announced */
	bool require_sandbox;        /* end rather than run without Landlock or seccomp */
};
/* Everything zero or empty that has no usual value. */
struct gate_settings gate_settings_default(void);

/*
 * The life of a gate, in a process of its own: closes every descriptor above 2 that the settings do not name, shuts itself in,
 * serves until it is told to stop or core or the supervisor is gone. Returns the exit status: 0 after a stop.
 *
 * A stop closes the listeners and whoever has not logged in; it ends when the last relayed TLS connection has ended, which has
 * what core said last even where core is gone by then.
 */
int gate_run(const struct gate_settings *settings);

/* Are these certificates sound, each with its key? -EINVAL, and a sentence in `problem` that names which one (from 1). */
MUST_CHECK int gate_certificates_check(
	const struct gate_certificate *certificates, size_t count, struct buffer *problem);

/*
 * What the supervisor says over the control descriptor; all wait up to 5 s when the gate's queue is full. New certificates
 * replace the old set for every handshake that begins afterwards; connections stay. A set with anything wrong in it is dropped
 * whole and logged by the gate: check before.
 */
MUST_CHECK int gate_control_certificates(int control_fd, const struct gate_certificate *certificates, size_t count);
MUST_CHECK int gate_control_log_level(int control_fd, enum log_level level);
MUST_CHECK int gate_control_stop(int control_fd);

#endif
