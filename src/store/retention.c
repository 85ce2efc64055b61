/* Letting go of what was expunged longer ago than the retention time. */
#include "store/ids.h"
#include "store/resident.h"
#include "store/upkeep.h"

enum { PURGES_TOGETHER = 1024 };

struct expired {
	uint64_t when, mailbox, modseq;
};

static int expired_find(struct store *store, int64_t before_ms, struct expired *found, size_t *ret_count)
{
	struct index_walk walk = {NULL};
	size_t count = 0;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_walk_from(store->index, txn, TABLE_EXPIRY, (struct slice){NULL, 0}, &walk);
	while (!error && count < PURGES_TOGETHER && (int64_t)key_number(walk.key, 0) <= before_ms) {
		found[count++] =
			(struct expired){key_number(walk.key, 0), key_number(walk.key, 8), key_number(walk.key, 16)};
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	if (error && error != -ENOENT)
		return error;
	*ret_count = count;
	return 0;
}

static void purge_put(struct buffer *change, const struct expired *e)
{
	struct op_purge op = {e->mailbox, e->modseq, (int64_t)e->when};

	if (e->modseq)
		op_put_purge(change, &op);
	else
		op_put_number(change, OP_ACCOUNT_PURGE, e->when);
}

static int by_account(const void *a, const void *b)
{
	const struct expired *x = a, *y = b;

	if (id_account(x->mailbox) != id_account(y->mailbox))
		return id_account(x->mailbox) < id_account(y->mailbox) ? -1 : 1;
	/* What belongs to a mailbox before the whole account. */
	return (x->modseq == 0) - (y->modseq == 0);
}

/* One record for each account. */
static int purges_write(struct store *store, struct expired *found, size_t count, uint64_t *ret_seq)
{
	struct buffer change = BUFFER_INIT(1 << 20);
	int error = 0;

	qsort(found, count, sizeof(*found), by_account);
	for (size_t i = 0; !error && i < count;) {
		uint64_t account = id_account(found[i].mailbox);
		struct appending what = {.account = account, .kind = RECORD_CHANGE, .reserve = true};

		buffer_reset(&change);
		change_begin(&change, NULL, clock_wall_ms(store->settings.clock));
		for (; i < count && id_account(found[i].mailbox) == account; i++)
			purge_put(&change, &found[i]);
		change_finish(&change);
		error = buffer_error(&change);
		what.change = buffer_slice(&change);
		if (!error)
			error = store_append(store, &what, NULL, ret_seq);
	}
	buffer_free(&change);
	return error;
}

int retention_run(struct store *store)
{
	int64_t before = clock_wall_ms(store->settings.clock) - (int64_t)store->settings.retention_s * 1000;
	struct expired *found = malloc(PURGES_TOGETHER * sizeof(*found));
	size_t count = 1;
	uint64_t seq;
	int error = found ? 0 : -ENOMEM;

	while (!error && count) {
		error = upkeep_is_stopping(store) ? -ECANCELED : expired_find(store, before, found, &count);
		if (!error && count)
			error = purges_write(store, found, count, &seq);
		if (!error && count)
			error = store_wait_applied(store, seq);
	}
	free(found);
	return error;
}
