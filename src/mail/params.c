#include "mail/internal.h"

/* A parameter as it stands, before continuations are joined (RFC 2231 §3). */
struct segment {
	struct span base, name, value; /* name: as written, base: without "*0*" */
	int index;                     /* -1: an ordinary parameter */
	bool extended;                 /* percent-encoded (RFC 2231 §4) */
	bool used;
};

enum { TEXT_MAX = 1 << 20 };

void params_init(struct params *params)
{
	params->text = BUFFER_INIT(TEXT_MAX);
	params->count = 0;
}

struct slice param_name(const struct params *params, size_t i)
{
	return span_slice(&params->text, params->list[i].name);
}

struct slice param_value(const struct params *params, size_t i)
{
	struct slice value = span_slice(&params->text, params->list[i].value);

	return value.at ? value : slice_make("", 0);
}

/* name*3* : what stands before the first asterisk, the number and whether a second asterisk follows. */
static void segment_classify(struct segment *segment, struct slice name)
{
	size_t star = slice_find_byte(name, '*');
	struct slice rest = slice_from(name, star == SIZE_MAX ? name.len : star + 1);
	int index = 0;
	bool extended = false;

	segment->index = -1;
	segment->base = segment->name;
	if (star == SIZE_MAX || star == 0)
		return;
	if (rest.len == 0) {
		extended = true;
	} else {
		while (rest.len && byte_is_digit(rest.at[0]) && index < PARAMS_MAX) {
			index = index * 10 + (rest.at[0] - '0');
			rest = slice_from(rest, 1);
		}
		if (slice_equal(rest, SLICE("*")))
			extended = true;
		else if (rest.len)
			return;
	}
	segment->index = index;
	segment->extended = extended;
	segment->base.len = (uint32_t)star;
}

static bool value_read(struct lexer *lexer, struct buffer *text)
{
	const char *start = lexer->at;

	if (lexer_is(lexer, '"'))
		return lexer_quoted(lexer, text) && lexer_space(lexer);
	if (lexer_is(lexer, '=')) {
		/* An RFC 2047 word, not allowed here (RFC 2047 §5) but often seen. */
		while (lexer->at < lexer->end && *lexer->at != ';' && !byte_is_space(*lexer->at))
			lexer->at++;
		buffer_put(text, slice_make(start, (size_t)(lexer->at - start)));
		return lexer_space(lexer);
	}
	buffer_put(text, lexer_token(lexer));
	return lexer_space(lexer);
}

/* At ';'. False when there is no parameter here. */
static bool segment_read(struct params *params, struct lexer *lexer, struct segment *segment)
{
	struct slice name;
	size_t start;

	lexer->at++;
	if (!lexer_space(lexer))
		return false;
	name = lexer_token(lexer);
	if (!lexer_space(lexer) || name.len == 0 || !lexer_is(lexer, '='))
		return false;
	lexer->at++;
	*segment = (struct segment){.name = span_put(&params->text, name)};
	segment_classify(segment, name);
	(void)lexer_space(lexer);
	start = params->text.len;
	(void)value_read(lexer, &params->text);
	segment->value = span_since(&params->text, start);
	return true;
}

static void param_add(struct params *params, struct span name, struct span value)
{
	if (params->count < PARAMS_MAX)
		params->list[params->count++] = (struct param){name, value};
}

static bool same_base(const struct params *params, const struct segment *a, const struct segment *b)
{
	return b->index >= 0 &&
	       slice_equal_nocase(span_slice(&params->text, a->base), span_slice(&params->text, b->base));
}

static struct segment *segment_find(
	const struct params *params, struct segment *segments, size_t count, const struct segment *like, int index)
{
	for (size_t i = 0; i < count; i++)
		if (segments[i].index == index && same_base(params, like, &segments[i]))
			return &segments[i];
	return NULL;
}

static void put_segment(struct buffer *text, struct span value, bool encode)
{
	static const char digits[] = "0123456789ABCDEF";

	for (uint32_t i = 0; i < value.len && !text->error; i++) {
		char c = text->at[value.at + i];

		if (!encode || (byte_is_token(c) && c != '%' && c != '\'' && c != '*' && !((unsigned char)c & 0x80))) {
			buffer_put_byte(text, c);
			continue;
		}
		buffer_put_byte(text, '%');
		buffer_put_byte(text, digits[(unsigned char)c >> 4]);
		buffer_put_byte(text, digits[c & 15]);
	}
}

