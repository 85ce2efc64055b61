/* The charsets mail may name, and the converter that reads each. */
#ifndef PENFOLD_MAIL_CHARSET_H
#define PENFOLD_MAIL_CHARSET_H

#include "mail/internal.h"

/* Read without iconv. US-ASCII is read as UTF-8: what is not ASCII in it is either that or lost. */
#define CHARSET_UTF8   "UTF-8"
#define CHARSET_LATIN1 "ISO-8859-1"
#define CHARSET_UTF7   "UTF-7"

struct charset_name {
	const char *name;      /* lower case letters and digits; the table is sorted by it */
	const char *converter; /* CHARSET_UTF8, CHARSET_LATIN1 or what iconv calls it */
};
const char *charset_converter_name(struct slice charset); /* NULL when the charset is unknown */
const struct charset_name *charset_names(size_t *ret_count);

/* utf7.c: zero-initialise `state`. */
void utf7_feed(struct utf7 *state, struct slice bytes, struct buffer *out);
void utf7_finish(struct utf7 *state, struct buffer *out);

#endif
