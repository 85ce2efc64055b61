#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

struct known {
	int64_t seconds;
	int zone_minutes;
	struct civil_time t;
};

/* Values of date(1). */
static const struct known known[] = {
	{0, 0, {1970, 1, 1, 0, 0, 0, 4}},
	{-1, 0, {1969, 12, 31, 23, 59, 59, 3}},
	{86399, 0, {1970, 1, 1, 23, 59, 59, 4}},
	{951782400, 0, {2000, 2, 29, 0, 0, 0, 2}}, /* divisible by 400: a leap year */
	{4107542400, 0, {2100, 3, 1, 0, 0, 0, 1}}, /* 2100 is none */
	{4107542399, 0, {2100, 2, 28, 23, 59, 59, 0}},
	{1709210096, 0, {2024, 2, 29, 12, 34, 56, 4}},
	{698020320, 60, {1992, 2, 13, 23, 32, 0, 4}},
	{0, -720, {1969, 12, 31, 12, 0, 0, 3}},
	{0, 840, {1970, 1, 1, 14, 0, 0, 4}},
	{2147483648, 0, {2038, 1, 19, 3, 14, 8, 2}},
	{-2208988800, 0, {1900, 1, 1, 0, 0, 0, 1}},
	{-62135596800, 0, {1, 1, 1, 0, 0, 0, 1}},
	{253402300799, 0, {9999, 12, 31, 23, 59, 59, 5}},
};

static void expect_civil(struct civil_time got, struct civil_time want)
{
	assert_int_equal(got.year, want.year);
	assert_int_equal(got.month, want.month);
	assert_int_equal(got.day, want.day);
	assert_int_equal(got.hour, want.hour);
	assert_int_equal(got.minute, want.minute);
	assert_int_equal(got.second, want.second);
	assert_int_equal(got.weekday, want.weekday);
}

static void test_known_moments(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		expect_civil(civil_of(known[i].seconds, known[i].zone_minutes), known[i].t);
		assert_true(civil_to_seconds(&known[i].t, known[i].zone_minutes) == known[i].seconds);
	}
}

/* Every day of 800 years follows the one before, by counting. */
static void test_every_day_counted(void **state UNUSED)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct civil_time want = {1600, 1, 1, 12, 0, 0, 6};
	int64_t seconds = civil_to_seconds(&want, 0);

	while (want.year < 2400) {
		bool leap = want.year % 4 == 0 && (want.year % 100 != 0 || want.year % 400 == 0);

		expect_civil(civil_of(seconds, 0), want);
		assert_true(civil_to_seconds(&want, 0) == seconds);
		seconds += 86400;
		want.weekday = (want.weekday + 1) % 7;
		if (++want.day > lengths[want.month - 1] + (want.month == 2 && leap)) {
			want.day = 1;
			if (++want.month > 12) {
				want.month = 1;
				want.year++;
			}
		}
	}
}

static void expect_date(int64_t seconds, int zone_minutes, const char *text)
{
	struct buffer b = BUFFER_INIT(100);

	buffer_put_date(&b, seconds, zone_minutes);
	assert_string_equal(buffer_text(&b), text);
	buffer_free(&b);
}

static void test_dates_in_text(void **state UNUSED)
{
	expect_date(698020320, 60, "Thu, 13 Feb 1992 23:32:00 +0100");
	expect_date(0, 0, "Thu, 01 Jan 1970 00:00:00 +0000");
	expect_date(0, -210, "Wed, 31 Dec 1969 20:30:00 -0330");
	expect_date(0, 345, "Thu, 01 Jan 1970 05:45:00 +0545");
	expect_date(0, -30, "Wed, 31 Dec 1969 23:30:00 -0030");
}

static void test_the_real_clock(void **state UNUSED)
{
	int64_t before = clock_monotonic_us(clock_system());
	struct civil_time t = civil_of(clock_wall_ms(clock_system()) / 1000, 0);

	assert_true(clock_monotonic_us(clock_system()) >= before);
	assert_true(t.year >= 2024 && t.year < 2200);
	assert_true(clock_random_u64(clock_system()) != clock_random_u64(clock_system()));
	clock_random(clock_system(), NULL, 0);
}

static int64_t fixed_wall(void *context)
{
	return *(int64_t *)context;
}

static void fixed_random(void *context, void *bytes, size_t len)
{
	memset(bytes, (int)*(int64_t *)context, len);
}

static void test_a_clock_can_be_replaced(void **state UNUSED)
{
	int64_t value = 42;
	const struct clock_source clock = {fixed_wall, fixed_wall, fixed_random, &value};

	assert_int_equal(clock_wall_ms(&clock), 42);
	assert_int_equal(clock_monotonic_us(&clock), 42);
	assert_true(clock_random_u64(&clock) == 0x2a2a2a2a2a2a2a2a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_moments),
		cmocka_unit_test(test_every_day_counted),
		cmocka_unit_test(test_dates_in_text),
		cmocka_unit_test(test_the_real_clock),
		cmocka_unit_test(test_a_clock_can_be_replaced),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
