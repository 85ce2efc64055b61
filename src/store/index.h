/*
 * The index: the folded state in LMDB, in `<data>/index`. Written by one thread at a time in synced transactions; read from any thread
 * in transactions that are not tied to threads. Errors are negative errno: -ENOENT (no such key), -ENOSPC (disk or map
 * full), -EBADMSG (damaged), -EIO.
 *
 * LMDB trusts what it reads. So every value carries a CRC-32C over its table, key and value, looked at whenever it is read; and index_verify(),
 * before each opening, goes through the whole file by itself and believes nothing.
 */
#ifndef PENFOLD_STORE_INDEX_H
#define PENFOLD_STORE_INDEX_H

#include <lmdb.h>

#include "base/buffer.h"
#include "store/disk/file.h"

enum index_table {
	TABLE_META,          /* name -> le64 */
	TABLE_IDENTITIES,    /* account -> OP_ACCOUNT_SET */
	TABLE_ADDRESSES,     /* domain NUL local -> le64 account */
	TABLE_ALIASES,       /* domain NUL local -> sized targets */
	TABLE_DOMAINS,       /* domain -> nothing */
	TABLE_ACCOUNTS,      /* account -> account_row */
	TABLE_MAILBOXES,     /* mailbox -> mailbox_row; deleted ones until their history is gone */
	TABLE_SUBSCRIPTIONS, /* account -> name_set */
	TABLE_ENTRIES,       /* mailbox, uid -> entry row */
	TABLE_EMAILS,        /* email -> email_row */
	TABLE_SHARES, /* email -> le32 live, le32 kept: entries and expunged entries that have it, when ever more than one */
	TABLE_EXPUNGED, /* mailbox, modseq, uid -> entry row; uid 0: who and when, a head of a change */
	TABLE_EXPIRY, /* ms, mailbox, modseq -> nothing: what is kept in EXPUNGED since when. Modseq 0: a deleted account */
	TABLE_THREADS,      /* account, hash of a message id -> le64 thread */
	TABLE_SEGMENTS,     /* segment -> struct segment_row */
	TABLE_LARGE,        /* segment, email -> nothing: the segment has a frame of the email, whose home is another */
	TABLE_DICTIONARIES, /* be32 id -> le64 segment of its newest record, zstd dictionary */
	TABLE_COUNT
};

struct index {
	MDB_env *env;
	MDB_dbi tables[TABLE_COUNT];
};

/* In `<dir>/<name>`: the one in use is "index"; made anew it is "index.new" until it is whole. */
#define INDEX_NAME     "index"
#define INDEX_NEW_NAME "index.new"
/*
 * -EBADMSG: what is there is no index of ours or damaged. *ret_fresh: it was made just now and knows nothing. The name of one that is opened
 * is durable: none that it replaced comes back after a power cut. `files` is for the directory: LMDB reads and writes by itself.
 */
MUST_CHECK int index_open(const struct file_system *files, struct slice dir, const char *name, uint64_t bytes_max,
	struct index **ret_index, bool *ret_fresh);
void index_close(struct index **index);
/* The files; not while open. */
MUST_CHECK int index_remove(const struct file_system *files, struct slice dir, const char *name);
/* Puts a new one, closed, in the place of the one in use. At no moment is there neither. */
MUST_CHECK int index_replace(const struct file_system *files, struct slice dir);
/*
 * Reads the file of one that is not open: its pages, how they hang together, every checksum. -ENOENT: it is not there;
 * -EBADMSG: `detail` says where it is not sound; -EIO: it cannot be read. (index_verify.c)
 */
MUST_CHECK int index_verify(struct slice dir, const char *name, struct buffer *detail);
enum { INDEX_CRC_BYTES = 4 }; /* behind each value */
uint32_t index_crc(enum index_table table, struct slice key, struct slice value);
const char *index_table_name(enum index_table table);

