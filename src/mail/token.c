#include "mail/internal.h"

enum { ATEXT = 1, TOKEN = 2 };

/*
 * atext is everything but controls, space and the specials of RFC 5322 §3.2.3, 8-bit bytes included (RFC 6532 §3.2);
 * a token also leaves out "/", "?" and "=", but may have dots (RFC 2045 §5.1).
 */
static const uint8_t classes[256] = {
	['!'] = ATEXT | TOKEN,
	['#' ... '\''] = ATEXT | TOKEN,
	['*' ... '+'] = ATEXT | TOKEN,
	['-'] = ATEXT | TOKEN,
	['.'] = TOKEN,
	['/'] = ATEXT,
	['0' ... '9'] = ATEXT | TOKEN,
	['='] = ATEXT,
	['?'] = ATEXT,
	['A' ... 'Z'] = ATEXT | TOKEN,
	['^' ... '~'] = ATEXT | TOKEN,
	[128 ... 255] = ATEXT | TOKEN,
};

bool byte_is_atext(char c)
{
	return classes[(unsigned char)c] & ATEXT;
}

bool byte_is_token(char c)
{
	return classes[(unsigned char)c] & TOKEN;
}

struct lexer lexer_make(struct slice text)
{
	if (text.len == 0)
		return (struct lexer){"", "", NULL};
	return (struct lexer){text.at, text.at + text.len, NULL};
}

bool lexer_is(const struct lexer *lexer, char byte)
{
	return lexer->at < lexer->end && *lexer->at == byte;
}

/* Comments nest (RFC 5322 §3.2.2); counting needs no stack. */
static bool comment_skip(struct lexer *lexer)
{
	struct buffer *out = lexer->comment;
	size_t depth = 0;

	if (out)
		buffer_reset(out);
	for (; lexer->at < lexer->end; lexer->at++) {
		char c = *lexer->at;

		if (c == '\\' && lexer->end - lexer->at > 1) {
			c = *++lexer->at;
		} else if (c == '(') {
			if (depth++ == 0)
				continue;
		} else if (c == ')' && --depth == 0) {
			lexer->at++;
			return true;
		} else if (c == '\r' || c == '\n') {
			continue;
		}
		if (out)
			buffer_put_byte(out, c);
	}
	return false;
}

bool lexer_space(struct lexer *lexer)
{
	while (lexer->at < lexer->end) {
		if (byte_is_space(*lexer->at))
			lexer->at++;
		else if (*lexer->at != '(')
			break;
		else if (!comment_skip(lexer))
			return false;
	}
	return true;
}

struct slice lexer_atom(struct lexer *lexer)
{
	const char *start = lexer->at;

	while (lexer->at < lexer->end && byte_is_atext(*lexer->at))
		lexer->at++;
	return slice_make(start, (size_t)(lexer->at - start));
}

struct slice lexer_atom_dots(struct lexer *lexer)
{
	const char *start = lexer->at;

	while (lexer->at < lexer->end && (byte_is_atext(*lexer->at) || *lexer->at == '.'))
		lexer->at++;
	return slice_make(start, (size_t)(lexer->at - start));
}

struct slice lexer_token(struct lexer *lexer)
{
	const char *start = lexer->at;

	while (lexer->at < lexer->end && byte_is_token(*lexer->at))
		lexer->at++;
	return slice_make(start, (size_t)(lexer->at - start));
}

bool lexer_quoted(struct lexer *lexer, struct buffer *out)
{
	const char *run = ++lexer->at;

	for (; lexer->at < lexer->end; lexer->at++) {
		char c = *lexer->at;

		if (c != '"' && c != '\\' && c != '\r' && c != '\n')
			continue;
		buffer_put(out, slice_make(run, (size_t)(lexer->at - run)));
		run = lexer->at + 1;
		if (c == '"') {
			lexer->at++;
			return true;
		}
		if (c == '\\' && run < lexer->end)
			lexer->at++; /* what follows stands for itself, and is part of the next run */
	}
	buffer_put(out, slice_make(run, (size_t)(lexer->end - run)));
	return false;
}
