/* Looking for a string: sixty-four places at a time by its first and its last byte, and where they may be, sixteen. */
#include "base/slice.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	VECTOR = 16,
	NEEDLE_MAX = 256, /* what is longer, and a text with so many places that only look like it, */
	WRONG_MAX = 1024  /* is read as the C library does: in linear time, whatever it is */
};

static size_t find_plain(struct slice s, size_t from, struct slice needle)
{
	const char *found = from < s.len ? memmem(s.at + from, s.len - from, needle.at, needle.len) : NULL;

	return found ? (size_t)(found - s.at) : SIZE_MAX;
}

#ifdef __SSE2__

static __m128i both(const char *at, __m128i first, size_t distance, __m128i last)
{
	const __m128i *one = (const __m128i *)(const void *)at, *other = (const __m128i *)(const void *)(at + distance);

	return _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(one), first), _mm_cmpeq_epi8(_mm_loadu_si128(other), last));
}

/* Skips what has no such place, four times as many places at a time. */
static size_t skip(struct slice s, size_t at, __m128i first, size_t distance, __m128i last)
{
	for (; at + distance + 4 * VECTOR <= s.len; at += 4 * VECTOR) {
		__m128i any = both(s.at + at, first, distance, last);

		for (size_t i = 1; i < 4; i++)
			any = _mm_or_si128(any, both(s.at + at + i * VECTOR, first, distance, last));
		if (_mm_movemask_epi8(any))
			break;
	}
	return at;
}

static size_t find_vector(struct slice s, struct slice needle)
{
	const __m128i first = _mm_set1_epi8(needle.at[0]), last = _mm_set1_epi8(needle.at[needle.len - 1]);
	size_t distance = needle.len - 1, at = skip(s, 0, first, distance, last), wrong = 0;

	for (; wrong < WRONG_MAX && at + distance + VECTOR <= s.len; at = skip(s, at + VECTOR, first, distance, last)) {
		unsigned places = (unsigned)_mm_movemask_epi8(both(s.at + at, first, distance, last));

		for (; places; places &= places - 1, wrong++) {
			size_t place = at + (size_t)__builtin_ctz(places);

			if (memcmp(s.at + place, needle.at, needle.len) == 0)
				return place;
		}
	}
	return find_plain(s, at, needle);
}

#else

static size_t find_vector(struct slice s, struct slice needle)
{
	return find_plain(s, 0, needle);
}

#endif

size_t slice_find(struct slice s, struct slice needle)
{
	if (needle.len == 0)
		return 0;
	if (needle.len == 1)
		return slice_find_byte(s, needle.at[0]);
	if (s.len < needle.len)
		return SIZE_MAX;
	return needle.len <= NEEDLE_MAX ? find_vector(s, needle) : find_plain(s, 0, needle);
}
