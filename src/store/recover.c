/* Recovery: what the journal has beyond the index is folded into it, in large transactions. */
#include "store/body.h"
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
	uint64_t applied; /* in the index */
	bool full;        /* what comes now does not go into it */
};

static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

/* ---- When the index has no room: records stay in memory, as they were before ---- */

static int by_seq(const void *a, const void *b)
{
	const struct applying *x = a, *y = b;

	return x->record.seq < y->record.seq ? -1 : x->record.seq > y->record.seq;
}

static int dictionary_keep(struct store *store, struct slice payload)
{
	struct reader r = READER_INIT(payload);
	uint32_t id = reader_le32(&r);
	int error = reader_error(&r);

	return error ? error : dictionary_learn(store, id, r.rest);
}

/* On no shard's thread, but none runs yet. An account that the index does not know was never acknowledged: only the applier will see it. */
static int pending_give(struct store *store, struct pending *pending)
{
	uint64_t id = pending->record.account;
	struct account *account;
	int error;

	if (pending->record.kind != RECORD_CHANGE || !id)
		return 0;
	error = account_open(store_shard(store, store_shard_of(store, id)), id, &account);
	if (error)
		return error == -ENOENT ? 0 : error;
	pending->owner = PENDING_OF_SHARD;
	error = change_restore(account, pending);
	account_release(&account);
	return error;
}

static int record_keep(struct store *store, const struct applying *a)
{
	struct slice change = a->record.change;
	struct pending *pending = malloc(sizeof(*pending) + change.len);
	int error;

	if (!pending)
		return -ENOMEM;
	memset(pending, 0, sizeof(*pending));
	pending->record = (struct record){
		.account = a->record.account, .kind = a->kind, .seq = a->record.seq, .place = a->record.place};
	pending->owner = PENDING_OF_APPLIER;
	pending->holds = 1;
	pending->change_bytes = (uint32_t)change.len;
	pending->bodies_at = a->record.bodies_at;
	if (change.len)
		memcpy(pending->change, change.at, change.len);
	error = a->kind == RECORD_DICTIONARY ? dictionary_keep(store, change) : pending_give(store, pending);
	/* From now on it is looked after. */
	atomic_fetch_add(&store->pending_bytes, sizeof(*pending) + change.len);
	applier_queue(store, &pending->record, pending->record.seq);
	return error;
}

static int records_keep(struct recovery *r)
{
	int error = 0;

	qsort(r->records, r->count, sizeof(*r->records), by_seq);
	for (size_t i = 0; !error && i < r->count; i++)
		error = record_keep(r->store, &r->records[i]);
	return error;
}

/* ---- Folding ---- */

static int recovery_flush(struct recovery *r)
{
	int error = 0;

	if (!r->count)
		return 0;
	if (!r->full)
		error = records_apply(r->store, r->rows, r->records, r->count, r->seq);
	if (is_full(error)) {
		store_notice(r->store, "index-full", "the index cannot grow; changes are kept in memory");
		r->full = true;
		error = 0;
	}
	if (!error && r->full)
		error = records_keep(r);
	else if (!error)
		r->applied = r->seq;
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

	/* Numbers follow each other. Only what an index knows is dropped, so this one is from before that: a copy, or a name that came back. */
	if (record->seq != r->seq + 1) {
		store_notice(r->store, "index-old", "it reaches %llu, the journal goes on at %llu",
			(unsigned long long)r->seq, (unsigned long long)record->seq);
		r->store->index_damaged = true;
		return -EBADMSG;
	}
	r->seq = record->seq;
	if (!is_applied(record))
		return 0;
	if (record->kind == RECORD_CHANGE)
		error = change_split(record->payload, &change, &bodies_at);
	r->store->index_damaged |= error == -EBADMSG; /* whose fault it is shows when all of it is folded anew */
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
	struct recovery r = {.store = store, .seq = applied, .applied = applied};
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
	/* What was read behind the last record that is folded needs no folding. */
	if (!error)
		atomic_store(&store->applied, r.full ? r.applied : store->log->ops->last_seq(store->log));
	return error;
}

int store_recover(struct store *store, bool salvage)
{
	uint64_t applied = 0;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_applied(store->index, txn, &applied);
	mdb_txn_abort(txn);
	return error ? error : replay_tail(store, applied, salvage);
}

int store_recovered(struct store *store)
{
	uint64_t last = store->log->ops->last_seq(store->log);
	uint64_t applied = atomic_load(&store->applied);

	if (applied > last) {
		store_notice(store, "journal-short", "the index reaches %llu, the journal only %llu",
			(unsigned long long)applied, (unsigned long long)last);
		return -EBADMSG;
	}
	atomic_store(&store->durable, last);
	return 0;
}
