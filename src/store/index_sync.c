/* Rows made anew take the place of those in the index: table by table, in the order of their keys, only where they differ. */
#include "store/ids.h"
#include "store/number_map.h"
#include "store/rebuild.h"
#include "store/rows.h"

enum { KEY_MAX = 512 };

struct side {
	struct index_walk walk;
	bool there, damaged;
};

static int side_take(struct side *side, int error, struct slice end)
{
	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	side->damaged = error == -EBADMSG;
	side->there = error != -ENOENT && (!end.at || slice_compare(side->walk.key, end) < 0);
	return 0;
}

struct table_sync {
	struct index_sync *sync;
	enum index_table table;
	struct slice end;
	struct side live, made;
};

static int side_seek(struct table_sync *t, struct side *side, struct slice key)
{
	bool live = side == &t->live;

	return side_take(side,
		index_walk_from(live ? t->sync->live : t->sync->made, live ? t->sync->to : t->sync->from, t->table, key,
			&side->walk),
		t->end);
}

static int side_next(struct table_sync *t, struct side *side)
{
	return side_take(side, index_walk_next(&side->walk), t->end);
}

/* Writing moves what the walk stands on: it looks for its key again, or the one after it. */
static int row_replace(struct table_sync *t, bool put)
{
	struct buffer key = BUFFER_INIT(KEY_MAX);
	struct slice value = t->made.walk.value;
	int error;

	buffer_put(&key, put ? t->made.walk.key : t->live.walk.key);
	error = buffer_error(&key);
	if (!error)
		error = put ? index_put(t->sync->live, t->sync->to, t->table, buffer_slice(&key), value)
			    : index_delete(t->sync->live, t->sync->to, t->table, buffer_slice(&key));
	if (!error)
		error = side_seek(t, &t->live, buffer_slice(&key));
	buffer_free(&key);
	return error;
}

/*
 * A message id of emails that are gone, whose records were freed since: the index remembers it for answers that may still come, the journal
 * does not. But where that has lost something, a thread of that number may become another one.
 */
static bool is_memory(const struct table_sync *t, int order)
{
	return order < 0 && t->table == TABLE_THREADS && !t->live.damaged && !t->sync->salvage;
}

static int row_sync(struct table_sync *t)
{
	int order = !t->live.there ? 1 : !t->made.there ? -1 : slice_compare(t->live.walk.key, t->made.walk.key);
	bool same = !order && !t->live.damaged && slice_equal(t->live.walk.value, t->made.walk.value);
	int error = 0;

	if (t->made.there && t->made.damaged)
		return -EBADMSG;
	if (is_memory(t, order))
		return side_next(t, &t->live);
	if (!same) {
		t->sync->damaged += t->live.there && t->live.damaged && order <= 0;
		t->sync->differs |= order > 0 || !t->live.damaged;
		error = row_replace(t, order >= 0);
	}
	/* A row that was deleted has given its place to the one after it. */
	if (!error && order >= 0)
		error = side_next(t, &t->live);
	return !error && order >= 0 ? side_next(t, &t->made) : error;
}

static int table_sync(struct index_sync *sync, enum index_table table, struct slice first, struct slice end)
{
	struct table_sync t = {.sync = sync, .table = table, .end = end};
	int error = side_seek(&t, &t.live, first);

	if (!error)
		error = side_seek(&t, &t.made, first);
	while (!error && (t.live.there || t.made.there))
		error = row_sync(&t);
	index_walk_end(&t.live.walk);
	index_walk_end(&t.made.walk);
	return error;
}

int index_sync_account(struct index_sync *sync, uint64_t account)
{
	static const enum index_table by_id[] = {
		TABLE_MAILBOXES, TABLE_ENTRIES, TABLE_EMAILS, TABLE_SHARES, TABLE_EXPUNGED};
	static const enum index_table by_account[] = {
		TABLE_ACCOUNTS, TABLE_IDENTITIES, TABLE_SUBSCRIPTIONS, TABLE_THREADS};
	struct index_key first = key_of(id_make(account, 0)), end = key_of(id_make(account + 1, 0));
	int error = 0;

	for (size_t i = 0; !error && i < ARRAY_LEN(by_id); i++)
		error = table_sync(sync, by_id[i], key_slice(&first), key_slice(&end));
	first = key_of(account);
	end = key_of(account + 1);
	for (size_t i = 0; !error && i < ARRAY_LEN(by_account); i++)
		error = table_sync(sync, by_account[i], key_slice(&first), key_slice(&end));
	return error;
}

int index_sync_rest(struct index_sync *sync)
{
	static const enum index_table whole[] = {
		TABLE_ADDRESSES, TABLE_ALIASES, TABLE_DOMAINS, TABLE_EXPIRY, TABLE_DICTIONARIES};
	struct slice none = {NULL, 0};
	int error = 0;

	for (size_t i = 0; !error && i < ARRAY_LEN(whole); i++)
		error = table_sync(sync, whole[i], none, none);
	return error;
}

/* ---- What lives where ---- */

static int email_add(struct index *index, MDB_txn *txn, struct number_map *live, const struct index_walk *walk)
{
	struct email_row row;
	struct reader r;
	struct frame_ref ref;
	int error = email_row_read(walk->value, &row);

	if (error)
		return error;
	r = op_list_reader(row.frames);
	error = number_map_add(live, row.home, email_row_home_bytes(&row));
	while (!error && frame_ref_next(&r, &ref)) {
		struct index_key key = key_pair(ref.place.segment, key_number(walk->key, 0));

		error = number_map_add(live, ref.place.segment, ref.stored_bytes);
		if (!error && ref.place.segment != row.home)
			error = index_put(index, txn, TABLE_LARGE, key_slice(&key), (struct slice){NULL, 0});
	}
	return error;
}

/* What emails do not tell: it stays as it is known. */
static int loose_keep(struct index *index, MDB_txn *txn, struct number_map *loose)
{
	struct index_walk walk = {NULL};
	int error = index_walk_from(index, txn, TABLE_SEGMENTS, (struct slice){NULL, 0}, &walk);

	while (!error || error == -EBADMSG) {
		struct segment_row row = {0, 0};

		/* One that cannot be read: unknown. */
		if (error || segment_row_read(walk.value, &row))
			row.loose = 0;
		error = row.loose ? number_map_put(loose, key_number(walk.key, 0), row.loose) : 0;
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

int index_live_recount(struct index *index, MDB_txn *txn)
{
	struct number_map live = {NULL, 0, 0}, loose = {NULL, 0, 0};
	struct index_walk walk = {NULL};
	int error = loose_keep(index, txn, &loose);

	if (!error)
		error = index_error(mdb_drop(txn, index->tables[TABLE_SEGMENTS], 0));
	if (!error)
		error = index_error(mdb_drop(txn, index->tables[TABLE_LARGE], 0));
	if (!error)
		error = index_walk_from(index, txn, TABLE_EMAILS, (struct slice){NULL, 0}, &walk);
	while (!error || error == -EBADMSG) {
		/* One that cannot be read is another account's, whose turn may come. */
		error = error == -EBADMSG ? 0 : email_add(index, txn, &live, &walk);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	error = error == -ENOENT ? 0 : error;
	for (size_t i = 0; !error && i < live.room; i++) {
		uint64_t segment = live.slots[i].key;
		struct segment_row row = {live.slots[i].value, 0};

		(void)number_map_get(&loose, segment, &row.loose);
		if (segment && row.live)
			error = index_segment_put(index, txn, segment, &row);
	}
	number_map_free(&live);
	number_map_free(&loose);
	return error;
}
