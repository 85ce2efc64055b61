/*
 * Which segments a round takes. Mostly dead ones: where copying gives back a quarter. Those with mail as it came in: where packing it tightly
 * saves more than what the snapshots take that are needed instead of their records.
 */
#include "store/body.h"
#include "store/compaction.h"

enum { ENTRY_COST = ENTRY_ROW_BYTES + 4, MAILBOX_COST = 64, ACCOUNT_COST = 128 };
/*
 * Of loose bytes what is saved, at the least: a fifth (text gives two fifths to a half and more, pictures nothing). A segment has to be loose by half,
 * or, when all is to be done, by a sixteenth.
 */
enum { SAVED_PART = 5, LOOSE_PART = 2, LOOSE_PART_ONCE = 16 };
/* Copies come before what they are of goes. They are never to be what fills the disk: at most a quarter of its room is for them. */
enum { ROOM_PART = 4 };

struct segment_row compaction_row(struct compaction *c, uint64_t segment)
{
	struct segment_row row;
	int error = index_segment_get(c->store->index, c->txn, segment, &row);

	return error ? (struct segment_row){UINT64_MAX, 0} : row;
}

/* ---- Which segments ---- */

static bool is_mostly_dead(struct compaction *c, const struct segment_info *info, uint64_t live)
{
	uint64_t before, most = c->kind == COMPACT_DEAD_ONLY ? 0 : info->bytes / 4 * (c->once ? 3 : 2);

	if (live > most)
		return false;
	/* Found not worth it before: not again until much more of it has died. */
	return !number_map_get(&c->store->upkeep.looked_at, info->id, &before) || live + info->bytes / 8 < before;
}

struct number_map *compaction_left(const struct compaction *c)
{
	return c->kind == COMPACT_LOOSE ? &c->store->upkeep.stuck : &c->store->upkeep.looked_at;
}

bool compaction_is_loose(const struct segment_info *info, const struct segment_row *row, bool once)
{
	return row->loose > info->bytes / (once ? LOOSE_PART_ONCE : LOOSE_PART);
}

static bool is_to_be_packed(struct compaction *c, const struct segment_info *info, const struct segment_row *row)
{
	uint64_t live;

	return info->id < c->before && compaction_is_loose(info, row, c->once) &&
	       !(number_map_get(&c->store->upkeep.stuck, info->id, &live) && live == row->live);
}

static bool is_promising(struct compaction *c, const struct segment_info *info, const struct segment_row *row)
{
	if (!info->sealed || info->last_seq > c->applied || frames_are_held(c->store, info))
		return false;
	return c->kind == COMPACT_LOOSE ? is_to_be_packed(c, info, row) : is_mostly_dead(c, info, row->live);
}

