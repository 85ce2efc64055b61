/*
 * The log in files: `journal/<16 hex digits>.seg` below the data directory, allocated and zeroed ahead, recycled, one writer thread with group commit.
 * Implements store/durability.h; its layout on disk is described in ARCHITECTURE.md.
 */
#ifndef PENFOLD_STORE_DISK_DISK_H
#define PENFOLD_STORE_DISK_DISK_H

#include "base/clock.h"
#include "base/thread.h"
#include "store/disk/file.h"
#include "store/durability.h"

enum { DISK_SEGMENT_BYTES_MIN = 393216 }; /* takes a frame of a body that does not shrink */

struct disk_settings {
	struct slice dir;           /* <data>/journal */
	uint64_t segment_bytes;     /* DISK_SEGMENT_BYTES_MIN to 2 GiB; a record must fit into one */
	uint64_t staging_bytes_max; /* waiting to be written before append blocks: 32 MiB */
	unsigned
		spares; /* segments kept ready ahead while two a minute are filled: 2; else one, from half of the current one on */
	const struct file_system *files;
	const struct clock_source *clock;
	const struct thread_system *threads; /* NULL: the real ones */
	struct durability_events events;
};
struct disk_settings disk_settings_default(void);
/* Makes the directory when it is not there. One process at a time: the store holds the lock. */
MUST_CHECK int disk_open(const struct disk_settings *settings, struct durability **ret_durability);

#endif
