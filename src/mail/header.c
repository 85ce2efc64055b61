#include "mail/internal.h"

/* Every field name the module knows. `common`: kept in mail_message.common. */
struct known_field {
	struct slice name; /* lower case */
	enum field_id id;
	bool common;
};

#define KNOWN(text, field, is_common)                      \
	{                                                  \
		{text, sizeof(text) - 1}, field, is_common \
	}
static const struct known_field known_fields[] = {
	KNOWN("date", FIELD_DATE, true),
	KNOWN("subject", FIELD_SUBJECT, true),
	KNOWN("from", FIELD_FROM, true),
	KNOWN("sender", FIELD_SENDER, true),
	KNOWN("reply-to", FIELD_REPLY_TO, true),
	KNOWN("to", FIELD_TO, true),
	KNOWN("cc", FIELD_CC, true),
	KNOWN("bcc", FIELD_BCC, true),
	KNOWN("in-reply-to", FIELD_IN_REPLY_TO, true),
	KNOWN("message-id", FIELD_MESSAGE_ID, true),
	KNOWN("references", FIELD_REFERENCES, true),
	KNOWN("mime-version", FIELD_MIME_VERSION, true),
	KNOWN("content-type", FIELD_CONTENT_TYPE, true),
	KNOWN("content-transfer-encoding", FIELD_CONTENT_ENCODING, true),
	KNOWN("content-id", FIELD_CONTENT_ID, false),
	KNOWN("content-description", FIELD_CONTENT_DESCRIPTION, true),
	KNOWN("content-disposition", FIELD_CONTENT_DISPOSITION, false),
	KNOWN("content-language", FIELD_CONTENT_LANGUAGE, false),
	KNOWN("content-location", FIELD_CONTENT_LOCATION, false),
	KNOWN("content-md5", FIELD_CONTENT_MD5, false),
	KNOWN("delivered-to", FIELD_OTHER, true),
	KNOWN("disposition-notification-to", FIELD_OTHER, true),
	KNOWN("importance", FIELD_OTHER, true),
	KNOWN("lines", FIELD_OTHER, true),
	KNOWN("list-id", FIELD_OTHER, true),
	KNOWN("list-post", FIELD_OTHER, true),
	KNOWN("list-subscribe", FIELD_OTHER, true),
	KNOWN("list-unsubscribe", FIELD_OTHER, true),
	KNOWN("newsgroups", FIELD_OTHER, true),
	KNOWN("priority", FIELD_OTHER, true),
	KNOWN("x-label", FIELD_OTHER, true),
	KNOWN("x-original-to", FIELD_OTHER, true),
	KNOWN("x-priority", FIELD_OTHER, true),
};

const char *const mail_common_fields[] = {"date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc",
	"in-reply-to", "message-id", "references", "mime-version", "content-type", "content-transfer-encoding",
	"content-description", "delivered-to", "disposition-notification-to", "importance", "lines", "list-id",
	"list-post", "list-subscribe", "list-unsubscribe", "newsgroups", "priority", "x-label", "x-original-to",
	"x-priority", NULL};

static const struct known_field *field_known(struct slice name)
{
	char first = name.len ? byte_lower(name.at[0]) : '\0';

	for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
		const struct known_field *known = &known_fields[i];

		if (known->name.len == name.len && known->name.at[0] == first && slice_equal_nocase(known->name, name))
			return known;
	}
	return NULL;
}

bool mail_field_is_common(struct slice name)
{
	const struct known_field *known = field_known(name);

	return known && known->common;
}

/* Up to and including the line's LF. */
static size_t line_len(struct slice rest)
{
	size_t lf = slice_find_byte(rest, '\n');

	return lf == SIZE_MAX ? rest.len : lf + 1;
}

static bool is_blank(struct slice line)
{
	return slice_equal(line, SLICE("\r\n")) || slice_equal(line, SLICE("\n"));
}

static struct slice without_line_end(struct slice line)
{
	if (line.len && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

bool mail_field_next(struct slice *rest, struct mail_field *ret_field)
{
	size_t len = line_len(*rest);
	size_t colon;
	struct slice first = slice_first(*rest, len);
	struct mail_field field;

	if (rest->len == 0 || is_blank(first))
		return false;
	/* A line that begins with white space belongs to the field before it (RFC 5322 §2.2.3). */
	while (len < rest->len && (rest->at[len] == ' ' || rest->at[len] == '\t'))
		len += line_len(slice_from(*rest, len));
	field.whole = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	colon = slice_find_byte(first, ':');
	if (colon == SIZE_MAX || first.at[0] == ' ' || first.at[0] == '\t') {
		field.name = slice_make(field.whole.at, 0);
		field.value = without_line_end(field.whole);
	} else {
		/* White space before the colon is obsolete but allowed (RFC 5322 §4.5). */
		field.name = slice_trim(slice_first(field.whole, colon));
		field.value = without_line_end(slice_make(field.whole.at + colon + 1, len - colon - 1));
	}
	*ret_field = field;
	return true;
}

static bool name_is_listed(struct slice name, const struct slice *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(name, names[i]))
			return true;
	return false;
}

void mail_fields_select(struct slice header, const struct slice *names, size_t count, bool except, struct buffer *out)
{
	struct mail_field field;

	while (mail_field_next(&header, &field))
		if (name_is_listed(field.name, names, count) != except)
			buffer_put(out, field.whole);
	/* What is left is the blank line, or nothing where the message ends without one (RFC 9051 §7.5.2). */
	if (header.len)
		buffer_put(out, SLICE("\r\n"));
}

void header_read(struct slice block, const struct mail_limits *limits, struct buffer *fields, struct buffer *common,
	bool *common_cut)
{
	struct mail_field field;
	uint32_t seen = 0;

	buffer_reset(fields);
	while (mail_field_next(&block, &field)) {
		const struct known_field *known = field_known(field.name);
		struct header_field kept = {known ? known->id : FIELD_OTHER, field.value};

		if (seen++ == limits->fields_max) {
			if (common)
				*common_cut = true;
			break;
		}
		if (kept.id != FIELD_OTHER)
			buffer_put(fields, slice_make(&kept, sizeof(kept)));
		if (!common || !known || !known->common || *common_cut)
			continue;
		if (common->len + field.whole.len > limits->common_max)
			*common_cut = true;
		else
			buffer_put(common, field.whole);
	}
	if (common && block.len && is_blank(block))
		buffer_put(common, block);
}

struct header header_of(const struct buffer *fields)
{
	return (struct header){
		(const struct header_field *)(const void *)fields->at, fields->len / sizeof(struct header_field)};
}

static struct slice value_start(struct slice value)
{
	while (value.len && byte_is_space(value.at[0])) {
		value.at++;
		value.len--;
	}
	return value;
}

bool header_has(const struct header *header, enum field_id id)
{
	return header_first(header, id).at != NULL;
}

struct slice header_first(const struct header *header, enum field_id id)
{
	for (size_t i = 0; i < header->count; i++)
		if (header->fields[i].id == id)
			return value_start(header->fields[i].value);
	return slice_make(NULL, 0);
}

struct slice header_last(const struct header *header, enum field_id id)
{
	for (size_t i = header->count; i > 0; i--)
		if (header->fields[i - 1].id == id)
			return value_start(header->fields[i - 1].value);
	return slice_make(NULL, 0);
}
