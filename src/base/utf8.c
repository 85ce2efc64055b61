#include "base/utf8.h"

int32_t utf8_next(struct slice *rest)
{
	const unsigned char *at = (const unsigned char *)rest->at;
	size_t more;
	uint32_t code_point, least;

	CHECK(rest->len > 0);
	if (at[0] < 0x80) {
		*rest = slice_from(*rest, 1);
		return at[0];
	}
	if (at[0] >= 0xc2 && at[0] <= 0xdf) {
		more = 1, least = 0x80, code_point = at[0] & 0x1f;
	} else if (at[0] >= 0xe0 && at[0] <= 0xef) {
		more = 2, least = 0x800, code_point = at[0] & 0x0f;
	} else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
		more = 3, least = 0x10000, code_point = at[0] & 0x07;
	} else {
		goto bad;
	}
	if (rest->len <= more)
		goto bad;
	for (size_t i = 1; i <= more; i++) {
		if ((at[i] & 0xc0) != 0x80)
			goto bad;
		code_point = code_point << 6 | (at[i] & 0x3f);
	}
	if (code_point < least || code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
		goto bad;
	*rest = slice_from(*rest, more + 1);
	return (int32_t)code_point;
bad:
	*rest = slice_from(*rest, 1);
	return -EBADMSG;
}

bool utf8_is_valid(struct slice s)
{
	while (s.len)
		if (utf8_next(&s) < 0)
			return false;
	return true;
}

bool utf8_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

void buffer_put_utf8(struct buffer *b, uint32_t c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x80) {
		buffer_put_byte(b, (char)c);
	} else if (c < 0x800) {
		buffer_put_byte(b, (char)(0xc0 | c >> 6));
		buffer_put_byte(b, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buffer_put_byte(b, (char)(0xe0 | c >> 12));
		buffer_put_byte(b, (char)(0x80 | (c >> 6 & 0x3f)));
		buffer_put_byte(b, (char)(0x80 | (c & 0x3f)));
	} else {
		buffer_put_byte(b, (char)(0xf0 | c >> 18));
		buffer_put_byte(b, (char)(0x80 | (c >> 12 & 0x3f)));
		buffer_put_byte(b, (char)(0x80 | (c >> 6 & 0x3f)));
		buffer_put_byte(b, (char)(0x80 | (c & 0x3f)));
	}
}
