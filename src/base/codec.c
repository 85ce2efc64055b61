#include "base/codec.h"

struct slice reader_bytes(struct reader *r, size_t len)
{
	struct slice taken = {NULL, 0};

	if (r->error)
		return taken;
	if (len > r->rest.len) {
		r->error = -EBADMSG;
		return taken;
	}
	taken = slice_first(r->rest, len);
	if (len) {
		r->rest.at += len;
		r->rest.len -= len;
	}
	return taken;
}

static uint64_t little_endian(struct reader *r, size_t bytes)
{
	struct slice raw = reader_bytes(r, bytes);
	uint64_t value = 0;

	for (size_t i = raw.len; i > 0; i--)
		value = value << 8 | (unsigned char)raw.at[i - 1];
	return value;
}

static uint64_t big_endian(struct reader *r, size_t bytes)
{
	struct slice raw = reader_bytes(r, bytes);
	uint64_t value = 0;

	for (size_t i = 0; i < raw.len; i++)
		value = value << 8 | (unsigned char)raw.at[i];
	return value;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)little_endian(r, 1);
}

uint16_t reader_le16(struct reader *r)
{
	return (uint16_t)little_endian(r, 2);
}

uint32_t reader_le32(struct reader *r)
{
	return (uint32_t)little_endian(r, 4);
}

uint64_t reader_le64(struct reader *r)
{
	return little_endian(r, 8);
}

uint32_t reader_be32(struct reader *r)
{
	return (uint32_t)big_endian(r, 4);
}

uint64_t reader_be64(struct reader *r)
{
	return big_endian(r, 8);
}

uint64_t reader_varint_long(struct reader *r)
{
	enum { BYTES_MAX = 10 };
	size_t len = r->error ? 0 : MIN(r->rest.len, BYTES_MAX);
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)r->rest.at[i];

		if (i == BYTES_MAX - 1 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			r->rest = slice_from(r->rest, i + 1);
			return value;
		}
	}
	r->error = -EBADMSG;
	return 0;
}

struct slice reader_sized(struct reader *r)
{
	uint64_t len = reader_varint(r);

	if (len > r->rest.len && !r->error)
		r->error = -EBADMSG;
	return reader_bytes(r, (size_t)len);
}

int reader_error(const struct reader *r)
{
	return r->error;
}

int reader_finish(const struct reader *r)
{
	if (!r->error && r->rest.len)
		return -EBADMSG;
	return r->error;
}
