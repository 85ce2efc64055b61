/*
 * Bit rot: one flipped bit at every kind of place of a segment; of the index: test_rot_index.c. It is found and named, nothing but the
 * message it hit is lost (nothing at all, mostly), and without an index everything comes back from the journal all the same.
 */
#include <unistd.h>

#include "rot.h"
#include "store/disk/layout.h"
#include "store/engine.h"
#include "store/record.h"

enum { SEGMENTS_MAX = 32, PLACES_MAX = 4000, KINDS = 64 };

/* ---- Places in the journal ---- */

struct place {
	char file[40];
	uint64_t at;
	const char *what;
	bool silent; /* nothing is there that could be damaged */
};
struct places {
	struct place at[PLACES_MAX];
	size_t count;
	unsigned seen[KINDS]; /* by record kind, or 16 + kind of its first operation: how many were taken */
	uint64_t frames_seen;
};

static void place_add(struct places *places, const char *file, uint64_t at, const char *what)
{
	struct place *place = &places->at[places->count++];

	assert_true(places->count < PLACES_MAX);
	*place = (struct place){.at = at, .what = what};
	(void)snprintf(place->file, sizeof(place->file), "%s", file);
}

static void header_places(struct places *places, const char *file, bool sealed)
{
	static const struct {
		unsigned at;
		const char *what;
	} fields[] = {{0, "segment header: CRC"}, {4, "segment header: version"}, {8, "segment header: magic"},
		{16, "segment header: id"}, {24, "segment header: seed"}, {32, "segment header: first number"},
		{40, "segment header: durable then"}, {100, "segment header: zeros"}};

	for (unsigned copy = 0; copy < 2; copy++) {
		for (size_t i = 0; i < ARRAY_LEN(fields); i++)
			place_add(places, file, copy * SEGMENT_COPY_AT + fields[i].at, fields[i].what);
		for (unsigned at = 0; sealed && at < 24; at += 5)
			place_add(places, file, copy * SEGMENT_COPY_AT + SEGMENT_SEAL_AT + at, "seal");
	}
	place_add(places, file, 4000, "segment header: space behind it");
}

/* Which kind of record it is, of those that differ in how they are read. */
static unsigned kind_of(const struct record_header *header, struct slice payload, uint32_t *ret_bodies_at)
{
	struct slice change;
	struct change_head head;
	struct reader r;
	struct op op;

	*ret_bodies_at = 0;
	if (header->kind != RECORD_CHANGE)
		return header->kind;
	assert_int_equal(change_split(payload, &change, ret_bodies_at), 0);
	r = READER_INIT(change);
	change_head_read(&r, &head);
	assert_true(op_next(&r, &op));
	return 16 + op.kind;
}

static void record_places(
	struct places *places, const char *file, uint64_t at, const struct record_header *header, struct slice payload)
{
	static const char *const fields[] = {"record header: CRC", "record header: CRC of the payload",
		"record header: length", "record header: kind", "record header: sequence", "record header: sequence",
		"record header: account", "record header: account", "record header: durable then",
		"record header: durable then"};
	uint64_t body = at + RECORD_HEADER_BYTES, end = body + header->bytes;
	uint32_t bodies_at;
	unsigned kind = kind_of(header, payload, &bodies_at);
	bool dictionary = bodies_at && bodies_at + 5 < header->bytes && payload.at[bodies_at + 1];

	/* One of each kind; and one whose body needs the dictionary. */
	if (places->seen[kind] >= 1 && !(dictionary && places->frames_seen++ == 0))
		return;
	places->seen[kind]++;
	for (unsigned i = 0; i < 10; i++)
		place_add(places, file, at + 4 * i, fields[i]);
	place_add(places, file, at + 13, "record header: kind");
	place_add(places, file, at + 14, "record header: tag");
	place_add(places, file, body, "payload: its beginning");
	place_add(places, file, body + header->bytes / 3, "payload");
	place_add(places, file, end - 1, "payload: its end");
	if (bodies_at && bodies_at + 14 < header->bytes) {
		place_add(places, file, body + bodies_at, "body: codec");
		place_add(places, file, body + bodies_at + 1, "body: dictionary");
		place_add(places, file, body + bodies_at + 5, "body: bytes");
		place_add(places, file, body + bodies_at + 9, "body: CRC");
		place_add(places, file, body + bodies_at + 13, "body: compressed bytes");
	}
	if (end % RECORD_ALIGN)
		place_add(places, file, end, "padding");
}

static void segment_places(struct rot *r, struct places *places, const char *file, uint64_t id)
{
	struct buffer bytes = BUFFER_INIT(1 << 24);
	struct segment_header segment;
	struct segment_seal seal;
	struct record_header header;
	bool sealed;
	uint64_t at = SEGMENT_HEADER_BYTES;

	rot_bytes(r, file, &bytes);
	if (segment_header_get(bytes.at, id, &segment, &sealed, &seal) != SEGMENT_IN_USE)
		goto out;
	header_places(places, file, sealed);
	while (at + RECORD_HEADER_BYTES <= bytes.len && record_header_get(bytes.at + at, segment.seed, &header)) {
		record_places(
			places, file, at, &header, (struct slice){bytes.at + at + RECORD_HEADER_BYTES, header.bytes});
		at += record_room(header.bytes);
	}
	if (at + 100 < bytes.len) {
		place_add(places, file, at + 96, "tail");
		places->at[places->count - 1].silent = true;
	}
out:
	buffer_free(&bytes);
}

