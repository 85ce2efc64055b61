/*
 * The stored form of a parsed message: one version byte, flags, then numbers as varints and bytes with their length. What ENVELOPE and
 * BODYSTRUCTURE need comes first, then what else needs no allocation to read, then references, then parts; offsets are relative to the parent's body.
 */
#include "base/codec.h"
#include "mail/mail.h"

enum { PACK_VERSION = 1 };
enum { HAS_DATE = 1, HAS_ATTACHMENT = 2, HAS_NUL = 4, HAS_8BIT = 8, COMMON_COMPLETE = 16 };
enum { PART_ATTACHMENT = 0x80 };

/* Words that nearly every part has, stored as one byte; the order is part of the format, new ones go to the end. */
static const struct slice words[] = {
	{"", 0},
	{"text", 4},
	{"plain", 5},
	{"html", 4},
	{"multipart", 9},
	{"mixed", 5},
	{"alternative", 11},
	{"related", 7},
	{"signed", 6},
	{"report", 6},
	{"message", 7},
	{"rfc822", 6},
	{"delivery-status", 15},
	{"application", 11},
	{"octet-stream", 12},
	{"pdf", 3},
	{"pgp-signature", 13},
	{"image", 5},
	{"jpeg", 4},
	{"png", 3},
	{"gif", 3},
	{"us-ascii", 8},
	{"utf-8", 5},
	{"iso-8859-1", 10},
	{"windows-1252", 12},
	{"calendar", 8},
};

static void put_word(struct buffer *out, struct slice word)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_equal(words[i], word)) {
			buffer_put_byte(out, (char)(i + 1));
			return;
		}
	}
	buffer_put_byte(out, 0);
	buffer_put_sized(out, word);
}

static struct slice read_word(struct reader *r)
{
	uint8_t index = reader_u8(r);

	if (index == 0)
		return reader_sized(r);
	if (index <= ARRAY_LEN(words))
		return words[index - 1];
	r->error = -EBADMSG;
	return slice_make(NULL, 0);
}

/* Small negative numbers stay short. */
static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

static void put_part(struct buffer *out, const struct mail_message *message, uint32_t index)
{
	const struct mail_part *part = &message->parts[index];
	uint64_t base = index ? message->parts[part->parent].body_at : 0;

	buffer_put_byte(out, (char)((unsigned)part->kind | (unsigned)part->encoding << 2 |
				     (part->attachment ? PART_ATTACHMENT : 0)));
	buffer_put_varint(out, index ? index - part->parent : 0);
	buffer_put_varint(out, part->header_at - base);
	buffer_put_varint(out, part->header_bytes);
	buffer_put_varint(out, part->body_bytes);
	buffer_put_varint(out, part->header_lines);
	buffer_put_varint(out, part->body_lines);
	put_word(out, part->type);
	put_word(out, part->subtype);
	put_word(out, part->charset);
	buffer_put_sized(out, part->filename);
}

void mail_pack(const struct mail_message *message, struct buffer *out)
{
	unsigned flags = (message->has_date ? HAS_DATE : 0) | (message->has_attachment ? HAS_ATTACHMENT : 0) |
			 (message->has_nul ? HAS_NUL : 0) | (message->has_8bit ? HAS_8BIT : 0) |
			 (message->common_complete ? COMMON_COMPLETE : 0);

	buffer_put_byte(out, PACK_VERSION);
	buffer_put_byte(out, (char)flags);
	buffer_put_varint(out, message->bytes);
	buffer_put_varint(out, zigzag(message->has_date ? message->date : 0));
	buffer_put_varint(out, zigzag(message->has_date ? message->date_zone : 0));
	buffer_put_sized(out, message->envelope);
	buffer_put_sized(out, message->structure);
	buffer_put_sized(out, message->common);
	buffer_put_sized(out, message->preview);
	buffer_put_sized(out, message->subject);
	buffer_put_sized(out, message->message_id);
	buffer_put_varint(out, message->part_count);
	buffer_put_varint(out, message->reference_count);
	for (uint32_t i = 0; i < message->reference_count; i++)
		buffer_put_sized(out, message->references[i]);
	for (uint32_t i = 0; i < message->part_count; i++)
		put_part(out, message, i);
}

static void read_front(struct reader *r, struct mail_message *message)
{
	uint8_t version = reader_u8(r), flags = reader_u8(r);

	if (version != PACK_VERSION)
		r->error = -EBADMSG;
	message->has_date = flags & HAS_DATE;
	message->has_attachment = flags & HAS_ATTACHMENT;
	message->has_nul = flags & HAS_NUL;
	message->has_8bit = flags & HAS_8BIT;
	message->common_complete = flags & COMMON_COMPLETE;
	message->bytes = reader_varint(r);
	message->date = unzigzag(reader_varint(r));
	message->date_zone = (int16_t)unzigzag(reader_varint(r));
	message->envelope = reader_sized(r);
	message->structure = reader_sized(r);
}

