/*
 * The decoders: encoding, mode and piece size in the first bytes, then the charset up to a line end, the rest the body.
 * What comes out must not depend on the pieces, and is UTF-8 where that was asked for.
 */
#include "base/utf8.h"
#include "mail/mail.h"

enum { BYTES_MAX = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(const uint8_t *mode, struct slice charset, struct slice body, size_t piece, struct buffer *out)
{
	struct mail_decoder *decoder;
	int error = 0;

	CHECK(mail_decoder_new((enum mail_encoding)(mode[0] % (MAIL_UNKNOWN + 1)), charset, mode[1] & 1, mode[1] & 2,
		      &decoder) == 0);
	for (; body.len && !error; body = slice_from(body, piece))
		error = mail_decoder_feed(decoder, slice_first(body, piece), out);
	if (!error)
		error = mail_decoder_finish(decoder, out);
	mail_decoder_free(&decoder);
	return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = BUFFER_INIT(BYTES_MAX), pieces = BUFFER_INIT(BYTES_MAX), folded = BUFFER_INIT(BYTES_MAX);
	struct slice rest, charset;
	int error;

	if (size < 3)
		return 0;
	rest = slice_make(data + 3, size - 3);
	charset = slice_split(&rest, '\n');
	error = decode(data, charset, rest, SIZE_MAX, &whole);
	CHECK(error == 0 || (error == -EBADMSG && (data[1] & 2)));
	CHECK(decode(data, charset, rest, 1 + data[2], &pieces) == error);
	if (!error)
		CHECK(slice_equal(buffer_slice(&whole), buffer_slice(&pieces)));
	if (data[1] & 1)
		CHECK(utf8_is_valid(buffer_slice(&whole)));
	mail_text_fold(buffer_slice(&whole), &folded);
	CHECK(folded.error == 0);
	buffer_free(&whole);
	buffer_free(&pieces);
	buffer_free(&folded);
	return 0;
}
