/*
 * Making the index anew from the journal. First everything is read once, to find the newest whole snapshot of each account's state; those are
 * loaded. Then it is read again: what came after an account's snapshot is folded, and of what came before it the emails are taken, which
 * snapshots do not have. In the end emails that nothing shows any more go.
 */
#include "store/rebuild.h"
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
	struct index *index;
	const struct number_map *only; /* account + 1 -> 1; NULL: all of them, and the directory */
	uint64_t from, until;          /* numbers of the records to be folded: above the one, up to the other */
	struct snapshot **snapshots;
	size_t snapshot_count, snapshot_room;
	struct number_map by_account; /* account + 1 -> place in snapshots */
	struct index_rows *rows;
	MDB_txn *txn;
	size_t records, bytes;
	uint64_t last_seq;
	bool salvage;
	bool careful; /* there is a record that makes no sense: each is folded by itself */
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

static bool is_wanted(const struct rebuild *b, const struct record_read *record)
{
	uint64_t there;

	if (record->seq <= b->from || record->seq > b->until)
		return false;
	return !b->only || number_map_get(b->only, record->account + 1, &there);
}

static int find_record(void *context, const struct record_read *record)
{
	struct rebuild *b = context;
	struct reader r = READER_INIT(record->payload);
	struct snapshot *s;
	uint64_t as_of;
	int error;

	b->last_seq = record->seq;
	if (!is_wanted(b, record))
		return 0;
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
	return b->salvage ? 0 : reader_error(&r);
}

/* ---- Transactions ---- */

