#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/codec.h"

static void test_integers_go_round(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(1000);
	struct reader r;

	buffer_put_byte(&b, (char)0xfe);
	buffer_put_le16(&b, 0x1234);
	buffer_put_le32(&b, 0x89abcdef);
	buffer_put_le64(&b, 0xfedcba9876543210);
	buffer_put_be32(&b, 0x89abcdef);
	buffer_put_be64(&b, 0xfedcba9876543210);
	r = READER_INIT(buffer_slice(&b));
	assert_int_equal(reader_u8(&r), 0xfe);
	assert_int_equal(reader_le16(&r), 0x1234);
	assert_true(reader_le32(&r) == 0x89abcdef);
	assert_true(reader_le64(&r) == 0xfedcba9876543210);
	assert_true(reader_be32(&r) == 0x89abcdef);
	assert_true(reader_be64(&r) == 0xfedcba9876543210);
	assert_int_equal(reader_finish(&r), 0);
	/* The bytes themselves: what is on disk must not change. */
	assert_memory_equal(b.at, "\xfe\x34\x12\xef\xcd\xab\x89\x10\x32\x54\x76\x98\xba\xdc\xfe\x89\xab\xcd\xef", 19);
	buffer_free(&b);
}

static void test_varints_go_round(void **state UNUSED)
{
	static const struct {
		uint64_t value;
		size_t bytes;
	} cases[] = {{0, 1}, {1, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3}, {UINT32_MAX, 5},
		{(uint64_t)1 << 62, 9}, {(uint64_t)1 << 63, 10}, {UINT64_MAX, 10}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffer b = BUFFER_INIT(10);
		struct reader r;

		buffer_put_varint(&b, cases[i].value);
		assert_int_equal(b.len, cases[i].bytes);
		r = READER_INIT(buffer_slice(&b));
		assert_true(reader_varint(&r) == cases[i].value);
		assert_int_equal(reader_finish(&r), 0);
		/* Cut anywhere it is no number. */
		r = READER_INIT(slice_first(buffer_slice(&b), b.len - 1));
		assert_int_equal(reader_varint(&r), 0);
		assert_int_equal(reader_error(&r), -EBADMSG);
		buffer_free(&b);
	}
}

static void test_varints_that_do_not_fit(void **state UNUSED)
{
	static const struct slice bad[] = {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81", 10}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct reader r = READER_INIT(bad[i]);

		assert_int_equal(reader_varint(&r), 0);
		assert_int_equal(reader_error(&r), -EBADMSG);
	}
}

static void test_sized_bytes(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(1000);
	struct reader r;

	buffer_put_sized(&b, SLICE("a\0c"));
	buffer_put_sized(&b, SLICE(""));
	buffer_put_text(&b, "rest");
	r = READER_INIT(buffer_slice(&b));
	assert_true(slice_equal(reader_sized(&r), SLICE("a\0c")));
	assert_int_equal(reader_sized(&r).len, 0);
	assert_int_equal(reader_error(&r), 0);
	assert_int_equal(reader_finish(&r), -EBADMSG); /* bytes are left */
	assert_true(slice_equal(reader_bytes(&r, 4), SLICE("rest")));
	assert_int_equal(reader_finish(&r), 0);
	buffer_free(&b);
	/* A length beyond all bytes. */
	r = READER_INIT(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01 abc"));
	assert_int_equal(reader_sized(&r).len, 0);
	assert_int_equal(reader_error(&r), -EBADMSG);
}

static void test_the_first_failure_sticks(void **state UNUSED)
{
	struct reader r = READER_INIT(SLICE("abc"));

	assert_int_equal(reader_le32(&r), 0);
	assert_int_equal(reader_error(&r), -EBADMSG);
	assert_int_equal(reader_u8(&r), 0); /* though there is a byte */
	assert_int_equal(reader_bytes(&r, 1).len, 0);
	assert_int_equal(reader_bytes(&r, 0).len, 0);
	assert_int_equal(reader_sized(&r).len, 0);
	assert_int_equal(reader_finish(&r), -EBADMSG);
	r = READER_INIT(((struct slice){NULL, 0}));
	assert_int_equal(reader_bytes(&r, 0).len, 0);
	assert_int_equal(reader_finish(&r), 0);
	assert_int_equal(reader_bytes(&r, SIZE_MAX).len, 0);
	assert_int_equal(reader_finish(&r), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers_go_round),
		cmocka_unit_test(test_varints_go_round),
		cmocka_unit_test(test_varints_that_do_not_fit),
		cmocka_unit_test(test_sized_bytes),
		cmocka_unit_test(test_the_first_failure_sticks),
	};

	return cmocka_run_group_tests_name("base/codec", tests, NULL, NULL);
}
