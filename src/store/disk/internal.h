/*
 * What the parts of store/disk share. Two threads work behind the log: the writer (writer.c) writes and syncs batches; the keeper
 * (keeper.c) makes segments ahead of their use, seals full ones and recycles dropped ones.
 *
 * Locks, in this order: disk.lock (the end of the log, batches, spares), then table.lock (which segments there are, their files).
 */
#ifndef PENFOLD_STORE_DISK_INTERNAL_H
#define PENFOLD_STORE_DISK_INTERNAL_H

#include "base/thread.h"
#include "store/disk/disk.h"
#include "store/disk/segments.h"

enum {
	DISK_NAME_ROOM = 32, /* "/", 16 digits, ".seg", NUL */
	DISK_CHUNKS_MAX = 16,
	DISK_FILES_MAX = 512, /* segments kept open */
	DISK_PAGE_BYTES = 4096,
	DISK_PIECE_BYTES = 1048576, /* written and synced at a time */
	DISK_WINDOW_BYTES = 131072, /* read at a time */
	DISK_RETRY_MS = 200,
	DISK_BUSY_MS = 60000,      /* two segments begun within it: more spares than one are kept ready */
	SEGMENT_RESERVE_PART = 16, /* of a segment is kept for changes that let people clean up */
	SEGMENT_SHORT_BYTES = 16384,
};

struct chunk { /* a run of bytes for one segment, in the batch's staging buffer */
	struct segment *segment;
	uint32_t at;
	size_t start, len;
};

struct batch {
	char *staging;
	size_t len, room;
	struct chunk chunks[DISK_CHUNKS_MAX];
	unsigned chunk_count;
	struct record *first, *last;
	uint64_t last_seq;
	_Atomic uint32_t copying; /* appends that still copy their payload into it */
};

struct disk {
	struct durability base;
	struct disk_settings settings; /* .dir points to dir */
	char *dir;
	const struct file_system *files;
	struct segment_table table;

	struct lock lock;
	struct condition work, room, spare, keep;
	bool replayed, stopping, writer_idle, writer_ended;
	_Atomic bool failed;
	struct segment *current;
	bool turning; /* the next record is not for it, if there is a spare */
	uint64_t last_seq;
	_Atomic uint64_t durable_seq;
	/* One is filled while the other is written. Batch number n is batches[n & 1]; `filling` is the number of the one being filled. */
	struct batch batches[2];
	uint64_t filling;
	uint64_t records, bytes, syncs;
	uint64_t taken, last_batch, awaited; /* records: in batches; in the last one; that the writer waits for */
	_Atomic uint32_t done[2];            /* counts finished batches of that parity: what wait() sleeps on */
	_Atomic unsigned waiters;

	uint64_t next_id;
	struct segment_list ready;    /* spares: allocated, named, durable as files */
	struct segment_list unsealed; /* full, to be sealed when all of them is durable */
	struct segment_list damaged;  /* whose header cannot be read: left alone */
	struct segment_list cut;      /* found at the start: hold nothing that counts */
	struct segment_list dropped;  /* nobody uses them any more: to be recycled or removed */
	unsigned spare_waiters;       /* appends that wait for one */
	int64_t begun_us[2]; /* when the current segment was begun, and the one before it; INT64_MIN: before this run */
	int no_room;         /* why the last attempt to make a spare failed; 0: it did not */
	bool threads;
	struct thread writer, keeper;
};

static inline struct disk *disk_of(struct durability *d)
{
	return CONTAINER_OF(d, struct disk, base);
}

/* ---- disk.c ---- */
void disk_notice(struct disk *disk, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
/* Once: nothing is acknowledged any more. From any thread, without disk.lock. */
void disk_fail(struct disk *disk, int error, const char *what);
MUST_CHECK int disk_start(struct disk *disk); /* the two threads */

/* ---- append.c ---- */
MUST_CHECK int disk_append(
	struct durability *d, struct record *record, const struct slice *parts, size_t part_count, bool small_reserve);
MUST_CHECK int disk_turn(struct durability *d);
MUST_CHECK int disk_read(
	struct durability *d, const struct record_place *place, uint32_t offset, uint32_t bytes, char *to);

/* ---- writer.c ---- */
void *disk_writer_run(void *disk);
MUST_CHECK int disk_wait(struct durability *d, uint64_t seq);
void batch_copied(struct disk *disk, struct batch *batch); /* one append less that copies */
void disk_wake_all(struct disk *disk);

/* ---- keeper.c ---- */
void *disk_keeper_run(void *disk);
void disk_spares_remove(struct disk *disk); /* when both threads have ended */
/* Writes the seal and makes it durable. All of the segment is durable, and its file open for writing. */
MUST_CHECK int segment_seal(struct disk *disk, struct segment *segment);
/* The same for a segment that ends early: gives back the space it does not need. */
MUST_CHECK int segment_finish(struct disk *disk, struct segment *segment);

/* ---- recover.c, replay.c ---- */
MUST_CHECK int disk_recover_list(struct disk *disk);
/* Renames a segment's file away; the keeper recycles or removes it. */
MUST_CHECK int segment_set_aside(struct disk *disk, struct segment *segment);
MUST_CHECK int disk_replay(struct durability *d, uint64_t from_seq, bool salvage, record_reader *each, void *context);

/* ---- walk.c ---- */
struct walk {
	struct disk *disk;
	struct segment *segment;
	uint64_t end;      /* no record reaches beyond this offset */
	uint64_t expected; /* number of the next record; filled by the caller, moves on */
	uint64_t bound;    /* numbers from here on are not this segment's */
	uint64_t from_seq; /* records before it are passed over, and damage in them is only noticed */
	bool salvage;
	void (*damaged)(void *context, const struct log_damage *damage); /* NULL: notices */
	/* The highest number that something durable claims to be durable, looked for when first needed. */
	int (*proven)(struct walk *walk, uint64_t *ret_seq);
	uint64_t claimed; /* the highest claim met so far */
	record_reader *each;
	void *context;
	uint64_t at; /* where it ended: the first byte after the last record */
	bool torn;   /* it ended before `bound`: what follows was never promised to anybody */
	bool over;
};
/* Reads the segment's records in order, until `bound` or a torn end. What `each` returns when not 0; -EBADMSG: damage (noticed with its place). */
MUST_CHECK int segment_walk(struct walk *walk);
/* The highest claim of any record header between two offsets. */
MUST_CHECK int segment_claims(
	struct disk *disk, struct segment *segment, uint64_t from, uint64_t end, uint64_t *ret_seq);
/* Offset of the first record whose number is above `seq`; `end` when there is none. All up to `end` is known to be sound. */
MUST_CHECK int segment_find(struct disk *disk, struct segment *segment, uint64_t seq, uint64_t end, uint64_t *ret_at);
MUST_CHECK int disk_segment_read(struct durability *d, uint64_t segment, const struct segment_reading *reading);

/* ---- mend.c ---- */
/* Of a payload: what is longer takes random damage for a flipped bit too often. */
enum { DISK_MEND_BYTES_MAX = 1048576 };
/* Finds the one flipped bit of a payload and puts it right in memory. */
bool payload_mend(char *payload, const struct record_header *header, size_t *ret_bit);
MUST_CHECK int segment_block_write(
	struct disk *disk, const struct segment *segment); /* of a sealed one, anew; synced */
MUST_CHECK int disk_mend(struct durability *d, const struct log_damage *damage);
MUST_CHECK int segment_block_check(const struct walk *walk);

#endif
