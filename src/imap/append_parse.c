/* The text of APPEND between its literals. */
#include "imap/append.h"

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

/* The keywords outlive the line they stand in: copies. */
static bool lex_append_flags(struct imap_lexer *l, struct flag_set *flags)
{
	struct slice *keywords = NULL, name;

	if (!lex_byte(l, '('))
		return false;
	while (!lex_peek(l, ')')) {
		if (!lex_flag(l, &flags->flags, &name) || (!lex_peek(l, ')') && !lex_space(l)))
			return false;
		if (!name.len)
			continue;
		if (!keywords)
			keywords = arena_zalloc(l->arena, STORE_KEYWORDS_MAX, sizeof(*keywords));
		if (!keywords || flags->keyword_count == STORE_KEYWORDS_MAX ||
			arena_copy(l->arena, name, &keywords[flags->keyword_count]) < 0)
			return lex_fail_limit(l, "Too many keywords");
		flags->keywords = keywords;
		flags->keyword_count++;
	}
	return lex_byte(l, ')');
}

/* RFC 6855 §4: utf8-literal = "UTF8" SP "(" literal8 ")". */
static bool lex_utf8_data(struct imap_lexer *l, bool *ret_utf8)
{
	if (!lex_keyword(l, SLICE("UTF8")))
		return true;
	*ret_utf8 = true;
	if (!l->utf8)
		return fail(l, "UTF8=ACCEPT is not enabled");
	return lex_space(l) && lex_byte(l, '(') &&
	       (slice_starts(l->rest, SLICE("~{")) || fail(l, "UTF8 data must be a literal8"));
}

bool append_at_literal(const struct imap_lexer *l)
{
	return (lex_peek(l, '{') || slice_starts(l->rest, SLICE("~{"))) && slice_find_byte(l->rest, '\n') == SIZE_MAX;
}

bool append_lex_item(struct imap_lexer *l, struct append_item *item, bool *ret_utf8)
{
	item->internaldate = INT64_MIN;
	if (!lex_space(l))
		return false;
	if (lex_peek(l, '(') && (!lex_append_flags(l, &item->flags) || !lex_space(l)))
		return false;
	if (lex_peek(l, '"') && (!lex_date_time(l, &item->internaldate, &item->zone) || !lex_space(l)))
		return false;
	if (!lex_utf8_data(l, ret_utf8))
		return false;
	return append_at_literal(l) || fail(l, "Expected the message as a literal");
}

bool parse_append(struct imap_lexer *l, struct imap_command *c)
{
	struct append_item item = {0};
	bool utf8 = false;

	return lex_space(l) && lex_mailbox(l, &c->mailbox) && append_lex_item(l, &item, &utf8) &&
	       fail(l, "Expected the message as a literal");
}