static void journal_places(struct rot *r, struct places *places)
{
	uint64_t id;

	for (id = 1; id < 64; id++) {
		char file[40], path[160];

		(void)snprintf(file, sizeof(file), "journal/%016llx.seg", (unsigned long long)id);
		(void)snprintf(path, sizeof(path), "%s/%s", r->origin, file);
		if (access(path, F_OK) == 0)
			segment_places(r, places, file, id);
	}
}

static struct rot world;
static struct places *places;

static int group_make(void **state)
{
	(void)state;
	rot_make(&world);
	places = calloc(1, sizeof(*places));
	assert_non_null(places);
	journal_places(&world, places);
	return 0;
}

static int group_free(void **state)
{
	(void)state;
	rot_free(&world);
	free(places);
	return 0;
}

static void every_kind_of_record_is_there(void **state)
{
	static const unsigned wanted[] = {RECORD_FRAME, RECORD_DICTIONARY, RECORD_SNAPSHOT_BEGIN, RECORD_SNAPSHOT_PART,
		RECORD_SNAPSHOT_END, 16 + OP_ACCOUNT_SET, 16 + OP_MAILBOX_CREATE, 16 + OP_MAILBOX_RENAME,
		16 + OP_MAILBOX_DELETE, 16 + OP_SUBSCRIBE, 16 + OP_APPEND, 16 + OP_FLAGS, 16 + OP_EXPUNGE, 16 + OP_COPY,
		16 + OP_PURGE, 16 + OP_RELOCATE, 16 + OP_DOMAIN, 16 + OP_ALIAS};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		if (!places->seen[wanted[i]])
			fail_msg("no record of kind %u", wanted[i]);
	}
	assert_true(places->frames_seen > 0);
	print_message("# %zu places in the journal\n", places->count);
}

static void assert_named(const struct place *place)
{
	char segment[64], offset[64];
	bool exact = strncmp(place->what, "record header", 13) != 0;

	(void)snprintf(segment, sizeof(segment), "segment %.16s", place->file + 8);
	(void)snprintf(offset, sizeof(offset), "offset %llu", (unsigned long long)place->at);
	if (!rot_said(&world, segment) || (exact && !rot_said(&world, offset)))
		fail_msg("%s at %llu of %s: not named: %s", place->what, (unsigned long long)place->at, place->file,
			buffer_text(&world.lines));
}

static void a_bit_of_the_journal_is_found_and_named_and_put_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < places->count; i++) {
		const struct place *place = &places->at[i];

		rot_restore(&world, place->file);
		rot_flip(&world, place->file, place->at, i % 8);
		assert_int_equal(rot_check(&world, false, false), place->silent ? 0 : -EBADMSG);
		if (!place->silent)
			assert_named(place);
		if (i % 4 == 0 && rot_check(&world, false, false))
			fail_msg("%s: not put right: %s", place->what, buffer_text(&world.lines));
		if (i % 4 == 1)
			rot_assert_same(&world, place->what);
	}
}

static void a_bit_of_the_journal_costs_nothing_when_it_starts(void **state)
{
	(void)state;
	for (size_t i = 0; i < places->count; i++) {
		const struct place *place = &places->at[i];

		if (i % 3 == 2)
			continue;
		rot_restore(&world, place->file);
		rot_flip(&world, place->file, place->at, (i + 3) % 8);
		/* Without the index, every record counts. */
		if (i % 3)
			world_forget_index(&world.w);
		rot_assert_same(&world, place->what);
	}
}

/* ---- More than a bit ---- */

/* The first record with an operation of this kind in the last segment that has one. */
static const struct place *place_of(const char *what, const char *file)
{
	for (size_t i = places->count; i > 0; i--) {
		if (strcmp(places->at[i - 1].what, what) == 0 && (!file || strcmp(places->at[i - 1].file, file) == 0))
			return &places->at[i - 1];
	}
	fail_msg("no %s", what);
	return NULL;
}

static void a_body_beyond_mending_costs_its_message(void **state)
{
	const struct place *place = place_of("body: compressed bytes", NULL);

	(void)state;
	rot_restore(&world, place->file);
	rot_flip(&world, place->file, place->at, 1);
	rot_flip(&world, place->file, place->at + 1, 1);
	assert_int_equal(rot_check(&world, false, false), -EBADMSG);
	if (!rot_said(&world, "beyond a single bit") || !rot_said(&world, "@example.org, mailbox INBOX, UID ") ||
		!rot_said(&world, "the message cannot be read"))
		fail_msg("%s", buffer_text(&world.lines));
	assert_int_equal(rot_missing(&world), 1);
	/* The index knows more than such a journal: it is not thrown away for it. */
	assert_int_equal(rot_check(&world, true, false), -EBADMSG);
	assert_true(rot_said(&world, "--salvage"));
	assert_int_equal(rot_missing(&world), 1);
	/* With salvage the rest is served, though nothing else tells of that message. */
	assert_int_equal(rot_check(&world, true, true), -EBADMSG);
	assert_int_equal(rot_missing(&world), 1);
	rot_restore(&world, place->file);
}

