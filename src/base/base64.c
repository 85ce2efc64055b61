#include "base/base64.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static const char digits_of[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint8_t base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	if (c == '+')
		return 62;
	return c == '/' ? 63 : 255;
}

static bool decode_groups(const char *text, size_t digits, char *to)
{
	for (size_t i = 0; i < digits; i += 4) {
		uint8_t a = base64_value(text[i]), b = base64_value(text[i + 1]);
		uint8_t c = base64_value(text[i + 2]), d = base64_value(text[i + 3]);

		if ((a | b | c | d) & 0xc0)
			return false;
		*to++ = (char)(a << 2 | b >> 4);
		*to++ = (char)(b << 4 | c >> 2);
		*to++ = (char)(c << 6 | d);
	}
	return true;
}

static void encode_groups(const char *from, size_t bytes, char *to)
{
	for (size_t i = 0; i < bytes; i += 3) {
		uint32_t group = (uint32_t)(unsigned char)from[i] << 16 | (uint32_t)(unsigned char)from[i + 1] << 8 |
				 (uint32_t)(unsigned char)from[i + 2];

		*to++ = digits_of[group >> 18];
		*to++ = digits_of[group >> 12 & 63];
		*to++ = digits_of[group >> 6 & 63];
		*to++ = digits_of[group & 63];
	}
}

#ifdef __x86_64__

/* All bits set in each byte of `bytes` that is from `first` to `last`. */
__attribute__((target("ssse3"))) static __m128i between(__m128i bytes, char first, char last)
{
	return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)(first - 1))),
		_mm_cmpgt_epi8(_mm_set1_epi8((char)(last + 1)), bytes));
}

/* `shift` in the bytes of `where`. */
__attribute__((target("ssse3"))) static __m128i shift_in(__m128i where, int shift)
{
	return _mm_and_si128(where, _mm_set1_epi8((char)shift));
}

/* Sixteen digits become twelve bytes. */
__attribute__((target("ssse3"))) static bool decode_16(const char *text, char *to)
{
	__m128i in = _mm_loadu_si128((const __m128i *)(const void *)text);
	__m128i upper = between(in, 'A', 'Z'), lower = between(in, 'a', 'z'), number = between(in, '0', '9');
	__m128i plus = _mm_cmpeq_epi8(in, _mm_set1_epi8('+')), slash = _mm_cmpeq_epi8(in, _mm_set1_epi8('/'));
	__m128i known = _mm_or_si128(_mm_or_si128(_mm_or_si128(upper, lower), number), _mm_or_si128(plus, slash));
	__m128i shift = _mm_or_si128(_mm_or_si128(shift_in(upper, -'A'), shift_in(lower, 26 - 'a')),
		_mm_or_si128(
			_mm_or_si128(shift_in(number, 52 - '0'), shift_in(plus, 62 - '+')), shift_in(slash, 63 - '/')));
	__m128i values = _mm_add_epi8(in, shift);
	/* Of each four values of six bits: two numbers of twelve bits, then one of 24, then its three bytes from the high end. */
	__m128i twelve = _mm_maddubs_epi16(values, _mm_set1_epi16(1 << 8 | 64));
	__m128i whole = _mm_madd_epi16(twelve, _mm_set1_epi32(1 << 16 | 4096));

	_mm_storeu_si128((__m128i *)(void *)to,
		_mm_shuffle_epi8(whole, _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1)));
	return _mm_movemask_epi8(known) == 0xffff;
}

