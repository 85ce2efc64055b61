#include "mail/internal.h"

enum { CHUNK = 8192, QP_HELD_MAX = 1024, UU_LINE_MAX = 128 };

struct mail_decoder {
	enum mail_encoding encoding;
	bool strict, converts;
	struct converter converter;
	int error; /* -EBADMSG in strict mode; sticks */

	uint32_t bits; /* base64: the sextets of an unfinished group */
	uint32_t sextets, pads;

	char held[QP_HELD_MAX]; /* quoted-printable: "=…" or white space; uuencode: the line so far */
	size_t held_len;
	bool uu_begun, uu_ended;

	char chunk[CHUNK]; /* decoded, not yet handed on */
	size_t chunk_len;
};

int mail_decoder_new(
	enum mail_encoding encoding, struct slice charset, bool to_utf8, bool strict, struct mail_decoder **ret_decoder)
{
	struct mail_decoder *decoder = malloc(sizeof(*decoder));

	if (!decoder)
		return -ENOMEM;
	memset(decoder, 0, offsetof(struct mail_decoder, held));
	decoder->held_len = decoder->chunk_len = 0;
	decoder->uu_begun = decoder->uu_ended = false;
	decoder->encoding = encoding;
	decoder->strict = strict;
	decoder->converts = to_utf8;
	if (to_utf8)
		(void)!converter_open(&decoder->converter, charset);
	if (strict && encoding == MAIL_UNKNOWN)
		decoder->error = -EBADMSG;
	*ret_decoder = decoder;
	return 0;
}

void mail_decoder_free(struct mail_decoder **decoder)
{
	if (!*decoder)
		return;
	if ((*decoder)->converts)
		converter_close(&(*decoder)->converter);
	free(*decoder);
	*decoder = NULL;
}

static void hand_on(struct mail_decoder *decoder, struct slice bytes, struct buffer *out)
{
	if (decoder->converts)
		converter_feed(&decoder->converter, bytes, out);
	else
		buffer_put(out, bytes);
}

static void flush(struct mail_decoder *decoder, struct buffer *out)
{
	hand_on(decoder, slice_make(decoder->chunk, decoder->chunk_len), out);
	decoder->chunk_len = 0;
}

static void put_byte(struct mail_decoder *decoder, char byte, struct buffer *out)
{
	if (decoder->chunk_len == CHUNK)
		flush(decoder, out);
	decoder->chunk[decoder->chunk_len++] = byte;
}

static void put_bytes(struct mail_decoder *decoder, struct slice bytes, struct buffer *out)
{
	if (bytes.len > CHUNK - decoder->chunk_len) {
		flush(decoder, out);
		if (bytes.len > CHUNK) {
			hand_on(decoder, bytes, out);
			return;
		}
	}
	memcpy(decoder->chunk + decoder->chunk_len, bytes.at, bytes.len);
	decoder->chunk_len += bytes.len;
}

static void bad(struct mail_decoder *decoder)
{
	if (decoder->strict)
		decoder->error = -EBADMSG;
}

/* ---- Base64 (RFC 2045 §6.8) ---- */

/* Value + 1 of a base64 digit; 0 for every other byte. */
static const uint8_t base64_values[256] = {
	['A'] = 1,
	['B'] = 2,
	['C'] = 3,
	['D'] = 4,
	['E'] = 5,
	['F'] = 6,
	['G'] = 7,
	['H'] = 8,
	['I'] = 9,
	['J'] = 10,
	['K'] = 11,
	['L'] = 12,
	['M'] = 13,
	['N'] = 14,
	['O'] = 15,
	['P'] = 16,
	['Q'] = 17,
	['R'] = 18,
	['S'] = 19,
	['T'] = 20,
	['U'] = 21,
	['V'] = 22,
	['W'] = 23,
	['X'] = 24,
	['Y'] = 25,
	['Z'] = 26,
	['a'] = 27,
	['b'] = 28,
	['c'] = 29,
	['d'] = 30,
	['e'] = 31,
	['f'] = 32,
	['g'] = 33,
	['h'] = 34,
	['i'] = 35,
	['j'] = 36,
	['k'] = 37,
	['l'] = 38,
	['m'] = 39,
	['n'] = 40,
	['o'] = 41,
	['p'] = 42,
	['q'] = 43,
	['r'] = 44,
	['s'] = 45,
	['t'] = 46,
	['u'] = 47,
	['v'] = 48,
	['w'] = 49,
	['x'] = 50,
	['y'] = 51,
	['z'] = 52,
	['0'] = 53,
	['1'] = 54,
	['2'] = 55,
	['3'] = 56,
	['4'] = 57,
	['5'] = 58,
	['6'] = 59,
	['7'] = 60,
	['8'] = 61,
	['9'] = 62,
	['+'] = 63,
	['/'] = 64,
};

