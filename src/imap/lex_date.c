/* Dates: RFC 9051 §9 date and date-time. */
#include "imap/lexer.h"

enum { SECONDS_PER_DAY = 86400, YEAR_MIN = 1, ZONE_MINUTES_MAX = 14 * 60 + 59 };

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool fail(struct imap_lexer *l, struct slice rest)
{
	l->rest = rest;
	if (!l->problem)
		l->problem = "Invalid date";
	return false;
}

/* Exactly `digits` digits. */
static bool digits(struct slice *rest, size_t count, int *ret)
{
	int value = 0;

	if (rest->len < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!byte_is_digit(rest->at[i]))
			return false;
		value = value * 10 + (rest->at[i] - '0');
	}
	*rest = slice_from(*rest, count);
	*ret = value;
	return true;
}

static bool byte(struct slice *rest, char c)
{
	if (!rest->len || rest->at[0] != c)
		return false;
	*rest = slice_from(*rest, 1);
	return true;
}

static bool month(struct slice *rest, int *ret)
{
	for (int i = 0; i < 12; i++) {
		if (slice_starts_nocase(*rest, (struct slice){months + 3 * i, 3})) {
			*rest = slice_from(*rest, 3);
			*ret = i + 1;
			return true;
		}
	}
	return false;
}

static bool day_exists(const struct civil_time *t)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = t->year % 4 == 0 && (t->year % 100 != 0 || t->year % 400 == 0);

	return t->year >= YEAR_MIN && t->day >= 1 && t->day <= days[t->month - 1] &&
	       (t->month != 2 || t->day <= 28 || leap);
}

/* "-Feb-1994", behind the day. */
static bool month_year(struct slice *rest, struct civil_time *t)
{
	return byte(rest, '-') && month(rest, &t->month) && byte(rest, '-') && digits(rest, 4, &t->year) &&
	       day_exists(t);
}

static bool day_of_date(struct slice *rest, int *ret)
{
	return digits(rest, 2, ret) || digits(rest, 1, ret);
}

bool lex_date(struct imap_lexer *l, int64_t *ret_days)
{
	struct slice rest = l->rest;
	struct civil_time t = {0};
	bool quoted = byte(&rest, '"');

	if (!day_of_date(&rest, &t.day) || !month_year(&rest, &t) || (quoted && !byte(&rest, '"')))
		return fail(l, l->rest);
	l->rest = rest;
	*ret_days = civil_to_seconds(&t, 0) / SECONDS_PER_DAY; /* a midnight: no remainder, before 1970 either */
	return true;
}

static bool time_of_day(struct slice *rest, struct civil_time *t)
{
	return digits(rest, 2, &t->hour) && byte(rest, ':') && digits(rest, 2, &t->minute) && byte(rest, ':') &&
	       digits(rest, 2, &t->second) && t->hour < 24 && t->minute < 60 && t->second <= 60;
}

static bool zone(struct slice *rest, int16_t *ret)
{
	bool west = byte(rest, '-');
	int hours, minutes, total;

	if ((!west && !byte(rest, '+')) || !digits(rest, 2, &hours) || !digits(rest, 2, &minutes))
		return false;
	total = hours * 60 + minutes;
	if (minutes >= 60 || total > ZONE_MINUTES_MAX)
		return false;
	*ret = (int16_t)(west ? -total : total);
	return true;
}

bool lex_date_time(struct imap_lexer *l, int64_t *ret_seconds, int16_t *ret_zone)
{
	struct slice rest = l->rest;
	struct civil_time t = {0};
	int16_t minutes_east;

	/* date-day-fixed: a space or two digits. */
	if (!byte(&rest, '"') || !(byte(&rest, ' ') ? digits(&rest, 1, &t.day) : day_of_date(&rest, &t.day)) ||
		!month_year(&rest, &t) || !byte(&rest, ' ') || !time_of_day(&rest, &t) || !byte(&rest, ' ') ||
		!zone(&rest, &minutes_east) || !byte(&rest, '"'))
		return fail(l, l->rest);
	l->rest = rest;
	*ret_seconds = civil_to_seconds(&t, minutes_east);
	*ret_zone = minutes_east;
	return true;
}
