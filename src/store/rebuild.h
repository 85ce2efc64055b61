/* Making accounts' rows anew from the journal, beside an index that goes on being used. One thread; nothing may drop segments meanwhile. */
#ifndef PENFOLD_STORE_REBUILD_H
#define PENFOLD_STORE_REBUILD_H

#include "store/engine.h"

struct rebuild;
struct rebuild_settings {
	struct index *index;           /* empty */
	const struct number_map *only; /* account + 1 -> 1; NULL: everything. Must outlive the rebuild */
	uint64_t until;                /* the state after this record, which is durable */
	bool salvage;
};
MUST_CHECK int rebuild_beside(
	struct store *store, const struct rebuild_settings *settings, struct rebuild **ret_rebuild);
MUST_CHECK int rebuild_follow(struct rebuild *rebuild, uint64_t until); /* goes on to a later state */
void rebuild_free(struct rebuild **rebuild);

/* ---- Putting it into the index in use (index_sync.c) ---- */

struct index_sync {
	struct index *live, *made;
	MDB_txn *to, *from;
	bool salvage;     /* the journal was stepped over where it is damaged */
	bool differs;     /* rows that could be read said something else */
	uint64_t damaged; /* rows that could not */
};
/* All rows that are the account's become what `made` has. What is right already is not touched. */
MUST_CHECK int index_sync_account(struct index_sync *sync, uint64_t account);
/* What belongs to no single account: domains, aliases, addresses, dictionaries, what is to expire. All accounts are in `made`. */
MUST_CHECK int index_sync_rest(struct index_sync *sync);
/* Counts anew what lives in which segment. */
MUST_CHECK int index_live_recount(struct index *index, MDB_txn *txn);

#endif
