#include "base/hash.h"

#include <xxhash.h>

#ifdef __x86_64__
#include <nmmintrin.h>
#endif

/* One byte at a time; the polynomial is 0x1EDC6F41, bit-reversed. */
static uint32_t crc32c_plain(uint32_t crc, const unsigned char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82F63B78u & (0u - (crc & 1)));
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *at, size_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; at += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, at, 8);
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	for (; len; at++, len--)
		crc = _mm_crc32_u8(crc, *at);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(~crc, bytes, len);
#endif
	return ~crc32c_plain(~crc, bytes, len);
}

uint64_t hash64(struct slice bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes.at ? bytes.at : "", bytes.len, seed);
}
