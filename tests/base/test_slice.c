#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

static void test_comparing(void **state UNUSED)
{
	struct slice empty = {NULL, 0};

	assert_true(slice_equal(SLICE("abc"), SLICE("abc")));
	assert_false(slice_equal(SLICE("abc"), SLICE("abd")));
	assert_false(slice_equal(SLICE("abc"), SLICE("ab")));
	assert_true(slice_equal(empty, SLICE("")));
	assert_true(slice_equal(slice_of(NULL), empty));
	assert_true(slice_equal_nocase(SLICE("INBOX"), SLICE("inBox")));
	assert_false(slice_equal_nocase(SLICE("@[`{"), SLICE("`{@["))); /* neighbours of the letters */
	assert_false(slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4"))); /* ASCII only */
	assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
	assert_true(slice_compare(SLICE("a"), SLICE("ab")) < 0);
	assert_true(slice_compare(SLICE("ab"), SLICE("a")) > 0);
	assert_true(slice_compare(SLICE("\xff"), SLICE("a")) > 0); /* bytes, not chars */
	assert_int_equal(slice_compare(SLICE("a\0b"), SLICE("a\0b")), 0);
	assert_int_equal(slice_compare(empty, SLICE("")), 0);
}

static void test_beginnings_and_ends(void **state UNUSED)
{
	struct slice empty = {NULL, 0};

	assert_true(slice_starts(SLICE("rounds=5"), SLICE("rounds=")));
	assert_false(slice_starts(SLICE("round"), SLICE("rounds=")));
	assert_false(slice_starts(SLICE("Rounds="), SLICE("rounds=")));
	assert_true(slice_starts_nocase(SLICE("Rounds="), SLICE("rounds=")));
	assert_false(slice_starts_nocase(SLICE("R"), SLICE("rounds=")));
	assert_true(slice_ends(SLICE("SCRAM-SHA-1-PLUS"), SLICE("-PLUS")));
	assert_false(slice_ends(SLICE("PLUS"), SLICE("-PLUS")));
	assert_true(slice_starts(empty, empty));
	assert_true(slice_ends(empty, empty));
	assert_true(slice_ends(SLICE("a"), empty));
	assert_false(slice_ends(empty, SLICE("a")));
}

static void test_parts(void **state UNUSED)
{
	assert_true(slice_equal(slice_from(SLICE("abc"), 1), SLICE("bc")));
	assert_int_equal(slice_from(SLICE("abc"), 3).len, 0);
	assert_int_equal(slice_from(SLICE("abc"), SIZE_MAX).len, 0);
	assert_true(slice_equal(slice_first(SLICE("abc"), 2), SLICE("ab")));
	assert_true(slice_equal(slice_first(SLICE("abc"), SIZE_MAX), SLICE("abc")));
	assert_true(slice_equal(slice_trim(SLICE(" \t\r\na b\n ")), SLICE("a b")));
	assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
	assert_int_equal(slice_trim((struct slice){NULL, 0}).len, 0);
	assert_true(slice_equal(slice_trim(SLICE("\va")), SLICE("\va"))); /* not every white space */
}

static void test_finding(void **state UNUSED)
{
	struct slice text = SLICE("a,b,,c");

	assert_int_equal(slice_find_byte(text, ','), 1);
	assert_int_equal(slice_find_last_byte(text, ','), 4);
	assert_int_equal(slice_find_byte(text, 'x'), SIZE_MAX);
	assert_int_equal(slice_find_last_byte(text, 'x'), SIZE_MAX);
	assert_int_equal(slice_find_byte(SLICE("a\0b"), '\0'), 1);
	assert_int_equal(slice_find_byte((struct slice){NULL, 0}, 'a'), SIZE_MAX);
	assert_int_equal(slice_find(text, SLICE(",,")), 3);
	assert_int_equal(slice_find(text, SLICE("c")), 5);
	assert_int_equal(slice_find(text, SLICE("cc")), SIZE_MAX);
	assert_int_equal(slice_find(text, SLICE("a,b,,c,")), SIZE_MAX);
	assert_int_equal(slice_find(text, text), 0);
	assert_int_equal(slice_find(SLICE("aaab"), SLICE("aab")), 1); /* a beginning that was none */
	assert_int_equal(slice_find(text, (struct slice){NULL, 0}), 0);
	assert_int_equal(slice_find((struct slice){NULL, 0}, SLICE("a")), SIZE_MAX);
}

/* Places near the ends, across what is looked at together, and texts in which almost every place looks like it. */
static void test_finding_anywhere(void **state UNUSED)
{
	char text[160], runs[5000];

	for (size_t len = 2; len <= 24; len++) {
		for (size_t size = 0; size <= sizeof(text); size++) {
			for (size_t at = 0; at + len <= size; at++) {
				memset(text, 'a', size);
				memset(text + at, 'b', len);
				text[at + len / 2] = 'c';
				assert_int_equal(
					slice_find((struct slice){text, size}, (struct slice){text + at, len}), at);
			}
			memset(text, 'a', size);
			memset(runs, 'a', len);
			runs[len - 2] = 'b';
			assert_int_equal(slice_find((struct slice){text, size}, (struct slice){runs, len}), SIZE_MAX);
		}
	}
	memset(runs, 'a', sizeof(runs));
	runs[sizeof(runs) - 2] = 'b';
	for (size_t len = 3; len < 700; len++)
		assert_int_equal(
			slice_find((struct slice){runs, sizeof(runs)}, (struct slice){runs + sizeof(runs) - len, len}),
			sizeof(runs) - len);
	assert_int_equal(slice_find((struct slice){runs, sizeof(runs) - 2}, SLICE("aba")), SIZE_MAX);
}

static void test_splitting(void **state UNUSED)
{
	struct slice rest = SLICE("a,,b,");

	assert_true(slice_equal(slice_split(&rest, ','), SLICE("a")));
	assert_int_equal(slice_split(&rest, ',').len, 0);
	assert_true(slice_equal(slice_split(&rest, ','), SLICE("b")));
	/* A separator at the end leaves an empty rest that is still there. */
	assert_int_equal(rest.len, 0);
	assert_non_null(rest.at);
	assert_int_equal(slice_split(&rest, ',').len, 0);
	assert_null(rest.at);
	rest = SLICE("whole");
	assert_true(slice_equal(slice_split(&rest, ','), SLICE("whole")));
	assert_null(rest.at);
}

static void test_numbers(void **state UNUSED)
{
	static const struct slice bad[] = {{NULL, 0}, {"", 0}, {"-1", 2}, {"+1", 2}, {" 1", 2}, {"1 ", 2}, {"0x1", 3},
		{"1\0", 2}, {"99999999999999999999x", 21}};
	uint64_t value = 77;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(slice_to_u64(bad[i], UINT64_MAX, &value), -EINVAL);
	assert_int_equal(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &value), -ERANGE);
	assert_int_equal(slice_to_u64(SLICE("99999999999999999999"), UINT64_MAX, &value), -ERANGE);
	assert_int_equal(slice_to_u64(SLICE("11"), 10, &value), -ERANGE);
	assert_int_equal(value, 77); /* untouched on failure */
	assert_int_equal(slice_to_u64(SLICE("10"), 10, &value), 0);
	assert_int_equal(value, 10);
	assert_int_equal(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(slice_to_u64(SLICE("000000000000000000000000007"), 10, &value), 0);
	assert_int_equal(value, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comparing),
		cmocka_unit_test(test_beginnings_and_ends),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_finding_anywhere),
		cmocka_unit_test(test_splitting),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests_name("base/slice", tests, NULL, NULL);
}
