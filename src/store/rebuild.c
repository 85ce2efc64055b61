/*
 * Making the index anew from the journal. First everything is read once, to find the newest whole snapshot of each account's state; those are
 * loaded. Then it is read again: what came after an account's snapshot is folded, and of what came before it the emails are taken, which
 * snapshots do not have. In the end emails that nothing shows any more go.
 */
#include "store/address.h"
#include "store/ids.h"
#include "store/index_rows.h"
#include "store/snapshot.h"

enum { COMMIT_RECORDS = 16384, COMMIT_BYTES = 64 << 20 };

struct snapshot { /* of one account: the newest whole one, and one whose end has not come yet */
	uint64_t account, as_of, open_as_of;
	struct record_place *places, *open_places;
	size_t count, open_count, open_room;
	bool whole, open;
};

struct rebuild {
	struct store *store;
	struct snapshot **snapshots;
	size_t snapshot_count, snapshot_room;
	struct number_map by_account; /* account + 1 -> place in snapshots */
	struct index_rows *rows;
	MDB_txn *txn;
	size_t records, bytes;
	uint64_t last_seq;
};

/* ---- Finding the snapshots ---- */

static struct snapshot *snapshot_of(struct rebuild *b, uint64_t account)
{
	uint64_t at;

	return number_map_get(&b->by_account, account + 1, &at) ? b->snapshots[at] : NULL;
}

static int snapshot_make(struct rebuild *b, uint64_t account, struct snapshot **ret_snapshot)
{
	struct snapshot *s = snapshot_of(b, account);

	if (!s && b->snapshot_count == b->snapshot_room) {
		size_t room = MAX(b->snapshot_room * 2, 64);
		struct snapshot **grown = realloc(b->snapshots, room * sizeof(struct snapshot *));

		if (!grown)
			return -ENOMEM;
		b->snapshots = grown;
		b->snapshot_room = room;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s || number_map_put(&b->by_account, account + 1, b->snapshot_count)) {
			free(s);
			return -ENOMEM;
		}
		s->account = account;
		b->snapshots[b->snapshot_count++] = s;
	}
	*ret_snapshot = s;
	return 0;
}

