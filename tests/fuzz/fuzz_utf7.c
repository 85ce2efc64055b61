/*
 * Modified UTF-7: what can be decoded is what the encoder makes of the result, to the byte; what is UTF-8 comes back as it was.
 */
#include <stdint.h>

#include "base/utf8.h"
#include "imap/lexer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_make(data, size);
	struct buffer there = BUFFER_INIT(8 * size + 64), back = BUFFER_INIT(8 * size + 64);

	if (imap_utf7_decode(input, &there) == 0) {
		CHECK(utf8_is_valid(buffer_slice(&there)));
		imap_utf7_encode(buffer_slice(&there), &back);
		CHECK(buffer_error(&there) == 0 && buffer_error(&back) == 0);
		CHECK(slice_equal(buffer_slice(&back), input));
	}
	buffer_reset(&there);
	buffer_reset(&back);
	imap_utf7_encode(input, &there);
	CHECK(buffer_error(&there) == 0);
	CHECK(imap_utf7_decode(buffer_slice(&there), &back) == 0);
	CHECK(!utf8_is_valid(input) || slice_equal(buffer_slice(&back), input));
	buffer_free(&there);
	buffer_free(&back);
	return 0;
}
