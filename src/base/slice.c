#include "base/slice.h"

struct slice slice_of(const char *text)
{
	return (struct slice){text, text ? strlen(text) : 0};
}

struct slice slice_trim(struct slice s)
{
	while (s.len && byte_is_space(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len && byte_is_space(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (byte_lower(a.at[i]) != byte_lower(b.at[i]))
			return false;
	return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal(slice_first(s, prefix.len), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal_nocase(slice_first(s, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len && slice_equal(slice_from(s, s.len - suffix.len), suffix);
}

int slice_compare(struct slice a, struct slice b)
{
	size_t common = MIN(a.len, b.len);
	int order = common ? memcmp(a.at, b.at, common) : 0;

	if (order)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

size_t slice_find_byte(struct slice s, char byte)
{
	const char *found = s.len ? memchr(s.at, byte, s.len) : NULL;

	return found ? (size_t)(found - s.at) : SIZE_MAX;
}

size_t slice_find_last_byte(struct slice s, char byte)
{
	const char *found = s.len ? memrchr(s.at, byte, s.len) : NULL;

	return found ? (size_t)(found - s.at) : SIZE_MAX;
}

struct slice slice_split(struct slice *rest, char separator)
{
	size_t at = slice_find_byte(*rest, separator);
	struct slice before = *rest;

	if (at == SIZE_MAX) {
		*rest = (struct slice){NULL, 0};
		return before;
	}
	before.len = at;
	*rest = (struct slice){rest->at + at + 1, rest->len - at - 1};
	return before;
}

int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (s.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++)
		if (!byte_is_digit(s.at[i]))
			return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		uint64_t digit = (uint64_t)(s.at[i] - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

char byte_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

char byte_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

bool byte_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool byte_is_alpha(char c)
{
	c = byte_lower(c);
	return c >= 'a' && c <= 'z';
}

bool byte_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
