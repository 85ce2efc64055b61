#include "store/description.h"
#include "base/codec.h"
#include "mail/mail.h"
#include "store/body.h"

enum { FORM_OLD = 0, FORM_LZ4 = 2 };
enum { ACCELERATION = 1 };

void description_pack(const struct dictionary *dictionary, struct slice packed, struct buffer *out)
{
	size_t before = out->len;
	int limit = LZ4_compressBound((int)MIN(packed.len, INT32_MAX)), bytes = 0;
	char *room;

	buffer_put_byte(out, FORM_LZ4);
	buffer_put_varint(out, dictionary ? dictionary->id & ~DICTIONARY_DESCRIPTION_ID : 0);
	buffer_put_varint(out, packed.len);
	buffer_put_varint(out, mail_packed_front_bytes(packed));
	room = limit ? buffer_room(out, (size_t)limit) : NULL;
	if (room && dictionary) {
		/* A copy of the state that has read the dictionary costs less than reading it again. */
		LZ4_stream_t state = *dictionary->describe;

		bytes = LZ4_compress_fast_continue(&state, packed.at, room, (int)packed.len, limit, ACCELERATION);
	} else if (room) {
		bytes = LZ4_compress_default(packed.at, room, (int)packed.len, limit);
	}
	if (bytes > 0)
		buffer_added(out, (size_t)bytes);
	if (bytes > 0 && out->len - before < packed.len)
		return;
	buffer_truncate(out, before);
	buffer_put(out, packed);
}

void email_room_free(struct email_room *room)
{
	buffer_free(&room->bytes);
	room->in_front = NULL;
}

void email_room_recycle(struct email_room *room, size_t keep)
{
	if (room->bytes.room > keep)
		email_room_free(room);
}

/* The dictionary's content at the beginning of the room, nothing behind it. */
static struct slice room_prepare(struct email_room *room, const struct dictionary *dictionary)
{
	struct slice content = dictionary ? dictionary_content(dictionary) : slice_make(NULL, 0);

	if (room->in_front == dictionary && !buffer_error(&room->bytes) && room->bytes.len >= content.len) {
		buffer_truncate(&room->bytes, content.len);
	} else {
		buffer_reset(&room->bytes);
		buffer_put(&room->bytes, content);
		room->in_front = dictionary;
	}
	return content;
}

/* The first `wanted` of the block's `bytes`. */
static int description_unpack(const struct dictionary *dictionary, struct slice block, size_t bytes, size_t wanted,
	struct email_room *room, struct slice *ret_packed)
{
	struct slice content = room_prepare(room, dictionary);
	char *to;
	int got;

	if (bytes > MAIL_PACKED_BYTES_MAX || block.len > MAIL_PACKED_BYTES_MAX)
		return -EBADMSG;
	to = buffer_room(&room->bytes, bytes);
	if (!to)
		return buffer_error(&room->bytes);
	if (wanted < bytes)
		got = LZ4_decompress_safe_partial_usingDict(
			block.at, to, (int)block.len, (int)wanted, (int)bytes, to - content.len, (int)content.len);
	else
		got = LZ4_decompress_safe_usingDict(
			block.at, to, (int)block.len, (int)bytes, to - content.len, (int)content.len);
	if (got != (int)wanted)
		return -EBADMSG;
	*ret_packed = slice_make(to, wanted);
	return 0;
}

void description_put(struct store *store, struct slice packed, struct buffer *out)
{
	dictionary_sample(store, DICTIONARY_DESCRIPTIONS, packed);
	description_pack(dictionary_current(store, DICTIONARY_DESCRIPTIONS), packed, out);
}

int description_read(struct store *store, struct slice stored, enum email_extent extent, struct email_room *room,
	struct slice *ret_packed)
{
	struct reader r = READER_INIT(stored);
	const struct dictionary *dictionary = NULL;
	uint64_t id, bytes, front = 0;
	uint8_t form = reader_u8(&r);

	if (form != FORM_OLD && form != FORM_LZ4) {
		(void)room_prepare(room, NULL);
		buffer_put(&room->bytes, stored);
		*ret_packed = buffer_slice(&room->bytes);
		return buffer_error(&room->bytes);
	}
	id = reader_varint(&r);
	bytes = reader_varint(&r);
	if (form == FORM_LZ4)
		front = reader_varint(&r);
	if (reader_error(&r) || id >= DICTIONARY_DESCRIPTION_ID || front > bytes)
		return -EBADMSG;
	if (id && !(dictionary = dictionary_find(store, (uint32_t)id | DICTIONARY_DESCRIPTION_ID)))
		return -EBADMSG;
	return description_unpack(dictionary, r.rest, (size_t)bytes,
		(size_t)(front && extent == EMAIL_FRONT ? front : bytes), room, ret_packed);
}
