/* A shard: the accounts of one thread, what of theirs is not in the index yet, and the thread's view of the index. */
#include "store/resident.h"

enum {
	SCRATCH_MAX = 1 << 30,
	SWEEP_TICKS = 64, /* every account is looked at once in so many ticks */
	ENTRIES_IDLE_US = 30000000,
	EVICT_PER_TICK = 2000
};

int shard_new(struct store *store, unsigned number, struct shard **ret_shard)
{
	struct shard *shard = calloc(1, sizeof(*shard));

	if (!shard)
		return -ENOMEM;
	shard->store = store;
	shard->number = number;
	shard->tick_us = clock_monotonic_us(store->settings.clock);
	shard->change = BUFFER_INIT(SCRATCH_MAX);
	shard->list = BUFFER_INIT(SCRATCH_MAX);
	shard->list2 = BUFFER_INIT(SCRATCH_MAX);
	lock_init(&shard->inbox_lock, store->settings.threads);
	*ret_shard = shard;
	return 0;
}

void shard_free(struct shard **shard)
{
	struct shard *s = *shard;

	if (!s)
		return;
	for (size_t i = 0; i < SHARD_BUCKETS; i++) {
		while (s->accounts[i]) {
			struct account *account = s->accounts[i];

			s->accounts[i] = account->next_in_bucket;
			resident_free(&account);
		}
	}
	while (s->pending_first) {
		struct pending *pending = s->pending_first;

		s->pending_first = pending->next_of_shard;
		free(pending);
	}
	index_walk_end(&s->emails);
	if (s->txn)
		mdb_txn_abort(s->txn);
	buffer_free(&s->change);
	buffer_free(&s->list);
	buffer_free(&s->list2);
	free(s->inbox);
	lock_free(&s->inbox_lock);
	free(s);
	*shard = NULL;
}

/* ---- The snapshot of the index ---- */

int shard_snapshot(struct shard *shard, MDB_txn **ret_txn)
{
	int error = 0;

	if (!shard->txn_active) {
		error = shard->txn ? index_error(mdb_txn_renew(shard->txn))
				   : index_begin(shard->store->index, false, &shard->txn);
		if (error)
			return error;
		error = index_applied(shard->store->index, shard->txn, &shard->txn_applied);
		if (error) {
			mdb_txn_reset(shard->txn);
			return error;
		}
		shard->txn_active = true;
	}
	*ret_txn = shard->txn;
	return 0;
}

void shard_snapshot_end(struct shard *shard)
{
	index_walk_end(&shard->emails);
	if (shard->txn_active)
		mdb_txn_reset(shard->txn);
	shard->txn_active = false;
}

/* Whether the walk has come to email `id` with one step; it is somewhere else or nowhere otherwise. */
static bool steps_to_email(struct index_walk *walk, uint64_t id)
{
	if (!walk->cursor || key_number(walk->key, 0) >= id)
		return false;
	return index_walk_next(walk) == 0 && key_number(walk->key, 0) == id;
}

int shard_email_row(struct shard *shard, uint64_t id, struct slice *ret_value)
{
	struct index_key key = key_of(id);
	struct index_walk *walk = &shard->emails;
	MDB_txn *txn;
	int error = shard_snapshot(shard, &txn);

	if (!error && !steps_to_email(walk, id))
		error = index_walk_from(shard->store->index, txn, TABLE_EMAILS, key_slice(&key), walk);
	if (!error && key_number(walk->key, 0) != id)
		error = -ENOENT;
	if (error)
		index_walk_end(walk);
	else
		*ret_value = walk->value;
	return error;
}

/* ---- Accounts ---- */

static struct account **bucket_of(struct shard *shard, uint64_t id)
{
	return &shard->accounts[(id * 0x9E3779B97F4A7C15u) >> 40 & (SHARD_BUCKETS - 1)];
}

