/*
 * What the message commands share beyond session.h: walking the messages of a set, telling of vanished ones.
 */
#ifndef PENFOLD_IMAP_SYNC_H
#define PENFOLD_IMAP_SYNC_H

#include "imap/session.h"

enum { SYNC_RANGES_MAX = 1 << 20 /* ranges in a list of UIDs: 8 MiB */ };

/* So much may be written after a look at session_is_full() without the queue growing far over its limit. */
size_t sync_piece_bytes(const struct imap_session *s);

/* The answer when session_resolve() or what followed it failed: BAD for numbers that are out of range (RFC 9051 §9, seq-number). */
void sync_set_error(struct imap_session *s, int error);

/* A FETCH that tells of changed flags names the UID: RFC 9051 §7.5.2 for what comes unasked, RFC 7162 §3.2.4 once CONDSTORE is enabled. */
bool sync_names_uid(const struct imap_session *s);

/*
 * Walks the messages of the view whose UIDs are in a list, in order. Holds across turns of the loop. All but `changed_since` begins with zero.
 */
struct sync_walk {
	size_t range;
	uint32_t seq;           /* the next to look at; 0: find the range's first */
	uint64_t changed_since; /* only messages with a MODSEQ above it */
};
/* False after the last, or on an error (*ret_error then not 0). */
MUST_CHECK bool sync_walk_next(struct imap_session *s, const struct uid_list *uids, struct sync_walk *walk,
	uint32_t *ret_seq, struct entry *ret_entry, int *ret_error);

MUST_CHECK int sync_copy_uids(const struct uid_list *from, struct uid_list *to);
/* A client's UID set as it stands (count 0: all), whether the messages are there or not, from the UID `from` up to UIDNEXT - 1. */
MUST_CHECK int sync_known_uids(
	struct imap_session *s, const struct imap_set *set, uint32_t from, struct uid_list *ret_uids);

/*
 * UIDs within `known` that vanished after `modseq` and that the view does not show any more: those it still shows are told
 * of without EARLIER, because they have sequence numbers to lose (RFC 7162 §3.2.10.1).
 */
MUST_CHECK int sync_vanished(
	struct imap_session *s, uint64_t modseq, const struct uid_list *known, struct uid_list *ret_vanished);
/*
 * VANISHED (EARLIER) lines for the UIDs from *from_uid on; false when the output queue is full before the end (*from_uid says where to go on).
 */
bool sync_put_earlier(struct imap_session *s, const struct uid_list *vanished, uint32_t *from_uid);

#endif
