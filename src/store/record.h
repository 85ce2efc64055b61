/*
 * What stands in the journal's records: encoding and decoding, no I/O, no state. Every byte read is checked; damage is -EBADMSG.
 * A RECORD_CHANGE payload is: le32 length of the change part, the change part, then bodies. The change part is a head (who, when) and one
 * or more operations, which happen together or not at all. What a change brings about (UIDs, MODSEQs, ids) stands in it as it came out, so
 * that folding it again always gives the same state. Lists in an operation stay encoded; the *_next() functions walk them.
 */
#ifndef PENFOLD_STORE_RECORD_H
#define PENFOLD_STORE_RECORD_H

#include "base/codec.h"
#include "store/durability.h"
#include "store/mailbox.h"

enum record_kind {
	RECORD_FRAME = 1,      /* a piece of a large body, written ahead of its email */
	RECORD_CHANGE,         /* of one account; account 0: the domains and aliases */
	RECORD_DICTIONARY,     /* le32 id, then a zstd dictionary */
	RECORD_SNAPSHOT_BEGIN, /* varint: the state is that after this sequence number */
	RECORD_SNAPSHOT_PART,  /* operations OP_STATE_... */
	RECORD_SNAPSHOT_END,   /* varint: the same number, varint: how many parts */
};

enum op_kind {
	OP_ACCOUNT_SET = 1,
	OP_ACCOUNT_DELETE,
	OP_ACCOUNT_PURGE,
	OP_MAILBOX_CREATE,
	OP_MAILBOX_RENAME,
	OP_MAILBOX_DELETE,
	OP_SUBSCRIBE,
	OP_APPEND,
	OP_FLAGS,
	OP_EXPUNGE,
	OP_COPY,
	OP_PURGE,
	OP_RELOCATE,
	OP_DOMAIN,
	OP_ALIAS,
	OP_NEXT_ACCOUNT,
	OP_STATE_ACCOUNT, /* the rest only in snapshots */
	OP_STATE_MAILBOX,
	OP_STATE_ENTRIES,
	OP_STATE_EXPUNGED,
	OP_STATE_SHARES,
	OP_STATE_UIDVALIDITY, /* the highest that a deleted account had */
	OP_KINDS
};

/* Bits of entry.flags that are ours and never shown. */
enum {
	ENTRY_SHARED = 0x8000, /* other entries may have the same email: its count stands in the shares */
	ENTRY_MOVED = 0x4000,  /* of an expunged entry: the email lives on elsewhere, this row holds nothing */
};

struct change_head {
	enum store_protocol protocol;
	int64_t time_ms;
	struct slice device, address;
};
struct op_list { /* `count` things, encoded one after the other */
	uint64_t count;
	struct slice bytes;
};

/* A compressed piece of a body. In a record, segment 0 means: in this record's bodies, from `offset` on. */
struct frame_ref {
	struct record_place place;
	uint32_t offset; /* in the payload at `place` */
	uint32_t stored_bytes, raw_bytes;
};

struct email_description {
	uint64_t id, thread, bytes;
	struct op_list frames;  /* frame_ref_next() */
	struct op_list hashes;  /* le64 each: hashed message ids from now on known to belong to the thread */
	struct slice described; /* description_read() (description.h) */
};

struct append_entry {
	uint16_t flags;
	int16_t zone;
	uint64_t keywords;
	uint32_t internaldate;
	struct email_description email;
};

struct op_account {
	struct slice address, secret;
	uint64_t quota_bytes;
	unsigned allowed;
	bool disabled;
	int64_t created_ms;
};
struct op_mailbox { /* CREATE; of it RENAME uses id, modseq, name; DELETE id, modseq */
	uint64_t id, modseq;
	uint32_t uidvalidity;
	unsigned special_use;
	struct slice name;
};
struct op_append {
	uint64_t mailbox, modseq;
	uint32_t first_uid;
	struct op_list keywords; /* new to the mailbox: sized names */
	struct op_list items;    /* append_entry_next() */
};
struct op_flags {
	uint64_t mailbox, modseq;
	enum flags_mode mode;
	unsigned flags;
	uint64_t keywords;
	struct op_list new_keywords;
	struct op_list ranges; /* range_next(): entries that are there and in a range are all meant */
};
struct op_expunge {
	uint64_t mailbox, modseq;
	struct op_list ranges;
};
struct op_copy {
	uint64_t mailbox, target, modseq;
	uint32_t first_uid;
	bool move;
	struct op_list new_keywords; /* to the target */
	struct op_list ranges;       /* of the source */
	struct op_list entries;      /* what they became, entry_next(): without uid, modseq and savedate */
};
struct op_purge {
	uint64_t mailbox, modseq;
	int64_t when_ms;
};
struct op_alias {
	struct slice address;
	struct op_list targets; /* sized addresses; none: the alias goes */
};

