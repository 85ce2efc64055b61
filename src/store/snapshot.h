/*
 * Snapshots of an account's state in the journal: everything but its emails, so that older records of the account are no longer needed
 * to rebuild it. A snapshot is a begin record, parts, and an end record; without its end it counts for nothing. Account 0 has
 * the domains, the aliases, and what may not be given out again. An account that is gone has a snapshot that says nothing of it.
 */
#ifndef PENFOLD_STORE_SNAPSHOT_H
#define PENFOLD_STORE_SNAPSHOT_H

#include "store/engine.h"
#include "store/index_rows.h"

/*
 * Writes one of the state as the index has it now; with `reserve`, because it frees space, also where there is none but the reserve. *ret_bytes:
 * of its records; *ret_seq: of its end.
 */
MUST_CHECK int snapshot_write(
	struct store *store, uint64_t account, bool reserve, uint64_t *ret_bytes, uint64_t *ret_seq);
/* Puts a part's payload into the index. */
MUST_CHECK int snapshot_load(struct index_rows *rows, uint64_t account, struct slice payload);
MUST_CHECK int snapshot_loaded(struct index_rows *rows, uint64_t account, uint64_t as_of);

#endif
