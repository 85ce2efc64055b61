/* HTML to text for search and previews: what a person would read, one pass, nothing remembered of the structure. */
#include "mail/entities.h"
#include "mail/internal.h"

struct html {
	struct slice rest;
	struct buffer *out;
	size_t start;      /* of our output in `out` */
	char space;        /* owed before the next character: 0, ' ' or '\n' */
	bool no_more[256]; /* by closing quote: none follows any more, so that nothing is searched for twice */
	bool no_comment_end, no_head_end;
};

/* Tags that begin a new line, and those whose content nobody reads. */
static const struct slice line_tags[] = {
	{"address", 7},
	{"article", 7},
	{"aside", 5},
	{"blockquote", 10},
	{"br", 2},
	{"center", 6},
	{"dd", 2},
	{"div", 3},
	{"dl", 2},
	{"dt", 2},
	{"fieldset", 8},
	{"figure", 6},
	{"footer", 6},
	{"form", 4},
	{"h1", 2},
	{"h2", 2},
	{"h3", 2},
	{"h4", 2},
	{"h5", 2},
	{"h6", 2},
	{"header", 6},
	{"hr", 2},
	{"li", 2},
	{"main", 4},
	{"nav", 3},
	{"ol", 2},
	{"option", 6},
	{"p", 1},
	{"pre", 3},
	{"section", 7},
	{"table", 5},
	{"tbody", 5},
	{"tfoot", 5},
	{"thead", 5},
	{"title", 5},
	{"tr", 2},
	{"ul", 2},
};
static const struct slice silent_tags[] = {
	{"head", 4},
	{"script", 6},
	{"style", 5},
	{"template", 8},
};

static bool is_listed(struct slice name, const struct slice *list, size_t count)
{
	for (size_t i = 0; i < count && name.len; i++)
		if (list[i].len == name.len && (name.at[0] | 0x20) == list[i].at[0] &&
			slice_equal_nocase(name, list[i]))
			return true;
	return false;
}

/* The white space owed before what comes next. */
static void put_space(struct html *html)
{
	if (html->space && html->out->len > html->start)
		buffer_put_byte(html->out, html->space);
	html->space = 0;
}

static void put_text(struct html *html, struct slice bytes)
{
	if (bytes.len == 0)
		return;
	put_space(html);
	buffer_put(html->out, bytes);
}

static void want_space(struct html *html, char space)
{
	if (html->space != '\n')
		html->space = space;
}

/* Numbers 128 to 159 mean Windows-1252 there, whatever the standard of the day said. */
static uint32_t number_fix(uint32_t code_point)
{
	static const uint16_t windows[32] = {0x20ac, 0xfffd, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,
		0x2030, 0x160, 0x2039, 0x152, 0xfffd, 0x17d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
		0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0xfffd, 0x17e, 0x178};

	if (code_point >= 0x80 && code_point < 0xa0)
		return windows[code_point - 0x80];
	return code_point;
}

/* &#1234; and &#x4d2; : how long it is, 0 when it is none. */
static size_t number_read(struct slice s, uint32_t *ret_code_point)
{
	size_t at = 2;
	uint32_t base = 10, value = 0;
	size_t first;

	if (s.len > 2 && byte_lower(s.at[2]) == 'x') {
		base = 16;
		at = 3;
	}
	for (first = at; at < s.len && at - first < 8; at++) {
		char c = byte_lower(s.at[at]);

		if (byte_is_digit(c))
			value = value * base + (uint32_t)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			value = value * base + (uint32_t)(c - 'a') + 10;
		else
			break;
	}
	if (at == first)
		return 0;
	*ret_code_point = value ? number_fix(value) : 0xfffd;
	return at < s.len && s.at[at] == ';' ? at + 1 : at;
}

static size_t name_read(struct slice s, uint32_t *ret_code_point)
{
	size_t len = 1;
	uint32_t code_point;

	while (len < s.len && len < 12 && (byte_is_alpha(s.at[len]) || byte_is_digit(s.at[len])))
		len++;
	code_point = entity_code_point(slice_make(s.at + 1, len - 1));
	if (code_point == 0)
		return 0;
	*ret_code_point = code_point;
	return len < s.len && s.at[len] == ';' ? len + 1 : len;
}

