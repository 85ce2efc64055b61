/*
 * The applier: takes durable records in batches and folds them into the index, each batch in one synced transaction that also says how
 * far the index now reaches. Nobody's answer waits for it.
 */
#include "store/index_rows.h"
#include "store/resident.h"
#include "store/searcher.h"

enum { BATCH_MAX = 32768, RETRY_MS = 200, EIO_TRIES = 25 };

void applier_init(struct store *store)
{
	struct applier *applier = &store->applier;
	const struct thread_system *threads = store->settings.threads;

	lock_init(&applier->lock, threads);
	condition_init(&applier->work, threads);
	condition_init(&applier->done, threads);
}

void applier_free(struct store *store)
{
	condition_free(&store->applier.work);
	condition_free(&store->applier.done);
	lock_free(&store->applier.lock);
}

static int by_account(const void *a, const void *b)
{
	const struct applying *x = a, *y = b;

	if (x->record.account != y->record.account)
		return x->record.account < y->record.account ? -1 : 1;
	return x->record.seq < y->record.seq ? -1 : x->record.seq > y->record.seq;
}

static int snapshot_note(struct index_rows *rows, const struct folding *record)
{
	struct reader r = READER_INIT(record->change);
	uint64_t as_of = reader_varint(&r);
	struct account_row *account;
	int error = reader_error(&r);

	if (!error)
		error = index_rows_select(rows, record->account);
	if (!error)
		error = rows->rows.ops->account(&rows->rows, record->account == 0, &account);
	if (!error)
		account->snapshot_seq = MAX(account->snapshot_seq, as_of);
	return error == -ENOENT ? 0 : error;
}

/* Its segment goes in front of it, so that compaction sees where the newest copy lies. */
int dictionary_note(struct index_rows *rows, const struct folding *record)
{
	struct reader r = READER_INIT(record->change);
	uint32_t id = reader_le32(&r);
	struct index_key key = {.len = 0};
	int error = reader_error(&r);

	if (error)
		return error;
	key = key_of(id);
	buffer_reset(&rows->scratch);
	buffer_put_le64(&rows->scratch, record->place.segment);
	buffer_put(&rows->scratch, r.rest);
	error = buffer_error(&rows->scratch);
	return error ? error
		     : index_put(rows->index, rows->txn, TABLE_DICTIONARIES, key_slice(&key),
			       buffer_slice(&rows->scratch));
}

static int record_apply(struct index_rows *rows, const struct applying *a)
{
	switch (a->kind) {
	case RECORD_CHANGE:
		return index_rows_fold(rows, &a->record);
	case RECORD_SNAPSHOT_END:
		return snapshot_note(rows, &a->record);
	case RECORD_DICTIONARY:
		return dictionary_note(rows, &a->record);
	default:
		return 0;
	}
}

int records_apply(struct store *store, struct index_rows *rows, struct applying *records, size_t count, uint64_t seq)
{
	MDB_txn *txn;
	int error;

	/* Accounts do not depend on each other: one after the other keeps their rows together and reads each once. */
	qsort(records, count, sizeof(*records), by_account);
	error = index_begin(store->index, true, &txn);
	if (error)
		return error;
	index_rows_start(rows, txn);
	for (size_t i = 0; !error && i < count; i++)
		error = record_apply(rows, &records[i]);
	if (!error)
		error = index_rows_finish(rows);
	if (!error)
		error = index_put_number(store->index, txn, TABLE_META, INDEX_APPLIED, seq);
	if (error) {
		index_walk_end(&rows->entries);
		return index_abort(txn, error);
	}
	return index_commit(txn);
}

/* ---- The thread ---- */

/* Under the lock. False: nothing is left and the store closes. */
static bool batch_wait(struct store *store)
{
	struct applier *a = &store->applier;

	for (;;) {
		int64_t delay_us = (int64_t)store->settings.apply_delay_ms * 500, waited_us;

		if (a->failed || (!a->first && a->stopping))
			return false;
		if (!a->first) {
			condition_wait(&a->work, &a->lock);
			continue;
		}
		waited_us = thread_now_us(store->settings.threads) - a->since_us;
		if (a->stopping || a->queued >= BATCH_MAX || waited_us >= delay_us ||
			a->wanted > atomic_load(&store->applied))
			return true;
		condition_wait_until(&a->work, &a->lock, a->since_us + delay_us);
	}
}

static size_t batch_take(struct applier *a, struct record **batch, size_t max)
{
	size_t count = 0;

	while (a->first && count < max) {
		batch[count++] = a->first;
		a->first = a->first->next;
	}
	a->queued -= count;
	if (!a->first)
		a->last = NULL;
	return count;
}

static int batch_apply(
	struct store *store, struct index_rows *rows, struct record **batch, struct applying *work, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct pending *pending = CONTAINER_OF(batch[i], struct pending, record);

		work[i] = (struct applying){pending_folding(pending), batch[i]->kind};
	}
	return records_apply(store, rows, work, count, batch[count - 1]->seq);
}

/*
 * A full disk passes: records stay in memory until it has. -EIO may be one that was full for a moment, as when the keeper asks for a whole
 * segment and gets none (see index_commit()); one that stays is none. Anything else does not pass.
 */
static bool may_pass(int error, unsigned tries)
{
	return error == -ENOSPC || error == -EDQUOT || error == -ENOMEM || (error == -EIO && tries < EIO_TRIES);
}

static int batch_apply_retrying(
	struct store *store, struct index_rows *rows, struct record **batch, struct applying *work, size_t count)
{
	bool over;
	int error;