/* Joins the segments of one name when their numbers are 0, 1, … without a gap; otherwise they stay as they are. */
static void segments_join(struct params *params, struct segment *segments, size_t count, struct segment *first)
{
	size_t same = 0, start;
	bool extended = false;
	struct span name, value;

	for (size_t i = 0; i < count; i++)
		same += same_base(params, first, &segments[i]);
	for (size_t i = 0; i < same; i++) {
		const struct segment *segment = segment_find(params, segments, count, first, (int)i);

		if (!segment) {
			param_add(params, first->name, first->value);
			first->used = true;
			return;
		}
		extended |= segment->extended;
	}
	start = params->text.len;
	for (size_t i = 0; i < same; i++) {
		struct segment *segment = segment_find(params, segments, count, first, (int)i);

		segment->used = true;
		put_segment(&params->text, segment->value, extended && !segment->extended);
	}
	value = span_since(&params->text, start);
	start = params->text.len;
	put_segment(&params->text, first->base, false);
	if (extended)
		buffer_put_byte(&params->text, '*');
	name = span_since(&params->text, start);
	param_add(params, name, value);
}

void params_read(struct params *params, struct lexer *lexer)
{
	struct segment segments[PARAMS_MAX];
	size_t count = 0;

	params->count = 0;
	buffer_reset(&params->text);
	while (lexer->at < lexer->end && count < PARAMS_MAX) {
		/* Rubbish between parameters is passed over, as far as the next semicolon. */
		if (!lexer_is(lexer, ';'))
			lexer->at++;
		else if (segment_read(params, lexer, &segments[count]))
			count++;
	}
	for (size_t i = 0; i < count; i++) {
		if (segments[i].used)
			continue;
		if (segments[i].index < 0)
			param_add(params, segments[i].name, segments[i].value);
		else
			segments_join(params, segments, count, &segments[i]);
	}
	if (params->text.error)
		params->count = 0;
}

struct slice params_get(const struct params *params, struct slice name)
{
	for (size_t i = 0; i < params->count; i++)
		if (slice_equal_nocase(param_name(params, i), name))
			return param_value(params, i);
	return slice_make(NULL, 0);
}

static int hex_value(char c)
{
	c = byte_lower(c);
	if (byte_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* charset'language'percent-encoded text (RFC 2231 §4). */
static void put_extended(struct slice value, struct buffer *out)
{
	struct buffer bytes = BUFFER_INIT(value.len);
	struct slice charset = slice_make("", 0);
	size_t quote = slice_find_byte(value, '\'');
	size_t second = quote == SIZE_MAX ? SIZE_MAX : slice_find_byte(slice_from(value, quote + 1), '\'');

	if (second != SIZE_MAX) {
		charset = slice_first(value, quote);
		value = slice_from(value, quote + 1 + second + 1);
	}
	for (size_t i = 0; i < value.len; i++) {
		int high = i + 2 < value.len ? hex_value(value.at[i + 1]) : -1;
		int low = i + 2 < value.len ? hex_value(value.at[i + 2]) : -1;

		if (value.at[i] == '%' && high >= 0 && low >= 0) {
			buffer_put_byte(&bytes, (char)(high << 4 | low));
			i += 2;
		} else {
			buffer_put_byte(&bytes, value.at[i]);
		}
	}
	(void)!mail_charset_to_utf8(charset.len ? charset : SLICE("utf-8"), buffer_slice(&bytes), out);
	if (bytes.error && !out->error)
		out->error = bytes.error;
	buffer_free(&bytes);
}

bool params_get_text(const struct params *params, struct slice name, struct buffer *out)
{
	for (size_t i = 0; i < params->count; i++) {
		struct slice full = param_name(params, i);

		if (full.len == name.len + 1 && full.at[name.len] == '*' && slice_starts_nocase(full, name)) {
			put_extended(param_value(params, i), out);
			return true;
		}
	}
	if (!params_get(params, name).at)
		return false;
	mail_header_text(params_get(params, name), out);
	return true;
}
