/*
 * The rows that changes are folded into, and how they are stored. The fold (fold.h) sees them through `struct rows`, which two
 * places implement: an LMDB transaction (index_rows.c) and the memory of an account that is in use (resident_rows.c).
 */
#ifndef PENFOLD_STORE_ROWS_H
#define PENFOLD_STORE_ROWS_H

#include "store/mailbox.h"
#include "store/names.h"
#include "store/record.h"

struct account_row {
	uint64_t modseq;  /* the newest */
	uint64_t next_id; /* counter of mailbox, email and thread ids */
	uint64_t used_bytes, used_messages;
	uint64_t quota_bytes;
	uint64_t snapshot_seq; /* the journal has a whole snapshot of the state after this sequence number; 0: none */
	uint32_t uidvalidity;  /* the newest given out */
	int64_t deleted_ms;    /* 0: it was not */
	bool disabled, deleted;
};
void account_row_put(struct buffer *b, const struct account_row *row);
MUST_CHECK int account_row_read(struct slice bytes, struct account_row *ret_row);

struct mailbox_row {
	struct mailbox pub;      /* name and keywords are owned by the row */
	uint64_t history_modseq; /* expunges up to here may have been forgotten */
	bool dirty;              /* the index's: to be written */
	unsigned keyword_room;
	struct slice *keywords;
};
MUST_CHECK int mailbox_row_set_name(struct mailbox_row *row, struct slice name);
/* The bit of a keyword; added when it is not there. -ENOBUFS: there are 64. */
MUST_CHECK int mailbox_row_add_keyword(struct mailbox_row *row, struct slice name, unsigned *ret_bit);
bool mailbox_row_keyword(const struct mailbox *mailbox, struct slice name, unsigned *ret_bit);
void mailbox_row_clear(struct mailbox_row *row); /* frees what it owns */
void mailbox_row_put(struct buffer *b, const struct mailbox_row *row);
MUST_CHECK int mailbox_row_read(struct slice bytes, struct mailbox_row *ret_row); /* into an empty row */

enum { ENTRY_ROW_BYTES = 44 };
void entry_row_put(char row[ENTRY_ROW_BYTES], const struct entry *entry); /* all but the UID, which is in the key */
void entry_row_read(const char row[ENTRY_ROW_BYTES], uint32_t uid, struct entry *ret_entry);

/* An email as the index keeps it: all its frames have places. */
struct email_row {
	uint64_t thread, bytes;
	uint64_t home; /* segment of the record that has the description */
	struct op_list frames;
	struct slice described; /* description_read() (description.h) */
};
void email_row_put(struct buffer *b, const struct email_row *row);
MUST_CHECK int email_row_read(struct slice bytes, struct email_row *ret_row);
/* What counts as alive of it in its home segment, beside frames. */
uint64_t email_row_home_bytes(const struct email_row *row);

/* What is folded: one RECORD_CHANGE. */
struct folding {
	uint64_t account, seq;
	struct record_place place;
	struct slice change;
	uint32_t bodies_at;
};
/* Frames "in this record" get the record's place. */
void frames_resolve(struct op_list frames, const struct folding *record, struct buffer *out);

struct rows;
/*
 * All may fail with -ENOMEM, -EIO and the like. Rows found stay good until the next record; changed ones get `dirty`.
 * Where there is no such thing: -ENOENT. What an implementation does not keep it ignores.
 */
struct rows_ops {
	int (*account)(struct rows *rows, bool create, struct account_row **ret_row); /* rows->account */
	int (*identity)(struct rows *rows, const struct op_account *identity);        /* NULL: it is deleted */
	int (*account_purge)(struct rows *rows, uint64_t deleted_ms);
	int (*mailbox)(struct rows *rows, uint64_t id, struct mailbox_row **ret_row);
	int (*mailbox_add)(struct rows *rows, const struct op_mailbox *op, struct mailbox_row **ret_row);
	int (*mailbox_renamed)(struct rows *rows, struct mailbox_row *row, struct slice name);
	int (*mailbox_deleted)(struct rows *rows, struct mailbox_row *row);
	int (*subscribe)(struct rows *rows, struct slice name, bool on);
	/* The first entry with a UID >= uid. */
	int (*entry_from)(struct rows *rows, struct mailbox_row *row, uint32_t uid, struct entry *ret_entry);
	int (*entry_add)(struct rows *rows, struct mailbox_row *row, const struct entry *entry); /* UID above all */
	int (*entry_change)(struct rows *rows, struct mailbox_row *row, const struct entry *entry);
	int (*entries_remove)(struct rows *rows, struct mailbox_row *row, struct op_list ranges);
	int (*expunged)(struct rows *rows, struct mailbox_row *row, uint64_t modseq, const struct entry *entry);
	/* Once per change that expunges: who and when. */
	int (*expunged_head)(
		struct rows *rows, struct mailbox_row *row, uint64_t modseq, const struct change_head *head);
	int (*share)(struct rows *rows, uint64_t email, uint32_t *ret_live, uint32_t *ret_kept);
	int (*share_put)(struct rows *rows, uint64_t email, uint32_t live, uint32_t kept);
	int (*email)(struct rows *rows, const struct email_description *email, const struct folding *record);
	int (*relocate)(struct rows *rows, const struct email_description *email, const struct folding *record);
	int (*thread)(struct rows *rows, uint64_t hash, uint64_t thread);
	int (*purge)(struct rows *rows, const struct op_purge *op);
	int (*domain)(struct rows *rows, struct slice domain, bool on);
	int (*alias)(struct rows *rows, const struct op_alias *op);
	int (*next_account)(struct rows *rows, uint64_t next);
};
struct rows {
	const struct rows_ops *ops;
	uint64_t account;
	bool emails_only; /* a rebuild that has a newer snapshot of the state: only emails and threads are taken */
};

#endif
