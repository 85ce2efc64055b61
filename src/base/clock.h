/*
 * Time and randomness, replaceable: what decides anything by the clock or by chance takes a `struct clock_source`
 * so that a test can drive it from a seed. clock_system() is the real one. Any thread.
 */
#ifndef PENFOLD_BASE_CLOCK_H
#define PENFOLD_BASE_CLOCK_H

#include "base/buffer.h"

struct clock_source {
	int64_t (*wall_ms)(void *context);                      /* milliseconds since 1970-01-01 UTC */
	int64_t (*monotonic_us)(void *context);                 /* microseconds, never goes back */
	void (*random)(void *context, void *bytes, size_t len); /* cannot fail */
	void *context;
};

const struct clock_source *clock_system(void);
int64_t clock_wall_ms(const struct clock_source *clock);
int64_t clock_monotonic_us(const struct clock_source *clock);
void clock_random(const struct clock_source *clock, void *bytes, size_t len);
uint64_t clock_random_u64(const struct clock_source *clock);

/* Civil time of `seconds` since 1970 at `zone_minutes` east of UTC (proleptic Gregorian). */
struct civil_time {
	int year, month, day; /* month 1-12, day 1-31 */
	int hour, minute, second;
	int weekday; /* 0 = Sunday */
};
struct civil_time civil_of(int64_t seconds, int zone_minutes);
int64_t civil_to_seconds(const struct civil_time *t, int zone_minutes); /* weekday is ignored */
void buffer_put_clock(struct buffer *b, const struct civil_time *t);    /* "23:32:54" */
/* "Thu, 13 Feb 1992 23:32:54 +0100" (RFC 5322 §3.3). */
void buffer_put_date(struct buffer *b, int64_t seconds, int zone_minutes);

#endif
