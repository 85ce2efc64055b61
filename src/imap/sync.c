#include "imap/sync.h"

enum {
	PIECE_BYTES_MAX = 32 << 10,
	RANGE_BYTES_MAX = 22,                                    /* "4294967295:4294967295," */
	VANISHED_RANGES_MAX = PIECE_BYTES_MAX / RANGE_BYTES_MAX, /* in one line */
};

size_t sync_piece_bytes(const struct imap_session *s)
{
	return MIN((size_t)PIECE_BYTES_MAX, s->services->limits.output_bytes_max / 2);
}

static size_t vanished_ranges(const struct imap_session *s)
{
	return MAX(sync_piece_bytes(s) / RANGE_BYTES_MAX, 1);
}

bool sync_walk_next(struct imap_session *s, const struct uid_list *uids, struct sync_walk *walk, uint32_t *ret_seq,
	struct entry *ret_entry, int *ret_error)
{
	struct entry entry;
	int rc;

	for (; walk->range < uids->count; walk->range++, walk->seq = 0) {
		struct uid_range range = uids->ranges[walk->range];

		rc = walk->seq ? 0 : view_seq_from(s->view, range.first, &walk->seq);
		if (!rc && walk->changed_since)
			rc = view_skip_unchanged(s->view, walk->changed_since, &walk->seq);
		if (!rc && walk->seq > view_count(s->view))
			break;
		if (!rc)
			rc = view_entry(s->view, walk->seq, &entry);
		if (rc) {
			*ret_error = rc;
			return false;
		}
		if (entry.uid > range.last)
			continue;
		*ret_seq = walk->seq++;
		*ret_entry = entry;
		return true;
	}
	walk->range = uids->count;
	return false;
}

bool sync_names_uid(const struct imap_session *s)
{
	return s->enabled & (ENABLED_CONDSTORE | ENABLED_QRESYNC | ENABLED_REV2);
}

void session_put_flags(struct imap_session *s, uint32_t seq, const struct entry *entry, bool with_uid)
{
	struct buffer *out = session_out(s);

	buffer_put(out, SLICE("* "));
	buffer_put_u64(out, seq);
	buffer_put(out, SLICE(" FETCH ("));
	if (with_uid || sync_names_uid(s)) {
		buffer_put(out, SLICE("UID "));
		buffer_put_u64(out, entry->uid);
		buffer_put_byte(out, ' ');
	}
	buffer_put(out, SLICE("FLAGS "));
	put_flags(out, view_mailbox(s->view), entry, true);
	if (s->enabled & ENABLED_CONDSTORE) {
		buffer_put(out, SLICE(" MODSEQ ("));
		buffer_put_u64(out, entry->modseq);
		buffer_put_byte(out, ')');
	}
	buffer_put(out, SLICE(")\r\n"));
}

static void put_vanished_ranges(struct imap_session *s, const struct uid_range *ranges, size_t count, bool earlier)
{
	struct buffer *out = session_out(s);

	buffer_put_text(out, earlier ? "* VANISHED (EARLIER) " : "* VANISHED ");
	put_uid_set(out, (struct uid_set){ranges, count});
	buffer_put_text(out, "\r\n");
}

void session_put_vanished(struct imap_session *s, const struct uid_list *uids, bool earlier)
{
	for (size_t i = 0; i < uids->count; i += VANISHED_RANGES_MAX)
		put_vanished_ranges(s, uids->ranges + i, MIN(uids->count - i, (size_t)VANISHED_RANGES_MAX), earlier);
}

bool sync_put_earlier(struct imap_session *s, const struct uid_list *vanished, uint32_t *from_uid)
{
	struct uid_range line[VANISHED_RANGES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < vanished->count; i++) {
		struct uid_range range = vanished->ranges[i];

		if (range.last < *from_uid)
			continue;
		if (count == 0 && session_is_full(s))
			return false;
		line[count++] = (struct uid_range){MAX(range.first, *from_uid), range.last};
		if (count < vanished_ranges(s) && i + 1 < vanished->count)
			continue;
		put_vanished_ranges(s, line, count, true);
		*from_uid = range.last + 1;
		count = 0;
	}
	return true;
}