/* Twelve bytes become sixteen digits. */
__attribute__((target("ssse3"))) static void encode_12(const char *from, char *to)
{
	__m128i in = _mm_loadu_si128((const __m128i *)(const void *)from);
	/* Each group's bytes a, b, c as b, a, c, b: the six bits of each digit then lie within one 16-bit number. */
	__m128i groups = _mm_shuffle_epi8(in, _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
	/* First and third: shifted down, by multiplying and keeping the high half. Second and fourth: shifted up into the high byte. */
	__m128i odd = _mm_mulhi_epu16(_mm_and_si128(groups, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
	__m128i even = _mm_mullo_epi16(_mm_and_si128(groups, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
	__m128i values = _mm_or_si128(odd, even);
	__m128i shift = _mm_set1_epi8('A');

	shift = _mm_add_epi8(shift, shift_in(_mm_cmpgt_epi8(values, _mm_set1_epi8(25)), 'a' - 26 - 'A'));
	shift = _mm_add_epi8(shift, shift_in(_mm_cmpgt_epi8(values, _mm_set1_epi8(51)), '0' - 52 - ('a' - 26)));
	shift = _mm_add_epi8(shift, shift_in(_mm_cmpgt_epi8(values, _mm_set1_epi8(61)), '+' - 62 - ('0' - 52)));
	shift = _mm_add_epi8(shift, shift_in(_mm_cmpgt_epi8(values, _mm_set1_epi8(62)), '/' - 63 - ('+' - 62)));
	_mm_storeu_si128((__m128i *)(void *)to, _mm_add_epi8(values, shift));
}

/* The same for 24 bytes that become 32 digits: a dozen in each half. */
__attribute__((target("avx2"))) static void encode_24(const char *from, char *to)
{
	__m128i low = _mm_loadu_si128((const __m128i *)(const void *)from);
	__m128i high = _mm_loadu_si128((const __m128i *)(const void *)(from + 12));
	__m256i groups = _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1),
		_mm256_broadcastsi128_si256(_mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10)));
	__m256i odd = _mm256_mulhi_epu16(
		_mm256_and_si256(groups, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
	__m256i even = _mm256_mullo_epi16(
		_mm256_and_si256(groups, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
	__m256i values = _mm256_or_si256(odd, even);
	/* Which shift a value needs: 0 from 'a' on, 1 to 10 the digits, 11 and 12 the marks; 13, with the saturated 0, is for 'A' to 'Z'. */
	__m256i which = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
	__m256i is_upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), values);
	__m256i shift = _mm256_shuffle_epi8(
		_mm256_broadcastsi128_si256(_mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
			'0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0)),
		_mm256_or_si256(which, _mm256_and_si256(is_upper, _mm256_set1_epi8(13))));

	_mm256_storeu_si256((__m256i *)(void *)to, _mm256_add_epi8(values, shift));
}

/* The last step goes over some of what the one before did, and does it again: less work than taking the rest group by group. */
__attribute__((target("ssse3"))) static bool decode_vector(const char *text, size_t digits, char *to)
{
	bool good = true;
	size_t at = 0;

	for (; at + 16 <= digits; at += 16)
		good &= decode_16(text + at, to + at / 4 * 3);
	if (at < digits)
		good &= decode_16(text + digits - 16, to + (digits - 16) / 4 * 3);
	return good;
}

__attribute__((target("ssse3"))) static void encode_vector(const char *from, size_t bytes, char *to)
{
	size_t at = 0;

	for (; at + 12 <= bytes; at += 12)
		encode_12(from + at, to + at / 3 * 4);
	if (at < bytes)
		encode_12(from + bytes - 12, to + (bytes - 12) / 3 * 4);
}

__attribute__((target("avx2"))) static void encode_wide(const char *from, size_t bytes, char *to)
{
	size_t at = 0;

	for (; at + 24 <= bytes; at += 24)
		encode_24(from + at, to + at / 3 * 4);
	if (at < bytes)
		encode_24(from + bytes - 24, to + (bytes - 24) / 3 * 4);
}

/* Where 64 bytes can be looked up at once. */
#define VBMI __attribute__((target("avx512vbmi,avx512bw")))
enum { WIDEST_BYTES = 48, WIDEST_DIGITS = 64 };
#define WIDEST_MASK (((uint64_t)1 << WIDEST_BYTES) - 1)

static bool has_vbmi(void)
{
	return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw");
}

/* For each of 16 groups of three bytes a, b, c, as encode_12() has them: b, a, c, b. */
VBMI static __m512i order_of_groups(void)
{
	__m512i group = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45);

	group = _mm512_or_si512(group, _mm512_slli_epi32(group, 8));
	group = _mm512_or_si512(group, _mm512_slli_epi32(group, 16));
	return _mm512_add_epi8(group, _mm512_set1_epi32(0x01020001));
}

/* 48 bytes become 64 digits. Of b, a, c, b as one number the digits are the six bits from 10, 4, 22 and 16 on. */
VBMI static void encode_48(const char *from, char *to)
{
	__m512i in = _mm512_maskz_loadu_epi8(WIDEST_MASK, from);
	__m512i groups = _mm512_permutexvar_epi8(order_of_groups(), in);
	__m512i values = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x3036242a1016040a), groups);

	_mm512_storeu_si512(to, _mm512_permutexvar_epi8(values, _mm512_loadu_si512(digits_of)));
}

/* The values of the 128 characters of ASCII; 0x80: it is none. */
#define NO4        0x80, 0x80, 0x80, 0x80
#define NO16       NO4, NO4, NO4, NO4
#define SIX(n)     (n), (n) + 1, (n) + 2, (n) + 3, (n) + 4, (n) + 5
#define LETTERS(n) SIX(n), SIX((n) + 6), SIX((n) + 12), SIX((n) + 18), (n) + 24, (n) + 25
static const uint8_t values_of[128] = {NO16, NO16, NO4, NO4, 0x80, 0x80, 0x80, 62, 0x80, 0x80, 0x80, 63, SIX(52), 58,
	59, 60, 61, 0x80, 0x80, NO4, 0x80, LETTERS(0), NO4, 0x80, 0x80, LETTERS(26), NO4, 0x80};
#undef NO4
#undef NO16
#undef SIX
#undef LETTERS

/* 64 digits become 48 bytes. */
VBMI static bool decode_64(const char *text, char *to)
{
	__m512i in = _mm512_loadu_si512(text);
	__m512i values =
		_mm512_permutex2var_epi8(_mm512_loadu_si512(values_of), in, _mm512_loadu_si512(values_of + 64));
	__m512i twelve = _mm512_maddubs_epi16(values, _mm512_set1_epi16(1 << 8 | 64));
	__m512i whole = _mm512_madd_epi16(twelve, _mm512_set1_epi32(1 << 16 | 4096));
	/* The three bytes of each number, from the high end: of byte i of what comes out, byte 2 - i % 3 of number i / 3. */
	static const uint8_t bytes[64] = {2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 18, 17, 16, 22, 21, 20, 26, 25, 24,
		30, 29, 28, 34, 33, 32, 38, 37, 36, 42, 41, 40, 46, 45, 44, 50, 49, 48, 54, 53, 52, 58, 57, 56, 62, 61,
		60};

	_mm512_mask_storeu_epi8(to, WIDEST_MASK, _mm512_permutexvar_epi8(_mm512_loadu_si512(bytes), whole));
	return !_mm512_movepi8_mask(_mm512_or_si512(in, values));
}

VBMI static bool decode_widest(const char *text, size_t digits, char *to)
{
	bool good = true;
	size_t at = 0;

	for (; at + WIDEST_DIGITS <= digits; at += WIDEST_DIGITS)
		good &= decode_64(text + at, to + at / 4 * 3);
	if (at < digits)
		good &= decode_64(text + digits - WIDEST_DIGITS, to + (digits - WIDEST_DIGITS) / 4 * 3);
	return good;
}

VBMI static void encode_widest(const char *from, size_t bytes, char *to)
{
	size_t at = 0;

	for (; at + WIDEST_BYTES <= bytes; at += WIDEST_BYTES)
		encode_48(from + at, to + at / 3 * 4);
	if (at < bytes)
		encode_48(from + bytes - WIDEST_BYTES, to + (bytes - WIDEST_BYTES) / 3 * 4);
}

#endif

bool base64_decode(const char *text, size_t digits, char *to)
{
#ifdef __x86_64__
	if (digits >= WIDEST_DIGITS && has_vbmi())
		return decode_widest(text, digits, to);
	if (digits >= 16 && __builtin_cpu_supports("ssse3"))
		return decode_vector(text, digits, to);
#endif
	return decode_groups(text, digits, to);
}

void base64_encode(const char *from, size_t bytes, char *to)
{
#ifdef __x86_64__
	if (bytes >= WIDEST_BYTES && has_vbmi()) {
		encode_widest(from, bytes, to);
		return;
	}
	if (bytes >= 24 && __builtin_cpu_supports("avx2")) {
		encode_wide(from, bytes, to);
		return;
	}
	if (bytes >= 12 && __builtin_cpu_supports("ssse3")) {
		encode_vector(from, bytes, to);
		return;
	}
#endif
	encode_groups(from, bytes, to);
}

void base64_encode_last(const char *from, size_t bytes, char *to)
{
	char group[3] = {from[0], bytes > 1 ? from[1] : '\0'};

	encode_groups(group, 3, to);
	memset(to + bytes + 1, '=', 3 - bytes);
}