struct op {
	enum op_kind kind;
	union {
		struct op_account account;
		struct op_mailbox mailbox;
		struct {
			bool on;
			struct slice name;
		} name; /* SUBSCRIBE, DOMAIN */
		struct op_append append;
		struct op_flags flags;
		struct op_expunge expunge;
		struct op_copy copy;
		struct op_purge purge;
		struct email_description relocate;
		struct op_alias alias;
		uint64_t number;
		struct slice row; /* STATE_ACCOUNT, STATE_MAILBOX (le64 id first) */
		struct {
			uint64_t mailbox, modseq;
			struct slice head; /* EXPUNGED: the row that names who and when */
			struct op_list list;
		} state; /* ENTRIES, EXPUNGED: entry rows; SHARES: le64 email, le32 live, le32 kept */
	};
};

/* ---- Reading ---- */

/* Splits a RECORD_CHANGE payload; *ret_bodies_at is where, in the payload, bodies begin. */
MUST_CHECK int change_split(struct slice payload, struct slice *ret_change, uint32_t *ret_bodies_at);
void change_head_read(struct reader *r, struct change_head *head);
/* The next operation; false at the end and at damage: see reader_error(). Its lists have been walked once and are sound. */
bool op_next(struct reader *r, struct op *op);

struct reader op_list_reader(struct op_list list);
bool range_next(struct reader *r, uint32_t *last, struct uid_range *ret_range); /* *last starts as 0 */
bool append_entry_next(struct reader *r, struct append_entry *ret_entry);
bool frame_ref_next(struct reader *r, struct frame_ref *ret_ref);
bool copied_entry_next(struct reader *r, struct entry *ret_entry);

/* ---- Writing: appended to a buffer, whose error sticks ---- */

/* With its four length bytes in front, filled in by change_finish(). */
void change_begin(struct buffer *b, const struct actor *actor, int64_t time_ms);
void change_finish(struct buffer *b);
void op_put_account(struct buffer *b, const struct op_account *op);
void op_put_mailbox(struct buffer *b, enum op_kind kind, const struct op_mailbox *op);
void op_put_name(struct buffer *b, enum op_kind kind, bool on, struct slice name);
void op_put_number(struct buffer *b, enum op_kind kind,
	uint64_t number); /* ACCOUNT_DELETE, ACCOUNT_PURGE, NEXT_ACCOUNT, STATE_UIDVALIDITY */
void op_put_append(struct buffer *b, const struct op_append *op); /* then op.items.count × append_entry_put() */
void append_entry_put(struct buffer *b, const struct append_entry *entry);
void op_put_flags(struct buffer *b, const struct op_flags *op);
void op_put_expunge(struct buffer *b, const struct op_expunge *op);
void op_put_copy(struct buffer *b, const struct op_copy *op);
void copied_entry_put(struct buffer *b, const struct entry *entry);
void op_put_purge(struct buffer *b, const struct op_purge *op);
void op_put_relocate(struct buffer *b, const struct email_description *email);
void op_put_alias(struct buffer *b, struct slice address, const struct slice *targets, size_t count);
void op_put_row(struct buffer *b, enum op_kind kind, struct slice row);
void op_put_state(
	struct buffer *b, enum op_kind kind, uint64_t mailbox, uint64_t modseq, struct slice head, struct op_list list);
void range_put(struct buffer *b, uint32_t *last, struct uid_range range);
void frame_ref_put(struct buffer *b, const struct frame_ref *ref);

#endif