/* The UIDs of `range` but those the view still shows. */
static int add_unless_shown(struct imap_session *s, struct uid_range range, struct uid_list *list)
{
	struct uid_list one = UID_LIST_INIT(1);
	struct sync_walk walk = {0};
	struct entry entry;
	uint32_t seq, from = range.first;
	int rc = 0;

	uid_list_add(&one, range.first, range.last);
	if (one.error)
		return one.error;
	while (sync_walk_next(s, &one, &walk, &seq, &entry, &rc)) {
		if (entry.uid > from)
			uid_list_add(list, from, entry.uid - 1);
		from = entry.uid + 1;
	}
	if (!rc && from <= range.last && from)
		uid_list_add(list, from, range.last);
	uid_list_free(&one);
	return rc;
}

int sync_vanished(struct imap_session *s, uint64_t modseq, const struct uid_list *known, struct uid_list *ret_vanished)
{
	struct uid_list all = UID_LIST_INIT(SYNC_RANGES_MAX), list = UID_LIST_INIT(SYNC_RANGES_MAX);
	int rc;

	if (known->count == 0)
		return 0; /* an empty set would mean all to the store */
	rc = mailbox_vanished(view_mailbox(s->view), modseq, uid_list_set(known), &all);
	rc = rc ? rc : all.error;
	for (size_t i = 0; i < all.count && !rc; i++)
		rc = add_unless_shown(s, all.ranges[i], &list);
	rc = rc ? rc : list.error;
	uid_list_free(&all);
	if (rc)
		uid_list_free(&list);
	else
		*ret_vanished = list;
	return rc;
}

/* ---- News of the selected mailbox ---- */

static void put_keywords(struct imap_session *s)
{
	struct buffer *out = session_out(s);
	const struct mailbox *mailbox = view_mailbox(s->view);

	buffer_put_text(out, "* FLAGS ");
	put_all_flags(out, mailbox, false);
	buffer_put_text(out, "\r\n");
	if (s->read_only)
		return;
	buffer_put_text(out, "* OK [PERMANENTFLAGS ");
	put_all_flags(out, mailbox, true);
	buffer_put_text(out, "] New keywords\r\n");
}

static void put_change(struct imap_session *s, const struct view_change *change, struct uid_list *vanished)
{
	struct entry entry;

	switch (change->kind) {
	case VIEW_EXPUNGED:
		if (s->enabled & ENABLED_QRESYNC)
			uid_list_add(vanished, change->uid, change->uid);
		else
			buffer_printf(session_out(s), "* %u EXPUNGE\r\n", change->seq);
		break;
	case VIEW_EXISTS:
		buffer_printf(session_out(s), "* %u EXISTS\r\n", change->seq);
		break;
	case VIEW_FLAGS:
		if (!view_entry(s->view, change->seq, &entry))
			session_put_flags(s, change->seq, &entry, s->command && s->command->uid);
		break;
	case VIEW_KEYWORDS:
		put_keywords(s);
		break;
	case VIEW_NONE:
		break;
	}
}

/* What could not be written down will not be told again: a client must not go on without having heard of it. */
static void flush_vanished(struct imap_session *s, struct uid_list *vanished)
{
	if (vanished->error)
		session_abort(s);
	if (vanished->count)
		session_put_vanished(s, vanished, false);
	uid_list_free(vanished);
}

/*
 * A client that resynchronises from the highest MODSEQ it saw must not miss an expunge it was not told of yet: it is told a
 * HIGHESTMODSEQ from before (RFC 7162 §3.2 and §6). All that is left in the view now are such expunges.
 */
static void note_synced(struct imap_session *s, bool with_expunges)
{
	if (!view_has_changes(s->view))
		s->synced_modseq = view_mailbox(s->view)->highestmodseq;
	else if (!with_expunges && s->synced_modseq && (s->enabled & ENABLED_QRESYNC))
		buffer_printf(session_out(s), "* OK [HIGHESTMODSEQ %llu] Expunges are still to be told\r\n",
			(unsigned long long)s->synced_modseq);
}

