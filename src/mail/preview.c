#include "mail/internal.h"

/* Characters nobody sees: newsletters fill their first lines with them to keep previews empty. */
static bool is_invisible(int32_t c)
{
	if (c >= ' ' && c < 0x7f)
		return false;
	return (c < 0x20 && c != '\n') || c == 0x7f || c == 0xad || c == 0x34f || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
}

static bool is_blank(int32_t c)
{
	if (c > ' ' && c < 0x80)
		return false;
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2007 || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000 || c == 0x2800;
}

/* The next piece of *line: a run of visible ASCII, or one character, whose code point is returned (-EBADMSG: none). */
static int32_t piece_take(struct slice *line, struct slice *ret_piece)
{
	struct slice rest = *line;
	size_t run = 0;
	int32_t c;

	while (run < rest.len && rest.at[run] > ' ' && rest.at[run] < 0x7f)
		run++;
	if (run) {
		c = rest.at[0];
		rest = slice_from(rest, run);
	} else {
		c = utf8_next(&rest);
	}
	*ret_piece = slice_first(*line, line->len - rest.len);
	*line = rest;
	return c;
}

/* Appends a line, white space folded; false when the preview is full. */
static bool put_line(struct slice line, struct buffer *out)
{
	bool blank = out->len > 0;

	while (line.len) {
		struct slice piece;
		int32_t c = piece_take(&line, &piece);
		size_t room;

		if (c >= 0 && is_blank(c)) {
			blank = out->len > 0;
			continue;
		}
		if (c < 0 || is_invisible(c))
			continue;
		room = PREVIEW_BYTES_MAX - out->len;
		if (room < blank + (c < 0x80 ? 1 : piece.len))
			return false;
		if (blank)
			buffer_put_byte(out, ' ');
		buffer_put(out, slice_first(piece, room - blank));
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

/* As text, but of HTML no more than is needed: most of a newsletter is not text, and stands behind it. */
static void put_html(struct slice html, struct buffer *out)
{
	struct buffer plain = BUFFER_INIT(8 * PREVIEW_BYTES_MAX);

	html_put_text(html, 2 * PREVIEW_BYTES_MAX, &plain);
	put_lines(buffer_slice(&plain), false, out);
	if (plain.error == -ENOMEM)
		out->error = -ENOMEM;
	buffer_free(&plain);
}

static void put_plain(struct slice text, struct buffer *out)
{
	put_lines(text, true, out);
	if (out->len == 0)
		put_lines(text, false, out);
}

/* In steps that double, each begun anew, until the preview is full or the body at its end. */
int preview_put(const struct preview_source *source, struct buffer *out)
{
	struct buffer text = BUFFER_INIT(4 * PREVIEW_HTML_BYTES);
	struct slice rest = source->body;
	struct mail_decoder *decoder = NULL;
	size_t step = source->is_html ? PREVIEW_HTML_STEP : PREVIEW_PLAIN_STEP;
	int error = mail_decoder_new(source->encoding, source->charset, true, false, &decoder);

	if (error)
		return error;
	while (rest.len && out->len < PREVIEW_BYTES_MAX / 2) {
		error = mail_decoder_feed(decoder, slice_first(rest, step), &text);
		if (error)
			break;
		rest = slice_from(rest, step);
		step *= 2;
		buffer_truncate(out, 0);
		if (source->is_html)
			put_html(buffer_slice(&text), out);
		else
			put_plain(buffer_slice(&text), out);
	}
	if (!error)
		error = buffer_error(out);
	mail_decoder_free(&decoder);
	buffer_free(&text);
	return error;
}
