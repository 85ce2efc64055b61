/*
 * POP3 after login: the TRANSACTION and UPDATE states of RFC 1939, with RFC 2449 and RFC 6856. One session on one connection,
 * on the loop of the account's shard.
 *
 * The maildrop is INBOX as it was at login: a snapshot of 20 bytes a message. What IMAP expunges meanwhile can still be
 * retrieved for the retention time; what arrives later belongs to the next session. DELE marks; QUIT expunges everything marked, in one
 * journal record, and answers when that is durable. A session that ends in any other way deletes nothing (RFC 1939 §6).
 *
 * The unique-id of a message is its EMAILID and its UID: two copies of one email differ, and a message restored from backup or
 * brought to another machine keeps it, whatever becomes of UIDVALIDITY.
 *
 * Messages go out as they are, with and without UTF8: RFC 6856 §2.1 would have raw UTF-8 in header fields refused unless the client said
 * UTF8, but such fields are older than that RFC, and a client that cannot fetch a message is worse off than one that shows it badly.
 */
#ifndef PENFOLD_POP3_POP3_H
#define PENFOLD_POP3_POP3_H

#include "base/list.h"
#include "base/log.h"
#include "net/net.h"
#include "store/store.h"

enum { POP3_EXPIRE_NEVER = -1 };

struct pop3_limits {
	size_t line_bytes_max;   /* of a command: 512 (RFC 2449 §4: 255) */
	unsigned bad_max;        /* commands refused for their form in one session before it is closed: 20 */
	uint64_t idle_ms;        /* autologout: 600,000, the least that RFC 1939 §3 allows */
	uint64_t stalled_ms;     /* a client that takes nothing of an answer: 300,000 */
	size_t output_bytes_max; /* answers queued before the session stops making more: 262,144 */
};
extern const struct pop3_limits pop3_limits_default;

/* What all sessions of one loop share; outlives them. One per loop, used on its thread only. */
struct pop3_services {
	struct net_loop *loop;
	struct shard *shard;
	struct log *log; /* may be NULL */
	struct pop3_limits limits;
	struct slice mechanisms;    /* SASL names as announced before login, for CAPA; empty: none */
	unsigned login_delay_s;     /* between the end of a session and the next login (RFC 2449 §6.5); 0: none */
	int expire_days;            /* the site's promise (RFC 2449 §6.7), or POP3_EXPIRE_NEVER */
	struct list_node *sessions; /* the module's list: starts as NULL */
	unsigned session_count;
};

struct pop3_start {
	uint64_t account_id;
	struct slice address; /* of the account, for the log */
	struct slice peer;    /* address of the client, text */
	struct slice device;  /* app password's name; may be empty */
	uint64_t session_id;  /* for the log */
	bool tls;
	bool utf8;              /* the client said UTF8 (RFC 6856 §2.1) */
	struct slice pipelined; /* bytes the gate had read behind the PASS or AUTH that succeeded */
};
/*
 * Answers the PASS or AUTH that succeeded: +OK, or -ERR [IN-USE], [LOGIN-DELAY] or [SYS/TEMP] and the connection closes. Owns `fd` in
 * every case. The session frees itself when the connection ends.
 */
MUST_CHECK int pop3_session_new(struct pop3_services *services, int fd, const struct pop3_start *start);
/* Every session ends after the answer in flight; nothing is deleted. They are gone when services->session_count is 0. */
void pop3_sessions_stop(struct pop3_services *services);
/* How many sessions an account has here; of all accounts for 0. */
unsigned pop3_sessions_of(const struct pop3_services *services, uint64_t account_id);

#endif
