#include "mail/internal.h"

static const struct {
	struct slice name;
	enum mail_encoding encoding;
} encodings[] = {
	{{"7bit", 4}, MAIL_7BIT},
	{{"8bit", 4}, MAIL_8BIT},
	{{"binary", 6}, MAIL_BINARY},
	{{"quoted-printable", 16}, MAIL_QUOTED_PRINTABLE},
	{{"base64", 6}, MAIL_BASE64},
	{{"x-uuencode", 10}, MAIL_UUENCODE},
	{{"x-uue", 5}, MAIL_UUENCODE},
	{{"uuencode", 8}, MAIL_UUENCODE},
};

static enum mail_encoding encoding_of(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(encodings); i++)
		if (slice_equal_nocase(encodings[i].name, name))
			return encodings[i].encoding;
	return name.len ? MAIL_UNKNOWN : MAIL_7BIT;
}

static struct span put_lower(struct buffer *text, struct slice name)
{
	size_t start = text->len;

	for (size_t i = 0; i < name.len; i++)
		buffer_put_byte(text, byte_lower(name.at[i]));
	return span_since(text, start);
}

static void put_params(const struct params *params, bool default_charset, struct buffer *out)
{
	default_charset = default_charset && !params_get(params, SLICE("charset")).at;
	if (params->count == 0 && !default_charset) {
		buffer_put(out, SLICE("NIL"));
		return;
	}
	buffer_put_byte(out, '(');
	for (size_t i = 0; i < params->count; i++) {
		if (i)
			buffer_put_byte(out, ' ');
		imap_put_string(out, param_name(params, i));
		buffer_put_byte(out, ' ');
		imap_put_string(out, param_value(params, i));
	}
	/* Text without a charset is US-ASCII (RFC 2045 §5.2). */
	if (default_charset) {
		if (params->count)
			buffer_put_byte(out, ' ');
		buffer_put(out, SLICE("\"charset\" \"us-ascii\""));
	}
	buffer_put_byte(out, ')');
}

/* Lack of memory in something that was to go into `text` is one of `text`. */
static void note_error(struct buffer *text, int error)
{
	if (error == -ENOMEM && !text->error)
		text->error = -ENOMEM;
}

/* What a Content-Type says; slices into the header. */
struct media {
	struct slice type, subtype;
};

static struct media media_read(struct lexer *lexer)
{
	struct media media = {0};

	if (!lexer_space(lexer))
		return media;
	media.type = lexer_token(lexer);
	if (!lexer_space(lexer) || !lexer_is(lexer, '/'))
		return media;
	lexer->at++;
	if (!lexer_space(lexer))
		return media;
	media.subtype = lexer_token(lexer);
	(void)lexer_space(lexer);
	return media;
}

static bool media_is(const struct media *media, struct slice type, struct slice subtype)
{
	return slice_equal_nocase(media->type, type) && (!subtype.len || slice_equal_nocase(media->subtype, subtype));
}

static struct media media_default(bool in_digest)
{
	if (in_digest)
		return (struct media){SLICE("message"), SLICE("rfc822")};
	return (struct media){SLICE("text"), SLICE("plain")};
}

static enum mail_kind media_kind(const struct media *media, struct slice boundary)
{
	if (media_is(media, SLICE("message"), SLICE("rfc822")) || media_is(media, SLICE("message"), SLICE("global")))
		return MAIL_MESSAGE;
	return media_is(media, SLICE("multipart"), SLICE("")) && boundary.len ? MAIL_MULTIPART : MAIL_LEAF;
}

/* The boundary may not end in white space (RFC 2046 §5.1.1). */
static struct slice boundary_of(const struct params *params)
{
	struct slice boundary = params_get(params, SLICE("boundary"));

	while (boundary.len && byte_is_space(boundary.at[boundary.len - 1]))
		boundary.len--;
	return boundary;
}

static void put_language(struct slice value, struct buffer *out)
{
	struct lexer lexer = lexer_make(value);
	size_t start = out->len;

	(void)lexer_space(&lexer);
	for (;;) {
		struct slice tag = lexer_atom(&lexer);

		if (tag.len == 0)
			break;
		buffer_put_byte(out, out->len == start ? '(' : ' ');
		imap_put_string(out, tag);
		if (!lexer_space(&lexer) || !lexer_is(&lexer, ','))
			break;
		lexer.at++;
		(void)lexer_space(&lexer);
	}
	buffer_put(out, out->len == start ? SLICE("NIL") : SLICE(")"));
}

/* Disposition, language, location: the end of both forms of BODYSTRUCTURE (RFC 9051 §7.5.2). */
static void put_extension(
	const struct header *header, struct params *params, struct buffer *text, struct content *content)
{
	struct lexer lexer = lexer_make(header_first(header, FIELD_CONTENT_DISPOSITION));
	struct slice disposition;
	struct buffer name = BUFFER_INIT(4096);

	(void)lexer_space(&lexer);
	disposition = lexer_token(&lexer);
	buffer_put_byte(text, ' ');
	if (disposition.len == 0) {
		buffer_put(text, SLICE("NIL"));
	} else {
		(void)lexer_space(&lexer);
		params_read(params, &lexer);
		note_error(text, params->text.error);
		buffer_put_byte(text, '(');
		imap_put_string(text, disposition);
		buffer_put_byte(text, ' ');
		put_params(params, false, text);
		buffer_put_byte(text, ')');
		content->attachment = slice_equal_nocase(disposition, SLICE("attachment"));
		content->has_name = params_get_text(params, SLICE("filename"), &name);
	}
	buffer_put_byte(text, ' ');
	put_language(header_first(header, FIELD_CONTENT_LANGUAGE), text);
	buffer_put_byte(text, ' ');
	imap_put_unfolded(text, header_first(header, FIELD_CONTENT_LOCATION));
	if (content->has_name && name.len) {
		/* Outside what is rendered: the caller takes the tail before the name. */
		content->tail.len = (uint32_t)(text->len - content->tail.at);
		content->filename = span_put(text, buffer_slice(&name));
	}
	note_error(text, name.error);
	buffer_free(&name);
}

