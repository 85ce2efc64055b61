#include "mail/mail.h"

void mail_canon_feed(struct mail_canon *canon, struct slice bytes, struct buffer *out)
{
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
