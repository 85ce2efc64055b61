/*
 * The index as a disk may give it back. The input is a script of damages to a small one that is sound: bytes of pages and of nodes, with
 * the checksum of the value put right again or not, pages in the place of others, a shorter file. index_verify() must end; what it
 * takes LMDB must be able to read and to write, and the readers of rows to read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "stage.h"
#include "store/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGE = 4096, FILE_MAX = 1 << 20, ROWS = 60, LONG_BYTES = 9000 };

struct bench {
	char file[96];
	char sound[FILE_MAX], bytes[FILE_MAX];
	size_t len, now_len;
	enum index_table tables[FILE_MAX / PAGE]; /* of each leaf; TABLE_COUNT: none */
};

/* ---- The sound one ---- */

static void put_rows(struct index *index, MDB_txn *txn, unsigned from, struct buffer *row)
{
	const struct account_row account = {.modseq = 9, .next_id = 7};
	const struct email_row email = {.thread = 3, .bytes = 99, .home = 1, .described = SLICE("\1packed")};
	struct entry entry = {.uid = 1, .modseq = 9};
	char bytes[ENTRY_ROW_BYTES];

	entry_row_put(bytes, &entry);
	for (unsigned i = from; i < from + ROWS; i++) {
		struct index_key one = key_of(i), two = key_entry(1, i);

		buffer_reset(row);
		account_row_put(row, &account);
		CHECK(index_put(index, txn, TABLE_ACCOUNTS, key_slice(&one), buffer_slice(row)) == 0);
		buffer_reset(row);
		email_row_put(row, &email);
		CHECK(index_put(index, txn, TABLE_EMAILS, key_slice(&one), buffer_slice(row)) == 0);
		CHECK(index_put(index, txn, TABLE_ENTRIES, key_slice(&two), slice_make(bytes, sizeof(bytes))) == 0);
	}
}

static void sound_fill(struct index *index)
{
	struct buffer row = BUFFER_INIT(65536);
	static char filled[LONG_BYTES];
	MDB_txn *txn;

	for (unsigned turn = 0; turn < 3; turn++) {
		struct index_key key = key_of(turn);

		CHECK(index_begin(index, true, &txn) == 0);
		put_rows(index, txn, turn * ROWS / 2, &row);
		CHECK(index_put(index, txn, TABLE_DICTIONARIES, key_slice(&key), slice_make(filled, LONG_BYTES)) == 0);
		CHECK(index_put_number(index, txn, TABLE_META, INDEX_READY, turn) == 0);
		CHECK(index_commit(txn) == 0);
	}
	buffer_free(&row);
}

static uint64_t number_at(const struct bench *bench, size_t at, unsigned bytes)
{
	uint64_t number = 0;

	for (unsigned i = bytes; i > 0 && at + bytes <= bench->now_len; i--)
		number = number << 8 | (unsigned char)bench->bytes[at + i - 1];
	return number;
}

/* The key and the value of a node that has both in the file. */
static bool node_find(struct bench *bench, size_t page, unsigned nth, struct slice *ret_key, struct slice *ret_value)
{
	size_t node = page * PAGE + number_at(bench, page * PAGE + 16 + 2 * (size_t)nth, 2);
	size_t key_bytes = number_at(bench, node + 6, 2), at = node + 8 + key_bytes, bytes = number_at(bench, node, 4);

	if (number_at(bench, node + 4, 2) & 1)
		at = (size_t)(number_at(bench, at, 8) % (FILE_MAX / PAGE)) * PAGE + 16;
	if (node + 8 + key_bytes > bench->now_len || at > bench->now_len || bytes > bench->now_len - at ||
		bytes < INDEX_CRC_BYTES)
		return false;
	*ret_key = slice_make(bench->bytes + node + 8, key_bytes);
	*ret_value = slice_make(bench->bytes + at, bytes - INDEX_CRC_BYTES);
	return true;
}

static void tables_find(struct bench *bench)
{
	struct slice key, value;

	for (size_t page = 0; page < bench->len / PAGE; page++) {
		unsigned table = 0;

		if (number_at(bench, page * PAGE + 10, 2) != 2 || !node_find(bench, page, 0, &key, &value))
			table = TABLE_COUNT;
		while (table < TABLE_COUNT &&
			index_crc((enum index_table)table, key, value) !=
				number_at(bench, (size_t)(value.at + value.len - bench->bytes), 4))
			table++;
		bench->tables[page] = (enum index_table)table;
	}
}

static struct bench *bench_make(void)
{
	static struct bench bench;
	struct index *index;
	bool fresh;
	int file;

