/*
 * What the bytes of a segment file mean. Pure: bytes in, values out; any thread.
 *
 *   0      header, 512 bytes     magic, version, id, seed of this use, first seq, what was durable then, CRC32C
 *   512    (zero)
 *   1024   seal, 512 bytes       how far the segment goes; written once all of it is durable and no more will come
 *   2048   header again          a copy, in case a sector rots
 *   3072   seal again
 *   4096   records, each at a multiple of 8: 40 bytes of header, payload, zeros up to the next multiple
 *
 * The header is written together with the first records, in one write: a file in which none is valid for the file's own number is a
 * spare. `seed` is random for each use of a file and goes into the CRC of everything in it, so that nothing a recycled file
 * still holds from its earlier use is ever taken for a record, and nobody who sends mail can forge one.
 *
 * `synced_seq`, in every record and header, is the highest number that was known to be durable when it was written. A record that cannot be
 * read is rot when anything valid claims that it was durable, and otherwise the torn end of what nobody was promised.
 *
 * Sectors (512 bytes) are taken to be written whole or not at all; anything more may be torn or reordered until it is synced.
 */
#ifndef PENFOLD_STORE_DISK_LAYOUT_H
#define PENFOLD_STORE_DISK_LAYOUT_H

#include "base/slice.h"

enum {
	SEGMENT_HEADER_BYTES = 4096,
	SEGMENT_SECTOR_BYTES = 512,
	SEGMENT_SEAL_AT = 1024, /* and again SEGMENT_COPY_AT later */
	SEGMENT_COPY_AT = 2048,
	RECORD_HEADER_BYTES = 40,
	RECORD_ALIGN = 8,
};

struct segment_header {
	uint64_t id, seed;
	uint64_t first_seq;  /* the number its first record has; numbers from here on in earlier segments are cut */
	uint64_t synced_seq; /* durable when the header was written */
};

struct segment_seal {
	uint64_t last_seq;
	uint32_t used; /* offset of the first byte after the last record */
};

struct record_header {
	uint32_t payload_crc, bytes;
	uint8_t kind;
	uint64_t seq, account, synced_seq;
};

/* Fills the whole first block, without a seal. */
void segment_header_put(char block[SEGMENT_HEADER_BYTES], const struct segment_header *header);
enum segment_use {
	SEGMENT_IN_USE,  /* *ret_header is filled, *ret_seal when *ret_sealed */
	SEGMENT_SPARE,   /* zeros, or the header of an earlier use */
	SEGMENT_DAMAGED, /* neither */
};
enum segment_use segment_header_get(const char block[SEGMENT_HEADER_BYTES], uint64_t id,
	struct segment_header *ret_header, bool *ret_sealed, struct segment_seal *ret_seal);
/* Offset in the block of the first byte that is not as it was written; SEGMENT_HEADER_BYTES: none. `seal` NULL: of a seal nothing is known. */
uint32_t segment_block_fault(
	const char block[SEGMENT_HEADER_BYTES], const struct segment_header *header, const struct segment_seal *seal);
void segment_seal_put(char sector[SEGMENT_SECTOR_BYTES], uint64_t seed, const struct segment_seal *seal);

uint64_t record_room(uint64_t payload_bytes); /* bytes that a record takes in its segment */
void record_header_put(char to[RECORD_HEADER_BYTES], uint64_t seed, const struct record_header *header);
/* Rewrites only synced_seq of a header that is not on disk yet. */
void record_header_claim(char at[RECORD_HEADER_BYTES], uint64_t seed, uint64_t synced_seq);
bool record_header_get(const char from[RECORD_HEADER_BYTES], uint64_t seed, struct record_header *ret_header);
/* Puts right the one bit that is wrong in a header, its checksum included. False: more than that is. */
bool record_header_mend(char at[RECORD_HEADER_BYTES], uint64_t seed);
/* Can this be a header at all? A quick test that lets a search pass over most places. */
bool record_header_maybe(const char from[RECORD_HEADER_BYTES], uint64_t seed);

#endif
