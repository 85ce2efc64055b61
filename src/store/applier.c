/*
 * The applier: takes durable records in batches and folds them into the index, each batch in one synced transaction that also says how
 * far the index now reaches. Nobody's answer waits for it.
 */
#include "store/index_rows.h"
#include "store/resident.h"

enum { BATCH_MAX = 32768, RETRY_MS = 200 };

void applier_init(struct store *store)
{
	struct applier *applier = &store->applier;
	pthread_condattr_t attr;

	pthread_mutex_init(&applier->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&applier->work, &attr);
	pthread_cond_init(&applier->done, &attr);
	pthread_condattr_destroy(&attr);
}

void applier_free(struct store *store)
{
	pthread_cond_destroy(&store->applier.work);
	pthread_cond_destroy(&store->applier.done);
	pthread_mutex_destroy(&store->applier.lock);
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
		mdb_txn_abort(txn);
		return error;
	}
	return index_commit(txn);
}

/* ---- The thread ---- */

static struct timespec monotonic_in(int64_t us)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += us / 1000000;
	at.tv_nsec += us % 1000000 * 1000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* Under the lock. False: nothing is left and the store closes. */
static bool batch_wait(struct store *store)
{
	struct applier *a = &store->applier;

	for (;;) {
		int64_t delay_us = (int64_t)store->settings.apply_delay_ms * 500, waited_us;

		if (a->failed || (!a->first && a->stopping))
			return false;
		if (!a->first) {
			pthread_cond_wait(&a->work, &a->lock);
			continue;
		}
		waited_us = clock_monotonic_us(clock_system()) - a->since_us;
		if (a->stopping || a->queued >= BATCH_MAX || waited_us >= delay_us ||
			a->wanted > atomic_load(&store->applied))
			return true;
		struct timespec until = monotonic_in(delay_us - waited_us);

		pthread_cond_timedwait(&a->work, &a->lock, &until);
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

/* A full disk passes: records stay in memory until it has. Anything else does not. */
static int batch_apply_retrying(
	struct store *store, struct index_rows *rows, struct record **batch, struct applying *work, size_t count)
{
	bool told = false, over;
	int error;

	while ((error = batch_apply(store, rows, batch, work, count)) == -ENOSPC || error == -ENOMEM ||
		error == -EDQUOT) {
		struct timespec pause = {0, RETRY_MS * 1000000L};

		if (!told)
			store_notice(store, "index-full", "the index cannot grow; changes are kept in memory");
		told = true;
		pthread_mutex_lock(&store->applier.lock);
		over = store->applier.stopping || store->applier.failed;
		pthread_mutex_unlock(&store->applier.lock);
		if (over)
			return error;
		nanosleep(&pause, NULL);
	}
	return error;
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
	pthread_mutex_lock(&store->applier.lock);
	atomic_store(&store->applied, seq);
	pthread_cond_broadcast(&store->applier.done);
	pthread_mutex_unlock(&store->applier.lock);
}

/* It is in the journal. A store that closes on a full disk leaves it to the next start. */
static void batch_give_up(struct store *store, struct record **batch, size_t count, int error)
{
	bool passes = error == -ENOSPC || error == -EDQUOT || error == -ENOMEM;

	for (size_t i = 0; i < count; i++) {
		struct pending *pending = CONTAINER_OF(batch[i], struct pending, record);

		if (pending->owner == PENDING_OF_APPLIER)
			pending_unhold(pending);
	}
	if (!passes || !store->applier.stopping)
		store_fail(store, error, "applying to the index");
	pthread_mutex_lock(&store->applier.lock);
	store->applier.failed = true;
	pthread_cond_broadcast(&store->applier.done);
	pthread_mutex_unlock(&store->applier.lock);
}

static void applier_loop(struct store *store, struct index_rows *rows, struct record **batch, struct applying *work)
{
	struct applier *a = &store->applier;
	size_t count;

	pthread_mutex_lock(&a->lock);
	while (batch_wait(store)) {
		int error;

		count = batch_take(a, batch, BATCH_MAX);
		a->since_us = clock_monotonic_us(clock_system());
		pthread_mutex_unlock(&a->lock);
		error = batch_apply_retrying(store, rows, batch, work, count);
		if (!error)
			batch_release(store, batch, count);
		else
			batch_give_up(store, batch, count, error);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
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
	int error = pthread_create(&store->applier.thread, NULL, applier_run, store);

	store->applier.running = !error;
	return -error;
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
	pthread_mutex_lock(&store->applier.lock);
	store->applier.closing = true;
	pthread_cond_broadcast(&store->applier.done);
	pthread_mutex_unlock(&store->applier.lock);
}

void applier_stop(struct store *store)
{
	struct applier *a = &store->applier;

	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	if (a->running)
		pthread_join(a->thread, NULL);
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
	pthread_mutex_lock(&a->lock);
	if (a->last)
		a->last->next = first;
	else
		a->first = first;
	a->last = last;
	if (!a->queued)
		a->since_us = clock_monotonic_us(clock_system());
	a->queued += count;
	/* Otherwise it wakes by itself when it is time. */
	if (a->queued == count || a->queued >= BATCH_MAX || a->wanted > atomic_load(&store->applied))
		pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->lock);
}

int store_wait_applied(struct store *store, uint64_t seq)
{
	struct applier *a = &store->applier;
	int error;

	pthread_mutex_lock(&a->lock);
	a->wanted = MAX(a->wanted, seq);
	pthread_cond_signal(&a->work);
	while (atomic_load(&store->applied) < seq && !a->failed && !a->closing)
		pthread_cond_wait(&a->done, &a->lock);
	error = atomic_load(&store->applied) >= seq ? 0 : a->failed ? -EIO : -ECANCELED;
	pthread_mutex_unlock(&a->lock);
	return error;
}
