#include "imap/list.h"

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

static bool lex_select_option(struct imap_lexer *l, struct imap_list *list)
{
	if (lex_keyword(l, SLICE("SUBSCRIBED")))
		list->select_subscribed = list->return_subscribed = true; /* one implies the other */
	else if (lex_keyword(l, SLICE("SPECIAL-USE")))
		list->select_special_use = true;
	else if (lex_keyword(l, SLICE("RECURSIVEMATCH")))
		list->recursive_match = true;
	else if (!lex_keyword(l, SLICE("REMOTE"))) /* there are no remote mailboxes to add */
		return fail(l, "Unknown selection option");
	return true;
}

static bool lex_select_options(struct imap_lexer *l, struct imap_list *list)
{
	if (!lex_byte(l, '('))
		return false;
	while (!lex_peek(l, ')')) {
		if (!lex_select_option(l, list) || (!lex_peek(l, ')') && !lex_space(l)))
			return false;
	}
	/* RFC 9051 §6.3.9.1 */
	if (list->recursive_match && !list->select_subscribed && !list->select_special_use)
		return fail(l, "RECURSIVEMATCH needs another selection option");
	return lex_byte(l, ')') && lex_space(l);
}

static bool lex_return_option(struct imap_lexer *l, struct imap_list *list)
{
	if (lex_keyword(l, SLICE("STATUS")))
		return lex_space(l) && lex_status_items(l, &list->status_items);
	if (lex_keyword(l, SLICE("SUBSCRIBED")))
		list->return_subscribed = true;
	else if (!lex_keyword(l, SLICE("CHILDREN")) && !lex_keyword(l, SLICE("SPECIAL-USE"))) /* always returned */
		return fail(l, "Unknown return option");
	return true;
}

static bool lex_return_options(struct imap_lexer *l, struct imap_list *list)
{
	if (!lex_space(l))
		return false;
	if (!lex_keyword(l, SLICE("RETURN")))
		return fail(l, "Expected RETURN");
	if (!lex_space(l) || !lex_byte(l, '('))
		return false;
	while (!lex_peek(l, ')')) {
		if (!lex_return_option(l, list) || (!lex_peek(l, ')') && !lex_space(l)))
			return false;
	}
	return lex_byte(l, ')');
}

/* RFC 9051 §6.3.9: the canonical pattern is the reference with the pattern behind it; composed, as the names are that it is for. */
static bool add_pattern(struct imap_lexer *l, struct imap_list *list, struct slice reference, struct slice pattern)
{
	static const struct slice inbox = {"INBOX", 5};
	struct buffer given = BUFFER_INIT(reference.len + pattern.len);
	struct buffer joined = BUFFER_INIT(LIST_PATTERN_BYTES_MAX);
	struct slice *to = &list->patterns[list->pattern_count];
	bool ok;
	int error;

	buffer_put(&given, reference);
	buffer_put(&given, pattern);
	error = buffer_error(&given);
	if (!error)
		error = mailbox_name_compose(buffer_slice(&given), &joined);
	buffer_free(&given);
	/* A pattern that is longer than any name matches none; one for which there is no memory might. */
	if (error) {
		buffer_free(&joined);
		return error != -ENOMEM || lex_fail_limit(l, "Command is too large");
	}
	if (slice_starts_nocase(buffer_slice(&joined), inbox) &&
		(joined.len == inbox.len || memchr("/*%", joined.at[inbox.len], 3)))
		memcpy(joined.at, inbox.at, inbox.len);
	ok = arena_copy(l->arena, buffer_slice(&joined), to) == 0;
	buffer_free(&joined);
	if (!ok)
		return lex_fail_limit(l, "Command is too large");
	list->pattern_count++;
	return true;
}

static bool lex_pattern(struct imap_lexer *l, struct imap_list *list, struct slice reference)
{
	struct slice pattern;

	if (!lex_list_mailbox(l, &pattern))
		return false;
	if (pattern.len && list->pattern_count == LIST_PATTERNS_MAX)
		return lex_fail_limit(l, "Too many patterns");
	if (pattern.len)
		return add_pattern(l, list, reference, pattern);
	list->root = true; /* only in the basic syntax, see parse_list() */
	return true;
}

static bool lex_patterns(struct imap_lexer *l, struct imap_list *list, struct slice reference)
{
	if (!lex_peek(l, '('))
		return lex_pattern(l, list, reference);
	list->extended = true;
	if (!lex_byte(l, '('))
		return false;
	do {
		if (!lex_pattern(l, list, reference))
			return false;
	} while (!lex_peek(l, ')') && lex_space(l));
	return lex_byte(l, ')');
}

static struct imap_list *list_new(struct imap_lexer *l)
{
	struct imap_list *list = arena_zalloc(l->arena, 1, sizeof(*list));

	if (list)
		list->patterns = arena_zalloc(l->arena, LIST_PATTERNS_MAX, sizeof(*list->patterns));
	if (!list || !list->patterns) {
		lex_fail_limit(l, "Command is too large");
		return NULL;
	}
	return list;
}

bool parse_list(struct imap_lexer *l, struct imap_command *c)
{
	struct imap_list *list = list_new(l);
	struct slice reference;

	c->list = list;
	if (!list || !lex_space(l))
		return false;
	list->extended = lex_peek(l, '(');
	if (list->extended && !lex_select_options(l, list))
		return false;
	if (!lex_list_mailbox(l, &reference) || !lex_space(l) || !lex_patterns(l, list, reference))
		return false;
	if (lex_more(l)) {
		list->extended = true;
		if (!lex_return_options(l, list))
			return false;
	}
	list->root = list->root && !list->extended;
	return true;
}

bool parse_lsub(struct imap_lexer *l, struct imap_command *c)
{
	struct imap_list *list = list_new(l);
	struct slice reference;

	c->list = list;
	if (!list)
		return false;
	list->lsub = true;
	list->select_subscribed = true;
	return lex_space(l) && lex_list_mailbox(l, &reference) && lex_space(l) && lex_pattern(l, list, reference);
}
