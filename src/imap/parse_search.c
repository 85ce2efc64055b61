#include "imap/search.h"
#include "mail/mail.h"

/* SEARCH: RFC 9051 §6.4.4, with what RFC 3501 had besides, MODSEQ (RFC 7162 §3.1.5), EMAILID and THREADID (RFC 8474 §6). */

enum { CONVERTED_BYTES_MAX = 8 << 20 };

enum key_argument {
	KEY_PLAIN,
	KEY_NOTHING, /* never matches: \Recent is not kept */
	KEY_FIELD,   /* astring to look for in the field `field` */
	KEY_HEADER,  /* field name and astring */
	KEY_TEXT,
	KEY_KEYWORD,
	KEY_DATE,
	KEY_BYTES,
	KEY_UID,
	KEY_MODSEQ,
	KEY_OBJECT, /* RFC 8474 object id; its letter is `number` */
};

struct key {
	struct slice name;
	enum key_argument argument;
	enum search_kind kind;
	uint64_t number;
	bool negated;
	struct slice field;
};

static const struct key keys[] = {
	{SLICE("ALL"), KEY_PLAIN, SEARCH_ALL, 0, false, {0}},
	{SLICE("ANSWERED"), KEY_PLAIN, SEARCH_FLAGS, FLAG_ANSWERED, false, {0}},
	{SLICE("DELETED"), KEY_PLAIN, SEARCH_FLAGS, FLAG_DELETED, false, {0}},
	{SLICE("DRAFT"), KEY_PLAIN, SEARCH_FLAGS, FLAG_DRAFT, false, {0}},
	{SLICE("FLAGGED"), KEY_PLAIN, SEARCH_FLAGS, FLAG_FLAGGED, false, {0}},
	{SLICE("SEEN"), KEY_PLAIN, SEARCH_FLAGS, FLAG_SEEN, false, {0}},
	{SLICE("UNANSWERED"), KEY_PLAIN, SEARCH_FLAGS, FLAG_ANSWERED, true, {0}},
	{SLICE("UNDELETED"), KEY_PLAIN, SEARCH_FLAGS, FLAG_DELETED, true, {0}},
	{SLICE("UNDRAFT"), KEY_PLAIN, SEARCH_FLAGS, FLAG_DRAFT, true, {0}},
	{SLICE("UNFLAGGED"), KEY_PLAIN, SEARCH_FLAGS, FLAG_FLAGGED, true, {0}},
	{SLICE("UNSEEN"), KEY_PLAIN, SEARCH_FLAGS, FLAG_SEEN, true, {0}},
	{SLICE("NEW"), KEY_NOTHING, SEARCH_ALL, 0, true, {0}},
	{SLICE("RECENT"), KEY_NOTHING, SEARCH_ALL, 0, true, {0}},
	{SLICE("OLD"), KEY_PLAIN, SEARCH_ALL, 0, false, {0}},
	{SLICE("KEYWORD"), KEY_KEYWORD, SEARCH_KEYWORD, 0, false, {0}},
	{SLICE("UNKEYWORD"), KEY_KEYWORD, SEARCH_KEYWORD, 0, true, {0}},
	{SLICE("BCC"), KEY_FIELD, SEARCH_HEADER, 0, false, SLICE("bcc")},
	{SLICE("CC"), KEY_FIELD, SEARCH_HEADER, 0, false, SLICE("cc")},
	{SLICE("FROM"), KEY_FIELD, SEARCH_HEADER, 0, false, SLICE("from")},
	{SLICE("SUBJECT"), KEY_FIELD, SEARCH_HEADER, 0, false, SLICE("subject")},
	{SLICE("TO"), KEY_FIELD, SEARCH_HEADER, 0, false, SLICE("to")},
	{SLICE("HEADER"), KEY_HEADER, SEARCH_HEADER, 0, false, {0}},
	{SLICE("BODY"), KEY_TEXT, SEARCH_BODY, 0, false, {0}},
	{SLICE("TEXT"), KEY_TEXT, SEARCH_TEXT, 0, false, {0}},
	{SLICE("BEFORE"), KEY_DATE, SEARCH_BEFORE, 0, false, {0}},
	{SLICE("ON"), KEY_DATE, SEARCH_ON, 0, false, {0}},
	{SLICE("SINCE"), KEY_DATE, SEARCH_SINCE, 0, false, {0}},
	{SLICE("SENTBEFORE"), KEY_DATE, SEARCH_SENTBEFORE, 0, false, {0}},
	{SLICE("SENTON"), KEY_DATE, SEARCH_SENTON, 0, false, {0}},
	{SLICE("SENTSINCE"), KEY_DATE, SEARCH_SENTSINCE, 0, false, {0}},
	{SLICE("LARGER"), KEY_BYTES, SEARCH_LARGER, 0, false, {0}},
	{SLICE("SMALLER"), KEY_BYTES, SEARCH_SMALLER, 0, false, {0}},
	{SLICE("UID"), KEY_UID, SEARCH_UIDS, 0, false, {0}},
	{SLICE("MODSEQ"), KEY_MODSEQ, SEARCH_MODSEQ, 0, false, {0}},
	{SLICE("EMAILID"), KEY_OBJECT, SEARCH_EMAILID, 'E', false, {0}},
	{SLICE("THREADID"), KEY_OBJECT, SEARCH_THREADID, 'T', false, {0}},
};

