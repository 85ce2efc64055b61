#include "base/buffer.h"

enum { FIRST_ROOM = 64 };

void buffer_free(struct buffer *b)
{
	free(b->at);
	*b = BUFFER_INIT(b->max);
}

char *buffer_grow(struct buffer *b, size_t len)
{
	size_t room = b->room ? b->room : FIRST_ROOM;
	char *grown;

	if (b->error)
		return NULL;
	if (len > b->max || b->len > b->max - len) {
		b->error = -ENOBUFS;
		return NULL;
	}
	while (room - b->len < len)
		room *= 2;
	room = MIN(room, b->max);
	grown = realloc(b->at, MAX(room, 1));
	if (!grown) {
		b->error = -ENOMEM;
		return NULL;
	}
	b->at = grown;
	b->room = room;
	return b->at + b->len;
}

void buffer_added(struct buffer *b, size_t len)
{
	CHECK(len <= b->room - b->len);
	b->len += len;
}

void buffer_put_text(struct buffer *b, const char *text)
{
	buffer_put(b, slice_of(text));
}

void buffer_put_u64(struct buffer *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buffer_put(b, (struct slice){digits + at, sizeof(digits) - at});
}

void buffer_put_padded(struct buffer *b, uint64_t value, unsigned digits)
{
	char text[20];

	CHECK(digits <= sizeof(text));
	for (unsigned at = digits; at > 0; value /= 10)
		text[--at] = (char)('0' + value % 10);
	buffer_put(b, (struct slice){text, digits});
}

void buffer_vprintf(struct buffer *b, const char *format, va_list args)
{
	char small[256];
	va_list again;
	char *room;
	int len;

	va_copy(again, args);
	len = vsnprintf(small, sizeof(small), format, args);
	CHECK(len >= 0);
	if ((size_t)len < sizeof(small)) {
		buffer_put(b, (struct slice){small, (size_t)len});
	} else {
		room = buffer_room(b, (size_t)len + 1);
		if (room) {
			(void)vsnprintf(room, (size_t)len + 1, format, again);
			b->len += (size_t)len;
		}
	}
	va_end(again);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buffer_vprintf(b, format, args);
	va_end(args);
}

void buffer_recycle(struct buffer *b, size_t keep)
{
	if (b->room > keep)
		buffer_free(b);
	buffer_reset(b);
}

void buffer_truncate(struct buffer *b, size_t len)
{
	CHECK(len <= b->len);
	b->len = len;
}

void buffer_consume(struct buffer *b, size_t len)
{
	CHECK(len <= b->len);
	if (len == 0)
		return;
	b->len -= len;
	memmove(b->at, b->at + len, b->len);
}

const char *buffer_text(struct buffer *b)
{
	char *room = buffer_room(b, 1);

	if (!room)
		return "";
	*room = '\0';
	return b->at;
}

static void put_little_endian(struct buffer *b, uint64_t value, size_t bytes)
{
	char *room = buffer_room(b, bytes);

	if (!room)
		return;
	for (size_t i = 0; i < bytes; i++)
		room[i] = (char)(value >> (8 * i));
	b->len += bytes;
}

static void put_big_endian(struct buffer *b, uint64_t value, size_t bytes)
{
	char *room = buffer_room(b, bytes);

	if (!room)
		return;
	for (size_t i = 0; i < bytes; i++)
		room[i] = (char)(value >> (8 * (bytes - 1 - i)));
	b->len += bytes;
}

void buffer_put_le16(struct buffer *b, uint16_t value)
{
	put_little_endian(b, value, 2);
}

void buffer_put_le32(struct buffer *b, uint32_t value)
{
	put_little_endian(b, value, 4);
}

void buffer_put_le64(struct buffer *b, uint64_t value)
{
	put_little_endian(b, value, 8);
}

void buffer_put_be32(struct buffer *b, uint32_t value)
{
	put_big_endian(b, value, 4);
}

void buffer_put_be64(struct buffer *b, uint64_t value)
{
	put_big_endian(b, value, 8);
}

void buffer_put_varint(struct buffer *b, uint64_t value)
{
	char bytes[10];
	size_t len = 0;

	while (value >= 0x80) {
		bytes[len++] = (char)(value | 0x80);
		value >>= 7;
	}
	bytes[len++] = (char)value;
	buffer_put(b, (struct slice){bytes, len});
}

void buffer_put_sized(struct buffer *b, struct slice bytes)
{
	buffer_put_varint(b, bytes.len);
	buffer_put(b, bytes);
}
