#include "store/check.h"
#include "store/ids.h"

/* ---- Live bytes of segments ---- */

int check_live(struct checking *c, const struct email_row *row)
{
	struct reader r = op_list_reader(row->frames);
	struct frame_ref ref;
	int error = number_map_add(&c->live, row->home, email_row_home_bytes(row));

	while (!error && frame_ref_next(&r, &ref))
		error = number_map_add(&c->live, ref.place.segment, ref.stored_bytes);
	return error;
}

int check_live_bytes(struct checking *c)
{
	struct index_walk walk = {NULL};
	int error = index_walk_from(c->store->index, c->txn, TABLE_SEGMENTS, (struct slice){NULL, 0}, &walk);

	while (!error) {
		uint64_t segment = key_number(walk.key, 0), counted = 0;
		struct segment_row row;

		error = segment_row_read(walk.value, &row);
		if (error)
			break;
		(void)number_map_get(&c->live, segment, &counted);
		if (row.live != counted)
			check_report(c, "segment %llu: %llu bytes are in use, the index says %llu",
				(unsigned long long)segment, (unsigned long long)counted, (unsigned long long)row.live);
		number_map_delete(&c->live, segment);
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	for (size_t i = 0; i < c->live.room; i++) {
		if (c->live.slots[i].key && c->live.slots[i].value)
			check_report(c, "segment %llu: bytes are in use, the index says none",
				(unsigned long long)c->live.slots[i].key);
	}
	return error == -ENOENT ? 0 : error;
}

/* ---- Accounts ---- */

struct account_check {
	struct checking *c;
	uint64_t id;
	const char *name;
	struct number_map live, kept; /* email -> how many rows have it */
	uint64_t used_bytes, used_messages;
};

static void message_report(struct account_check *a, const struct mailbox_row *row, const struct entry *entry)
{
	uint64_t how = 0;

	if (!number_map_get(&a->c->unreadable, entry->email, &how))
		return;
	check_report(a->c,
		how == CHECK_UNREADABLE ? "%s, mailbox %.*s, UID %u: the message cannot be read"
					: "%s, mailbox %.*s, UID %u: its record is hit, the message can be read",
		a->name, SLICE_ARG(row->pub.name), entry->uid);
}

static int entry_check(struct account_check *a, const struct mailbox_row *row, const struct entry *entry)
{
	struct index_key key = key_of(entry->email);
	struct slice value;
	uint64_t before = 0;
	int error = index_get(a->c->store->index, a->c->txn, TABLE_EMAILS, key_slice(&key), &value);

	if (error == -ENOENT)
		check_report(a->c, "%s, mailbox %.*s, UID %u: its email is missing", a->name, SLICE_ARG(row->pub.name),
			entry->uid);
	else if (error && error != -EBADMSG) /* that is told of the email */
		return error;
	message_report(a, row, entry);
	if (entry->uid >= row->pub.uidnext)
		check_report(a->c, "%s, mailbox %.*s, UID %u: beyond UIDNEXT", a->name, SLICE_ARG(row->pub.name),
			entry->uid);
	if (!number_map_get(&a->live, entry->email, &before)) {
		a->used_bytes += entry->bytes;
		a->used_messages++;
	}
	return number_map_add(&a->live, entry->email, 1);
}

static int mailbox_check(struct account_check *a, uint64_t id, const struct mailbox_row *row)
{
	struct index_key key = key_entry(id, 0);
	struct index_walk walk = {NULL};
	struct mailbox counted = {.messages = 0};
	int error = index_walk_from(a->c->store->index, a->c->txn, TABLE_ENTRIES, key_slice(&key), &walk);

	while (!error && key_number(walk.key, 0) == id && walk.value.len == ENTRY_ROW_BYTES) {
		struct entry entry;

		entry_row_read(walk.value.at, key_number32(walk.key, 8), &entry);
		counted.messages++;
		counted.unseen += !(entry.flags & FLAG_SEEN);
		counted.flagged_deleted += !!(entry.flags & FLAG_DELETED);
		counted.bytes += entry.bytes;
		error = entry_check(a, row, &entry);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	if (counted.messages != row->pub.messages || counted.unseen != row->pub.unseen ||
		counted.flagged_deleted != row->pub.flagged_deleted || counted.bytes != row->pub.bytes)
		check_report(a->c, "%s, mailbox %.*s: its counters do not fit its entries", a->name,
			SLICE_ARG(row->pub.name));
	return error == -ENOENT ? 0 : error;
}

static int history_check(struct account_check *a)
{
	struct index_key key = key_of(id_make(a->id, 0));
	struct index_walk walk = {NULL};
	int error = index_walk_from(a->c->store->index, a->c->txn, TABLE_EXPUNGED, key_slice(&key), &walk);

	while (!error && id_account(key_number(walk.key, 0)) == a->id) {
		struct entry entry;

		if (key_number32(walk.key, 16) && walk.value.len == ENTRY_ROW_BYTES) {
			entry_row_read(walk.value.at, key_number32(walk.key, 16), &entry);
			if (!(entry.flags & ENTRY_MOVED))
				error = number_map_add(&a->kept, entry.email, 1);
		}
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

/* An email that more than one row has must have a share, and shares must count right. */
static void shares_check(struct account_check *a, const struct number_map *rows)
{
	for (size_t i = 0; i < rows->room; i++) {
		uint64_t email = rows->slots[i].key, live = 0, kept = 0, counts = 0;
		struct index_key key = key_of(email);
		int error;

		if (!email)
			continue;
		(void)number_map_get(&a->live, email, &live);
		(void)number_map_get(&a->kept, email, &kept);
		error = index_get_number(a->c->store->index, a->c->txn, TABLE_SHARES, key_slice(&key), &counts);
		if (error ? live + kept != 1 : counts != (kept << 32 | live))
			check_report(a->c, "%s: email %llu is shown %llu times and kept %llu times, not so counted",
				a->name, (unsigned long long)email, (unsigned long long)live, (unsigned long long)kept);
	}
}

static int mailboxes_check(struct account_check *a)
{
	struct index_key key = key_of(id_make(a->id, 0));
	struct index_walk walk = {NULL};
	int error = index_walk_from(a->c->store->index, a->c->txn, TABLE_MAILBOXES, key_slice(&key), &walk);

	while (!error && id_account(key_number(walk.key, 0)) == a->id) {
		struct mailbox_row row = {.history_modseq = 0};

		error = mailbox_row_read(walk.value, &row);
		if (!error)
			error = mailbox_check(a, key_number(walk.key, 0), &row);
		mailbox_row_clear(&row);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

/* A row that does not fit its checksum: what comes with it cannot be counted. */
static int damaged_report(struct account_check *a, int error)
{
	if (error != -EBADMSG)
		return error;
	check_report(a->c, "index: what it says of %s is damaged (--rebuild-index mends it)", a->name);
	return 0;
}

static int account_check(struct checking *c, uint64_t id, const struct account_row *row)
{
	struct buffer name = BUFFER_INIT(1024);
	struct account_check a = {.c = c, .id = id};
	int error;

	check_account_name(c, id, &name);
	a.name = buffer_text(&name);
	error = mailboxes_check(&a);

	if (!error)
		error = history_check(&a);
	if (!error) {
		shares_check(&a, &a.live);
		shares_check(&a, &a.kept);
	}
	if (!error && (a.used_bytes != row->used_bytes || a.used_messages != row->used_messages))
		check_report(c, "%s: %llu bytes are used, the index says %llu", a.name,
			(unsigned long long)a.used_bytes, (unsigned long long)row->used_bytes);
	error = damaged_report(&a, error);
	number_map_free(&a.live);
	number_map_free(&a.kept);
	buffer_free(&name);
	return error;
}

static int row_check(struct checking *c, uint64_t id, int error, struct slice value)
{
	struct account_check damaged = {.c = c, .id = id, .name = "an account"};
	struct account_row row;

	if (!error)
		error = account_row_read(value, &row);
	error = error ? damaged_report(&damaged, error) : account_check(c, id, &row);
	return error ? error : check_search(c, id);
}

int check_account(struct checking *c, uint64_t id)
{
	struct index_key key = key_of(id);
	struct slice value = {NULL, 0};
	int error = index_get(c->store->index, c->txn, TABLE_ACCOUNTS, key_slice(&key), &value);

	return error && error != -EBADMSG ? error : row_check(c, id, error, value);
}

int check_accounts(struct checking *c)
{
	struct index_key first = key_of(1);
	struct index_walk walk = {NULL};
	int error = index_walk_from(c->store->index, c->txn, TABLE_ACCOUNTS, key_slice(&first), &walk);

	while (!error || error == -EBADMSG) {
		error = row_check(c, key_number(walk.key, 0), error, walk.value);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}
