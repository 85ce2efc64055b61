/* Views: the numbers a session was told of. A view has no entries of its own but those that are gone and not told yet. */
#include "store/resident.h"

int view_open(struct mailbox *mailbox, void (*changed)(void *owner), void *owner, struct view **ret_view)
{
	struct resident_mailbox *m = resident_of(mailbox);
	struct view *view;

	if (mailbox->deleted)
		return -ESTALE;
	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->mailbox = m;
	view->changed = changed;
	view->owner = owner;
	view->known = mailbox->uidnext;
	view->count = mailbox->messages;
	view->keywords_told = mailbox->keyword_count;
	view->next = m->views;
	m->views = view;
	*ret_view = view;
	return 0;
}

void view_close(struct view **view)
{
	struct view *v = *view, **link;
	struct account *account;

	if (!v)
		return;
	account = v->mailbox->row.pub.account;
	for (link = &v->mailbox->views; *link != v; link = &(*link)->next)
		;
	*link = v->next;
	free(v->gone);
	free(v->changes);
	free(v);
	*view = NULL;
	account_gone_sweep(account);
}

struct mailbox *view_mailbox(const struct view *view)
{
	return &view->mailbox->row.pub;
}

uint32_t view_count(const struct view *view)
{
	return view->count;
}

bool view_mailbox_is_gone(const struct view *view)
{
	return view->mailbox->row.pub.deleted;
}

/* ---- What others did queues up ---- */

void view_wake(struct view *view)
{
	if (view->told || (!view_has_changes(view) && !view->mailbox->row.pub.deleted))
		return;
	view->told = true;
	if (view->changed)
		view->changed(view->owner);
}