static int rebuild_begin(struct rebuild *b)
{
	int error = index_begin(b->index, true, &b->txn);

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

/* Something to be done in a transaction inside the one at hand, so that it can be undone alone. */
struct attempt {
	int (*run)(struct rebuild *b, const void *of);
	const void *of;
	uint64_t account;
	struct record_place place;
};

static int attempt_inside(struct rebuild *b, const struct attempt *attempt)
{
	MDB_txn *around = b->txn;
	int error = index_rows_finish(b->rows);

	if (!error)
		error = index_error(mdb_txn_begin(b->index->env, around, 0, &b->txn));
	if (error)
		return error;
	index_rows_start(b->rows, b->txn);
	error = attempt->run(b, attempt->of);
	if (!error)
		error = index_rows_finish(b->rows);
	if (error) {
		index_walk_end(&b->rows->entries);
		mdb_txn_abort(b->txn);
	} else {
		error = index_commit(b->txn);
	}
	b->txn = around;
	index_rows_start(b->rows, around);
	return error;
}

static int attempt_make(struct rebuild *b, const struct attempt *attempt)
{
	int error = b->careful ? attempt_inside(b, attempt) : attempt->run(b, attempt->of);

	if (error == -EBADMSG && b->careful) {
		store_notice(b->store, "record-set-aside",
			"segment %016llx offset %llu, of account %llu: it makes no sense, and is left out",
			(unsigned long long)attempt->place.segment, (unsigned long long)attempt->place.at,
			(unsigned long long)attempt->account);
		error = 0;
	}
	return error;
}

struct part {
	uint64_t account;
	struct slice payload;
};

static int part_run(struct rebuild *b, const void *of)
{
	const struct part *part = of;

	return snapshot_load(b->rows, part->account, part->payload);
}

static int part_load(struct rebuild *b, const struct snapshot *s, const struct record_place *place)
{
	struct durability *log = b->store->log;
	char *payload = malloc((size_t)place->bytes + 1);
	struct part part = {s->account, {payload, place->bytes}};
	struct attempt attempt = {part_run, &part, s->account, *place};
	/* What is read at a place is not checked by the log: it has to be right there. */
	const struct log_damage mend = {LOG_RECORD_PAYLOAD, .segment = place->segment, .mended = true, .place = *place};
	int error = payload ? log->ops->mend(log, &mend) : -ENOMEM;

	if (!error || error == -EALREADY)
		error = log->ops->read(log, place, 0, place->bytes, payload);
	if (!error)
		error = attempt_make(b, &attempt);
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

static int change_run(struct rebuild *b, const void *of)
{
	const struct record_read *record = of;
	const struct snapshot *s = snapshot_of(b, record->account);
	struct folding folding = {.account = record->account, .seq = record->seq, .place = record->place};
	int error;

	if (record->kind == RECORD_DICTIONARY) {
		folding.change = record->payload;
		return dictionary_note(b->rows, &folding);
	}
	error = change_split(record->payload, &folding.change, &folding.bodies_at);
	b->rows->rows.emails_only = s && s->whole && record->seq <= s->as_of;
	return error ? error : index_rows_fold(b->rows, &folding);
}

static int fold_record(void *context, const struct record_read *record)
{
	struct rebuild *b = context;
	struct attempt attempt = {change_run, record, record->account, record->place};
	int error;

	if ((record->kind != RECORD_CHANGE && record->kind != RECORD_DICTIONARY) || !is_wanted(b, record))
		return 0;
	error = attempt_make(b, &attempt);
	return error ? error : rebuild_breathe(b, record->payload.len);
}

struct segment_list_of_ids {
	uint64_t *ids;
	size_t count, room;
	uint64_t from; /* what ends before it is not wanted */
};

static int segment_note(void *context, const struct segment_info *info)
{
	struct segment_list_of_ids *list = context;

	if (info->last_seq <= list->from)
		return 0;
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

/* Named already when the log was replayed. */
static void damage_pass(void *context, const struct log_damage *damage)
{
	(void)context;
	(void)damage;
}

static int segments_each(struct rebuild *b, record_reader *each)
{
	const struct segment_reading reading = {each, b->salvage ? damage_pass : NULL, b};
	struct durability *log = b->store->log;
	struct segment_list_of_ids list = {NULL, 0, 0, b->from};
	int error = log->ops->segments(log, segment_note, &list);

	for (size_t i = 0; !error && i < list.count; i++)
		error = log->ops->segment_read(log, list.ids[i], &reading);
	free(list.ids);
	return error;
}

/* ---- Emails nothing shows ---- */

/* Of one account, from the entries or the history. */
static int referenced_collect(struct rebuild *b, uint64_t account, enum index_table table, struct number_map *found)
{
	struct index_key key = key_of(id_make(account, 0));
	struct index_walk walk = {NULL};
	int error = index_walk_from(b->index, b->txn, table, key_slice(&key), &walk);

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
			error = index_walk_from(b->index, b->txn, TABLE_EMAILS, key_slice(&next), walk);
	}
	number_map_free(&found);
	return error;
}

static int unreferenced_drop(struct rebuild *b)
{
	struct index_walk walk = {NULL};
	struct index_key first = key_of(0);
	int error = index_walk_from(b->index, b->txn, TABLE_EMAILS, key_slice(&first), &walk);

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
	int error = index_error(mdb_drop(b->txn, b->index->tables[TABLE_ADDRESSES], 0));

	if (!error)
		error = index_walk_from(b->index, b->txn, TABLE_IDENTITIES, key_slice(&first), &walk);
	while (!error) {
		struct reader r = READER_INIT(walk.value);
		struct op op;

		buffer_reset(&key);
		if (!op_next(&r, &op) || op.kind != OP_ACCOUNT_SET || address_key(op.account.address, &key))
			error = -EBADMSG;
		else
			error = index_put_number(
				b->index, b->txn, TABLE_ADDRESSES, buffer_slice(&key), key_number(walk.key, 0));
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	buffer_free(&key);
	return error == -ENOENT ? 0 : error;
}

static int rebuild_all(struct rebuild *b)
{
	int error = index_rows_new(b->index, &b->rows);

	if (error)
		return error;
	b->rows->rebuilding = true;
	error = rebuild_begin(b);
	if (!error)
		error = snapshots_load(b);
	if (!error)
		error = segments_each(b, fold_record);
	if (!error)
		error = rebuild_commit(b);
	if (!error)
		error = rebuild_begin(b);
	if (!error)
		error = unreferenced_drop(b);
	if (!error)
		error = addresses_remake(b);
	if (!error)
		error = index_put_number(b->index, b->txn, TABLE_META, INDEX_APPLIED, b->last_seq);
	if (!error)
		error = index_put_number(b->index, b->txn, TABLE_META, INDEX_READY, 1);
	return error ? error : rebuild_commit(b);
}

static void rebuild_undo(struct rebuild *b)
{
	if (b->txn) {
		index_walk_end(&b->rows->entries);
		mdb_txn_abort(b->txn);
	}
	b->txn = NULL;
	index_rows_free(&b->rows);
}

static int tables_empty(struct rebuild *b)
{
	struct index *index = b->index;
	MDB_txn *txn;
	int error = index_begin(index, true, &txn);

	if (error)
		return error;
	for (int i = 0; !error && i < TABLE_COUNT; i++)
		error = i == TABLE_META ? 0 : index_error(mdb_drop(txn, index->tables[i], 0));
	if (!error)
		return index_commit(txn);
	mdb_txn_abort(txn);
	return error;
}

static void rebuild_clear(struct rebuild *b)
{
	rebuild_undo(b);
	for (size_t i = 0; i < b->snapshot_count; i++) {
		free(b->snapshots[i]->places);
		free(b->snapshots[i]->open_places);
		free(b->snapshots[i]);
	}
	free(b->snapshots);
	number_map_free(&b->by_account);
}

/* After the snapshots are found. */
static int rebuild_run(struct rebuild *b)
{
	int error = rebuild_all(b);

	if (error != -EBADMSG || !b->salvage)
		return error;
	rebuild_undo(b);
	b->careful = true;
	error = tables_empty(b);
	return error ? error : rebuild_all(b);
}

int store_rebuild(struct store *store, bool salvage)
{
	struct rebuild b = {.store = store, .index = store->index, .until = UINT64_MAX, .salvage = salvage};
	int error = store->log->ops->replay(store->log, 0, salvage, find_record, &b);

	if (!error)
		error = rebuild_run(&b);
	rebuild_clear(&b);
	if (!error)
		atomic_store(&store->applied, store->log->ops->last_seq(store->log));
	return error;
}

/* ---- Beside the index in use ---- */

int rebuild_beside(struct store *store, const struct rebuild_settings *settings, struct rebuild **ret_rebuild)
{
	struct rebuild *b = calloc(1, sizeof(*b));
	int error;

	if (!b)
		return -ENOMEM;
	b->store = store;
	b->index = settings->index;
	b->only = settings->only;
	b->until = settings->until;
	b->salvage = settings->salvage;
	error = segments_each(b, find_record);
	if (!error)
		error = rebuild_run(b);
	if (error)
		rebuild_free(&b);
	else
		*ret_rebuild = b;
	return error;
}

int rebuild_follow(struct rebuild *b, uint64_t until)
{
	int error;

	if (until == b->until)
		return 0;
	b->from = b->until;
	b->until = until;
	b->rows->rebuilding = false;
	error = rebuild_begin(b);
	if (!error)
		error = segments_each(b, fold_record);
	return error ? error : rebuild_commit(b);
}

void rebuild_free(struct rebuild **rebuild)
{
	if (!*rebuild)
		return;
	rebuild_clear(*rebuild);
	free(*rebuild);
	*rebuild = NULL;
}
