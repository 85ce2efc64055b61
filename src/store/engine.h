/*
 * What the parts of the engine share: the store, its shards, the accounts in memory.
 *
 * Threads and what they may touch: a shard's accounts, mailboxes, views, pending records and snapshot belong to the shard's thread. The
 * applier owns write transactions of the index. `durable` and `applied` are told by atomics; records go from the log's writer to the
 * applier through the applier's queue and back to whoever owns them by `applied` having passed them.
 *
 * Locks, in this order: directory_lock, upkeep.lock, then one of applier.lock, dictionaries.lock, ingests.lock, shard.inbox_lock.
 */
#ifndef PENFOLD_STORE_ENGINE_H
#define PENFOLD_STORE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "mail/mail.h"
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
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t work, done; /* done: `applied` has moved or it failed */
	struct record *first, *last;
	size_t queued;
	int64_t since_us; /* of the first queued; monotonic */
	uint64_t wanted;  /* somebody waits for this one: do not dawdle */
	bool stopping, failed;
	bool closing; /* nobody is to wait any more: a full disk may keep the index back for ever */
};

/* ---- Dictionaries and compression contexts (frame.c, dictionary.c) ---- */

struct dictionary;
enum { CONTEXTS_MAX = 16 };
struct dictionaries {
	pthread_mutex_t lock;
	struct dictionary *all; /* newest first; never freed before the store is closed */
	_Atomic(struct dictionary *) current;
	char *samples; /* small messages to train from; NULL when none are wanted */
	size_t *sample_bytes;
	size_t sample_count, samples_len;
	atomic_bool wanted; /* take samples */
	bool ready;         /* enough of them: the upkeep thread trains */
	struct frame_contexts *idle[CONTEXTS_MAX];
	unsigned idle_count;
};

/* ---- Housekeeping thread (upkeep.c) ---- */

