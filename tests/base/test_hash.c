#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"

static void test_crc32c_values(void **state UNUSED)
{
	unsigned char bytes[32];

	assert_true(crc32c(0, "123456789", 9) == 0xE3069283);
	assert_true(crc32c(0, "", 0) == 0);
	assert_true(crc32c(0, "a", 1) == 0xC1D04330);
	/* RFC 3720 §B.4 */
	memset(bytes, 0, sizeof(bytes));
	assert_true(crc32c(0, bytes, sizeof(bytes)) == 0x8A9136AA);
	memset(bytes, 0xff, sizeof(bytes));
	assert_true(crc32c(0, bytes, sizeof(bytes)) == 0x62A8AB43);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	assert_true(crc32c(0, bytes, sizeof(bytes)) == 0x46DD794E);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(31 - i);
	assert_true(crc32c(0, bytes, sizeof(bytes)) == 0x113FDB5C);
}

/* The definition, a bit at a time. */
static uint32_t crc32c_by_bits(const unsigned char *at, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			bool one = ((crc ^ at[i] >> bit) & 1) != 0;

			crc = crc >> 1 ^ (one ? 0x82f63b78 : 0);
		}
	}
	return ~crc;
}

static void test_crc32c_chains_at_any_place(void **state UNUSED)
{
	unsigned char bytes[200];
	uint32_t whole;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 131 + 7);
	whole = crc32c(0, bytes, sizeof(bytes));
	assert_true(whole == crc32c_by_bits(bytes, sizeof(bytes)));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		uint32_t first = crc32c(0, bytes, cut);

		assert_true(first == crc32c_by_bits(bytes, cut));
		assert_true(crc32c(first, bytes + cut, sizeof(bytes) - cut) == whole);
	}
}

/* Long ones are taken in several stretches at once. */
static void test_crc32c_of_long_bytes(void **state UNUSED)
{
	static const size_t lengths[] = {191, 192, 193, 383, 384, 511, 512, 575, 767, 768, 959, 960, 1006, 1151, 1152,
		1535, 1536, 1537, 3071, 3072, 3080, 4608, 4999};
	unsigned char bytes[5000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * i * 31 + i * 7 + (i >> 8));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		for (size_t from = 0; from < 2; from++)
			assert_true(crc32c(0, bytes + from, lengths[i]) == crc32c_by_bits(bytes + from, lengths[i]));
	}
}

static void test_hash64(void **state UNUSED)
{
	struct slice empty = {NULL, 0};

	assert_true(hash64(SLICE("abc"), 1) == hash64(SLICE("abc"), 1));
	assert_true(hash64(SLICE("abc"), 1) != hash64(SLICE("abc"), 2));
	assert_true(hash64(SLICE("abc"), 1) != hash64(SLICE("abd"), 1));
	assert_true(hash64(empty, 1) == hash64(SLICE(""), 1));
	/* Keys derived from contents are stored: the value itself must stay. */
	assert_true(hash64(SLICE(""), 0) == 0x2d06800538d394c2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_values),
		cmocka_unit_test(test_crc32c_chains_at_any_place),
		cmocka_unit_test(test_crc32c_of_long_bytes),
		cmocka_unit_test(test_hash64),
	};

	return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
