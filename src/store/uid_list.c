#include "store/store.h"

/* Index of the first range that ends at or after `uid`. */
static size_t range_from(const struct uid_range *ranges, size_t count, uint32_t uid)
{
	size_t low = 0;

	while (low < count) {
		size_t middle = low + (count - low) / 2;

		if (ranges[middle].last < uid)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

static bool list_grow(struct uid_list *list)
{
	size_t room = MIN(MAX(list->room * 2, 8), list->max);
	struct uid_range *grown;

	if (list->count < list->room)
		return true;
	if (list->count >= list->max) {
		list->error = -ENOBUFS;
		return false;
	}
	grown = realloc(list->ranges, room * sizeof(*grown));
	if (!grown) {
		list->error = -ENOMEM;
		return false;
	}
	list->ranges = grown;
	list->room = room;
	return true;
}

void uid_list_add(struct uid_list *list, uint32_t first, uint32_t last)
{
	size_t at, end;

	if (list->error || first > last)
		return;
	/* The ranges [at, end) touch the new one or overlap with it; most often the new one belongs at the very end. */
	at = list->count && list->ranges[list->count - 1].last < first
		     ? list->count - 1
		     : range_from(list->ranges, list->count, first ? first - 1 : 0);
	if (at < list->count && list->ranges[at].last < first && list->ranges[at].last + 1 != first)
		at++;
	for (end = at; end < list->count && (last == UINT32_MAX || list->ranges[end].first <= last + 1); end++)
		;
	if (end > at) {
		list->ranges[at].first = MIN(list->ranges[at].first, first);
		list->ranges[at].last = MAX(list->ranges[end - 1].last, last);
		memmove(list->ranges + at + 1, list->ranges + end, (list->count - end) * sizeof(*list->ranges));
		list->count -= end - at - 1;
		return;
	}
	if (!list_grow(list))
		return;
	memmove(list->ranges + at + 1, list->ranges + at, (list->count - at) * sizeof(*list->ranges));
	list->ranges[at] = (struct uid_range){first, last};
	list->count++;
}

void uid_list_free(struct uid_list *list)
{
	free(list->ranges);
	*list = UID_LIST_INIT(list->max);
}

struct uid_set uid_list_set(const struct uid_list *list)
{
	return (struct uid_set){list->ranges, list->count};
}

bool uid_set_has(struct uid_set set, uint32_t uid)
{
	size_t at = range_from(set.ranges, set.count, uid);

	return at < set.count && set.ranges[at].first <= uid;
}

uint64_t uid_set_count(struct uid_set set)
{
	uint64_t count = 0;

	for (size_t i = 0; i < set.count; i++)
		count += (uint64_t)set.ranges[i].last - set.ranges[i].first + 1;
	return count;
}
