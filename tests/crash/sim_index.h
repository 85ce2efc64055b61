/*
 * The index on the simulated disk. LMDB reads through a map of a real file and writes it by system calls of its own; the file lies in
 * memory (tmpfs), and those calls - pwrite, writev, fdatasync, writing with O_DSYNC - are caught here: each is an operation of the
 * simulated disk, in the same count and with the same chances as all others, and then done to the real file so that the map shows it.
 * After a power cut the real file is made what the simulated disk still has. So a commit is torn like any other write. Caught is also how
 * LMDB waits for another one who writes.
 *
 * One at a time in a process.
 */
#ifndef PENFOLD_TESTS_SIM_INDEX_H
#define PENFOLD_TESTS_SIM_INDEX_H

#include "../store/sim_files.h"
#include "sim_threads.h"

struct sim_index;

/* `dir`: the data directory, real, on a tmpfs where nothing else lies. Before each operation another of `threads` may go on. */
struct sim_index *sim_index_new(struct sim_files *files, const char *dir, struct sim_threads *threads);
void sim_index_free(struct sim_index **index);
/* The simulated disk, for the store; what happens to names in the index's directory happens to the real ones, too. */
const struct file_system *sim_index_system(struct sim_index *index);
/* Between two lives, before and after sim_files_restart() or sim_files_power_cut(). */
void sim_index_close(struct sim_index *index);
void sim_index_settle(struct sim_index *index);
/* A hash, since asked last, over every operation: when in simulated time, what was written or read, what came of it; and what cuts left of the index. */
uint64_t sim_index_trace(struct sim_index *index);
/* Files that came into use under a new name, since asked last. */
uint64_t sim_index_recycled(struct sim_index *index);
/* The index is gone: somebody removed it, or its disk was lost. Between two lives. */
void sim_index_lose(struct sim_index *index);

#endif
