/*
 * The crash simulation of the whole store. Prints TAP.
 *
 *     simulate [--jobs N] [--verbose] SEEDS      SEEDS: how many, or FROM-TO
 *     simulate --faults [--jobs N] [SEEDS]       an error at each operation that changes something, in turn
 *     simulate --liars [--jobs N]                with disks that lie, which has to be noticed
 *     simulate --twice [SEEDS]                   each seed in two processes: both must do the same
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim_life.h"

enum { JOBS_MAX = 64, TWICE_MAX = 512 };

enum mode { MODE_CUTS, MODE_FAULTS, MODE_LIARS, MODE_TWICE };

struct options {
	enum mode mode;
	uint64_t from, to; /* seeds */
	unsigned jobs, lies;
	bool verbose;
	const char *tmpfs;
};

/* In memory shared with the processes that do the work. */
struct progress {
	struct sim_seen seen;
	uint64_t seed, step;
	int error;
	uint64_t traces[TWICE_MAX]; /* of each seed */
};

static void add_seen(struct sim_seen *to, const struct sim_seen *from)
{
	uint64_t *sums = (uint64_t *)to;
	const uint64_t *more = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
		sums[i] += more[i];
}

/* ---- What one process does ---- */

/*
 * One seed of each kind after the other: with a search index, with large messages, with a dictionary; then the same with the other error at
 * each operation. The processes take turns at operations, as one seed may take far longer than another.
 */
static void work_faults(struct sim_store *sim, struct progress *progress, unsigned job, unsigned jobs)
{
	static const int errors[] = {-EIO, -ENOSPC};
	static const uint64_t kinds[] = {1, 5, 7};
	uint64_t round = (progress->seed - 1) / ARRAY_LEN(kinds);
	uint64_t seed = round / ARRAY_LEN(errors) * 32 + kinds[(progress->seed - 1) % ARRAY_LEN(kinds)];

	progress->step = 1 + job;
	do
		progress->error = errors[(progress->step + round) % ARRAY_LEN(errors)];
	while (sim_life_with_fault(sim, seed, progress->step, progress->error) && (progress->step += jobs));
}

/* One process goes up, the other down: neither addresses nor what was before may matter. */
static void work_twice(struct sim_store *sim, const struct options *options, struct progress *progress, unsigned job)
{
	uint64_t count = options->to - options->from + 1;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t place = job ? count - 1 - i : i;

		progress->seed = options->from + place;
		sim_lives(sim, progress->seed);
		(void)sim_life_with_fault(sim, progress->seed, 1 + progress->seed % 100, -EIO);
		progress->traces[place] = sim_index_trace(sim->index);
	}
}

static void work_seeds(struct sim_store *sim, const struct options *options, struct progress *progress, unsigned job)
{
	bool faults = options->mode == MODE_FAULTS;

	for (uint64_t seed = options->from + (faults ? 0 : job); seed <= options->to;
		seed += faults ? 1 : options->jobs) {
		progress->seed = seed;
		if (faults)
			work_faults(sim, progress, job, options->jobs);
		else if (options->mode == MODE_LIARS)
			sim_lives_on_a_liar(sim, seed, options->lies);
		else
			sim_lives(sim, seed);
	}
}

static void work(const struct options *options, struct progress *progress, unsigned job)
{
	struct sim_store *sim = sim_store_new(options->tmpfs, &progress->seen);

	sim->verbose = options->verbose;
	if (options->mode == MODE_TWICE)
		work_twice(sim, options, progress, job);
	else
		work_seeds(sim, options, progress, job);
	sim_store_free(&sim);
}

/* ---- All of them ---- */

static struct progress *progress_new(void)
{
	struct progress *progress =
		mmap(NULL, JOBS_MAX * sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(progress != MAP_FAILED);
	return progress;
}

static void tell(const struct options *options, const struct progress *progress, int status)
{
	if (options->mode == MODE_LIARS)
		return;
	printf("# seed %llu failed", (unsigned long long)progress->seed);
	if (options->mode == MODE_FAULTS)
		printf(" with %s at operation %llu", strerror(-progress->error), (unsigned long long)progress->step);
	if (WIFSIGNALED(status))
		printf(", signal %d", WTERMSIG(status));
	printf("; again: make crash SEEDS=%llu-%llu%s VERBOSE=1\n", (unsigned long long)progress->seed,
		(unsigned long long)progress->seed, options->mode == MODE_FAULTS ? " FAULTS=1" : "");
}

/* What a process that came to a bad end left in memory. */
static void clear_up(const struct options *options, pid_t child)
{
	static const char *const names[] = {"/index/data.mdb", "/index/lock.mdb", "/index", "/index.new/data.mdb",
		"/index.new/lock.mdb", "/index.new", "/lock", ""};
	char dir[80], path[100];

	(void)snprintf(dir, sizeof(dir), "%.40s/penfold-sim-%d", options->tmpfs, (int)child);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", dir, names[i]);
		(void)remove(path);
	}
}

