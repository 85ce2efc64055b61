/*
 * Reading what buffer_put_le32() and its kin wrote: a cursor over a slice that never reads beyond it.
 *
 * Like a buffer, a reader's first failure sticks: later reads give 0 or an empty slice, and reader_error() says
 * -EBADMSG at the end. Slices it returns point into the slice it reads.
 */
#ifndef PENFOLD_BASE_CODEC_H
#define PENFOLD_BASE_CODEC_H

#include "base/slice.h"

struct reader {
	struct slice rest;
	int error;
};

#define READER_INIT(bytes) ((struct reader){(bytes), 0})

uint16_t reader_le16(struct reader *r);
uint32_t reader_le32(struct reader *r);
uint64_t reader_le64(struct reader *r);
uint32_t reader_be32(struct reader *r);
uint64_t reader_be64(struct reader *r);
uint64_t reader_varint_long(struct reader *r); /* what reader_varint() does with more than one byte */
/* Most are one byte: rows of the index are full of them. */
static inline uint64_t reader_varint(struct reader *r)
{
	if (r->error || !r->rest.len || (*r->rest.at & 0x80))
		return reader_varint_long(r);
	r->rest.len--;
	return (unsigned char)*r->rest.at++;
}
static inline struct slice reader_bytes(struct reader *r, size_t len)
{
	struct slice taken = {r->rest.at, len};

	if (r->error || len > r->rest.len) {
		r->error = r->error ? r->error : -EBADMSG;
		return (struct slice){NULL, 0};
	}
	if (len) {
		r->rest.at += len;
		r->rest.len -= len;
	}
	return taken;
}
/* Varint length, then the bytes. */
static inline struct slice reader_sized(struct reader *r)
{
	uint64_t len = reader_varint(r);

	return reader_bytes(r, (size_t)MIN(len, (uint64_t)SIZE_MAX));
}
static inline uint8_t reader_u8(struct reader *r)
{
	struct slice byte = reader_bytes(r, 1);

	return byte.len ? (uint8_t)*byte.at : 0;
}
MUST_CHECK int reader_error(const struct reader *r);
/* As reader_error(), and -EBADMSG when bytes are left over. */
MUST_CHECK int reader_finish(const struct reader *r);

#endif
