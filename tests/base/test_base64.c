#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"

static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* The definition, six bits at a time (RFC 4648 §4). */
static void encode_plainly(const char *from, size_t bytes, char *to)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t bit = 0; bit < bytes * 8; bit += 6) {
		unsigned value = 0;

		for (size_t i = bit; i < bit + 6; i++)
			value = value << 1 | ((unsigned char)from[i / 8] >> (7 - i % 8) & 1);
		to[bit / 6] = digits[value];
	}
}

static void test_there_and_back(void **state UNUSED)
{
	char bytes[300 + BASE64_SLACK], back[300 + BASE64_SLACK], text[400 + BASE64_SLACK], expected[400];
	uint64_t random = 7;

	for (size_t len = 0; len <= 300; len += 3) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)(next(&random) >> 32);
		base64_encode(bytes, len, text);
		encode_plainly(bytes, len, expected);
		assert_memory_equal(text, expected, len / 3 * 4);
		assert_true(base64_decode(text, len / 3 * 4, back));
		assert_memory_equal(back, bytes, len);
	}
}

/* Every byte value in every place of short and long texts: what is not a digit is refused, what is has its value. */
static void test_each_byte_in_each_place(void **state UNUSED)
{
	static const size_t lengths[] = {4, 12, 16, 20, 32, 76};

	for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
		for (size_t at = 0; at < lengths[l]; at++) {
			for (unsigned value = 0; value < 256; value++) {
				char text[76], back[57 + BASE64_SLACK], again[76 + BASE64_SLACK];
				bool is_digit = base64_value((char)value) != 255;

				memset(text, 'Q', sizeof(text));
				text[at] = (char)value;
				assert_true(base64_decode(text, lengths[l], back) == is_digit);
				if (!is_digit)
					continue;
				base64_encode(back, lengths[l] / 4 * 3, again);
				assert_memory_equal(again, text, lengths[l]);
			}
		}
	}
}

static void test_values(void **state UNUSED)
{
	assert_int_equal(base64_value('A'), 0);
	assert_int_equal(base64_value('Z'), 25);
	assert_int_equal(base64_value('a'), 26);
	assert_int_equal(base64_value('z'), 51);
	assert_int_equal(base64_value('0'), 52);
	assert_int_equal(base64_value('9'), 61);
	assert_int_equal(base64_value('+'), 62);
	assert_int_equal(base64_value('/'), 63);
	assert_int_equal(base64_value('='), 255);
	assert_int_equal(base64_value('-'), 255);
	assert_int_equal(base64_value('\xc1'), 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_each_byte_in_each_place),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests_name("base/base64", tests, NULL, NULL);
}
