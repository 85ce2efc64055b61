/*
 * Frames of bodies: what is packed comes back to the byte, whichever way it is packed; whatever else is stored makes exactly as much as it says, or
 * an error. Input: a byte, then what to pack (odd; the byte says how), or a frame as it may be stored (even), whose checksum is made to fit.
 */
#include <stdint.h>

#include "base/hash.h"
#include "store/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	DICTIONARY_ID = 1,
	CRC_AT = FRAME_HEADER_BYTES - 4,
	RAW_AT = 5,
	FAST = 2,
	TIGHT = 4,
	WITH_DICTIONARY = 8,
	WHOLE = 16,
	LONG = 32, /* what there is again and again: long enough for every way */
	LONG_BYTES = 90000
};

static void pack(struct store *store, uint8_t how, struct slice raw)
{
	const struct dictionary *dictionary = dictionary_find(store, DICTIONARY_ID);
	struct frame_packing packing = {
		.fast = how & FAST, .tight = how & TIGHT, .text_level = TEXT_LEVEL, .bytes_level = BYTES_LEVEL};
	struct buffer out = BUFFER_INIT(UINT32_MAX), back = BUFFER_INIT(UINT32_MAX);

	if (how & WITH_DICTIONARY && dictionary) {
		packing.dictionary = dictionary->pack;
		packing.dictionary_id = dictionary->id;
	}
	raw = slice_first(raw, FRAME_RAW_BYTES);
	CHECK(frame_pack_as(store, &packing, raw, how & WHOLE, &out) == 0);
	CHECK(frame_is_tight(buffer_slice(&out)) == packing.tight);
	CHECK(frame_unpack_stored(store, buffer_slice(&out), (uint32_t)raw.len, &back) == 0);
	CHECK(slice_equal(buffer_slice(&back), raw));
	buffer_free(&out);
	buffer_free(&back);
}

static uint32_t le32_at(const char *at)
{
	struct reader r = READER_INIT(slice_make(at, 4));

	return reader_le32(&r);
}

static void unpack(struct store *store, struct slice stored)
{
	struct buffer frame = BUFFER_INIT(UINT32_MAX), out = BUFFER_INIT(FRAME_RAW_BYTES * 2);
	uint32_t raw, crc;

	if (stored.len < FRAME_HEADER_BYTES)
		return;
	buffer_put(&frame, stored);
	CHECK(buffer_error(&frame) == 0);
	crc = crc32c(0, frame.at + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES);
	for (int i = 0; i < 4; i++)
		frame.at[CRC_AT + i] = (char)(crc >> (8 * i));
	raw = le32_at(frame.at + RAW_AT);
	if (frame_unpack_stored(store, buffer_slice(&frame), raw, &out) == 0)
		CHECK(out.len == raw);
	buffer_free(&frame);
	buffer_free(&out);
}

static void pack_long(struct store *store, uint8_t how, struct slice raw)
{
	struct buffer text = BUFFER_INIT(LONG_BYTES + FRAME_RAW_BYTES);

	raw = slice_first(raw, FRAME_RAW_BYTES);
	while (raw.len && text.len < LONG_BYTES)
		buffer_put(&text, raw);
	CHECK(buffer_error(&text) == 0);
	pack(store, how, buffer_slice(&text));
	buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char words[] =
		"From: To: Subject: Date: Content-Type: text/plain; charset=utf-8\r\n\r\nwith best regards";
	struct store *store = calloc(1, sizeof(*store));
	struct reader r = READER_INIT(slice_make(data, size));
	uint8_t how = reader_u8(&r);

	CHECK(store);
	dictionaries_init(store);
	if (!reader_error(&r) && dictionary_learn(store, DICTIONARY_ID, slice_of(words)) == 0) {
		if (how & 1 && how & LONG)
			pack_long(store, how, r.rest);
		else if (how & 1)
			pack(store, how, r.rest);
		else
			unpack(store, r.rest);
	}
	dictionaries_free(store);
	free(store);
	return 0;
}
