#include "engine.h"

#include <ftw.h>
#include <getopt.h>
#include <sys/resource.h>
#include <unistd.h>

enum { COLUMNS = 4, STEPS = 3, ROUNDS_MAX = 99, RECOVERY_MESSAGES = 50000 };

static const char *const column_names[COLUMNS] = {"bare log", "bare, read", "journal", "whole store"};
static struct result (*const columns[COLUMNS])(const struct bench *) = {
	bench_bare, bench_bare_reading, bench_journal, bench_store};
static const unsigned writer_counts[STEPS] = {1, 16, 64};

double bench_cpu(void)
{
	struct rusage use;

	CHECK(getrusage(RUSAGE_SELF, &use) == 0);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

double bench_now(void)
{
	struct timespec t;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void bench_remove(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), by_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct options {
	const char *dir;
	bool compress;
	unsigned rounds, messages;
	unsigned writers; /* 0: each of the steps */
	bool wanted[COLUMNS];
};

struct figures {
	double rate[COLUMNS][ROUNDS_MAX], syncs[COLUMNS][ROUNDS_MAX], cpu[COLUMNS][ROUNDS_MAX];
};

/* The median of what a column made of another's rate in the same round: what else the machine did then met both of them. */
static double ratio(const struct figures *figures, unsigned column, unsigned other, unsigned rounds)
{
	double ratios[ROUNDS_MAX];

	for (unsigned i = 0; i < rounds; i++)
		ratios[i] = figures->rate[other][i] > 0 ? figures->rate[column][i] / figures->rate[other][i] : 0;
	return median(ratios, rounds);
}

static void print_figures(const struct options *options, struct figures *figures, unsigned writers)
{
	unsigned rounds = options->rounds;

	for (unsigned c = 0; c < COLUMNS; c++) {
		double of_bare = ratio(figures, c, 0, rounds), of_read = ratio(figures, c, 1, rounds);

		if (options->wanted[c])
			printf("%7u  %-12s %10.0f %12.4f %12.1f %10.3f %10.3f\n", writers, column_names[c],
				median(figures->rate[c], rounds), median(figures->syncs[c], rounds),
				median(figures->cpu[c], rounds), of_bare, of_read);
	}
	(void)fflush(stdout);
}

/* The columns take turns. */
static void measure(const struct options *options, const struct mail_pool *messages, unsigned writers)
{
	struct figures *figures = calloc(1, sizeof(*figures));
	unsigned count = options->messages / (writers < 4 ? 8 : writers < 32 ? 2 : 1);

	CHECK(figures);
	for (unsigned round = 0; round < options->rounds; round++) {
		for (unsigned c = 0; c < COLUMNS; c++) {
			struct bench bench = {options->dir, messages, options->compress, false, writers, count};
			struct result result;

			if (!options->wanted[c])
				continue;
			sync();
			result = columns[c](&bench);
			figures->rate[c][round] = count / result.seconds;
			figures->syncs[c][round] = (double)result.syncs / count;
			figures->cpu[c][round] = result.cpu_seconds * 1e6 / count;
		}
	}
	print_figures(options, figures, writers);
	free(figures);
}

static void usage(void)
{
	(void)fprintf(stderr,
		"usage: engine [--dir DIR] [--raw] [--rounds N] [--messages N] [--writers N] [--columns LIST]\n"
		"  --dir DIR     where to write: on the disk to be measured (default: the current folder)\n"
		"  --raw         bare log and journal take the messages as they are, not compressed\n"
		"  --rounds N    interleaved rounds, the median counts (default 3)\n"
		"  --messages N  per round with 64 writers (default 16000; fewer with fewer writers)\n"
		"  --writers N   only with so many (default 1, 16 and 64, and then how long recovery takes)\n"
		"  --columns LIST  only these of bare,read,journal,store\n");
	exit(2);
}

static unsigned number(const char *text, unsigned max)
{
	uint64_t value = 0;

	if (slice_to_u64(slice_of(text), max, &value) || value == 0)
		usage();
	return (unsigned)value;
}

static void choose(struct options *options, const char *list)
{
	static const char *const words[COLUMNS] = {"bare", "read", "journal", "store"};
	struct slice rest = slice_of(list), word;

	memset(options->wanted, 0, sizeof(options->wanted));
	while (rest.len) {
		unsigned c = 0;

		word = slice_split(&rest, ',');
		while (c < COLUMNS && !slice_equal(word, slice_of(words[c])))
			c++;
		if (c == COLUMNS)
			usage();
		options->wanted[c] = true;
	}
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {{"dir", required_argument, NULL, 'd'}, {"raw", no_argument, NULL, 'r'},
		{"rounds", required_argument, NULL, 'n'}, {"messages", required_argument, NULL, 'm'},
		{"writers", required_argument, NULL, 'w'}, {"columns", required_argument, NULL, 'c'},
		{NULL, 0, NULL, 0}};
	struct options options = {".", true, 3, 16000, 0, {true, true, true, true}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'd':
			options.dir = optarg;
			break;
		case 'r':
			options.compress = false;
			break;
		case 'n':
			options.rounds = number(optarg, ROUNDS_MAX);
			break;
		case 'm':
			options.messages = number(optarg, 10000000);
			break;
		case 'w':
			options.writers = number(optarg, BENCH_WRITERS_MAX);
			break;
		case 'c':
			choose(&options, optarg);
			break;
		default:
			usage();
		}
	}
	return options;
}

static void make_pool(struct mail_pool *pool)
{
	struct messages *messages = messages_new(false);

	for (unsigned i = 0; i < BENCH_POOL; i++) {
		pool->pool[i] = BUFFER_INIT(MESSAGE_MAX);
		messages_put(messages, MESSAGE_UNIQUE, i, &pool->pool[i]);
		CHECK(buffer_error(&pool->pool[i]) == 0);
		pool->bytes += pool->pool[i].len;
	}
	messages_free(&messages);
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	struct mail_pool *messages = calloc(1, sizeof(*messages));
	char dir[4096];

	CHECK(messages);
	(void)snprintf(dir, sizeof(dir), "%s/bench-engine-XXXXXX", options.dir);
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	options.dir = dir;
	make_pool(messages);
	printf("%u rounds, %.1f KB mean message, bare log and journal %s\n\n", options.rounds,
		(double)messages->bytes / BENCH_POOL / 1000, options.compress ? "zstd level 1" : "uncompressed");
	printf("writers  log              msgs/s    syncs/msg   cpu us/msg    of bare    of read\n");
	for (unsigned i = 0; i < STEPS && !options.writers; i++)
		measure(&options, messages, writer_counts[i]);
	if (options.writers)
		measure(&options, messages, options.writers);
	else if (options.wanted[COLUMNS - 1])
		bench_recovery(&(struct bench){dir, messages, true, false, 64, RECOVERY_MESSAGES});
	for (unsigned i = 0; i < BENCH_POOL; i++)
		buffer_free(&messages->pool[i]);
	free(messages);
	bench_remove(dir);
	return 0;
}
