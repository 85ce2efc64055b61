/* RFC 2047: encoded words in header values. */
#include "mail/internal.h"

enum { WORD_LEN_MAX = 998 /* a line can hold no more; RFC 2047 §2 allows 75 */ };

struct word {
	struct slice charset, text;
	bool is_base64;
	size_t len; /* all of it, from "=?" to "?=" */
};

static bool is_charset_byte(char c)
{
	return byte_is_token(c) || c == ':' || c == '(' || c == ')';
}

/* =?charset*language?B?text?= at the start of s; false when there is none. */
static bool word_read(struct slice s, struct word *ret_word)
{
	size_t at = 2, end;
	struct word word;

	s = slice_first(s, WORD_LEN_MAX);
	if (!slice_starts(s, SLICE("=?")))
		return false;
	while (at < s.len && is_charset_byte(s.at[at]))
		at++;
	if (at == 2 || at + 3 > s.len || s.at[at] != '?' || s.at[at + 2] != '?')
		return false;
	word.charset = slice_make(s.at + 2, at - 2);
	/* The language (RFC 2231 §5) plays no part in decoding. */
	word.charset = slice_first(word.charset, slice_find_byte(word.charset, '*'));
	if (byte_lower(s.at[at + 1]) != 'b' && byte_lower(s.at[at + 1]) != 'q')
		return false;
	word.is_base64 = byte_lower(s.at[at + 1]) == 'b';
	at += 3;
	for (end = at; end + 1 < s.len && !(s.at[end] == '?' && s.at[end + 1] == '='); end++)
		if (s.at[end] == '\r' || s.at[end] == '\n' || (word.is_base64 && s.at[end] == '?'))
			return false;
	if (end + 1 >= s.len)
		return false;
	word.text = slice_make(s.at + at, end - at);
	word.len = end + 2;
	*ret_word = word;
	return true;
}

static int hex_digit(char c)
{
	c = byte_lower(c);
	if (byte_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_q(struct slice text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		int high = c == '=' && i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1;
		int low = c == '=' && i + 2 < text.len ? hex_digit(text.at[i + 2]) : -1;

		if (high >= 0 && low >= 0) {
			buffer_put_byte(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buffer_put_byte(out, c == '_' ? ' ' : c);
		}
	}
}

static void put_b(struct slice text, struct buffer *out)
{
	struct mail_decoder *decoder = NULL;

	if (mail_decoder_new(MAIL_BASE64, slice_make(NULL, 0), false, false, &decoder) != 0) {
		out->error = -ENOMEM;
		return;
	}
	if (mail_decoder_feed(decoder, text, out) != 0 || mail_decoder_finish(decoder, out) != 0)
		out->error = out->error ? out->error : -ENOMEM;
	mail_decoder_free(&decoder);
}

/*
 * The next run of words that are apart by white space only: that space is no part of the text (RFC 2047 §6.2). Words of
 * one charset are joined before it is decoded, because writers cut characters in two. Returns how far the run reaches.
 */
static size_t words_put(struct slice s, struct buffer *bytes, struct buffer *out)
{
	struct slice charset = slice_make(NULL, 0);
	size_t done = 0, at = 0;
	struct word word;
	int error = 0;

	buffer_reset(bytes);
	while (word_read(slice_from(s, at), &word)) {
		if (charset.at && !slice_equal_nocase(charset, word.charset)) {
			(void)!mail_charset_to_utf8(charset, buffer_slice(bytes), out);
			error = error ? error : bytes->error;
			buffer_reset(bytes);
		}
		charset = word.charset;
		if (word.is_base64)
			put_b(word.text, bytes);
		else
			put_q(word.text, bytes);
		done = at += word.len;
		while (at < s.len && byte_is_space(s.at[at]))
			at++;
	}
	(void)!mail_charset_to_utf8(charset, buffer_slice(bytes), out);
	if (error == -ENOMEM || bytes->error == -ENOMEM)
		out->error = -ENOMEM;
	return done;
}

/* A fold leaves its white space behind, and no character reaches across it. */
static void put_plain(struct slice text, struct buffer *out)
{
	while (text.len) {
		size_t run = 0;

		while (run < text.len && text.at[run] != '\r' && text.at[run] != '\n')
			run++;
		utf8_put_valid(out, slice_first(text, run));
		text = slice_from(text, run + 1);
	}
}

void mail_header_text(struct slice value, struct buffer *out)
{
	struct buffer bytes = BUFFER_INIT(value.len); /* neither encoding makes text longer */
	struct word word;

	value = slice_trim(value);
	while (value.len && !out->error) {
		size_t run = 0;

		while (run < value.len && !(value.at[run] == '=' && word_read(slice_from(value, run), &word)))
			run++;
		put_plain(slice_first(value, run), out);
		value = slice_from(value, run);
		if (value.len)
			value = slice_from(value, words_put(value, &bytes, out));
	}
	buffer_free(&bytes);
}
