/*
 * What the files of the mail module share and nobody else sees.
 *
 * While a message is parsed, text that lasts (rendered structure, names, types) is appended to one growing buffer; a
 * `struct span` names a place in it, because the buffer may move. At the end spans become slices.
 */
#ifndef PENFOLD_MAIL_INTERNAL_H
#define PENFOLD_MAIL_INTERNAL_H

#include "base/utf8.h"
#include "mail/mail.h"

struct span {
	uint32_t at, len;
};
struct span span_since(const struct buffer *text, size_t start);
struct span span_put(struct buffer *text, struct slice bytes);
struct slice span_slice(const struct buffer *text, struct span span);

/* ---- token.c: the lexical pieces of RFC 5322 §3.2 and RFC 2045 §5.1 ---- */

struct lexer {
	const char *at, *end;
	struct buffer *comment; /* takes the text of the latest comment; may be NULL */
};
struct lexer lexer_make(struct slice text);
bool lexer_is(const struct lexer *lexer, char byte); /* the next byte is `byte` */
/* Skips white space, folds and comments; false when a comment has no end (everything is then skipped). */
bool lexer_space(struct lexer *lexer);
struct slice lexer_atom(struct lexer *lexer);      /* a run of atext, 8-bit bytes included; may be empty */
struct slice lexer_atom_dots(struct lexer *lexer); /* the same with dots */
struct slice lexer_token(struct lexer *lexer);     /* a MIME token; may be empty */
/* At '"': appends the content without quotes, backslashes and line ends; false when the end quote is missing. */
bool lexer_quoted(struct lexer *lexer, struct buffer *out);
bool byte_is_atext(char c);
bool byte_is_token(char c);

/* ---- header.c: which fields a header block has ---- */

enum field_id {
	FIELD_OTHER,
	FIELD_DATE,
	FIELD_SUBJECT,
	FIELD_FROM,
	FIELD_SENDER,
	FIELD_REPLY_TO,
	FIELD_TO,
	FIELD_CC,
	FIELD_BCC,
	FIELD_IN_REPLY_TO,
	FIELD_MESSAGE_ID,
	FIELD_REFERENCES,
	FIELD_MIME_VERSION,
	FIELD_CONTENT_TYPE,
	FIELD_CONTENT_ENCODING,
	FIELD_CONTENT_ID,
	FIELD_CONTENT_DESCRIPTION,
	FIELD_CONTENT_DISPOSITION,
	FIELD_CONTENT_LANGUAGE,
	FIELD_CONTENT_LOCATION,
	FIELD_CONTENT_MD5,
};
struct header_field {
	enum field_id id;
	struct slice value;
};
struct header {
	const struct header_field *fields; /* those with an id, in order */
	size_t count;
};
/* Fills `fields` (bytes of struct header_field) and, when not NULL, `common`, of at most common_max bytes. */
void header_read(struct slice block, const struct mail_limits *limits, struct buffer *fields, struct buffer *common,
	bool *common_cut);
struct header header_of(const struct buffer *fields);
bool header_has(const struct header *header, enum field_id id);
/* The value of the first or last such field, leading white space off; at == NULL when there is none. */
struct slice header_first(const struct header *header, enum field_id id);
struct slice header_last(const struct header *header, enum field_id id);

/* ---- imap_text.c: strings as IMAP writes them ---- */

void imap_put_string(struct buffer *out, struct slice text);    /* quoted, or a literal where it must be */
void imap_put_nstring(struct buffer *out, struct slice text);   /* NIL when text.at is NULL */
void imap_put_unfolded(struct buffer *out, struct slice value); /* nstring, CR and LF left out */
void imap_put_compact(struct buffer *out, struct slice value);  /* nstring, white space runs as one space */
void text_put_compact(struct buffer *out, struct slice text);   /* the same without the string around it */
void text_put_unfolded(struct buffer *out, struct slice text);

/* ---- params.c: RFC 2045 §5.1 and RFC 2231 ---- */

