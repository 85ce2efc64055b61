/*
 * Compaction: what is alive in mostly dead segments is copied to the end of the journal, and they are dropped when the index says that
 * nothing lies in them any more. What was alive stays readable at every step, whenever this is interrupted: a relocation is one record,
 * a snapshot counts when its end is there, and a segment goes last.
 */
#include "store/body.h"
#include "store/relocate.h"
#include "store/snapshot.h"
#include "store/upkeep.h"

enum { ROUND_SEGMENTS = 8, ENTRY_COST = ENTRY_ROW_BYTES + 4, MAILBOX_COST = 64, ACCOUNT_COST = 128 };
enum { ACCOUNT_NEEDED = 1, ACCOUNT_GONE = 2 };

struct candidate {
	struct segment_info info;
	uint64_t live;
};

struct compaction {
	struct store *store;
	bool once, dead_only;
	MDB_txn *txn;
	struct candidate *found;
	size_t found_count, found_room;
	uint64_t applied, oldest;       /* the first segment there is */
	struct number_map accounts;     /* id + 1 -> ACCOUNT_: state records of theirs go away */
	struct number_map dictionaries; /* id -> 1 */
	struct relocation move;
	uint64_t seq; /* of the newest record written here */
	/* The segment at hand. */
	const struct candidate *at;
	uint64_t cost;
	struct number_map new_accounts, new_dictionaries;
	struct number_map new_emails; /* ids that live in it */
	bool damaged;                 /* beyond mending */
	const struct candidate *taken[ROUND_SEGMENTS];
	size_t taken_count;
};

/* What is alive in a segment. Where that cannot be read, all of it is. */
static uint64_t live_of(struct compaction *c, uint64_t segment)
{
	struct index_key key = key_of(segment);
	uint64_t live = 0;
	int error = index_get_number(c->store->index, c->txn, TABLE_SEGMENTS, key_slice(&key), &live);

	return error && error != -ENOENT ? UINT64_MAX : live;
}

/* ---- Which segments ---- */

static bool is_promising(struct compaction *c, const struct segment_info *info, uint64_t live)
{
	uint64_t before;

	if (live > (c->dead_only ? 0 : info->bytes / 4 * (c->once ? 3 : 2)))
		return false;
	if (frames_are_held(c->store, info))
		return false;
	/* Found not worth it before: not again until much more of it has died. */
	return !number_map_get(&c->store->upkeep.looked_at, info->id, &before) || live + info->bytes / 8 < before;
}

