/*
 * The files of the log as the parts of store/disk know them: what is in use, in the order of their ids, and lists of those that are
 * waiting for something.
 */
#ifndef PENFOLD_STORE_DISK_SEGMENTS_H
#define PENFOLD_STORE_DISK_SEGMENTS_H

#include "base/thread.h"
#include "store/disk/disk.h"
#include "store/disk/layout.h"

enum { DISK_PATH_MAX = 4096 };

struct disk;

struct segment {
	uint64_t id;
	struct segment_header header;
	/* Of the current segment under disk.lock; afterwards they do not change. */
	uint32_t used;            /* offset of the first free byte; 0: the header was not staged yet */
	uint64_t last_seq;        /* first_seq - 1: no record yet */
	uint64_t file_bytes;      /* less, once, when it was sealed early: of interest to nobody then */
	_Atomic uint32_t written; /* up to here the file has the bytes */
	/* Under table.lock: */
	bool sealed;      /* its seal is durable; one from an earlier run may be in the page cache only */
	bool seal_synced; /* this run made it durable */
	bool dropped;     /* renamed away; lives on while pins or refs are left */
	int file;         /* -1: not open */
	unsigned refs, pins;
	uint64_t touched;
	struct segment *next; /* in one of disk's lists, under disk.lock */
};

/* Time to make the next one. With disk.lock. */
static inline bool segment_is_half(const struct segment *segment)
{
	return segment->used >= segment->file_bytes / 2;
}

struct segment_list { /* first in, first out */
	struct segment *first, *last;
	unsigned count;
};
void segment_list_put(struct segment_list *list, struct segment *segment);
struct segment *segment_list_take(struct segment_list *list); /* NULL: empty */

struct segment_table { /* in the order of their ids */
	struct lock lock;
	struct segment **at;
	size_t count, room;
	unsigned open_files;
	uint64_t tick;
};

struct segment *segment_new(uint64_t id); /* NULL: no memory */
void segment_free(struct disk *disk, struct segment **segment);
void segment_path(const struct disk *disk, const struct segment *segment, char path[DISK_PATH_MAX]);
void segment_path_named(const struct disk *disk, uint64_t id, const char *ending, char path[DISK_PATH_MAX]);
MUST_CHECK int segments_add(struct segment_table *table, struct segment *segment);
void segments_remove(struct segment_table *table, struct segment *segment);
/* For use until segment_unref(): with its file open. -ENOENT; dropped ones are found while something keeps them alive. */
MUST_CHECK int segment_ref(struct disk *disk, uint64_t id, struct segment **ret_segment);
void segment_unref(struct disk *disk, struct segment *segment);
MUST_CHECK int disk_pin(struct durability *d, uint64_t id);
void disk_unpin(struct durability *d, uint64_t id);
MUST_CHECK int disk_segment_drop(struct durability *d, uint64_t id);
MUST_CHECK int disk_segments(
	struct durability *d, int (*each)(void *context, const struct segment_info *info), void *context);

#endif
