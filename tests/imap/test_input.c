#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/input.h"

/* How the "session" of these tests answers a literal: by its size. */
enum { STREAMED_FROM = 50, REFUSED_FROM = 80 };

static void literal(struct imap_input *in, struct buffer *trace)
{
	bool refuse = in->literal.bytes >= REFUSED_FROM;

	buffer_printf(trace, "{%llu%s%s}", (unsigned long long)in->literal.bytes, in->literal.binary ? " binary" : "",
		in->literal.synchronising ? " sync" : "");
	if (!refuse && in->literal.bytes >= STREAMED_FROM) {
		input_stream(in);
	} else if (refuse || !input_accept(in)) {
		buffer_put_text(trace, "refuse");
		if (!input_skip(in, true)) {
			buffer_put_text(trace, " at once;");
			input_reset(in, true);
		}
	}
}

static void event_trace(struct imap_input *in, enum imap_input_event event, struct buffer *trace)
{
	switch (event) {
	case INPUT_NONE:
		break;
	case INPUT_LITERAL:
		literal(in, trace);
		break;
	case INPUT_COMMAND:
		buffer_put_byte(trace, '[');
		buffer_put(trace, buffer_slice(&in->text));
		buffer_put_byte(trace, ']');
		input_reset(in, false);
		break;
	case INPUT_DATA:
	case INPUT_DATA_END:
		buffer_put(trace, in->data);
		if (event == INPUT_DATA_END)
			buffer_put_byte(trace, ';');
		break;
	case INPUT_SKIPPED:
		buffer_printf(trace, "skipped%s;", in->too_long ? " too long" : "");
		input_reset(in, true);
		break;
	case INPUT_HOPELESS:
		buffer_put_text(trace, "hopeless;");
		input_reset(in, true);
		break;
	}
}

static void feed(struct slice bytes, size_t piece, struct buffer *trace)
{
	struct imap_input in;

	input_init(&in, 40, 30);
	while (bytes.len) {
		struct slice part = slice_first(bytes, piece);

		bytes = slice_from(bytes, part.len);
		while (part.len) {
			enum imap_input_event event;
			size_t used = input_feed(&in, part, &event);

			assert_in_range(used, 1, part.len);
			part = slice_from(part, used);
			event_trace(&in, event, trace);
		}
	}
	input_free(&in);
}

static const struct {
	const char *bytes, *trace;
} cases[] = {
	{"a NOOP\r\n", "[a NOOP]"},
	{"a NOOP\n", "[a NOOP]"},
	{"\r\na NOOP\r\n\r\n", "[a NOOP]"},
	{"a\r\nb\r\n", "[a][b]"},
	{"a {3}\r\nxyz\r\n", "{3 sync}[a {3}\r\nxyz]"},
	{"a {3+}\r\nxyz {0}\r\n b\r\n", "{3}{0 sync}[a {3+}\r\nxyz {0}\r\n b]"},
	{"a ~{2}\r\n\r\n\r\n", "{2 binary sync}[a ~{2}\r\n\r\n]"},
	/* The octets of a literal announce no other one, nor do they end in half a line end. */
	{"a {3}\r\n{9}\r\nb\r\n", "{3 sync}[a {3}\r\n{9}][b]"},
	{"a {2+}\r\n{9}\r\nb\r\n", "{2}[a {2+}\r\n{9}][b]"},
	{"a {2+}\r\nx\r\nb\r\n", "{2}[a {2+}\r\nx\r][b]"},
	{"a {4+}\r\n{9+}123456789012345678901234567890123456789\r\nb\r\n", "{4}skipped too long;[b]"},
	/* Together over the limit of 30. */
	{"a {20+}\r\n12345678901234567890 {11+}\r\n12345678901 b\r\nc\r\n", "{20}{11}refuseskipped;[c]"},
	{"a {20+}\r\n12345678901234567890 {11}\r\nc\r\n", "{20}{11 sync}refuse at once;[c]"},
	/* Behind a refused literal the rest is skipped, whatever it is. */
	{"a {81+}\r\n"
	 "123456789012345678901234567890123456789012345678901234567890123456789012345678901"
	 " {3+}\r\nxyz {4}\r\nb\r\n",
		"{81}refuseskipped;[b]"},
	{"a {81}\r\nb\r\n", "{81 sync}refuse at once;[b]"},
	/* A streamed literal; an empty line behind it means its end. */
	{"a {50}\r\n12345678901234567890123456789012345678901234567890\r\nb\r\n",
		"{50 sync}12345678901234567890123456789012345678901234567890;[][b]"},
	{"a {50+}\r\n12345678901234567890123456789012345678901234567890 {2}\r\nab\r\n",
		"{50}12345678901234567890123456789012345678901234567890;{2 sync}[ {2}\r\nab]"},
	/* Lines of 40 bytes and of 41. */
	{"1234567890123456789012345678901234567890\r\nb\r\n", "[1234567890123456789012345678901234567890][b]"},
	{"12345678901234567890123456789012345678901xx\r\nb\r\n", "skipped too long;[b]"},
	{"1234567890123456789012345678901234567890123456789012345678901234567890 {4+}\r\n\r\n\r\n\r\nb\r\n",
		"skipped too long;[b]"},
	{"1234567890123456789012345678901234567890123456789012345678901234567890 {4}\r\nb\r\n", "skipped too long;[b]"},
	{"1234567890123456789012345678901234567890123456789012345678901234567890 {99999999999+}\r\n", "hopeless;"},
	{"a {99999999999999999999}\r\nb\r\n", "{18446744073709551615 sync}refuse at once;[b]"},
	/* What only looks like a literal. */
	{"a {}\r\nb {x}\r\nc {3}x\r\nd 3}\r\n{+}\r\n", "[a {}][b {x}][c {3}x][d 3}][{+}]"},
};

static void events_do_not_depend_on_how_bytes_come(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t j = 0; j < ARRAY_LEN(pieces); j++) {
			struct buffer trace = BUFFER_INIT(4096);

			feed(slice_of(cases[i].bytes), pieces[j], &trace);
			assert_string_equal(buffer_text(&trace), cases[i].trace);
			buffer_free(&trace);
		}
	}
}

static void an_idle_input_holds_no_memory(void **state)
{
	struct imap_input in;
	enum imap_input_event event;

	(void)state;
	input_init(&in, 100, 100);
	assert_true(input_is_empty(&in));
	assert_int_equal(input_feed(&in, SLICE("a"), &event), 1);
	assert_false(input_is_empty(&in));
	assert_int_equal(input_feed(&in, SLICE(" NOOP\r\n"), &event), 7);
	assert_int_equal(event, INPUT_COMMAND);
	input_reset(&in, true);
	assert_true(input_is_empty(&in));
	assert_null(in.text.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_do_not_depend_on_how_bytes_come),
		cmocka_unit_test(an_idle_input_holds_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
