/*
 * What is in a mailbox: entries, changes to them, and views with stable sequence numbers. On the account's shard only.
 *
 * Entries of a mailbox are loaded at their first use and stay in memory while somebody has a view on it. mailbox.h never opens a
 * message; SELECT and STATUS need no entries at all.
 */
#ifndef PENFOLD_STORE_MAILBOX_H
#define PENFOLD_STORE_MAILBOX_H

#include "store/account.h"

enum {
	FLAG_SEEN = 1,
	FLAG_ANSWERED = 2,
	FLAG_FLAGGED = 4,
	FLAG_DELETED = 8,
	FLAG_DRAFT = 16,
	FLAGS_ALL = 31,
};

struct entry {
	uint32_t uid;
	uint16_t flags; /* FLAG_ bits */
	int16_t zone;   /* of INTERNALDATE, minutes east */
	uint64_t modseq;
	uint64_t email;        /* EMAILID, as a number */
	uint64_t keywords;     /* bit i: mailbox->keywords[i] */
	uint64_t bytes;        /* RFC822.SIZE */
	uint32_t internaldate; /* seconds since 1970 UTC */
	uint32_t savedate;
};

struct flag_set {
	unsigned flags;
	const struct slice *keywords; /* names, compared without regard to ASCII case; the first spelling is kept */
	size_t keyword_count;
};

/* ---- Views: what one session has selected ---- */

/*
 * A view has the sequence numbers the session was told of. Others' changes queue up until the session takes them with view_next().
 * An entry that is gone but not yet told stays readable (RFC 2180 §4.1.1).
 */
struct view;
struct view_change {
	enum {
		VIEW_NONE,
		VIEW_EXPUNGED,
		VIEW_EXISTS,
		VIEW_FLAGS,
		VIEW_KEYWORDS /* the mailbox has new keywords */
	} kind;
	uint32_t seq; /* EXPUNGED: its number at this moment; EXISTS: the new count; FLAGS: which */
	uint32_t uid; /* EXPUNGED, FLAGS */
};
/* `changed` is called in the turn in which a change queued up, once until view_next() has been drained; no store calls inside. */
MUST_CHECK int view_open(struct mailbox *mailbox, void (*changed)(void *owner), void *owner, struct view **ret_view);
void view_close(struct view **view);
struct mailbox *view_mailbox(const struct view *view);
uint32_t view_count(const struct view *view);       /* O(1), without loading entries */
bool view_mailbox_is_gone(const struct view *view); /* deleted: the session is told and deselects */
/* The next change, in an order that may be sent as it is: expunges (unless kept back), then new ones, then flags. */
MUST_CHECK int view_next(struct view *view, bool with_expunges, struct view_change *ret_change);
bool view_has_changes(const struct view *view);

/* -ENOENT: out of range. Loads entries when needed (then -EIO, -EBADMSG, -ENOMEM are possible). */
MUST_CHECK int view_entry(struct view *view, uint32_t seq, struct entry *ret_entry);
/*
 * The entries from `seq` on that lie one behind the other, lent until the next call of the store; `flags` may have bits beyond FLAGS_ALL. None where an
 * entry comes first that is gone. Errors as view_entry().
 */
MUST_CHECK int view_entries(struct view *view, uint32_t seq, const struct entry **ret_entries, uint32_t *ret_count);
/* Moves *seq on to the first entry from there whose MODSEQ is above `modseq`, or behind the last. Errors as view_entry(). */
MUST_CHECK int view_skip_unchanged(struct view *view, uint64_t modseq, uint32_t *seq);
MUST_CHECK int view_seq_of(struct view *view, uint32_t uid, uint32_t *ret_seq); /* -ENOENT */
/* First sequence number whose UID is >= uid; count + 1 when there is none. */
MUST_CHECK int view_seq_from(struct view *view, uint32_t uid, uint32_t *ret_seq);
/* First entry without \Seen; -ENOENT when all are seen. O(1) when mailbox->unseen is 0. */
MUST_CHECK int view_first_unseen(struct view *view, uint32_t *ret_seq);
/* Does the entry still exist, or is it only kept readable for this view? */
bool view_entry_is_expunged(struct view *view, uint32_t uid);

/* ---- Changes. Each is one journal record, whole or not at all. ---- */

enum flags_mode { FLAGS_REPLACE, FLAGS_ADD, FLAGS_REMOVE };
/*
 * STORE. UIDs not there are passed over. With unchanged_since != UINT64_MAX entries with a greater MODSEQ are left and listed in `modified`
 * (may be NULL). `changed` (may be NULL) lists entries whose flags really changed (their MODSEQ is new). Changes are not queued for `by` (may be NULL).
 * -ENOBUFS: too many keywords.
 */
MUST_CHECK int entries_store(struct mailbox *mailbox, struct uid_set uids, enum flags_mode mode,
	const struct flag_set *flags, uint64_t unchanged_since, struct view *by, const struct actor *actor,
	struct uid_list *changed, struct uid_list *modified);

/*
 * COPY and MOVE within an account: `from` and `to` list, ascending and one to one, what was copied and what it became (COPYUID).
 * Flags, INTERNALDATE and keywords are kept, but for keywords the target's table has no room for; the email is shared. Moved entries
 * queue as expunged for every view, `by` included. -EDQUOT: more messages than settings.messages_max.
 */
MUST_CHECK int entries_copy(struct mailbox *mailbox, struct uid_set uids, struct mailbox *target, bool move,
	const struct actor *actor, struct uid_list *from, struct uid_list *to);

/* Expunges the UIDs that are there (with only_deleted: those of them with \Deleted). They stay restorable for the retention time. */
MUST_CHECK int entries_expunge(struct mailbox *mailbox, struct uid_set uids, bool only_deleted,
	const struct actor *actor, struct uid_list *expunged);

/* ---- Without a view: STATUS, POP3, search ---- */

/* Walks the entries with UID >= uid; false after the last. *ret_error says why it stopped when not 0. */
MUST_CHECK bool mailbox_entry_from(struct mailbox *mailbox, uint32_t uid, struct entry *ret_entry, int *ret_error);

/*
 * RFC 7162: UIDs expunged after `modseq`, within `known` (empty set: all). When history does not reach back, every UID of `known` (or up
 * to UIDNEXT) that is not there.
 */
MUST_CHECK int mailbox_vanished(
	struct mailbox *mailbox, uint64_t modseq, struct uid_set known, struct uid_list *vanished);

#endif
