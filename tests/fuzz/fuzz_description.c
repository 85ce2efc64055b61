/*
 * Descriptions in their stored form: what is packed comes back to the byte, with a dictionary and without; whatever else is read makes exactly as
 * much as it says, or an error. Input: a byte, then the description to pack (odd), or one as it may be stored (even), its first bytes being the
 * dictionary.
 */
#include <stdint.h>

#include "base/codec.h"
#include "mail/mail.h"
#include "store/body.h"
#include "store/description.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DICTIONARY_ID (DICTIONARY_DESCRIPTION_ID | 1)

enum { ROOM = 1 << 20 };

static void pack(struct store *store, struct slice packed, struct buffer *out, struct email_room *room)
{
	struct slice back;
	const struct dictionary *dictionary[] = {NULL, store->dictionaries.all};

	/* A packed description's first byte is its version, 1: others are forms of what is compressed. */
	if (!packed.len || packed.at[0] != 1)
		return;
	for (int i = 0; i < 2; i++) {
		buffer_reset(out);
		description_pack(dictionary[i], packed, out);
		CHECK(buffer_error(out) == 0 && out->len <= packed.len);
		CHECK(description_read(store, buffer_slice(out), EMAIL_WHOLE, room, &back) == 0);
		CHECK(slice_equal(back, packed));
		CHECK(description_read(store, buffer_slice(out), EMAIL_FRONT, room, &back) == 0);
		CHECK(slice_starts(packed, back) && back.len >= mail_packed_front_bytes(packed));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store *store = calloc(1, sizeof(*store));
	struct buffer out = BUFFER_INIT(ROOM);
	struct email_room room = {BUFFER_INIT(ROOM), NULL};
	struct reader r = READER_INIT(slice_make(data, size));
	uint8_t what = reader_u8(&r);
	struct slice dictionary = reader_sized(&r), back;

	CHECK(store);
	dictionaries_init(store);
	if (!reader_error(&r) && dictionary_learn(store, DICTIONARY_ID, dictionary) == 0) {
		if (what & 1)
			pack(store, r.rest, &out, &room);
		else if (description_read(store, r.rest, what & 2 ? EMAIL_FRONT : EMAIL_WHOLE, &room, &back) == 0)
			CHECK(back.len <= ROOM);
	}
	dictionaries_free(store);
	free(store);
	buffer_free(&out);
	email_room_free(&room);
	return 0;
}
