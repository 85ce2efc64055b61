#include "store/words/internal.h"

enum { PREFIX_MAX = 64 };

static void piece_add(struct pieces *pieces, struct slice text, bool starts, bool ends)
{
	struct piece *to = &pieces->list[pieces->count];

	CHECK(text.len <= WORDS_TERM_MAX);
	if (pieces->count == PIECES_MAX) { /* the longest say most */
		to = &pieces->list[0];
		for (size_t i = 1; i < PIECES_MAX; i++)
			if (pieces->list[i].len < to->len)
				to = &pieces->list[i];
		if (to->len >= text.len)
			return;
		pieces->count--;
	}
	to->len = 0;
	if (starts)
		to->bytes[to->len++] = (char)TERM_END;
	memcpy(to->bytes + to->len, text.at, text.len);
	to->len += text.len;
	if (ends)
		to->bytes[to->len++] = (char)TERM_END;
	pieces->count++;
}

/*
 * A word that is open at the string's beginning or end may go on there in the text. Of a long word every string of TERM_OVERLAP + 1 bytes lies in one
 * of the pieces it was kept as; the first piece has its beginning, and the last one is longer than TERM_OVERLAP.
 */
static void add_word(struct pieces *pieces, struct slice word, bool open_before, bool open_behind)
{
	if (open_before && open_behind) {
		pieces->exact &= word.len <= TERM_OVERLAP + 1;
		piece_add(pieces, slice_first(word, TERM_OVERLAP + 1), false, false);
	} else if (open_before) {
		piece_add(pieces, slice_from(word, word.len - MIN(word.len, (size_t)TERM_OVERLAP)), false, true);
	} else if (open_behind || word.len > WORDS_TERM_MAX) {
		piece_add(pieces, slice_first(word, PREFIX_MAX), true, false);
	} else {
		piece_add(pieces, word, true, true);
	}
}

/* Every two neighbours; a single one is part of some pair, or is a term of its own. */
static void add_chars(struct pieces *pieces, struct slice chars)
{
	pieces->exact &= token_first_chars(chars, 2).len == chars.len;
	do {
		piece_add(pieces, token_first_chars(chars, 2), false, false);
		chars = slice_from(chars, token_first_chars(chars, 1).len);
	} while (token_first_chars(chars, 1).len < chars.len);
}

bool pieces_add(struct pieces *pieces, struct slice text)
{
	struct slice rest = text;
	struct token token;
	size_t before = pieces->count;
	bool none;

	if (!token_next(&rest, &token))
		return false;
	pieces->exact &= !rest.len;
	for (rest = text; token_next(&rest, &token);) {
		if (token.class == TOKEN_RAW)
			return false;
		if (token.class == TOKEN_WORD)
			add_word(pieces, token.text, token.text.at == text.at, !rest.len);
		else if (token.class == TOKEN_CHARS)
			add_chars(pieces, token.text);
	}
	/* Spaces and the like are everywhere: they count only where there is nothing else. */
	none = pieces->count == before;
	for (rest = text; none && token_next(&rest, &token);)
		if (token.class == TOKEN_SIGN)
			piece_add(pieces, token.text, true, true);
	return pieces->count > before;
}
