#include "mail/parser.h"

/* Keeps the first reference and the latest ones: threads need both ends, nobody needs thousands between. */
static void reference_add(struct mail_parser *parser, struct span id)
{
	struct buffer *list = &parser->references;
	size_t size = sizeof(id);

	if (list->len / size == REFERENCES_MAX) {
		memmove(list->at + size, list->at + 2 * size, list->len - 2 * size);
		buffer_truncate(list, list->len - size);
	}
	buffer_put(list, slice_make(&id, size));
}

/* References in order, or else the first identifier of In-Reply-To (RFC 5256 §3, REFERENCES). */
static void references_read(struct mail_parser *parser, const struct header *header)
{
	struct slice value = header_first(header, FIELD_REFERENCES);
	size_t start = parser->text.len;

	while (message_id_next(&value, &parser->text)) {
		reference_add(parser, span_since(&parser->text, start));
		start = parser->text.len;
	}
	if (parser->references.len)
		return;
	value = header_first(header, FIELD_IN_REPLY_TO);
	if (message_id_next(&value, &parser->text))
		reference_add(parser, span_since(&parser->text, start));
}

void parser_message_fields(struct mail_parser *parser, const struct header *header)
{
	struct slice id = header_last(header, FIELD_MESSAGE_ID);
	struct slice date = header_last(header, FIELD_DATE);
	size_t start = parser->text.len;

	subject_put_base(header_last(header, FIELD_SUBJECT), &parser->text);
	parser->subject = span_since(&parser->text, start);
	start = parser->text.len;
	if (message_id_next(&id, &parser->text))
		parser->message_id = span_since(&parser->text, start);
	references_read(parser, header);
	parser->has_date = date.at && mail_date_parse(date, &parser->date, &parser->date_zone) == 0;
}

static int preview_from(struct mail_parser *parser, uint32_t index, const struct buffer *kept, bool is_html)
{
	const struct mail_part *part;
	struct preview_source source;
	int error;

	if (index == PART_NONE || parser->preview.len)
		return 0;
	part = &parser->parts[index];
	/* The end of the part was not yet known when its bytes were kept. */
	source.body = slice_first(buffer_slice(kept), part->body_bytes);
	source.encoding = part->encoding;
	source.charset = part->charset;
	source.is_html = is_html;
	error = kept->error ? kept->error : preview_put(&source, &parser->preview);
	return error == -ENOMEM ? error : 0;
}

static void parts_resolve(struct mail_parser *parser)
{
	for (uint32_t i = 0; i < parser->count; i++) {
		const struct content *content = &parser->nodes[i].content;
		struct mail_part *part = &parser->parts[i];

		part->type = span_slice(&parser->text, content->type);
		part->subtype = span_slice(&parser->text, content->subtype);
		part->charset = span_slice(&parser->text, content->charset);
		part->filename = span_slice(&parser->text, content->filename);
		/* A named part that is not text is something to save, whatever its disposition says. */
		if (part->attachment || (part->kind == MAIL_LEAF && part->filename.len && !content->is_text))
			parser->message.has_attachment = true;
	}
}

static int references_resolve(struct mail_parser *parser)
{
	size_t count = parser->references.len / sizeof(struct span);
	const struct span *spans = (const struct span *)(const void *)parser->references.at;

	if (count == 0)
		return buffer_error(&parser->references);
	parser->reference_slices = calloc(count, sizeof(*parser->reference_slices));
	if (!parser->reference_slices)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		parser->reference_slices[i] = span_slice(&parser->text, spans[i]);
	parser->message.references = parser->reference_slices;
	parser->message.reference_count = (uint32_t)count;
	return buffer_error(&parser->references);
}

int parser_result(struct mail_parser *parser)
{
	struct mail_message *message = &parser->message;
	int error;

	structure_put(parser, &parser->structure);
	error = buffer_error(&parser->structure);
	if (error)
		return error;
	parts_resolve(parser);
	error = references_resolve(parser);
	if (error)
		return error;
	error = preview_from(parser, parser->plain_part, &parser->plain, false);
	if (!error)
		error = preview_from(parser, parser->html_part, &parser->html, true);
	if (error)
		return error;
	message->bytes = parser->here.at;
	message->part_count = parser->count;
	message->parts = parser->parts;
	message->envelope = span_slice(&parser->text, parser->nodes[0].envelope);
	message->structure = buffer_slice(&parser->structure);
	message->common = buffer_slice(&parser->common);
	message->common_complete = !parser->common_cut;
	message->preview = buffer_slice(&parser->preview);
	message->subject = span_slice(&parser->text, parser->subject);
	message->message_id = span_slice(&parser->text, parser->message_id);
	message->has_date = parser->has_date;
	message->date = parser->date;
	message->date_zone = parser->date_zone;
	message->has_nul = parser->has_nul;
	message->has_8bit = parser->has_8bit;
	return 0;
}

bool mail_common_is_complete(const struct mail_message *message)
{
	return message->common_complete;
}
