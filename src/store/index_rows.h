/*
 * Folding into an LMDB transaction. Records come grouped by account: an account's row and its mailboxes' rows are read once, kept
 * decoded while its records are folded, and written once. One thread at a time.
 */
#ifndef PENFOLD_STORE_INDEX_ROWS_H
#define PENFOLD_STORE_INDEX_ROWS_H

#include "store/index.h"
#include "store/number_map.h"
#include "store/rows.h"

#define INDEX_EMAIL_CAME ((uint64_t)1)
#define INDEX_EMAIL_WENT ((uint64_t)1 << 32)
struct index_rows {
	struct rows rows;
	struct index *index;
	MDB_txn *txn;
	bool relocating; /* the email at hand is put where it is now */
	bool rebuilding; /* emails may be there already, and relocations may be the first to tell of one */
	struct account_row account;
	bool account_known, account_there;
	struct mailbox_row **mailboxes;
	size_t mailbox_count, mailbox_room;
	struct name_set subscriptions;
	bool subscriptions_known, subscriptions_dirty;
	struct index_walk entries;
	struct number_map live;   /* segment -> change of its live bytes, modulo 2^64 */
	struct number_map loose;  /* segment -> bytes of frames that came in; each is in `live`, too */
	struct number_map emails; /* account -> emails put, and in the upper half dropped */
	uint64_t next_account;    /* 0: unchanged */
	struct buffer scratch, frames;
};

MUST_CHECK int index_rows_new(struct index *index, struct index_rows **ret_rows);
void index_rows_free(struct index_rows **rows);
void index_rows_start(struct index_rows *rows, MDB_txn *txn); /* forgets what it holds */
MUST_CHECK int index_rows_fold(struct index_rows *rows, const struct folding *record);
MUST_CHECK int index_rows_select(struct index_rows *rows, uint64_t account); /* writes the one before */
MUST_CHECK int index_rows_finish(struct index_rows *rows);                   /* writes everything held; then commit */
/* Upserts an email with its live bytes, for rebuilding; and drops one nobody has. */
MUST_CHECK int index_email_put(struct index_rows *rows, uint64_t id, const struct email_row *row);
MUST_CHECK int index_email_forget(struct index_rows *rows, uint64_t id);
/* Remembers what a deleted account has given out: its address may become another's. */
MUST_CHECK int index_uidvalidity_note(struct index_rows *rows, uint64_t highest);

#endif
