#include "imap/fetch.h"
#include "imap/session.h"

/* Section specifications of FETCH: RFC 9051 §6.4.5.1. */

enum { LABEL_BYTES_MAX = 4 << 20 };

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

/* "1.2.3" and the dot behind it when text follows; *ret_dot says whether there is one. */
static bool part_path(struct imap_lexer *l, struct mail_section *section, bool *ret_dot)
{
	size_t room = 0;
	uint32_t *path;
	uint64_t number;

	while (room < l->rest.len && (byte_is_digit(l->rest.at[room]) || l->rest.at[room] == '.'))
		room++;
	*ret_dot = false;
	if (room == 0)
		return true;
	path = arena_zalloc(l->arena, room / 2 + 1, sizeof(*path));
	if (!path)
		return lex_fail_limit(l, "Section too long");
	section->path = path;
	do {
		*ret_dot = false;
		if (!lex_nz_number(l, UINT32_MAX, &number))
			return false;
		path[section->path_len++] = (uint32_t)number;
		if (!lex_peek(l, '.'))
			break;
		if (!lex_byte(l, '.'))
			return false;
		*ret_dot = true;
	} while (l->rest.len && byte_is_digit(l->rest.at[0]));
	return true;
}

static struct slice *names_grow(struct imap_lexer *l, const struct slice *names, size_t count)
{
	struct slice *grown = arena_zalloc(l->arena, count * 2, sizeof(*grown));

	if (grown && count)
		memcpy(grown, names, count * sizeof(*grown));
	return grown;
}

/* "(From To)" */
static bool field_names(struct imap_lexer *l, struct fetch_body *body)
{
	size_t room = 8;
	struct slice *names = arena_zalloc(l->arena, room, sizeof(*names));

	if (!lex_space(l) || !lex_byte(l, '('))
		return false;
	body->names_are_common = true;
	do {
		if (body->name_count == room) {
			names = names ? names_grow(l, names, room) : NULL;
			room *= 2;
		}
		if (!names)
			return lex_fail_limit(l, "Too many field names");
		if (!lex_astring(l, &names[body->name_count]))
			return false;
		body->names_are_common &= mail_field_is_common(names[body->name_count++]);
	} while (lex_peek(l, ' ') && lex_space(l));
	body->names = names;
	return lex_byte(l, ')');
}

static bool section_text(struct imap_lexer *l, struct fetch_body *body)
{
	struct slice word;
	size_t len = 0;

	while (len < l->rest.len && (byte_is_alpha(l->rest.at[len]) || l->rest.at[len] == '.'))
		len++;
	word = slice_first(l->rest, len);
	l->rest = slice_from(l->rest, len);
	body->section.kind = MAIL_SECTION_HEADER;
	if (slice_equal_nocase(word, SLICE("HEADER")))
		return true;
	if (slice_equal_nocase(word, SLICE("HEADER.FIELDS"))) {
		body->fields = FIELDS_NAMED;
		return field_names(l, body);
	}
	if (slice_equal_nocase(word, SLICE("HEADER.FIELDS.NOT"))) {
		body->fields = FIELDS_NOT_NAMED;
		return field_names(l, body);
	}
	body->section.kind = MAIL_SECTION_TEXT;
	if (slice_equal_nocase(word, SLICE("TEXT")))
		return true;
	body->section.kind = MAIL_SECTION_MIME;
	if (slice_equal_nocase(word, SLICE("MIME")) && body->section.path_len)
		return true;
	return fail(l, "Unknown section");
}

/* "<0.1024>" */
static bool partial(struct imap_lexer *l, struct fetch_body *body)
{
	if (!lex_peek(l, '<'))
		return true;
	body->partial = true;
	return lex_byte(l, '<') && lex_number(l, INT64_MAX, &body->offset) && lex_byte(l, '.') &&
	       lex_nz_number(l, INT64_MAX, &body->count) && lex_byte(l, '>');
}

static bool is_atom(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!byte_is_alpha(name.at[i]) && !byte_is_digit(name.at[i]) && name.at[i] != '-' && name.at[i] != '_')
			return false;
	return name.len != 0;
}

static void put_names(struct buffer *b, const struct fetch_body *body)
{
	buffer_put_text(b, body->fields == FIELDS_NAMED ? "HEADER.FIELDS (" : "HEADER.FIELDS.NOT (");
	for (size_t i = 0; i < body->name_count; i++) {
		if (i)
			buffer_put_byte(b, ' ');
		if (is_atom(body->names[i]))
			buffer_put(b, body->names[i]);
		else
			put_string(b, body->names[i], false);
	}
	buffer_put_byte(b, ')');
}

static void put_label(struct buffer *b, const char *name, const struct fetch_body *body)
{
	static const char *const kinds[] = {
		[MAIL_SECTION_ALL] = "",
		[MAIL_SECTION_HEADER] = "HEADER",
		[MAIL_SECTION_TEXT] = "TEXT",
		[MAIL_SECTION_MIME] = "MIME",
	};

	buffer_put_text(b, name);
	buffer_put_byte(b, '[');
	for (uint32_t i = 0; i < body->section.path_len; i++) {
		if (i)
			buffer_put_byte(b, '.');
		buffer_put_u64(b, body->section.path[i]);
	}
	if (body->section.path_len && body->section.kind != MAIL_SECTION_ALL)
		buffer_put_byte(b, '.');
	if (body->fields == FIELDS_ALL)
		buffer_put_text(b, kinds[body->section.kind]);
	else
		put_names(b, body);
	buffer_put_byte(b, ']');
	if (body->partial)
		buffer_printf(b, "<%llu>", (unsigned long long)body->offset);
}

bool parse_fetch_section(struct imap_lexer *l, const char *name, struct fetch_body *body)
{
	struct buffer label = BUFFER_INIT(LABEL_BYTES_MAX);
	bool dot, ok;

	if (!lex_byte(l, '[') || !part_path(l, &body->section, &dot))
		return false;
	if (dot || (body->section.path_len == 0 && !lex_peek(l, ']'))) {
		if (body->kind != FETCH_RAW)
			return fail(l, "BINARY takes part numbers only");
		if (!section_text(l, body))
			return false;
	}
	if (!lex_byte(l, ']') || !partial(l, body))
		return false;
	put_label(&label, name, body);
	ok = !buffer_error(&label) && !arena_copy(l->arena, buffer_slice(&label), &body->label);
	buffer_free(&label);
	return ok ? true : lex_fail_limit(l, "Section too long");
}
