/*
 * What a client may say before login, per protocol: a state machine without I/O. Bytes in; answers, and decisions for the
 * connection (connection.c), out. Everything that comes in is hostile; limits are below.
 *
 * The connection calls prelogin_input() when bytes came, and does what it returns:
 *
 *   MORE        nothing to do until more bytes come, or until core has answered
 *   DRAIN       send what is in `out` before calling again (a client that asks much and reads nothing gets no memory)
 *   START_TLS   send `out`, throw away whatever else was received, shake hands, prelogin_set_transport()
 *   AUTH_START  ask core: `mechanism`, `sasl` (and `has_initial`); then one of challenge, ok, failed
 *   AUTH_STEP   tell core `sasl`
 *   AUTH_CANCEL tell core that the exchange is off; then call again, there may be more to do
 *   HANDOVER    the login is through: `tag`, `utf8`, and all bytes not consumed belong to core
 *   CLOSE       send `out` and close
 */
#ifndef PENFOLD_GATE_PRELOGIN_H
#define PENFOLD_GATE_PRELOGIN_H

#include "base/buffer.h"
#include "gate/protocol.h"

enum {
	PRELOGIN_COMMAND_MAX = 17408,   /* bytes of a command with its literals, or of a SASL answer */
	PRELOGIN_LITERAL_MAX = 2048,    /* bytes of one literal (user name, password, ID) */
	PRELOGIN_CREDENTIAL_MAX = 1024, /* bytes of a user name, of a password */
	PRELOGIN_BAD_MAX = 10,          /* commands that are none, before we hang up */
	PRELOGIN_FAILED_MAX = 5,        /* failed logins, before we hang up */
	PRELOGIN_OUT_MAX = 8192,        /* answers collected before DRAIN */
	PRELOGIN_OUT_ROOM =
		16384 + PRELOGIN_OUT_MAX + 4096, /* maximum for `out`: that and the longest answer, a challenge */
};

enum prelogin_action {
	PRELOGIN_MORE,
	PRELOGIN_DRAIN,
	PRELOGIN_START_TLS,
	PRELOGIN_AUTH_START,
	PRELOGIN_AUTH_STEP,
	PRELOGIN_AUTH_CANCEL,
	PRELOGIN_HANDOVER,
	PRELOGIN_CLOSE,
	PRELOGIN_NEXT, /* inside: a command is done, look for another */
};

enum prelogin_state {
	PRELOGIN_COMMAND,
	PRELOGIN_SASL_FIRST,    /* waits for the client's first message */
	PRELOGIN_SASL_RESPONSE, /* waits for its answer to a challenge */
	PRELOGIN_SASL_FINAL,    /* waits for the empty answer to the additional data of success */
	PRELOGIN_CORE,          /* waits for core */
	PRELOGIN_TLS,           /* waits for the handshake */
	PRELOGIN_OVER,
};

/* The same for all connections of a gate; outlives them. */
struct prelogin_site {
	struct slice hostname;
	int pop3_expire_days;
	unsigned pop3_login_delay_s;
};

/* What the connection is now. */
struct prelogin_transport {
	struct slice mechanisms; /* outlives the connection */
	bool confidential;       /* TLS or loopback: a password may be sent in clear */
	bool tls;
	bool tls_possible; /* STARTTLS can be offered */
};

struct prelogin_protocol;
struct prelogin {
	const struct prelogin_protocol *protocol;
	const struct prelogin_site *site;
	struct prelogin_transport transport;
	enum prelogin_state state;
	char mechanism[GATE_MECHANISM_MAX];
	size_t mechanism_len;
	struct buffer sasl; /* what goes to core */
	bool has_initial;
	char tag[GATE_TAG_MAX];
	size_t tag_len;
	struct buffer client; /* from IMAP ID */
	struct buffer user;   /* from POP3 USER */
	bool utf8;            /* POP3 UTF8 */
	unsigned continued;   /* IMAP: literals of the command at hand that were asked for */
	unsigned bad_count, failed_count;
};

void prelogin_init(struct prelogin *prelogin, enum gate_protocol protocol, const struct prelogin_site *site,
	const struct prelogin_transport *transport);
void prelogin_clear(struct prelogin *prelogin); /* frees what it holds */
/* After the handshake: nothing that was said before counts (RFC 9051 §6.2.1, RFC 2595 §4). */
void prelogin_set_transport(struct prelogin *prelogin, const struct prelogin_transport *transport);

void prelogin_greet(struct prelogin *prelogin, struct buffer *out);
/* Consumes from the front of *rest. */
MUST_CHECK enum prelogin_action prelogin_input(struct prelogin *prelogin, struct slice *rest, struct buffer *out);

/* Core's answers, in state PRELOGIN_CORE. */
void prelogin_challenge(struct prelogin *prelogin, struct slice challenge, struct buffer *out);
MUST_CHECK enum prelogin_action prelogin_ok(struct prelogin *prelogin, struct slice final, struct buffer *out);
MUST_CHECK enum prelogin_action prelogin_failed(
	struct prelogin *prelogin, enum gate_failure failure, struct slice text, struct buffer *out);

/* The last words to somebody whose time is over, or for whom there is no room. */
void prelogin_bye(struct prelogin *prelogin, const char *text, struct buffer *out);

/* ---- Between prelogin.c and the protocols ---- */

struct prelogin_protocol {
	void (*greet)(struct prelogin *prelogin, struct buffer *out);
	/* One command: NEXT, another action, or MORE and nothing consumed. */
	enum prelogin_action (*command)(struct prelogin *prelogin, struct slice *rest, struct buffer *out);
	void (*sasl_refused)(struct prelogin *prelogin, const char *why, struct buffer *out); /* cancelled, malformed */
	void (*failed)(struct prelogin *prelogin, enum gate_failure failure, struct slice text, struct buffer *out);
	void (*bye)(struct prelogin *prelogin, const char *text, struct buffer *out);
};
extern const struct prelogin_protocol prelogin_imap, prelogin_pop3;

/* A line off *rest, without its end (CRLF or LF); false: there is none yet. */
MUST_CHECK bool prelogin_line(struct slice *rest, struct slice *ret_line);
bool prelogin_offers(const struct prelogin *prelogin, struct slice mechanism);
bool prelogin_is_plaintext(struct slice mechanism);            /* one that shows the password to whoever listens */
bool prelogin_takes_password(const struct prelogin *prelogin); /* LOGIN, or USER and PASS */
/* Begins an exchange; `initial` as sent (base64, or "=" for an empty one), NULL pointer: none. */
MUST_CHECK enum prelogin_action prelogin_authenticate(
	struct prelogin *prelogin, struct slice mechanism, struct slice initial, struct buffer *out);
MUST_CHECK enum prelogin_action prelogin_password(
	struct prelogin *prelogin, struct slice user, struct slice password, struct buffer *out);
/* CLOSE, with last words: what the client said is lost, and must be taken for no mistake of its own. */
MUST_CHECK enum prelogin_action prelogin_no_memory(struct prelogin *prelogin, struct buffer *out);
/* After a command that was none: NEXT, or CLOSE with last words when there were too many. */
MUST_CHECK enum prelogin_action prelogin_count_bad(struct prelogin *prelogin, struct buffer *out);

#endif
