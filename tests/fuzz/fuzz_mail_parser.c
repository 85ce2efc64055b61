/*
 * The parser: first byte the piece size, second the limits, the rest a message. The result must be the same whatever the
 * piece size, its parts must lie inside each other, and the stored form must give it back.
 */
#include "base/arena.h"
#include "mail/mail.h"

enum { BYTES_MAX = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mail_parser *parse(
	struct slice bytes, size_t piece, const struct mail_limits *limits, const struct mail_message **ret_message)
{
	struct mail_parser *parser;

	CHECK(mail_parser_new(limits, &parser) == 0);
	for (; bytes.len; bytes = slice_from(bytes, piece))
		CHECK(mail_parser_feed(parser, slice_first(bytes, piece)) == 0);
	CHECK(mail_parser_finish(parser, ret_message) == 0);
	return parser;
}

static void check_part(const struct mail_message *message, uint32_t index)
{
	const struct mail_part *part = &message->parts[index];

	CHECK(part->body_at == part->header_at + part->header_bytes);
	CHECK(part->body_at + part->body_bytes <= message->bytes);
	CHECK(part->next == 0 || (part->next > index && message->parts[part->next].parent == part->parent));
	CHECK(part->kind != MAIL_MESSAGE || part->children == 1);
	CHECK(part->kind != MAIL_LEAF || part->children == 0);
	if (index) {
		const struct mail_part *parent = &message->parts[part->parent];

		CHECK(part->parent < index && part->header_at >= parent->body_at);
		CHECK(part->body_at + part->body_bytes <= parent->body_at + parent->body_bytes);
		CHECK(!part->next || message->parts[part->next].header_at >= part->body_at + part->body_bytes);
	} else {
		CHECK(part->parent == UINT32_MAX && part->header_at == 0);
		CHECK(part->body_at + part->body_bytes == message->bytes);
	}
}

static void check_line_ends(struct slice bytes, const struct mail_message *message)
{
	for (uint32_t i = 0; i < message->part_count; i++) {
		const struct mail_part *part = &message->parts[i];
		struct slice header = slice_first(slice_from(bytes, part->header_at), part->header_bytes);
		struct slice body = slice_first(slice_from(bytes, part->body_at), part->body_bytes);
		uint64_t lines = 0;

		for (size_t at = 0; at < header.len; at++)
			lines += header.at[at] == '\n';
		CHECK(lines == part->header_lines);
		lines = 0;
		for (size_t at = 0; at < body.len; at++)
			lines += body.at[at] == '\n';
		CHECK(lines == part->body_lines);
	}
}

static void check_packed(const struct mail_message *message, struct buffer *packed)
{
	struct buffer again = BUFFER_INIT(BYTES_MAX), brief = BUFFER_INIT(BYTES_MAX);
	struct mail_message unpacked, front;
	struct arena *arena;

	mail_pack(message, packed);
	CHECK(packed->error == 0 && arena_new(BYTES_MAX, &arena) == 0);
	CHECK(mail_unpack(buffer_slice(packed), arena, &unpacked) == 0);
	mail_pack(&unpacked, &again);
	CHECK(slice_equal(buffer_slice(packed), buffer_slice(&again)));
	CHECK(mail_unpack_front(
		      slice_first(buffer_slice(packed), mail_packed_front_bytes(buffer_slice(packed))), &front) == 0);
	CHECK(slice_equal(front.envelope, message->envelope) && slice_equal(front.structure, message->structure));
	for (uint32_t i = 0; i < message->part_count; i++) {
		CHECK(unpacked.parts[i].next == message->parts[i].next &&
			unpacked.parts[i].children == message->parts[i].children);
		CHECK(unpacked.parts[i].body_at == message->parts[i].body_at);
	}
	CHECK(mail_structure_brief(message->structure, &brief) == 0);
	arena_free(&arena);
	buffer_free(&again);
	buffer_free(&brief);
}

/* What is damaged on disk must be refused or read in bounds. */
static void check_damaged(struct slice packed, struct slice bytes)
{
	struct mail_message message;
	struct arena *arena;
	struct buffer brief = BUFFER_INIT(BYTES_MAX);
	uint32_t path[] = {1, 2, 1};
	struct mail_section section = {path, 3, MAIL_SECTION_TEXT};
	uint64_t at, len;

	CHECK(arena_new(BYTES_MAX, &arena) == 0);
	if (packed.len && bytes.len) {
		char *changed = malloc(packed.len);

		CHECK(changed);
		memcpy(changed, packed.at, packed.len);
		changed[(unsigned char)bytes.at[0] * packed.len / 256] ^= (char)(1 + bytes.len % 255);
		if (mail_unpack(slice_make(changed, packed.len), arena, &message) == 0) {
			for (uint32_t i = 0; i < message.part_count; i++)
				CHECK(message.parts[i].body_at + message.parts[i].body_bytes <= message.bytes);
			(void)!mail_section_find(&message, &section, &at, &len, NULL);
		}
		free(changed);
	}
	arena_reset(arena);
	if (mail_unpack(bytes, arena, &message) == 0)
		(void)!mail_section_find(&message, &section, &at, &len, NULL);
	(void)!mail_structure_brief(bytes, &brief);
	buffer_free(&brief);
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_limits limits = mail_limits_default;
	struct buffer canonical = BUFFER_INIT(BYTES_MAX), whole = BUFFER_INIT(BYTES_MAX),
		      pieces = BUFFER_INIT(BYTES_MAX);
	struct mail_canon canon = {0};
	const struct mail_message *message;
	struct mail_parser *parser;

	if (size < 2)
		return 0;
	if (data[1] & 1)
		limits = (struct mail_limits){
			.depth_max = 3, .parts_max = 6, .header_bytes_max = 200, .fields_max = 5, .common_max = 60};
	mail_canon_feed(&canon, slice_make(data + 2, size - 2), &canonical);
	parser = parse(buffer_slice(&canonical), SIZE_MAX, &limits, &message);
	CHECK(message->bytes == canonical.len);
	for (uint32_t i = 0; i < message->part_count; i++)
		check_part(message, i);
	check_line_ends(buffer_slice(&canonical), message);
	check_packed(message, &whole);
	mail_parser_free(&parser);
	parser = parse(buffer_slice(&canonical), 1 + data[0], &limits, &message);
	mail_pack(message, &pieces);
	CHECK(slice_equal(buffer_slice(&whole), buffer_slice(&pieces)));
	mail_parser_free(&parser);
	check_damaged(buffer_slice(&whole), slice_make(data + 2, size - 2));
	buffer_free(&canonical);
	buffer_free(&whole);
	buffer_free(&pieces);
	return 0;
}
