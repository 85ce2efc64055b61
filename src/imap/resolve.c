#include "imap/sync.h"

static int by_first(const void *a, const void *b)
{
	const struct uid_range *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

/* Ascending, so that adding each to the list is cheap however the client ordered them. */
static struct uid_range *sorted_copy(struct imap_session *s, const struct imap_set *set)
{
	struct uid_range *ranges = arena_zalloc(session_arena(s), set->count, sizeof(*ranges));

	if (ranges && set->count) {
		memcpy(ranges, set->ranges, set->count * sizeof(*ranges));
		qsort(ranges, set->count, sizeof(*ranges), by_first);
	}
	return ranges;
}

/* `*` is the largest number in use, and a range with it may stand either way round (RFC 9051 §9, seq-range). */
static struct uid_range without_star(struct uid_range range, uint32_t star)
{
	uint32_t first = range.first == 0 ? star : range.first;
	uint32_t last = range.last == 0 ? star : range.last;

	return (struct uid_range){MIN(first, last), MAX(first, last)};
}

static uint32_t last_uid(struct imap_session *s, int *ret_error)
{
	struct entry entry;
	uint32_t count = view_count(s->view);

	*ret_error = count ? view_entry(s->view, count, &entry) : 0;
	return count && !*ret_error ? entry.uid : 0;
}

static int add_sequence_range(struct imap_session *s, struct uid_range range, struct uid_list *uids)
{
	uint32_t count = view_count(s->view);
	struct entry first, last;
	int rc;

	range = without_star(range, count);
	if (range.first == 0 || range.last > count)
		return -EINVAL;
	rc = view_entry(s->view, range.first, &first);
	if (!rc)
		rc = view_entry(s->view, range.last, &last);
	if (!rc)
		uid_list_add(uids, first.uid, last.uid);
	return rc;
}

static void add_uid_range(struct uid_range range, uint32_t last, struct uid_list *uids)
{
	range = without_star(range, last);
	range.last = MIN(range.last, last);
	if (range.first <= range.last && range.last)
		uid_list_add(uids, MAX(range.first, 1), range.last);
}

static int add_set(struct imap_session *s, const struct imap_set *set, bool uid, struct uid_list *uids)
{
	struct uid_range *ranges = sorted_copy(s, set);
	uint32_t last;
	int rc;

	if (!ranges)
		return -ENOBUFS;
	last = last_uid(s, &rc);
	for (size_t i = 0; i < set->count && !rc; i++) {
		if (uid)
			add_uid_range(ranges[i], last, uids);
		else
			rc = add_sequence_range(s, ranges[i], uids);
	}
	return rc ? rc : uids->error;
}

int session_resolve(struct imap_session *s, const struct imap_set *set, bool uid, struct uid_list *ret_uids)
{
	struct uid_list uids = UID_LIST_INIT(SYNC_RANGES_MAX);
	int rc = 0;

	if (set->saved)
		rc = sync_copy_uids(&s->saved, &uids);
	else
		rc = add_set(s, set, uid, &uids);
	if (rc)
		uid_list_free(&uids);
	else
		*ret_uids = uids;
	return rc;
}

int sync_known_uids(struct imap_session *s, const struct imap_set *set, uint32_t from, struct uid_list *ret_uids)
{
	struct uid_list uids = UID_LIST_INIT(SYNC_RANGES_MAX);
	uint32_t last = view_mailbox(s->view)->uidnext - 1;
	struct uid_range *ranges;
	int rc = 0;

	if (set->saved) {
		rc = sync_copy_uids(&s->saved, &uids);
	} else if (set->count == 0) {
		if (from <= last)
			uid_list_add(&uids, MAX(from, 1), last);
	} else {
		ranges = sorted_copy(s, set);
		rc = ranges ? 0 : -ENOBUFS;
		for (size_t i = 0; i < set->count && !rc; i++) {
			struct uid_range range = without_star(ranges[i], last);

			range = (struct uid_range){MAX(MAX(range.first, from), 1), MIN(range.last, last)};
			if (range.first <= range.last)
				uid_list_add(&uids, range.first, range.last);
		}
	}
	rc = rc ? rc : uids.error;
	if (rc)
		uid_list_free(&uids);
	else
		*ret_uids = uids;
	return rc;
}

void sync_set_error(struct imap_session *s, int error)
{
	if (error == -EINVAL)
		session_bad(s, NULL, "Message number out of range");
	else
		session_error(s, error);
}

int sync_copy_uids(const struct uid_list *from, struct uid_list *to)
{
	for (size_t i = 0; i < from->count; i++)
		uid_list_add(to, from->ranges[i].first, from->ranges[i].last);
	return to->error;
}