/* Index of the first in a sorted list that is >= uid. */
static uint32_t changes_from(const struct view *view, uint32_t uid)
{
	uint32_t low = 0, high = view->change_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (view->changes[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void view_flags_changed(struct view *view, uint32_t uid, uint64_t modseq)
{
	uint32_t at;

	if (uid >= view->known)
		return;
	if (view->scan_since) {
		view->scan_from = MIN(view->scan_from, uid);
		return;
	}
	at = changes_from(view, uid);
	if (at < view->change_count && view->changes[at] == uid)
		return;
	if (!view->changes)
		view->changes = malloc(VIEW_CHANGES_MAX * sizeof(*view->changes));
	if (!view->changes || view->change_count == VIEW_CHANGES_MAX) {
		/*
		 * Too many to list: those with a MODSEQ from here on are found by looking. Older ones in the list have smaller
		 * ones, so the look goes back to the oldest of them.
		 */
		view->scan_since = view->changes_since ? view->changes_since : modseq - 1;
		view->scan_from = view->change_count ? MIN(view->changes[0], uid) : uid;
		view->change_count = 0;
		return;
	}
	if (view->change_count == 0)
		view->changes_since = modseq - 1;
	memmove(view->changes + at + 1, view->changes + at, (view->change_count - at) * sizeof(*view->changes));
	view->changes[at] = uid;
	view->change_count++;
}

static uint32_t gone_from(const struct view *view, uint32_t uid)
{
	uint32_t low = 0, high = view->gone_count;

	if (high && view->gone[high - 1].uid < uid)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (view->gone[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int view_entry_gone(struct view *view, const struct entry *entry)
{
	uint32_t at;

	if (entry->uid >= view->known)
		return 0;
	if (view->gone_count == view->gone_room) {
		uint32_t room = MAX(view->gone_room * 2, 8);
		struct entry *grown = realloc(view->gone, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		view->gone = grown;
		view->gone_room = room;
	}
	at = gone_from(view, entry->uid);
	memmove(view->gone + at + 1, view->gone + at, (view->gone_count - at) * sizeof(*view->gone));
	view->gone[at] = *entry;
	view->gone_count++;
	return 0;
}

/* ---- Numbers ---- */

static int view_use(struct view *view)
{
	return view->mailbox->row.pub.deleted ? 0 : resident_entries(view->mailbox);
}

/* The number of the gone entry with index `at`. */
static uint32_t gone_seq(const struct view *view, uint32_t at)
{
	return at + (uint32_t)entries_from(view->mailbox, view->gone[at].uid) + 1;
}

/* How many gone entries have a number <= seq. */
static uint32_t gone_up_to(const struct view *view, uint32_t seq)
{
	uint32_t low = 0, high = view->gone_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (gone_seq(view, middle) <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct entry *entry_at(const struct view *view, uint32_t seq)
{
	uint32_t low = gone_up_to(view, seq);

	if (low && gone_seq(view, low - 1) == seq)
		return &view->gone[low - 1];
	return seq - 1 - low < view->mailbox->count ? &view->mailbox->entries[seq - 1 - low] : NULL;
}

static int seq_use(struct view *view, uint32_t seq)
{
	if (seq == 0 || seq > view->count)
		return -ENOENT;
	return view_use(view);
}

int view_entry(struct view *view, uint32_t seq, struct entry *ret_entry)
{
	const struct entry *entry;
	int error = seq_use(view, seq);

	if (error)
		return error;
	entry = entry_at(view, seq);
	if (!entry)
		return -EBADMSG;
	*ret_entry = *entry;
	ret_entry->flags &= FLAGS_ALL;
	return 0;
}

int view_entries(struct view *view, uint32_t seq, const struct entry **ret_entries, uint32_t *ret_count)
{
	uint32_t gone, end, count = 0;
	size_t at;
	int error = seq_use(view, seq);

	if (error)
		return error;
	gone = gone_up_to(view, seq);
	end = gone < view->gone_count ? gone_seq(view, gone) : view->count + 1;
	at = seq - 1 - gone;
	if (!gone || gone_seq(view, gone - 1) != seq)
		count = end - seq;
	if (count && at + count > view->mailbox->count)
		return -EBADMSG;
	*ret_entries = count ? view->mailbox->entries + at : NULL;
	*ret_count = count;
	return 0;
}

int view_skip_unchanged(struct view *view, uint64_t modseq, uint32_t *seq)
{
	uint32_t at = MAX(*seq, 1);
	int error = view_use(view);

	if (error)
		return error;
	for (; at <= view->count; at++) {
		const struct entry *entry = entry_at(view, at);

		if (!entry)
			return -EBADMSG;
		if (entry->modseq > modseq)
			break;
	}
	*seq = at;
	return 0;
}

int view_seq_from(struct view *view, uint32_t uid, uint32_t *ret_seq)
{
	int error = 0;

	if (uid >= view->known) {
		*ret_seq = view->count + 1;
		return 0;
	}
	error = view_use(view);
	if (!error)
		*ret_seq = (uint32_t)entries_from(view->mailbox, uid) + gone_from(view, uid) + 1;
	return error;
}

static bool is_there(const struct view *view, uint32_t uid)
{
	size_t at = entries_from(view->mailbox, uid);

	return at < view->mailbox->count && view->mailbox->entries[at].uid == uid;
}

int view_seq_of(struct view *view, uint32_t uid, uint32_t *ret_seq)
{
	uint32_t at;
	int error = view_use(view);

	if (error)
		return error;
	at = gone_from(view, uid);
	if (uid >= view->known || (!is_there(view, uid) && !(at < view->gone_count && view->gone[at].uid == uid)))
		return -ENOENT;
	*ret_seq = (uint32_t)entries_from(view->mailbox, uid) + at + 1;
	return 0;
}

int view_first_unseen(struct view *view, uint32_t *ret_seq)
{
	struct resident_mailbox *m = view->mailbox;
	int error;

	if (!m->row.pub.deleted && m->row.pub.unseen == 0)
		return -ENOENT;
	error = view_use(view);
	if (error)
		return error;
	for (size_t i = 0; i < m->count && m->entries[i].uid < view->known; i++) {
		if (!(m->entries[i].flags & FLAG_SEEN)) {
			*ret_seq = (uint32_t)i + gone_from(view, m->entries[i].uid) + 1;
			return 0;
		}
	}
	return -ENOENT;
}

bool view_entry_is_expunged(struct view *view, uint32_t uid)
{
	return view->mailbox->row.pub.deleted || view_use(view) || !is_there(view, uid);
}

/* ---- Telling ---- */

static bool exists_changed(const struct view *view)
{
	const struct mailbox *m = &view->mailbox->row.pub;

	return !m->deleted && view->known < m->uidnext && m->messages + view->gone_count != view->count;
}

bool view_has_changes(const struct view *view)
{
	return view->gone_count || view->change_count || view->scan_since || exists_changed(view) ||
	       view->keywords_told < view->mailbox->row.pub.keyword_count;
}

static struct view_change tell_expunged(struct view *view)
{
	uint32_t last = view->gone_count - 1;
	struct view_change change = {VIEW_EXPUNGED, gone_seq(view, last), view->gone[last].uid};

	view->count--;
	if (--view->gone_count == 0) {
		free(view->gone);
		view->gone = NULL;
		view->gone_room = 0;
	}
	return change;
}

static bool next_listed(struct view *view, uint32_t *ret_uid)
{
	if (!view->change_count)
		return false;
	*ret_uid = view->changes[0];
	view->change_count--;
	memmove(view->changes, view->changes + 1, view->change_count * sizeof(*view->changes));
	if (!view->change_count) {
		free(view->changes);
		view->changes = NULL;
	}
	return true;
}

static bool next_scanned(struct view *view, uint32_t *ret_uid)
{
	struct resident_mailbox *m = view->mailbox;

	if (!view->scan_since)
		return false;
	for (size_t i = entries_from(m, view->scan_from); i < m->count && m->entries[i].uid < view->known; i++) {
		if (m->entries[i].modseq > view->scan_since) {
			*ret_uid = m->entries[i].uid;
			view->scan_from = m->entries[i].uid + 1;
			return true;
		}
	}
	view->scan_since = 0;
	return false;
}

static bool tell_flags(struct view *view, struct view_change *ret_change)
{
	uint32_t uid, seq;

	while (next_listed(view, &uid) || next_scanned(view, &uid)) {
		if (!is_there(view, uid) || view_seq_of(view, uid, &seq))
			continue; /* gone since */
		*ret_change = (struct view_change){VIEW_FLAGS, seq, uid};
		return true;
	}
	return false;
}

int view_next(struct view *view, bool with_expunges, struct view_change *ret_change)
{
	const struct mailbox *m = &view->mailbox->row.pub;
	int error = 0;

	if (view->gone_count || view->change_count || view->scan_since)
		error = view_use(view);
	if (error)
		return error;
	if (with_expunges && view->gone_count) {
		*ret_change = tell_expunged(view);
		return 0;
	}
	if (view->keywords_told < m->keyword_count) {
		view->keywords_told = m->keyword_count;
		*ret_change = (struct view_change){VIEW_KEYWORDS, 0, 0};
		return 0;
	}
	if (exists_changed(view)) {
		view->count = m->messages + view->gone_count;
		view->known = m->uidnext;
		*ret_change = (struct view_change){VIEW_EXISTS, view->count, 0};
		return 0;
	}
	if (!m->deleted)
		view->known = m->uidnext; /* what came and went in between is never told */
	if (tell_flags(view, ret_change))
		return 0;
	view->told = false;
	*ret_change = (struct view_change){VIEW_NONE, 0, 0};
	return 0;
}
