#include "imap/fetch.h"

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

struct item_name {
	struct slice name;
	unsigned items;
};

static const struct item_name macros[] = {
	{SLICE("ALL"), FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_ENVELOPE},
	{SLICE("FAST"), FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE},
	{SLICE("FULL"), FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY},
};

static const struct item_name item_names[] = {
	{SLICE("UID"), FETCH_UID},
	{SLICE("FLAGS"), FETCH_FLAGS},
	{SLICE("MODSEQ"), FETCH_MODSEQ},
	{SLICE("INTERNALDATE"), FETCH_INTERNALDATE},
	{SLICE("RFC822.SIZE"), FETCH_SIZE},
	{SLICE("EMAILID"), FETCH_EMAILID},
	{SLICE("THREADID"), FETCH_THREADID},
	{SLICE("ENVELOPE"), FETCH_ENVELOPE},
	{SLICE("BODYSTRUCTURE"), FETCH_BODYSTRUCTURE},
};

struct body_name {
	struct slice name;
	const char *label;
	enum fetch_body_kind kind;
	bool sets_seen, has_section;
	enum mail_section_kind section; /* of those without brackets */
};

static const struct body_name body_names[] = {
	{SLICE("BODY"), "BODY", FETCH_RAW, true, true, MAIL_SECTION_ALL},
	{SLICE("BODY.PEEK"), "BODY", FETCH_RAW, false, true, MAIL_SECTION_ALL},
	{SLICE("BINARY"), "BINARY", FETCH_BINARY, true, true, MAIL_SECTION_ALL},
	{SLICE("BINARY.PEEK"), "BINARY", FETCH_BINARY, false, true, MAIL_SECTION_ALL},
	{SLICE("BINARY.SIZE"), "BINARY.SIZE", FETCH_BINARY_SIZE, false, true, MAIL_SECTION_ALL},
	/* RFC 3501 §6.4.5: other names of BODY[], BODY.PEEK[HEADER] and BODY[TEXT] */
	{SLICE("RFC822"), "RFC822", FETCH_RAW, true, false, MAIL_SECTION_ALL},
	{SLICE("RFC822.HEADER"), "RFC822.HEADER", FETCH_RAW, false, false, MAIL_SECTION_HEADER},
	{SLICE("RFC822.TEXT"), "RFC822.TEXT", FETCH_RAW, true, false, MAIL_SECTION_TEXT},
};

/* "[" is an atom character, so a name ends earlier here than lex_atom() would end it. */
static struct slice name_peek(const struct imap_lexer *l)
{
	size_t len = 0;

	while (len < l->rest.len &&
		(byte_is_alpha(l->rest.at[len]) || byte_is_digit(l->rest.at[len]) || l->rest.at[len] == '.'))
		len++;
	return slice_first(l->rest, len);
}

static unsigned find_items(const struct item_name *table, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(table[i].name, name))
			return table[i].items;
	return 0;
}

static bool body_item(struct imap_lexer *l, struct imap_fetch *fetch, const struct body_name *name)
{
	struct fetch_body *body = arena_zalloc(l->arena, 1, sizeof(*body));
	struct fetch_body **end = &fetch->bodies;

	if (!body)
		return lex_fail_limit(l, "Too many items");
	body->kind = name->kind;
	body->sets_seen = name->sets_seen;
	body->section.kind = name->section;
	body->label = slice_of(name->label);
	if (name->has_section && !parse_fetch_section(l, name->label, body))
		return false;
	if (body->kind == FETCH_BINARY_SIZE && body->partial)
		return fail(l, "BINARY.SIZE takes no partial");
	fetch->sets_seen |= body->sets_seen;
	while (*end)
		end = &(*end)->next;
	*end = body;
	return true;
}

static bool item(struct imap_lexer *l, struct imap_fetch *fetch)
{
	struct slice name = name_peek(l);
	struct slice behind = slice_from(l->rest, name.len);
	unsigned items = find_items(item_names, ARRAY_LEN(item_names), name);

	if (slice_equal_nocase(name, SLICE("BODY")) && !slice_starts(behind, SLICE("[")))
		items = FETCH_BODY;
	if (items) {
		fetch->items |= items;
		l->rest = behind;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(body_names); i++) {
		if (!slice_equal_nocase(body_names[i].name, name))
			continue;
		l->rest = behind;
		return body_item(l, fetch, &body_names[i]);
	}
	return fail(l, "Unknown FETCH item");
}

static bool items_or_macro(struct imap_lexer *l, struct imap_fetch *fetch)
{
	struct slice name = name_peek(l);

	fetch->items = find_items(macros, ARRAY_LEN(macros), name);
	if (fetch->items) {
		l->rest = slice_from(l->rest, name.len);
		return true;
	}
	if (!lex_peek(l, '('))
		return item(l, fetch);
	if (!lex_byte(l, '('))
		return false;
	do {
		if (!item(l, fetch))
			return false;
	} while (lex_peek(l, ' ') && lex_space(l));
	return lex_byte(l, ')');
}

/* RFC 7162 §3.1.4.1 and §3.2.6: " (CHANGEDSINCE 12345 VANISHED)" */
static bool modifiers(struct imap_lexer *l, struct imap_fetch *fetch)
{
	if (!lex_more(l))
		return true;
	if (!lex_space(l) || !lex_byte(l, '('))
		return false;
	do {
		if (lex_keyword(l, SLICE("VANISHED"))) {
			fetch->vanished = true;
			continue;
		}
		if (!lex_keyword(l, SLICE("CHANGEDSINCE")))
			return fail(l, "Unknown FETCH modifier");
		if (!lex_space(l) || !lex_number(l, INT64_MAX, &fetch->changed_since))
			return false;
		fetch->has_changed_since = true;
		fetch->items |= FETCH_MODSEQ;
	} while (lex_peek(l, ' ') && lex_space(l));
	return lex_byte(l, ')');
}

bool parse_fetch(struct imap_lexer *l, struct imap_command *c)
{
	struct imap_fetch *fetch = arena_zalloc(l->arena, 1, sizeof(*fetch));

	if (!fetch)
		return lex_fail_limit(l, "Command is too large");
	c->fetch = fetch;
	if (!lex_space(l) || !lex_set(l, &fetch->set) || !lex_space(l) || !items_or_macro(l, fetch) ||
		!modifiers(l, fetch))
		return false;
	if (c->uid)
		fetch->items |= FETCH_UID;
	return true;
}
