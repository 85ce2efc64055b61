#include "base/codec.h"

#include <byteswap.h>
#include <endian.h>

uint16_t reader_le16(struct reader *r)
{
	struct slice raw = reader_bytes(r, 2);
	uint16_t value = 0;

	if (raw.len)
		memcpy(&value, raw.at, sizeof(value));
	return le16toh(value);
}

uint32_t reader_le32(struct reader *r)
{
	struct slice raw = reader_bytes(r, 4);
	uint32_t value = 0;

	if (raw.len)
		memcpy(&value, raw.at, sizeof(value));
	return le32toh(value);
}

static uint64_t eight_bytes(struct reader *r)
{
	struct slice raw = reader_bytes(r, 8);
	uint64_t value = 0;

	if (raw.len)
		memcpy(&value, raw.at, sizeof(value));
	return value;
}

uint64_t reader_le64(struct reader *r)
{
	return le64toh(eight_bytes(r));
}

uint32_t reader_be32(struct reader *r)
{
	return bswap_32(reader_le32(r));
}

uint64_t reader_be64(struct reader *r)
{
	return be64toh(eight_bytes(r));
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
