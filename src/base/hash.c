#include "base/hash.h"

#include <xxhash.h>

#ifdef __x86_64__
#include <nmmintrin.h>
#include <wmmintrin.h>
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

/*
 * What `crc` becomes when as many zero bytes follow as `power` stands for: n bytes are a multiplication by x^(8n) modulo the polynomial.
 * `power` is x^(8n-33), bit-reversed: the product of two bit-reversed numbers is one bit short, and reducing it multiplies by x^32.
 */
__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_moved(uint32_t crc, uint32_t power)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)power), 0);

	return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

struct crc32c_stretch {
	size_t bytes;
	uint32_t power_1, power_2; /* as many zero bytes, and twice as many */
};

/* The instruction gives its result three cycles late, but can be begun in each: three stretches side by side. */
__attribute__((target("sse4.2,pclmul"))) static inline uint32_t crc32c_three(
	uint32_t crc, const unsigned char *at, struct crc32c_stretch stretch)
{
	uint64_t a = crc, b = 0, c = 0;

	for (size_t i = 0; i < stretch.bytes; i += 8) {
		uint64_t words[3];

		memcpy(&words[0], at + i, 8);
		memcpy(&words[1], at + stretch.bytes + i, 8);
		memcpy(&words[2], at + 2 * stretch.bytes + i, 8);
		a = _mm_crc32_u64(a, words[0]);
		b = _mm_crc32_u64(b, words[1]);
		c = _mm_crc32_u64(c, words[2]);
	}
	return crc32c_moved((uint32_t)a, stretch.power_2) ^ crc32c_moved((uint32_t)b, stretch.power_1) ^ (uint32_t)c;
}

/* Long stretches for long records, then shorter ones: a row of the index is some 1,000 bytes. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_streams(
	uint32_t crc, const unsigned char *at, size_t len)
{
	static const struct crc32c_stretch stretches[] = {
		{512, 0xdd7e3b0c, 0x170076fa}, {256, 0xb9e02b86, 0xdd7e3b0c}, {64, 0x9e4addf8, 0x0d3b6092}};

	for (size_t i = 0; i < ARRAY_LEN(stretches); i++) {
		size_t bytes = 3 * stretches[i].bytes;

		for (; len >= bytes; at += bytes, len -= bytes)
			crc = crc32c_three(crc, at, stretches[i]);
	}
	return crc32c_sse42(crc, at, len);
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2"))
		return ~crc32c_streams(~crc, bytes, len);
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(~crc, bytes, len);
#endif
	return ~crc32c_plain(~crc, bytes, len);
}

/* A CRC is linear: the difference that a bit makes depends only on how many bits come behind it. */
bool crc32c_find_bit(uint32_t difference, size_t len, size_t *ret_bit)
{
	uint32_t state = 1;

	for (size_t behind = 0; behind < len * 8; behind++) {
		state = state >> 1 ^ (0x82F63B78u & (0u - (state & 1)));
		if (state == difference) {
			*ret_bit = len * 8 - 1 - behind;
			return true;
		}
	}
	return false;
}

uint64_t hash64(struct slice bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes.at ? bytes.at : "", bytes.len, seed);
}
