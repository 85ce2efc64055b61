#include "store/disk/layout.h"

#include <endian.h>

#include "base/hash.h"

/* Offsets in a header or seal sector. */
enum {
	HEADER_CRC = 0,
	HEADER_VERSION = 4,
	HEADER_MAGIC = 8,
	HEADER_ID = 16,
	HEADER_SEED = 24,
	HEADER_FIRST_SEQ = 32,
	HEADER_SYNCED_SEQ = 40,
	HEADER_END = 48,
	SEAL_CRC = 0,
	SEAL_USED = 4,
	SEAL_MAGIC = 8,
	SEAL_LAST_SEQ = 16,
	SEAL_END = 24,
	VERSION = 1,
};

/* Offsets in a record's header. */
enum {
	RECORD_CRC = 0,
	RECORD_PAYLOAD_CRC = 4,
	RECORD_BYTES = 8,
	RECORD_KIND = 12,
	RECORD_TAG = 14,
	RECORD_SEQ = 16,
	RECORD_ACCOUNT = 24,
	RECORD_SYNCED_SEQ = 32,
};

/* No log gets that far, and numbers below it can be added to without a thought. */
#define SEQ_END (UINT64_MAX / 2)

static const char header_magic[8] = {'P', 'F', 'S', 'E', 'G', 'M', 'N', 'T'};
static const char seal_magic[8] = {'P', 'F', 'S', 'E', 'A', 'L', 'E', 'D'};

static void put16(char *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof(value));
}

