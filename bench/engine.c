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
	unsigned rounds, messages, used;
};

/* The columns take turns, so that what else the machine does meets all of them. */
static void measure(const struct options *options, const struct mail_pool *messages, unsigned writers)
{
	static const unsigned share[STEPS] = {8, 2, 1};
	double rates[COLUMNS][ROUNDS_MAX], syncs[COLUMNS][ROUNDS_MAX], cpu[COLUMNS][ROUNDS_MAX], rate[COLUMNS];
	unsigned count = options->messages;

	for (unsigned i = 0; i < STEPS; i++)
		if (writer_counts[i] == writers)
			count /= share[i];
	for (unsigned round = 0; round < options->rounds; round++) {
		for (unsigned c = 0; c < options->used; c++) {
			struct bench bench = {options->dir, messages, options->compress, false, writers, count};
			struct result result;

			sync();
			result = columns[c](&bench);
			rates[c][round] = count / result.seconds;
			syncs[c][round] = (double)result.syncs / count;
			cpu[c][round] = result.cpu_seconds * 1e6 / count;
		}
	}
	for (unsigned c = 0; c < options->used; c++)
		rate[c] = median(rates[c], options->rounds);
	for (unsigned c = 0; c < options->used; c++)
		printf("%7u  %-12s %10.0f %12.4f %12.1f %10.3f %10.3f\n", writers, column_names[c], rate[c],
			median(syncs[c], options->rounds), median(cpu[c], options->rounds), rate[c] / rate[0],
			rate[c] / rate[1]);
	(void)fflush(stdout);
}

static void usage(void)
{
	(void)fprintf(stderr,
		"usage: engine [--dir DIR] [--raw] [--rounds N] [--messages N] [--logs-only]\n"
		"  --dir DIR     where to write: on the disk to be measured (default: the current folder)\n"
		"  --raw         bare log and journal take the messages as they are, not compressed\n"
		"  --rounds N    interleaved rounds, the median counts (default 3)\n"
		"  --messages N  per round with 64 writers (default 16000; fewer with fewer writers)\n"
		"  --logs-only   leave the whole store out\n");
	exit(2);
}

static unsigned number(const char *text, unsigned max)
{
	uint64_t value = 0;

	if (slice_to_u64(slice_of(text), max, &value) || value == 0)
		usage();
	return (unsigned)value;
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {{"dir", required_argument, NULL, 'd'}, {"raw", no_argument, NULL, 'r'},
		{"rounds", required_argument, NULL, 'n'}, {"messages", required_argument, NULL, 'm'},
		{"logs-only", no_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
	struct options options = {".", true, 3, 16000, COLUMNS};
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
		case 'l':
			options.used = COLUMNS - 1;
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
	for (unsigned i = 0; i < STEPS; i++)
		measure(&options, messages, writer_counts[i]);
	if (options.used == COLUMNS)
		bench_recovery(&(struct bench){dir, messages, true, false, 64, RECOVERY_MESSAGES});
	for (unsigned i = 0; i < BENCH_POOL; i++)
		buffer_free(&messages->pool[i]);
	free(messages);
	bench_remove(dir);
	return 0;
}
