#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3/maildrop.h"

static void fill(struct pop3_maildrop *drop, const uint32_t *uids, uint32_t count)
{
	assert_int_equal(maildrop_init(drop, count), 0);
	for (uint32_t i = 0; i < count; i++)
		assert_true(maildrop_add(drop, uids[i], 0xe000 + i, 100 + i));
	assert_false(maildrop_add(drop, UINT32_MAX, 1, 1));
}

static void test_marking_changes_the_totals(void **state UNUSED)
{
	struct pop3_maildrop drop;

	fill(&drop, (const uint32_t[]){3, 4, 9}, 3);
	assert_int_equal(drop.live, 3);
	assert_int_equal(drop.live_bytes, 303);
	maildrop_mark(&drop, 2);
	maildrop_mark(&drop, 2);
	maildrop_mark(&drop, 0);
	maildrop_mark(&drop, 4);
	assert_int_equal(drop.live, 2);
	assert_int_equal(drop.live_bytes, 202);
	assert_false(maildrop_has(&drop, 2));
	assert_true(maildrop_is_marked(&drop, 2));
	assert_int_equal(maildrop_bytes(&drop, 2), 101);
	assert_int_equal(maildrop_next(&drop, 0), 1);
	assert_int_equal(maildrop_next(&drop, 1), 3);
	assert_int_equal(maildrop_next(&drop, 3), 0);
	maildrop_unmark_all(&drop);
	assert_int_equal(drop.live, 3);
	assert_int_equal(drop.live_bytes, 303);
	assert_true(maildrop_has(&drop, 2));
	maildrop_free(&drop);
}

static void test_an_empty_maildrop(void **state UNUSED)
{
	struct pop3_maildrop drop;
	struct uid_list list = UID_LIST_INIT(10);

	fill(&drop, NULL, 0);
	assert_false(maildrop_has(&drop, 0));
	assert_false(maildrop_has(&drop, 1));
	assert_false(maildrop_is_marked(&drop, 1));
	assert_int_equal(maildrop_next(&drop, 0), 0);
	maildrop_marked(&drop, &list);
	assert_int_equal(list.count, 0);
	uid_list_free(&list);
	maildrop_free(&drop);
}

static void test_marked_uids_become_ranges(void **state UNUSED)
{
	struct pop3_maildrop drop;
	struct uid_list list = UID_LIST_INIT(10);

	fill(&drop, (const uint32_t[]){1, 2, 3, 5, 6, 9}, 6);
	for (uint32_t number = 1; number <= 6; number++)
		if (number != 2)
			maildrop_mark(&drop, number);
	maildrop_marked(&drop, &list);
	assert_int_equal(list.error, 0);
	assert_int_equal(list.count, 4);
	assert_int_equal(list.ranges[0].first, 1);
	assert_int_equal(list.ranges[0].last, 1);
	assert_int_equal(list.ranges[1].first, 3);
	assert_int_equal(list.ranges[1].last, 3);
	/* 4 is not in the maildrop: it is not ours to remove. */
	assert_int_equal(list.ranges[2].first, 5);
	assert_int_equal(list.ranges[2].last, 6);
	assert_int_equal(list.ranges[3].first, 9);
	uid_list_free(&list);
	maildrop_free(&drop);
}

static void test_unique_ids(void **state UNUSED)
{
	struct pop3_maildrop drop;
	struct buffer out = BUFFER_INIT(100);

	assert_int_equal(maildrop_init(&drop, 2), 0);
	assert_true(maildrop_add(&drop, UINT32_MAX, UINT64_MAX, 1));
	assert_true(maildrop_add(&drop, 26, 1, 1));
	maildrop_put_uidl(&drop, 1, &out);
	assert_string_equal(buffer_text(&out), "ffffffffffffffff.ffffffff");
	buffer_reset(&out);
	maildrop_put_uidl(&drop, 2, &out);
	assert_string_equal(buffer_text(&out), "0000000000000001.1a");
	buffer_free(&out);
	maildrop_free(&drop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marking_changes_the_totals),
		cmocka_unit_test(test_an_empty_maildrop),
		cmocka_unit_test(test_marked_uids_become_ranges),
		cmocka_unit_test(test_unique_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