/* The bytes of an unfinished group: two digits are one byte, three are two. */
static void base64_end_group(struct mail_decoder *decoder, struct buffer *out)
{
	if (decoder->sextets == 1)
		bad(decoder);
	if (decoder->sextets >= 2)
		put_byte(decoder, (char)(decoder->bits >> (decoder->sextets == 2 ? 4 : 10)), out);
	if (decoder->sextets == 3)
		put_byte(decoder, (char)(decoder->bits >> 2), out);
	decoder->sextets = decoder->bits = 0;
}

static void base64_byte(struct mail_decoder *decoder, char byte, struct buffer *out)
{
	uint8_t value = base64_values[(unsigned char)byte];

	if (value) {
		if (decoder->pads)
			bad(decoder);
		decoder->bits = decoder->bits << 6 | (value - 1u);
		if (++decoder->sextets < 4)
			return;
		put_byte(decoder, (char)(decoder->bits >> 16), out);
		put_byte(decoder, (char)(decoder->bits >> 8), out);
		put_byte(decoder, (char)decoder->bits, out);
		decoder->sextets = decoder->bits = 0;
	} else if (byte == '=') {
		if (decoder->pads++ == 0 && decoder->sextets < 2)
			bad(decoder);
		base64_end_group(decoder, out);
	} else if (!byte_is_space(byte)) {
		bad(decoder); /* otherwise ignored, as every byte outside the alphabet */
	}
}

static void base64_feed(struct mail_decoder *decoder, struct slice bytes, struct buffer *out)
{
	const unsigned char *at = (const unsigned char *)bytes.at;

	for (size_t i = 0; i < bytes.len;) {
		/* Whole groups at once: nearly all of it. */
		while (decoder->sextets == 0 && decoder->pads == 0 && i + 4 <= bytes.len) {
			uint8_t a = base64_values[at[i]], b = base64_values[at[i + 1]];
			uint8_t c = base64_values[at[i + 2]], d = base64_values[at[i + 3]];
			uint32_t bits;

			if (!a || !b || !c || !d)
				break;
			if (CHUNK - decoder->chunk_len < 3)
				flush(decoder, out);
			bits = (a - 1u) << 18 | (b - 1u) << 12 | (c - 1u) << 6 | (d - 1u);
			decoder->chunk[decoder->chunk_len++] = (char)(bits >> 16);
			decoder->chunk[decoder->chunk_len++] = (char)(bits >> 8);
			decoder->chunk[decoder->chunk_len++] = (char)bits;
			i += 4;
		}
		if (i < bytes.len)
			base64_byte(decoder, bytes.at[i++], out);
	}
}

/* ---- Quoted-printable (RFC 2045 §6.7) ---- */

