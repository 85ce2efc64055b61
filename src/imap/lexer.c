#include "imap/lexer.h"

#include "base/utf8.h"
#include "imap/input.h"

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

bool lex_fail_limit(struct imap_lexer *l, const char *problem)
{
	if (!l->problem) {
		l->problem = problem;
		l->too_big = true;
	}
	return false;
}

/* RFC 9051 §9: ATOM-CHAR, ASTRING-CHAR (resp-specials too), list-char (wildcards too). */
enum { WITH_BRACKET = 1, WITH_WILDCARDS = 2 };

static bool is_atom_char(char c, unsigned with)
{
	unsigned char byte = (unsigned char)c;

	if (byte <= ' ' || byte >= 0x7f)
		return false;
	if (c == ']')
		return with & WITH_BRACKET;
	if (c == '%' || c == '*')
		return with & WITH_WILDCARDS;
	return c != '(' && c != ')' && c != '{' && c != '"' && c != '\\';
}

static struct slice take(struct imap_lexer *l, size_t len)
{
	struct slice taken = slice_first(l->rest, len);

	l->rest = slice_from(l->rest, len);
	return taken;
}

static size_t span(const struct imap_lexer *l, unsigned with)
{
	size_t len = 0;

	while (len < l->rest.len && is_atom_char(l->rest.at[len], with))
		len++;
	return len;
}

bool lex_end(struct imap_lexer *l)
{
	/* Some clients put a space behind their arguments. */
	while (lex_peek(l, ' '))
		take(l, 1);
	return !l->rest.len || fail(l, "Unexpected text at the end of the command");
}

bool lex_more(const struct imap_lexer *l)
{
	size_t spaces = 0;

	while (spaces < l->rest.len && l->rest.at[spaces] == ' ')
		spaces++;
	return spaces && spaces < l->rest.len;
}

bool lex_space(struct imap_lexer *l)
{
	if (!lex_peek(l, ' '))
		return fail(l, "Missing argument, or no space in front of it");
	take(l, 1);
	return true;
}

bool lex_byte(struct imap_lexer *l, char byte)
{
	if (!lex_peek(l, byte))
		return fail(l, byte == '('   ? "Missing opening parenthesis"
			       : byte == ')' ? "Missing closing parenthesis"
					     : "Unexpected character");
	take(l, 1);
	return true;
}

bool lex_peek(const struct imap_lexer *l, char byte)
{
	return l->rest.len && l->rest.at[0] == byte;
}

bool lex_keyword(struct imap_lexer *l, struct slice word)
{
	size_t len = span(l, 0);

	if (len != word.len || !slice_equal_nocase(slice_first(l->rest, len), word))
		return false;
	take(l, len);
	return true;
}

bool lex_atom(struct imap_lexer *l, struct slice *ret)
{
	size_t len = span(l, 0);

	if (!len)
		return fail(l, "Missing or invalid word");
	*ret = take(l, len);
	return true;
}

/*
 * RFC 9051 §4.3: quoted strings have no CR, LF or NUL, and other than ASCII only as UTF-8. That is taken from IMAP4rev1 clients as well, who should
 * send a literal: many a program has its search words in quotes, and there is no other way to read them.
 */
static bool quoted_end(struct imap_lexer *l, size_t *ret_end, size_t *ret_escapes)
{
	size_t escapes = 0;

	for (size_t i = 1; i < l->rest.len; i++) {
		unsigned char c = (unsigned char)l->rest.at[i];

		if (c == '"') {
			*ret_end = i;
			*ret_escapes = escapes;
			return true;
		}
		if (c == '\\') {
			if (++i == l->rest.len || (l->rest.at[i] != '"' && l->rest.at[i] != '\\'))
				return fail(l, "Invalid escape in quoted string");
			escapes++;
		} else if (c == '\r' || c == '\n' || !c) {
			return fail(l, "Invalid character in quoted string");
		}
	}
	return fail(l, "Missing closing quote");
}

