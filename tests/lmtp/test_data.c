#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lmtp/data.h"

#include "base/buffer.h"

/* Feeds `wire` in pieces of `step` bytes; the text before the end in `out`; how many bytes stand behind the end, or -1 without one. */
static int unstuff(struct slice wire, size_t step, struct buffer *out)
{
	struct lmtp_data data = {0};
	struct slice piece;

	for (size_t at = 0; at < wire.len; at += step) {
		struct slice rest = slice_first(slice_from(wire, at), step);
		size_t chunk = rest.len;
		enum lmtp_data_event event;

		while ((event = lmtp_data_next(&data, &rest, &piece)) == LMTP_DATA_PIECE) {
			assert_true(piece.len > 0);
			buffer_put(out, piece);
		}
		if (event == LMTP_DATA_END)
			return (int)(wire.len - at - chunk + rest.len);
		assert_int_equal(rest.len, 0);
	}
	return -1;
}

static void expect(struct slice wire, struct slice text, int behind)
{
	for (size_t step = 1; step <= wire.len; step++) {
		struct buffer out = BUFFER_INIT(1000);

		assert_int_equal(unstuff(wire, step, &out), behind);
		if (!slice_equal(buffer_slice(&out), text))
			fail_msg("by %zu: '%.*s' became '%.*s'", step, SLICE_ARG(wire), SLICE_ARG(buffer_slice(&out)));
		buffer_free(&out);
	}
}

static void test_dots_are_unstuffed(void **state UNUSED)
{
	expect(SLICE("a\r\n.\r\nQUIT"), SLICE("a\r\n"), 4);
	expect(SLICE(".\r\n"), SLICE(""), 0);
	expect(SLICE("..\r\n.\r\n"), SLICE(".\r\n"), 0);
	expect(SLICE("...\r\na.b\r\n..c\r\n.\r\n"), SLICE("..\r\na.b\r\n.c\r\n"), 0);
	expect(SLICE(".x\r\n.\r\n"), SLICE("x\r\n"), 0);
	expect(SLICE("\r\n.\r\n"), SLICE("\r\n"), 0);
	expect(SLICE("no end\r\n."), SLICE("no end\r\n"), -1);
}

static void test_only_crlf_dot_crlf_ends_a_message(void **state UNUSED)
{
	expect(SLICE("a\n.\nb\r\n.\r\n"), SLICE("a\n.\nb\r\n"), 0);
	expect(SLICE("a\n.\r\nb\r\n.\r\n"), SLICE("a\n.\r\nb\r\n"), 0);
	expect(SLICE("a\r\n.\nb\r\n.\r\n"), SLICE("a\r\n\nb\r\n"), 0);
	expect(SLICE("a\r.\r\nb\r\n.\r\n"), SLICE("a\r.\r\nb\r\n"), 0);
	expect(SLICE("a\r\n.\rb\r\n.\r\n"), SLICE("a\r\n\rb\r\n"), 0);
	expect(SLICE("a\r\n.\r\r\n.\r\n"), SLICE("a\r\n\r\r\n"), 0);
	expect(SLICE("a\r\r\n.\r\n"), SLICE("a\r\r\n"), 0);
	expect(SLICE("a\r\n.\0\r\n.\r\n"), SLICE("a\r\n\0\r\n"), 0);
}

static unsigned hops(struct slice message, size_t step)
{
	struct lmtp_hops hops = {0};

	for (size_t at = 0; at < message.len; at += step)
		lmtp_hops_feed(&hops, slice_first(slice_from(message, at), step));
	return hops.count;
}

static void test_received_fields_are_counted_in_the_header(void **state UNUSED)
{
	struct slice message =
		SLICE("Received: a\r\n\tReceived: folded\r\nRECEIVED: b\nX-Received: no\r\nReceive: no\r\n"
		      "Receivedd: no\r\nreceived:c\r\n\r\nReceived: in the body\r\n");

	for (size_t step = 1; step <= message.len; step++)
		assert_int_equal(hops(message, step), 3);
	assert_int_equal(hops(SLICE("\nReceived: x\r\n"), 100), 0);
	assert_int_equal(hops(SLICE("\r\nReceived: x\r\n"), 1), 0);
	assert_int_equal(hops(SLICE(""), 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dots_are_unstuffed),
		cmocka_unit_test(test_only_crlf_dot_crlf_ends_a_message),
		cmocka_unit_test(test_received_fields_are_counted_in_the_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
