#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bare_log.h"

struct bare_log {
	char path[PATH_MAX];
	int file;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool busy, stopping;
	off_t at, room;
	struct iovec waiting[BARE_LOG_WRITERS_MAX], writing[BARE_LOG_WRITERS_MAX];
	unsigned waiting_count;
	unsigned cohort;
	_Atomic uint32_t done[2];
	struct bare_log_stats stats;
};

static void write_out(struct bare_log *log, struct iovec *parts, unsigned count, off_t at)
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

/* With the lock. */
static off_t place(struct bare_log *log, uint64_t bytes)
{
	off_t at = log->at + (off_t)bytes > log->room ? 0 : log->at;

	log->at = at + (off_t)bytes;
	log->stats.bytes += bytes;
	return at;
}

void bare_log_commit(struct bare_log *log, struct slice bytes)
{
	struct iovec part = {(char *)(uintptr_t)bytes.at, bytes.len};
	_Atomic uint32_t *word;
	uint32_t value;
	off_t at;

	pthread_mutex_lock(&log->lock);
	if (log->busy || log->waiting_count) {
		CHECK(log->waiting_count < BARE_LOG_WRITERS_MAX);
		log->waiting[log->waiting_count++] = part;
		word = &log->done[log->cohort & 1];
		value = atomic_load(word);
		pthread_mutex_unlock(&log->lock);
		while (atomic_load(word) == value)
			(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
		return;
	}
	log->busy = true;
	at = place(log, bytes.len);
	pthread_mutex_unlock(&log->lock);
	write_out(log, &part, 1, at);
	pthread_mutex_lock(&log->lock);
	log->busy = false;
	log->stats.syncs++;
	if (log->waiting_count)
		pthread_cond_signal(&log->work);
	pthread_mutex_unlock(&log->lock);
}

/* With the lock. */
static void write_cohort(struct bare_log *log)
{
	unsigned count = log->waiting_count;
	_Atomic uint32_t *word = &log->done[log->cohort++ & 1];
	uint64_t bytes = 0;
	off_t at;

	memcpy(log->writing, log->waiting, count * sizeof(log->waiting[0]));
	for (unsigned i = 0; i < count; i++)
		bytes += log->writing[i].iov_len;
	at = place(log, bytes);
	log->waiting_count = 0;
	log->busy = true;
	pthread_mutex_unlock(&log->lock);
	write_out(log, log->writing, count, at);
	atomic_fetch_add(word, 1);
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	pthread_mutex_lock(&log->lock);
	log->busy = false;
	log->stats.syncs++;
}

static void *bare_run(void *arg)
{
	struct bare_log *log = arg;

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

/* Written once and synced. */
static void zero_ahead(int file, uint64_t bytes)
{
	char *zeros = calloc(1, 1048576);

	CHECK(zeros && fallocate(file, 0, 0, (off_t)bytes) == 0);
	for (uint64_t at = 0; at < bytes; at += 1048576)
		CHECK(pwrite(file, zeros, 1048576, (off_t)at) == 1048576);
	CHECK(fsync(file) == 0);
	free(zeros);
}

struct bare_log *bare_log_open(const char *path, uint64_t bytes)
{
	struct bare_log *log = calloc(1, sizeof(*log));

	CHECK(log && snprintf(log->path, sizeof(log->path), "%s", path) < (int)sizeof(log->path));
	log->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(log->file >= 0);
	zero_ahead(log->file, bytes);
	log->room = (off_t)bytes;
	CHECK(pthread_mutex_init(&log->lock, NULL) == 0 && pthread_cond_init(&log->work, NULL) == 0);
	CHECK(pthread_create(&log->thread, NULL, bare_run, log) == 0);
	return log;
}

struct bare_log_stats bare_log_close(struct bare_log **log_at)
{
	struct bare_log *log = *log_at;
	struct bare_log_stats stats;

	pthread_mutex_lock(&log->lock);
	log->stopping = true;
	pthread_cond_signal(&log->work);
	pthread_mutex_unlock(&log->lock);
	CHECK(pthread_join(log->thread, NULL) == 0);
	stats = log->stats;
	CHECK(close(log->file) == 0 && unlink(log->path) == 0);
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->work);
	free(log);
	*log_at = NULL;
	return stats;
}
