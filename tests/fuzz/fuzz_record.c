/*
 * Records of the journal: arbitrary bytes are decoded and folded, into the index and into the memory of an account that has some mail.
 * Nothing may crash; what is folded is thrown away after each.
 */
#include <stdlib.h>

#include "stage.h"
#include "store/fold.h"
#include "store/resident.h"
#include "store/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_into_index(struct stage *stage, struct slice payload)
{
	MDB_txn *txn;
	int error;

	CHECK(index_begin(stage->store->index, true, &txn) == 0);
	index_rows_start(stage->rows, txn);
	error = snapshot_load(stage->rows, stage->account, payload);
	if (!error)
		error = index_rows_finish(stage->rows);
	index_walk_end(&stage->rows->entries);
	mdb_txn_abort(txn);
}

static void fold_into_index(struct stage *stage, struct slice change)
{
	struct folding record = {.account = stage->account, .seq = 1000, .place = {1, 1, 1000}, .change = change};
	MDB_txn *txn;
	int error;

	CHECK(index_begin(stage->store->index, true, &txn) == 0);
	for (int rebuilding = 0; rebuilding < 2; rebuilding++) {
		index_rows_start(stage->rows, txn);
		stage->rows->rebuilding = rebuilding;
		error = index_rows_fold(stage->rows, &record);
		if (!error)
			error = index_rows_finish(stage->rows);
		index_walk_end(&stage->rows->entries);
	}
	mdb_txn_abort(txn);
}

static void fold_into_memory(struct stage *stage, struct slice change)
{
	struct shard *shard = store_shard(stage->store, 0);
	struct pending *pending = calloc(1, sizeof(*pending) + change.len);
	struct account *account;
	int error;

	CHECK(pending);
	shard_snapshot_end(shard);
	CHECK(resident_load(shard, stage->account, &account) == 0);
	CHECK(resident_entries(resident_of(mailbox_inbox(account))) == 0);
	pending->record.account = stage->account;
	pending->change_bytes = (uint32_t)change.len;
	if (change.len)
		memcpy(pending->change, change.at, change.len);
	error = resident_fold(account, pending, NULL);
	(void)error;
	account_gone_sweep(account);
	account->pending_first = account->pending_last = pending;
	account_pending_applied(account, pending);
	resident_free(&account);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stage *stage = stage_make();
	struct slice payload = slice_make(data, size), change;
	uint32_t bodies_at;

	load_into_index(stage, payload);
	if (size > UINT32_MAX || change_split(payload, &change, &bodies_at))
		return 0;
	fold_into_index(stage, change);
	fold_into_memory(stage, change);
	return 0;
}