static void read_brief(struct reader *r, struct mail_message *message)
{
	uint64_t part_count;

	read_front(r, message);
	message->common = reader_sized(r);
	message->preview = reader_sized(r);
	message->subject = reader_sized(r);
	message->message_id = reader_sized(r);
	part_count = reader_varint(r);
	/* Each part takes bytes: this bounds what a damaged count can make the caller allocate. */
	if (part_count == 0 || part_count > r->rest.len)
		r->error = -EBADMSG;
	else
		message->part_count = (uint32_t)part_count;
}

size_t mail_packed_front_bytes(struct slice packed)
{
	struct reader r = READER_INIT(packed);
	struct mail_message message = {0};

	read_front(&r, &message);
	return reader_error(&r) ? 0 : packed.len - r.rest.len;
}

int mail_unpack_front(struct slice front, struct mail_message *ret_message)
{
	struct reader r = READER_INIT(front);
	struct mail_message message = {0};
	int error;

	read_front(&r, &message);
	error = reader_error(&r);
	if (!error)
		*ret_message = message;
	return error;
}

int mail_unpack_brief(struct slice packed, struct mail_message *ret_message)
{
	struct reader r = READER_INIT(packed);
	struct mail_message message = {0};
	int error;

	read_brief(&r, &message);
	message.part_count = 0;
	error = reader_error(&r);
	if (!error)
		*ret_message = message;
	return error;
}

static int read_references(struct reader *r, struct arena *arena, struct mail_message *message)
{
	uint64_t count = reader_varint(r);
	struct slice *references;

	if (reader_error(r) || count > r->rest.len)
		return -EBADMSG;
	if (count == 0)
		return 0;
	references = arena_zalloc(arena, (size_t)count, sizeof(*references));
	if (!references)
		return -ENOBUFS;
	for (uint64_t i = 0; i < count; i++)
		references[i] = reader_sized(r);
	message->references = references;
	message->reference_count = (uint32_t)count;
	return reader_error(r);
}

/* Within [at, at + bytes), a header and a body of the part, one after the other. */
static bool part_fits(const struct mail_part *part, uint64_t at, uint64_t bytes)
{
	uint64_t skip = part->header_at - at;

	return part->header_at >= at && skip <= bytes && part->header_bytes <= bytes - skip &&
	       part->body_bytes <= bytes - skip - part->header_bytes;
}

/* Joins part `index` to the tree; the parts before it are there. False when it has no place in document order. */
static bool part_join(struct mail_part *parts, uint32_t index)
{
	uint32_t parent = parts[index].parent, before = index - 1;

	if (parts[parent].kind == MAIL_LEAF || (parts[parent].kind == MAIL_MESSAGE && parts[parent].children))
		return false;
	/* The part before this one is its parent, or inside its elder sibling. */
	if (before != parent) {
		while (before != UINT32_MAX && parts[before].parent != parent)
			before = parts[before].parent;
		if (before == UINT32_MAX)
			return false;
		parts[before].next = index;
	}
	parts[parent].children++;
	return true;
}

static bool read_part(struct reader *r, const struct mail_message *message, struct mail_part *parts, uint32_t index)
{
	struct mail_part *part = &parts[index];
	uint8_t flags = reader_u8(r);
	uint64_t up = reader_varint(r), base = 0, bytes = message->bytes;

	if (up > index || (up == 0) != (index == 0) || (flags & 3) > MAIL_MESSAGE || (flags >> 2 & 31) > MAIL_UNKNOWN)
		return false;
	part->parent = index ? index - (uint32_t)up : UINT32_MAX;
	if (index) {
		base = parts[part->parent].body_at;
		bytes = parts[part->parent].body_bytes;
	}
	part->kind = flags & 3;
	part->encoding = flags >> 2 & 31;
	part->attachment = flags & PART_ATTACHMENT;
	part->header_at = base + reader_varint(r);
	part->header_bytes = reader_varint(r);
	part->body_at = part->header_at + part->header_bytes;
	part->body_bytes = reader_varint(r);
	part->header_lines = reader_varint(r);
	part->body_lines = reader_varint(r);
	part->type = read_word(r);
	part->subtype = read_word(r);
	part->charset = read_word(r);
	part->filename = reader_sized(r);
	return !reader_error(r) && part_fits(part, base, bytes) && (index == 0 || part_join(parts, index));
}

int mail_unpack(struct slice packed, struct arena *arena, struct mail_message *ret_message)
{
	struct reader r = READER_INIT(packed);
	struct mail_message message = {0};
	struct mail_part *parts;
	int error;

	read_brief(&r, &message);
	error = reader_error(&r);
	if (!error)
		error = read_references(&r, arena, &message);
	if (error)
		return error;
	parts = arena_zalloc(arena, message.part_count, sizeof(*parts));
	if (!parts)
		return -ENOBUFS;
	for (uint32_t i = 0; i < message.part_count; i++)
		if (!read_part(&r, &message, parts, i))
			return -EBADMSG;
	for (uint32_t i = 0; i < message.part_count; i++)
		if (parts[i].kind == MAIL_MESSAGE && parts[i].children != 1)
			return -EBADMSG;
	error = reader_finish(&r);
	if (error)
		return error;
	message.parts = parts;
	*ret_message = message;
	return 0;
}
