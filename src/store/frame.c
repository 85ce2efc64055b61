/*
 * Frames: pieces of bodies as they lie in the journal. A frame is: codec (0 as it is, 1 zstd, 2 in parts), le32 dictionary (0: none), le32 bytes
 * when unpacked, le32 CRC-32C of what follows; then the stored bytes.
 *
 * In parts: the base64 in it is kept as what it stands for (encoded.h), apart from the text, as the two have nothing in common that compression
 * could use. A byte says which of the two are compressed (1 text, 2 bytes); varints: bytes of the runs, of the text unpacked, of the text
 * as stored, of the bytes unpacked; then runs, text, bytes. The dictionary is the text's.
 */
#include <zstd.h>

#include "base/base64.h"
#include "base/hash.h"
#include "store/body.h"
#include "store/dictionary.h"
#include "store/encoded.h"

enum {
	CODEC_PLAIN,
	CODEC_ZSTD,
	CODEC_PARTS,
	TEXT_ZSTD = 1,
	BYTES_ZSTD = 2,
	PARTS_HEAD_BYTES = 1 + 4 * 5,
	PART_MAX = FRAME_RAW_BYTES + BASE64_SLACK,
	SAMPLE_PIECES = 4,
	SAMPLE_BYTES = 512,
	SAMPLE_WORTH = 4096,
	SAMPLE_PAIRS = 9216,             /* 8,192 where all are equally frequent, give or take 90 */
	STORED_MAX = 2 * FRAME_RAW_BYTES /* what does not shrink is stored as it is, with little about it */
};

struct frame_contexts {
	ZSTD_CCtx *pack;
	/* Two, as one that comes from something else takes a dictionary for cold, and reads slower for fetching it ahead. */
	ZSTD_DCtx *unpack, *unpack_with; /* a dictionary */
	struct encoded parts;
	struct buffer stored; /* a frame as it was read */
};

