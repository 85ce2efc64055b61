/*
 * The store of one machine: accounts, mailboxes, emails, kept in a journal with an index beside it.
 *
 * The journal is the truth. A change becomes one journal record and is folded into memory in the same call; it is durable
 * when the log writer has synced it (settings.durable is then called), and in the LMDB index when the background applier
 * has been there, about a second later. Readers see all of it at once.
 *
 * Threads: a store has a fixed number of shards. An account belongs to the shard store_shard_of() names, and everything in
 * account.h, mailbox.h, email.h (but `struct ingest`) and search.h is called on that shard's thread only. directory.h and
 * ingest may be used from any thread. The store makes threads of its own for writing, applying and compacting.
 *
 * Errors of changing calls: -ENOSPC (no room on disk: nothing changed, try later), -EDQUOT, -ENOENT, -EEXIST, -EINVAL,
 * -ENOBUFS (a limit below), -ESTALE. After a call has accepted a change only settings.failed can follow: the process must
 * then end and open the store anew, because pages of a failed sync may be gone.
 */
#ifndef PENFOLD_STORE_STORE_H
#define PENFOLD_STORE_STORE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"

struct file_system;   /* store/disk/file.h: every file operation, replaceable */
struct thread_system; /* base/thread.h: threads and locks, replaceable */

enum {
	STORE_MAILBOX_NAME_MAX = 1000, /* bytes of UTF-8 */
	STORE_MAILBOX_DEPTH_MAX = 20,
	STORE_MAILBOXES_MAX = 10000, /* per account */
	STORE_KEYWORDS_MAX = 64,     /* different ones per mailbox */
	STORE_KEYWORD_NAME_MAX = 128,
	STORE_SHARDS_MAX = 64,
	STORE_DICTIONARY_BYTES_MAX = 114688,            /* of messages */
	STORE_DESCRIPTION_DICTIONARY_BYTES_MAX = 16384, /* of descriptions */
};

#define STORE_REPACK_NEVER UINT64_MAX
struct store_settings {
	struct slice dir;           /* the data directory; made when it is not there */
	unsigned shards;            /* threads that hold accounts; may differ from start to start */
	uint64_t retention_s;       /* how long expunged mail stays: 2,592,000 (30 days) */
	uint64_t message_bytes_max; /* 104,857,600 and up */
	uint64_t messages_max;      /* in all mailboxes of an account, each copy counted: 2,000,000 */
	uint64_t segment_bytes;     /* journal segment: 67,108,864 */
	uint64_t apply_delay_ms;    /* at most this long between durable and applied: 1,000 */
	uint64_t
		pending_bytes_max; /* of changes that are not in the index yet; beyond, mail is refused, an eighth later everything: 536,870,912 */
	uint64_t resident_accounts;   /* accounts kept in memory when nobody uses them, all shards together: 20,000 */
	uint64_t compact_bytes_per_s; /* rate limit of compaction: 16,777,216 */
	/*
	 * What comes in is hardly packed, and tightly when it is so old: 86,400 (a day). STORE_REPACK_NEVER: it is packed well at once,
	 * and stays so.
	 */
	uint64_t repack_after_s;
	uint64_t search_batch;     /* emails that wait before they go into the search index: 128; 0: there is none */
	bool flags_unsynced;       /* account_seq() passes over changes of flags alone: nobody waits for them */
	uint64_t body_cache_bytes; /* of unpacked bodies that are read again and again: 67,108,864; 0: none */
	uint64_t index_bytes_max;  /* the index's file grows no larger; 0: as large as the disk lets it */
	const struct file_system *files;     /* NULL: the real one */
	const struct clock_source *clock;    /* NULL: clock_system() */
	const struct thread_system *threads; /* NULL: the real ones */
	/* Everything up to `seq` is durable. Called on the writer's thread, often: must be quick. */
	void (*durable)(void *context, uint64_t seq);
	/* Something that was accepted could not be made durable. Called once, from any thread; must end the process. */
	void (*failed)(void *context, int error, const char *what);
	/* Something an admin should know (damage found, disk full, recovered): for the log. May be NULL. */
	void (*notice)(void *context, const char *event, struct slice detail);
	void *context;
};
struct store_settings store_settings_default(void);

struct store;
struct shard;

/*
 * Opens or makes a data directory and recovers. -EBUSY: another process has it open; -EBADMSG: damaged beyond what the end of a
 * log explains (settings.notice said where; see store_check()).
 */
MUST_CHECK int store_open(const struct store_settings *settings, struct store **ret_store);
/* All sessions must be gone. Waits until everything accepted is durable and applied. */
void store_close(struct store **store);