static void put32(char *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static void put64(char *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static uint16_t get16(const char *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static uint32_t get32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint64_t get64(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

static uint32_t seeded_crc(uint64_t seed, const char *at, size_t len)
{
	char bytes[8];

	put64(bytes, seed);
	return crc32c(crc32c(0, bytes, sizeof(bytes)), at, len);
}

/* ---- Segments ---- */

void segment_header_put(char block[SEGMENT_HEADER_BYTES], const struct segment_header *header)
{
	memset(block, 0, SEGMENT_HEADER_BYTES);
	put32(block + HEADER_VERSION, VERSION);
	memcpy(block + HEADER_MAGIC, header_magic, sizeof(header_magic));
	put64(block + HEADER_ID, header->id);
	put64(block + HEADER_SEED, header->seed);
	put64(block + HEADER_FIRST_SEQ, header->first_seq);
	put64(block + HEADER_SYNCED_SEQ, header->synced_seq);
	put32(block + HEADER_CRC, crc32c(0, block + HEADER_VERSION, HEADER_END - HEADER_VERSION));
	memcpy(block + SEGMENT_COPY_AT, block, HEADER_END);
}

static bool header_read(const char *at, struct segment_header *ret_header)
{
	if (memcmp(at + HEADER_MAGIC, header_magic, sizeof(header_magic)) != 0 ||
		get32(at + HEADER_VERSION) != VERSION ||
		get32(at + HEADER_CRC) != crc32c(0, at + HEADER_VERSION, HEADER_END - HEADER_VERSION))
		return false;
	ret_header->id = get64(at + HEADER_ID);
	ret_header->seed = get64(at + HEADER_SEED);
	ret_header->first_seq = get64(at + HEADER_FIRST_SEQ);
	ret_header->synced_seq = get64(at + HEADER_SYNCED_SEQ);
	return ret_header->first_seq < SEQ_END && ret_header->synced_seq < ret_header->first_seq;
}

static bool seal_read(const char *at, const struct segment_header *header, struct segment_seal *ret_seal)
{
	if (memcmp(at + SEAL_MAGIC, seal_magic, sizeof(seal_magic)) != 0 ||
		get32(at + SEAL_CRC) != seeded_crc(header->seed, at + SEAL_USED, SEAL_END - SEAL_USED))
		return false;
	ret_seal->used = get32(at + SEAL_USED);
	ret_seal->last_seq = get64(at + SEAL_LAST_SEQ);
	return ret_seal->used >= SEGMENT_HEADER_BYTES && ret_seal->last_seq >= header->first_seq &&
	       ret_seal->last_seq < SEQ_END;
}

static bool is_zero(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i])
			return false;
	return true;
}

enum segment_use segment_header_get(const char block[SEGMENT_HEADER_BYTES], uint64_t id,
	struct segment_header *ret_header, bool *ret_sealed, struct segment_seal *ret_seal)
{
	struct segment_header copies[2];
	bool valid[2];
	unsigned spare = 0;

	for (unsigned i = 0; i < 2; i++) {
		valid[i] = header_read(block + (size_t)i * SEGMENT_COPY_AT, &copies[i]);
		if (valid[i] && copies[i].id == id) {
			*ret_header = copies[i];
			*ret_sealed = seal_read(block + SEGMENT_SEAL_AT, &copies[i], ret_seal) ||
				      seal_read(block + SEGMENT_SEAL_AT + SEGMENT_COPY_AT, &copies[i], ret_seal);
			return SEGMENT_IN_USE;
		}
		spare += (valid[i] && copies[i].id < id) ||
			 is_zero(block + (size_t)i * SEGMENT_COPY_AT, SEGMENT_SECTOR_BYTES);
	}
	/* Sectors are written whole: what is neither the old nor the new one has rotted. */
	return spare == 2 ? SEGMENT_SPARE : SEGMENT_DAMAGED;
}

void segment_seal_put(char sector[SEGMENT_SECTOR_BYTES], uint64_t seed, const struct segment_seal *seal)
{
	memset(sector, 0, SEGMENT_SECTOR_BYTES);
	put32(sector + SEAL_USED, seal->used);
	memcpy(sector + SEAL_MAGIC, seal_magic, sizeof(seal_magic));
	put64(sector + SEAL_LAST_SEQ, seal->last_seq);
	put32(sector + SEAL_CRC, seeded_crc(seed, sector + SEAL_USED, SEAL_END - SEAL_USED));
}

/* A crash between the two seals leaves the second one zero. */
static uint32_t seal_fault(const char *block, const char *seal, uint32_t at)
{
	if (is_zero(block + at, SEGMENT_SECTOR_BYTES))
		return SEGMENT_HEADER_BYTES;
	for (uint32_t i = 0; i < SEGMENT_SECTOR_BYTES; i++)
		if (block[at + i] != seal[i])
			return at + i;
	return SEGMENT_HEADER_BYTES;
}

uint32_t segment_block_fault(
	const char block[SEGMENT_HEADER_BYTES], const struct segment_header *header, const struct segment_seal *seal)
{
	char expected[SEGMENT_HEADER_BYTES], sector[SEGMENT_SECTOR_BYTES];
	uint32_t first = SEGMENT_HEADER_BYTES;

	segment_header_put(expected, header);
	if (seal) {
		segment_seal_put(sector, header->seed, seal);
		first = MIN(seal_fault(block, sector, SEGMENT_SEAL_AT),
			seal_fault(block, sector, SEGMENT_SEAL_AT + SEGMENT_COPY_AT));
	}
	for (uint32_t i = 0; i < first; i++) {
		uint32_t in_copy = i % SEGMENT_COPY_AT;

		if (in_copy >= SEGMENT_SEAL_AT && in_copy < SEGMENT_SEAL_AT + SEGMENT_SECTOR_BYTES)
			continue;
		if (block[i] != expected[i])
			return i;
	}
	return first;
}

/* ---- Records ---- */

uint64_t record_room(uint64_t payload_bytes)
{
	return (RECORD_HEADER_BYTES + payload_bytes + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* Never zero: zeroed space is passed over at once. */
static uint16_t record_tag(uint64_t seed)
{
	return (uint16_t)seed | 1;
}

static void record_crc_put(char *at, uint64_t seed)
{
	put32(at + RECORD_CRC, seeded_crc(seed, at + RECORD_PAYLOAD_CRC, RECORD_HEADER_BYTES - RECORD_PAYLOAD_CRC));
}

void record_header_put(char to[RECORD_HEADER_BYTES], uint64_t seed, const struct record_header *header)
{
	put32(to + RECORD_PAYLOAD_CRC, header->payload_crc);
	put32(to + RECORD_BYTES, header->bytes);
	put16(to + RECORD_KIND, header->kind);
	put16(to + RECORD_TAG, record_tag(seed));
	put64(to + RECORD_SEQ, header->seq);
	put64(to + RECORD_ACCOUNT, header->account);
	put64(to + RECORD_SYNCED_SEQ, header->synced_seq);
	record_crc_put(to, seed);
}

void record_header_claim(char at[RECORD_HEADER_BYTES], uint64_t seed, uint64_t synced_seq)
{
	put64(at + RECORD_SYNCED_SEQ, synced_seq);
	record_crc_put(at, seed);
}

bool record_header_maybe(const char from[RECORD_HEADER_BYTES], uint64_t seed)
{
	return get16(from + RECORD_TAG) == record_tag(seed);
}

bool record_header_get(const char from[RECORD_HEADER_BYTES], uint64_t seed, struct record_header *ret_header)
{
	if (!record_header_maybe(from, seed) ||
		get32(from + RECORD_CRC) !=
			seeded_crc(seed, from + RECORD_PAYLOAD_CRC, RECORD_HEADER_BYTES - RECORD_PAYLOAD_CRC))
		return false;
	ret_header->payload_crc = get32(from + RECORD_PAYLOAD_CRC);
	ret_header->bytes = get32(from + RECORD_BYTES);
	ret_header->kind = (uint8_t)get16(from + RECORD_KIND);
	ret_header->seq = get64(from + RECORD_SEQ);
	ret_header->account = get64(from + RECORD_ACCOUNT);
	ret_header->synced_seq = get64(from + RECORD_SYNCED_SEQ);
	return ret_header->seq < SEQ_END && ret_header->synced_seq < ret_header->seq;
}

bool record_header_mend(char at[RECORD_HEADER_BYTES], uint64_t seed)
{
	struct record_header header;
	uint32_t difference = get32(at + RECORD_CRC) ^
			      seeded_crc(seed, at + RECORD_PAYLOAD_CRC, RECORD_HEADER_BYTES - RECORD_PAYLOAD_CRC);
	size_t bit;

	if (difference && !(difference & (difference - 1))) {
		record_crc_put(at, seed); /* the checksum itself */
	} else if (crc32c_find_bit(difference, RECORD_HEADER_BYTES - RECORD_PAYLOAD_CRC, &bit)) {
		bit += (size_t)8 * RECORD_PAYLOAD_CRC;
		at[bit / 8] = (char)(at[bit / 8] ^ 1 << bit % 8);
	}
	return record_header_get(at, seed, &header);
}
