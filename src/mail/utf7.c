/* UTF-7 (RFC 2152), read without iconv: what glibc makes of a broken one depends on the pieces it comes in. */
#include "mail/charset.h"

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (byte_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One UTF-16 unit; halves of a pair that lack the other come out as U+FFFD. */
static void put_unit(struct utf7 *state, uint32_t unit, struct buffer *out)
{
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

	if (state->high && is_low) {
		buffer_put_utf8(out, 0x10000 + ((state->high - 0xd800) << 10) + (unit - 0xdc00));
		state->high = 0;
		return;
	}
	if (state->high)
		buffer_put_utf8(out, 0xfffd);
	state->high = unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
	if (!state->high)
		buffer_put_utf8(out, unit); /* a low half alone is no code point: U+FFFD */
}

static void shift_end(struct utf7 *state, struct buffer *out)
{
	if (state->high)
		buffer_put_utf8(out, 0xfffd);
	*state = (struct utf7){0};
}

void utf7_feed(struct utf7 *state, struct slice bytes, struct buffer *out)
{
	for (size_t i = 0; i < bytes.len; i++) {
		char c = bytes.at[i];
		int value = state->shifted ? base64_value(c) : -1;

		if (value >= 0) {
			state->seen_any = true;
			state->bits = state->bits << 6 | (uint32_t)value;
			state->bit_count += 6;
			if (state->bit_count >= 16) {
				state->bit_count -= 16;
				put_unit(state, state->bits >> state->bit_count & 0xffff, out);
			}
			continue;
		}
		if (state->shifted) {
			bool is_plus = c == '-' && !state->seen_any;

			shift_end(state, out);
			if (is_plus)
				buffer_put_byte(out, '+');
			if (c == '-')
				continue;
		}
		if (c == '+')
			state->shifted = true;
		else
			buffer_put_utf8(out, (unsigned char)c & 0x80 ? 0xfffd : (unsigned char)c);
	}
}

void utf7_finish(struct utf7 *state, struct buffer *out)
{
	shift_end(state, out);
}
