/*
 * A store in a folder of its own, a shard's loop on a thread of its own, and IMAP sessions on socket pairs: what transcripts and fuzzers run
 * against. Every call may be made from the test's thread.
 */
#ifndef PENFOLD_TESTS_IMAP_RIG_H
#define PENFOLD_TESTS_IMAP_RIG_H

#include <pthread.h>

#include "imap/imap.h"
#include "store/directory.h"
#include "store/email.h"

struct rig {
	char dir[64];
	struct store *store;
	struct net_loop *loop;
	struct net_timer *tick;
	pthread_t thread;
	struct imap_services services;
	unsigned accounts; /* made so far */
	int failed_status; /* to end the process with at once when the store fails, as core does; 0: a store must not fail */
};

MUST_CHECK int rig_start(struct rig *rig);
/* The same with the store of a folder, which may be there already. */
MUST_CHECK int rig_start_in(struct rig *rig, const char *dir);
/* The same as rig_start() with a test's own files, which must outlive the rig. */
MUST_CHECK int rig_start_on(struct rig *rig, const struct file_system *files);
void rig_stop(struct rig *rig); /* all connections must be closed on the client's side */

/* A new account with the usual mailboxes. */
MUST_CHECK int rig_account(struct rig *rig, uint64_t quota_bytes, uint64_t *ret_id);
/* The same for many, at the price of one; at most 1,000. */
MUST_CHECK int rig_accounts(struct rig *rig, uint64_t quota_bytes, size_t count, uint64_t *ret_ids);
/* A session as it is right behind "login LOGIN ..."; `pipelined` may be empty. */
MUST_CHECK int rig_connect(struct rig *rig, uint64_t account_id, struct slice pipelined, int *ret_fd);
/* A message arrives as LMTP would bring it: bare LF is a line end. */
MUST_CHECK int rig_deliver(struct rig *rig, uint64_t account_id, struct slice mailbox, struct slice message);
/* Runs something on the loop's thread and waits for it. */
void rig_call(struct rig *rig, void (*run)(void *context), void *context);
/* Until everything that sessions had to do with what was sent to them, or happened, is done, and what may leave has left. */
void rig_settle(struct rig *rig);
/* Until no session is left. */
void rig_wait_sessions(struct rig *rig);

#endif
