/* The text encodings of buffer.h: base64 (RFC 4648 §4) and hexadecimal. */
#include "base/buffer.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buffer_put_base64(struct buffer *b, struct slice bytes)
{
	char *room = buffer_room(b, (bytes.len + 2) / 3 * 4);
	size_t out = 0;

	if (!room)
		return;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t group = (uint32_t)(unsigned char)bytes.at[i] << 16;

		if (left > 1)
			group |= (uint32_t)(unsigned char)bytes.at[i + 1] << 8;
		if (left > 2)
			group |= (uint32_t)(unsigned char)bytes.at[i + 2];
		room[out++] = base64_digits[group >> 18];
		room[out++] = base64_digits[group >> 12 & 63];
		room[out++] = left > 1 ? base64_digits[group >> 6 & 63] : '=';
		room[out++] = left > 2 ? base64_digits[group & 63] : '=';
	}
	buffer_added(b, out);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int buffer_put_base64_decoded(struct buffer *b, struct slice text)
{
	size_t start = b->len;
	size_t padding = 0;

	if (text.len % 4)
		return -EBADMSG;
	if (text.len && text.at[text.len - 1] == '=')
		padding = text.at[text.len - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < text.len; i += 4) {
		size_t digits = i + 4 == text.len ? 4 - padding : 4;
		uint32_t group = 0;

		for (size_t j = 0; j < digits; j++) {
			int value = base64_value(text.at[i + j]);

			if (value < 0) {
				b->len = start;
				return -EBADMSG;
			}
			group |= (uint32_t)value << (18 - 6 * j);
		}
		/* Bits beyond the last byte must be zero, so that each text has one meaning. */
		if ((digits == 2 && (group & 0xffff)) || (digits == 3 && (group & 0xff))) {
			b->len = start;
			return -EBADMSG;
		}
		for (size_t j = 0; j + 1 < digits; j++)
			buffer_put_byte(b, (char)(group >> (16 - 8 * j)));
	}
	return buffer_error(b);
}

void buffer_put_hex(struct buffer *b, struct slice bytes)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.len; i++) {
		buffer_put_byte(b, digits[(unsigned char)bytes.at[i] >> 4]);
		buffer_put_byte(b, digits[(unsigned char)bytes.at[i] & 15]);
	}
}
