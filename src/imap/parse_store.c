#include "imap/command.h"

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

/* RFC 7162 §3.1.3: " (UNCHANGEDSINCE 12345)" */
static bool modifiers(struct imap_lexer *l, struct imap_store_args *args)
{
	args->unchanged_since = UINT64_MAX;
	if (!lex_peek(l, '('))
		return true;
	if (!lex_byte(l, '('))
		return false;
	if (!lex_keyword(l, SLICE("UNCHANGEDSINCE")))
		return fail(l, "Unknown STORE modifier");
	return lex_space(l) && lex_number(l, INT64_MAX, &args->unchanged_since) && lex_byte(l, ')') && lex_space(l);
}

static bool operation(struct imap_lexer *l, struct imap_store_args *args)
{
	struct slice name;

	if (!lex_atom(l, &name))
		return false;
	args->mode = FLAGS_REPLACE;
	if (name.len && (name.at[0] == '+' || name.at[0] == '-')) {
		args->mode = name.at[0] == '+' ? FLAGS_ADD : FLAGS_REMOVE;
		name = slice_from(name, 1);
	}
	args->silent = slice_equal_nocase(name, SLICE("FLAGS.SILENT"));
	if (!args->silent && !slice_equal_nocase(name, SLICE("FLAGS")))
		return fail(l, "STORE changes FLAGS, +FLAGS or -FLAGS");
	return lex_space(l);
}

/* Every flag takes at least one byte and a space, which bounds the array. */
static bool flags(struct imap_lexer *l, struct flag_set *set, char end)
{
	struct slice *keywords = arena_zalloc(l->arena, l->rest.len / 2 + 1, sizeof(*keywords));
	struct slice keyword;

	if (!keywords)
		return lex_fail_limit(l, "Too many flags");
	set->keywords = keywords;
	while (!end || !lex_peek(l, end)) {
		keyword = (struct slice){NULL, 0};
		if (!lex_flag(l, &set->flags, &keyword))
			return false;
		if (keyword.len)
			keywords[set->keyword_count++] = keyword;
		if (!lex_more(l))
			break;
		if (!lex_space(l))
			return false;
	}
	return true;
}

bool parse_store(struct imap_lexer *l, struct imap_command *c)
{
	struct imap_store_args *args = &c->store;

	if (!lex_space(l) || !lex_set(l, &args->set) || !lex_space(l) || !modifiers(l, args) || !operation(l, args))
		return false;
	args->flags = (struct flag_set){0};
	if (lex_peek(l, '('))
		return lex_byte(l, '(') && flags(l, &args->flags, ')') && lex_byte(l, ')');
	return flags(l, &args->flags, '\0');
}
