/* Sequence sets: RFC 9051 §9 sequence-set, RFC 5182 for `$`. */
#include "imap/lexer.h"

static bool fail(struct imap_lexer *l, const char *problem, bool limit)
{
	if (!l->problem) {
		l->problem = problem;
		l->too_big = limit;
	}
	return false;
}

static bool lex_seq_number(struct imap_lexer *l, uint32_t *ret)
{
	uint64_t value;

	if (lex_peek(l, '*')) {
		*ret = 0;
		return lex_byte(l, '*');
	}
	if (!lex_nz_number(l, UINT32_MAX, &value))
		return fail(l, "Invalid message set", false);
	*ret = (uint32_t)value;
	return true;
}

static bool lex_seq_range(struct imap_lexer *l, struct uid_range *ret)
{
	uint32_t from, to;

	if (!lex_seq_number(l, &from))
		return false;
	to = from;
	if (lex_peek(l, ':') && (!lex_byte(l, ':') || !lex_seq_number(l, &to)))
		return false;
	*ret = (struct uid_range){MIN(from, to), MAX(from, to)};
	return true;
}

/* How many ranges the text has at most: commas and one. */
static size_t count_ranges(struct slice text)
{
	size_t count = 1;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c == ',')
			count++;
		else if (!byte_is_digit(c) && c != ':' && c != '*')
			break;
	}
	return count;
}

static bool lex_ranges(struct imap_lexer *l, struct imap_set *ret)
{
	size_t count = count_ranges(l->rest), n = 0;
	struct uid_range *ranges;

	if (count > l->set_ranges_max)
		return fail(l, "Message set has too many ranges", true);
	ranges = arena_zalloc(l->arena, count, sizeof(*ranges));
	if (!ranges)
		return fail(l, "Command is too large", true);
	do {
		if (n == count || !lex_seq_range(l, &ranges[n++]))
			return fail(l, "Invalid message set", false);
	} while (lex_peek(l, ',') && lex_byte(l, ','));
	*ret = (struct imap_set){.ranges = ranges, .count = n};
	return true;
}

bool lex_set(struct imap_lexer *l, struct imap_set *ret)
{
	struct slice rest = l->rest;

	if (lex_peek(l, '$')) {
		*ret = (struct imap_set){.saved = true};
		return lex_byte(l, '$');
	}
	if (lex_ranges(l, ret))
		return true;
	l->rest = rest;
	return false;
}
