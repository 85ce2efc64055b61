#include "base/utf8.h"
#include "imap/lexer.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int alphabet_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == ',' ? 63 : -1;
}

static bool is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

struct utf16 {
	uint32_t high; /* a high surrogate that waits for its other half; 0: none */
	struct buffer *out;
};

static int utf16_unit(struct utf16 *decoder, uint32_t unit)
{
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

	if (decoder->high != 0) {
		if (!is_low)
			return -EBADMSG;
		buffer_put_utf8(decoder->out, 0x10000 + ((decoder->high - 0xd800) << 10) + (unit - 0xdc00));
		decoder->high = 0;
		return 0;
	}
	if (is_low || is_direct(unit)) /* an encoder sends what is direct as itself */
		return -EBADMSG;
	if (unit >= 0xd800 && unit <= 0xdbff)
		decoder->high = unit;
	else
		buffer_put_utf8(decoder->out, unit);
	return 0;
}

/* What stands between '&' and '-'. */
static int decode_shifted(struct slice base64, struct buffer *out)
{
	struct utf16 decoder = {0, out};
	uint32_t bits = 0;
	unsigned bit_count = 0;

	for (size_t i = 0; i < base64.len; i++) {
		int value = alphabet_value(base64.at[i]);

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
		bit_count += 6;
		if (bit_count < 16)
			continue;
		bit_count -= 16;
		if (utf16_unit(&decoder, bits >> bit_count & 0xffff) < 0)
			return -EBADMSG;
		bits &= (1U << bit_count) - 1;
	}
	/* Padding is less than a character of zero bits. */
	return decoder.high || bit_count >= 6 || bits ? -EBADMSG : 0;
}

int imap_utf7_decode(struct slice name, struct buffer *out)
{
	bool was_shifted = false;

	while (name.len) {
		struct slice part;
		size_t end;

		if (name.at[0] != '&') {
			if (!is_direct((unsigned char)name.at[0]))
				return -EBADMSG;
			buffer_put_byte(out, name.at[0]);
			name = slice_from(name, 1);
			was_shifted = false;
			continue;
		}
		end = slice_find_byte(name, '-');
		if (end == SIZE_MAX)
			return -EBADMSG;
		part = slice_from(slice_first(name, end), 1);
		name = slice_from(name, end + 1);
		if (!part.len) {
			buffer_put_byte(out, '&');
			was_shifted = false;
			continue;
		}
		/* RFC 3501 §5.1.3: no shift out and in again where one would do. */
		if (was_shifted || decode_shifted(part, out) < 0)
			return -EBADMSG;
		was_shifted = true;
	}
	return 0;
}

struct shift {
	uint32_t bits;
	unsigned bit_count;
	bool on;
	struct buffer *out;
};

static void shift_unit(struct shift *shift, uint32_t unit)
{
	if (!shift->on)
		buffer_put_byte(shift->out, '&');
	shift->on = true;
	shift->bits = shift->bits << 16 | unit;
	shift->bit_count += 16;
	while (shift->bit_count >= 6) {
		shift->bit_count -= 6;
		buffer_put_byte(shift->out, alphabet[shift->bits >> shift->bit_count & 63]);
	}
	shift->bits &= (1U << shift->bit_count) - 1;
}

static void shift_end(struct shift *shift)
{
	if (!shift->on)
		return;
	if (shift->bit_count)
		buffer_put_byte(shift->out, alphabet[shift->bits << (6 - shift->bit_count) & 63]);
	buffer_put_byte(shift->out, '-');
	*shift = (struct shift){.out = shift->out};
}

void imap_utf7_encode(struct slice utf8, struct buffer *out)
{
	struct shift shift = {.out = out};

	while (utf8.len) {
		int32_t next = utf8_next(&utf8);
		uint32_t c = next < 0 ? 0xfffd : (uint32_t)next;

		if (is_direct(c)) {
			shift_end(&shift);
			buffer_put_byte(out, (char)c);
			if (c == '&')
				buffer_put_byte(out, '-');
		} else if (c >= 0x10000) {
			shift_unit(&shift, 0xd800 + ((c - 0x10000) >> 10));
			shift_unit(&shift, 0xdc00 + ((c - 0x10000) & 0x3ff));
		} else {
			shift_unit(&shift, c);
		}
	}
	shift_end(&shift);
}
