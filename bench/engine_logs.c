#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <zstd.h>

#include "bare_log.h"
#include "engine.h"
#include "mail/mail.h"
#include "store/disk/disk.h"

/* ---- Writers ---- */

struct writer {
	pthread_t id;
	const struct bench *bench;
	_Atomic unsigned *next;
	pthread_barrier_t *start;
	void (*commit)(void *context, unsigned writer, struct slice bytes);
	void *context;
	unsigned number;
};

/* What reading a message costs whoever keeps it: line ends, one pass, its description. Appended to `out`. */
static void read_message(struct slice bytes, struct buffer *canonical, struct buffer *out)
{
	struct mail_canon canon = {false};
	const struct mail_message *message;
	struct mail_parser *parser;

	buffer_reset(canonical);
	mail_canon_feed(&canon, bytes, canonical);
	CHECK(mail_parser_new(&mail_limits_default, &parser) == 0);
	CHECK(mail_parser_feed(parser, buffer_slice(canonical)) == 0);
	CHECK(mail_parser_finish(parser, &message) == 0);
	mail_pack(message, out);
	mail_parser_free(&parser);
	CHECK(buffer_error(canonical) == 0 && buffer_error(out) == 0);
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;
	const struct bench *bench = w->bench;
	size_t room = ZSTD_compressBound(1048576);
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	char *packed = malloc(room);
	struct buffer canonical = BUFFER_INIT(16 << 20), record = BUFFER_INIT(16 << 20);
	unsigned i;

	CHECK(zstd && packed);
	(void)pthread_barrier_wait(w->start);
	while ((i = atomic_fetch_add(w->next, 1)) < bench->count) {
		struct slice bytes = buffer_slice(&bench->messages->pool[i % BENCH_POOL]);

		if (bench->compress) {
			size_t len = ZSTD_compressCCtx(zstd, packed, room, bytes.at, bytes.len, 1);

			CHECK(!ZSTD_isError(len));
			buffer_reset(&record);
			if (bench->read)
				read_message(bytes, &canonical, &record);
			bytes = (struct slice){packed, len};
			if (bench->read) {
				buffer_put(&record, bytes);
				bytes = buffer_slice(&record);
			}
		}
		w->commit(w->context, w->number, bytes);
	}
	free(packed);
	buffer_free(&canonical);
	buffer_free(&record);
	ZSTD_freeCCtx(zstd);
	return NULL;
}

double bench_run(
	const struct bench *bench, void (*commit)(void *context, unsigned writer, struct slice bytes), void *context)
{
	struct writer writers[BENCH_WRITERS_MAX];
	_Atomic unsigned next = 0;
	pthread_barrier_t start;
	double began;

	CHECK(pthread_barrier_init(&start, NULL, bench->writers + 1) == 0);
	for (unsigned i = 0; i < bench->writers; i++) {
		writers[i] = (struct writer){0, bench, &next, &start, commit, context, i};
		CHECK(pthread_create(&writers[i].id, NULL, writer_run, &writers[i]) == 0);
	}
	(void)pthread_barrier_wait(&start);
	began = bench_now();
	for (unsigned i = 0; i < bench->writers; i++)
		CHECK(pthread_join(writers[i].id, NULL) == 0);
	began = bench_now() - began;
	pthread_barrier_destroy(&start);
	return began;
}

/* ---- The bare log ---- */

static uint64_t bytes_at_most(const struct bench *bench)
{
	uint64_t bytes = bench->messages->bytes / BENCH_POOL * bench->count;

	return bytes + bytes / 8 + (64U << 20);
}

static void commit_bare(void *context, unsigned writer, struct slice bytes)
{
	(void)writer;
	bare_log_commit(context, bytes);
}

struct result bench_bare(const struct bench *bench)
{
	struct bare_log_stats stats;
	struct bare_log *log;
	struct result result;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/bare.log", bench->dir);
	log = bare_log_open(path, bytes_at_most(bench));
	result.cpu_seconds = bench_cpu();
	result.seconds = bench_run(bench, commit_bare, log);
	result.cpu_seconds = bench_cpu() - result.cpu_seconds;
	stats = bare_log_close(&log);
	result.syncs = stats.syncs;
	result.bytes = stats.bytes;
	return result;
}

struct result bench_bare_reading(const struct bench *bench)
{
	struct bench reading = *bench;

	reading.read = true;
	return bench_bare(&reading);
}

/* ---- The journal alone ---- */

struct journal {
	struct file_system files;   /* the real ones, but for the two below */
	_Atomic unsigned dir_syncs; /* one for each segment made ready */
	_Atomic bool enough;
	struct durability *log;
	struct record records[BENCH_WRITERS_MAX];
};

static int counted_sync_dir(void *context, const char *path)
{
	struct journal *journal = context;
	int error = file_system_real.sync_dir(NULL, path);

	atomic_fetch_add(&journal->dir_syncs, 1);
	return error;
}

static int bounded_allocate(void *context, int file, uint64_t bytes)
{
	struct journal *journal = context;

	return atomic_load(&journal->enough) ? -ENOSPC : file_system_real.allocate(NULL, file, bytes);
}

static void nothing_to_do(void *context, struct record *first, uint64_t seq)
{
	(void)context;
	(void)first;
	(void)seq;
}

static void give_up(void *context, int error, const char *what)
{
	(void)context;
	(void)fprintf(stderr, "journal: %s: %s\n", what, strerror(-error));
	abort();
}

static int no_record(void *context, const struct record_read *read)
{
	(void)context;
	(void)read;
	return 0;
}

static void commit_journal(void *context, unsigned writer, struct slice bytes)
{
	struct journal *journal = context;
	struct record *record = &journal->records[writer];

	record->account = writer + 1;
	CHECK(journal->log->ops->append(journal->log, record, &bytes, 1, false) == 0);
	CHECK(journal->log->ops->wait(journal->log, record->seq) == 0);
}

/* As with the bare log, all the space of the round is written once before, and none while it is measured. */
static void open_journal(const struct bench *bench, struct journal *journal, const char *dir)
{
	struct disk_settings settings = disk_settings_default();
	unsigned before;

	journal->files = file_system_real;
	journal->files.sync_dir = counted_sync_dir;
	journal->files.allocate = bounded_allocate;
	journal->files.context = journal;
	settings.dir = slice_of(dir);
	settings.files = &journal->files;
	settings.spares = (unsigned)(bytes_at_most(bench) / settings.segment_bytes) + 1;
	settings.events = (struct durability_events){nothing_to_do, give_up, NULL, NULL};
	CHECK(disk_open(&settings, &journal->log) == 0);
	before = atomic_load(&journal->dir_syncs);
	CHECK(journal->log->ops->replay(journal->log, 1, false, no_record, NULL) == 0);
	while (atomic_load(&journal->dir_syncs) < before + 1 + settings.spares)
		(void)usleep(10000);
	atomic_store(&journal->enough, true);
}

struct result bench_journal(const struct bench *bench)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	struct result result;
	uint64_t records;
	char dir[4096];

	CHECK(journal);
	(void)snprintf(dir, sizeof(dir), "%s/journal", bench->dir);
	open_journal(bench, journal, dir);
	result.cpu_seconds = bench_cpu();
	result.seconds = bench_run(bench, commit_journal, journal);
	result.cpu_seconds = bench_cpu() - result.cpu_seconds;
	journal->log->ops->figures(journal->log, &records, &result.bytes, &result.syncs);
	CHECK(records == bench->count);
	journal->log->ops->close(&journal->log);
	bench_remove(dir);
	free(journal);
	return result;
}