static void contexts_free(struct frame_contexts *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	ZSTD_freeDCtx(c->unpack_with);
	buffer_free(&c->parts.runs);
	buffer_free(&c->parts.text);
	buffer_free(&c->parts.bytes);
	buffer_free(&c->stored);
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
	c->parts = (struct encoded){BUFFER_INIT(PART_MAX), BUFFER_INIT(PART_MAX), BUFFER_INIT(PART_MAX)};
	c->stored = BUFFER_INIT(STORED_MAX + BASE64_SLACK);
	c->pack = ZSTD_createCCtx();
	c->unpack = ZSTD_createDCtx();
	c->unpack_with = ZSTD_createDCtx();
	if (c->pack && c->unpack && c->unpack_with)
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

/*
 * Pictures and packed documents: all bytes are about as frequent. zstd would find nothing in them either, but takes longer to find that. Seen in
 * a sample by how many pairs of equal bytes there are. (Of the corpus' attachments, 6.8 MB, a quarter is taken for such, of which zstd would have
 * saved 4 KB.)
 */
static bool looks_packed(struct slice raw)
{
	uint16_t seen[256] = {0};
	size_t step = raw.len / SAMPLE_PIECES;
	uint32_t pairs = 0;

	if (raw.len < SAMPLE_WORTH)
		return false;
	for (size_t piece = 0; piece < SAMPLE_PIECES; piece++) {
		const char *at = raw.at + piece * step;

		for (size_t i = 0; i < SAMPLE_BYTES; i++)
			pairs += seen[(unsigned char)at[i]]++;
	}
	return pairs < SAMPLE_PAIRS;
}

/* Compresses `raw` to `to` (a dictionary has its level in it), or copies it there when it does not shrink; says which. Returns the bytes stored. */
static size_t squeeze(struct frame_contexts *c, const struct dictionary *dictionary, int level, struct slice raw,
	char *to, bool *ret_smaller)
{
	size_t room = ZSTD_compressBound(raw.len), bytes;

	if (level == BYTES_LEVEL && looks_packed(raw))
		bytes = raw.len;
	else if (dictionary)
		bytes = ZSTD_compress_usingCDict(c->pack, to, room, raw.at, raw.len, dictionary->pack);
	else
		bytes = ZSTD_compressCCtx(c->pack, to, room, raw.at, raw.len, level);
	*ret_smaller = !ZSTD_isError(bytes) && bytes < raw.len;
	if (*ret_smaller)
		return bytes;
	if (raw.len)
		memcpy(to, raw.at, raw.len);
	return raw.len;
}

/* A small message, or what is text in it, is compressed with the dictionary, and is what one is made from. */
static const struct dictionary *dictionary_for(struct store *store, struct slice text, bool whole_message)
{
	if (!whole_message || text.len > DICTIONARY_MESSAGE_MAX)
		return NULL;
	dictionary_sample(store, DICTIONARY_MESSAGES, text);
	return dictionary_current(store, DICTIONARY_MESSAGES);
}

static int pack_whole(
	struct frame_contexts *c, const struct dictionary *dictionary, struct slice raw, struct buffer *out)
{
	char *room = buffer_room(out, FRAME_HEADER_BYTES + ZSTD_compressBound(raw.len));
	bool smaller;
	size_t bytes;

	if (!room)
		return buffer_error(out);
	bytes = squeeze(c, dictionary, TEXT_LEVEL, raw, room + FRAME_HEADER_BYTES, &smaller);
	put_header(room, smaller ? CODEC_ZSTD : CODEC_PLAIN, smaller && dictionary ? dictionary->id : 0, raw.len,
		room + FRAME_HEADER_BYTES, bytes);
	buffer_added(out, FRAME_HEADER_BYTES + bytes);
	return 0;
}

static char *put_varint(char *to, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (char)(value | 0x80);
	*to++ = (char)value;
	return to;
}

static int pack_parts(struct frame_contexts *c, const struct dictionary *dictionary, size_t raw, struct buffer *out)
{
	struct slice runs = buffer_slice(&c->parts.runs), text = buffer_slice(&c->parts.text);
	struct slice bytes = buffer_slice(&c->parts.bytes);
	size_t text_room = ZSTD_compressBound(text.len), text_stored, bytes_stored;
	char *room = buffer_room(
		out, FRAME_HEADER_BYTES + PARTS_HEAD_BYTES + runs.len + text_room + ZSTD_compressBound(bytes.len));
	char *head, *to, *text_at;
	bool text_smaller, bytes_smaller;

	if (!room)
		return buffer_error(out);
	head = room + FRAME_HEADER_BYTES;
	/* Only when the text is stored its length is known, which comes before it: it is moved to its place then. */
	text_at = head + PARTS_HEAD_BYTES + runs.len;
	text_stored = squeeze(c, dictionary, TEXT_LEVEL, text, text_at, &text_smaller);
	to = put_varint(head + 1, runs.len);
	to = put_varint(to, text.len);
	to = put_varint(to, text_stored);
	to = put_varint(to, bytes.len);
	memcpy(to, runs.at, runs.len);
	memmove(to + runs.len, text_at, text_stored);
	to += runs.len + text_stored;
	bytes_stored = squeeze(c, NULL, BYTES_LEVEL, bytes, to, &bytes_smaller);
	to += bytes_stored;
	*head = (char)((text_smaller ? TEXT_ZSTD : 0) | (bytes_smaller ? BYTES_ZSTD : 0));
	put_header(room, CODEC_PARTS, text_smaller && dictionary ? dictionary->id : 0, raw, head, (size_t)(to - head));
	buffer_added(out, (size_t)(to - room));
	return 0;
}

int frame_pack(struct store *store, struct slice raw, bool whole_message, struct buffer *out)
{
	struct dictionaries *d = &store->dictionaries;
	struct frame_contexts *c = contexts_take(d);
	int error;

	if (!c)
		return -ENOMEM;
	if (encoded_split(raw, &c->parts))
		error = pack_parts(c, dictionary_for(store, buffer_slice(&c->parts.text), whole_message), raw.len, out);
	else
		error = pack_whole(c, dictionary_for(store, raw, whole_message), raw, out);
	contexts_give(d, c);
	return error;
}

/* Unpacks to `room`, exactly `raw` bytes. */
static int expand(
	struct frame_contexts *c, const struct dictionary *dictionary, struct slice stored, char *room, size_t raw)
{
	size_t bytes;

	if (dictionary)
		bytes = ZSTD_decompress_usingDDict(
			c->unpack_with, room, raw, stored.at, stored.len, dictionary->unpack);
	else
		bytes = ZSTD_decompressDCtx(c->unpack, room, raw, stored.at, stored.len);
	return ZSTD_isError(bytes) || bytes != raw ? -EBADMSG : 0;
}

/* A part: where it is stored, or unpacked to `scratch` when it is compressed. Either way with BASE64_SLACK readable bytes behind it. */
static int part_load(struct frame_contexts *c, const struct dictionary *dictionary, struct slice stored, size_t raw,
	bool is_compressed, struct buffer *scratch, struct slice *ret_part)
{
	char *room;
	int error;

	if (!is_compressed) {
		if (stored.len != raw)
			return -EBADMSG;
		*ret_part = stored;
		return 0;
	}
	buffer_reset(scratch);
	room = buffer_room(scratch, raw + BASE64_SLACK);
	if (!room)
		return buffer_error(scratch);
	memset(room + raw, 0, BASE64_SLACK);
	error = expand(c, dictionary, stored, room, raw);
	if (!error)
		*ret_part = slice_make(room, raw);
	return error;
}

static int unpack_parts(struct frame_contexts *c, const struct dictionary *dictionary, struct slice stored,
	uint32_t raw, struct buffer *out)
{
	struct reader r = READER_INIT(stored);
	unsigned how = reader_u8(&r);
	uint64_t runs_len = reader_varint(&r), text_raw = reader_varint(&r);
	uint64_t text_stored = reader_varint(&r), bytes_raw = reader_varint(&r);
	struct slice runs = reader_bytes(&r, (size_t)runs_len), text = reader_bytes(&r, (size_t)text_stored), bytes;
	int error;

	if (reader_error(&r) || how > (TEXT_ZSTD | BYTES_ZSTD) || text_raw > raw || bytes_raw > raw)
		return -EBADMSG;
	error = part_load(c, dictionary, text, (size_t)text_raw, how & TEXT_ZSTD, &c->parts.text, &text);
	if (!error)
		error = part_load(c, NULL, r.rest, (size_t)bytes_raw, how & BYTES_ZSTD, &c->parts.bytes, &bytes);
	return error ? error : encoded_join(runs, text, bytes, raw, out);
}

static int unpack_whole(struct frame_contexts *c, const struct dictionary *dictionary, struct slice stored,
	uint32_t raw, struct buffer *out)
{
	char *room = buffer_room(out, raw);
	int error = room ? expand(c, dictionary, stored, room, raw) : buffer_error(out);

	if (!error)
		buffer_added(out, raw);
	return error;
}

static int unpack_plain(struct slice stored, uint32_t raw, struct buffer *out)
{
	if (stored.len != raw)
		return -EBADMSG;
	buffer_put(out, stored);
	return buffer_error(out);
}

/* `stored` has BASE64_SLACK readable bytes behind it. */
static int unpack(
	struct store *store, struct frame_contexts *c, struct slice stored, uint32_t raw_expected, struct buffer *out)
{
	struct reader r = READER_INIT(stored);
	unsigned codec = reader_u8(&r);
	uint32_t id = reader_le32(&r), raw = reader_le32(&r), crc = reader_le32(&r);
	const struct dictionary *dictionary = NULL;

	if (reader_error(&r) || raw > FRAME_RAW_BYTES || raw != raw_expected || codec > CODEC_PARTS ||
		crc != crc32c(0, r.rest.at, r.rest.len))
		return -EBADMSG;
	if (codec == CODEC_PLAIN)
		return unpack_plain(r.rest, raw, out);
	if (id) {
		dictionary = dictionary_find(store, id);
		if (!dictionary)
			return -EBADMSG;
	}
	if (codec == CODEC_PARTS)
		return unpack_parts(c, dictionary, r.rest, raw, out);
	return unpack_whole(c, dictionary, r.rest, raw, out);
}

/* Into memory that is used again and again: it stays in the processor's cache. */
static int stored_read(struct store *store, const struct frame_ref *ref, struct buffer *stored)
{
	char *room;
	int error;

	if (ref->stored_bytes > STORED_MAX)
		return -EBADMSG;
	buffer_reset(stored);
	room = buffer_room(stored, ref->stored_bytes + BASE64_SLACK);
	if (!room)
		return buffer_error(stored);
	error = store->log->ops->read(store->log, &ref->place, ref->offset, ref->stored_bytes, room);
	if (error)
		return error;
	memset(room + ref->stored_bytes, 0, BASE64_SLACK);
	buffer_added(stored, ref->stored_bytes);
	return 0;
}

int frame_unpack(struct store *store, const struct frame_ref *ref, struct buffer *out)
{
	struct frame_contexts *c = contexts_take(&store->dictionaries);
	int error;

	if (!c)
		return -ENOMEM;
	error = stored_read(store, ref, &c->stored);
	if (!error)
		error = unpack(store, c, buffer_slice(&c->stored), ref->raw_bytes, out);
	contexts_give(&store->dictionaries, c);
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
