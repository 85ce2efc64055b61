/*
 * Bounded growable buffers: how Penfold writes bytes.
 *
 * A buffer cannot be made without its maximum. Appending never fails at once: the first failure (no memory: -ENOMEM,
 * maximum reached: -ENOBUFS) sticks, later appends do nothing, and buffer_error() tells at the end. So one check
 * serves a whole sequence of appends. The memory is owned by the buffer until buffer_free().
 * Not thread safe; a buffer belongs to whoever made it.
 */
#ifndef PENFOLD_BASE_BUFFER_H
#define PENFOLD_BASE_BUFFER_H

#include <stdarg.h>

#include "base/slice.h"

struct buffer {
	char *at;
	size_t len;
	size_t room; /* allocated bytes, never more than max */
	size_t max;  /* most bytes it may ever hold */
	int error;   /* 0, -ENOMEM or -ENOBUFS; sticks until buffer_reset() */
};

#define BUFFER_INIT(max_bytes) ((struct buffer){NULL, 0, 0, (max_bytes), 0})

void buffer_free(struct buffer *b); /* releases the memory; the buffer is then empty and usable again */
/* Empties it and clears the error; keeps the memory. */
static inline void buffer_reset(struct buffer *b)
{
	b->len = 0;
	b->error = 0;
}
/* The same; what is more than `keep` bytes is given back. */
void buffer_recycle(struct buffer *b, size_t keep);
MUST_CHECK static inline int buffer_error(const struct buffer *b)
{
	return b->error;
}
/* Valid until the next append. */
static inline struct slice buffer_slice(const struct buffer *b)
{
	return (struct slice){b->at, b->len};
}

/* Room for `len` more bytes to be written at the returned place, then added with buffer_added(); NULL on failure. */
char *buffer_grow(struct buffer *b, size_t len); /* what buffer_room() does when there is none yet */
static inline char *buffer_room(struct buffer *b, size_t len)
{
	if (b->at && !b->error && len <= b->room - b->len)
		return b->at + b->len;
	return buffer_grow(b, len);
}
void buffer_added(struct buffer *b, size_t len);

static inline void buffer_put(struct buffer *b, struct slice bytes)
{
	char *room = buffer_room(b, bytes.len);

	if (room && bytes.len) {
		memcpy(room, bytes.at, bytes.len);
		b->len += bytes.len;
	}
}
static inline void buffer_put_byte(struct buffer *b, char byte)
{
	char *room = buffer_room(b, 1);

	if (room) {
		*room = byte;
		b->len++;
	}
}
void buffer_put_text(struct buffer *b, const char *text); /* NUL-terminated */
void buffer_put_u64(struct buffer *b, uint64_t value);    /* in decimal */
/* In decimal, with zeros before it; what is longer loses its first digits. At most 20 digits. */
void buffer_put_padded(struct buffer *b, uint64_t value, unsigned digits);
void buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_vprintf(struct buffer *b, const char *format, va_list args) PRINTF_LIKE(2, 0);

void buffer_truncate(struct buffer *b, size_t len); /* keeps the first `len` bytes */
void buffer_consume(struct buffer *b, size_t len);  /* drops the first `len` bytes (moves the rest) */
const char *buffer_text(struct buffer *b);          /* NUL-terminated (the NUL is not counted); "" on failure */

/* Little-endian integers and length-prefixed bytes, the form of everything Penfold stores: see codec.h to read. */
void buffer_put_le16(struct buffer *b, uint16_t value);
void buffer_put_le32(struct buffer *b, uint32_t value);
void buffer_put_le64(struct buffer *b, uint64_t value);
void buffer_put_varint(struct buffer *b, uint64_t value);    /* LEB128, 1 to 10 bytes */
void buffer_put_sized(struct buffer *b, struct slice bytes); /* varint length, then the bytes */
/* Big-endian, for keys whose byte order must be their numeric order. */
void buffer_put_be32(struct buffer *b, uint32_t value);
void buffer_put_be64(struct buffer *b, uint64_t value);

/* Base64 (RFC 4648 §4) and hexadecimal. Decoding: -EBADMSG on anything else than strict, padded base64. */
void buffer_put_base64(struct buffer *b, struct slice bytes);
MUST_CHECK int buffer_put_base64_decoded(struct buffer *b, struct slice text);
void buffer_put_hex(struct buffer *b, struct slice bytes);

#endif
