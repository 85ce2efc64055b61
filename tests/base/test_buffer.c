#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

static void expect(struct buffer *b, struct slice bytes)
{
	assert_int_equal(buffer_error(b), 0);
	assert_true(slice_equal(buffer_slice(b), bytes));
}

static void test_the_maximum_is_exact_and_the_error_sticks(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(5);

	buffer_put_text(&b, "abcd");
	buffer_put_byte(&b, 'e');
	expect(&b, SLICE("abcde"));
	buffer_put(&b, (struct slice){NULL, 0}); /* nothing fits always */
	expect(&b, SLICE("abcde"));
	buffer_put_byte(&b, 'f');
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	buffer_truncate(&b, 0);
	buffer_put_byte(&b, 'x'); /* would fit now, but what is missing before would not be seen */
	assert_int_equal(b.len, 0);
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	buffer_reset(&b);
	buffer_put_byte(&b, 'x');
	expect(&b, SLICE("x"));
	buffer_free(&b);
	assert_null(b.at);
	buffer_put_text(&b, "again"); /* usable again, with the same maximum */
	expect(&b, SLICE("again"));
	buffer_put_text(&b, "!");
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	buffer_free(&b);
}

static void test_whole_or_not_at_all(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(6);

	buffer_put_text(&b, "abc");
	buffer_put_text(&b, "defg");
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	assert_int_equal(b.len, 3);
	buffer_free(&b);
	b = BUFFER_INIT(0);
	buffer_put_byte(&b, 'a');
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	buffer_free(&b);
	b = BUFFER_INIT(100);
	assert_null(buffer_room(&b, SIZE_MAX));
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	buffer_free(&b);
}

static void test_growing_keeps_what_is_there(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(100000);

	for (unsigned i = 0; i < 100000; i++)
		buffer_put_byte(&b, (char)(i * 7));
	assert_int_equal(buffer_error(&b), 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(b.at[i], (char)(i * 7));
	buffer_free(&b);
}

static void test_room_truncate_consume(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(1000);
	char *room = buffer_room(&b, 10);

	assert_non_null(room);
	memcpy(room, "0123456789", 10);
	assert_int_equal(b.len, 0);
	buffer_added(&b, 8);
	expect(&b, SLICE("01234567"));
	buffer_truncate(&b, 6);
	buffer_consume(&b, 2);
	expect(&b, SLICE("2345"));
	buffer_consume(&b, 0);
	buffer_consume(&b, 4);
	expect(&b, SLICE(""));
	buffer_free(&b);
}

static void test_text_is_terminated_but_not_longer(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(4);

	assert_string_equal(buffer_text(&b), "");
	buffer_put_text(&b, "abc");
	assert_string_equal(buffer_text(&b), "abc");
	assert_int_equal(b.len, 3);
	buffer_put_byte(&b, 'd');
	expect(&b, SLICE("abcd"));
	assert_string_equal(buffer_text(&b), ""); /* no room for the NUL */
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	buffer_free(&b);
}

static void test_printf(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(1000);
	char long_text[600];

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	buffer_printf(&b, "%s %d", "a", -5);
	expect(&b, SLICE("a -5"));
	buffer_printf(&b, "%s", "");
	buffer_printf(&b, "%s", long_text);
	assert_int_equal(b.len, 4 + 599);
	buffer_printf(&b, "%s", long_text);
	assert_int_equal(buffer_error(&b), -ENOBUFS);
	assert_int_equal(b.len, 4 + 599);
	buffer_reset(&b);
	buffer_put_u64(&b, 0);
	buffer_put_byte(&b, ' ');
	buffer_put_u64(&b, UINT64_MAX);
	expect(&b, SLICE("0 18446744073709551615"));
	buffer_free(&b);
}

static void expect_base64(struct slice bytes, const char *text)
{
	struct buffer encoded = BUFFER_INIT(100), decoded = BUFFER_INIT(100);

	buffer_put_base64(&encoded, bytes);
	assert_string_equal(buffer_text(&encoded), text);
	assert_int_equal(buffer_put_base64_decoded(&decoded, slice_of(text)), 0);
	expect(&decoded, bytes);
	buffer_free(&encoded);
	buffer_free(&decoded);
}

static void test_base64_goes_round(void **state UNUSED)
{
	/* RFC 4648 §10 */
	expect_base64(SLICE(""), "");
	expect_base64(SLICE("f"), "Zg==");
	expect_base64(SLICE("fo"), "Zm8=");
	expect_base64(SLICE("foo"), "Zm9v");
	expect_base64(SLICE("foob"), "Zm9vYg==");
	expect_base64(SLICE("fooba"), "Zm9vYmE=");
	expect_base64(SLICE("foobar"), "Zm9vYmFy");
	expect_base64(SLICE("\0\xff\xfe\xfb"), "AP/++w==");
}

static void test_base64_is_strict(void **state UNUSED)
{
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "=Zg=", "Zg==Zg==", "Zm9v=",
		"Zm9v====", "Zh==", "Zm9=", "Zg= ", " Zg=", "Zg\n=", "Z-==", "Z_==", "Zm9vYg=v", "Zm=v",
		"Z===", "\xc3\xa4\xc3\xa4"};
	struct buffer b = BUFFER_INIT(100);

	buffer_put_text(&b, "before");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(buffer_put_base64_decoded(&b, slice_of(bad[i])), -EBADMSG);
		expect(&b, SLICE("before"));
	}
	assert_int_equal(buffer_put_base64_decoded(&b, SLICE("Zm\0v")), -EBADMSG);
	buffer_free(&b);
	b = BUFFER_INIT(2);
	assert_int_equal(buffer_put_base64_decoded(&b, SLICE("Zm9v")), -ENOBUFS);
	buffer_free(&b);
}

static void test_hex(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(100);

	buffer_put_hex(&b, SLICE("\0\x0f\xf0\xff"));
	expect(&b, SLICE("000ff0ff"));
	buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_maximum_is_exact_and_the_error_sticks),
		cmocka_unit_test(test_whole_or_not_at_all),
		cmocka_unit_test(test_growing_keeps_what_is_there),
		cmocka_unit_test(test_room_truncate_consume),
		cmocka_unit_test(test_text_is_terminated_but_not_longer),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_base64_goes_round),
		cmocka_unit_test(test_base64_is_strict),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests_name("base/buffer", tests, NULL, NULL);
}
