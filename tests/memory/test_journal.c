/*
 * Each allocation fails in turn while records of the journal are folded, into the index and into the memory of an account. An error says so, and the
 * next attempt comes to the same as if nothing had been; what is folded without an error is whole. The records are the fuzzer's seeds, one of each kind.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "failing.h"
#include "stage.h"
#include "store/fold.h"
#include "store/resident.h"

enum { RECORD_MAX = 65536 };

static const char *seeds_dir;

struct folded {
	struct stage *stage;
	const char *name; /* of the seed */
	char bytes[RECORD_MAX];
	struct slice change;
	uint64_t state; /* what it comes to */
	int error;
	unsigned failed;
};

/* ---- The index ---- */

static uint64_t state_of_index(struct index *index, MDB_txn *txn)
{
	uint64_t state = 0;

	for (int i = 0; i < TABLE_COUNT; i++) {
		MDB_val key, value;
		MDB_cursor *cursor;

		assert_int_equal(mdb_cursor_open(txn, index->tables[i], &cursor), 0);
		while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
			state = state * 31 + hash64(slice_make(key.mv_data, key.mv_size), 1);
			state = state * 31 + hash64(slice_make(value.mv_data, value.mv_size), 2);
		}
		mdb_cursor_close(cursor);
		state = state * 31 + 1;
	}
	return state;
}

void *__real_calloc(size_t count, size_t bytes);

static int fold_into_index(const struct folded *f, uint64_t *ret_state)
{
	const struct folding record = {
		.account = f->stage->account, .seq = 1000, .place = {1, 1, 1000}, .change = f->change};
	struct index_rows *rows = f->stage->rows;
	MDB_txn *txn;
	int error;

	assert_int_equal(index_begin(f->stage->store->index, true, &txn), 0);
	index_rows_start(rows, txn);
	error = index_rows_fold(rows, &record);
	if (!error)
		error = index_rows_finish(rows);
	index_walk_end(&rows->entries);
	*ret_state = error ? 0 : state_of_index(f->stage->store->index, txn);
	mdb_txn_abort(txn);
	return error;
}

static void into_index(void *context)
{
	struct folded *f = context;
	uint64_t state;
	int error = fold_into_index(f, &state);

	if (!failing_happened()) {
		f->error = error;
		f->state = state;
		return;
	}
	if (error != f->error) {
		assert_int_equal(error, -ENOMEM);
		f->failed++;
		/* As the applier does. */
		assert_int_equal(fold_into_index(f, &state), f->error);
	}
	if (state != f->state)
		fail_msg("%s: another state", f->name);
}

/* ---- Memory ---- */

static uint64_t state_of_mailbox(struct mailbox *m)
{
	uint64_t state = hash64(m->name, 3) + m->messages * 3 + m->uidnext * 5 + m->highestmodseq * 7 + m->unseen * 9;
	struct entry entry = {.uid = 0};
	int error = 0;

	for (unsigned i = 0; i < m->keyword_count; i++)
		state = state * 31 + hash64(m->keywords[i], 4);
	while (mailbox_entry_from(m, entry.uid + 1, &entry, &error))
		state = state * 31 + entry.uid + entry.flags * 3u + entry.keywords * 5 + entry.modseq * 7 +
			entry.email * 11;
	return error ? 0 : state * 31 + m->bytes;
}

static uint64_t state_of_account(struct account *account)
{
	uint64_t state = account->row.modseq * 31 + account->row.used_bytes * 7 + account->row.used_messages;

	for (struct mailbox *m = mailbox_next(account, NULL); m; m = mailbox_next(account, m))
		state = state * 31 + state_of_mailbox(m);
	for (size_t i = 0; i < account->subscriptions.count; i++)
		state = state * 31 + hash64(account->subscriptions.names[i], 5);
	return state;
}

static struct pending *pending_of(const struct folded *f)
{
	struct pending *pending = __real_calloc(1, sizeof(*pending) + f->change.len);

	assert_non_null(pending);
	pending->record.account = f->stage->account;
	pending->change_bytes = (uint32_t)f->change.len;
	memcpy(pending->change, f->change.at, f->change.len);
	return pending;
}

/* An account as it comes from the index, and the record on top. */
static int fold_into_memory(const struct folded *f, struct pending *pending, uint64_t *ret_state)
{
	struct account *account;
	int error = resident_load(store_shard(f->stage->store, 0), f->stage->account, &account);

	if (error) {
		free(pending);
		return error;
	}
	error = resident_entries(resident_of(mailbox_inbox(account)));
	if (!error)
		error = resident_fold(account, pending, NULL);
	(void)failing_stop();
	account_gone_sweep(account);
	*ret_state = error ? 0 : state_of_account(account);
	account->pending_first = account->pending_last = pending;
	account_pending_applied(account, pending);
	resident_free(&account);
	return error;
}

static void into_memory(void *context)
{
	struct folded *f = context;
	struct pending *pending = pending_of(f);
	uint64_t state = 0;
	int error;

	shard_snapshot_end(store_shard(f->stage->store, 0));
	error = fold_into_memory(f, pending, &state);
	if (!failing_happened()) {
		f->error = error;
		f->state = state;
	} else if (error != f->error) {
		assert_int_equal(error, -ENOMEM);
		f->failed++;
	} else if (state != f->state) {
		fail_msg("%s: another state", f->name);
	}
}

/* ---- The records ---- */

static bool read_record(struct folded *f)
{
	char path[512];
	uint32_t bodies_at;
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", seeds_dir, f->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	got = read(fd, f->bytes, sizeof(f->bytes));
	assert_true(got > 0 && (size_t)got < sizeof(f->bytes));
	(void)close(fd);
	return change_split(slice_make(f->bytes, (size_t)got), &f->change, &bodies_at) == 0;
}

static void each_record(void (*fold)(void *context))
{
	static struct folded f;
	DIR *dir = opendir(seeds_dir);
	unsigned records = 0, sound = 0, failed = 0;
	size_t allocations = 0;

	assert_non_null(dir);
	for (struct dirent *seed; (seed = readdir(dir));) {
		f = (struct folded){.stage = stage_make(), .name = seed->d_name};
		if (seed->d_name[0] == '.' || !read_record(&f))
			continue;
		records++;
		allocations += failing_each(fold, &f);
		sound += f.error == 0;
		failed += f.failed;
	}
	(void)closedir(dir);
	print_message("# %u records, %u sound, %zu allocations, %u told\n", records, sound, allocations, failed);
	assert_true(records >= 10 && sound >= 8 && failed > records);
}

static void records_into_the_index(void **state UNUSED)
{
	each_record(into_index);
}

static void records_into_memory(void **state UNUSED)
{
	each_record(into_memory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_into_the_index),
		cmocka_unit_test(records_into_memory),
	};

	CHECK(argc == 2);
	seeds_dir = argv[1];
	return cmocka_run_group_tests_name("memory: the journal", tests, NULL, NULL);
}
