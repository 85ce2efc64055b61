#include "store/search_walk.h"

void search_walk_init(struct search_walk *walk)
{
	*walk = (struct search_walk){.header = BUFFER_INIT(SEARCH_HEADER_BYTES_MAX)};
	walk->value = walk->decoded = walk->folded = BUFFER_INIT(SEARCH_TEXT_BYTES_MAX);
}

void search_walk_free(struct search_walk *walk)
{
	search_walk_stop(walk);
	buffer_free(&walk->header);
	buffer_free(&walk->value);
	buffer_free(&walk->decoded);
	buffer_free(&walk->folded);
}

void search_walk_start(struct search_walk *walk, const struct search_listener *listener,
	const struct mail_message *message, struct body_reader *reader)
{
	walk->listener = listener;
	walk->message = message;
	walk->reader = reader;
	walk->in_body = walk->incomplete = false;
	walk->part = 0;
}

void search_walk_stop(struct search_walk *walk)
{
	mail_decoder_free(&walk->decoder);
	walk->reader = NULL;
}

struct slice search_header_read(struct body_reader *reader, const struct mail_part *part, struct buffer *out)
{
	uint64_t bytes = MIN(part->header_bytes, (uint64_t)SEARCH_HEADER_BYTES_MAX);

	buffer_reset(out);
	if (body_reader_read(reader, part->header_at, bytes, out))
		buffer_reset(out);
	return buffer_slice(out);
}

struct slice search_value_fold(struct slice value, struct buffer *decoded, struct buffer *folded)
{
	buffer_reset(decoded);
	buffer_reset(folded);
	mail_header_text(value, decoded);
	mail_text_fold(buffer_slice(decoded), folded);
	return buffer_slice(folded);
}

/* A value that is too large is cut: whoever keeps it must not take it for whole. */
static void note_errors(struct search_walk *walk)
{
	walk->incomplete |= buffer_error(&walk->value) || buffer_error(&walk->decoded) || buffer_error(&walk->folded);
}

static void fields_walk(struct search_walk *walk, struct slice header, bool in_body)
{
	struct mail_field field;

	while (mail_field_next(&header, &field)) {
		buffer_reset(&walk->value);
		buffer_reset(&walk->folded);
		buffer_put(&walk->value, field.name);
		buffer_put_text(&walk->value, ": ");
		mail_header_text(field.value, &walk->value);
		mail_text_fold(buffer_slice(&walk->value), &walk->folded);
		note_errors(walk);
		walk->listener->field(walk->listener->context, in_body, buffer_slice(&walk->folded));
	}
}

static void header_walk(struct search_walk *walk, const struct mail_part *part)
{
	const struct mail_part *parts = walk->message->parts;
	bool inner_message = part->parent != UINT32_MAX && parts[part->parent].kind == MAIL_MESSAGE;
	struct slice header;

	if (!part->header_bytes)
		return;
	header = search_header_read(walk->reader, part, &walk->header);
	walk->incomplete |= header.len < MIN(part->header_bytes, (uint64_t)SEARCH_HEADER_BYTES_MAX);
	fields_walk(walk, header, inner_message);
}

/* Begins with the part's text, when it is text; otherwise goes on to the next part. */
static int body_start(struct search_walk *walk, const struct mail_part *part)
{
	int rc;

	walk->part++;
	if (part->kind != MAIL_LEAF || !slice_equal(part->type, SLICE("text")))
		return 0;
	rc = mail_decoder_new(part->encoding, part->charset, true, false, &walk->decoder);
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	walk->in_body = true;
	walk->at = part->body_at;
	walk->left = part->body_bytes;
	buffer_reset(&walk->decoded);
	buffer_reset(&walk->folded);
	return 0;
}

/* How many bytes at the end are the beginning of a character that is not whole: at most 3. */
static size_t partial_character(struct slice text)
{
	for (size_t back = 1; back <= 3 && back <= text.len; back++) {
		unsigned char byte = (unsigned char)text.at[text.len - back];

		if (byte < 0x80)
			return 0;
		if (byte >= 0xc0)
			return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
	}
	return 0;
}

static void text_walk(struct search_walk *walk, bool last)
{
	struct slice decoded = buffer_slice(&walk->decoded);
	size_t whole = last ? decoded.len : decoded.len - partial_character(decoded);

	mail_text_fold(slice_first(decoded, whole), &walk->folded);
	note_errors(walk);
	buffer_consume(&walk->decoded, whole);
	walk->listener->text(walk->listener->context, &walk->folded, last);
}

static int body_end(struct search_walk *walk)
{
	int rc = mail_decoder_finish(walk->decoder, &walk->decoded);

	text_walk(walk, true);
	mail_decoder_free(&walk->decoder);
	walk->in_body = false;
	return rc == -ENOMEM ? rc : 0;
}

static int body_step(struct search_walk *walk)
{
	struct slice bytes;
	int rc;

	if (walk->left == 0)
		return body_end(walk);
	rc = body_reader_peek(walk->reader, walk->at, &bytes);
	if (rc) {
		walk->incomplete = true;
		walk->left = 0;
		return rc == -ENOMEM ? rc : 0;
	}
	bytes = slice_first(bytes, (size_t)MIN(walk->left, (uint64_t)SEARCH_PIECE_BYTES));
	walk->at += bytes.len;
	walk->left -= bytes.len;
	rc = mail_decoder_feed(walk->decoder, bytes, &walk->decoded);
	text_walk(walk, false);
	return rc;
}

int search_walk_step(struct search_walk *walk, bool *ret_done)
{
	int rc = 0;

	*ret_done = false;
	if (walk->in_body) {
		rc = body_step(walk);
	} else if (walk->reader && walk->part < walk->message->part_count) {
		header_walk(walk, &walk->message->parts[walk->part]);
		rc = body_start(walk, &walk->message->parts[walk->part]);
	} else {
		*ret_done = true;
	}
	return rc;
}
