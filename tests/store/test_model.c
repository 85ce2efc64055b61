/* Thousands of random changes beside a plain model, with every way of starting again in between. */
#include "model.h"

static void report(void *context, struct slice line)
{
	(void)context;
	print_message("# check: %.*s\n", SLICE_ARG(line));
}

static void check_dir(struct world *w)
{
	struct store_check check = {.report = report};

	assert_int_equal(store_check(&w->settings, &check), 0);
}

static void checked_reopen(struct world *w, bool without_index)
{
	world_close(w);
	if (without_index)
		world_forget_index(w);
	check_dir(w);
	world_open(w);
}

static void retention_passes(struct world *w, struct model *m)
{
	world_settle(w);
	w->now_ms += (int64_t)w->settings.retention_s * 1000 + 1;
	m->forgotten_modseq = account_highestmodseq(w->account);
	assert_int_equal(store_compact(w->store), 0);
	shard_tick(w->shard);
}

static void random_run(uint64_t seed, unsigned rounds)
{
	struct world w;
	struct model *m;

	print_message("# seed %llu\n", (unsigned long long)seed);
	world_make(&w);
	world_open(&w);
	world_account(&w);
	m = model_new(seed, w.account);
	for (unsigned round = 0; round < rounds; round++) {
		unsigned what = model_random(m, 10);

		/* For the next start: applied soon, or not before it must be. */
		w.settings.apply_delay_ms = model_random(m, 2) ? 20 : 60000;
		for (unsigned i = model_random(m, 60); i > 0; i--) {
			model_step(m, w.account);
			w.now_ms += 10;
			if (model_random(m, 20) == 0)
				shard_tick(w.shard);
		}
		if (what == 0)
			world_kill_and_reopen(&w);
		else if (what == 1)
			checked_reopen(&w, false);
		else if (what == 2)
			checked_reopen(&w, true);
		else if (what == 3)
			retention_passes(&w, m);
		else if (what == 4)
			assert_int_equal(store_compact(w.store), 0);
		model_compare(m, w.account, round % 8 == 0);
	}
	checked_reopen(&w, false);
	model_compare(m, w.account, true);
	free(m);
	world_free(&w);
}

static void random_changes_agree_with_the_model(void **state)
{
	const char *seed = getenv("PENFOLD_SEED");
	uint64_t given;

	(void)state;
	if (seed && !slice_to_u64(slice_of(seed), UINT64_MAX, &given)) {
		random_run(given, 120);
		return;
	}
	for (uint64_t i = 1; i <= 3; i++)
		random_run(i, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_agree_with_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
