/* What a text consists of. Where it is cut depends on nothing but the characters, so that a string is cut as the text around it. */
#include <endian.h>

#include "base/utf8.h"
#include "store/words/internal.h"

struct range {
	int32_t first, last;
};

/* Written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han. */
static const struct range without_spaces[] = {{0x0e00, 0x0eff}, {0x1000, 0x109f}, {0x1780, 0x17ff}, {0x3040, 0x30ff},
	{0x31f0, 0x31ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x3ffff}};

/* Punctuation, symbols, emoji, variation selectors; by blocks, as it is only about what makes good words. */
static const struct range signs[] = {{0x0080, 0x00bf}, {0x00d7, 0x00d7}, {0x00f7, 0x00f7}, {0x2000, 0x206f},
	{0x20a0, 0x20cf}, {0x2190, 0x2bff}, {0x2e00, 0x2e7f}, {0x3000, 0x303f}, {0xe000, 0xf8ff}, {0xfe00, 0xfe0f},
	{0xfe30, 0xfe4f}, {0xff00, 0xffff}, {0x1f000, 0x1faff}};

static bool is_in(const struct range *ranges, size_t count, int32_t c)
{
	for (size_t i = 0; i < count && c >= ranges[i].first; i++)
		if (c <= ranges[i].last)
			return true;
	return false;
}

/* False for what is not ASCII. */
static inline bool is_ascii_word(char c)
{
	unsigned byte = (unsigned char)c;

	return byte - '0' < 10 || (byte | 0x20) - 'a' < 26;
}

static enum token_class class_of(int32_t c)
{
	if (c < 0)
		return TOKEN_RAW;
	if (c < 0x80)
		return is_ascii_word((char)c) ? TOKEN_WORD : TOKEN_SIGN;
	if (is_in(without_spaces, ARRAY_LEN(without_spaces), c))
		return TOKEN_CHARS;
	return is_in(signs, ARRAY_LEN(signs), c) ? TOKEN_SIGN : TOKEN_WORD;
}

/* How many of eight bytes, from the first on, are ASCII letters or digits. A byte's highest bit says of each what came out. */
static unsigned ascii_words_of_eight(const char *at)
{
	static const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t bytes, low, letters, words;

	memcpy(&bytes, at, sizeof(bytes));
	bytes = le64toh(bytes);
	low = bytes & ~tops;
	letters = low | ones * 0x20;
	words = ((low + ones * (0x80 - '0')) & ~(low + ones * (0x80 - '9' - 1))) |
		((letters + ones * (0x80 - 'a')) & ~(letters + ones * (0x80 - 'z' - 1)));
	words = ~(words & ~bytes) & tops;
	return words ? (unsigned)__builtin_ctzll(words) / 8 : 8;
}

static const char *ascii_run_end(const char *at, const char *end)
{
	while (end - at >= 8) {
		unsigned run = ascii_words_of_eight(at);

		at += run;
		if (run < 8)
			return at;
	}
	while (at < end && is_ascii_word(*at))
		at++;
	return at;
}

/* Where a run that begins before `at` ends. */
static const char *run_end(const char *at, const char *end, enum token_class class)
{
	for (;;) {
		struct slice rest;

		if (class == TOKEN_WORD)
			at = ascii_run_end(at, end);
		rest = (struct slice){at, (size_t)(end - at)};
		if (!rest.len || !((unsigned char)*at & 0x80) || class_of(utf8_next(&rest)) != class)
			return at;
		at = end - rest.len;
	}
}

bool token_next(struct slice *rest, struct token *ret_token)
{
	struct slice all = *rest, next = all;
	enum token_class class;
	const char *end;

	if (!all.len)
		return false;
	if ((unsigned char)*all.at & 0x80) {
		class = class_of(utf8_next(&next));
	} else {
		class = is_ascii_word(*all.at) ? TOKEN_WORD : TOKEN_SIGN;
		next = slice_from(all, 1);
	}
	end = all.at + (all.len - next.len);
	if (class == TOKEN_WORD || class == TOKEN_CHARS)
		end = run_end(end, all.at + all.len, class);
	*ret_token = (struct token){class, {all.at, (size_t)(end - all.at)}};
	*rest = (struct slice){end, all.len - ret_token->text.len};
	return true;
}

struct slice token_first_chars(struct slice chars, unsigned count)
{
	struct slice rest = chars;

	while (rest.len && count-- > 0)
		(void)utf8_next(&rest);
	return slice_first(chars, chars.len - rest.len);
}
