/*
 * The inside of an LMTP session: the protocol on a stream, and the delivery that goes from shard to shard.
 *
 * While a delivery is in flight (`busy`) the shards' threads use ingest, targets, actor and delivered_seq, and the session's own loop leaves them alone; the
 * posts between the loops order the two.
 */
#ifndef PENFOLD_LMTP_SESSION_H
#define PENFOLD_LMTP_SESSION_H

#include "lmtp/protocol.h"
#include "store/directory.h"
#include "store/email.h"

enum { LMTP_PEER_MAX = 80 };

struct lmtp_session {
	struct list_node node; /* of services->sessions */
	struct lmtp_services *services;
	struct net_stream *stream; /* NULL when the connection is gone */
	struct lmtp_backend backend;
	struct lmtp_protocol protocol;
	uint64_t id;           /* for Received and the log */
	unsigned messages;     /* begun so far */
	struct buffer address; /* of the peer, for the log and the journal */
	struct buffer literal; /* the same as Received has it */
	struct ingest *ingest; /* the message on its way */
	uint64_t bytes;        /* of the message delivered last */
	struct actor actor;
	struct net_task task; /* the delivery, on its way from loop to loop */
	uint32_t next_target;
	uint64_t delivered_seq; /* newest change the delivery has made so far */
	uint64_t seq;           /* newest change that an answer stands for */
	bool busy;
	bool stopping;
};

/* deliver.c: adds the message to every target; lmtp_session_delivered() is called on the session's loop afterwards. */
void lmtp_deliver(struct lmtp_session *s);
void lmtp_session_delivered(struct lmtp_session *s);
/*
 * The mailbox for `+detail`: of that name, also without regard to case, below INBOX, or with '.' between levels; else INBOX. On the account's shard.
 * -ENOMEM: it cannot be told, and the message must not end up elsewhere.
 */
MUST_CHECK int lmtp_mailbox_for(struct account *account, struct slice detail, struct mailbox **ret_mailbox);

#endif