struct parse { /* what the recursion carries along */
	struct imap_lexer *l;
	struct imap_search *search;
};

static bool search_key(struct parse *p, struct search_criterion **ret);

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

static struct search_criterion *criterion_new(struct parse *p, enum search_kind kind)
{
	struct search_criterion *criterion = arena_zalloc(p->l->arena, 1, sizeof(*criterion));

	if (criterion)
		criterion->kind = kind;
	else
		lex_fail_limit(p->l, "Search too complex");
	return criterion;
}

static bool depth_enter(struct imap_lexer *l)
{
	if (l->depth >= l->depth_max)
		return lex_fail_limit(l, "Search nested too deep");
	l->depth++;
	return true;
}

/* A string of the client in UTF-8: without CHARSET it is in UTF-8 already (RFC 9051 §6.4.4). */
static bool text(struct parse *p, struct slice *ret_text)
{
	struct imap_search *search = p->search;
	struct buffer utf8 = BUFFER_INIT(CONVERTED_BYTES_MAX);
	struct slice raw;
	bool ok = true;

	if (!lex_astring(p->l, &raw))
		return false;
	*ret_text = raw;
	if (!search->has_charset || search->bad_charset || slice_equal_nocase(search->charset, SLICE("UTF-8")))
		return true;
	if (mail_charset_to_utf8(search->charset, raw, &utf8))
		search->bad_charset = true;
	else
		ok = !buffer_error(&utf8) && !arena_copy(p->l->arena, buffer_slice(&utf8), ret_text);
	buffer_free(&utf8);
	return ok ? true : lex_fail_limit(p->l, "Search too complex");
}

static bool set_key(struct parse *p, bool uid, struct search_criterion **ret)
{
	struct search_criterion *criterion = criterion_new(p, SEARCH_UIDS);
	struct search_set *set = arena_zalloc(p->l->arena, 1, sizeof(*set));

	if (!criterion || !set)
		return lex_fail_limit(p->l, "Search too complex");
	if (!lex_set(p->l, &set->set))
		return false;
	set->uid = uid;
	set->criterion = criterion;
	set->next = p->search->sets;
	p->search->sets = set;
	*ret = criterion;
	return true;
}

/* MODSEQ [entry-name entry-type] n: there is one MODSEQ per message, so the entry is passed over (RFC 7162 §3.1.5). */
static bool modseq_argument(struct parse *p, struct search_criterion *criterion)
{
	struct slice ignored;

	p->search->has_modseq = true;
	if (lex_peek(p->l, '"')) {
		if (!lex_string(p->l, &ignored) || !lex_space(p->l) || !lex_atom(p->l, &ignored) || !lex_space(p->l))
			return false;
		if (!slice_equal_nocase(ignored, SLICE("priv")) && !slice_equal_nocase(ignored, SLICE("shared")) &&
			!slice_equal_nocase(ignored, SLICE("all")))
			return fail(p->l, "Unknown entry type");
	}
	return lex_number(p->l, INT64_MAX, &criterion->number);
}

static bool date_argument(struct parse *p, struct search_criterion *criterion)
{
	int64_t days;

	if (!lex_date(p->l, &days))
		return false;
	criterion->number = (uint64_t)MAX(days, 0);
	return true;
}

static bool object_argument(struct parse *p, const struct key *key, struct search_criterion *criterion)
{
	struct slice id;

	if (!lex_astring(p->l, &id))
		return false;
	/* An id that is none of ours is the id of no message. */
	if (object_id_parse(id, (char)key->number, &criterion->number))
		criterion->number = UINT64_MAX;
	return true;
}

static bool argument(struct parse *p, const struct key *key, struct search_criterion *criterion)
{
	criterion->number = key->number;
	criterion->name = key->field;
	if (key->argument == KEY_PLAIN || key->argument == KEY_NOTHING)
		return true;
	if (!lex_space(p->l))
		return false;
	switch (key->argument) {
	case KEY_HEADER:
		return lex_astring(p->l, &criterion->name) && lex_space(p->l) && text(p, &criterion->text);
	case KEY_KEYWORD:
		return lex_atom(p->l, &criterion->text);
	case KEY_DATE:
		return date_argument(p, criterion);
	case KEY_BYTES:
		return lex_number(p->l, INT64_MAX, &criterion->number);
	case KEY_MODSEQ:
		return modseq_argument(p, criterion);
	case KEY_OBJECT:
		return object_argument(p, key, criterion);
	default:
		return text(p, &criterion->text);
	}
}