static bool lex_quoted(struct imap_lexer *l, struct slice *ret)
{
	size_t end, escapes, len = 0;
	struct slice text;
	char *copy;

	if (!quoted_end(l, &end, &escapes))
		return false;
	text = slice_from(slice_first(l->rest, end), 1);
	if (!utf8_is_valid(text))
		return fail(l, "Quoted string is not UTF-8");
	if (escapes) {
		copy = arena_alloc(l->arena, text.len - escapes);
		if (!copy)
			return lex_fail_limit(l, "Command is too large");
		for (size_t i = 0; i < text.len; i++) {
			if (text.at[i] == '\\')
				i++;
			copy[len++] = text.at[i];
		}
		text = (struct slice){copy, len};
	}
	take(l, end + 1);
	*ret = text;
	return true;
}

/* The session has seen to it that the octets follow; what is not as it would be is still only BAD. */
static bool lex_literal(struct imap_lexer *l, struct slice *ret)
{
	struct imap_literal literal;
	struct slice head = l->rest, octets;
	size_t lf = slice_find_byte(head, '\n');

	if (lf == SIZE_MAX || !lf || head.at[lf - 1] != '\r')
		return fail(l, "Invalid literal");
	head = slice_first(head, lf - 1);
	if (!input_literal_at_end(head, &literal) || slice_find_byte(head, '{') != (literal.binary ? 1 : 0) ||
		slice_find_byte(slice_from(head, 2), '{') != SIZE_MAX)
		return fail(l, "Invalid literal");
	octets = slice_from(l->rest, lf + 1);
	if (literal.bytes > octets.len)
		return fail(l, "Literal is cut short");
	octets = slice_first(octets, (size_t)literal.bytes);
	if (!literal.binary && slice_find_byte(octets, '\0') != SIZE_MAX)
		return fail(l, "NUL in a literal");
	take(l, lf + 1 + octets.len);
	*ret = octets;
	return true;
}

bool lex_string(struct imap_lexer *l, struct slice *ret)
{
	if (lex_peek(l, '"'))
		return lex_quoted(l, ret);
	if (lex_peek(l, '{') || slice_starts(l->rest, SLICE("~{")))
		return lex_literal(l, ret);
	return fail(l, "Missing or invalid string");
}

bool lex_astring(struct imap_lexer *l, struct slice *ret)
{
	size_t len;

	if (slice_starts(l->rest, SLICE("~{")))
		return lex_string(l, ret);
	len = span(l, WITH_BRACKET);
	if (!len)
		return lex_string(l, ret);
	*ret = take(l, len);
	return true;
}

bool lex_nstring(struct imap_lexer *l, struct slice *ret, bool *ret_nil)
{
	if (lex_keyword(l, SLICE("NIL"))) {
		*ret = (struct slice){NULL, 0};
		*ret_nil = true;
		return true;
	}
	if (!lex_string(l, ret))
		return false;
	*ret_nil = false;
	return true;
}

bool lex_number(struct imap_lexer *l, uint64_t max, uint64_t *ret)
{
	size_t len = 0;
	uint64_t value;

	while (len < l->rest.len && byte_is_digit(l->rest.at[len]))
		len++;
	if (!len)
		return fail(l, "Missing or invalid number");
	if (slice_to_u64(slice_first(l->rest, len), max, &value) < 0)
		return fail(l, "Number is too large");
	take(l, len);
	*ret = value;
	return true;
}

bool lex_nz_number(struct imap_lexer *l, uint64_t max, uint64_t *ret)
{
	struct imap_lexer before = *l;
	uint64_t value;

	if (!lex_number(l, max, &value))
		return false;
	if (!value) {
		l->rest = before.rest;
		return fail(l, "Number must not be zero");
	}
	*ret = value;
	return true;
}

