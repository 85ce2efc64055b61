/*
 * Checksums and hashes. crc32c() is the CRC-32C (Castagnoli, RFC 3720 §B.4) that guards what is stored, with the CPU's
 * instruction where there is one. hash64() is XXH3: fast, for tables and for keys derived from contents; with a
 * secret random seed for tables that strangers can fill. Any thread.
 */
#ifndef PENFOLD_BASE_HASH_H
#define PENFOLD_BASE_HASH_H

#include "base/slice.h"

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len); /* start with 0; chain by passing the result on */
/*
 * Which single bit of `len` bytes was flipped, when their CRC differs by `difference` (XOR of the right and the found one) from what it should
 * be; bit b of byte n is 8 * n + b. False: it was not one bit of these. No two bits up to 2^31 have the same difference, and two
 * flipped ones never look like one; random damage does once in 2^32 / (8 * len).
 */
bool crc32c_find_bit(uint32_t difference, size_t len, size_t *ret_bit);
uint64_t hash64(struct slice bytes, uint64_t seed);

#endif
