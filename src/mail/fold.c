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

void mail_text_fold(struct slice utf8, struct buffer *out)
{
	while (utf8.len && !out->error) {
		char *room = buffer_room(out, MIN(utf8.len, out->max - out->len));
		size_t most = room ? MIN(utf8.len, out->max - out->len) : 0, run = 0;
		struct slice rest;
		int32_t c;

		while (run < most && !((unsigned char)utf8.at[run] & 0x80)) {
			room[run] = byte_upper(utf8.at[run]);
			run++;
		}
		if (run) {
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
