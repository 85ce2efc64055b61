/*
 * bench/engine: how many messages per second are taken in durably, and what that is compared with.
 *
 *   bare log     each writer hands its bytes to the simplest possible log: one write and one sync for everybody who waits
 *   bare, read   the same log, and each writer also reads its message as a delivery must: line ends, MIME, its description
 *   journal      the bare log's bytes, as records of store/disk
 *   whole store  the same messages, delivered to 1,000 accounts: parsed, compressed, indexed in the background
 */
#ifndef PENFOLD_BENCH_ENGINE_H
#define PENFOLD_BENCH_ENGINE_H

#include "messages.h"

enum { BENCH_WRITERS_MAX = 256, BENCH_POOL = 512 };

/* Messages of bench/messages.h: mean 23 KB, zstd level 1 makes them about half as large. */
struct mail_pool {
	struct buffer pool[BENCH_POOL];
	uint64_t bytes;
};

/* ---- What is measured ---- */
struct bench {
	const char *dir;
	const struct mail_pool *messages;
	bool compress; /* bare log and journal: by the writer's thread, zstd level 1 */
	bool read;     /* bare log: and the message is read */
	unsigned writers;
	unsigned count; /* messages in this round, all writers together */
};
struct result {
	double seconds;
	double cpu_seconds; /* of the whole process, kernel included */
	uint64_t syncs, bytes;
};
struct result bench_bare(const struct bench *bench);
struct result bench_bare_reading(const struct bench *bench);
struct result bench_journal(const struct bench *bench);
struct result bench_store(const struct bench *bench);
/* Prints how long opening takes when `count` messages are not in the index, and when there is no index. */
void bench_recovery(const struct bench *bench);

/*
 * What bare log and journal have in common: `writers` threads that together make `count` messages ready and hand each to `commit`, which
 * returns when it is durable. Gives the seconds from the start of the first to the end of the last.
 */
double bench_run(
	const struct bench *bench, void (*commit)(void *context, unsigned writer, struct slice bytes), void *context);
void bench_remove(const char *dir); /* and what is in it */
double bench_now(void);
double bench_cpu(void);

#endif
