/*
 * LMTP (RFC 2033): mail comes in. One session on one connection, TCP or Unix socket, on whichever loop accepted it.
 *
 * Extensions: PIPELINING (RFC 2920), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), SIZE (RFC 1870), CHUNKING (RFC 3030),
 * ENHANCEDSTATUSCODES (RFC 2034). Not BINARYMIME: the store makes bare LF into CRLF, which binary parts do not survive.
 *
 * A message is taken in once, however many recipients it has, and then added to one account after the other, each on its own
 * shard. A `250` leaves only when the message is durable in the accounts it stands for. Recipients that lead to the same folder of
 * the same account (an alias beside the address) get one copy. Where a recipient is several accounts (an alias), the answer is
 * a success only when all of them have it; after a temporary failure the client tries again, and those that had it get it twice:
 * better twice than never.
 *
 * Return-Path and Received are put in front. Delivered-To and Received's "for" are added when the message has one recipient:
 * more would need one parse and compression of the message for each, and would tell recipients of each other (RFC 5321 §7.2).
 */
#ifndef PENFOLD_LMTP_LMTP_H
#define PENFOLD_LMTP_LMTP_H

#include "base/list.h"
#include "base/log.h"
#include "net/net.h"
#include "store/store.h"

struct lmtp_limits {
	unsigned recipients_max;    /* of a message: 2,000 (RFC 5321 §4.5.3.1.8: at least 100) */
	unsigned targets_max;       /* accounts they may stand for: 10,000 */
	unsigned hops_max;          /* Received fields before it is a loop: 100 (RFC 5321 §6.3) */
	unsigned bad_max;           /* commands refused for their form in one session before 421: 20 */
	size_t line_bytes_max;      /* of a command: 4,096 */
	uint64_t message_bytes_max; /* announced with SIZE; the store's settings.message_bytes_max */
	uint64_t idle_ms;           /* 300,000 (RFC 5321 §4.5.3.2.7) */
	size_t output_bytes_max;    /* answers queued before the session stops reading: 65,536 */
};
extern const struct lmtp_limits lmtp_limits_default;

/* What all sessions of one loop share; outlives them. One per loop, used on its thread only. */
struct lmtp_services {
	struct net_loop *loop;
	struct store *store;
	struct net_loop *const *loops; /* by shard: where the accounts of that shard live */
	struct slice hostname;
	struct log *log; /* may be NULL */
	struct lmtp_limits limits;
	struct list_node *sessions; /* the module's list: starts as NULL */
	unsigned session_count;
};

/* Owns `fd` in every case. The session frees itself when the connection ends. */
MUST_CHECK int lmtp_session_new(struct lmtp_services *services, int fd, const struct sockaddr_storage *peer);
/*
 * Every session finishes the command in flight (a message on its way in, deliveries), then answers 421 and closes. They are gone when
 * services->session_count is 0.
 */
void lmtp_sessions_stop(struct lmtp_services *services);

#endif
