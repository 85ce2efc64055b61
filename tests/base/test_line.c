#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/line.h"
#include "base/list.h"

static void expect_line(struct lines *lines, struct slice *rest, const char *line)
{
	struct slice got = {NULL, 0};

	assert_int_equal(lines_next(lines, rest, &got), LINE_READY);
	assert_true(slice_equal(got, slice_of(line)));
}

static void test_lines_end_with_crlf_or_lf(void **state UNUSED)
{
	struct lines lines = {.line_bytes_max = 10};
	struct slice rest = SLICE("one\r\ntwo\n\r\n\nthr"), line = SLICE("kept");

	expect_line(&lines, &rest, "one");
	expect_line(&lines, &rest, "two");
	expect_line(&lines, &rest, "");
	expect_line(&lines, &rest, "");
	assert_int_equal(lines_next(&lines, &rest, &line), LINE_NONE);
	assert_true(slice_equal(rest, SLICE("thr")));
	assert_true(slice_equal(line, SLICE("kept")));
}

static void test_only_the_last_cr_is_part_of_the_end(void **state UNUSED)
{
	struct lines lines = {.line_bytes_max = 10};
	struct slice rest = SLICE("a\rb\r\r\n");

	expect_line(&lines, &rest, "a\rb\r");
	assert_int_equal(rest.len, 0);
}

static void test_the_limit_is_exact(void **state UNUSED)
{
	struct lines lines = {.line_bytes_max = 4};
	struct slice rest = SLICE("1234\r\n1234\n12345\nnext\n"), line;

	expect_line(&lines, &rest, "1234");
	expect_line(&lines, &rest, "1234");
	assert_int_equal(lines_next(&lines, &rest, &line), LINE_TOO_LONG);
	expect_line(&lines, &rest, "next");
}

static void test_a_long_line_is_reported_once_and_swallowed(void **state UNUSED)
{
	struct lines lines = {.line_bytes_max = 4};
	struct slice rest = SLICE("123456"), line;

	assert_int_equal(lines_next(&lines, &rest, &line), LINE_TOO_LONG);
	assert_int_equal(rest.len, 0);
	for (int i = 0; i < 3; i++) {
		rest = SLICE("more of it");
		assert_int_equal(lines_next(&lines, &rest, &line), LINE_NONE);
		assert_int_equal(rest.len, 0);
	}
	rest = SLICE("end\r\nok\r\n");
	expect_line(&lines, &rest, "ok");
}

static void test_a_crlf_split_at_the_limit_is_waited_for(void **state UNUSED)
{
	struct lines lines = {.line_bytes_max = 4};
	struct slice rest = SLICE("1234\r"), line;

	assert_int_equal(lines_next(&lines, &rest, &line), LINE_NONE);
	assert_int_equal(rest.len, 5);
	rest = SLICE("1234\r\n");
	expect_line(&lines, &rest, "1234");
}

static void test_list_nodes_come_and_go(void **state UNUSED)
{
	struct list_node *head = NULL;
	struct list_node a = {0}, b = {0}, c = {0};

	list_add(&head, &a);
	list_add(&head, &b);
	list_add(&head, &c);
	assert_ptr_equal(head, &c);
	list_remove(&b);
	assert_ptr_equal(c.next, &a);
	list_remove(&b);
	list_remove(&c);
	assert_ptr_equal(head, &a);
	assert_null(a.next);
	list_remove(&a);
	assert_null(head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_end_with_crlf_or_lf),
		cmocka_unit_test(test_only_the_last_cr_is_part_of_the_end),
		cmocka_unit_test(test_the_limit_is_exact),
		cmocka_unit_test(test_a_long_line_is_reported_once_and_swallowed),
		cmocka_unit_test(test_a_crlf_split_at_the_limit_is_waited_for),
		cmocka_unit_test(test_list_nodes_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
