#include "mail/internal.h"

static bool is_quotable(struct slice text)
{
	unsigned char seen = 0;
	bool has_break = false;

	for (size_t i = 0; i < text.len; i++) {
		seen |= (unsigned char)text.at[i];
		has_break |= text.at[i] == '\r' || text.at[i] == '\n' || text.at[i] == '\0';
	}
	return !(seen & 0x80) && !has_break;
}

/* Neither form of string may hold a NUL (RFC 9051 §9, CHAR8): it goes out as U+FFFD. */
static void put_literal(struct buffer *out, struct slice text)
{
	size_t nuls = 0;

	for (size_t i = 0; i < text.len; i++)
		nuls += text.at[i] == '\0';
	buffer_put_byte(out, '{');
	buffer_put_u64(out, text.len + 2 * nuls);
	buffer_put(out, SLICE("}\r\n"));
	while (text.len) {
		size_t nul = slice_find_byte(text, '\0');

		buffer_put(out, slice_first(text, nul));
		if (nul == SIZE_MAX)
			return;
		buffer_put_utf8(out, 0xfffd);
		text = slice_from(text, nul + 1);
	}
}

void imap_put_string(struct buffer *out, struct slice text)
{
	if (!is_quotable(text)) {
		put_literal(out, text);
		return;
	}
	buffer_put_byte(out, '"');
	while (text.len) {
		size_t run = 0;

		while (run < text.len && text.at[run] != '"' && text.at[run] != '\\')
			run++;
		buffer_put(out, slice_first(text, run));
		if (run < text.len) {
			buffer_put_byte(out, '\\');
			buffer_put_byte(out, text.at[run++]);
		}
		text = slice_from(text, run);
	}
	buffer_put_byte(out, '"');
}

void imap_put_nstring(struct buffer *out, struct slice text)
{
	if (text.at)
		imap_put_string(out, text);
	else
		buffer_put(out, SLICE("NIL"));
}

void text_put_unfolded(struct buffer *out, struct slice text)
{
	while (text.len) {
		size_t run = 0;

		while (run < text.len && text.at[run] != '\r' && text.at[run] != '\n')
			run++;
		buffer_put(out, slice_first(text, run));
		text = slice_from(text, run + 1);
	}
}

void text_put_compact(struct buffer *out, struct slice text)
{
	text = slice_trim(text);
	while (text.len) {
		size_t run = 0;

		while (run < text.len && !byte_is_space(text.at[run]))
			run++;
		buffer_put(out, slice_first(text, run));
		text = slice_from(text, run);
		if (text.len)
			buffer_put_byte(out, ' ');
		while (text.len && byte_is_space(text.at[0]))
			text = slice_from(text, 1);
	}
}

/* Writes what `put` makes of the text as a string: most values need no change and are not copied. */
static void put_changed(struct buffer *out, struct slice text, void (*put)(struct buffer *, struct slice))
{
	struct buffer changed = BUFFER_INIT(text.len);

	put(&changed, text);
	imap_put_string(out, changed.len ? buffer_slice(&changed) : slice_make("", 0));
	if (changed.error && !out->error)
		out->error = changed.error;
	buffer_free(&changed);
}

void imap_put_unfolded(struct buffer *out, struct slice value)
{
	if (!value.at || (slice_find_byte(value, '\n') == SIZE_MAX && slice_find_byte(value, '\r') == SIZE_MAX))
		imap_put_nstring(out, value);
	else
		put_changed(out, value, text_put_unfolded);
}

static bool is_compact(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!byte_is_space(text.at[i]))
			continue;
		if (text.at[i] != ' ' || i == 0 || i + 1 == text.len || byte_is_space(text.at[i + 1]))
			return false;
	}
	return true;
}

void imap_put_compact(struct buffer *out, struct slice value)
{
	if (!value.at || is_compact(value))
		imap_put_nstring(out, value);
	else
		put_changed(out, value, text_put_compact);
}
