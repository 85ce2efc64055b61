#include "base/clock.h"

#include <sys/random.h>

static int64_t system_wall_ms(void *context)
{
	struct timespec now;

	(void)context;
	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_monotonic_us(void *context)
{
	struct timespec now;

	(void)context;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void system_random(void *context, void *bytes, size_t len)
{
	(void)context;
	while (len) {
		ssize_t got = getrandom(bytes, len, 0);

		if (got < 0) {
			CHECK(errno == EINTR);
			continue;
		}
		bytes = (char *)bytes + got;
		len -= (size_t)got;
	}
}

static const struct clock_source system_clock = {system_wall_ms, system_monotonic_us, system_random, NULL};

const struct clock_source *clock_system(void)
{
	return &system_clock;
}

int64_t clock_wall_ms(const struct clock_source *clock)
{
	return clock->wall_ms(clock->context);
}

int64_t clock_monotonic_us(const struct clock_source *clock)
{
	return clock->monotonic_us(clock->context);
}

void clock_random(const struct clock_source *clock, void *bytes, size_t len)
{
	clock->random(clock->context, bytes, len);
}

uint64_t clock_random_u64(const struct clock_source *clock)
{
	uint64_t value;

	clock_random(clock, &value, sizeof(value));
	return value;
}

/* Days since 1970-01-01 of a date, counting years from March so that the leap day comes last. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t era, year_of_era, day_of_year;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

struct civil_time civil_of(int64_t seconds, int zone_minutes)
{
	struct civil_time t;
	int64_t local = seconds + (int64_t)zone_minutes * 60;
	int64_t days = local / 86400;
	int64_t rest = local % 86400;
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	t.hour = (int)(rest / 3600);
	t.minute = (int)(rest / 60 % 60);
	t.second = (int)(rest % 60);
	t.weekday = (int)(((days + 4) % 7 + 7) % 7);
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	t.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	t.month = (int)(month < 10 ? month + 3 : month - 9);
	t.year = (int)(year_of_era + era * 400 + (t.month <= 2));
	return t;
}

int64_t civil_to_seconds(const struct civil_time *t, int zone_minutes)
{
	return days_of(t->year, t->month, t->day) * 86400 + t->hour * 3600 + t->minute * 60 + t->second -
	       (int64_t)zone_minutes * 60;
}

void buffer_put_clock(struct buffer *b, const struct civil_time *t)
{
	buffer_put_padded(b, (uint64_t)t->hour, 2);
	buffer_put_byte(b, ':');
	buffer_put_padded(b, (uint64_t)t->minute, 2);
	buffer_put_byte(b, ':');
	buffer_put_padded(b, (uint64_t)t->second, 2);
}

void buffer_put_date(struct buffer *b, int64_t seconds, int zone_minutes)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct civil_time t = civil_of(seconds, zone_minutes);
	int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;

	buffer_put(b, (struct slice){days[t.weekday], 3});
	buffer_put(b, SLICE(", "));
	buffer_put_padded(b, (uint64_t)t.day, 2);
	buffer_put_byte(b, ' ');
	buffer_put(b, (struct slice){months[t.month - 1], 3});
	buffer_put_byte(b, ' ');
	buffer_put_padded(b, (uint64_t)t.year, 4);
	buffer_put_byte(b, ' ');
	buffer_put_clock(b, &t);
	buffer_put(b, zone_minutes < 0 ? SLICE(" -") : SLICE(" +"));
	buffer_put_padded(b, (uint64_t)zone / 60, 2);
	buffer_put_padded(b, (uint64_t)zone % 60, 2);
}