static int hex_digit(char c)
{
	c = byte_lower(c);
	if (byte_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What was held turns out to be no encoding: it stands for itself. */
static void held_release(struct mail_decoder *decoder, struct buffer *out)
{
	put_bytes(decoder, slice_make(decoder->held, decoder->held_len), out);
	decoder->held_len = 0;
}

/* One byte after a held "=". Returns whether the byte was used. */
static bool qp_escape(struct mail_decoder *decoder, char byte, struct buffer *out)
{
	int first = decoder->held_len == 2 ? hex_digit(decoder->held[1]) : -1;

	if (byte == '\n') { /* soft line break, perhaps after white space */
		decoder->held_len = 0;
		return true;
	}
	if (first >= 0 && hex_digit(byte) >= 0) {
		put_byte(decoder, (char)(first << 4 | hex_digit(byte)), out);
		decoder->held_len = 0;
		return true;
	}
	if (first < 0 && decoder->held_len < QP_HELD_MAX &&
		(byte_is_space(byte) || (decoder->held_len == 1 && hex_digit(byte) >= 0))) {
		decoder->held[decoder->held_len++] = byte;
		return true;
	}
	bad(decoder);
	held_release(decoder, out);
	return false;
}

/* One byte that is special, or comes after one that is. */
static void qp_byte(struct mail_decoder *decoder, char byte, struct buffer *out)
{
	if (decoder->held_len && decoder->held[0] == '=') {
		if (qp_escape(decoder, byte, out))
			return;
	} else if (decoder->held_len) {
		bool is_blank = byte == ' ' || byte == '\t';

		if (byte == '\r' || byte == '\n')
			decoder->held_len = 0; /* white space at the end of a line was added on the way */
		else if (!is_blank || decoder->held_len == QP_HELD_MAX)
			held_release(decoder, out);
	}
	if (byte == '=' || byte == ' ' || byte == '\t')
		decoder->held[decoder->held_len++] = byte;
	else
		put_byte(decoder, byte, out);
}

static const bool qp_special[256] = {['='] = true, [' '] = true, ['\t'] = true};

static void qp_feed(struct mail_decoder *decoder, struct slice bytes, struct buffer *out)
{
	while (bytes.len) {
		size_t run = 0;

		if (decoder->held_len == 0) {
			/* A space that another byte than a blank or line end follows is an ordinary one. */
			while (run < bytes.len && (!qp_special[(unsigned char)bytes.at[run]] ||
							  (bytes.at[run] == ' ' && run + 1 < bytes.len &&
								  (unsigned char)bytes.at[run + 1] > ' ')))
				run++;
			put_bytes(decoder, slice_first(bytes, run), out);
			bytes = slice_from(bytes, run);
		}
		if (bytes.len)
			qp_byte(decoder, bytes.at[0], out);
		bytes = slice_from(bytes, 1);
	}
}

static void qp_finish(struct mail_decoder *decoder, struct buffer *out)
{
	if (decoder->held_len && decoder->held[0] == '=' && decoder->held_len == 2 &&
		hex_digit(decoder->held[1]) >= 0) {
		bad(decoder);
		held_release(decoder, out);
	}
	decoder->held_len = 0;
}

/* ---- uuencode ---- */

static uint32_t uu_value(struct slice line, size_t at)
{
	return at < line.len ? ((uint32_t)(unsigned char)line.at[at] - ' ') & 63 : 0;
}

static void uu_line(struct mail_decoder *decoder, struct slice line, struct buffer *out)
{
	struct slice text = slice_trim(line);
	uint32_t bytes;

	if (decoder->uu_ended)
		return;
	if (!decoder->uu_begun) {
		decoder->uu_begun = slice_starts(text, SLICE("begin ")) && text.len > 6 && byte_is_digit(text.at[6]);
		if (!decoder->uu_begun && !decoder->strict && text.len)
			put_bytes(decoder, line, out);
		return;
	}
	if (slice_equal(text, SLICE("end"))) {
		decoder->uu_ended = true;
		return;
	}
	bytes = text.len ? uu_value(text, 0) : 0;
	if (bytes && (text.len - 1) * 3 / 4 + 2 < bytes)
		bad(decoder);
	for (size_t at = 1; bytes; at += 4) {
		uint32_t bits = uu_value(text, at) << 18 | uu_value(text, at + 1) << 12 | uu_value(text, at + 2) << 6 |
				uu_value(text, at + 3);

		for (int shift = 16; shift >= 0 && bytes; shift -= 8, bytes--)
			put_byte(decoder, (char)(bits >> shift), out);
	}
}

static void uu_feed(struct mail_decoder *decoder, struct slice bytes, struct buffer *out)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (decoder->held_len < UU_LINE_MAX)
			decoder->held[decoder->held_len++] = bytes.at[i];
		else if (!decoder->uu_begun && !decoder->strict && bytes.at[i] != '\n')
			uu_line(decoder, slice_make(decoder->held, decoder->held_len), out),
				decoder->held[0] = bytes.at[i], decoder->held_len = 1;
		if (bytes.at[i] == '\n') {
			uu_line(decoder, slice_make(decoder->held, decoder->held_len), out);
			decoder->held_len = 0;
		}
	}
}

static void uu_finish(struct mail_decoder *decoder, struct buffer *out)
{
	if (decoder->held_len)
		uu_line(decoder, slice_make(decoder->held, decoder->held_len), out);
	decoder->held_len = 0;
	if (!decoder->uu_ended)
		bad(decoder);
}

/* ---- */

static int result(struct mail_decoder *decoder, struct buffer *out)
{
	flush(decoder, out);
	return decoder->error ? decoder->error : buffer_error(out);
}

int mail_decoder_feed(struct mail_decoder *decoder, struct slice bytes, struct buffer *out)
{
	if (decoder->error || bytes.len == 0)
		return decoder->error;
	switch (decoder->encoding) {
	case MAIL_BASE64:
		base64_feed(decoder, bytes, out);
		break;
	case MAIL_QUOTED_PRINTABLE:
		qp_feed(decoder, bytes, out);
		break;
	case MAIL_UUENCODE:
		uu_feed(decoder, bytes, out);
		break;
	default:
		put_bytes(decoder, bytes, out);
		break;
	}
	return result(decoder, out);
}

int mail_decoder_finish(struct mail_decoder *decoder, struct buffer *out)
{
	if (decoder->error)
		return decoder->error;
	if (decoder->encoding == MAIL_BASE64) {
		if (decoder->sextets)
			bad(decoder);
		base64_end_group(decoder, out);
	} else if (decoder->encoding == MAIL_QUOTED_PRINTABLE) {
		qp_finish(decoder, out);
	} else if (decoder->encoding == MAIL_UUENCODE) {
		uu_finish(decoder, out);
	}
	flush(decoder, out);
	if (decoder->converts)
		converter_finish(&decoder->converter, out);
	return result(decoder, out);
}