/* At '&'. */
static void entity_take(struct html *html)
{
	uint32_t code_point = 0;
	size_t len = slice_starts(html->rest, SLICE("&#")) ? number_read(html->rest, &code_point)
							   : name_read(html->rest, &code_point);

	if (len == 0) {
		put_text(html, SLICE("&"));
		len = 1;
	} else if (code_point == 0xa0 || (code_point < 0x80 && byte_is_space((char)code_point))) {
		want_space(html, ' ');
	} else {
		put_space(html);
		buffer_put_utf8(html->out, code_point);
	}
	html->rest = slice_from(html->rest, len);
}

/* How long the tag at the start is, up to its ">"; a ">" in quotes does not end it. */
static size_t tag_len(struct html *html)
{
	struct slice s = html->rest;
	size_t at = 1;

	while (at < s.len && s.at[at] != '>') {
		unsigned char quote = (unsigned char)s.at[at++];
		size_t end;

		if ((quote != '"' && quote != '\'') || s.at[at - 2] != '=' || html->no_more[quote])
			continue;
		end = slice_find_byte(slice_from(s, at), (char)quote);
		if (end == SIZE_MAX)
			html->no_more[quote] = true;
		else
			at += end + 1;
	}
	return MIN(at + 1, s.len);
}

/* Passes over everything to the end tag `name`. */
static void silent_skip(struct html *html, struct slice name)
{
	struct slice s = html->rest;
	bool is_head = slice_equal_nocase(name, SLICE("head"));

	if (is_head && html->no_head_end)
		return;
	while (s.len) {
		size_t open = slice_find(s, SLICE("</"));

		if (open == SIZE_MAX)
			break;
		s = slice_from(s, open + 2);
		if (slice_starts_nocase(s, name)) {
			html->rest = slice_make(s.at - 2, s.len + 2);
			return;
		}
	}
	/* A head without an end is taken for text; a script without one reaches to the end of all. */
	if (is_head)
		html->no_head_end = true;
	else
		html->rest = slice_make(NULL, 0);
}

static void comment_skip(struct html *html)
{
	size_t end = html->no_comment_end ? SIZE_MAX : slice_find(html->rest, SLICE("-->"));

	if (end == SIZE_MAX) {
		html->no_comment_end = true;
		html->rest = slice_from(html->rest, tag_len(html));
	} else {
		html->rest = slice_from(html->rest, end + 3);
	}
}

/* At '<'. */
static void tag_take(struct html *html)
{
	struct slice s = html->rest, name;
	bool closing = s.len > 1 && s.at[1] == '/';
	size_t at = closing ? 2 : 1, end;

	if (slice_starts(s, SLICE("<!--"))) {
		comment_skip(html);
		return;
	}
	if (at >= s.len || !(byte_is_alpha(s.at[at]) || s.at[at] == '!' || s.at[at] == '?')) {
		put_text(html, SLICE("<"));
		html->rest = slice_from(s, 1);
		return;
	}
	for (end = at; end < s.len && (byte_is_alpha(s.at[end]) || byte_is_digit(s.at[end])); end++)
		;
	name = slice_make(s.at + at, end - at);
	html->rest = slice_from(s, tag_len(html));
	if (is_listed(name, line_tags, ARRAY_LEN(line_tags)))
		html->space = '\n';
	else if (slice_equal_nocase(name, SLICE("td")) || slice_equal_nocase(name, SLICE("th")))
		want_space(html, ' ');
	else if (!closing && is_listed(name, silent_tags, ARRAY_LEN(silent_tags)))
		silent_skip(html, name);
}

static const bool special[256] = {
	['<'] = true, ['&'] = true, [' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true};

void html_put_text(struct slice text, size_t bytes_enough, struct buffer *out)
{
	struct html html = {.rest = text, .out = out, .start = out->len};

	while (html.rest.len && !out->error && out->len - html.start < bytes_enough) {
		size_t run = 0;
		char c;

		while (run < html.rest.len && !special[(unsigned char)html.rest.at[run]])
			run++;
		put_text(&html, slice_first(html.rest, run));
		html.rest = slice_from(html.rest, run);
		if (html.rest.len == 0)
			break;
		c = html.rest.at[0];
		if (c == '<') {
			tag_take(&html);
		} else if (c == '&') {
			entity_take(&html);
		} else {
			want_space(&html, ' ');
			html.rest = slice_from(html.rest, 1);
		}
	}
}

void mail_html_text(struct slice html, struct buffer *out)
{
	html_put_text(html, SIZE_MAX, out);
}
