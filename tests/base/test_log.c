#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"

struct capture {
	int fds[2];
	struct log *log;
	char bytes[LOG_LINE_MAX * 2];
	size_t len;
};

static int set_up(void **state)
{
	struct capture *capture = calloc(1, sizeof(*capture));

	*state = capture;
	if (!capture || pipe(capture->fds) != 0)
		return -1;
	return log_new(capture->fds[1], LOG_DEBUG, &capture->log);
}

static int tear_down(void **state)
{
	struct capture *capture = *state;

	log_free(&capture->log);
	(void)close(capture->fds[0]);
	(void)close(capture->fds[1]);
	free(capture);
	return 0;
}

/* What was logged since the last time; checks that it is one line. */
static struct slice logged(struct capture *capture)
{
	ssize_t got;

	(void)write(capture->fds[1], "#", 1); /* so that there is something to read in every case */
	got = read(capture->fds[0], capture->bytes, sizeof(capture->bytes));
	assert_true(got >= 1);
	capture->len = (size_t)got - 1;
	if (capture->len) {
		assert_int_equal(slice_find_byte(slice_make(capture->bytes, capture->len), '\n'), capture->len - 1);
		capture->len--;
	}
	return slice_make(capture->bytes, capture->len);
}

/* Behind the time: " info event=..." */
static struct slice behind_time(struct slice line)
{
	assert_true(line.len > 24);
	assert_int_equal(line.at[10], 'T');
	assert_int_equal(line.at[23], 'Z');
	return slice_from(line, 25);
}

static void test_a_line(void **state)
{
	struct capture *capture = *state;

	LOG(capture->log, LOG_INFO, "login", {"account", SLICE("ann@example.org")}, {"device", SLICE("my phone")},
		{"empty", SLICE("")}, {"proto", SLICE("imap")});
	assert_true(slice_equal(behind_time(logged(capture)),
		SLICE("info event=login account=ann@example.org device=\"my phone\" proto=imap")));
	log_event(capture->log, LOG_ERROR, "bare", NULL, 0);
	assert_true(slice_equal(behind_time(logged(capture)), SLICE("error event=bare")));
}

static void test_levels(void **state)
{
	struct capture *capture = *state;

	log_set_level(capture->log, LOG_WARN);
	log_event(capture->log, LOG_INFO, "quiet", NULL, 0);
	assert_int_equal(logged(capture).len, 0);
	log_event(capture->log, LOG_WARN, "loud", NULL, 0);
	assert_true(slice_equal(behind_time(logged(capture)), SLICE("warn event=loud")));
	log_set_level(capture->log, LOG_DEBUG);
	log_event(capture->log, LOG_DEBUG, "quiet", NULL, 0);
	assert_true(slice_equal(behind_time(logged(capture)), SLICE("debug event=quiet")));
	log_event(NULL, LOG_ERROR, "nowhere", NULL, 0);
	assert_int_equal(logged(capture).len, 0);
}

static void expect_written(struct capture *capture, struct slice value, const char *written)
{
	struct slice line;

	LOG(capture->log, LOG_INFO, "e", {"k", value});
	line = behind_time(logged(capture));
	assert_true(slice_starts(line, SLICE("info event=e k=")));
	assert_true(slice_equal(slice_from(line, 15), slice_of(written)));
}

static void test_values_cannot_forge(void **state)
{
	struct capture *capture = *state;

	expect_written(capture, SLICE("x\n2026-01-01T00:00:00.000Z info event=login"),
		"\"x\\x0a2026-01-01T00:00:00.000Z info event=login\"");
	expect_written(capture, SLICE("a\rb\0c\x1b[2J\x7f"), "\"a\\x0db\\x00c\\x1b[2J\\x7f\"");
	expect_written(capture, SLICE("a\" result=\"ok"), "\"a\\\" result=\\\"ok\"");
	expect_written(capture, SLICE("a=b"), "\"a=b\"");
	expect_written(capture, SLICE("back\\slash"), "\"back\\\\slash\"");
	expect_written(capture, SLICE("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
	expect_written(capture, SLICE("\xff\xc3\xbc"), "\"\\xff\\xc3\\xbc\""); /* not UTF-8: all of it escaped */
	expect_written(capture,
		SLICE("\xc2\x9b"
		      "2J"),
		"\"\\xc2\\x9b"
		"2J\"");                                              /* U+009B: a terminal's CSI */
	expect_written(capture, SLICE("\xc2\x85"), "\"\\xc2\\x85\""); /* U+0085: next line */
}

static void test_long_lines_are_cut(void **state)
{
	struct capture *capture = *state;
	char long_one[LOG_LINE_MAX * 3];
	struct slice value = {long_one, sizeof(long_one)};
	struct slice line;

	memset(long_one, 'a', sizeof(long_one));
	LOG(capture->log, LOG_INFO, "e", {"k", value});
	line = logged(capture);
	assert_true(line.len < LOG_LINE_MAX);
	LOG(capture->log, LOG_INFO, "e", {"k", value}, {"l", value}, {"m", value});
	line = logged(capture);
	assert_int_equal(line.len, LOG_LINE_MAX - 1);
	memset(long_one, '\n', sizeof(long_one)); /* four times as long in the log */
	LOG(capture->log, LOG_INFO, "e", {"k", value}, {"l", value}, {"m", value}, {"n", value}, {"o", value});
	line = logged(capture);
	assert_int_equal(line.len, LOG_LINE_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_values_cannot_forge, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_lines_are_cut, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