static void idle_unlink(struct account *account)
{
	struct shard *shard = account->shard;

	if (!account->is_idle)
		return;
	*(account->idle_prev ? &account->idle_prev->idle_next : &shard->idle_first) = account->idle_next;
	*(account->idle_next ? &account->idle_next->idle_prev : &shard->idle_last) = account->idle_prev;
	account->idle_prev = account->idle_next = NULL;
	account->is_idle = false;
	shard->idle_count--;
}

static void idle_link(struct account *account)
{
	struct shard *shard = account->shard;

	account->idle_prev = shard->idle_last;
	*(shard->idle_last ? &shard->idle_last->idle_next : &shard->idle_first) = account;
	shard->idle_last = account;
	account->is_idle = true;
	shard->idle_count++;
}

static void account_forget(struct account *account)
{
	struct shard *shard = account->shard;
	struct account **link = bucket_of(shard, account->id);

	while (*link != account)
		link = &(*link)->next_in_bucket;
	*link = account->next_in_bucket;
	shard->account_count--;
	atomic_store(&shard->resident, shard->account_count);
	resident_free(&account);
}

static struct account *account_in_memory(struct shard *shard, uint64_t id)
{
	struct account *account = *bucket_of(shard, id);

	while (account && account->id != id)
		account = account->next_in_bucket;
	return account;
}

static int account_load(struct shard *shard, uint64_t id, struct account **ret_account)
{
	struct account *account, **bucket = bucket_of(shard, id);
	int error;

	/* It may have been made a moment ago, by another thread. */
	if (atomic_load(&shard->store->applied) > shard->txn_applied)
		shard_snapshot_end(shard);
	error = resident_load(shard, id, &account);
	if (error)
		return error;
	account->next_in_bucket = *bucket;
	*bucket = account;
	shard->account_count++;
	atomic_store(&shard->resident, shard->account_count);
	*ret_account = account;
	return 0;
}

int account_open(struct shard *shard, uint64_t account_id, struct account **ret_account)
{
	struct account *account;
	int error = 0;

	CHECK(store_shard_of(shard->store, account_id) == shard->number);
	shard_inbox_run(shard);
	account = account_in_memory(shard, account_id);
	if (!account)
		error = account_load(shard, account_id, &account);
	if (error)
		return error;
	if (account->row.deleted)
		return -ENOENT;
	if (account->stale)
		return -EBUSY;
	idle_unlink(account);
	account->refs++;
	*ret_account = account;
	return 0;
}

void account_release(struct account **account)
{
	struct account *a = *account;

	*account = NULL;
	if (!a)
		return;
	CHECK(a->refs > 0);
	if (--a->refs == 0)
		idle_link(a);
}

/* ---- What other threads changed ---- */

#define NOTICE_STALE ((uint64_t)1 << 63) /* in the inbox, beside the account's number */

static void inbox_put(struct shard *shard, uint64_t account)
{
	lock_take(&shard->inbox_lock);
	if (shard->inbox_count == shard->inbox_room) {
		size_t room = MAX(shard->inbox_room * 2, 16);
		uint64_t *grown = realloc(shard->inbox, room * sizeof(*grown));

		if (!grown)
			check_failed("memory for a notice to a shard", __FILE__, __LINE__);
		shard->inbox = grown;
		shard->inbox_room = room;
	}
	shard->inbox[shard->inbox_count++] = account;
	atomic_store(&shard->inbox_full, true);
	lock_give(&shard->inbox_lock);
}

void shard_account_changed(struct shard *shard, uint64_t account)
{
	inbox_put(shard, account);
}

void shard_account_stale(struct shard *shard, uint64_t account)
{
	inbox_put(shard, account | NOTICE_STALE);
}

static void notice_take(struct shard *shard, uint64_t notice)
{
	struct account *account = account_in_memory(shard, notice & ~NOTICE_STALE);
	bool was_ended = account && account->ended;

	if (!account)
		return;
	if (notice & NOTICE_STALE) {
		account->stale = account->ended = true;
		shard->has_stale = true;
	} else if (account_refresh(account)) {
		return;
	}
	if (was_ended || !account->ended)
		return;
	account->next_ended = shard->ended;
	shard->ended = account;
}

