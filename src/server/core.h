/*
 * Core's inside: the shards with their loops, authentication on worker threads, the way from a gate to a session.
 *
 * Threads: the front loop (core's first thread) talks to the supervisor, the gates and the command line and accepts LMTP; each shard has a loop of its own;
 * the workers do what takes long (password hashes, directory changes). They meet only through net_loop_post().
 */
#ifndef PENFOLD_SERVER_CORE_H
#define PENFOLD_SERVER_CORE_H

#include <pthread.h>

#include "gate/peer.h"
#include "imap/imap.h"
#include "lmtp/lmtp.h"
#include "pop3/pop3.h"
#include "server/server.h"

struct core;

/* ---- Workers: jobs in the order of their arrival, on any of a few threads ---- */

struct worker_job {
	void (*work)(
		struct worker_job *job); /* on a worker's thread; nothing may be used after it has posted its end */
	struct worker_job *next;         /* the pool's */
};
struct worker_pool;
MUST_CHECK int worker_pool_new(unsigned threads, struct worker_pool **ret_pool);
void worker_pool_add(struct worker_pool *pool, struct worker_job *job);
void worker_pool_free(struct worker_pool **pool); /* finishes what waits */

/* ---- Shards ---- */

struct core_shard {
	struct core *core;
	unsigned index;
	struct net_loop *loop;
	struct net_timer *tick;
	pthread_t thread;
	bool running, stopping;
	int64_t stop_deadline_ms;
	struct imap_services imap;
	struct pop3_services pop3;
	struct lmtp_services lmtp;
	struct net_task stop_task;
};

/* ---- Logins ---- */

struct core_logins; /* the exchanges going on, of all gates; on the front loop */
MUST_CHECK int core_logins_new(struct core *core, struct core_logins **ret_logins);
void core_logins_free(struct core_logins **logins);
void core_logins_set_cost(struct core_logins *logins, const struct auth_cost *cost);
/* A new gate's channel; owns the descriptor. */
MUST_CHECK int core_logins_add_gate(struct core_logins *logins, int channel_fd);
struct slice core_logins_mechanisms(const struct core_logins *logins);
/*
 * A login that is through goes to its shard: consumes the descriptor in every case. The session's number is the caller's choice, for
 * the log to tell who is who.
 */
struct core_handover {
	uint64_t session;
	enum gate_protocol protocol;
	uint64_t account_id;
	struct slice address, peer, device, tag, pipelined;
	bool tls, utf8;
	int fd;
};
void core_handover(struct core *core, const struct core_handover *handover);

/* ---- What must outlive a start ---- */

enum { CORE_SALT_KEY_BYTES = 32 };
/*
 * auth_settings.fake_salt_key, from the data directory; made there when it is not. Where it cannot be read or kept, `key` is left as random
 * bytes of this process.
 */
MUST_CHECK int core_salt_key(struct slice data_dir, char *key);

/* ---- The whole ---- */

struct core {
	struct server *server;
	struct store *store;
	struct net_loop *front;
	struct core_shard *shards;
	struct net_loop **loops; /* by shard */
	unsigned shard_count;
	struct worker_pool *workers;
	struct core_logins *logins;
	struct admin_server *admin;
	struct net_listener *lmtp[CONFIG_LISTENERS_MAX];
	size_t lmtp_count;
	unsigned next_lmtp_shard;
	int control_fd;
	struct net_watch *control;
	bool stopping;
	_Atomic unsigned shards_running;
	uint64_t last_session; /* on the front loop */
	char salt_key[CORE_SALT_KEY_BYTES];
	struct net_task shard_ended;
};

void core_tell_supervisor(struct core *core, enum control_message kind);
MUST_CHECK int core_admin_start(struct core *core);
MUST_CHECK int core_shards_start(struct core *core);
void core_shards_stop(struct core *core); /* asks; when all have ended the front loop is stopped */
bool core_shards_join(struct core *core); /* false: some had to be left with sessions open */

#endif
