#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

static void test_valid_text(void **state UNUSED)
{
	assert_true(utf8_is_valid(SLICE("")));
	assert_true(utf8_is_valid((struct slice){NULL, 0}));
	assert_true(utf8_is_valid(SLICE("a\0z\x7f")));
	assert_true(utf8_is_valid(SLICE("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf")));
	assert_true(utf8_is_valid(SLICE("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
	assert_true(utf8_is_ascii(SLICE("a\0\x7f")));
	assert_false(utf8_is_ascii(SLICE("a\x80")));
	assert_true(utf8_is_ascii((struct slice){NULL, 0}));
}

static void test_invalid_text(void **state UNUSED)
{
	static const struct slice bad[] = {{"\x80", 1}, {"\xbf", 1}, {"\xc0\x80", 2}, {"\xc1\xbf", 2}, {"\xc2", 1},
		{"\xc2\x41", 2}, {"\xe0\x80\x80", 3}, {"\xe0\x9f\xbf", 3}, {"\xe2\x82", 2}, {"\xe2\x82\x41", 3},
		{"\xed\xa0\x80", 3}, {"\xed\xbf\xbf", 3}, {"\xf0\x80\x80\x80", 4}, {"\xf0\x8f\xbf\xbf", 4},
		{"\xf0\x9f\x98", 3}, {"\xf4\x90\x80\x80", 4}, {"\xf5\x80\x80\x80", 4}, {"\xf8\x88\x80\x80\x80", 5},
		{"\xfe", 1}, {"\xff", 1}, {"a\xe2\x82", 3}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_is_valid(bad[i]));
}

static void test_walking_over_damage(void **state UNUSED)
{
	struct slice rest = SLICE("a\xc3\xa4\xff\xe2\x82z");

	assert_int_equal(utf8_next(&rest), 'a');
	assert_int_equal(utf8_next(&rest), 0xe4);
	assert_int_equal(utf8_next(&rest), -EBADMSG);
	assert_int_equal(utf8_next(&rest), -EBADMSG); /* one byte at a time */
	assert_int_equal(utf8_next(&rest), -EBADMSG);
	assert_int_equal(utf8_next(&rest), 'z');
	assert_int_equal(rest.len, 0);
}

static void test_every_code_point_goes_round(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(8);

	for (uint32_t c = 0; c < 0x110800; c++) {
		bool exists = c < 0xd800 || (c > 0xdfff && c <= 0x10ffff);
		struct slice rest;

		buffer_reset(&b);
		buffer_put_utf8(&b, c);
		rest = buffer_slice(&b);
		if (utf8_next(&rest) != (int32_t)(exists ? c : 0xfffd) || rest.len != 0)
			fail();
	}
	buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_text),
		cmocka_unit_test(test_invalid_text),
		cmocka_unit_test(test_walking_over_damage),
		cmocka_unit_test(test_every_code_point_goes_round),
	};

	return cmocka_run_group_tests_name("base/utf8", tests, NULL, NULL);
}