static int candidate_note(void *context, const struct segment_info *info)
{
	struct compaction *c = context;
	uint64_t live = live_of(c, info->id);

	if (!c->oldest)
		c->oldest = info->id;
	if (!info->sealed || info->last_seq > c->applied || !is_promising(c, info, live))
		return 0;
	if (c->found_count == c->found_room) {
		size_t room = MAX(c->found_room * 2, 64);
		struct candidate *grown = realloc(c->found, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->found = grown;
		c->found_room = room;
	}
	c->found[c->found_count++] = (struct candidate){*info, live};
	return 0;
}

static int by_live_share(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	uint64_t left = x->live * MAX(y->info.bytes, 1), right = y->live * MAX(x->info.bytes, 1);

	return left < right ? -1 : left > right;
}

/* ---- What is in one ---- */

/* About what a snapshot of the account costs. */
static uint64_t snapshot_cost(struct compaction *c, uint64_t account)
{
	struct index_key key = key_of(id_make(account, 0));
	struct index_walk walk = {NULL};
	uint64_t cost = ACCOUNT_COST;
	int error = index_walk_from(c->store->index, c->txn, TABLE_MAILBOXES, key_slice(&key), &walk);

	while (!error && id_account(key_number(walk.key, 0)) == account) {
		struct mailbox_row row = {.history_modseq = 0};

		if (!mailbox_row_read(walk.value, &row)) {
			cost += MAILBOX_COST + row.pub.name.len + (uint64_t)row.pub.messages * ENTRY_COST;
			mailbox_row_clear(&row);
		}
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return cost;
}

static int state_note(struct compaction *c, uint64_t account)
{
	struct index_key key = key_of(account);
	struct account_row row;
	struct slice value;
	uint64_t known;
	int error;

	if (number_map_get(&c->accounts, account + 1, &known) || number_map_get(&c->new_accounts, account + 1, &known))
		return 0;
	error = index_get(c->store->index, c->txn, TABLE_ACCOUNTS, key_slice(&key), &value);
	if (!error)
		error = account_row_read(value, &row);
	if (error && error != -ENOENT)
		return error;
	if (!error && row.snapshot_seq >= c->at->info.last_seq)
		return 0;
	c->cost += snapshot_cost(c, account);
	return number_map_put(&c->new_accounts, account + 1, error && account ? ACCOUNT_GONE : ACCOUNT_NEEDED);
}

static int email_note(struct compaction *c, uint64_t id)
{
	struct index_key key = key_of(id);
	struct email_row row;
	struct slice value;
	int error = index_get(c->store->index, c->txn, TABLE_EMAILS, key_slice(&key), &value);

	if (error)
		return error == -ENOENT ? 0 : error;
	error = email_row_read(value, &row);
	if (!error && email_is_in(&row, c->at->info.id))
		error = number_map_put(&c->new_emails, id, 1);
	return error;
}

static int change_look(struct compaction *c, const struct record_read *record)
{
	struct slice change;
	struct change_head head;
	struct append_entry item;
	struct reader r;
	uint32_t bodies_at;
	bool state = false;
	struct op op;
	int error = change_split(record->payload, &change, &bodies_at);

	if (error)
		return error;
	r = READER_INIT(change);
	change_head_read(&r, &head);
	while (!error && op_next(&r, &op)) {
		struct reader items = op_list_reader(op.append.items);

		state |= op.kind != OP_RELOCATE;
		if (op.kind == OP_RELOCATE)
			error = email_note(c, op.relocate.id);
		while (!error && op.kind == OP_APPEND && append_entry_next(&items, &item))
			error = email_note(c, item.email.id);
	}
	if (!error)
		error = reader_error(&r);
	return error || !state ? error : state_note(c, record->account);
}

static int record_look(void *context, const struct record_read *record)
{
	struct compaction *c = context;
	struct reader r = READER_INIT(record->payload);

	switch (record->kind) {
	case RECORD_CHANGE:
		return change_look(c, record);
	case RECORD_SNAPSHOT_BEGIN:
	case RECORD_SNAPSHOT_PART:
	case RECORD_SNAPSHOT_END:
		return state_note(c, record->account);
	case RECORD_DICTIONARY:
		return number_map_put(&c->new_dictionaries, reader_le32(&r), 1);
	default:
		return 0;
	}
}

/* Frames that lie in it apart from their emails. */
static int large_look(struct compaction *c)
{
	struct index_key key = key_of(c->at->info.id);
	struct index_walk walk = {NULL};
	int error = index_walk_from(c->store->index, c->txn, TABLE_LARGE, key_slice(&key), &walk);

	while (!error && key_number(walk.key, 0) == c->at->info.id) {
		error = number_map_put(&c->new_emails, key_number(walk.key, 8), 1);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int map_merge(struct number_map *into, struct number_map *from)
{
	int error = 0;

	for (size_t i = 0; !error && i < from->room; i++) {
		if (from->slots[i].key)
			error = number_map_put(into, from->slots[i].key, from->slots[i].value);
	}
	number_map_free(from);
	return error;
}

/* A flipped bit is put right before anything is copied: the copy's own checksum would bless it. */
static void damage_note(void *context, const struct log_damage *damage)
{
	struct compaction *c = context;
	struct durability *log = c->store->log;

	if (damage->part == LOG_SEGMENT_HEADER || damage->part == LOG_RECORD_PADDING)
		return;
	if (!damage->mended || log->ops->mend(log, damage))
		c->damaged = true;
	store_notice(c->store, c->damaged ? "journal-damaged" : "journal-bit-mended",
		"segment %016llx offset %llu record %llu", (unsigned long long)damage->segment,
		(unsigned long long)damage->at, (unsigned long long)damage->seq);
}

/* Takes the segment into the round when that gives back at least a quarter of it. */
static int segment_look(struct compaction *c, const struct candidate *candidate)
{
	const struct segment_reading reading = {record_look, damage_note, c};
	struct durability *log = c->store->log;
	int error;

	c->at = candidate;
	c->cost = 0;
	c->damaged = false;
	error = log->ops->segment_read(log, candidate->info.id, &reading);
	if (error == -EBADMSG) { /* a record that makes no sense */
		c->damaged = true;
		error = 0;
	}
	if (!error)
		error = large_look(c);
	/* Nobody knows what a damaged one holds: it stays. */
	if (!error && !c->damaged && candidate->live + c->cost <= candidate->info.bytes / 4 * 3) {
		c->taken[c->taken_count++] = candidate;
		error = map_merge(&c->accounts, &c->new_accounts);
		if (!error)
			error = map_merge(&c->dictionaries, &c->new_dictionaries);
		if (!error)
			error = map_merge(&c->move.emails, &c->new_emails);
		return error;
	}
	number_map_free(&c->new_accounts);
	number_map_free(&c->new_dictionaries);
	number_map_free(&c->new_emails);
	return error ? error : number_map_put(&c->store->upkeep.looked_at, candidate->info.id, candidate->live);
}

/* ---- Copying ---- */

static int throttle(struct compaction *c, uint64_t bytes)
{
	uint64_t rate = MAX(c->store->settings.compact_bytes_per_s, 1);

	if (upkeep_is_stopping(c->store))
		return -ECANCELED;
	if (!c->once)
		upkeep_pause(c->store, (int64_t)(bytes * 1000000 / rate) + 1);
	return 0;
}

static int emails_move(struct compaction *c)
{
	uint64_t ids[ROUND_SEGMENTS];
	int error = 0;

	for (size_t i = 0; i < c->taken_count; i++)
		ids[i] = c->taken[i]->info.id;
	c->move.store = c->store;
	c->move.segments = ids;
	c->move.segment_count = c->taken_count;
	for (size_t i = 0; !error && i < c->move.emails.room; i++) {
		uint64_t bytes = 0;

		if (c->move.emails.slots[i].key)
			error = email_relocate(&c->move, c->move.emails.slots[i].key, &bytes, &c->seq);
		if (error == -EBADMSG) { /* it stays, and with it its segment */
			store_notice(c->store, "email-damaged", "%llu of account %llu",
				(unsigned long long)c->move.emails.slots[i].key,
				(unsigned long long)id_account(c->move.emails.slots[i].key));
			error = 0;
		}
		if (!error && bytes)
			error = throttle(c, bytes);
	}
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
		error = snapshot_write(c->store, slot->key - 1, &bytes, &c->seq);
		if (!error)
			error = throttle(c, bytes);
	}
	/* The number of an account that is gone is not given out again: account 0's snapshot remembers. */
	if (!error && gone)
		error = snapshot_write(c->store, 0, &bytes, &c->seq);
	return error;
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
		error = live_of(c, id) ? -EBUSY : log->ops->segment_drop(log, id);
		if (error == -EBUSY)
			error = number_map_put(&c->store->upkeep.looked_at, id, c->taken[i]->live);
		else if (!error)
			number_map_delete(&c->store->upkeep.looked_at, id);
	}
	mdb_txn_abort(c->txn);
	c->txn = NULL;
	return error;
}

/* ---- A round ---- */

static void txn_end(struct compaction *c)
{
	if (c->txn)
		mdb_txn_abort(c->txn);
	c->txn = NULL;
}

static int candidates_find(struct compaction *c)
{
	struct durability *log = c->store->log;
	int error = index_begin(c->store->index, false, &c->txn);

	if (!error)
		error = index_applied(c->store->index, c->txn, &c->applied);
	if (!error)
		error = log->ops->segments(log, candidate_note, c);
	txn_end(c);
	if (error || !c->found_count)
		return error;
	qsort(c->found, c->found_count, sizeof(*c->found), by_live_share);
	for (size_t i = 0; !error && i < c->found_count && c->taken_count < ROUND_SEGMENTS; i++) {
		/* A transaction for each: an old one would keep the index from using its free pages again. */
		error = index_begin(c->store->index, false, &c->txn);
		if (!error)
			error = segment_look(c, &c->found[i]);
		txn_end(c);
		if (!error)
			error = throttle(c, c->found[i].info.bytes);
	}
	return error;
}

static int compact_round(struct store *store, bool once, bool dead_only, size_t *ret_taken)
{
	struct compaction c = {.store = store, .once = once, .dead_only = dead_only};
	int error = candidates_find(&c);

	if (!error)
		error = emails_move(&c);
	if (!error)
		error = dictionaries_move(&c);
	if (!error)
		error = snapshots_move(&c);
	if (!error && c.taken_count)
		error = segments_drop(&c);
	number_map_free(&c.accounts);
	number_map_free(&c.dictionaries);
	number_map_free(&c.move.emails);
	number_map_free(&c.new_accounts);
	number_map_free(&c.new_dictionaries);
	number_map_free(&c.new_emails);
	free(c.found);
	*ret_taken = c.taken_count;
	return error;
}

int compact_run(struct store *store, bool once)
{
	bool dead_only = false;
	size_t taken = 1;
	int error = 0;

	if (once)
		number_map_free(&store->upkeep.looked_at);
	while (!error && taken) {
		error = compact_round(store, once, dead_only, &taken);
		/* No room to copy anything: what is wholly dead can go first. */
		if (error == -ENOSPC && !dead_only) {
			dead_only = true;
			error = 0;
			taken = 1;
		}
	}
	return error;
}