/* How many processes came to a bad end. */
static unsigned run(const struct options *options, struct progress *progress)
{
	pid_t children[JOBS_MAX];
	unsigned failed = 0;

	(void)fflush(stdout);
	for (unsigned i = 0; i < options->jobs; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (children[i] == 0) {
			if (options->mode == MODE_LIARS && !options->verbose)
				CHECK(freopen("/dev/null", "w", stderr));
			work(options, &progress[i], i);
			exit(0);
		}
	}
	for (unsigned i = 0; i < options->jobs; i++) {
		int status;

		CHECK(waitpid(children[i], &status, 0) == children[i]);
		if (status == 0)
			continue;
		failed++;
		tell(options, &progress[i], status);
		clear_up(options, children[i]);
	}
	return failed;
}

/* ---- What is told ---- */

static double seconds(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show(const struct sim_seen *seen, double took)
{
	printf("# %llu cuts (%llu of them only of the process) in %.1f s, %.0f a second\n",
		(unsigned long long)seen->cuts, (unsigned long long)seen->restarts, took, (double)seen->cuts / took);
	printf("# %llu in a recovery, %llu in the recovery of that; %llu whole recoveries; %llu clean ends\n",
		(unsigned long long)seen->cuts_recovering, (unsigned long long)seen->cuts_recovering_again,
		(unsigned long long)seen->opened, (unsigned long long)seen->clean_ends);
	printf("# records nobody was promised: %llu lost, %llu kept; %llu indexes lost, %llu made anew half-way\n",
		(unsigned long long)seen->lost_changes, (unsigned long long)seen->kept_changes,
		(unsigned long long)seen->lost_indexes, (unsigned long long)seen->rebuilt);
	printf("# %llu segments dropped, %llu recycled; calls refused: %llu, stores that failed: %llu\n",
		(unsigned long long)seen->drops, (unsigned long long)seen->recycled, (unsigned long long)seen->refused,
		(unsigned long long)seen->failures);
	printf("# %llu searches, %llu of them by the index\n", (unsigned long long)seen->searched,
		(unsigned long long)seen->searched_by_index);
	printf("# checks while it serves, the same making the index anew, both while it is closed; cut, failed:");
	for (unsigned i = 0; i < SIM_CHECKS; i++)
		printf(" %llu/%llu/%llu", (unsigned long long)seen->checks[i], (unsigned long long)seen->checks_cut[i],
			(unsigned long long)seen->checks_failed[i]);
	printf("\n# records of each kind that were not durable when a store failed:");
	for (unsigned i = 1; i <= RECORD_SNAPSHOT_END; i++)
		printf(" %llu", (unsigned long long)seen->records_failed[i]);
	printf("\n# records of each kind, and not durable when a cut came:");
	for (unsigned i = 1; i <= RECORD_SNAPSHOT_END; i++)
		printf(" %llu/%llu", (unsigned long long)seen->records[i], (unsigned long long)seen->records_cut[i]);
	printf("\n# operations of each kind, and the same:");
	for (unsigned i = 1; i < OP_KINDS; i++)
		printf(" %llu/%llu", (unsigned long long)seen->ops[i], (unsigned long long)seen->ops_cut[i]);
	printf("\n");
}

/* Was everything there that the proof is about? */
static bool has_seen_all(const struct sim_seen *seen)
{
	bool all = seen->restarts && seen->cuts_recovering_again && seen->drops && seen->recycled &&
		   seen->lost_indexes && seen->lost_changes && seen->kept_changes && seen->clean_ends &&
		   seen->searched && seen->searched_by_index;

	for (unsigned i = 1; i <= RECORD_SNAPSHOT_END; i++)
		all &= seen->records_cut[i] > 0;
	for (unsigned i = 1; i < OP_KINDS; i++)
		all &= seen->ops_cut[i] > 0;
	for (unsigned i = 0; i < SIM_CHECKS; i++)
		all &= seen->checks[i] && seen->checks_cut[i];
	return all;
}

/* The same where faults come instead of cuts; one seed of each kind does. */
static bool has_failed_all(const struct sim_seen *seen)
{
	bool all = seen->refused && seen->failures && seen->searched && seen->searched_by_index &&
		   seen->checks[SIM_CHECK_SERVING] && seen->checks_failed[SIM_REMAKE_SERVING];

	for (unsigned i = 1; i <= RECORD_SNAPSHOT_END; i++)
		all &= seen->records_failed[i] > 0;
	return all;
}

static bool result(bool ok, unsigned number, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", number, name);
	return ok;
}

static bool run_and_show(const struct options *options, struct sim_seen *ret_seen)
{
	struct progress *progress = progress_new();
	double start = seconds();
	unsigned failed = run(options, progress);

	memset(ret_seen, 0, sizeof(*ret_seen));
	for (unsigned i = 0; i < options->jobs; i++)
		add_seen(ret_seen, &progress[i].seen);
	if (options->mode != MODE_LIARS)
		show(ret_seen, seconds() - start);
	(void)munmap(progress, JOBS_MAX * sizeof(*progress));
	return failed == 0;
}

static bool prove(struct options *options)
{
	struct sim_seen seen;
	bool ok = run_and_show(options, &seen);

	printf("1..2\n");
	ok = result(ok, 1,
		options->mode == MODE_FAULTS ? "an error at every operation costs nothing that was promised"
					     : "nothing that was promised is lost");
	/* A handful of seeds does not come by everything. */
	if (options->mode == MODE_CUTS && seen.cuts < 15000)
		printf("ok 2 # SKIP too few seeds to have seen everything\n");
	else if (options->mode == MODE_CUTS)
		ok = result(has_seen_all(&seen), 2, "every kind of record, and all else, was there") && ok;
	else if (options->mode == MODE_FAULTS && options->to - options->from < 2)
		printf("ok 2 # SKIP too few seeds to have one of each kind\n");
	else
		ok = result(has_failed_all(&seen), 2,
			     "calls were refused, and stores failed of every kind of record") &&
		     ok;
	return ok;
}

static bool catch_liars(struct options *options)
{
	static const struct {
		unsigned lies;
		const char *name;
	} liars[] = {{SIM_LIE_SYNC, "a disk that does not sync is noticed"},
		{SIM_LIE_SYNC_DIR, "a disk that forgets names is noticed"}};
	bool ok = true;

	printf("1..%zu\n", ARRAY_LEN(liars));
	for (unsigned i = 0; i < ARRAY_LEN(liars); i++) {
		struct sim_seen seen;

		options->lies = liars[i].lies;
		ok = result(!run_and_show(options, &seen), i + 1, liars[i].name) && ok;
	}
	return ok;
}

static bool compare_twice(struct options *options)
{
	struct progress *progress = progress_new();
	uint64_t count = options->to - options->from + 1;
	bool ok, same = true, differ = true;

	options->jobs = 2;
	ok = run(options, progress) == 0;
	for (uint64_t i = 0; i < count; i++) {
		bool again = progress[0].traces[i] == progress[1].traces[i];

		if (!again)
			printf("# seed %llu did something else\n", (unsigned long long)(options->from + i));
		same &= again;
		differ &= i == 0 || progress[0].traces[i] != progress[0].traces[i - 1];
	}
	(void)munmap(progress, JOBS_MAX * sizeof(*progress));
	printf("1..2\n");
	ok = result(ok && same, 1, "a seed does the same again, whatever was before it");
	return result(differ, 2, "another one does something else") && ok;
}

/* ---- Options ---- */

static bool take_seeds(const char *text, struct options *options)
{
	struct slice rest = slice_of(text);
	size_t dash = slice_find_byte(rest, '-');

	options->from = 1;
	if (dash == SIZE_MAX)
		return slice_to_u64(rest, UINT64_MAX - JOBS_MAX, &options->to) == 0;
	return slice_to_u64(slice_first(rest, dash), UINT64_MAX, &options->from) == 0 &&
	       slice_to_u64(slice_from(rest, dash + 1), UINT64_MAX - JOBS_MAX, &options->to) == 0;
}

static bool take_options(int argc, char **argv, struct options *options)
{
	uint64_t number;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--faults") == 0)
			options->mode = MODE_FAULTS;
		else if (strcmp(argv[i], "--liars") == 0)
			options->mode = MODE_LIARS;
		else if (strcmp(argv[i], "--twice") == 0)
			options->mode = MODE_TWICE;
		else if (strcmp(argv[i], "--verbose") == 0)
			options->verbose = true;
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc &&
			 !slice_to_u64(slice_of(argv[i + 1]), JOBS_MAX, &number) && number && ++i)
			options->jobs = (unsigned)number;
		else if (!take_seeds(argv[i], options))
			return false;
	}
	return options->from && options->to >= options->from &&
	       (options->mode != MODE_TWICE || options->to - options->from < TWICE_MAX);
}

int main(int argc, char **argv)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct options options = {
		.from = 1, .to = 20, .jobs = processors > 1 ? (unsigned)MIN(processors, JOBS_MAX) : 1};
	struct stat status;

	options.tmpfs = stat("/dev/shm", &status) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	if (!take_options(argc, argv, &options)) {
		(void)fprintf(stderr, "usage: %s [--faults|--liars|--twice] [--jobs N] [--verbose] [SEEDS|FROM-TO]\n",
			argv[0]);
		return 2;
	}
	if (options.mode != MODE_FAULTS)
		options.jobs = (unsigned)MIN(options.jobs, options.to - options.from + 1);
	if (options.mode == MODE_LIARS)
		return catch_liars(&options) ? 0 : 1;
	return (options.mode == MODE_TWICE ? compare_twice(&options) : prove(&options)) ? 0 : 1;
}
