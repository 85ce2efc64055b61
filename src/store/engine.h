/*
 * What the parts of the engine share: the store, its shards, the accounts in memory.
 *
 * Threads and what they may touch: a shard's accounts, mailboxes, views, pending records and snapshot belong to the shard's thread. The
 * applier owns write transactions of the index. `durable` and `applied` are told by atomics; records go from the log's writer to the
 * applier through the applier's queue and back to whoever owns them by `applied` having passed them.
 *
 * Locks, in this order: directory_lock, upkeep.lock, searcher.work, then one of applier.lock, dictionaries.lock, ingests.lock, online.lock,
 * searcher.lock, shard.inbox_lock, one of the frame cache's.
 */
#ifndef PENFOLD_STORE_ENGINE_H
#define PENFOLD_STORE_ENGINE_H

#include "base/thread.h"
#include "store/dictionary.h"
#include "store/email.h"
#include "store/index.h"
#include "store/number_map.h"
#include "store/rows.h"

/* ---- Records in memory until they are in the index ---- */
enum pending_owner {
	PENDING_OF_SHARD,   /* freed on the shard when applied */
	PENDING_OF_APPLIER, /* freed by the applier */
};
struct pending {
	struct record record; /* the log's; first */
	enum pending_owner owner;
	uint32_t change_bytes, bodies_at;
	bool has_emails;
	_Atomic int holds;       /* PENDING_OF_APPLIER: the applier's and the appender's */
	struct account *account; /* PENDING_OF_SHARD */
	struct pending *next_of_account, *next_of_shard;
	char change[];
};
struct folding pending_folding(const struct pending *pending);

/* ---- The applier ---- */

struct applier {
	struct thread thread;
	bool running;
	struct lock lock;
	struct condition work, done; /* done: `applied` has moved or it failed */
	struct record *first, *last;
	size_t queued;
	int64_t since_us; /* of the first queued; monotonic */
	uint64_t wanted;  /* somebody waits for this one: do not dawdle */
	bool stopping, failed;
	bool closing; /* nobody is to wait any more: a full disk may keep the index back for ever */
};

/* ---- Housekeeping thread (upkeep.c) ---- */

struct upkeep {
	struct thread thread;
	bool running, stopping;
	struct lock lock; /* one round at a time */
	struct lock wake_lock;
	struct condition wake;
	int64_t sweep_us;            /* when the frame cache is swept next */
	struct number_map looked_at; /* segment -> live bytes when it was found not to be worth compacting */
	struct number_map stuck;     /* segment -> live bytes when it could not be packed again */
	size_t repack_count;         /* fewer old segments are not worth packing again */
	bool has_more;               /* the last round may be followed by another at once */
	bool compact_wanted;         /* by store_compact_start(); this and the next under wake_lock */
	int compact_error;
};

/*
 * Frames written ahead of the record that will name them: until that record is in the index, their segments look dead. While they are
 * held, none of these is dropped; nor, while a frame is being written, any with a record after `after_seq`.
 */
struct frames_hold {
	uint64_t after_seq; /* UINT64_MAX: none is being written */
	uint64_t *segments;
	size_t count, room;
	bool held;
	struct frames_hold *previous, *next;
};
#define FRAMES_HOLD_INIT ((struct frames_hold){.after_seq = UINT64_MAX})

enum { PARSERS_IDLE_MAX = 16 };
struct ingest_pool {
	struct lock lock;
	struct ingest *idle;
	unsigned count;
	struct frames_hold *holds;
	struct mail_parser *parsers[PARSERS_IDLE_MAX]; /* ready for a message */
	unsigned parser_count;
};

/* ---- Checking while serving (online.c) ---- */

struct online {
	struct thread thread;
	bool started;
	struct lock lock; /* of what follows */
	bool over;
	int error;
	uint64_t findings;
	struct buffer lines;
	/* The thread's while it runs: */
	struct store_check check;
	uint64_t *accounts;
	size_t account_count;
};

struct store {
	struct store_settings settings;
	char *dir;
	int lock_file;
	struct durability *log;
	struct index *index;
	struct shard **shards;
	_Atomic uint64_t durable, applied;
	_Atomic uint64_t pending_bytes; /* of change parts not applied yet */
	atomic_bool failed;
	bool index_damaged;         /* recovery could not fold into what is there */
	struct lock directory_lock; /* one change of the directory at a time */
	struct applier applier;
	struct dictionaries dictionaries;
	struct frame_cache *frame_cache; /* NULL: none is wanted */
	struct upkeep upkeep;
	struct online online;
	struct searcher *searcher; /* searcher.h */
	struct ingest_pool ingests;
};

/* store.c */
/* Open and recovered, without the threads of the engine: for checks. Closed by store_close(). */
MUST_CHECK int store_open_quiet(
	const struct store_settings *settings, bool rebuild, bool salvage, struct store **ret_store);
void store_fail(struct store *store, int error, const char *what); /* tells settings.failed, once */
void store_notice(struct store *store, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
struct appending {
	uint64_t account;
	enum record_kind kind;
	struct slice change; /* RECORD_CHANGE: as change_finish() left it, length in front; else the payload's begin */
	const struct slice *bodies; /* behind it */
	size_t body_count;
	bool reserve; /* may use what is set aside for changes that free space */
};
/* Appends for a shard. Refused with -ENOSPC when too much waits for the index. */
MUST_CHECK int store_append_owned(struct store *store, const struct appending *what, struct pending **ret_pending);
/* The same for everybody else; the record is looked after. */
MUST_CHECK int store_append(
	struct store *store, const struct appending *what, struct record_place *ret_place, uint64_t *ret_seq);
void pending_unhold(struct pending *pending);

/* applier.c */
void applier_init(struct store *store);
void applier_free(struct store *store);
MUST_CHECK int applier_start(struct store *store);
void applier_end_waits(struct store *store); /* store_wait_applied() returns, now and from now on */
void applier_stop(struct store *store);      /* after everything queued is applied */
void applier_queue(struct store *store, struct record *first, uint64_t seq);
/* Folds records, given by ascending sequence numbers and sorted here, in one transaction that says `seq` is applied. */
struct index_rows;
struct applying {
	struct folding record; /* .change: of other kinds, their payload */
	uint8_t kind;
};
MUST_CHECK int records_apply(
	struct store *store, struct index_rows *rows, struct applying *records, size_t count, uint64_t seq);

/* Keeps a dictionary's record in the index. */
MUST_CHECK int dictionary_note(struct index_rows *rows, const struct folding *record);

/* recover.c */
/* Into the index that is open, as far as there is room; the rest is kept in memory, as before the end that this is a recovery from. */
MUST_CHECK int store_recover(struct store *store, bool salvage);
MUST_CHECK int store_recovered(struct store *store); /* after either; does the index go with the journal? */
/* rebuild.c: all of it, into an empty one. With `salvage` records that make no sense are set aside and named. */
MUST_CHECK int store_rebuild(struct store *store, bool salvage);

/* online.c */
void online_init(struct store *store);
void online_free(struct store *store);
void online_stop(struct store *store); /* after upkeep was told to stop */

/* upkeep.c */
void upkeep_init(struct store *store);
void upkeep_free(struct store *store);
MUST_CHECK int upkeep_start(struct store *store);
void upkeep_stop(struct store *store);
void upkeep_wake(struct store *store);

#endif