struct upkeep {
	pthread_t thread;
	bool running, stopping;
	pthread_mutex_t lock; /* one round at a time */
	pthread_mutex_t wake_lock;
	pthread_cond_t wake;
	struct number_map looked_at; /* segment -> live bytes when it was found not to be worth compacting */
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

struct ingest_pool {
	pthread_mutex_t lock;
	struct ingest *idle;
	unsigned count;
	struct frames_hold *holds;
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
	pthread_mutex_t directory_lock; /* one change of the directory at a time */
	struct applier applier;
	struct dictionaries dictionaries;
	struct upkeep upkeep;
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
	struct slice
		change; /* RECORD_CHANGE: as change_finish() left it, its length in front; else the payload's beginning */
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
MUST_CHECK int store_recover(struct store *store, bool fresh, bool salvage);
/* rebuild.c */
MUST_CHECK int store_rebuild(struct store *store, bool salvage);

/* upkeep.c */
void upkeep_init(struct store *store);
void upkeep_free(struct store *store);
MUST_CHECK int upkeep_start(struct store *store);
void upkeep_stop(struct store *store);
void upkeep_wake(struct store *store);

/* ---- Shards ---- */

enum { SHARD_BUCKETS = 4096 };
struct shard {
	struct store *store;
	unsigned number;
	struct account *accounts[SHARD_BUCKETS]; /* hashed by id */
	size_t account_count;
	struct account *idle_first, *idle_last; /* unreferenced, longest unused first */
	size_t idle_count;
	_Atomic size_t resident; /* account_count, for store_stats() */
	struct pending *pending_first, *pending_last;
	MDB_txn *txn; /* snapshot of the index; renewed after each tick */
	bool txn_active;
	uint64_t txn_applied;              /* what it reaches */
	struct buffer change, list, list2; /* scratch for encoding */
	pthread_mutex_t inbox_lock;        /* accounts whose directory entry changed */
	uint64_t *inbox;
	size_t inbox_count, inbox_room;
	atomic_bool inbox_full;
	struct account *ended; /* to be told in the next tick */
	size_t sweep;
};
MUST_CHECK int shard_new(struct store *store, unsigned number, struct shard **ret_shard);
void shard_free(struct shard **shard);
/* The shard's read transaction: at least as new as everything it has freed. */
MUST_CHECK int shard_snapshot(struct shard *shard, MDB_txn **ret_txn);
void shard_snapshot_end(struct shard *shard);
void shard_account_changed(struct shard *shard, uint64_t account); /* any thread */
void shard_inbox_run(struct shard *shard);

/* ---- Accounts in memory ---- */

struct resident_mailbox {
	struct mailbox_row row; /* first: its `pub` is what callers see */
	struct entry *entries;  /* sorted by UID; NULL while not loaded */
	size_t count, room;
	bool loaded;
	int64_t used_us; /* when entries were last asked for */
	struct view *views;
};
static inline struct resident_mailbox *resident_of(struct mailbox *mailbox)
{
	return CONTAINER_OF(mailbox, struct resident_mailbox, row.pub);
}

struct resident_rows {
	struct rows rows;
	struct account *of;
	struct mailbox_row *only; /* replaying what is pending into one mailbox's entries: everything else is ignored */
	struct resident_mailbox *only_mailbox;
	struct account_row only_account;
	struct view *by;         /* is not told of its own flag changes */
	struct pending *pending; /* being folded; NULL while replaying */
};

struct account {
	uint64_t id;
	struct shard *shard;
	struct account *next_in_bucket, *idle_prev, *idle_next, *next_ended;
	unsigned refs;
	bool is_idle, ended; /* ended: deleted or disabled */
	struct account_row row;
	struct resident_mailbox **mailboxes; /* by name */
	size_t mailbox_count, mailbox_room;
	struct resident_mailbox **gone; /* deleted, but viewed */
	size_t gone_count, gone_room;
	struct name_set subscriptions;
	struct pending *pending_first, *pending_last;
	uint64_t seq;              /* its newest record */
	struct number_map emails;  /* email -> struct pending that has it */
	struct number_map threads; /* hash -> thread: of pending records */
	struct number_map shares;  /* email -> live entries: those looked up or changed */
	struct account_listener *listeners;
	struct maildrop_holder holder;
	bool held;
	int64_t maildrop_last_ms;
	struct resident_rows fold;
};

/* resident.c */
MUST_CHECK int resident_load(struct shard *shard, uint64_t id, struct account **ret_account);
void resident_free(struct account **account);
MUST_CHECK int resident_entries(struct resident_mailbox *mailbox); /* loads them when they are not there */
void resident_entries_drop(struct resident_mailbox *mailbox);
/* Index of the first entry with a UID >= uid. */
size_t entries_from(const struct resident_mailbox *mailbox, uint32_t uid);
MUST_CHECK int resident_mailbox_insert(struct account *account, struct resident_mailbox *mailbox);
void resident_mailbox_take_out(struct account *account, struct resident_mailbox *mailbox);
void resident_mailbox_free(struct resident_mailbox *mailbox);
void account_gone_sweep(struct account *account); /* frees deleted mailboxes nobody views */
void account_pending_applied(struct account *account, struct pending *pending); /* the oldest one; freed */
MUST_CHECK int account_refresh(struct account *account); /* what the directory may have changed */

/* resident_rows.c */
void resident_rows_init(struct account *account);
MUST_CHECK int resident_fold(struct account *account, struct pending *pending, struct view *by);
MUST_CHECK int resident_replay(struct resident_mailbox *mailbox, uint64_t after_seq);
/* Pending expunges of a mailbox, their UIDs added to a list. */
MUST_CHECK int resident_vanished(
	struct resident_mailbox *mailbox, uint64_t after_seq, uint64_t modseq, struct uid_list *uids);
MUST_CHECK int resident_share(struct account *account, uint64_t email, uint32_t *ret_live);

/* change.c: every change of an account goes through here */
MUST_CHECK int change_start(struct account *account, const struct actor *actor, struct buffer **ret_change);
/* Appends, folds, tells the listeners of `mailbox` and `other` (each may be NULL). `reserve`: the change frees space or is small. */
MUST_CHECK int change_commit(struct account *account, const struct slice *bodies, size_t body_count, bool reserve,
	struct view *by, struct mailbox *mailbox, struct mailbox *other);
uint64_t account_new_id(const struct account *account, uint64_t nth);
void account_tell(struct account *account, struct mailbox *mailbox);
/* Names of keywords to bits; those not there yet are put into `fresh` and get the bits behind. -ENOBUFS, -EINVAL. */
MUST_CHECK int keywords_bits(const struct mailbox *mailbox, const struct slice *names, size_t count,
	struct buffer *fresh, uint64_t *fresh_count, uint64_t *ret_bits);

/* entries.c: puts an operation that moves everything into an empty mailbox with the number `target`. */
MUST_CHECK int entries_move_all(struct mailbox *mailbox, uint64_t target, uint64_t modseq, struct buffer *change);

/* ---- Views (view.c) ---- */

enum { VIEW_CHANGES_MAX = 256 };
struct view {
	struct resident_mailbox *mailbox;
	struct view *next;
	void (*changed)(void *owner);
	void *owner;
	uint32_t known; /* UIDs from here on were not told */
	uint32_t count;
	struct entry *gone; /* expunged, not told; sorted */
	uint32_t gone_count, gone_room;
	uint32_t change_count;
	uint32_t *changes;      /* sorted UIDs of entries whose flags changed */
	uint64_t changes_since; /* their MODSEQs are greater */
	uint64_t scan_since;    /* more than the list holds: all with a greater MODSEQ; 0: not so */
	uint32_t scan_from;     /* such a scan goes on here */
	unsigned keywords_told;
	bool told; /* `changed` was called, the owner has not taken all yet */
};
void view_flags_changed(struct view *view, uint32_t uid, uint64_t modseq);
MUST_CHECK int view_entry_gone(struct view *view, const struct entry *entry);
void view_wake(struct view *view);

/* ---- Bodies ---- */

enum { FRAME_RAW_BYTES = 262144, FRAME_HEADER_BYTES = 13, DICTIONARY_MESSAGE_MAX = 16384 };
/* Compresses into `out`, header first (frame.c). Any thread. */
MUST_CHECK int frame_pack(struct store *store, struct slice raw, bool whole_message, struct buffer *out);
/* -EBADMSG: CRC, size or dictionary do not fit. Appends to `out`. */
MUST_CHECK int frame_unpack(struct store *store, struct slice stored, struct buffer *out);
/* Appends a frame as a record of its own; fills place and offset. */
MUST_CHECK int frame_write(struct store *store, struct slice stored, struct frame_ref *ref);
void frame_contexts_free_all(struct dictionaries *dictionaries);

void dictionaries_init(struct store *store);
MUST_CHECK int dictionaries_load(struct store *store);
void dictionaries_free(struct store *store);
MUST_CHECK int dictionary_learn(struct store *store, uint32_t id, struct slice bytes); /* from the index or a record */
void dictionary_sample(struct store *store, struct slice message);
bool dictionary_is_due(struct store *store);
MUST_CHECK int dictionary_train(struct store *store); /* upkeep thread */
/* Writes it again, at the end of the journal. */
MUST_CHECK int dictionary_rewrite(struct store *store, uint32_t id, uint64_t *ret_seq);

/* body.c: without an account, for checks and compaction. -ENOENT: a segment is gone. */
MUST_CHECK int body_reader_for_row(struct store *store, const struct email_row *row, struct body_reader **ret_reader);

/* email.c: where an email's description is now, pending or in the index. */
MUST_CHECK int email_row_find(struct account *account, uint64_t id, struct email_row *ret_row, struct buffer *frames);

/* thread.c */
uint32_t thread_hashes(const struct mail_message *message, struct buffer *out); /* le64 each; returns how many */
/* The thread an email joins: 0 when it begins a new one. Hashes not known yet are appended to `fresh`. */
MUST_CHECK int thread_find(struct account *account, struct slice hashes, uint64_t *ret_thread, struct buffer *fresh,
	uint64_t *ret_fresh_count);

/* ingest.c */
struct ingest {
	struct store *store;
	struct ingest *next_idle;
	struct mail_parser *parser;
	struct buffer raw;    /* canonical, of the frame being filled */
	struct buffer stored; /* the last frame, compressed: goes into the email's own record */
	struct buffer frames; /* frame_ref of those written ahead */
	struct buffer packed;
	struct buffer hashes; /* le64 each: of References, then of the Message-ID */
	uint32_t frame_count, hash_count, last_raw_bytes;
	uint64_t bytes;
	struct mail_canon canon;
	struct frames_hold hold;
	bool finished;
	int error;
};
void ingests_free(struct store *store);
/* Before each frame, and after it. To be released after the record that names the frames was appended, or when there will be none. */
void frames_hold(struct store *store, struct frames_hold *hold);
MUST_CHECK int frames_hold_place(struct store *store, struct frames_hold *hold, const struct record_place *place);
void frames_release(struct store *store, struct frames_hold *hold);
bool frames_are_held(struct store *store, const struct segment_info *segment);

#endif
