/*
 * Compaction: what is alive in some segments is copied to the end of the journal, and they are dropped when the index says that
 * nothing lies in them any more. What was alive stays readable at every step, whenever this is interrupted: a relocation is one record,
 * a snapshot counts when its end is there, and a segment goes last.
 */
#include "store/body.h"
#include "store/compaction.h"
#include "store/snapshot.h"
#include "store/upkeep.h"

enum { PACE_DEBT_US = 1000000, PACE_US_MIN = 2000, SEAL_LOOK_US = 1000 };

/* ---- Copying ---- */

int compaction_pace(struct compaction *c, uint64_t bytes)
{
	uint64_t rate = MAX(c->store->settings.compact_bytes_per_s, 1);
	int64_t now_us = thread_now_us(c->store->settings.threads);

	if (upkeep_is_stopping(c->store))
		return -ECANCELED;
	if (c->once)
		return 0;
	c->paced_us = MAX(c->paced_us, now_us - PACE_DEBT_US) + (int64_t)(bytes * 1000000 / rate) + 1;
	if (c->paced_us > now_us + PACE_US_MIN)
		upkeep_pause(c->store, c->paced_us - now_us);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* In the order of accounts, and in them of age: what is read together comes to lie together. */
static uint64_t *emails_sort(const struct compaction *c)
{
	const struct number_map *emails = &c->move.emails;
	uint64_t *ids = malloc((emails->count + 1) * sizeof(*ids));
	size_t count = 0;

	for (size_t i = 0; ids && i < emails->room; i++) {
		if (emails->slots[i].key)
			ids[count++] = emails->slots[i].key;
	}
	if (ids)
		qsort(ids, count, sizeof(*ids), by_number);
	return ids;
}

static int email_move(struct compaction *c, uint64_t id)
{
	uint64_t bytes = 0;
	int error = email_relocate(&c->move, id, &bytes, &c->seq);

	if (error == -EBADMSG) { /* it stays, and with it its segment */
		store_notice(c->store, "email-damaged", "%llu of account %llu", (unsigned long long)id,
			(unsigned long long)id_account(id));
		error = 0;
	}
	return error || !bytes ? error : compaction_pace(c, bytes);
}

static int emails_move(struct compaction *c)
{
	uint64_t segments[ROUND_SEGMENTS], *ids = emails_sort(c);
	int error = ids ? relocation_begin(&c->move, c->store) : -ENOMEM;

	for (size_t i = 0; i < c->taken_count; i++)
		segments[i] = c->taken[i]->info.id;
	c->move.segments = segments;
	c->move.segment_count = c->taken_count;
	for (size_t i = 0; !error && i < c->move.emails.count; i++)
		error = email_move(c, ids[i]);
	relocation_end(&c->move);
	free(ids);
	return error;
}

static int dictionaries_move(struct compaction *c)
{
	int error = 0;

	for (size_t i = 0; !error && i < c->dictionaries.room; i++) {
		if (c->dictionaries.slots[i].key)
			error = dictionary_rewrite(c->store, (uint32_t)c->dictionaries.slots[i].key, &c->seq);
	}
	return error;
}

/* Older segments that stay could bring a purged account back: unless there are none, a snapshot says that it is gone. */
static bool older_stay(const struct compaction *c)
{
	for (size_t i = 0; i < c->taken_count; i++) {
		if (c->taken[i]->info.id == c->oldest)
			return false;
	}
	return true;
}

static int snapshots_move(struct compaction *c)
{
	bool gone = false;
	uint64_t bytes;
	int error = 0;

	for (size_t i = 0; !error && i < c->accounts.room; i++) {
		const struct number_slot *slot = &c->accounts.slots[i];

		if (!slot->key)
			continue;
		gone |= slot->value == ACCOUNT_GONE;
		if (slot->value == ACCOUNT_GONE && c->taken_count == 1 && !older_stay(c))
			continue;
		error = snapshot_write(c->store, slot->key - 1, !c->snapshots_to, &bytes, &c->seq);
		if (!error)
			error = compaction_pace(c, bytes);
	}
	/* The number of an account that is gone is not given out again: account 0's snapshot remembers. */
	if (!error && gone)
		error = snapshot_write(c->store, 0, !c->snapshots_to, &bytes, &c->seq);
	return error;
}

static void segment_forget(struct upkeep *u, uint64_t id)
{
	number_map_delete(&u->looked_at, id);
	number_map_delete(&u->stuck, id);
}

/*
 * Everything appended by now that may name a frame in one of them must be in the index before it says that they are dead; nothing
 * appended later can: nobody held frames there (see is_promising()), and they take no new ones.
 */
static int segments_drop(struct compaction *c)
{
	struct durability *log = c->store->log;
	int error = store_wait_applied(c->store, log->ops->last_seq(log));

	if (!error)
		error = index_begin(c->store->index, false, &c->txn);
	if (error)
		return error;
	for (size_t i = 0; !error && i < c->taken_count; i++) {
		uint64_t id = c->taken[i]->info.id;

		/* Alive: something that was on its way when it was looked at. Busy: nothing durable comes after it yet. */
		error = compaction_row(c, id).live ? -EBUSY : log->ops->segment_drop(log, id);
		if (error == -EBUSY)
			error = number_map_put(compaction_left(c), id, c->taken[i]->row.live);
		else if (!error)
			segment_forget(&c->store->upkeep, id);
	}
	compaction_txn_end(c);
	return error;
}

/* ---- A round ---- */

void compaction_txn_end(struct compaction *c)
{
	if (c->txn)
		mdb_txn_abort(c->txn);
	c->txn = NULL;
}

/* Of accounts whose newest snapshot is older than that; account 0 has its own with every segment that goes. */
static int accounts_collect(struct compaction *c, struct number_map *accounts)
{
	struct index_walk walk = {NULL};
	int error = index_begin(c->store->index, false, &c->txn);

	if (error)
		return error;
	error = index_walk_from(c->store->index, c->txn, TABLE_ACCOUNTS, (struct slice){NULL, 0}, &walk);
	while (!error) {
		struct account_row row;

		error = account_row_read(walk.value, &row);
		if (!error && row.snapshot_seq < c->snapshots_to)
			error = number_map_put(accounts, key_number(walk.key, 0) + 1, ACCOUNT_NEEDED);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	compaction_txn_end(c);
	return error == -ENOENT ? 0 : error;
}

/* When they are in the index, segments that are older cost nothing. */
static int snapshots_write(struct compaction *c, bool *ret_more)
{
	int error = accounts_collect(c, &c->accounts);

	*ret_more = c->accounts.count > 0;
	if (!error)
		error = snapshots_move(c);
	return error || !c->seq ? error : store_wait_applied(c->store, c->seq);
}

static int taken_move(struct compaction *c)
{
	int error = emails_move(c);

	if (!error)
		error = dictionaries_move(c);
	if (!error)
		error = snapshots_move(c);
	return error ? error : segments_drop(c);
}

/* *ret_more: something was done, and there may be more of it. */
static int compact_round(struct compaction *c, bool *ret_more)
{
	int error = compaction_choose(c);

	*ret_more = c->taken_count > 0;
	if (!error && c->taken_count)
		error = taken_move(c);
	else if (!error && c->snapshots_to)
		error = snapshots_write(c, ret_more);
	number_map_free(&c->accounts);
	number_map_free(&c->dictionaries);
	number_map_free(&c->move.emails);
	number_map_free(&c->new_accounts);
	number_map_free(&c->new_dictionaries);
	number_map_free(&c->new_emails);
	free(c->found);
	return error;
}

static int rounds_run(struct store *store, bool once, enum compaction_kind kind, uint64_t before)
{
	bool more = true;
	int error = 0;

	while (!error && more) {
		struct compaction c = {.store = store, .once = once, .kind = kind, .before = before};

		error = compact_round(&c, &more);
	}
	return error;
}

static int segment_last(void *context, const struct segment_info *info)
{
	*(struct segment_info *)context = *info;
	return 0;
}

static int segment_find(void *context, const struct segment_info *info)
{
	struct segment_info *wanted = context;

	if (info->id == wanted->id)
		*wanted = *info;
	return 0;
}

/* The log does that by itself, a moment after all of it is durable. */
static int sealed_wait(struct store *store, struct segment_info *segment)
{
	int error = 0;

	while (!error && !segment->sealed) {
		upkeep_pause(store, SEAL_LOOK_US);
		if (upkeep_is_stopping(store))
			return -ECANCELED;
		error = store->log->ops->segments(store->log, segment_find, segment);
	}
	return error;
}

/* Whether enough of it came in to be packed again. */
static int is_loose(struct store *store, const struct segment_info *segment, bool *ret_loose)
{
	struct segment_row row;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_segment_get(store->index, txn, segment->id, &row);
	*ret_loose = !error && compaction_is_loose(segment, &row, true);
	mdb_txn_abort(txn);
	return error;
}

/*
 * Ends the current segment when there is something in it to be packed again, and waits until it is sealed. A snapshot of account 0 begins the
 * next one. *ret_before: what is appended from now on is in segments from there on.
 */
static int segment_turn(struct store *store, uint64_t *ret_before)
{
	struct durability *log = store->log;
	struct segment_info last = {.sealed = true};
	uint64_t bytes, seq = 0;
	bool loose = false;
	int error = store_wait_applied(store, log->ops->last_seq(log));

	if (!error)
		error = log->ops->segments(log, segment_last, &last);
	*ret_before = last.id + 1;
	if (!error && !last.sealed)
		error = is_loose(store, &last, &loose);
	if (error || !loose)
		return error;
	error = log->ops->turn(log);
	if (!error)
		error = snapshot_write(store, 0, false, &bytes, &seq);
	if (!error)
		error = store_wait_applied(store, seq);
	return error ? error : sealed_wait(store, &last);
}

/* All there is; or one round, as others wait for what upkeep does besides. */
static int repack_run(struct store *store, bool once)
{
	struct compaction c = {.store = store, .kind = COMPACT_LOOSE, .before = UINT64_MAX};
	uint64_t before = UINT64_MAX;
	int turned, error;

	if (store->settings.repack_after_s == STORE_REPACK_NEVER)
		return 0;
	if (!once)
		return compact_round(&c, &store->upkeep.has_more);
	turned = segment_turn(store, &before);
	if (turned && turned != -ENOSPC)
		return turned;
	error = rounds_run(store, true, COMPACT_LOOSE, before);
	return error ? error : turned;
}

int compact_run(struct store *store, bool once)
{
	int error, dead;

	store->upkeep.has_more = false;
	if (once) {
		number_map_free(&store->upkeep.looked_at);
		number_map_free(&store->upkeep.stuck);
	}
	error = rounds_run(store, once, COMPACT_MOSTLY_DEAD, 0);
	if (!error)
		error = repack_run(store, once);
	if (error != -ENOSPC)
		return error;
	/* No room to copy anything: what is wholly dead can go. */
	store->upkeep.has_more = false;
	dead = rounds_run(store, once, COMPACT_DEAD_ONLY, 0);
	return dead ? dead : once ? -ENOSPC : 0;
}
