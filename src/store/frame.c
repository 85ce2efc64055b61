/*
 * Frames: pieces of bodies as they lie in the journal. A frame is: codec (0 as it is, 1 zstd), le32 dictionary (0: none), le32 bytes
 * when unpacked, le32 CRC-32C of what follows; then the stored bytes.
 */
#include <zstd.h>

#include "base/hash.h"
#include "store/body.h"
#include "store/dictionary.h"

enum { CODEC_PLAIN, CODEC_ZSTD, ZSTD_LEVEL = 1 };

struct frame_contexts {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

static void contexts_free(struct frame_contexts *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	free(c);
}

static struct frame_contexts *contexts_take(struct dictionaries *d)
{
	struct frame_contexts *c = NULL;

	lock_take(&d->lock);
	if (d->idle_count)
		c = d->idle[--d->idle_count];
	lock_give(&d->lock);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->pack = ZSTD_createCCtx();
	c->unpack = ZSTD_createDCtx();
	if (c->pack && c->unpack)
		return c;
	contexts_free(c);
	return NULL;
}

static void contexts_give(struct dictionaries *d, struct frame_contexts *c)
{
	lock_take(&d->lock);
	if (d->idle_count < CONTEXTS_MAX) {
		d->idle[d->idle_count++] = c;
		c = NULL;
	}
	lock_give(&d->lock);
	contexts_free(c);
}

void frame_contexts_free_all(struct dictionaries *d)
{
	while (d->idle_count)
		contexts_free(d->idle[--d->idle_count]);
}

static void put_header(char *at, unsigned codec, uint32_t dictionary, size_t raw, const char *stored, size_t bytes)
{
	uint32_t numbers[3] = {dictionary, (uint32_t)raw, crc32c(0, stored, bytes)};

	*at++ = (char)codec;
	for (int n = 0; n < 3; n++) {
		for (int i = 0; i < 4; i++)
			*at++ = (char)(numbers[n] >> (8 * i));
	}
}

int frame_pack(struct store *store, struct slice raw, bool whole_message, struct buffer *out)
{
	struct dictionaries *d = &store->dictionaries;
	const struct dictionary *dictionary =
		whole_message && raw.len <= DICTIONARY_MESSAGE_MAX ? atomic_load(&d->current) : NULL;
	struct frame_contexts *contexts = contexts_take(d);
	char *room = buffer_room(out, FRAME_HEADER_BYTES + ZSTD_compressBound(raw.len));
	unsigned codec = CODEC_ZSTD;
	size_t bytes;

	if (!contexts || !room) {
		contexts_free(contexts);
		return -ENOMEM;
	}
	if (dictionary)
		bytes = ZSTD_compress_usingCDict(contexts->pack, room + FRAME_HEADER_BYTES, ZSTD_compressBound(raw.len),
			raw.at, raw.len, dictionary->pack);
	else
		bytes = ZSTD_compressCCtx(contexts->pack, room + FRAME_HEADER_BYTES, ZSTD_compressBound(raw.len),
			raw.at, raw.len, ZSTD_LEVEL);
	contexts_give(d, contexts);
	if (ZSTD_isError(bytes) || bytes >= raw.len) {
		codec = CODEC_PLAIN;
		dictionary = NULL;
		bytes = raw.len;
		if (bytes)
			memcpy(room + FRAME_HEADER_BYTES, raw.at, bytes);
	}
	put_header(room, codec, dictionary ? dictionary->id : 0, raw.len, room + FRAME_HEADER_BYTES, bytes);
	buffer_added(out, FRAME_HEADER_BYTES + bytes);
	return 0;
}

static int unpack_zstd(struct store *store, uint32_t dictionary_id, struct slice stored, char *room, uint32_t raw)
{
	const struct dictionary *dictionary = dictionary_id ? dictionary_find(store, dictionary_id) : NULL;
	struct frame_contexts *contexts;
	size_t bytes;

	if (dictionary_id && !dictionary)
		return -EBADMSG;
	contexts = contexts_take(&store->dictionaries);
	if (!contexts)
		return -ENOMEM;
	if (dictionary)
		bytes = ZSTD_decompress_usingDDict(
			contexts->unpack, room, raw, stored.at, stored.len, dictionary->unpack);
	else
		bytes = ZSTD_decompressDCtx(contexts->unpack, room, raw, stored.at, stored.len);
	contexts_give(&store->dictionaries, contexts);
	return ZSTD_isError(bytes) || bytes != raw ? -EBADMSG : 0;
}

int frame_unpack(struct store *store, struct slice stored, struct buffer *out)
{
	struct reader r = READER_INIT(stored);
	unsigned codec = reader_u8(&r);
	uint32_t dictionary = reader_le32(&r), raw = reader_le32(&r), crc = reader_le32(&r);
	char *room;
	int error;

	if (reader_error(&r) || raw > FRAME_RAW_BYTES || codec > CODEC_ZSTD || crc != crc32c(0, r.rest.at, r.rest.len))
		return -EBADMSG;
	if (codec == CODEC_PLAIN) {
		if (r.rest.len != raw)
			return -EBADMSG;
		buffer_put(out, r.rest);
		return buffer_error(out);
	}
	room = buffer_room(out, raw);
	if (!room)
		return buffer_error(out);
	error = unpack_zstd(store, dictionary, r.rest, room, raw);
	if (!error)
		buffer_added(out, raw);
	return error;
}

int frame_write(struct store *store, struct slice stored, struct frame_ref *ref)
{
	struct appending what = {0, RECORD_FRAME, {NULL, 0}, &stored, 1, false};
	int error = store_append(store, &what, &ref->place, NULL);

	if (!error)
		ref->offset = 0;
	return error;
}
