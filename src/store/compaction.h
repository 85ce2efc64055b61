/*
 * What compact.c and compact_choose.c share: one round of copying what is alive out of segments, which are then dropped. There are two kinds:
 * of mostly dead ones, for their space; and of such with mail as it came in, which is packed tightly.
 */
#ifndef PENFOLD_STORE_COMPACTION_H
#define PENFOLD_STORE_COMPACTION_H

#include "store/relocate.h"

enum { ROUND_SEGMENTS = 8 };
enum { ACCOUNT_NEEDED = 1, ACCOUNT_GONE = 2 };
enum compaction_kind { COMPACT_DEAD_ONLY, COMPACT_MOSTLY_DEAD, COMPACT_LOOSE };

struct candidate {
	struct segment_info info;
	struct segment_row row;
};

struct compaction {
	struct store *store;
	bool once;
	enum compaction_kind kind;
	uint64_t before; /* of loose ones only those with a lower id */
	MDB_txn *txn;
	struct candidate *found;
	size_t found_count, found_room;
	uint64_t applied, oldest;       /* the first segment there is */
	struct number_map accounts;     /* id + 1 -> ACCOUNT_: state records of theirs go away */
	struct number_map dictionaries; /* id -> 1 */
	struct relocation move;
	uint64_t seq; /* of the newest record written here */
	/* The segment at hand. */
	const struct candidate *at;
	uint64_t cost;
	struct number_map new_accounts, new_dictionaries;
	struct number_map new_emails; /* ids that live in it */
	bool damaged;                 /* beyond mending */
	const struct candidate *taken[ROUND_SEGMENTS];
	size_t taken_count;
	uint64_t gain_all, cost_all; /* of those taken to be packed again */
	uint64_t
		snapshots_to; /* 0, or nothing is taken, and snapshots are wanted of all accounts: as new as this record */
	int64_t paced_us;     /* up to then the time is used by what the rate allows */
};

/* compact_choose.c: fills .taken and what is in them. */
MUST_CHECK int compaction_choose(struct compaction *c);
/* What is alive in a segment. Where that cannot be read, all of it is. */
struct segment_row compaction_row(struct compaction *c, uint64_t segment);
/* Whether so much of it came in that it is worth packing again. */
bool compaction_is_loose(const struct segment_info *info, const struct segment_row *row, bool once);
/* Where segments are remembered that this kind of round could not take: with their live bytes. */
struct number_map *compaction_left(const struct compaction *c);
/* compact.c: after so many bytes. -ECANCELED: the store closes. */
MUST_CHECK int compaction_pace(struct compaction *c, uint64_t bytes);
void compaction_txn_end(struct compaction *c);

#endif
