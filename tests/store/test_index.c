#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/index.h"

enum { ACCOUNTS = 7, ROWS = 300, BATCH = 11 };

struct fixture {
	char dir[64];
	struct index *index;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	bool fresh;

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/penfold-index-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(index_open(&file_system_real, slice_of(f->dir), INDEX_NAME, 0, &f->index, &fresh), 0);
	assert_true(fresh);
	*state = f;
	return 0;
}

static int clean(void **state)
{
	struct fixture *f = *state;
	char path[80];

	index_close(&f->index);
	assert_int_equal(index_remove(&file_system_real, slice_of(f->dir), INDEX_NAME), 0); /* but not its folder */
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, INDEX_NAME);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void fill(char *value, size_t bytes, unsigned account, unsigned row)
{
	for (size_t i = 0; i < bytes; i++)
		value[i] = (char)(account * 31 + row * 7 + i);
}

/* Every account's rows in the order of their keys, a few at a time, as mail arrives. */
static void put_all(struct fixture *f, size_t bytes)
{
	char value[4096];
	MDB_txn *txn;

	for (unsigned first = 1; first <= ROWS; first += BATCH) {
		assert_int_equal(index_begin(f->index, true, &txn), 0);
		for (unsigned account = 1; account <= ACCOUNTS; account++) {
			for (unsigned row = first; row < first + BATCH && row <= ROWS; row++) {
				struct index_key key = key_of((uint64_t)account << 32 | row);

				fill(value, bytes, account, row);
				assert_int_equal(index_put_next(f->index, txn, TABLE_EMAILS, key_slice(&key),
							 (struct slice){value, bytes}),
					0);
			}
		}
		assert_int_equal(index_commit(txn), 0);
	}
}

static size_t pages_of_all(struct fixture *f, size_t bytes)
{
	struct index_walk walk = {NULL};
	char value[4096];
	unsigned count = 0;
	MDB_stat stat;
	MDB_txn *txn;
	int error;

	assert_int_equal(index_begin(f->index, false, &txn), 0);
	assert_int_equal(mdb_stat(txn, f->index->tables[TABLE_EMAILS], &stat), 0);
	error = index_walk_from(f->index, txn, TABLE_EMAILS, SLICE(""), &walk);
	for (; !error; error = index_walk_next(&walk), count++) {
		unsigned account = count / ROWS + 1, row = count % ROWS + 1;

		assert_int_equal(walk.key.len, 8);
		assert_int_equal(key_number(walk.key, 0), (uint64_t)account << 32 | row);
		fill(value, bytes, account, row);
		assert_true(slice_equal(walk.value, (struct slice){value, bytes}));
	}
	assert_int_equal(error, -ENOENT);
	assert_int_equal(count, ACCOUNTS * ROWS);
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	return stat.ms_leaf_pages;
}

/* Three fit into a page of 4 KiB. LMDB alone leaves two. */
static void pages_of_a_sequence_stay_full(void **state)
{
	put_all(*state, 1200);
	assert_in_range(pages_of_all(*state, 1200), ACCOUNTS * ROWS / 3, ACCOUNTS * ROWS / 3 * 11 / 10);
}

static void so_do_those_of_two_rows(void **state)
{
	put_all(*state, 1700);
	assert_in_range(pages_of_all(*state, 1700), ACCOUNTS * ROWS / 2, ACCOUNTS * ROWS / 2 * 11 / 10);
}

/* Twelve fit; all but the last stay, without help. */
static void small_rows_are_as_dense_as_before(void **state)
{
	put_all(*state, 300);
	assert_in_range(pages_of_all(*state, 300), ACCOUNTS * ROWS / 12, ACCOUNTS * ROWS / 12 * 13 / 10);
}

static void large_rows_have_pages_of_their_own(void **state)
{
	put_all(*state, 3000);
	assert_in_range(pages_of_all(*state, 3000), 1, ACCOUNTS * ROWS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_of_a_sequence_stay_full, make, clean),
		cmocka_unit_test_setup_teardown(so_do_those_of_two_rows, make, clean),
		cmocka_unit_test_setup_teardown(small_rows_are_as_dense_as_before, make, clean),
		cmocka_unit_test_setup_teardown(large_rows_have_pages_of_their_own, make, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
