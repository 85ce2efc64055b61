#include "mail/internal.h"

/* Characters nobody sees: newsletters fill their first lines with them to keep previews empty. */
static bool is_invisible(int32_t c)
{
	return (c < 0x20 && c != '\n') || c == 0x7f || c == 0xad || c == 0x34f || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
}

static bool is_blank(int32_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2007 || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000 || c == 0x2800;
}

/* Appends a line, white space folded; false when the preview is full. */
static bool put_line(struct slice line, struct buffer *out)
{
	bool blank = out->len > 0;

	while (line.len) {
		struct slice rest = line;
		int32_t c = utf8_next(&rest);
		struct slice bytes = slice_first(line, line.len - rest.len);

		line = rest;
		if (c >= 0 && is_blank(c)) {
			blank = out->len > 0;
			continue;
		}
		if (c < 0 || is_invisible(c))
			continue;
		if (out->len + blank + bytes.len > PREVIEW_BYTES_MAX)
			return false;
		if (blank)
			buffer_put_byte(out, ' ');
		buffer_put(out, bytes);
		blank = false;
	}
	return true;
}

/* What the writer wrote comes first: lines quoted from an earlier message only where there is nothing else. */
static void put_lines(struct slice text, bool skip_quoted, struct buffer *out)
{
	bool more = true;

	while (more && text.len) {
		struct slice line = slice_split(&text, '\n');

		if (!skip_quoted || !slice_starts(slice_trim(line), SLICE(">")))
			more = put_line(line, out);
	}
}

int preview_put(const struct preview_source *source, struct buffer *out)
{
	struct buffer text = BUFFER_INIT(4 * PREVIEW_HTML_BYTES), plain = BUFFER_INIT(8 * PREVIEW_BYTES_MAX);
	struct mail_decoder *decoder = NULL;
	int error = mail_decoder_new(source->encoding, source->charset, true, false, &decoder);

	if (error)
		return error;
	error = mail_decoder_feed(decoder, source->body, &text);
	if (error)
		goto out;
	if (source->is_html) {
		html_put_text(buffer_slice(&text), 4 * PREVIEW_BYTES_MAX, &plain);
		put_lines(buffer_slice(&plain), false, out);
	} else {
		put_lines(buffer_slice(&text), true, out);
		if (out->len == 0)
			put_lines(buffer_slice(&text), false, out);
	}
	error = buffer_error(out);
out:
	mail_decoder_free(&decoder);
	buffer_free(&text);
	buffer_free(&plain);
	return error;
}
