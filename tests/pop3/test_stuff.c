#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3/stuff.h"

static bool feed(struct pop3_stuff *stuff, struct slice piece, struct buffer *out)
{
	size_t from = out->len;

	buffer_put(out, piece);
	return pop3_stuff_added(stuff, from, out);
}

/* Whatever the pieces, the answer is the same. */
static void expect(uint64_t lines, const char *message, const char *answer)
{
	struct slice whole = slice_of(message);

	for (size_t step = 1; step <= whole.len + 1; step++) {
		struct pop3_stuff stuff = pop3_stuff_start(lines);
		struct buffer out = BUFFER_INIT(1000);

		for (size_t at = 0; at < whole.len; at += step)
			if (!feed(&stuff, slice_first(slice_from(whole, at), step), &out))
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

	buffer_reset(out);
	assert_true(feed(&stuff, slice_first(message, cut), out));
	assert_true(feed(&stuff, slice_from(message, cut), out));
	pop3_stuff_finish(&stuff, out);
}

/* RFC 1939 §3, word by word. */
static void stuff_slowly(struct slice message, struct buffer *out)
{
	buffer_reset(out);
	for (size_t i = 0; i < message.len; i++) {
		if (message.at[i] == '.' && (i == 0 || slice_ends(slice_first(message, i), SLICE("\r\n"))))
			buffer_put_byte(out, '.');
		buffer_put_byte(out, message.at[i]);
	}
	if (message.len && !slice_ends(message, SLICE("\r\n")))
		buffer_put(out, SLICE("\r\n"));
	buffer_put(out, SLICE(".\r\n"));
}

/* Wherever a message is cut in two, and also where TOP, which looks at each line, asks for all of them. */
static void expect_all(struct slice message, size_t cut)
{
	struct buffer fast = BUFFER_INIT(10000), slow = BUFFER_INIT(10000);

	stuff_slowly(message, &slow);
	stuff(POP3_ALL_LINES, message, cut, &fast);
	assert_true(slice_equal(buffer_slice(&fast), buffer_slice(&slow)));
	stuff(POP3_ALL_LINES - 1, message, cut, &fast);
	assert_true(slice_equal(buffer_slice(&fast), buffer_slice(&slow)));
	buffer_free(&fast);
	buffer_free(&slow);
}

static void test_every_short_message(void **state UNUSED)
{
	static const char letters[4] = {'.', '\r', '\n', 'a'};
	char message[7];

	for (unsigned number = 0; number < 1U << (2 * sizeof(message)); number++) {
		for (size_t i = 0; i < sizeof(message); i++)
			message[i] = letters[number >> (2 * i) & 3];
		for (size_t cut = 0; cut <= sizeof(message); cut++)
			expect_all(slice_make(message, sizeof(message)), cut);
	}
}

/* With more bytes than are looked at together, from nearly all dots to nearly none. */
static void test_longer_messages(void **state UNUSED)
{
	static const char *const pieces[] = {"\r\n.", "\r\n", ".", "\n.", "a", "a word and another, "};
	uint64_t number = 1;

	for (unsigned round = 0; round < 3000; round++) {
		struct buffer message = BUFFER_INIT(2000);

		while (message.len < 400) {
			number = number * 6364136223846793005u + 1442695040888963407u;
			buffer_put_text(&message, pieces[(number >> 33) % (1 + round % ARRAY_LEN(pieces))]);
			if ((number >> 50) % 8 < round / 500)
				buffer_put_text(&message, pieces[ARRAY_LEN(pieces) - 1]);
		}
		expect_all(buffer_slice(&message), (number >> 40) % message.len);
		buffer_free(&message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dots_are_stuffed),
		cmocka_unit_test(test_the_end_has_a_line_of_its_own),
		cmocka_unit_test(test_top_gives_header_and_lines),
		cmocka_unit_test(test_every_short_message),
		cmocka_unit_test(test_longer_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
