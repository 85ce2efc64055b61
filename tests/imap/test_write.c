/* What is written of a message beside its own words: dates (RFC 9051 §9, date-time) and flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "imap/session.h"

static void expect_date(int64_t seconds, int16_t zone, const char *expected)
{
	struct buffer b = BUFFER_INIT(100);

	put_date_time(&b, seconds, zone);
	assert_string_equal(buffer_text(&b), expected);
	buffer_free(&b);
}

static void dates(void **state)
{
	(void)state;
	expect_date(0, 0, "\" 1-Jan-1970 00:00:00 +0000\"");
	expect_date(837596665, -420, "\"17-Jul-1996 02:44:25 -0700\"");
	expect_date(951782399, 330, "\"29-Feb-2000 05:29:59 +0530\"");
	expect_date(-1, -1, "\"31-Dec-1969 23:58:59 -0001\"");
	expect_date(253402300799, 0, "\"31-Dec-9999 23:59:59 +0000\"");
	expect_date(253402300800, 0, "\" 1-Jan-10000 00:00:00 +0000\"");
}

/* Against the C library, a day and some seconds apart, over some centuries. */
static void dates_as_the_library_says(void **state)
{
	char expected[64];

	(void)state;
	for (int64_t at = -5000000000; at < 10000000000; at += 86400 * 3 + 3671) {
		time_t when = at;
		struct tm tm;

		assert_non_null(gmtime_r(&when, &tm));
		assert_true(strftime(expected, sizeof(expected), "\"%e-%b-%Y %H:%M:%S +0000\"", &tm));
		expect_date(at, 0, expected);
	}
}

static void expect_flags(
	const struct mailbox *mailbox, unsigned flags, uint64_t keywords, bool deleted_too, const char *expected)
{
	struct entry entry = {.flags = flags, .keywords = keywords};
	struct buffer b = BUFFER_INIT(1000);

	put_flags(&b, mailbox, &entry, deleted_too);
	assert_string_equal(buffer_text(&b), expected);
	buffer_free(&b);
}

static void flags(void **state)
{
	struct slice keywords[] = {SLICE("$Forwarded"), SLICE("blue")};
	struct mailbox mailbox = {.keywords = keywords, .keyword_count = 2};
	struct buffer b = BUFFER_INIT(1000);

	(void)state;
	expect_flags(&mailbox, 0, 0, true, "()");
	expect_flags(&mailbox, FLAG_SEEN, 0, true, "(\\Seen)");
	expect_flags(&mailbox, FLAGS_ALL, 3, true, "(\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded blue)");
	expect_flags(&mailbox, FLAG_DELETED | FLAG_DRAFT, 2, false, "(\\Draft blue)");
	expect_flags(&mailbox, 0, 2, false, "(blue)");
	put_all_flags(&b, &mailbox, true);
	assert_string_equal(buffer_text(&b), "(\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded blue \\*)");
	buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(dates_as_the_library_says),
		cmocka_unit_test(flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
