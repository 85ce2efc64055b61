/*
 * Frames: pieces of bodies as they lie in the journal. A frame is: codec (0 as it is, 1 zstd, 2 in parts, 3 LZ4; and 128 when it was packed
 * tightly), le32 dictionary (0: none), le32 bytes when unpacked, le32 CRC-32C of what follows; then the stored bytes.
 *
 * In parts: the base64 in it is kept as what it stands for (encoded.h), apart from the text, as the two have nothing in common that compression
 * could use. A byte says how the two are compressed (1 the text by zstd, 4 by LZ4, 2 the bytes by zstd, 8 by LZ4); varints: bytes of the runs, of
 * the text unpacked, of the text as stored, of the bytes unpacked; then runs, text, bytes. The dictionary is the text's.
 */
#include "base/base64.h"
#include "base/hash.h"
#include "store/body.h"
#include "store/dictionary.h"
#include "store/encoded.h"
#include "store/squeeze.h"

enum {
	CODEC_PLAIN,
	CODEC_ZSTD,
	CODEC_PARTS,
	CODEC_LZ4,
	CODEC_TIGHT = 0x80,
	PARTS_HEAD_BYTES = 1 + 4 * 5,
	PART_MAX = FRAME_RAW_BYTES + BASE64_SLACK,
	STORED_MAX = 2 * FRAME_RAW_BYTES /* what does not shrink is stored as it is, with little about it */
};
static const unsigned char codec_of[] = {CODEC_PLAIN, CODEC_ZSTD, CODEC_LZ4}; /* by enum squeezed */
static const unsigned char part_bits[] = {0, 1, 4};                           /* of the text; twice that of the bytes */

struct frame_contexts {
	struct squeeze_contexts squeeze;
	struct encoded parts;
	struct buffer stored; /* a frame as it was read */
};