static const char index_file[] = "index/data.mdb";

/* ---- While it serves ---- */

static int check_online(bool rebuild, uint64_t account)
{
	const struct store_check check = {.rebuild_index = rebuild};
	const struct timespec pause = {0, 5000000};
	bool over = false;
	int error = 0;

	buffer_reset(&world.lines);
	assert_int_equal(store_check_start(world.w.store, &check, &account, account ? 1 : 0), 0);
	while (!over) {
		error = store_check_poll(world.w.store, &world.lines, &over);
		nanosleep(&pause, NULL);
	}
	return error;
}

/* Writes a row with a checksum that is right or not; the value is another one in any case. */
static void row_spoil(uint64_t mailbox, uint32_t uid, bool rot)
{
	struct index *index = world.w.store->index;
	struct index_key key = key_entry(mailbox, uid);
	char bytes[ENTRY_ROW_BYTES];
	struct slice value;
	MDB_txn *txn;

	assert_int_equal(index_begin(index, true, &txn), 0);
	assert_int_equal(index_get(index, txn, TABLE_ENTRIES, key_slice(&key), &value), 0);
	assert_int_equal(value.len, sizeof(bytes));
	memcpy(bytes, value.at, sizeof(bytes));
	bytes[5] ^= 1;
	if (rot) {
		MDB_val k = {key.len, key.bytes}, v = {sizeof(bytes), bytes};

		assert_int_equal(mdb_put(txn, index->tables[TABLE_ENTRIES], &k, &v, 0), 0);
	} else {
		assert_int_equal(
			index_put(index, txn, TABLE_ENTRIES, key_slice(&key), (struct slice){bytes, sizeof(bytes)}), 0);
	}
	assert_int_equal(index_commit(txn), 0);
}

static uint64_t inbox_of(unsigned who)
{
	struct account *account;
	uint64_t id;

	world.w.shard = store_shard(world.w.store, store_shard_of(world.w.store, world.accounts[who]));
	assert_int_equal(account_open(world.w.shard, world.accounts[who], &account), 0);
	id = mailbox_inbox(account)->id;
	account_release(&account);
	return id;
}

static void damaged_rows_are_made_anew_while_it_serves(void **state)
{
	(void)state;
	rot_restore(&world, index_file);
	assert_int_equal(store_open(&world.w.settings, &world.w.store), 0);
	assert_int_equal(check_online(false, 0), 0);
	row_spoil(inbox_of(0), 7, true);
	assert_int_equal(check_online(false, world.accounts[1]), 0);
	assert_int_equal(check_online(false, world.accounts[0]), -EBADMSG);
	assert_true(rot_said(&world, "index: what it says of ann@example.org is damaged"));
	assert_int_equal(check_online(true, world.accounts[0]), -EBADMSG);
	assert_true(rot_said(&world, "of ann@example.org was damaged; it has been made anew"));
	assert_int_equal(check_online(false, 0), 0);
	assert_int_equal(check_online(true, 0), 0);
	store_close(&world.w.store);
	rot_assert_same(&world, "made anew while serving");
}

/* The journal is right; who had the other state in memory is told to go, and comes back to the right one. */
static void rows_that_say_something_else_are_made_anew_too(void **state)
{
	struct account *account, *second;
	struct account_listener listener = {.changed = NULL};

	(void)state;
	rot_restore(&world, index_file);
	assert_int_equal(store_open(&world.w.settings, &world.w.store), 0);
	row_spoil(inbox_of(0), 7, false);
	assert_int_equal(account_open(world.w.shard, world.accounts[0], &account), 0);
	account_listen(account, &listener);
	assert_int_equal(check_online(true, 0), -EBADMSG);
	assert_true(rot_said(&world, "of ann@example.org was not what the journal says; it has been made anew"));
	assert_false(rot_said(&world, "bob@example.org"));
	shard_tick(world.w.shard);
	assert_int_equal(account_open(world.w.shard, world.accounts[0], &second), -EBUSY);
	account_release(&account);
	shard_tick(world.w.shard);
	assert_int_equal(account_open(world.w.shard, world.accounts[0], &second), 0);
	account_release(&second);
	store_close(&world.w.store);
	rot_assert_same(&world, "made anew while serving");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_record_is_there),
		cmocka_unit_test(a_bit_of_the_journal_is_found_and_named_and_put_right),
		cmocka_unit_test(a_bit_of_the_journal_costs_nothing_when_it_starts),
		cmocka_unit_test(a_body_beyond_mending_costs_its_message),
		cmocka_unit_test(damaged_rows_are_made_anew_while_it_serves),
		cmocka_unit_test(rows_that_say_something_else_are_made_anew_too),
	};

	return cmocka_run_group_tests(tests, group_make, group_free);
}
