/*
 * Slices: how Penfold reads bytes.
 *
 * A slice is a pointer and a length; it owns nothing and is not NUL-terminated. Whoever hands out a slice says
 * how long it stays valid. An empty slice may have a NULL pointer. Every function here is pure, never allocates
 * and may be called from any thread. Case-insensitive comparison folds ASCII only.
 */
#ifndef PENFOLD_BASE_SLICE_H
#define PENFOLD_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

struct slice {
	const char *at;
	size_t len;
};

/* A slice of a string literal, without its NUL. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (s).len ? (s).at : ""

struct slice slice_of(const char *text); /* of a NUL-terminated string; NULL gives an empty slice */
static inline struct slice slice_make(const void *at, size_t len)
{
	return (struct slice){(const char *)at, len};
}
/* Without its first `offset` bytes; empty when beyond. */
static inline struct slice slice_from(struct slice s, size_t offset)
{
	if (offset >= s.len)
		return (struct slice){NULL, 0};
	return (struct slice){s.at + offset, s.len - offset};
}
/* Its first `len` bytes, or all. */
static inline struct slice slice_first(struct slice s, size_t len)
{
	return (struct slice){s.at, MIN(s.len, len)};
}
struct slice slice_trim(struct slice s); /* without surrounding space, tab, CR and LF */

bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
int slice_compare(struct slice a, struct slice b); /* bytewise, then by length; like memcmp */

/* Offset of the first such byte or text; SIZE_MAX when there is none. */
size_t slice_find_byte(struct slice s, char byte);
size_t slice_find_last_byte(struct slice s, char byte);
size_t slice_find(struct slice s, struct slice needle);

/*
 * Splits *rest at the first `separator`: returns what stands before it and leaves in *rest what stands after;
 * without a separator returns all and leaves *rest empty with a NULL pointer.
 */
struct slice slice_split(struct slice *rest, char separator);

/* Decimal digits only, the whole slice; -EINVAL for anything else, -ERANGE above `max`. */
MUST_CHECK int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value);

char byte_lower(char c);
char byte_upper(char c);
bool byte_is_digit(char c);
bool byte_is_alpha(char c);
bool byte_is_space(char c); /* space, tab, CR, LF */

#endif
