#include "sim_life.h"

/* One life. Its beginning may be cut, too, and the beginning of the next one. */
struct lives {
	struct sim_store *sim;
	uint64_t opening; /* operations that the last whole recovery took */
	unsigned depth;   /* recoveries cut in a row */
};

static void arm(struct sim_store *sim, uint64_t operations)
{
	sim_files_stop_at(sim->files, 1 + sim_chance(sim, operations));
}

/* How this life is to end: with a cut, with an error of the disk, which the store may outlive, or neither. */
static void choose_end(struct sim_store *sim)
{
	static const uint64_t spans[] = {20, 60, 60, 150, 150, 400, 1500};
	uint64_t span = spans[sim_chance(sim, ARRAY_LEN(spans))];

	switch (sim_chance(sim, 12)) {
	case 0:
		return;
	case 1:
		sim->faults = true;
		sim_files_fail_change_at(sim->files, 1 + sim_chance(sim, span), sim_chance(sim, 3) ? -EIO : -ENOSPC);
		return;
	default:
		arm(sim, span);
	}
}

static void live(struct lives *l, bool first)
{
	static const unsigned paces[] = {1, 2, 4, 8, 32, 128};
	struct sim_store *sim = l->sim;
	uint64_t before = sim_files_count(sim->files);

	sim_threads_set_pace(sim->threads, paces[sim_chance(sim, ARRAY_LEN(paces))]);
	if (sim_chance(sim, 2) == 0)
		arm(sim, l->opening + 4);
	if (sim_open(sim)) {
		sim->seen->cuts_recovering++;
		sim->seen->cuts_recovering_again += l->depth++ > 0;
		return;
	}
	l->depth = 0;
	l->opening = sim_files_count(sim->files) - before;
	sim_files_stop_at(sim->files, 0);
	sim_compare(sim, sim_chance(sim, 8) == 0);
	choose_end(sim);
	sim_begin(sim);
	if (sim->round % 16 == 3)
		sim_learn(sim);
	sim_work(sim, 5 + (unsigned)sim_chance(sim, first ? 20 : 150));
}

static void die(struct lives *l)
{
	struct sim_store *sim = l->sim;

	sim_close(sim);
	sim->faults = false;
	sim_crash(sim, sim_chance(sim, 5) != 0);
	if (sim_chance(sim, 20) == 0)
		sim_lose_index(sim);
	if (sim_chance(sim, 20) == 0)
		sim->skew_ms -= (int64_t)sim_chance(sim, 10000000); /* the clock was wrong */
	if (sim_chance(sim, 16))
		return;
	while (!sim_check_closed(sim, true))
		sim_crash(sim, sim_chance(sim, 5) != 0);
}

static void all_lives(struct sim_store *sim)
{
	struct lives l = {.sim = sim, .opening = 60};

	for (unsigned i = 0; i < SIM_LIVES; i++) {
		live(&l, i == 0);
		die(&l);
	}
	sim_open_surely(sim);
	sim_compare(sim, true);
	sim_close(sim);
	(void)sim_check_closed(sim, false);
	sim_crash(sim, true);
	(void)sim_check_closed(sim, false);
}

void sim_lives(struct sim_store *sim, uint64_t seed)
{
	sim_store_reset(sim, seed);
	all_lives(sim);
}

void sim_lives_on_a_liar(struct sim_store *sim, uint64_t seed, unsigned lies)
{
	sim_store_reset(sim, seed);
	sim_files_lie(sim->files, lies);
	all_lives(sim);
}

static void work_with_fault(struct sim_store *sim)
{
	sim_learn(sim);
	sim_work(sim, 30);
	if (!sim_is_over(sim))
		sim_abandon(sim);
	if (!sim_is_over(sim))
		sim_check_begin(sim);
	sim_keep_house(sim);
	sim_work(sim, 20);
}

/* What came of a fault is looked at in the life after it, and in the one after that, which begins with a power cut. */
bool sim_life_with_fault(struct sim_store *sim, uint64_t seed, uint64_t n, int error)
{
	uint64_t before;
	bool came;

	sim_store_reset(sim, seed);
	sim_open_surely(sim);
	sim_begin(sim);
	sim_work(sim, 40);
	sim_close(sim);
	sim_crash(sim, sim_chance(sim, 2));
	sim->faults = true;
	before = sim_files_changes(sim->files);
	sim_files_fail_change_at(sim->files, n, error);
	if (sim_open(sim) == 0)
		work_with_fault(sim);
	sim_close(sim);
	came = sim_files_changes(sim->files) - before >= n;
	sim->faults = false;
	for (unsigned i = 0; i < 2; i++) {
		sim_crash(sim, i);
		sim_open_surely(sim);
		sim_compare(sim, i);
		sim_work(sim, 5);
		if (i)
			sim_close(sim);
		else
			sim_files_stop_at(sim->files, 1 + sim_chance(sim, 20));
		sim_close(sim);
	}
	sim_crash(sim, true);
	(void)sim_check_closed(sim, false);
	return came;
}
