/* Base64 within bodies: whatever is taken apart comes back as it was, and what is damaged makes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "store/encoded.h"

enum { PIECE_MAX = 262144, ROOM = PIECE_MAX + BASE64_SLACK };

static struct encoded parts_new(void)
{
	return (struct encoded){BUFFER_INIT(ROOM), BUFFER_INIT(ROOM), BUFFER_INIT(ROOM)};
}

static void parts_free(struct encoded *e)
{
	buffer_free(&e->runs);
	buffer_free(&e->text);
	buffer_free(&e->bytes);
}

/* Behind the bytes must be what may be read. */
static int join(struct encoded *e, size_t raw, struct buffer *out)
{
	char *slack = buffer_room(&e->bytes, BASE64_SLACK);

	assert_non_null(slack);
	memset(slack, 'x', BASE64_SLACK);
	return encoded_join(buffer_slice(&e->runs), buffer_slice(&e->text), buffer_slice(&e->bytes), raw, out);
}

/* Returns how many bytes were taken out as base64. */
static size_t there_and_back(struct slice raw)
{
	struct encoded e = parts_new();
	struct buffer back = BUFFER_INIT(ROOM);
	size_t taken = 0;

	if (encoded_split(raw, &e)) {
		taken = e.bytes.len;
		assert_true(taken > 0 && e.text.len < raw.len);
		assert_int_equal(join(&e, raw.len, &back), 0);
		assert_int_equal(back.len, raw.len);
		assert_memory_equal(back.at, raw.at, raw.len);
	}
	parts_free(&e);
	buffer_free(&back);
	return taken;
}

static void put_attachment(struct buffer *b, size_t bytes, size_t width)
{
	struct buffer digits = BUFFER_INIT(ROOM), raw = BUFFER_INIT(ROOM);
	struct slice rest;

	for (size_t i = 0; i < bytes; i++)
		buffer_put_byte(&raw, (char)(i * i * 7 + (i >> 3)));
	buffer_put_base64(&digits, buffer_slice(&raw));
	for (rest = buffer_slice(&digits); rest.len; rest = slice_from(rest, width)) {
		buffer_put(b, slice_first(rest, width));
		buffer_put_text(b, "\r\n");
	}
	buffer_free(&digits);
	buffer_free(&raw);
}

static void put_message(struct buffer *b, size_t bytes, size_t width)
{
	buffer_put_text(
		b, "Subject: a picture\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	put_attachment(b, bytes, width);
}

static void test_each_width_and_each_length_of_the_last_line(void **state UNUSED)
{
	static const size_t widths[] = {16, 60, 64, 72, 76, 996};

	for (size_t w = 0; w < ARRAY_LEN(widths); w++) {
		for (size_t bytes = 1500; bytes < 1500 + widths[w]; bytes++) {
			struct buffer b = BUFFER_INIT(ROOM);

			put_message(&b, bytes, widths[w]);
			assert_int_equal(there_and_back(buffer_slice(&b)), bytes);
			buffer_put_text(&b, "--boundary--\r\n");
			assert_int_equal(there_and_back(buffer_slice(&b)), bytes);
			buffer_free(&b);
		}
	}
}

/* Frames begin and end anywhere. */
static void test_cut_anywhere(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(ROOM);
	struct slice whole;

	put_message(&b, 700, 76);
	buffer_put_text(&b, "--boundary\r\n\r\nSome text.\r\n--boundary\r\n\r\n");
	put_attachment(&b, 401, 64);
	buffer_put_text(&b, "--boundary--\r\n");
	whole = buffer_slice(&b);
	for (size_t cut = 0; cut <= whole.len; cut++) {
		(void)there_and_back(slice_first(whole, cut));
		(void)there_and_back(slice_from(whole, cut));
	}
	assert_int_equal(there_and_back(whole), 1101);
	buffer_free(&b);
}

static void test_what_is_not_canonical_comes_back_too(void **state UNUSED)
{
	/* Bits beyond the last byte, digits of another alphabet, padding within, bare line ends, too little of it. */
	static const char *const last[] = {"QUJDREVGR0hJSktMTU5PUA=B\r\n", "QR==\r\n", "QUI_\r\n", "QQ==QQ==\r\n",
		"QUJD\n", "=\r\n", "\r\n", "QUJDR\r\n", "QUJD \r\n", "\r", "QU", ""};

	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		struct buffer b = BUFFER_INIT(ROOM);

		put_attachment(&b, 570, 76);
		buffer_put_text(&b, last[i]);
		assert_in_range(there_and_back(buffer_slice(&b)), 570, 573); /* whole groups may go with it */
		buffer_free(&b);
	}
	assert_int_equal(there_and_back(SLICE("")), 0);
	assert_int_equal(there_and_back(SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\nAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n")), 0);
}

static void test_line_ends_of_another_kind(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(ROOM), lf = BUFFER_INIT(ROOM);

	put_message(&b, 2000, 76);
	for (size_t i = 0; i < b.len; i++) {
		if (b.at[i] != '\r')
			buffer_put_byte(&lf, b.at[i]);
	}
	assert_int_equal(there_and_back(buffer_slice(&lf)), 0);
	buffer_free(&b);
	buffer_free(&lf);
}

/* One changed number or a part cut short makes an error, or else what it says; never more than there is. */
static void test_damaged_parts(void **state UNUSED)
{
	struct buffer b = BUFFER_INIT(ROOM), back = BUFFER_INIT(ROOM);
	struct encoded e = parts_new();
	size_t raw;

	put_message(&b, 1000, 76);
	raw = b.len;
	assert_true(encoded_split(buffer_slice(&b), &e));
	for (size_t at = 0; at < e.runs.len; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			e.runs.at[at] = (char)(e.runs.at[at] ^ 1 << bit);
			buffer_reset(&back);
			if (join(&e, raw, &back) == 0)
				assert_int_equal(back.len, raw);
			e.runs.at[at] = (char)(e.runs.at[at] ^ 1 << bit);
		}
	}
	buffer_reset(&back);
	assert_int_equal(join(&e, raw - 1, &back), -EBADMSG);
	assert_int_equal(join(&e, raw + 1, &back), -EBADMSG);
	buffer_truncate(&e.text, e.text.len - 1);
	assert_int_equal(join(&e, raw, &back), -EBADMSG);
	assert_int_equal(back.len, 0);
	assert_int_equal(encoded_join(SLICE("\0\x4c"), SLICE(""), SLICE(""), 0, &back), -EBADMSG);
	assert_int_equal(encoded_join(SLICE("\0\x4c\0"), SLICE(""), SLICE(""), 0, &back), -EBADMSG);
	assert_int_equal(encoded_join(SLICE(""), SLICE(""), SLICE(""), 0, &back), 0);
	parts_free(&e);
	buffer_free(&b);
	buffer_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_width_and_each_length_of_the_last_line),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_what_is_not_canonical_comes_back_too),
		cmocka_unit_test(test_line_ends_of_another_kind),
		cmocka_unit_test(test_damaged_parts),
	};

	return cmocka_run_group_tests_name("store/encoded", tests, NULL, NULL);
}
