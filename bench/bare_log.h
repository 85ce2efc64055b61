/*
 * The simplest log there can be: bytes one after the other in a file that was written once before. Who comes while nobody writes does so himself;
 * who comes while somebody writes waits, and a thread of the log's then writes and syncs for all of them and wakes them with one call.
 */
#ifndef PENFOLD_BENCH_BARE_LOG_H
#define PENFOLD_BENCH_BARE_LOG_H

#include "base/slice.h"

enum { BARE_LOG_WRITERS_MAX = 256 };

struct bare_log;
struct bare_log_stats {
	uint64_t syncs, bytes;
};
/* Makes the file, with room for so many bytes; what does not fit any more goes to its front again. */
struct bare_log *bare_log_open(const char *path, uint64_t bytes);
/* Comes back when they are synced. From any thread, of no more than BARE_LOG_WRITERS_MAX at a time. */
void bare_log_commit(struct bare_log *log, struct slice bytes);
/* Removes the file. */
struct bare_log_stats bare_log_close(struct bare_log **log);

#endif