static bool utf8_name(struct imap_lexer *l, struct slice given, struct slice *ret)
{
	struct buffer decoded =
		BUFFER_INIT(3 * given.len + 1); /* a base64 digit stands for less than a byte of UTF-8 */
	bool ok = false;

	if (l->utf8) {
		if (!utf8_is_valid(given) || slice_find_byte(given, '\0') != SIZE_MAX)
			return fail(l, "Mailbox name is not UTF-8");
		*ret = given;
		return true;
	}
	if (imap_utf7_decode(given, &decoded) < 0)
		fail(l, "Mailbox name is not in modified UTF-7");
	else if (buffer_error(&decoded) < 0 || arena_copy(l->arena, buffer_slice(&decoded), ret) < 0)
		lex_fail_limit(l, "Command is too large");
	else
		ok = true;
	buffer_free(&decoded);
	return ok;
}

bool lex_mailbox_given(struct imap_lexer *l, struct slice *ret, struct slice *ret_given)
{
	struct slice rest = l->rest, given, name;
	struct buffer normal = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 4);
	bool ok;
	int error;

	if (!lex_astring(l, &given))
		return fail(l, "Missing mailbox name");
	if (!utf8_name(l, given, &given)) {
		l->rest = rest;
		return false;
	}
	/* RFC 9051 §6.3.4: a hierarchy separator at the end only declares an intention. */
	name = given.len > 1 && slice_ends(given, SLICE("/")) ? slice_first(given, given.len - 1) : given;
	/* What can be no name is passed on as it is: no mailbox has it, and none can be made with it. */
	error = mailbox_name_normalise(name, &normal);
	ok = error ? error != -ENOMEM : arena_copy(l->arena, buffer_slice(&normal), &name) == 0;
	buffer_free(&normal);
	if (!ok) {
		l->rest = rest;
		return lex_fail_limit(l, "Command is too large");
	}
	*ret = name;
	*ret_given = given;
	return true;
}

bool lex_mailbox(struct imap_lexer *l, struct slice *ret)
{
	struct slice given;

	return lex_mailbox_given(l, ret, &given);
}

bool lex_list_mailbox(struct imap_lexer *l, struct slice *ret)
{
	struct slice rest = l->rest, given;
	size_t len = slice_starts(l->rest, SLICE("~{")) ? 0 : span(l, WITH_BRACKET | WITH_WILDCARDS);

	if (len)
		given = take(l, len);
	else if (!lex_string(l, &given))
		return false;
	if (utf8_name(l, given, ret))
		return true;
	l->rest = rest;
	return false;
}

static const struct {
	struct slice name;
	unsigned flag;
} system_flags[] = {
	{{"Seen", 4}, FLAG_SEEN}, {{"Answered", 8}, FLAG_ANSWERED}, {{"Flagged", 7}, FLAG_FLAGGED},
	{{"Deleted", 7}, FLAG_DELETED}, {{"Draft", 5}, FLAG_DRAFT},
	{{"Recent", 6}, 0}, /* nobody can set it (RFC 3501 §2.3.2); clients that copy flags send it */
};

bool lex_flag(struct imap_lexer *l, unsigned *flags, struct slice *ret_keyword)
{
	struct slice rest = l->rest, name;

	if (!lex_peek(l, '\\')) {
		if (!lex_atom(l, &name))
			return fail(l, "Invalid flag");
		if (name.len > STORE_KEYWORD_NAME_MAX) {
			l->rest = rest;
			return lex_fail_limit(l, "Keyword is too long");
		}
		*ret_keyword = name;
		return true;
	}
	take(l, 1);
	name = take(l, span(l, 0));
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
		if (slice_equal_nocase(name, system_flags[i].name)) {
			*flags |= system_flags[i].flag;
			*ret_keyword = (struct slice){NULL, 0};
			return true;
		}
	}
	l->rest = rest;
	return fail(l, "Unknown system flag");
}
