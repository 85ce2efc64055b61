#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3/maildrop.h"

/* Message n has UID uids[n - 1]. */
struct source {
	const uint32_t *uids;
	int error;
};

static int find(void *context, uint32_t number, struct pop3_message *ret_message)
{
	const struct source *source = context;

	if (source->error)
		return source->error;
	*ret_message = (struct pop3_message){source->uids[number - 1], 0xe000 + number - 1, 99 + number};
	return 0;
}

static void fill(struct pop3_maildrop *drop, struct source *source, uint32_t count)
{
	uint64_t bytes = 0;

	for (uint32_t number = 1; number <= count; number++)
		bytes += 99 + number;
	maildrop_init(drop, count, bytes, find, source);
}

static void test_marking_changes_the_totals(void **state UNUSED)
{
	struct source source = {.uids = (const uint32_t[]){3, 4, 9}};
	struct pop3_maildrop drop;

	fill(&drop, &source, 3);
	assert_int_equal(drop.live, 3);
	assert_int_equal(drop.live_bytes, 303);
	assert_int_equal(maildrop_mark(&drop, 2), 0);
	assert_int_equal(maildrop_mark(&drop, 2), 0);
	assert_int_equal(maildrop_mark(&drop, 0), -ENOENT);
	assert_int_equal(maildrop_mark(&drop, 4), -ENOENT);
	assert_int_equal(drop.live, 2);
	assert_int_equal(drop.live_bytes, 202);
	assert_false(maildrop_has(&drop, 2));
	assert_true(maildrop_is_marked(&drop, 2));
	assert_false(maildrop_is_marked(&drop, 3));
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
	struct pop3_message message;
	struct uid_list list = UID_LIST_INIT(10);

	fill(&drop, NULL, 0);
	assert_false(maildrop_has(&drop, 0));
	assert_false(maildrop_has(&drop, 1));
	assert_false(maildrop_is_marked(&drop, 1));
	assert_int_equal(maildrop_message(&drop, 0, &message), -ENOENT);
	assert_int_equal(maildrop_message(&drop, 1, &message), -ENOENT);
	assert_int_equal(maildrop_next(&drop, 0), 0);
	assert_int_equal(maildrop_marked(&drop, &list), 0);
	assert_int_equal(list.count, 0);
	uid_list_free(&list);
	maildrop_free(&drop);
}

static void test_marked_uids_become_ranges(void **state UNUSED)
{
	struct source source = {.uids = (const uint32_t[]){1, 2, 3, 5, 6, 9, 10, 11, 12}};
	struct pop3_maildrop drop;
	struct uid_list list = UID_LIST_INIT(10);

	fill(&drop, &source, 9);
	for (uint32_t number = 1; number <= 9; number++)
		if (number != 2 && number != 7 && number != 8)
			assert_int_equal(maildrop_mark(&drop, number), 0);
	assert_int_equal(maildrop_marked(&drop, &list), 0);
	assert_int_equal(list.count, 5);
	assert_int_equal(list.ranges[0].first, 1);
	assert_int_equal(list.ranges[0].last, 1);
	assert_int_equal(list.ranges[1].first, 3);
	assert_int_equal(list.ranges[1].last, 3);
	/* 4 is not in the maildrop: it is not ours to remove. */
	assert_int_equal(list.ranges[2].first, 5);
	assert_int_equal(list.ranges[2].last, 6);
	assert_int_equal(list.ranges[3].first, 9);
	assert_int_equal(list.ranges[3].last, 9);
	assert_int_equal(list.ranges[4].first, 12);
	uid_list_free(&list);
	maildrop_free(&drop);
}

static void test_what_cannot_be_looked_up_is_not_marked(void **state UNUSED)
{
	struct source source = {.uids = (const uint32_t[]){3, 4, 9}};
	struct pop3_maildrop drop;
	struct uid_list list = UID_LIST_INIT(10);

	fill(&drop, &source, 3);
	assert_int_equal(maildrop_mark(&drop, 1), 0);
	source.error = -EIO;
	assert_int_equal(maildrop_mark(&drop, 2), -EIO);
	assert_int_equal(drop.live, 2);
	assert_int_equal(drop.live_bytes, 203);
	assert_true(maildrop_has(&drop, 2));
	assert_int_equal(maildrop_marked(&drop, &list), -EIO);
	uid_list_free(&list);
	maildrop_free(&drop);
}

static void test_unique_ids(void **state UNUSED)
{
	struct buffer out = BUFFER_INIT(100);

	maildrop_put_uidl(&(struct pop3_message){UINT32_MAX, UINT64_MAX, 1}, &out);
	assert_string_equal(buffer_text(&out), "ffffffffffffffff.ffffffff");
	buffer_reset(&out);
	maildrop_put_uidl(&(struct pop3_message){26, 1, 1}, &out);
	assert_string_equal(buffer_text(&out), "0000000000000001.1a");
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marking_changes_the_totals),
		cmocka_unit_test(test_an_empty_maildrop),
		cmocka_unit_test(test_marked_uids_become_ranges),
		cmocka_unit_test(test_what_cannot_be_looked_up_is_not_marked),
		cmocka_unit_test(test_unique_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
