/*
 * What core is made of, without gate and server: a store in a folder of its own, two shards with a loop and a thread each, LMTP and POP3 sessions on
 * socket pairs. Every call may be made from the test's thread; failures fail the running test.
 */
#ifndef PENFOLD_TESTS_CORE_RIG_H
#define PENFOLD_TESTS_CORE_RIG_H

#include <pthread.h>

#include "lmtp/lmtp.h"
#include "pop3/pop3.h"
#include "store/directory.h"
#include "store/email.h"
#include "transcript.h"

enum { RIG_SHARDS = 2, RIG_MESSAGE_MAX = 30 << 20 };

struct core_rig {
	char dir[64];
	struct log *log; /* goes nowhere */
	struct store *store;
	struct net_loop *loops[RIG_SHARDS];
	struct net_timer *ticks[RIG_SHARDS];
	pthread_t threads[RIG_SHARDS];
	struct lmtp_services lmtp[RIG_SHARDS];
	struct pop3_services pop3[RIG_SHARDS];
	int failed_status; /* to end the process with at once when the store fails, as core does; 0: a store must not fail */
};

void core_rig_start(struct core_rig *rig);
/* The same with the store of a folder, which may be there already. */
void core_rig_start_in(struct core_rig *rig, const char *dir);
/* The same as core_rig_start() with a test's own files, which must outlive the rig. */
void core_rig_start_on(struct core_rig *rig, const struct file_system *files);
void core_rig_stop(struct core_rig *rig); /* waits until all sessions have ended */

uint64_t core_rig_account(struct core_rig *rig, const char *address, uint64_t quota_bytes);
/* Runs something on a shard's thread and waits for it. */
void core_rig_call(struct core_rig *rig, unsigned shard, void (*run)(void *context), void *context);
void core_rig_wait_sessions(struct core_rig *rig);
/* Until everything that sessions had to do with what was sent to them, or happened, is done, and what may leave has left. */
void core_rig_settle(struct core_rig *rig);

/* New connections. POP3 as it is right behind the password; `pipelined` may be "". */
struct transcript_socket core_rig_lmtp(struct core_rig *rig, unsigned loop);
struct transcript_socket core_rig_pop3(
	struct core_rig *rig, uint64_t account, const char *device, const char *pipelined);
void core_rig_hang_up(struct transcript_socket *socket);
void core_rig_play(struct transcript_socket *socket, const char *text);

/* Brings a message (with CRLF, dots unstuffed) by LMTP. */
void core_rig_deliver(struct core_rig *rig, const char *recipient, struct slice message);

/* What a mailbox holds: how many messages, and the bytes of the one with the highest UID. NULL name: INBOX. */
uint32_t core_rig_count(struct core_rig *rig, uint64_t account, const char *mailbox);
void core_rig_newest(struct core_rig *rig, uint64_t account, const char *mailbox, struct buffer *out);
/* As another device would: expunges one UID of INBOX, makes a mailbox. */
void core_rig_expunge(struct core_rig *rig, uint64_t account, uint32_t uid);
void core_rig_mailbox(struct core_rig *rig, uint64_t account, const char *mailbox);
/* The same small message `count` times into INBOX. */
void core_rig_fill(struct core_rig *rig, uint64_t account, uint32_t count);

#endif
