/*
 * Reads messages and prints for each, as one line of JSON, everything the mail module says about it: for
 * differential.py, which holds it against Python's email and against Dovecot. Names of files come on standard input,
 * one a line. Bytes above 127 are printed as the code point of the same number.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "mail/mail.h"

enum { FILE_MAX = 64 << 20, PIECE = 8192 };

static int file_read(const char *name, struct buffer *out)
{
	FILE *file = fopen(name, "rb");
	size_t len = 1;

	if (!file)
		return -ENOENT;
	while (len) {
		char *room = buffer_room(out, PIECE);

		if (!room)
			break;
		len = fread(room, 1, PIECE, file);
		buffer_added(out, len);
	}
	(void)fclose(file);
	return buffer_error(out);
}

static void print_text(struct slice text)
{
	(void)putchar('"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c == '"' || c == '\\')
			(void)printf("\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			(void)printf("\\u%04x", c);
		else
			(void)putchar(c);
	}
	(void)putchar('"');
}

static void print_field(const char *name, struct slice text)
{
	(void)printf(",\"%s\":", name);
	print_text(text);
}

/* Length and CRC-32 of the decoded body, as zlib has it. */
static void print_decoded(const struct mail_part *part, struct slice message)
{
	struct buffer out = BUFFER_INIT(FILE_MAX);
	struct slice body = slice_make(message.at + part->body_at, part->body_bytes);
	struct mail_decoder *decoder = NULL;
	uint32_t crc = UINT32_MAX;

	if (part->kind == MAIL_LEAF &&
		mail_decoder_new(part->encoding, slice_make(NULL, 0), false, false, &decoder) == 0 &&
		mail_decoder_feed(decoder, body, &out) == 0 && mail_decoder_finish(decoder, &out) == 0) {
		for (size_t i = 0; i < out.len; i++) {
			crc ^= (unsigned char)out.at[i];
			for (int bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		}
		(void)printf(",\"decoded\":[%zu,%" PRIu32 "]", out.len, ~crc);
	}
	mail_decoder_free(&decoder);
	buffer_free(&out);
}

/* BODY[HEADER.FIELDS (…)] and BODY[HEADER.FIELDS.NOT (…)], the first also from what is kept of the header. */
static void print_fields(const struct mail_message *message, struct slice canonical)
{
	static const struct slice names[] = {{"From", 4}, {"TO", 2}, {"subject", 7}, {"Content-Type", 12}};
	struct slice header = slice_make(canonical.at, message->parts[0].header_bytes);
	struct buffer out = BUFFER_INIT(FILE_MAX);

	mail_fields_select(header, names, ARRAY_LEN(names), false, &out);
	print_field("fields", buffer_slice(&out));
	buffer_reset(&out);
	mail_fields_select(header, names, ARRAY_LEN(names), true, &out);
	print_field("other_fields", buffer_slice(&out));
	buffer_reset(&out);
	mail_fields_select(message->common, names, ARRAY_LEN(names), false, &out);
	if (mail_common_is_complete(message))
		print_field("common_fields", buffer_slice(&out));
	buffer_free(&out);
}

static void print_part(const struct mail_part *part, struct slice canonical, bool first)
{
	static const char *const kinds[] = {"leaf", "multipart", "message"};

	(void)printf("%s{\"parent\":%" PRId32 ",\"next\":%" PRIu32 ",\"children\":%" PRIu32 ",\"kind\":\"%s\"",
		first ? "" : ",", (int32_t)part->parent, part->next, part->children, kinds[part->kind]);
	(void)printf(",\"header_at\":%" PRIu64 ",\"header_bytes\":%" PRIu64 ",\"body_at\":%" PRIu64
		     ",\"body_bytes\":%" PRIu64,
		part->header_at, part->header_bytes, part->body_at, part->body_bytes);
	(void)printf(",\"body_lines\":%" PRIu64 ",\"header_lines\":%" PRIu64 ",\"encoding\":%d,\"attachment\":%d",
		part->body_lines, part->header_lines, (int)part->encoding, part->attachment);
	print_field("type", part->type);
	print_field("subtype", part->subtype);
	print_field("charset", part->charset);
	print_field("filename", part->filename);
	print_decoded(part, canonical);
	(void)printf("}");
}

static void print_message(
	const char *name, const struct mail_message *message, struct slice brief, struct slice canonical)
{
	(void)printf("{\"file\":");
	print_text(slice_of(name));
	(void)printf(",\"bytes\":%" PRIu64, message->bytes);
	print_field("envelope", message->envelope);
	print_field("structure", message->structure);
	print_field("body", brief);
	print_field("common", message->common);
	print_fields(message, canonical);
	print_field("preview", message->preview);
	print_field("subject", message->subject);
	print_field("message_id", message->message_id);
	if (message->has_date)
		(void)printf(",\"date\":%" PRId64 ",\"zone\":%d", message->date, message->date_zone);
	(void)printf(
		",\"has_nul\":%d,\"has_attachment\":%d,\"references\":[", message->has_nul, message->has_attachment);
	for (uint32_t i = 0; i < message->reference_count; i++) {
		(void)printf("%s", i ? "," : "");
		print_text(message->references[i]);
	}
	(void)printf("],\"parts\":[");
	for (uint32_t i = 0; i < message->part_count; i++)
		print_part(&message->parts[i], canonical, i == 0);
	(void)printf("]}\n");
}

/* Through the stored form, as every answer of the server goes. */
static int describe(const char *name, struct slice raw)
{
	struct buffer canonical = BUFFER_INIT(2 * (size_t)FILE_MAX), packed = BUFFER_INIT(FILE_MAX),
		      brief = BUFFER_INIT(FILE_MAX);
	struct mail_canon canon = {0};
	struct mail_parser *parser = NULL;
	struct arena *arena = NULL;
	const struct mail_message *parsed;
	struct mail_message message;
	int error;

	mail_canon_feed(&canon, raw, &canonical);
	error = buffer_error(&canonical);
	if (!error)
		error = arena_new(FILE_MAX, &arena);
	if (!error)
		error = mail_parser_new(&mail_limits_default, &parser);
	if (!error)
		error = mail_parser_feed(parser, buffer_slice(&canonical));
	if (!error)
		error = mail_parser_finish(parser, &parsed);
	if (!error) {
		mail_pack(parsed, &packed);
		error = mail_unpack(buffer_slice(&packed), arena, &message);
	}
	if (!error)
		error = mail_structure_brief(message.structure, &brief);
	if (!error)
		print_message(name, &message, buffer_slice(&brief), buffer_slice(&canonical));
	mail_parser_free(&parser);
	arena_free(&arena);
	buffer_free(&canonical);
	buffer_free(&packed);
	buffer_free(&brief);
	return error;
}

int main(void)
{
	char name[4096];
	struct buffer raw = BUFFER_INIT(FILE_MAX);
	int error = 0;

	while (!error && fgets(name, sizeof(name), stdin)) {
		name[strcspn(name, "\n")] = '\0';
		buffer_reset(&raw);
		error = file_read(name, &raw);
		if (!error)
			error = describe(name, buffer_slice(&raw));
		if (error)
			(void)fprintf(stderr, "%s: %s\n", name, strerror(-error));
	}
	buffer_free(&raw);
	return error ? 1 : 0;
}
