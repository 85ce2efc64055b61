/* The text encodings of buffer.h: base64 (RFC 4648 §4) and hexadecimal. */
#include "base/base64.h"
#include "base/buffer.h"

void buffer_put_base64(struct buffer *b, struct slice bytes)
{
	size_t groups = bytes.len / 3, rest = bytes.len % 3, vector = groups * 3;
	char *room = buffer_room(b, (groups + (rest > 0)) * 4);

	if (!room || !bytes.len)
		return;
	/* By way of small arrays, as nothing may be read behind the bytes or written behind the digits. */
	for (size_t at = 0; at < vector; at += 48) {
		char from[48 + BASE64_SLACK] = {0}, to[64 + BASE64_SLACK];
		size_t len = MIN(vector - at, 48);

		memcpy(from, bytes.at + at, len);
		base64_encode(from, len, to);
		memcpy(room + at / 3 * 4, to, len / 3 * 4);
	}
	if (rest)
		base64_encode_last(bytes.at + vector, rest, room + groups * 4);
	buffer_added(b, (groups + (rest > 0)) * 4);
}

/* Two or three digits and padding. Bits beyond the last byte must be zero, so that each text has one meaning. */
static bool decode_padded(const char *text, size_t digits, char *to)
{
	char group[4] = {text[0], text[1], digits == 3 ? text[2] : 'A', 'A'};
	char bytes[3 + BASE64_SLACK];

	if (!base64_decode(group, 4, bytes) || bytes[2] || (digits == 2 && bytes[1]))
		return false;
	memcpy(to, bytes, digits - 1);
	return true;
}

int buffer_put_base64_decoded(struct buffer *b, struct slice text)
{
	size_t padding = 0, whole = text.len, bytes;
	char *room;

	if (text.len % 4)
		return -EBADMSG;
	if (text.len && text.at[text.len - 1] == '=')
		padding = text.at[text.len - 2] == '=' ? 2 : 1;
	if (padding)
		whole -= 4;
	bytes = text.len / 4 * 3 - padding;
	room = buffer_room(b, bytes);
	if (!room)
		return buffer_error(b);
	for (size_t at = 0; at < whole; at += 64) {
		char to[48 + BASE64_SLACK];
		size_t len = MIN(whole - at, 64);

		if (!base64_decode(text.at + at, len, to))
			return -EBADMSG;
		memcpy(room + at / 4 * 3, to, len / 4 * 3);
	}
	if (padding && !decode_padded(text.at + whole, 4 - padding, room + whole / 4 * 3))
		return -EBADMSG;
	buffer_added(b, bytes);
	return 0;
}

void buffer_put_hex(struct buffer *b, struct slice bytes)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.len; i++) {
		buffer_put_byte(b, digits[(unsigned char)bytes.at[i] >> 4]);
		buffer_put_byte(b, digits[(unsigned char)bytes.at[i] & 15]);
	}
}
