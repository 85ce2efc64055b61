#include "store/repack.h"

#include "base/base64.h"

int repacking_begin(struct repacking *r, struct store *store)
{
	const struct dictionary *dictionary = dictionary_current(store, DICTIONARY_MESSAGES);

	*r = (struct repacking){.store = store,
		.wanted = store->settings.repack_after_s != STORE_REPACK_NEVER,
		.packing = {.tight = true, .text_level = TIGHT_TEXT_LEVEL, .bytes_level = TIGHT_BYTES_LEVEL},
		.raw = BUFFER_INIT(FRAME_RAW_BYTES + BASE64_SLACK),
		.packed = BUFFER_INIT(UINT32_MAX),
		.again = BUFFER_INIT(FRAME_RAW_BYTES + BASE64_SLACK)};
	if (!r->wanted || !dictionary)
		return 0;
	r->dictionary = ZSTD_createCDict(dictionary->bytes, dictionary->len, TIGHT_TEXT_LEVEL);
	r->packing.dictionary = r->dictionary;
	r->packing.dictionary_id = dictionary->id;
	return r->dictionary ? 0 : -ENOMEM;
}

void repacking_end(struct repacking *r)
{
	ZSTD_freeCDict(r->dictionary);
	r->dictionary = NULL;
	buffer_free(&r->raw);
	buffer_free(&r->packed);
	buffer_free(&r->again);
}

/* What stays is all there will be: it has to give the message back, whatever memory or we did wrong. */
static int packed_check(struct repacking *r)
{
	struct slice packed = buffer_slice(&r->packed), raw = buffer_slice(&r->raw), again;
	int error;

	buffer_reset(&r->again);
	error = frame_unpack_stored(r->store, packed, (uint32_t)raw.len, &r->again);
	again = buffer_slice(&r->again);
	if (error)
		return error;
	return again.len == raw.len && memcmp(again.at, raw.at, raw.len) == 0 ? 0 : -EBADMSG;
}

int frame_repack(struct repacking *r, bool whole_message, struct frame_ref *ref, struct buffer *stored)
{
	int error;

	if (!r->wanted || frame_is_tight(buffer_slice(stored)))
		return 0;
	buffer_reset(&r->raw);
	buffer_reset(&r->packed);
	error = frame_unpack_stored(r->store, buffer_slice(stored), ref->raw_bytes, &r->raw);
	if (!error)
		error = frame_pack_as(r->store, &r->packing, buffer_slice(&r->raw), whole_message, &r->packed);
	if (!error)
		error = packed_check(r);
	if (error || r->packed.len > stored->len)
		return error;
	buffer_reset(stored);
	buffer_put(stored, buffer_slice(&r->packed));
	ref->stored_bytes = (uint32_t)stored->len;
	return buffer_error(stored);
}
