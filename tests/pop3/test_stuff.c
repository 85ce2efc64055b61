#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3/stuff.h"

/* Whatever the pieces, the answer is the same. */
static void expect(uint64_t lines, const char *message, const char *answer)
{
	struct slice whole = slice_of(message);

	for (size_t step = 1; step <= whole.len + 1; step++) {
		struct pop3_stuff stuff = pop3_stuff_start(lines);
		struct buffer out = BUFFER_INIT(1000);

		for (size_t at = 0; at < whole.len; at += step)
			if (!pop3_stuff_feed(&stuff, slice_first(slice_from(whole, at), step), &out))
				break;
		pop3_stuff_finish(&stuff, &out);
		assert_string_equal(buffer_text(&out), answer);
		buffer_free(&out);
	}
}

static void test_dots_are_stuffed(void **state UNUSED)
{
	expect(POP3_ALL_LINES, "A: b\r\n\r\n.\r\n..\r\nx.y\r\n.z\r\n", "A: b\r\n\r\n..\r\n...\r\nx.y\r\n..z\r\n.\r\n");
	expect(POP3_ALL_LINES, ".", "..\r\n.\r\n");
	expect(POP3_ALL_LINES, "a\r.\n.\r\n", "a\r.\n.\r\n.\r\n");
	expect(POP3_ALL_LINES, "a\r\r\n.\r\n", "a\r\r\n..\r\n.\r\n");
}

static void test_the_end_has_a_line_of_its_own(void **state UNUSED)
{
	expect(POP3_ALL_LINES, "", ".\r\n");
	expect(POP3_ALL_LINES, "\r\n", "\r\n.\r\n");
	expect(POP3_ALL_LINES, "no end", "no end\r\n.\r\n");
	expect(POP3_ALL_LINES, "half an end\r", "half an end\r\r\n.\r\n");
}

static void test_top_gives_header_and_lines(void **state UNUSED)
{
	static const char message[] = "A: b\r\n c\r\n\r\none\r\n\r\n.three\r\n";

	expect(0, message, "A: b\r\n c\r\n\r\n.\r\n");
	expect(1, message, "A: b\r\n c\r\n\r\none\r\n.\r\n");
	expect(2, message, "A: b\r\n c\r\n\r\none\r\n\r\n.\r\n");
	expect(3, message, "A: b\r\n c\r\n\r\none\r\n\r\n..three\r\n.\r\n");
	expect(99, message, "A: b\r\n c\r\n\r\none\r\n\r\n..three\r\n.\r\n");
	expect(0, "\r\nbody\r\n", "\r\n.\r\n");
	expect(1, "\r\nbody\r\nmore\r\n", "\r\nbody\r\n.\r\n");
	expect(0, "only a header\r\n", "only a header\r\n.\r\n");
	expect(5, "A: b\r\n\r\nlast without end", "A: b\r\n\r\nlast without end\r\n.\r\n");
	expect(1, "A: b\r\n\r\na\rb\nc\r\nd\r\n", "A: b\r\n\r\na\rb\nc\r\n.\r\n");
}

static void stuff(uint64_t lines, struct slice message, size_t cut, struct buffer *out)
{
	struct pop3_stuff stuff = pop3_stuff_start(lines);

	assert_true(pop3_stuff_feed(&stuff, slice_first(message, cut), out));
	assert_true(pop3_stuff_feed(&stuff, slice_from(message, cut), out));
	pop3_stuff_finish(&stuff, out);
}

/* RETR looks for dots only, TOP looks at each line: where TOP asks for enough of them, both must say the same. */
static void test_both_ways_agree(void **state UNUSED)
{
	static const char letters[4] = {'.', '\r', '\n', 'a'};
	struct buffer all = BUFFER_INIT(100), lines = BUFFER_INIT(100);
	char message[7];

	for (unsigned number = 0; number < 1U << (2 * sizeof(message)); number++) {
		for (size_t i = 0; i < sizeof(message); i++)
			message[i] = letters[number >> (2 * i) & 3];
		for (size_t cut = 0; cut <= sizeof(message); cut++) {
			buffer_reset(&all);
			buffer_reset(&lines);
			stuff(POP3_ALL_LINES, slice_make(message, sizeof(message)), cut, &all);
			stuff(POP3_ALL_LINES - 1, slice_make(message, sizeof(message)), cut, &lines);
			assert_true(slice_equal(buffer_slice(&all), buffer_slice(&lines)));
		}
	}
	buffer_free(&all);
	buffer_free(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dots_are_stuffed),
		cmocka_unit_test(test_the_end_has_a_line_of_its_own),
		cmocka_unit_test(test_top_gives_header_and_lines),
		cmocka_unit_test(test_both_ways_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