struct shard *store_shard(struct store *store, unsigned index);
unsigned store_shard_of(const struct store *store, uint64_t account_id);
unsigned store_shard_count(const struct store *store);
const struct clock_source *store_clock(const struct store *store);

/*
 * To be called about five times a second on the shard's thread: forgets records that are applied, evicts accounts nobody
 * uses, lets go of old index snapshots.
 */
void shard_tick(struct shard *shard);

uint64_t store_durable_seq(const struct store *store); /* any thread */
uint64_t store_applied_seq(const struct store *store);
/* Waits until `seq` is durable / in the index. For the command line and tests, never on a shard that serves. */
MUST_CHECK int store_wait_durable(struct store *store, uint64_t seq);
MUST_CHECK int store_wait_applied(struct store *store, uint64_t seq);

struct store_stats {
	uint64_t records, record_bytes, syncs;        /* since the store was opened */
	uint64_t segments, segment_bytes, live_bytes; /* live: bodies somebody still has */
	uint64_t pending_records;                     /* durable, not applied yet */
	uint64_t accounts_resident;
	uint64_t searched; /* messages that searches looked into, as no index decided about them */
};
void store_stats(struct store *store, struct store_stats *ret_stats); /* any thread */

/*
 * Removes what is past its retention time, copies what is alive out of mostly dead segments, which are then freed, and packs again what came in
 * (repack_after_s). Runs by itself in the background; this call does all there is to do now, whatever its age, without rate limit.
 */
MUST_CHECK int store_compact(struct store *store);
/* The same on the housekeeping thread. Any thread. -EALREADY: it was asked for, and is not over. */
MUST_CHECK int store_compact_start(struct store *store);
/* When it is over, how it went; -ECANCELED: the store closes. */
MUST_CHECK int store_compact_poll(struct store *store, bool *ret_over);

/* Brings the search index up to date, every account's, with every email. Goes on in the background by itself; for tests and measurements. */
MUST_CHECK int store_search_index(struct store *store);

/* ---- Who did it: named in every journal record ---- */

enum store_protocol {
	STORE_BY_SERVER,
	STORE_BY_ADMIN,
	STORE_BY_LMTP,
	STORE_BY_SMTP,
	STORE_BY_IMAP,
	STORE_BY_POP3,
	STORE_BY_JMAP,
	STORE_BY_WEBMAIL,
	STORE_BY_SIEVE,
};
struct actor {
	enum store_protocol protocol;
	struct slice device;  /* app password, IMAP ID name, LHLO name: at most 64 bytes are kept */
	struct slice address; /* of the peer, text; at most 64 bytes are kept */
};
const char *store_protocol_name(enum store_protocol protocol);

/* ---- UID sets: ascending, disjoint, inclusive ranges ---- */

struct uid_range {
	uint32_t first, last;
};
struct uid_set { /* borrowed */
	const struct uid_range *ranges;
	size_t count;
};
struct uid_list { /* owned; grows to `max` ranges, then -ENOBUFS sticks */
	struct uid_range *ranges;
	size_t count, room, max;
	int error;
};
#define UID_LIST_INIT(max_ranges) ((struct uid_list){NULL, 0, 0, (max_ranges), 0})
void uid_list_add(
	struct uid_list *list, uint32_t first, uint32_t last); /* in any order; keeps it ascending and disjoint */
void uid_list_free(struct uid_list *list);
struct uid_set uid_list_set(const struct uid_list *list);
bool uid_set_has(struct uid_set set, uint32_t uid);
uint64_t uid_set_count(struct uid_set set); /* how many UIDs its ranges span */

/* ---- Checking a data directory that nobody has open ---- */

struct store_check {
	bool rebuild_index;                               /* throw the index away and fold the journal again */
	bool salvage;                                     /* step over damaged records instead of stopping */
	void (*report)(void *context, struct slice line); /* one per finding, readable */
	void *context;
};
/* 0: sound; -EBADMSG: findings (mended, perhaps) were reported. Verifies every CRC, every body, counters against entries. */
MUST_CHECK int store_check(const struct store_settings *settings, const struct store_check *check);
/*
 * The same while it is open and serves, in the background, of some accounts or (0) of all: the journal and the accounts' rows and messages are
 * checked, or with rebuild_index the accounts' rows are made anew from the journal. .report is not used: ask store_check_poll(). One at a
 * time: -EBUSY. From one thread at a time, no shard's.
 */
MUST_CHECK int store_check_start(
	struct store *store, const struct store_check *check, const uint64_t *accounts, size_t count);
/* Appends what was found since the last call, a line each. When it is over: as store_check(); -ECANCELED: the store closes. */
MUST_CHECK int store_check_poll(struct store *store, struct buffer *lines, bool *ret_over);

#endif
