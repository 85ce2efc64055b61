/*
 * The interface between the engine and the place where its log is kept: small enough to print.
 *
 * `disk` (store/disk) implements it with segment files; `rados` will with objects. A log is a sequence of records with ascending
 * numbers, without gaps. Appending gives number and place at once; being told that it is durable comes later, in order. Once an append
 * is accepted, the only thing that can go wrong is `failed`, after which nothing is acknowledged any more and the process must end:
 * a failed write or sync is never tried again, because the kernel may have dropped the pages while reporting the error only once, and a
 * later sync would succeed without them. Whoever opens the log next must not trust what it reads back either: what is not proven to have
 * been durable is to be written once more and synced before it counts (ARCHITECTURE.md, "The journal").
 *
 * Threads: append, read, pin and the figures from any thread; replay before the first append; the rest from one thread at a time.
 */
#ifndef PENFOLD_STORE_DURABILITY_H
#define PENFOLD_STORE_DURABILITY_H

#include "base/buffer.h"

/* Where a record's payload lies. Segments are numbered upwards from 1 and never renumbered. */
struct record_place {
	uint64_t segment;
	uint32_t at;    /* offset of the payload in the segment */
	uint32_t bytes; /* of the payload */
};

/*
 * A record on its way. The engine embeds it, fills the first group and keeps it alive until it comes back from `durable` or `dropped`.
 */
struct record {
	uint64_t account; /* 0: none */
	uint8_t kind;     /* the engine's */

	uint64_t seq; /* the log's: filled by append */
	struct record_place place;
	struct record *next;
};

struct durability_events {
	/* These records, linked in order, are durable now; the last one's seq is `seq`. On the writer's thread. */
	void (*durable)(void *context, struct record *first, uint64_t seq);
	void (*failed)(void *context, int error, const char *what);
	/* For the admin: segment, offset, what is wrong. */
	void (*notice)(void *context, const char *event, struct slice detail);
	void *context;
	/* Closed after `failed`: these records, linked, never became durable. May be NULL. */
	void (*dropped)(void *context, struct record *first);
};

/* A record read back. `payload` is valid during the callback. */
struct record_read {
	uint64_t account, seq;
	uint8_t kind;
	struct record_place place;
	struct slice payload;
};
/* 0: go on; anything else stops the reading and is returned. */
typedef int record_reader(void *context, const struct record_read *record);

/* What is not as it was written. */
enum log_damage_part {
	LOG_SEGMENT_HEADER, /* one of its two copies, or a seal, or the zeros between */
	LOG_RECORD_HEADER,
	LOG_RECORD_PAYLOAD,
	LOG_RECORD_PADDING, /* the zeros behind it */
};
struct log_damage {
	enum log_damage_part part;
	uint64_t segment;
	uint64_t at;  /* offset of the segment's wrong byte, or of the record when nobody can tell which it is */
	uint64_t seq; /* 0: of no record */
	bool mended;  /* read as it was meant: nothing is lost */
	/* Where the header could be read: */
	bool has_header;
	uint8_t kind;
	uint64_t account;
	struct record_place place;
};

struct segment_reading {
	record_reader *each;
	/* Told of all damage, which is then stepped over, instead of notice(). May be NULL: then damage ends the reading with -EBADMSG. */
	void (*damaged)(void *context, const struct log_damage *damage);
	void *context;
};

struct segment_info {
	uint64_t id, first_seq, last_seq;
	uint64_t bytes; /* used */
	bool sealed;    /* no more appends will come to it */
};

struct durability;
struct durability_ops {
	/* Ends the threads after everything accepted is durable. */
	void (*close)(struct durability **d);

	/*
	 * Reads the log from the first record with a number >= from_seq to its end, in order; a torn tail is recognised and cut. To be called
	 * once before the first append (from_seq may be beyond the end). -EBADMSG: a record that was durable is damaged; with `salvage`
	 * damage is reported by notice() and stepped over. A record with a single flipped bit is no such damage: it is noticed, and read as it was
	 * meant, here and by segment_read().
	 */
	int (*replay)(struct durability *d, uint64_t from_seq, bool salvage, record_reader *each, void *context);

	/*
	 * Appends one record whose payload is the parts in a row. Fills record->seq and ->place. -ENOSPC: no room can be had now (a record marked
	 * `small_reserve` may use a reserve kept for changes that let people clean up); -EMSGSIZE: larger than a segment takes. Blocks
	 * only while more than a bounded amount waits to be written.
	 */
	int (*append)(struct durability *d, struct record *record, const struct slice *parts, size_t part_count,
		bool small_reserve);
	/* The next record begins a new segment, so that the current one gets sealed; nothing when it is empty. -ENOSPC: none can be had now. */
	int (*turn)(struct durability *d);
	uint64_t (*durable_seq)(struct durability *d);
	uint64_t (*last_seq)(struct durability *d);      /* newest number given out */
	int (*wait)(struct durability *d, uint64_t seq); /* until durable; -EIO after `failed` */

	/*
	 * Reads `bytes` bytes of a payload from `offset` into `to`; whatever was appended can be read at once, durable or not. No CRC is
	 * checked: bodies carry their own. -EIO, -ENOENT (segment gone), -EBADMSG (beyond the payload).
	 */
	int (*read)(struct durability *d, const struct record_place *place, uint32_t offset, uint32_t bytes, char *to);
	/* A pinned segment is not dropped until unpinned; drop waits for nobody: the file goes when the last pin does. */
	int (*pin)(struct durability *d, uint64_t segment); /* -ENOENT */
	void (*unpin)(struct durability *d, uint64_t segment);

	/* All segments in order; and every record of one, CRCs verified, for compaction and checks (-EBADMSG as replay). */
	int (*segments)(
		struct durability *d, int (*each)(void *context, const struct segment_info *info), void *context);
	int (*segment_read)(struct durability *d, uint64_t segment, const struct segment_reading *reading);
	/*
	 * Writes right what is `mended`, and syncs it; of a record only .segment and .place count. -EBADMSG: more than a bit is
	 * wrong; -EALREADY: nothing is; -EBUSY: the segment is still being written.
	 */
	int (*mend)(struct durability *d, const struct log_damage *damage);
	int (*segment_drop)(struct durability *d, uint64_t segment); /* recycles it; -EBUSY when not sealed */

	int (*room)(
		struct durability *d, uint64_t *ret_bytes); /* that the place still has, for the log and for all else */
	/* Figures since opening. */
	void (*figures)(struct durability *d, uint64_t *ret_records, uint64_t *ret_bytes, uint64_t *ret_syncs);
};
struct durability {
	const struct durability_ops *ops;
};

#endif