static void put_head(const struct header *header, const struct media *media, const struct params *params,
	struct slice encoding, struct buffer *text)
{
	imap_put_string(text, media->type);
	buffer_put_byte(text, ' ');
	imap_put_string(text, media->subtype);
	buffer_put_byte(text, ' ');
	put_params(params, media_is(media, SLICE("text"), SLICE("")), text);
	buffer_put_byte(text, ' ');
	imap_put_unfolded(text, header_first(header, FIELD_CONTENT_ID));
	buffer_put_byte(text, ' ');
	imap_put_unfolded(text, header_first(header, FIELD_CONTENT_DESCRIPTION));
	buffer_put_byte(text, ' ');
	imap_put_string(text, encoding.len ? encoding : SLICE("7bit"));
}

static struct slice encoding_name(const struct header *header)
{
	struct lexer lexer = lexer_make(header_first(header, FIELD_CONTENT_ENCODING));
	struct slice name;

	(void)lexer_space(&lexer);
	name = lexer_token(&lexer);
	/* Anything after the token makes the whole field meaningless. */
	return lexer_space(&lexer) && lexer.at == lexer.end ? name : slice_make(NULL, 0);
}

/* The type and its parameters; what depends on Content-Type's parameters is taken before they are read over. */
static void content_type_read(const struct header *header, bool in_digest, struct params *params, struct buffer *text,
	struct content *content, struct media *media)
{
	struct slice value = header_first(header, FIELD_CONTENT_TYPE);
	struct lexer lexer = lexer_make(value);
	struct buffer name = BUFFER_INIT(4096);

	params->count = 0;
	*media = value.at ? media_read(&lexer) : media_default(in_digest);
	if (value.at && media->type.len)
		params_read(params, &lexer);
	note_error(text, value.at ? params->text.error : 0);
	/* What is no valid type is plain text (RFC 2045 §5.2). */
	if (media->type.len == 0 || media->subtype.len == 0)
		*media = media_default(false);
	content->kind = media_kind(media, boundary_of(params));
	content->is_text = media_is(media, SLICE("text"), SLICE(""));
	content->type = put_lower(text, media->type);
	content->subtype = put_lower(text, media->subtype);
	if (content->is_text && !params_get(params, SLICE("charset")).at)
		content->charset = span_put(text, SLICE("us-ascii"));
	else
		content->charset = put_lower(text, params_get(params, SLICE("charset")));
	if (content->kind == MAIL_MULTIPART)
		content->boundary = span_put(text, boundary_of(params));
	if (params_get_text(params, SLICE("name"), &name) && name.len)
		content->filename = span_put(text, buffer_slice(&name));
	note_error(text, name.error);
	buffer_free(&name);
}

void content_read(const struct header *header, bool is_mime, bool in_digest, struct params *params, struct buffer *text,
	struct content *ret_content)
{
	static const struct header nothing = {NULL, 0};
	struct content content = {0};
	struct media media;
	size_t start;

	/* Without MIME-Version or Content-Type the other Content- fields mean nothing (RFC 2045 §4). */
	if (!is_mime)
		header = &nothing;
	content_type_read(header, in_digest, params, text, &content, &media);
	if (media_is(&media, SLICE("multipart"), SLICE("")) && content.kind != MAIL_MULTIPART) {
		/* Without a boundary there are no parts (RFC 2046 §5.1.1): plain text. */
		header = &nothing;
		content = (struct content){0};
		content_type_read(header, false, params, text, &content, &media);
	}
	content.encoding = encoding_of(encoding_name(header));
	start = text->len;
	if (content.kind == MAIL_MULTIPART) {
		buffer_put_byte(text, ' ');
		imap_put_string(text, media.subtype);
		buffer_put_byte(text, ' ');
		put_params(params, false, text);
	} else {
		put_head(header, &media, params, encoding_name(header), text);
		content.head = span_since(text, start);
		start = text->len;
		buffer_put_byte(text, ' ');
		imap_put_unfolded(text, header_first(header, FIELD_CONTENT_MD5));
	}
	content.tail = (struct span){(uint32_t)start, 0};
	put_extension(header, params, text, &content);
	if (content.tail.len == 0)
		content.tail = span_since(text, start);
	*ret_content = content;
}

void content_opaque(struct buffer *text, struct content *ret_content)
{
	struct content content = {.kind = MAIL_LEAF, .encoding = MAIL_7BIT};

	content.type = span_put(text, SLICE("application"));
	content.subtype = span_put(text, SLICE("octet-stream"));
	content.head = span_put(text, SLICE("\"application\" \"octet-stream\" NIL NIL NIL \"7bit\""));
	content.tail = span_put(text, SLICE(" NIL NIL NIL NIL"));
	*ret_content = content;
}