void session_sync(struct imap_session *s, bool with_expunges)
{
	struct uid_list vanished = UID_LIST_INIT(VANISHED_RANGES_MAX + 1);
	struct view_change change;

	if (!s->view)
		return;
	while (!session_is_full(s)) {
		if (view_next(s->view, with_expunges, &change) || change.kind == VIEW_NONE)
			break;
		if (change.kind != VIEW_EXPUNGED || vanished.count >= vanished_ranges(s))
			flush_vanished(s, &vanished);
		put_change(s, &change, &vanished);
	}
	flush_vanished(s, &vanished);
	note_synced(s, with_expunges);
}

void session_enable_condstore(struct imap_session *s)
{
	if (s->enabled & ENABLED_CONDSTORE)
		return;
	s->enabled |= ENABLED_CONDSTORE;
	/* RFC 7162 §3.1: the first CONDSTORE-enabling command with a mailbox selected. */
	if (s->view)
		buffer_printf(session_out(s), "* OK [HIGHESTMODSEQ %llu] CONDSTORE enabled\r\n",
			(unsigned long long)view_mailbox(s->view)->highestmodseq);
}

/* ---- SELECT (QRESYNC ...) ---- */

static uint32_t nth_of_set(const struct imap_set *set, uint64_t n)
{
	for (size_t i = 0; i < set->count; i++) {
		uint64_t count = (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;

		if (n < count)
			return set->ranges[i].first + (uint32_t)n;
		n -= count;
	}
	return 0;
}

/*
 * RFC 7162 §3.2.5.2: the highest UID that still has the sequence number the client remembers; up to it nothing vanished that the client does not know of.
 * The pairs match up to some point and not after it, for numbers only ever sink.
 */
static uint32_t matched_uid(struct imap_session *s, const struct imap_select_args *args)
{
	uint64_t low = 0, high = uid_set_count((struct uid_set){args->match_seqs.ranges, args->match_seqs.count});
	uint32_t matched = 0;

	high = MIN(high, uid_set_count((struct uid_set){args->match_uids.ranges, args->match_uids.count}));
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		uint32_t seq = nth_of_set(&args->match_seqs, middle), uid = nth_of_set(&args->match_uids, middle);
		struct entry entry;

		if (seq && seq <= view_count(s->view) && !view_entry(s->view, seq, &entry) && entry.uid == uid) {
			matched = uid;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return matched;
}

/* VANISHED (EARLIER), from the UID `from` on; as sync_put_earlier(). */
static bool qresync_vanished(struct imap_session *s, const struct imap_select_args *args, uint32_t *from)
{
	struct uid_list known = UID_LIST_INIT(1), vanished = UID_LIST_INIT(1);
	bool done = true;

	if (!sync_known_uids(s, &args->known_uids, *from, &known) && !sync_vanished(s, args->modseq, &known, &vanished))
		done = sync_put_earlier(s, &vanished, from);
	uid_list_free(&known);
	uid_list_free(&vanished);
	return done;
}

static bool qresync_flags(struct imap_session *s, const struct imap_select_args *args, uint32_t *from)
{
	struct uid_list known = UID_LIST_INIT(1);
	struct sync_walk walk = {.changed_since = args->modseq};
	struct entry entry;
	uint32_t seq;
	int rc = sync_known_uids(s, &args->known_uids, *from, &known);

	while (!rc && !session_is_full(s) && sync_walk_next(s, &known, &walk, &seq, &entry, &rc)) {
		session_put_flags(s, seq, &entry, true);
		*from = entry.uid + 1;
	}
	rc = rc || walk.range >= known.count;
	uid_list_free(&known);
	return rc;
}

enum { QRESYNC_FLAGS_PHASE = 1 /* bit 32 of the progress; the lower bits are the next UID */ };

bool session_qresync(struct imap_session *s, const struct imap_select_args *args, uint64_t *progress)
{
	const struct mailbox *mailbox = view_mailbox(s->view);
	uint32_t from = (uint32_t)*progress;

	if (args->uidvalidity != mailbox->uidvalidity || args->modseq >= mailbox->highestmodseq)
		return true;
	if (*progress >> 32 != QRESYNC_FLAGS_PHASE) {
		if (*progress == 0)
			from = matched_uid(s, args) + 1;
		if (!qresync_vanished(s, args, &from)) {
			*progress = from;
			return false;
		}
		from = 1;
	}
	if (qresync_flags(s, args, &from))
		return true;
	*progress = (uint64_t)QRESYNC_FLAGS_PHASE << 32 | from;
	return false;
}
