/*
 * Base64 taken out of bodies: what is split comes back to the byte, and whatever is given as parts makes exactly as much as it should or an error.
 */
#include <stdint.h>

#include "base/base64.h"
#include "base/codec.h"
#include "store/encoded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(struct slice raw, struct encoded *e, struct buffer *out)
{
	if (!encoded_split(raw, e))
		return;
	CHECK(buffer_room(&e->bytes, BASE64_SLACK));
	CHECK(encoded_join(buffer_slice(&e->runs), buffer_slice(&e->text), buffer_slice(&e->bytes), raw.len, out) == 0);
	CHECK(slice_equal(buffer_slice(out), raw));
}

static void join(struct reader *r, struct encoded *e, struct buffer *out)
{
	size_t raw = reader_le16(r);
	struct slice runs = reader_sized(r), text = reader_sized(r);

	if (reader_error(r))
		return;
	buffer_put(&e->bytes, r->rest);
	if (!buffer_room(&e->bytes, BASE64_SLACK))
		return;
	if (encoded_join(runs, text, buffer_slice(&e->bytes), raw, out) == 0)
		CHECK(out->len == raw);
	else
		CHECK(out->len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = 2 * size + 1024;
	struct encoded e = {BUFFER_INIT(room), BUFFER_INIT(room), BUFFER_INIT(room)};
	struct buffer out = BUFFER_INIT(room + UINT16_MAX);
	struct reader r = READER_INIT(slice_make(data, size));

	if (reader_u8(&r) & 1)
		split(r.rest, &e, &out);
	else
		join(&r, &e, &out);
	buffer_free(&e.runs);
	buffer_free(&e.text);
	buffer_free(&e.bytes);
	buffer_free(&out);
	return 0;
}