enum { PARAMS_MAX = 128 };
struct param {
	struct span name, value; /* in params.text; continuations joined, `name*` keeps its RFC 2231 form */
};
struct params {
	struct buffer text;
	struct param list[PARAMS_MAX];
	size_t count;
};
void params_init(struct params *params);
void params_read(struct params *params, struct lexer *lexer); /* at the first ';' */
struct slice param_name(const struct params *params, size_t i);
struct slice param_value(const struct params *params, size_t i);
/* The value without RFC 2231 form; at == NULL when there is none. */
struct slice params_get(const struct params *params, struct slice name);
/* The value for people: RFC 2231 or RFC 2047 decoded, UTF-8. False when there is none. */
bool params_get_text(const struct params *params, struct slice name, struct buffer *out);

/* ---- content.c: what the Content-… fields say about a part ---- */

struct content {
	enum mail_kind kind;
	enum mail_encoding encoding;
	bool attachment, is_text, has_name;
	struct span type, subtype, charset, filename, boundary;
	/* Rendered for BODYSTRUCTURE: before the size and after it (for a multipart only the latter). */
	struct span head, tail;
};
/* in_digest: the default type is message/rfc822 (RFC 2046 §5.1.5). The spans point into `text`. */
void content_read(const struct header *header, bool is_mime, bool in_digest, struct params *params, struct buffer *text,
	struct content *ret_content);
/* The content of an opaque leaf: application/octet-stream, nothing else kept. */
void content_opaque(struct buffer *text, struct content *ret_content);

/* ---- address.c ---- */

enum { ADDRESSES_MAX = 10000 };
enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP_START, ADDRESS_GROUP_END };
/* at == NULL means absent. Valid during the callback. */
struct address {
	enum address_kind kind;
	struct slice name, route, local, domain;
};
struct address_scratch {
	struct buffer name, route, local, domain, comment;
};
void address_scratch_init(struct address_scratch *scratch);
void address_scratch_free(struct address_scratch *scratch);
void addresses_read(struct slice value, struct address_scratch *scratch,
	void (*each)(void *context, const struct address *address), void *context);

/* ---- envelope.c, subject.c, references.c ---- */

void envelope_put(const struct header *header, struct address_scratch *scratch, struct buffer *out);
void envelope_put_empty(struct buffer *out);
void subject_put_base(struct slice value, struct buffer *out); /* RFC 5256 §2.1 */
enum { REFERENCES_MAX = 200 };
/* The next message identifier of *rest, with angle brackets, appended to `out`; false at the end. */
bool message_id_next(struct slice *rest, struct buffer *out);

/* ---- charset.c ---- */

struct utf7 {
	bool shifted, seen_any;         /* inside "+…-"; a digit was there */
	uint32_t bits, bit_count, high; /* high: the first half of a surrogate pair, or 0 */
};
struct converter {
	int kind;
	struct utf7 utf7;
	void *handle;
	char held[16]; /* an incomplete character at the end of the last piece */
	size_t held_len;
};
/* -ENOENT for an unknown charset; the converter then works for what is ASCII. Never another error. */
MUST_CHECK int converter_open(struct converter *converter, struct slice charset);
void converter_feed(struct converter *converter, struct slice bytes, struct buffer *out);
void converter_finish(struct converter *converter, struct buffer *out);
void converter_close(struct converter *converter);
/* Valid UTF-8 as it is, every other byte as U+FFFD. */
struct slice utf8_first(struct slice text, size_t bytes_max); /* as much as fits, no character cut */
void utf8_put_valid(struct buffer *out, struct slice bytes);

/* ---- preview.c, html.c ---- */

enum {
	PREVIEW_BYTES_MAX = 256,
	PREVIEW_PLAIN_BYTES = 4096,
	PREVIEW_HTML_BYTES = 65536,
	PREVIEW_PLAIN_STEP = 512,
	PREVIEW_HTML_STEP = 2048
};
struct preview_source {
	struct slice body; /* its beginning, still encoded */
	enum mail_encoding encoding;
	struct slice charset;
	bool is_html;
};
MUST_CHECK int preview_put(const struct preview_source *source, struct buffer *out);
void html_put_text(struct slice html, size_t bytes_enough, struct buffer *out);

#endif
