/*
 * IMAP4rev1 and IMAP4rev2 after login: one session on one connection, on the loop of the account's shard.
 */
#ifndef PENFOLD_IMAP_IMAP_H
#define PENFOLD_IMAP_IMAP_H

#include "base/log.h"
#include "net/net.h"
#include "store/store.h"

struct imap_limits {
	size_t line_bytes_max;     /* a command without its literals: 65,536 */
	size_t literal_bytes_max;  /* all literals of a command other than APPEND: 1 MiB */
	unsigned list_depth_max;   /* nested parentheses, SEARCH keys: 50 */
	size_t set_ranges_max;     /* ranges in one sequence set: 20,000 */
	unsigned sessions_max;     /* of an account at the same time: 1,000 */
	unsigned bad_max;          /* BAD answers in a row before BYE: 20 */
	uint64_t idle_ms;          /* autologout: 1,800,000 (RFC 9051 §5.4) */
	size_t arena_bytes_max;    /* scratch memory of one command: 16 MiB */
	uint64_t append_bytes_max; /* APPENDLIMIT; not above the store's message_bytes_max: 104,857,600 */
	size_t append_items_max;   /* messages of one MULTIAPPEND: 1,000 */
	size_t output_bytes_max;   /* answers queued before a cursor waits: 262,144 */
};
extern const struct imap_limits imap_limits_default;

/* What all sessions of one loop share; outlives them. One per loop, used on its thread only. */
struct imap_services {
	struct net_loop *loop;
	struct shard *shard;
	struct slice hostname;
	struct log *log;
	struct imap_limits limits;
	struct slice mechanisms;       /* "SCRAM-SHA-256 ..." as in the greeting, for CAPABILITY */
	struct imap_session *sessions; /* the module's list */
	unsigned session_count;
};

struct imap_start {
	uint64_t account_id;
	struct slice address; /* of the account, for the log */
	struct slice peer;    /* text */
	struct slice device;  /* app password or IMAP ID name, may be empty */
	uint64_t session_id;  /* for the log */
	bool tls;
	struct slice tag;       /* of the LOGIN or AUTHENTICATE that succeeded: it is answered here */
	struct slice pipelined; /* bytes the gate had read behind it */
};
/*
 * Owns `fd` in every case. The session frees itself when the connection ends. -EUSERS: the account has limits.sessions_max already; the client has
 * been told.
 */
MUST_CHECK int imap_session_new(struct imap_services *services, int fd, const struct imap_start *start);
/* Sends `* BYE` to all sessions, after the command in flight; they are gone when services->session_count is 0. */
void imap_sessions_stop(struct imap_services *services);
/* How many sessions an account has here; of all accounts for 0. */
unsigned imap_sessions_of(const struct imap_services *services, uint64_t account_id);
/*
 * Capabilities before login (with AUTH= of services->mechanisms, and STARTTLS LOGINDISABLED when no plaintext mechanism is among them) and after, without
 * "CAPABILITY". The gate has its own text of the former.
 */
void imap_capabilities(const struct imap_services *services, bool logged_in, struct buffer *out);

#endif
