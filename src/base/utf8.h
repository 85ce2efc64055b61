/*
 * UTF-8 (RFC 3629): validity, code points. Strict: no surrogates, no overlong forms, nothing above U+10FFFF. Pure.
 */
#ifndef PENFOLD_BASE_UTF8_H
#define PENFOLD_BASE_UTF8_H

#include "base/buffer.h"

bool utf8_is_valid(struct slice s);
bool utf8_is_ascii(struct slice s);
/* The first code point of *rest, which moves on; -EBADMSG (and *rest moves one byte) where it is not UTF-8. */
int32_t utf8_next(struct slice *rest);
void buffer_put_utf8(struct buffer *b, uint32_t code_point); /* U+FFFD for what is no code point */

#endif