static bool negate(struct parse *p, struct search_criterion *child, struct search_criterion **ret)
{
	struct search_criterion *inverse = criterion_new(p, SEARCH_NOT);

	if (!inverse)
		return false;
	inverse->children = child;
	*ret = inverse;
	return true;
}

static bool plain_key(struct parse *p, const struct key *key, struct search_criterion **ret)
{
	struct search_criterion *criterion;

	if (key->argument == KEY_UID)
		return lex_space(p->l) && set_key(p, true, ret);
	criterion = criterion_new(p, key->kind);
	if (!criterion || !argument(p, key, criterion))
		return false;
	*ret = criterion;
	return key->negated ? negate(p, criterion, ret) : true;
}

static bool not_key(struct parse *p, struct search_criterion **ret)
{
	struct search_criterion *child;

	return lex_space(p->l) && search_key(p, &child) && negate(p, child, ret);
}

static bool or_key(struct parse *p, struct search_criterion **ret)
{
	struct search_criterion *first, *second, *either = criterion_new(p, SEARCH_OR);

	if (!either || !lex_space(p->l) || !search_key(p, &first) || !lex_space(p->l) || !search_key(p, &second))
		return false;
	either->children = first;
	first->next = second;
	*ret = either;
	return true;
}

/* One key or more, with a space between, as the children of an AND. */
static bool and_keys(struct parse *p, struct search_criterion **ret)
{
	struct search_criterion *all = criterion_new(p, SEARCH_AND);
	struct search_criterion **end;

	if (!all)
		return false;
	end = &all->children;
	do {
		if (!search_key(p, end))
			return false;
		end = &(*end)->next;
	} while (lex_more(p->l) && lex_space(p->l));
	*ret = all;
	return true;
}

static bool named_key(struct parse *p, struct search_criterion **ret)
{
	struct slice name;

	if (lex_keyword(p->l, SLICE("NOT")))
		return not_key(p, ret);
	if (lex_keyword(p->l, SLICE("OR")))
		return or_key(p, ret);
	if (!lex_atom(p->l, &name))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (slice_equal_nocase(keys[i].name, name))
			return plain_key(p, &keys[i], ret);
	return fail(p->l, "Unknown search key");
}

static bool search_key(struct parse *p, struct search_criterion **ret)
{
	struct imap_lexer *l = p->l;
	bool ok;

	if (!depth_enter(l))
		return false;
	if (lex_peek(l, '('))
		ok = lex_byte(l, '(') && and_keys(p, ret) && lex_byte(l, ')');
	else if (l->rest.len && (byte_is_digit(l->rest.at[0]) || l->rest.at[0] == '*' || l->rest.at[0] == '$'))
		ok = set_key(p, false, ret);
	else
		ok = named_key(p, ret);
	l->depth--;
	return ok;
}

static bool return_option(struct parse *p)
{
	static const struct {
		struct slice name;
		unsigned bit;
	} options[] = {
		{SLICE("MIN"), RETURN_MIN},
		{SLICE("MAX"), RETURN_MAX},
		{SLICE("ALL"), RETURN_ALL},
		{SLICE("COUNT"), RETURN_COUNT},
		{SLICE("SAVE"), RETURN_SAVE},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (lex_keyword(p->l, options[i].name)) {
			p->search->returns |= options[i].bit;
			return true;
		}
	return fail(p->l, "Unknown search return option");
}

/* "RETURN (MIN COUNT) "; none given, or an empty list, is ALL. */
static bool return_options(struct parse *p)
{
	p->search->returns = RETURN_ALL;
	if (!lex_keyword(p->l, SLICE("RETURN")))
		return true;
	p->search->extended = true;
	if (!lex_space(p->l) || !lex_byte(p->l, '('))
		return false;
	if (!lex_peek(p->l, ')')) {
		p->search->returns = 0;
		do {
			if (!return_option(p))
				return false;
		} while (lex_peek(p->l, ' ') && lex_space(p->l));
	}
	return lex_byte(p->l, ')') && lex_space(p->l);
}

static bool charset(struct parse *p)
{
	struct imap_search *search = p->search;

	if (!lex_keyword(p->l, SLICE("CHARSET")))
		return true;
	search->has_charset = true;
	if (!lex_space(p->l) || !lex_astring(p->l, &search->charset) || !lex_space(p->l))
		return false;
	search->bad_charset = !mail_charset_is_known(search->charset);
	return true;
}

bool parse_search(struct imap_lexer *l, struct imap_command *c)
{
	struct parse p = {l, arena_zalloc(l->arena, 1, sizeof(struct imap_search))};

	if (!p.search)
		return lex_fail_limit(l, "Search too complex");
	c->search = p.search;
	return lex_space(l) && return_options(&p) && charset(&p) && and_keys(&p, &p.search->criteria);
}