static int snapshot_part(struct snapshot *s, const struct record_place *place)
{
	if (s->open_count == s->open_room) {
		size_t room = MAX(s->open_room * 2, 4);
		struct record_place *grown = realloc(s->open_places, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		s->open_places = grown;
		s->open_room = room;
	}
	s->open_places[s->open_count++] = *place;
	return 0;
}

static void snapshot_end(struct snapshot *s, uint64_t as_of, uint64_t parts)
{
	if (!s->open || as_of != s->open_as_of || parts != s->open_count)
		return;
	free(s->places);
	s->places = s->open_places;
	s->count = s->open_count;
	s->as_of = as_of;
	s->whole = true;
	s->open_places = NULL;
	s->open_count = s->open_room = 0;
	s->open = false;
}

static int find_record(void *context, const struct record_read *record)
{
	struct rebuild *b = context;
	struct reader r = READER_INIT(record->payload);
	struct snapshot *s;
	uint64_t as_of;
	int error;

	b->last_seq = record->seq;
	if (record->kind != RECORD_SNAPSHOT_BEGIN && record->kind != RECORD_SNAPSHOT_PART &&
		record->kind != RECORD_SNAPSHOT_END)
		return 0;
	error = snapshot_make(b, record->account, &s);
	if (error || record->kind == RECORD_SNAPSHOT_PART)
		return error ? error : snapshot_part(s, &record->place);
	as_of = reader_varint(&r);
	if (record->kind == RECORD_SNAPSHOT_BEGIN) {
		s->open = true;
		s->open_as_of = as_of;
		s->open_count = 0;
	} else {
		snapshot_end(s, as_of, reader_varint(&r));
	}
	return reader_error(&r);
}

/* ---- Transactions ---- */

static int rebuild_begin(struct rebuild *b)
{
	int error = index_begin(b->store->index, true, &b->txn);

	if (!error)
		index_rows_start(b->rows, b->txn);
	return error;
}

static int rebuild_commit(struct rebuild *b)
{
	MDB_txn *txn = b->txn;
	int error = index_rows_finish(b->rows);

	b->txn = NULL;
	b->records = b->bytes = 0;
	if (!error)
		return index_commit(txn);
	mdb_txn_abort(txn);
	return error;
}

static int rebuild_breathe(struct rebuild *b, size_t bytes)
{
	int error;

	b->records++;
	b->bytes += bytes;
	if (b->records < COMMIT_RECORDS && b->bytes < COMMIT_BYTES)
		return 0;
	error = rebuild_commit(b);
	return error ? error : rebuild_begin(b);
}

/* ---- Loading and folding ---- */

static int part_load(struct rebuild *b, const struct snapshot *s, const struct record_place *place)
{
	struct durability *log = b->store->log;
	char *payload = malloc((size_t)place->bytes + 1);
	int error = payload ? log->ops->read(log, place, 0, place->bytes, payload) : -ENOMEM;

	if (!error)
		error = snapshot_load(b->rows, s->account, slice_make(payload, place->bytes));
	free(payload);
	return error ? error : rebuild_breathe(b, place->bytes);
}

static int snapshots_load(struct rebuild *b)
{
	int error = 0;

	for (size_t i = 0; !error && i < b->snapshot_count; i++) {
		const struct snapshot *s = b->snapshots[i];

		for (size_t p = 0; !error && s->whole && p < s->count; p++)
			error = part_load(b, s, &s->places[p]);
		if (!error && s->whole && s->count)
			error = snapshot_loaded(b->rows, s->account, s->as_of);
		/* Whoever it was, and though only this may be left of it: the number is not given out again. */
		if (!error && s->whole && s->account)
			error = b->rows->rows.ops->next_account(&b->rows->rows, s->account + 1);
	}
	return error;
}

static int fold_record(void *context, const struct record_read *record)
{
	struct rebuild *b = context;
	const struct snapshot *s = snapshot_of(b, record->account);
	struct folding folding = {.account = record->account, .seq = record->seq, .place = record->place};
	struct applying applying;
	int error = 0;

	if (record->kind == RECORD_DICTIONARY) {
		applying.record = folding;
		applying.record.change = record->payload;
		error = dictionary_note(b->rows, &applying.record);
	}
	if (error || record->kind != RECORD_CHANGE)
		return error;
	error = change_split(record->payload, &folding.change, &folding.bodies_at);
	b->rows->rows.emails_only = s && s->whole && record->seq <= s->as_of;
	if (!error)
		error = index_rows_fold(b->rows, &folding);
	return error ? error : rebuild_breathe(b, record->payload.len);
}

struct segment_list_of_ids {
	uint64_t *ids;
	size_t count, room;
};

static int segment_note(void *context, const struct segment_info *info)
{
	struct segment_list_of_ids *list = context;

	if (list->count == list->room) {
		size_t room = MAX(list->room * 2, 64);
		uint64_t *grown = realloc(list->ids, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->ids = grown;
		list->room = room;
	}
	list->ids[list->count++] = info->id;
	return 0;
}

static int segments_fold(struct rebuild *b, bool salvage)
{
	struct durability *log = b->store->log;
	struct segment_list_of_ids list = {NULL, 0, 0};
	int error = log->ops->segments(log, segment_note, &list);

	for (size_t i = 0; !error && i < list.count; i++)
		error = log->ops->segment_read(log, list.ids[i], salvage, fold_record, b);
	free(list.ids);
	return error;
}

/* ---- Emails nothing shows ---- */

/* Of one account, from the entries or the history. */
static int referenced_collect(struct rebuild *b, uint64_t account, enum index_table table, struct number_map *found)
{
	struct index_key key = key_of(id_make(account, 0));
	struct index_walk walk = {NULL};
	int error = index_walk_from(b->store->index, b->txn, table, key_slice(&key), &walk);

	while (!error && id_account(key_number(walk.key, 0)) == account) {
		struct entry entry;

		if (walk.value.len == ENTRY_ROW_BYTES && (table == TABLE_ENTRIES || key_number32(walk.key, 16))) {
			entry_row_read(walk.value.at, 0, &entry);
			if (entry.email && !(table == TABLE_EXPUNGED && (entry.flags & ENTRY_MOVED)))
				error = number_map_put(found, entry.email, 1);
		}
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

/* The account's emails, on which `walk` stands at the first; left at the first of the next account. */
static int unreferenced_drop_of(struct rebuild *b, uint64_t account, struct index_walk *walk)
{
	struct number_map found = {NULL, 0, 0};
	uint64_t there;
	int error = referenced_collect(b, account, TABLE_ENTRIES, &found);

	if (!error)
		error = referenced_collect(b, account, TABLE_EXPUNGED, &found);
	while (!error && id_account(key_number(walk->key, 0)) == account) {
		uint64_t id = key_number(walk->key, 0);
		struct index_key next = key_of(id + 1);

		if (!number_map_get(&found, id, &there))
			error = index_email_forget(b->rows, id);
		if (!error)
			error = index_walk_from(b->store->index, b->txn, TABLE_EMAILS, key_slice(&next), walk);
	}
	number_map_free(&found);
	return error;
}

static int unreferenced_drop(struct rebuild *b)
{
	struct index_walk walk = {NULL};
	struct index_key first = key_of(0);
	int error = index_walk_from(b->store->index, b->txn, TABLE_EMAILS, key_slice(&first), &walk);

	while (!error)
		error = unreferenced_drop_of(b, id_account(key_number(walk.key, 0)), &walk);
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

/*
 * An address may have had one account after another, whose records were not folded in the order they were written in (a snapshot comes before
 * everything): who has it is the one that has an identity.
 */
static int addresses_remake(struct rebuild *b)
{
	struct index_walk walk = {NULL};
	struct index_key first = key_of(0);
	struct buffer key = BUFFER_INIT(4096);
	int error = index_error(mdb_drop(b->txn, b->store->index->tables[TABLE_ADDRESSES], 0));

	if (!error)
		error = index_walk_from(b->store->index, b->txn, TABLE_IDENTITIES, key_slice(&first), &walk);
	while (!error) {
		struct reader r = READER_INIT(walk.value);
		struct op op;

		buffer_reset(&key);
		if (!op_next(&r, &op) || op.kind != OP_ACCOUNT_SET || address_key(op.account.address, &key))
			error = -EBADMSG;
		else
			error = index_put_number(
				b->store->index, b->txn, TABLE_ADDRESSES, buffer_slice(&key), key_number(walk.key, 0));
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	buffer_free(&key);
	return error == -ENOENT ? 0 : error;
}

static int rebuild_run(struct rebuild *b, bool salvage)
{
	int error = b->store->log->ops->replay(b->store->log, 0, salvage, find_record, b);

	if (!error)
		error = index_rows_new(b->store->index, &b->rows);
	if (error)
		return error;
	b->rows->rebuilding = true;
	error = rebuild_begin(b);
	if (!error)
		error = snapshots_load(b);
	if (!error)
		error = segments_fold(b, salvage);
	if (!error)
		error = rebuild_commit(b);
	if (!error)
		error = rebuild_begin(b);
	if (!error)
		error = unreferenced_drop(b);
	if (!error)
		error = addresses_remake(b);
	if (!error)
		error = index_put_number(b->store->index, b->txn, TABLE_META, INDEX_APPLIED, b->last_seq);
	if (!error)
		error = index_put_number(b->store->index, b->txn, TABLE_META, INDEX_READY, 1);
	return error ? error : rebuild_commit(b);
}

int store_rebuild(struct store *store, bool salvage)
{
	struct rebuild b = {.store = store};
	int error = rebuild_run(&b, salvage);

	if (b.txn) {
		index_walk_end(&b.rows->entries);
		mdb_txn_abort(b.txn);
	}
	for (size_t i = 0; i < b.snapshot_count; i++) {
		free(b.snapshots[i]->places);
		free(b.snapshots[i]->open_places);
		free(b.snapshots[i]);
	}
	free(b.snapshots);
	number_map_free(&b.by_account);
	index_rows_free(&b.rows);
	if (!error)
		atomic_store(&store->applied, b.last_seq);
	return error;
}
