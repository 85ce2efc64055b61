#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

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

/*
 * Bytes one after the other in a file that was written once before. Who comes while nobody writes does so himself; who comes while somebody
 * writes waits, and a thread of the log's then writes and syncs for all of them and wakes them with one call.
 */
struct bare {
	int file;
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool busy, stopping;
	off_t at;
	struct iovec waiting[BENCH_WRITERS_MAX], writing[BENCH_WRITERS_MAX];
	unsigned waiting_count;
	unsigned cohort;
	_Atomic uint32_t done[2];
	uint64_t syncs, bytes;
};

static void write_out(struct bare *log, struct iovec *parts, unsigned count, off_t at)
{
	while (count) {
		ssize_t n = pwritev(log->file, parts, (int)count, at);

		CHECK(n > 0);
		for (at += n; count && (size_t)n >= parts->iov_len; parts++, count--)
			n -= (ssize_t)parts->iov_len;
		if (count) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	CHECK(fdatasync(log->file) == 0);
}

static void commit_bare(void *context, unsigned writer, struct slice bytes)
{
	struct bare *log = context;
	struct iovec part = {(char *)(uintptr_t)bytes.at, bytes.len};
	_Atomic uint32_t *word;
	uint32_t value;
	off_t at;

	(void)writer;
	pthread_mutex_lock(&log->lock);
	log->bytes += bytes.len;
	if (log->busy || log->waiting_count) {
		log->waiting[log->waiting_count++] = part;
		word = &log->done[log->cohort & 1];
		value = atomic_load(word);
		pthread_mutex_unlock(&log->lock);
		while (atomic_load(word) == value)
			(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
		return;
	}
	log->busy = true;
	at = log->at;
	log->at += (off_t)bytes.len;
	pthread_mutex_unlock(&log->lock);
	write_out(log, &part, 1, at);
	pthread_mutex_lock(&log->lock);
	log->busy = false;
	log->syncs++;
	if (log->waiting_count)
		pthread_cond_signal(&log->work);
	pthread_mutex_unlock(&log->lock);
}

/* With the lock. */
static void write_cohort(struct bare *log)
{
	unsigned count = log->waiting_count;
	_Atomic uint32_t *word = &log->done[log->cohort++ & 1];
	off_t at = log->at;

	memcpy(log->writing, log->waiting, count * sizeof(log->waiting[0]));
	for (unsigned i = 0; i < count; i++)
		log->at += (off_t)log->writing[i].iov_len;
	log->waiting_count = 0;
	log->busy = true;
	pthread_mutex_unlock(&log->lock);
	write_out(log, log->writing, count, at);
	atomic_fetch_add(word, 1);
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	pthread_mutex_lock(&log->lock);
	log->busy = false;
	log->syncs++;
}

static void *bare_run(void *arg)
{
	struct bare *log = arg;

	pthread_mutex_lock(&log->lock);
	while (!log->stopping) {
		if (log->waiting_count && !log->busy)
			write_cohort(log);
		else
			pthread_cond_wait(&log->work, &log->lock);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

/* Room for `bytes`, written once and synced. */
static void zero_ahead(int file, uint64_t bytes)
{
	char *zeros = calloc(1, 1048576);

	CHECK(zeros && fallocate(file, 0, 0, (off_t)bytes) == 0);
	for (uint64_t at = 0; at < bytes; at += 1048576)
		CHECK(pwrite(file, zeros, 1048576, (off_t)at) == 1048576);
	CHECK(fsync(file) == 0);
	free(zeros);
}

static uint64_t bytes_at_most(const struct bench *bench)
{
	uint64_t bytes = bench->messages->bytes / BENCH_POOL * bench->count;

	return bytes + bytes / 8 + (64U << 20);
}

struct result bench_bare(const struct bench *bench)
{
	struct bare log = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};
	struct result result;
	char path[4096];
	pthread_t thread;

	(void)snprintf(path, sizeof(path), "%s/bare.log", bench->dir);
	log.file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(log.file >= 0);
	zero_ahead(log.file, bytes_at_most(bench));
	CHECK(pthread_create(&thread, NULL, bare_run, &log) == 0);
	result.cpu_seconds = bench_cpu();
	result.seconds = bench_run(bench, commit_bare, &log);
	result.cpu_seconds = bench_cpu() - result.cpu_seconds;
	pthread_mutex_lock(&log.lock);
	log.stopping = true;
	pthread_cond_signal(&log.work);
	pthread_mutex_unlock(&log.lock);
	CHECK(pthread_join(thread, NULL) == 0);
	result.syncs = log.syncs;
	result.bytes = log.bytes;
	CHECK(close(log.file) == 0 && unlink(path) == 0);
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
