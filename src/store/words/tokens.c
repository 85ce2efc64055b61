/* What a text consists of. Where it is cut depends on nothing but the characters, so that a string is cut as the text around it. */
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

static enum token_class class_of(int32_t c)
{
	if (c < 0)
		return TOKEN_RAW;
	if (c < 0x80)
		return byte_is_alpha((char)c) || byte_is_digit((char)c) ? TOKEN_WORD : TOKEN_SIGN;
	if (is_in(without_spaces, ARRAY_LEN(without_spaces), c))
		return TOKEN_CHARS;
	return is_in(signs, ARRAY_LEN(signs), c) ? TOKEN_SIGN : TOKEN_WORD;
}

static size_t ascii_word(struct slice s)
{
	size_t len = 0;

	while (len < s.len && (byte_is_alpha(s.at[len]) || byte_is_digit(s.at[len])))
		len++;
	return len;
}

bool token_next(struct slice *rest, struct token *ret_token)
{
	struct slice at = *rest, next;
	enum token_class class;

	if (!at.len)
		return false;
	next = at;
	class = class_of(utf8_next(&next));
	while (next.len && (class == TOKEN_WORD || class == TOKEN_CHARS)) {
		struct slice after = next;

		if (class == TOKEN_WORD)
			next = after = slice_from(next, ascii_word(next));
		if (!next.len || class_of(utf8_next(&after)) != class)
			break;
		next = after;
	}
	*ret_token = (struct token){class, slice_first(at, at.len - next.len)};
	*rest = next;
	return true;
}

struct slice token_first_chars(struct slice chars, unsigned count)
{
	struct slice rest = chars;

	while (rest.len && count-- > 0)
		(void)utf8_next(&rest);
	return slice_first(chars, chars.len - rest.len);
}