MUST_CHECK int index_begin(struct index *index, bool write, MDB_txn **ret_txn);
/*
 * Both end it in any case. -ENOSPC also where LMDB says -EIO because a write came back short and there is no room. When there was none just
 * for that moment - somebody else asked for more than there is - it stays -EIO: whoever can may try again.
 */
MUST_CHECK int index_commit(MDB_txn *txn);
MUST_CHECK int index_abort(MDB_txn *txn, int error); /* of what failed meanwhile */
MUST_CHECK int index_error(int mdb_error);

/* Keys are numbers in big-endian order, so that they sort as numbers. */
struct index_key {
	unsigned char bytes[24];
	size_t len;
};
struct index_key key_of(uint64_t number);
struct index_key key_pair(uint64_t first, uint64_t second);
struct index_key key_entry(uint64_t mailbox, uint32_t uid);
struct index_key key_expunged(uint64_t mailbox, uint64_t modseq, uint32_t uid);
struct index_key key_triple(uint64_t first, uint64_t second, uint64_t third);
struct slice key_slice(const struct index_key *key);
uint64_t key_number(struct slice key, size_t at); /* 8 bytes from `at`; 0 beyond the end */
uint32_t key_number32(struct slice key, size_t at);

MUST_CHECK int index_get(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct slice *ret_value);
/* `value` must not be what index_get() or a walk returned: that may move while this is written. */
MUST_CHECK int index_put(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct slice value);
/*
 * The same, for rows that come in the order of their keys, and of which two to four fit into a page: full pages stay full. (What LMDB does by
 * itself leaves a page of a sequence without the last row that it had, a third of it or half.) Nothing may have a key that goes on
 * where this one ends.
 */
MUST_CHECK int index_put_next(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key, struct slice value);
MUST_CHECK int index_delete(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key); /* 0 if absent */
MUST_CHECK int index_get_number(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key, uint64_t *ret_number);
MUST_CHECK int index_put_number(
	struct index *index, MDB_txn *txn, enum index_table table, struct slice key, uint64_t number);

/* What lies in a segment of the journal. */
struct segment_row {
	uint64_t live; /* bytes of emails that somebody has */
	uint64_t
		loose; /* bytes of frames that came in, rather than being copied there, and so may be packed again; some may be gone */
};
MUST_CHECK int index_segment_get(struct index *index, MDB_txn *txn, uint64_t segment,
	struct segment_row *ret_row); /* zeros when there is none */
/* Of one in which nothing lives there is no row. */
MUST_CHECK int index_segment_put(struct index *index, MDB_txn *txn, uint64_t segment, const struct segment_row *row);
MUST_CHECK int segment_row_read(struct slice value, struct segment_row *ret_row); /* -EBADMSG */

/* How far the index reaches; 0: nothing yet. */
MUST_CHECK int index_applied(struct index *index, MDB_txn *txn, uint64_t *ret_seq);

/* Walking: from the first key >= `key`. A walk is zero-initialised and ended by index_walk_end(); keys and values point into the map. */
struct index_walk {
	MDB_cursor *cursor;
	struct slice key, value;
	enum index_table table;
};
MUST_CHECK int index_walk_from(struct index *index, MDB_txn *txn, enum index_table table, struct slice key,
	struct index_walk *walk);                          /* -ENOENT: there is none */
MUST_CHECK int index_walk_next(struct index_walk *walk);   /* -ENOENT: it was the last. Goes on after -EBADMSG */
MUST_CHECK int index_walk_delete(struct index_walk *walk); /* the one it stands on; next: the one after it */
void index_walk_end(struct index_walk *walk);

#define INDEX_APPLIED      SLICE("applied")
#define INDEX_READY        SLICE("ready")  /* it knows everything up to INDEX_APPLIED */
#define INDEX_SEARCH       SLICE("search") /* random: which files of words (searcher.h) go with it */
#define INDEX_NEXT_ACCOUNT SLICE("next-account")
#define INDEX_UIDVALIDITY  SLICE("uidvalidity") /* the highest that a deleted account had */

#endif
