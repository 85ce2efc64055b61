/*
 * A disk in memory behind struct file_system, that behaves as badly as a real one may.
 *
 * What was written is visible at once, but survives a power cut only after it was synced: before, each 512-byte sector may be old or
 * new, in any combination, and so may a file's size and each change of a directory; with a directory goes what is in it. Sectors
 * themselves are whole. A write that fails may have been done in part; a sync that fails may forget what it should have written while
 * reads go on showing it, as kernels do. All chances come from the seed. Any thread may call; descriptors are numbers of its own.
 */
#ifndef PENFOLD_TESTS_SIM_FILES_H
#define PENFOLD_TESTS_SIM_FILES_H

#include "store/disk/file.h"

struct sim_files;

struct sim_files *sim_files_new(uint64_t seed);
void sim_files_reset(struct sim_files *sim, uint64_t seed); /* as if new; nothing may be open */
void sim_files_free(struct sim_files **sim);
const struct file_system *sim_files_system(struct sim_files *sim);

/* Operations so far, of whatever kind. */
uint64_t sim_files_count(struct sim_files *sim);
/* The n-th operation from now on fails with `error`; 0: none. */
void sim_files_fail_at(struct sim_files *sim, uint64_t n, int error);
/* Operations that change or sync something; and the same, for the n-th of those. */
uint64_t sim_files_changes(struct sim_files *sim);
void sim_files_fail_change_at(struct sim_files *sim, uint64_t n, int error);
/* With the n-th operation from now on the process is gone: that one may be done in part, it and all later ones fail. */
void sim_files_stop_at(struct sim_files *sim, uint64_t n);
bool sim_files_is_stopped(const struct sim_files *sim);
/* A disk that says it has done what it has not: to see that tests notice. */
enum { SIM_LIE_SYNC = 1, SIM_LIE_SYNC_DIR = 2 };
void sim_files_lie(struct sim_files *sim, unsigned lies);
/* Of a file opened with O_DSYNC, after a write. */
int sim_files_sync_range(struct sim_files *sim, int file, uint64_t at, size_t bytes);
/* Bytes that files may have together; allocating or writing more is -ENOSPC. UINT64_MAX: no limit. */
void sim_files_room(struct sim_files *sim, uint64_t bytes);

/* The process starts anew: descriptors are gone, what was written is still in memory. */
void sim_files_restart(struct sim_files *sim);
/* The machine starts anew: what was not synced is there, or not, as it comes. */
void sim_files_power_cut(struct sim_files *sim);

/* For looking at a file and damaging it: its bytes, on the disk and in memory alike once changed through sim_files_patch(). */
bool sim_files_get(struct sim_files *sim, const char *path, struct slice *ret_bytes); /* until the next change */
void sim_files_patch(struct sim_files *sim, const char *path, uint64_t at, struct slice bytes);

#endif
