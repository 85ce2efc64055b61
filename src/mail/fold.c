#include <utf8proc.h>

#include "mail/internal.h"

enum { DECOMPOSED_MAX = 64 };

/* RFC 5051 §2: the titlecase form, then its decomposition all the way down. */
static void put_folded(struct buffer *out, int32_t c)
{
	utf8proc_int32_t parts[DECOMPOSED_MAX];
	int boundary = 0;
	utf8proc_ssize_t count = utf8proc_decompose_char(
		utf8proc_totitle(c), parts, DECOMPOSED_MAX, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);

	if (count < 0 || count > DECOMPOSED_MAX) {
		buffer_put_utf8(out, (uint32_t)c);
		return;
	}
	for (utf8proc_ssize_t i = 0; i < count; i++)
		buffer_put_utf8(out, (uint32_t)parts[i]);
}

/* How many bytes at the beginning are ASCII. */
static size_t ascii_run(const char *at, size_t len)
{
	static const uint64_t tops = 0x8080808080808080;
	size_t run = 0;

	for (uint64_t bytes; run + sizeof(bytes) <= len; run += sizeof(bytes)) {
		memcpy(&bytes, at + run, sizeof(bytes));
		if (bytes & tops)
			break;
	}
	while (run < len && !((unsigned char)at[run] & 0x80))
		run++;
	return run;
}

/* Without a branch or a call, so that many are changed at a time. */
static void put_upper(char *restrict to, const char *restrict from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (char)(from[i] - (((unsigned)(unsigned char)from[i] - 'a' < 26) << 5));
}

void mail_text_fold(struct slice utf8, struct buffer *out)
{
	while (utf8.len && !out->error) {
		char *room = buffer_room(out, MIN(utf8.len, out->max - out->len));
		size_t run = room ? ascii_run(utf8.at, MIN(utf8.len, out->max - out->len)) : 0;
		struct slice rest;
		int32_t c;

		if (run) {
			put_upper(room, utf8.at, run);
			buffer_added(out, run);
			utf8 = slice_from(utf8, run);
			continue;
		}
		rest = utf8;
		c = utf8_next(&rest);
		if (c >= 0)
			put_folded(out, c);
		else
			buffer_put_byte(out, utf8.at[0]);
		utf8 = rest;
	}
}