void shard_inbox_run(struct shard *shard)
{
	uint64_t *ids;
	size_t count;

	if (!atomic_load_explicit(&shard->inbox_full, memory_order_relaxed))
		return;
	lock_take(&shard->inbox_lock);
	ids = shard->inbox;
	count = shard->inbox_count;
	shard->inbox = NULL;
	shard->inbox_count = shard->inbox_room = 0;
	atomic_store(&shard->inbox_full, false);
	lock_give(&shard->inbox_lock);
	shard_snapshot_end(shard);
	for (size_t i = 0; i < count; i++)
		notice_take(shard, ids[i]);
	free(ids);
}

static void ended_tell(struct shard *shard)
{
	while (shard->ended) {
		struct account *account = shard->ended;

		shard->ended = account->next_ended;
		account->next_ended = NULL;
		idle_unlink(account);
		account->refs++; /* a listener may close what it has */
		while (account->listeners) {
			struct account_listener *listener = account->listeners;

			account->listeners = listener->next;
			listener->next = NULL;
			if (listener->ended)
				listener->ended(listener);
		}
		account_release(&account);
	}
}

/* ---- The tick ---- */

static void applied_forget(struct shard *shard)
{
	uint64_t applied = atomic_load(&shard->store->applied);

	while (shard->pending_first && shard->pending_first->record.seq <= applied) {
		struct pending *pending = shard->pending_first;

		shard->pending_first = pending->next_of_shard;
		if (!shard->pending_first)
			shard->pending_last = NULL;
		account_pending_applied(pending->account, pending);
	}
}

static void entries_sweep(struct shard *shard)
{
	size_t share = SHARD_BUCKETS / SWEEP_TICKS;

	for (size_t i = 0; i < share; i++) {
		struct account *account = shard->accounts[(shard->sweep * share + i) & (SHARD_BUCKETS - 1)];

		for (; account; account = account->next_in_bucket) {
			for (size_t m = 0; m < account->mailbox_count; m++) {
				struct resident_mailbox *mailbox = account->mailboxes[m];

				if (mailbox->loaded && shard->tick_us - mailbox->used_us > ENTRIES_IDLE_US)
					resident_entries_drop(mailbox);
			}
		}
	}
	shard->sweep++;
}

/* Those that nobody holds any more: whoever comes next gets them from the index. */
static void stale_evict(struct shard *shard)
{
	struct account *account = shard->idle_first, *next;

	if (!shard->has_stale)
		return;
	for (; account; account = next) {
		next = account->idle_next;
		if (!account->stale || account->pending_first || account->listeners || account->held)
			continue;
		idle_unlink(account);
		account_forget(account);
	}
	shard->has_stale = false;
	for (size_t i = 0; i < SHARD_BUCKETS; i++) {
		for (account = shard->accounts[i]; account; account = account->next_in_bucket)
			shard->has_stale |= account->stale;
	}
}

static void accounts_evict(struct shard *shard)
{
	uint64_t most = shard->store->settings.resident_accounts / shard->store->settings.shards;
	struct account *account = shard->idle_first;

	for (int i = 0; i < EVICT_PER_TICK && account && shard->idle_count > most; i++) {
		struct account *next = account->idle_next;

		if (!account->pending_first && !account->listeners && !account->held) {
			idle_unlink(account);
			account_forget(account);
		}
		account = next;
	}
}

void shard_tick(struct shard *shard)
{
	shard->tick_us = clock_monotonic_us(shard->store->settings.clock);
	/* First the snapshot: what is forgotten below must be in the next one. */
	shard_snapshot_end(shard);
	applied_forget(shard);
	shard_inbox_run(shard);
	ended_tell(shard);
	stale_evict(shard);
	entries_sweep(shard);
	accounts_evict(shard);
}