	for (unsigned tries = 0; may_pass(error = batch_apply(store, rows, batch, work, count), tries); tries++) {
		if (tries == 0)
			store_notice(store, "index-full", "%s; changes are kept in memory", strerror(-error));
		lock_take(&store->applier.lock);
		over = store->applier.stopping || store->applier.failed;
		lock_give(&store->applier.lock);
		if (over)
			return error;
		thread_pause(store->settings.threads, RETRY_MS * 1000);
	}
	return error;
}

/* For the search index. */
static void emails_note(struct store *store, const struct index_rows *rows)
{
	for (size_t i = 0; i < rows->emails.room; i++) {
		const struct number_slot *slot = &rows->emails.slots[i];

		if (slot->key)
			searcher_note(store, slot->key, (uint32_t)slot->value, (uint32_t)(slot->value >> 32));
	}
}

static void batch_release(struct store *store, struct record **batch, size_t count)
{
	uint64_t bytes = 0, seq = batch[count - 1]->seq;

	for (size_t i = 0; i < count; i++) {
		struct pending *pending = CONTAINER_OF(batch[i], struct pending, record);

		bytes += sizeof(*pending) + pending->change_bytes;
		if (pending->owner == PENDING_OF_APPLIER)
			pending_unhold(pending);
	}
	atomic_fetch_sub(&store->pending_bytes, bytes);
	/* From here on those of shards may be gone. */
	lock_take(&store->applier.lock);
	atomic_store(&store->applied, seq);
	condition_wake_all(&store->applier.done);
	lock_give(&store->applier.lock);
}

/* It is in the journal. A store that closes on a full disk leaves it to the next start. */
static void batch_give_up(struct store *store, struct record **batch, size_t count, int error)
{
	bool passes = may_pass(error, EIO_TRIES);

	for (size_t i = 0; i < count; i++) {
		struct pending *pending = CONTAINER_OF(batch[i], struct pending, record);

		if (pending->owner == PENDING_OF_APPLIER)
			pending_unhold(pending);
	}
	if (!passes || !store->applier.stopping)
		store_fail(store, error, "applying to the index");
	lock_take(&store->applier.lock);
	store->applier.failed = true;
	condition_wake_all(&store->applier.done);
	lock_give(&store->applier.lock);
}

static void applier_loop(struct store *store, struct index_rows *rows, struct record **batch, struct applying *work)
{
	struct applier *a = &store->applier;
	size_t count;

	lock_take(&a->lock);
	while (batch_wait(store)) {
		int error;

		count = batch_take(a, batch, BATCH_MAX);
		a->since_us = thread_now_us(store->settings.threads);
		lock_give(&a->lock);
		error = batch_apply_retrying(store, rows, batch, work, count);
		if (!error) {
			batch_release(store, batch, count);
			emails_note(store, rows);
		} else {
			batch_give_up(store, batch, count, error);
		}
		lock_take(&a->lock);
	}
	lock_give(&a->lock);
}

static void *applier_run(void *context)
{
	struct store *store = context;
	struct record **batch = malloc(BATCH_MAX * sizeof(struct record *));
	struct applying *work = malloc(BATCH_MAX * sizeof(*work));
	struct index_rows *rows = NULL;

	if (!batch || !work || index_rows_new(store->index, &rows))
		store_fail(store, -ENOMEM, "starting the applier");
	else
		applier_loop(store, rows, batch, work);
	index_rows_free(&rows);
	free(batch);
	free(work);
	return NULL;
}

int applier_start(struct store *store)
{
	int error = thread_start(store->settings.threads, applier_run, store, &store->applier.thread);

	store->applier.running = !error;
	return error;
}

/* What was never applied, because the store failed: a restart reads it from the journal. */
static void applier_drop(struct applier *a)
{
	while (a->first) {
		struct pending *pending = CONTAINER_OF(a->first, struct pending, record);

		a->first = a->first->next;
		if (pending->owner == PENDING_OF_APPLIER)
			pending_unhold(pending);
	}
}

void applier_end_waits(struct store *store)
{
	lock_take(&store->applier.lock);
	store->applier.closing = true;
	condition_wake_all(&store->applier.done);
	lock_give(&store->applier.lock);
}

void applier_stop(struct store *store)
{
	struct applier *a = &store->applier;

	lock_take(&a->lock);
	a->stopping = true;
	condition_wake_all(&a->work);
	lock_give(&a->lock);
	if (a->running)
		thread_join(&a->thread);
	a->running = false;
	applier_drop(a);
}

void applier_queue(struct store *store, struct record *first, uint64_t seq)
{
	struct applier *a = &store->applier;
	struct record *last = first;
	size_t count = 1;

	(void)seq;
	for (; last->next; last = last->next)
		count++;
	lock_take(&a->lock);
	if (a->last)
		a->last->next = first;
	else
		a->first = first;
	a->last = last;
	if (!a->queued)
		a->since_us = thread_now_us(store->settings.threads);
	a->queued += count;
	/* Otherwise it wakes by itself when it is time. */
	if (a->queued == count || a->queued >= BATCH_MAX || a->wanted > atomic_load(&store->applied))
		condition_wake(&a->work);
	lock_give(&a->lock);
}

int store_wait_applied(struct store *store, uint64_t seq)
{
	struct applier *a = &store->applier;
	int error;

	lock_take(&a->lock);
	a->wanted = MAX(a->wanted, seq);
	condition_wake(&a->work);
	while (atomic_load(&store->applied) < seq && !a->failed && !a->closing)
		condition_wait(&a->done, &a->lock);
	error = atomic_load(&store->applied) >= seq ? 0 : a->failed ? -EIO : -ECANCELED;
	lock_give(&a->lock);
	return error;
}
