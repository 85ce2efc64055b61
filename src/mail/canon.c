#include "mail/mail.h"

/* Most mail is so already. Without branches in the loop, compilers make vector instructions of it. */
static bool is_canonical(struct slice bytes)
{
	unsigned char bare = 0; /* as narrow as the bytes: a vector then holds as many of them */

	for (size_t i = 1; i < bytes.len; i++)
		bare |= (unsigned char)((bytes.at[i] == '\n') & (bytes.at[i - 1] != '\r'));
	return !bare;
}

void mail_canon_feed(struct mail_canon *canon, struct slice bytes, struct buffer *out)
{
	if (bytes.len && (bytes.at[0] != '\n' || canon->last_was_cr) && is_canonical(bytes)) {
		buffer_put(out, bytes);
		canon->last_was_cr = bytes.at[bytes.len - 1] == '\r';
		return;
	}
	while (bytes.len) {
		const char *lf = memchr(bytes.at, '\n', bytes.len);
		size_t len = lf ? (size_t)(lf - bytes.at) : bytes.len;
		bool after_cr = len ? bytes.at[len - 1] == '\r' : canon->last_was_cr;

		buffer_put(out, slice_first(bytes, len));
		canon->last_was_cr = after_cr;
		if (!lf)
			return;
		buffer_put(out, after_cr ? SLICE("\n") : SLICE("\r\n"));
		canon->last_was_cr = false;
		bytes = slice_from(bytes, len + 1);
	}
}
