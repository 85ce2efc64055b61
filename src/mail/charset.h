/* The charsets mail may name, and the converter that reads each. */
#ifndef PENFOLD_MAIL_CHARSET_H
#define PENFOLD_MAIL_CHARSET_H

#include "mail/internal.h"

/* Read without iconv. US-ASCII is read as UTF-8: what is not ASCII in it is either that or lost. */
#define CHARSET_UTF8   "UTF-8"
#define CHARSET_LATIN1 "ISO-8859-1"

struct charset_name {
	const char *name;      /* lower case letters and digits; the table is sorted by it */
	const char *converter; /* CHARSET_UTF8, CHARSET_LATIN1 or what iconv calls it */
};
const char *charset_converter_name(struct slice charset); /* NULL when the charset is unknown */
const struct charset_name *charset_names(size_t *ret_count);

#endif