static int candidate_note(void *context, const struct segment_info *info)
{
	struct compaction *c = context;
	struct segment_row row = compaction_row(c, info->id);

	if (!c->oldest)
		c->oldest = info->id;
	if (!is_promising(c, info, &row))
		return 0;
	if (c->found_count == c->found_room) {
		size_t room = MAX(c->found_room * 2, 64);
		struct candidate *grown = realloc(c->found, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->found = grown;
		c->found_room = room;
	}
	c->found[c->found_count++] = (struct candidate){*info, row};
	return 0;
}

static int by_live_share(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	uint64_t left = x->row.live * MAX(y->info.bytes, 1), right = y->row.live * MAX(x->info.bytes, 1);

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

static int look(struct compaction *c, const struct candidate *candidate)
{
	const struct segment_reading reading = {record_look, damage_note, c};
	struct durability *log = c->store->log;
	int error;

	c->at = candidate;
	c->cost = 0;
	c->damaged = false;
	error = log->ops->segment_read(log, candidate->info.id, &reading);
	if (error == -EBADMSG || error == -EIO) { /* a record that makes no sense, or a sector that cannot be read */
		c->damaged = true;
		error = 0;
	}
	return error ? error : large_look(c);
}

static int take(struct compaction *c)
{
	int error;

	c->taken[c->taken_count++] = c->at;
	error = map_merge(&c->accounts, &c->new_accounts);
	if (!error)
		error = map_merge(&c->dictionaries, &c->new_dictionaries);
	if (!error)
		error = map_merge(&c->move.emails, &c->new_emails);
	return error;
}

static void leave(struct compaction *c)
{
	number_map_free(&c->new_accounts);
	number_map_free(&c->new_dictionaries);
	number_map_free(&c->new_emails);
}

static uint64_t gain_of(const struct candidate *candidate)
{
	return MIN(candidate->row.loose, candidate->row.live) / SAVED_PART;
}

/* Takes the segment into the round when that is worth it; nobody knows what a damaged one holds: it stays. */
static int segment_look(struct compaction *c, const struct candidate *candidate)
{
	int error = look(c, candidate);
	/* Of loose ones all together are (loose_choose()). */
	bool is_worth = c->kind == COMPACT_LOOSE || candidate->row.live + c->cost <= candidate->info.bytes / 4 * 3;

	if (!error && !c->damaged && is_worth) {
		c->gain_all += gain_of(candidate);
		c->cost_all += c->cost;
		return take(c);
	}
	leave(c);
	return error ? error : number_map_put(compaction_left(c), candidate->info.id, candidate->row.live);
}

/* ---- How old ---- */

static int time_look(void *context, const struct record_read *record)
{
	int64_t *time_ms = context;
	struct change_head head;
	struct slice change;
	struct reader r;
	uint32_t bodies_at;

	if (record->kind != RECORD_CHANGE || change_split(record->payload, &change, &bodies_at))
		return 0;
	r = READER_INIT(change);
	change_head_read(&r, &head);
	*time_ms = head.time_ms;
	return -ECANCELED;
}

static void damage_ignore(void *context, const struct log_damage *damage)
{
	(void)context;
	(void)damage;
}

/* Whether its first change is so old that all in it may be packed again. */
static bool is_old(struct compaction *c, const struct candidate *candidate)
{
	int64_t now_ms = clock_wall_ms(c->store->settings.clock), time_ms = 0;
	const struct segment_reading reading = {time_look, damage_ignore, &time_ms};
	struct durability *log = c->store->log;

	if (c->once)
		return true;
	(void)log->ops->segment_read(log, candidate->info.id, &reading);
	/* One that was written when the clock was wrong must not be in the way of those behind it. */
	return time_ms > now_ms || now_ms - time_ms >= (int64_t)(c->store->settings.repack_after_s * 1000);
}

/* ---- All of them ---- */

static int candidate_look(struct compaction *c, const struct candidate *candidate)
{
	/* A transaction for each: an old one would keep the index from using its free pages again. */
	int error = index_begin(c->store->index, false, &c->txn);

	if (!error)
		error = segment_look(c, candidate);
	compaction_txn_end(c);
	return error ? error : compaction_pace(c, candidate->info.bytes);
}

static int mostly_dead_choose(struct compaction *c)
{
	int error = 0;

	qsort(c->found, c->found_count, sizeof(*c->found), by_live_share);
	for (size_t i = 0; !error && i < c->found_count && c->taken_count < ROUND_SEGMENTS; i++)
		error = candidate_look(c, &c->found[i]);
	return error;
}

/* About what snapshots of all accounts cost. */
static int snapshots_cost(struct compaction *c, uint64_t *ret_cost)
{
	static const enum index_table tables[] = {TABLE_ENTRIES, TABLE_EXPUNGED, TABLE_MAILBOXES, TABLE_ACCOUNTS};
	static const unsigned costs[] = {ENTRY_COST, ENTRY_COST, MAILBOX_COST, ACCOUNT_COST};
	struct index *index = c->store->index;
	int error = index_begin(index, false, &c->txn);

	*ret_cost = 0;
	for (size_t i = 0; !error && i < ARRAY_LEN(tables); i++) {
		MDB_stat stat;

		error = index_error(mdb_stat(c->txn, index->tables[tables[i]], &stat));
		if (!error)
			*ret_cost += stat.ms_entries * costs[i];
	}
	compaction_txn_end(c);
	return error;
}

/*
 * Accounts have so much that snapshots of those in a few segments are not worth it. When all segments that may be taken save more than snapshots of
 * all accounts take, these come first, and serve all of them; else more must come before they are looked at again.
 */
static int snapshots_choose(struct compaction *c, uint64_t room)
{
	uint64_t gain = 0, cost, last_seq = 0;
	size_t count = 0;
	int error = snapshots_cost(c, &cost);

	if (error)
		return error;
	for (; count < c->found_count && is_old(c, &c->found[count]); count++) {
		gain += gain_of(&c->found[count]);
		last_seq = c->found[count].info.last_seq;
	}
	if (gain > cost && cost <= room)
		c->snapshots_to = last_seq;
	else
		c->store->upkeep.repack_count = 2 * count;
	return 0;
}

static int loose_choose(struct compaction *c)
{
	struct upkeep *u = &c->store->upkeep;
	uint64_t room = 0, left;
	int error;

	if (!c->once && u->repack_count &&
		(c->found_count < u->repack_count || !is_old(c, &c->found[u->repack_count - 1])))
		return 0;
	u->repack_count = 0;
	error = c->store->log->ops->room(c->store->log, &room);
	room /= ROOM_PART;
	left = room;
	for (size_t i = 0; !error && i < c->found_count && c->taken_count < ROUND_SEGMENTS; i++) {
		uint64_t bytes = c->found[i].info.bytes;

		if (bytes > left || !is_old(c, &c->found[i]))
			break;
		left -= bytes;
		error = candidate_look(c, &c->found[i]);
	}
	if (error || c->cost_all <= c->gain_all)
		return error;
	number_map_free(&c->accounts);
	number_map_free(&c->dictionaries);
	number_map_free(&c->move.emails);
	c->taken_count = 0;
	return snapshots_choose(c, room);
}

int compaction_choose(struct compaction *c)
{
	struct durability *log = c->store->log;
	int error = index_begin(c->store->index, false, &c->txn);

	if (!error)
		error = index_applied(c->store->index, c->txn, &c->applied);
	if (!error)
		error = log->ops->segments(log, candidate_note, c);
	compaction_txn_end(c);
	if (error || !c->found_count)
		return error;
	return c->kind == COMPACT_LOOSE ? loose_choose(c) : mostly_dead_choose(c);
}
