/*
 * Shards, and what a shard's thread has in memory: accounts, mailboxes, views. All of it belongs to that thread; only what is marked
 * so may be called from others.
 */
#ifndef PENFOLD_STORE_RESIDENT_H
#define PENFOLD_STORE_RESIDENT_H

#include "store/engine.h"

/* ---- Shards ---- */

/* Where in a pending record the email was that was looked up last; seq 0: nowhere. */
struct email_trail {
	uint64_t seq;
	struct reader items; /* of those after it */
};

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
	uint64_t txn_applied; /* what it reaches */
	struct email_trail trail;
	struct index_walk emails;          /* in it: where the email is that was looked up last */
	struct buffer change, list, list2; /* scratch for encoding */
	struct lock inbox_lock;            /* accounts whose directory entry changed */
	uint64_t *inbox;
	size_t inbox_count, inbox_room;
	atomic_bool inbox_full;
	struct account *ended; /* to be told in the next tick */
	size_t sweep;
	int64_t tick_us; /* monotonic, of the last tick */
	bool has_stale;  /* one of its accounts is */
};
MUST_CHECK int shard_new(struct store *store, unsigned number, struct shard **ret_shard);
void shard_free(struct shard **shard);
/* The shard's read transaction: at least as new as everything it has freed. */
MUST_CHECK int shard_snapshot(struct shard *shard, MDB_txn **ret_txn);
void shard_snapshot_end(struct shard *shard);
/* An email's row in the snapshot; quickest for the one after that which was asked for last. -ENOENT. */
MUST_CHECK int shard_email_row(struct shard *shard, uint64_t id, struct slice *ret_value);
void shard_account_changed(struct shard *shard, uint64_t account); /* any thread */
/* What is in memory of it may be wrong: its sessions end, and it is loaded anew once they have. Any thread. */
void shard_account_stale(struct shard *shard, uint64_t account);
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
	bool is_idle, ended; /* ended: deleted or disabled, or stale */
	bool stale; /* not to be used any more, but gone only when nobody holds it and nothing of it is pending */
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
/* Would `more` entries be too many? A copy takes no quota, but memory while the account is used. */
bool account_is_full(const struct account *account, uint64_t more);
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
enum change_kind {
	CHANGE_LARGE, /* takes space */
	CHANGE_SMALL, /* frees space or is small: may use the reserve */
	CHANGE_FLAGS, /* small, and settings.flags_unsynced is about it */
};
/* Appends, folds, tells the listeners of `mailbox` and `other` (each may be NULL). */
MUST_CHECK int change_commit(struct account *account, const struct slice *bodies, size_t body_count,
	enum change_kind kind, struct view *by, struct mailbox *mailbox, struct mailbox *other);
/* A change from the journal that the index does not have yet, while nobody is there to be told. The account keeps it in every case. */
MUST_CHECK int change_restore(struct account *account, struct pending *pending);
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

#endif