static void contexts_free(struct frame_contexts *c)
{
	if (!c)
		return;
	squeeze_contexts_free(&c->squeeze);
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
	if (squeeze_contexts_make(&c->squeeze) == 0)
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

/* ---- Packing ---- */

static size_t lz4_least(const struct frame_packing *packing)
{
	return packing->fast ? LZ4_LEAST : 0;
}

/* A text that has a dictionary is a whole message, or what is text in it, and not a large one. */
static struct squeeze_how how_for_text(const struct frame_packing *packing, struct slice text, bool whole_message)
{
	bool fits = whole_message && text.len <= DICTIONARY_MESSAGE_MAX;

	return (struct squeeze_how){lz4_least(packing), packing->text_level, fits ? packing->dictionary : NULL};
}

static uint32_t dictionary_id(
	const struct frame_packing *packing, const struct squeeze_how *how, enum squeezed squeezed)
{
	return squeezed == SQUEEZED_ZSTD && how->dictionary ? packing->dictionary_id : 0;
}

static int pack_whole(struct frame_contexts *c, const struct frame_packing *packing, struct slice raw,
	bool whole_message, struct buffer *out)
{
	struct squeeze_how how = how_for_text(packing, raw, whole_message);
	char *room = buffer_room(out, FRAME_HEADER_BYTES + squeeze_room(raw.len));
	enum squeezed squeezed;
	size_t bytes;

	if (!room)
		return buffer_error(out);
	bytes = squeeze(&c->squeeze, &how, raw, room + FRAME_HEADER_BYTES, &squeezed);
	put_header(room, codec_of[squeezed] | (packing->tight ? CODEC_TIGHT : 0),
		dictionary_id(packing, &how, squeezed), raw.len, room + FRAME_HEADER_BYTES, bytes);
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

/* What base64 stood for. */
static size_t squeeze_bytes(struct frame_contexts *c, const struct frame_packing *packing, struct slice bytes, char *to,
	enum squeezed *ret_squeezed)
{
	struct squeeze_how how = {lz4_least(packing), packing->bytes_level, NULL};

	if (!squeeze_is_vain(bytes))
		return squeeze(&c->squeeze, &how, bytes, to, ret_squeezed);
	*ret_squeezed = SQUEEZED_NOT;
	memcpy(to, bytes.at, bytes.len);
	return bytes.len;
}

static int pack_parts(struct frame_contexts *c, const struct frame_packing *packing, size_t raw, bool whole_message,
	struct buffer *out)
{
	struct slice runs = buffer_slice(&c->parts.runs), text = buffer_slice(&c->parts.text);
	struct slice bytes = buffer_slice(&c->parts.bytes);
	struct squeeze_how how = how_for_text(packing, text, whole_message);
	size_t text_stored;
	char *room = buffer_room(out,
		FRAME_HEADER_BYTES + PARTS_HEAD_BYTES + runs.len + squeeze_room(text.len) + squeeze_room(bytes.len));
	char *head, *to, *text_at;
	enum squeezed text_squeezed, bytes_squeezed;

	if (!room)
		return buffer_error(out);
	head = room + FRAME_HEADER_BYTES;
	/* Only when the text is stored its length is known, which comes before it: it is moved to its place then. */
	text_at = head + PARTS_HEAD_BYTES + runs.len;
	text_stored = squeeze(&c->squeeze, &how, text, text_at, &text_squeezed);
	to = put_varint(head + 1, runs.len);
	to = put_varint(to, text.len);
	to = put_varint(to, text_stored);
	to = put_varint(to, bytes.len);
	memcpy(to, runs.at, runs.len);
	memmove(to + runs.len, text_at, text_stored);
	to += runs.len + text_stored;
	to += squeeze_bytes(c, packing, bytes, to, &bytes_squeezed);
	*head = (char)(part_bits[text_squeezed] | part_bits[bytes_squeezed] << 1);
	put_header(room, CODEC_PARTS | (packing->tight ? CODEC_TIGHT : 0), dictionary_id(packing, &how, text_squeezed),
		raw, head, (size_t)(to - head));
	buffer_added(out, (size_t)(to - room));
	return 0;
}

int frame_pack_as(struct store *store, const struct frame_packing *packing, struct slice raw, bool whole_message,
	struct buffer *out)
{
	struct frame_contexts *c = contexts_take(&store->dictionaries);
	bool in_parts;
	int error;

	if (!c)
		return -ENOMEM;
	in_parts = encoded_split(raw, &c->parts);
	if (whole_message)
		dictionary_sample(store, DICTIONARY_MESSAGES, in_parts ? buffer_slice(&c->parts.text) : raw);
	error = in_parts ? pack_parts(c, packing, raw.len, whole_message, out)
			 : pack_whole(c, packing, raw, whole_message, out);
	contexts_give(&store->dictionaries, c);
	return error;
}

int frame_pack(struct store *store, struct slice raw, bool whole_message, struct buffer *out)
{
	struct frame_packing packing = {.fast = store->settings.repack_after_s != STORE_REPACK_NEVER,
		.text_level = TEXT_LEVEL,
		.bytes_level = BYTES_LEVEL};
	const struct dictionary *dictionary = packing.fast ? NULL : dictionary_current(store, DICTIONARY_MESSAGES);

	if (dictionary) {
		packing.dictionary = dictionary->pack;
		packing.dictionary_id = dictionary->id;
	}
	return frame_pack_as(store, &packing, raw, whole_message, out);
}

bool frame_is_tight(struct slice stored)
{
	return stored.len && (unsigned char)*stored.at & CODEC_TIGHT;
}

/* ---- Unpacking ---- */

/* False: no such way. */
static bool squeezed_of(unsigned bits, enum squeezed *ret_squeezed)
{
	for (unsigned i = 0; i < ARRAY_LEN(part_bits); i++) {
		if (part_bits[i] == bits) {
			*ret_squeezed = (enum squeezed)i;
			return true;
		}
	}
	return false;
}

/* A part: where it is stored, or unpacked to `scratch` when it is compressed. Either way with BASE64_SLACK readable bytes behind it. */
static int part_load(struct frame_contexts *c, const struct dictionary *dictionary, struct slice stored, size_t raw,
	enum squeezed squeezed, struct buffer *scratch, struct slice *ret_part)
{
	char *room;
	int error;

	if (squeezed == SQUEEZED_NOT) {
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
	error = expand(&c->squeeze, squeezed, dictionary ? dictionary->unpack : NULL, stored, room, raw);
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
	enum squeezed of_text, of_bytes;
	int error;

	if (reader_error(&r) || how > 15 || !squeezed_of(how & 5, &of_text) || !squeezed_of(how >> 1 & 5, &of_bytes) ||
		text_raw > raw || bytes_raw > raw)
		return -EBADMSG;
	error = part_load(c, dictionary, text, (size_t)text_raw, of_text, &c->parts.text, &text);
	if (!error)
		error = part_load(c, NULL, r.rest, (size_t)bytes_raw, of_bytes, &c->parts.bytes, &bytes);
	return error ? error : encoded_join(runs, text, bytes, raw, out);
}

static int unpack_whole(struct frame_contexts *c, enum squeezed squeezed, const struct dictionary *dictionary,
	struct slice stored, uint32_t raw, struct buffer *out)
{
	char *room = buffer_room(out, raw);
	int error = room ? expand(&c->squeeze, squeezed, dictionary ? dictionary->unpack : NULL, stored, room, raw)
			 : buffer_error(out);

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
	unsigned codec = reader_u8(&r) & ~(unsigned)CODEC_TIGHT;
	uint32_t id = reader_le32(&r), raw = reader_le32(&r), crc = reader_le32(&r);
	const struct dictionary *dictionary = NULL;

	if (reader_error(&r) || raw > FRAME_RAW_BYTES || raw != raw_expected || codec > CODEC_LZ4 ||
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
	return unpack_whole(c, codec == CODEC_LZ4 ? SQUEEZED_LZ4 : SQUEEZED_ZSTD, dictionary, r.rest, raw, out);
}

/* Memory that is used again and again, so that it stays in the processor's cache: for a frame, and zeros behind it. NULL: buffer_error(). */
static char *stored_room(struct buffer *stored, size_t bytes)
{
	char *room;

	buffer_reset(stored);
	room = buffer_room(stored, bytes + BASE64_SLACK);
	if (room) {
		memset(room + bytes, 0, BASE64_SLACK);
		buffer_added(stored, bytes);
	}
	return room;
}

static int stored_read(struct store *store, const struct frame_ref *ref, struct buffer *stored)
{
	char *room;

	if (ref->stored_bytes > STORED_MAX)
		return -EBADMSG;
	room = stored_room(stored, ref->stored_bytes);
	if (!room)
		return buffer_error(stored);
	return store->log->ops->read(store->log, &ref->place, ref->offset, ref->stored_bytes, room);
}

int frame_unpack_stored(struct store *store, struct slice stored, uint32_t raw_bytes, struct buffer *out)
{
	struct frame_contexts *c = contexts_take(&store->dictionaries);
	char *room;
	int error;

	if (!c)
		return -ENOMEM;
	room = stored_room(&c->stored, stored.len);
	error = room ? 0 : buffer_error(&c->stored);
	if (!error) {
		memcpy(room, stored.at, stored.len);
		error = unpack(store, c, buffer_slice(&c->stored), raw_bytes, out);
	}
	contexts_give(&store->dictionaries, c);
	return error;
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