	if (bench.len)
		return &bench;
	CHECK(index_open(&file_system_real, slice_of(stage_folder()), INDEX_NAME, 0, &index, &fresh) == 0);
	sound_fill(index);
	index_close(&index);
	(void)snprintf(bench.file, sizeof(bench.file), "%.60s/" INDEX_NAME "/data.mdb", stage_folder());
	file = open(bench.file, O_RDONLY | O_CLOEXEC);
	CHECK(file >= 0);
	bench.len = (size_t)read(file, bench.sound, FILE_MAX);
	CHECK(bench.len > 0 && bench.len < FILE_MAX && bench.len % PAGE == 0);
	close(file);
	bench.now_len = bench.len;
	memcpy(bench.bytes, bench.sound, bench.len);
	tables_find(&bench);
	return &bench;
}

/* ---- Damage ---- */

static void seal(struct bench *bench, size_t page, unsigned nth)
{
	struct slice key, value;
	uint32_t crc;

	if (bench->tables[page] == TABLE_COUNT || !node_find(bench, page, nth, &key, &value))
		return;
	crc = index_crc(bench->tables[page], key, value);
	for (size_t i = 0; i < INDEX_CRC_BYTES; i++)
		bench->bytes[(size_t)(value.at - bench->bytes) + value.len + i] = (char)(crc >> (8 * i));
}

static void overwrite(struct bench *bench, size_t at, struct slice with)
{
	if (with.len && at < bench->now_len)
		memcpy(bench->bytes + at, with.at, MIN(with.len, bench->now_len - at));
}

static void damage(struct bench *bench, struct reader *script)
{
	unsigned what = reader_u8(script) % 5;
	size_t page = reader_u8(script) % (bench->len / PAGE);
	unsigned at = reader_le16(script), nth = at >> 8;
	struct slice with = reader_sized(script);
	size_t node = page * PAGE + number_at(bench, page * PAGE + 16 + 2 * (size_t)nth, 2);

	switch (what) {
	case 0: /* bytes of a page */
		overwrite(bench, page * PAGE + at % PAGE, with);
		break;
	case 1: /* bytes of a node, and its checksum */
		overwrite(bench, node + (at & 0xff), with);
		seal(bench, page, nth);
		break;
	case 2: /* bytes of a node */
		overwrite(bench, node + (at & 0xff), with);
		break;
	case 3: /* another page, with this one's number */
		overwrite(bench, page * PAGE + 8,
			slice_make(bench->sound + at % (bench->len / PAGE) * PAGE + 8, PAGE - 8));
		break;
	default:
		bench->now_len = MIN(bench->now_len, page * PAGE + at % PAGE);
	}
}

/* ---- Use ---- */

static void row_read(enum index_table table, struct slice value)
{
	struct account_row account;
	struct mailbox_row mailbox = {.dirty = false};
	struct email_row email;
	struct name_set names = {0};
	struct entry entry;

	if (table == TABLE_ACCOUNTS)
		(void)!account_row_read(value, &account);
	if (table == TABLE_MAILBOXES && mailbox_row_read(value, &mailbox) == 0)
		mailbox_row_clear(&mailbox);
	if (table == TABLE_EMAILS && email_row_read(value, &email) == 0)
		(void)email_row_home_bytes(&email);
	if (table == TABLE_SUBSCRIPTIONS && name_set_decode(value, &names) == 0)
		name_set_free(&names);
	if (table == TABLE_ENTRIES && value.len == ENTRY_ROW_BYTES)
		entry_row_read(value.at, 1, &entry);
}

/* All rows are read; every other one goes, and new ones come. */
static void use(struct index *index)
{
	MDB_txn *txn;

	if (index_begin(index, true, &txn))
		return;
	for (unsigned table = 0; table < TABLE_COUNT; table++) {
		struct index_walk walk = {.cursor = NULL};
		struct index_key key = key_pair(0, table);
		int error = index_walk_from(index, txn, (enum index_table)table, SLICE(""), &walk);

		for (unsigned i = 0; !error; i++) {
			row_read((enum index_table)table, walk.value);
			error = i % 2 ? index_walk_delete(&walk) : index_walk_next(&walk);
		}
		CHECK(error == -ENOENT);
		index_walk_end(&walk);
		CHECK(index_put(index, txn, (enum index_table)table, key_slice(&key), SLICE("new")) == 0);
	}
	mdb_txn_abort(txn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench *bench = bench_make();
	struct reader script = READER_INIT(slice_make(data, size));
	struct buffer detail = BUFFER_INIT(4096);
	struct index *index;
	bool fresh;
	int file, error;

	memcpy(bench->bytes, bench->sound, bench->len);
	bench->now_len = bench->len;
	while (!script.error && script.rest.len)
		damage(bench, &script);
	file = open(bench->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(file >= 0 && write(file, bench->bytes, bench->now_len) == (ssize_t)bench->now_len);
	close(file);
	error = index_verify(slice_of(stage_folder()), INDEX_NAME, &detail);
	CHECK(error == 0 || (error == -EBADMSG && detail.len > 0));
	if (!error && index_open(&file_system_real, slice_of(stage_folder()), INDEX_NAME, 0, &index, &fresh) == 0) {
		use(index);
		index_close(&index);
	}
	buffer_free(&detail);
	return 0;
}
