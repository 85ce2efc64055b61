/* The store's own check, and its making the index anew, while it serves and while it is closed: neither has anything to find here. */
#include <string.h>

#include "sim_store.h"

enum { LINES_MAX = 1 << 22, WAIT_US = 2000, WAITS_MAX = 10000 };

/* ---- While it serves ---- */

/* False: it goes on, or there is none. */
static bool look(struct sim_store *sim, int *ret_error)
{
	struct buffer lines = BUFFER_INIT(LINES_MAX);
	bool over;
	int error;

	if (sim->checking == SIM_CHECKS)
		return false;
	error = store_check_poll(sim->store, &lines, &over);
	/* A fault costs the check that comes upon it, but is no reason to find something wrong. */
	if (lines.len && !sim_files_is_stopped(sim->files))
		sim_wrong(sim, "checking while it serves: %.*s", SLICE_ARG(buffer_slice(&lines)));
	buffer_free(&lines);
	*ret_error = error;
	return over;
}

static void note(struct sim_store *sim, int error)
{
	unsigned kind = sim->checking;

	sim->checking = SIM_CHECKS;
	sim_say(sim, "checked while it serves: %s", strerror(-error));
	if (!error)
		sim->seen->checks[kind]++;
	else if (sim_files_is_stopped(sim->files))
		sim->seen->checks_cut[kind]++;
	else if (sim->faults)
		sim->seen->checks_failed[kind]++;
	else
		sim_wrong(sim, "checking while it serves: %s", strerror(-error));
}

void sim_check_watch(struct sim_store *sim)
{
	int error;

	if (look(sim, &error))
		note(sim, error);
}

void sim_check_ends(struct sim_store *sim)
{
	int error;

	if (look(sim, &error))
		note(sim, error);
	else if (sim->checking != SIM_CHECKS && sim_files_is_stopped(sim->files))
		note(sim, -ECANCELED);
	sim->checking = SIM_CHECKS;
}

/* Of all accounts, or of one, which may be gone meanwhile. */
void sim_check_begin(struct sim_store *sim)
{
	struct store_check check = {.rebuild_index = sim_chance(sim, 2)};
	const struct plain_account *one = &sim->plain->now[sim_chance(sim, PLAIN_ACCOUNTS)];
	bool all = !one->there || sim_chance(sim, 2);
	bool busy;
	int error;

	sim_check_watch(sim); /* what the last one found would be forgotten */
	busy = sim->checking != SIM_CHECKS;
	error = store_check_start(sim->store, &check, &one->id, all ? 0 : 1);
	if (error && !(busy && error == -EBUSY))
		sim_wrong(sim, "a check does not begin: %s", strerror(-error));
	if (error)
		return;
	sim->checking = check.rebuild_index ? SIM_REMAKE_SERVING : SIM_CHECK_SERVING;
	sim_say(sim, "%s begins, of %s", check.rebuild_index ? "making the index anew" : "a check",
		all ? "all" : "one");
	if (sim_chance(sim, 2))
		return;
	for (unsigned i = 0; sim->checking != SIM_CHECKS && !sim_is_over(sim); i++) {
		if (i == WAITS_MAX)
			sim_wrong(sim, "a check has no end");
		sim_threads_pause(sim->threads, WAIT_US);
		sim_check_watch(sim);
	}
}

/* ---- While it is closed ---- */

static void report(void *context, struct slice line)
{
	sim_say(context, "check: %.*s", SLICE_ARG(line));
}

bool sim_check_closed(struct sim_store *sim, bool may_be_cut)
{
	static const uint64_t spans[] = {20, 60, 150, 400, 1500};
	struct store_check check = {.rebuild_index = sim_chance(sim, 2), .report = report, .context = sim};
	unsigned kind = check.rebuild_index ? SIM_REMAKE_CLOSED : SIM_CHECK_CLOSED;
	int error;

	if (may_be_cut && sim_chance(sim, 2))
		sim_files_stop_at(sim->files, 1 + sim_chance(sim, spans[sim_chance(sim, ARRAY_LEN(spans))]));
	error = store_check(&sim->settings, &check);
	if (sim_files_is_stopped(sim->files)) {
		sim->seen->checks_cut[kind]++;
		return false;
	}
	sim_files_stop_at(sim->files, 0);
	if (error)
		sim_wrong(sim, "the store's own check: %s", strerror(-error));
	sim->seen->checks[kind]++;
	return true;
}
