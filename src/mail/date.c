/* RFC 5322 §3.3 and §4.3: dates. The order of the pieces is not insisted on: each is known by its look. */
#include "mail/internal.h"

enum { VALUE_MAX = 256 };

struct date {
	int year, month, day, hour, minute, second, zone;
	bool has_year, has_month, has_day, has_time, has_zone;
};

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

static const struct {
	char name[4];
	int hours;
} zones[] = {
	{"ut", 0},
	{"utc", 0},
	{"gmt", 0},
	{"z", 0},
	{"edt", -4},
	{"est", -5},
	{"cdt", -5},
	{"cst", -6},
	{"mdt", -6},
	{"mst", -7},
	{"pdt", -7},
	{"pst", -8},
};

/* Digits at the start, at most nine of them. */
static size_t digits_read(struct slice s, int *ret_value)
{
	size_t len = 0;
	int value = 0;

	while (len < s.len && len < 9 && byte_is_digit(s.at[len]))
		value = value * 10 + (s.at[len++] - '0');
	*ret_value = value;
	return len;
}

static bool month_read(struct slice word, struct date *date)
{
	for (int i = 0; i < 12 && word.len >= 3; i++) {
		if (!slice_starts_nocase(word, slice_make(months + i * 3, 3)))
			continue;
		date->month = i + 1;
		date->has_month = true;
		return true;
	}
	return false;
}

static void zone_name_read(struct slice word, struct date *date)
{
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (slice_equal_nocase(word, slice_of(zones[i].name)))
			date->zone = zones[i].hours * 60;
	/* Every other name counts as -0000 (RFC 5322 §4.3). */
	date->has_zone = true;
}

/* hh:mm or hh:mm:ss; how much was read, 0 when it is none. */
static size_t time_read(struct slice s, struct date *date)
{
	int hour, minute, second = 0;
	size_t len = digits_read(s, &hour), more;

	if (len == 0 || len > 2 || len >= s.len || s.at[len] != ':')
		return 0;
	more = digits_read(slice_from(s, len + 1), &minute);
	if (more == 0 || more > 2)
		return 0;
	len += 1 + more;
	if (len < s.len && s.at[len] == ':') {
		more = digits_read(slice_from(s, len + 1), &second);
		if (more == 0 || more > 2)
			return 0;
		len += 1 + more;
	}
	if (hour > 23 || minute > 59 || second > 60)
		return 0;
	date->hour = hour;
	date->minute = minute;
	date->second = second;
	date->has_time = true;
	return len;
}

/* +hhmm or -hhmm; how much was read. */
static size_t zone_read(struct slice s, struct date *date)
{
	int value;
	size_t len = digits_read(slice_from(s, 1), &value);

	if (len != 4 || !date->has_time)
		return 0;
	if (value / 100 <= 23 && value % 100 <= 59)
		date->zone = (value / 100 * 60 + value % 100) * (s.at[0] == '-' ? -1 : 1);
	date->has_zone = true;
	return len + 1;
}

static size_t number_read(struct slice s, struct date *date)
{
	int value;
	size_t len = digits_read(s, &value);

	if (!date->has_day && len <= 2) {
		date->day = value;
		date->has_day = true;
	} else if (!date->has_year && len >= 2) {
		/* Two digits from 50 and three digits count from 1900, two below 50 from 2000 (RFC 5322 §4.3). */
		if (len == 2)
			value += value < 50 ? 2000 : 1900;
		else if (len == 3)
			value += 1900;
		date->year = value;
		date->has_year = true;
	}
	return len;
}

/* One piece at the start of s; always moves on. */
static size_t piece_read(struct slice s, struct date *date)
{
	size_t len = 0;

	if (byte_is_digit(s.at[0])) {
		if (!date->has_time)
			len = time_read(s, date);
		return len ? len : number_read(s, date);
	}
	if ((s.at[0] == '+' || s.at[0] == '-') && !date->has_zone)
		len = zone_read(s, date);
	if (len == 0 && byte_is_alpha(s.at[0])) {
		struct slice word;

		while (len < s.len && byte_is_alpha(s.at[len]))
			len++;
		word = slice_first(s, len);
		if (!(!date->has_month && month_read(word, date)) && date->has_time && !date->has_zone)
			zone_name_read(word, date);
	}
	return len ? len : 1;
}

/* Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static int month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/*
 * Comments and white space are taken out around colons, where they may stand (RFC 5322 §4.3), and become one space
 * elsewhere. A longer value than `room` is no date.
 */
static struct slice plain_copy(struct slice value, char *room, size_t room_bytes)
{
	struct lexer lexer = lexer_make(value);
	bool space = false;
	size_t len = 0;

	while (lexer_space(&lexer) && lexer.at < lexer.end && len + 2 < room_bytes) {
		if (space && len && room[len - 1] != ':' && *lexer.at != ':')
			room[len++] = ' ';
		while (lexer.at < lexer.end && !byte_is_space(*lexer.at) && *lexer.at != '(' && len + 2 < room_bytes)
			room[len++] = *lexer.at++;
		space = true;
	}
	return slice_make(room, len);
}

int mail_date_parse(struct slice value, int64_t *ret_seconds, int16_t *ret_zone)
{
	struct date date = {0};
	char room[VALUE_MAX];
	struct slice rest = plain_copy(value, room, sizeof(room));

	while (rest.len)
		rest = slice_from(rest, piece_read(rest, &date));
	if (!date.has_day || !date.has_month || !date.has_year || !date.has_time)
		return -EBADMSG;
	if (date.year < 1 || date.year > 9999 || date.day < 1 || date.day > month_days(date.year, date.month))
		return -EBADMSG;
	*ret_seconds = days_of(date.year, date.month, date.day) * 86400 + date.hour * 3600 + date.minute * 60 +
		       date.second - date.zone * 60;
	*ret_zone = (int16_t)date.zone;
	return 0;
}
