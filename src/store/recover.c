/* Recovery: what the journal has beyond the index is folded into it, in large transactions. */
#include "store/index_rows.h"
#include "store/resident.h"

enum { RECOVER_RECORDS = 16384, RECOVER_BYTES = 64 << 20 };

struct recovery {
	struct store *store;
	struct index_rows *rows;
	struct applying *records;
	size_t count;
	struct buffer *changes; /* one for each record: folding keeps pointers */
	size_t bytes;
	uint64_t seq, total;
};

static int recovery_flush(struct recovery *r)
{
	int error;

	if (!r->count)
		return 0;
	error = records_apply(r->store, r->rows, r->records, r->count, r->seq);
	r->store->index_damaged |= error == -EBADMSG;
	for (size_t i = 0; i < r->count; i++)
		buffer_free(&r->changes[i]);
	r->total += r->count;
	r->count = 0;
	r->bytes = 0;
	return error;
}

static bool is_applied(const struct record_read *record)
{
	return record->kind == RECORD_CHANGE || record->kind == RECORD_SNAPSHOT_END ||
	       record->kind == RECORD_DICTIONARY;
}

static int recovery_record(void *context, const struct record_read *record)
{
	struct recovery *r = context;
	struct slice change = record->payload;
	uint32_t bodies_at = 0;
	int error = 0;

	r->seq = record->seq;
	if (!is_applied(record))
		return 0;
	if (record->kind == RECORD_CHANGE)
		error = change_split(record->payload, &change, &bodies_at);
	if (error)
		return error;
	r->changes[r->count] = BUFFER_INIT(UINT32_MAX);
	buffer_put(&r->changes[r->count], change);
	if (buffer_error(&r->changes[r->count]))
		return -ENOMEM;
	r->records[r->count] = (struct applying){
		{record->account, record->seq, record->place, buffer_slice(&r->changes[r->count]), bodies_at},
		record->kind};
	r->count++;
	r->bytes += change.len;
	return r->count == RECOVER_RECORDS || r->bytes > RECOVER_BYTES ? recovery_flush(r) : 0;
}

static int replay_tail(struct store *store, uint64_t applied, bool salvage)
{
	struct recovery r = {.store = store, .seq = applied};
	int error = index_rows_new(store->index, &r.rows);

	r.records = malloc(RECOVER_RECORDS * sizeof(*r.records));
	r.changes = malloc(RECOVER_RECORDS * sizeof(*r.changes));
	if (!error && (!r.records || !r.changes))
		error = -ENOMEM;
	if (!error)
		error = store->log->ops->replay(store->log, applied + 1, salvage, recovery_record, &r);
	if (!error)
		error = recovery_flush(&r);
	for (size_t i = 0; i < r.count; i++)
		buffer_free(&r.changes[i]);
	if (!error && r.total)
		store_notice(store, "recovered", "%llu records", (unsigned long long)r.total);
	index_rows_free(&r.rows);
	free(r.records);
	free(r.changes);
	if (!error)
		atomic_store(&store->applied, r.seq);
	return error;
}

int store_recover(struct store *store, bool fresh, bool salvage)
{
	uint64_t applied = 0, last;
	MDB_txn *txn;
	int error;

	if (fresh) {
		error = store_rebuild(store, salvage);
	} else {
		error = index_begin(store->index, false, &txn);
		if (error)
			return error;
		error = index_applied(store->index, txn, &applied);
		mdb_txn_abort(txn);
		if (!error)
			error = replay_tail(store, applied, salvage);
	}
	if (error)
		return error;
	last = store->log->ops->last_seq(store->log);
	if (atomic_load(&store->applied) > last) {
		store_notice(store, "journal-short", "the index reaches %llu, the journal only %llu",
			(unsigned long long)atomic_load(&store->applied), (unsigned long long)last);
		return -EBADMSG;
	}
	atomic_store(&store->applied, last);
	atomic_store(&store->durable, last);
	return 0;
}
