/* Searches, with the search index as the simulated disk has it and without: both find the same, whatever was cut. */
#include <stdio.h>
#include <string.h>

#include "sim_store.h"
#include "store/search_internal.h"

enum { FOUND_MAX = 1000 };

static void changed(void *owner)
{
	(void)owner;
}

/* False: it cannot be, as all is over, or a fault came in between. */
static bool run(struct sim_store *sim, struct view *view, const struct search_criterion *c, bool by_index,
	struct uid_list *found)
{
	struct search *search;
	bool done = false;
	int error = search_new(view, c, &search);

	if (error)
		return false;
	search->index_over = !by_index;
	search->opened = by_index ? 1000 : 0; /* however few there are */
	while (!error && !done)
		error = search_step(search, 1000000, found, &done);
	sim->seen->searched_by_index += by_index && search->opened - 1000 < view_count(view);
	search_free(&search);
	if (error && !sim_is_over(sim) && !sim->faults)
		sim_wrong(sim, "searching: %s", strerror(-error));
	return !error && !sim_is_over(sim) && !sim->faults;
}

/* Numbers, words that all have, parts of them, and what only the dense ones have. */
static void needle_make(struct sim_store *sim, char *out, size_t room)
{
	static const char *const some[] = {"ine of a", "message", "umber", "ex", "Q+", "Zz", "ann@example.org", "z"};
	uint64_t which = sim_chance(sim, ARRAY_LEN(some) * 2);

	if (which < ARRAY_LEN(some))
		(void)snprintf(out, room, "%s", some[which]);
	else
		(void)snprintf(
			out, room, "%s%u", which % 2 ? "Number " : "", 1 + (unsigned)sim_chance(sim, sim->numbers + 1));
}

void sim_search(struct sim_store *sim, struct mailbox *mailbox)
{
	static const struct slice names[] = {SLICE("subject"), SLICE("from"), SLICE("message-id")};
	static const enum search_kind kinds[] = {SEARCH_TEXT, SEARCH_BODY, SEARCH_HEADER};
	struct uid_list with = UID_LIST_INIT(FOUND_MAX), without = UID_LIST_INIT(FOUND_MAX);
	struct search_criterion c = {.kind = kinds[sim_chance(sim, 3)], .name = names[sim_chance(sim, 3)]};
	struct view *view;
	char needle[40];

	needle_make(sim, needle, sizeof(needle));
	c.text = slice_of(needle);
	if (view_open(mailbox, changed, sim, &view))
		return;
	if (run(sim, view, &c, true, &with) && run(sim, view, &c, false, &without)) {
		if (with.count != without.count ||
			(with.count && memcmp(with.ranges, without.ranges, with.count * sizeof(*with.ranges)) != 0))
			sim_wrong(sim, "%.*s: %llu messages with \"%s\" by the index, %llu without",
				SLICE_ARG(mailbox->name), (unsigned long long)uid_set_count(uid_list_set(&with)),
				needle, (unsigned long long)uid_set_count(uid_list_set(&without)));
		sim->seen->searched++;
	}
	uid_list_free(&with);
	uid_list_free(&without);
	view_close(&view);
}
