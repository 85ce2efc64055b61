#include "mail/charset.h"

#include <iconv.h>

enum kind { KIND_UTF8, KIND_LATIN1, KIND_UTF7, KIND_ICONV, KIND_UNKNOWN };
enum { CHUNK = 4096, CONVERTERS_MAX = 256 };

struct slice utf8_first(struct slice text, size_t bytes_max)
{
	size_t len = bytes_max;

	if (text.len <= bytes_max)
		return text;
	while (len && ((unsigned char)text.at[len] & 0xc0) == 0x80 && bytes_max - len < 3)
		len--;
	return slice_first(text, len);
}

/* Eight bytes at a time: most text is ASCII. */
static size_t ascii_run(struct slice s)
{
	uint64_t word;
	size_t i = 0;

	for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
		memcpy(&word, s.at + i, sizeof(word));
		if (word & 0x8080808080808080)
			break;
	}
	while (i < s.len && !((unsigned char)s.at[i] & 0x80))
		i++;
	return i;
}

void utf8_put_valid(struct buffer *out, struct slice bytes)
{
	while (bytes.len && !out->error) {
		size_t run = ascii_run(bytes);
		struct slice rest;

		buffer_put(out, slice_first(bytes, run));
		bytes = slice_from(bytes, run);
		if (bytes.len == 0)
			return;
		rest = bytes;
		if (utf8_next(&rest) >= 0)
			buffer_put(out, slice_first(bytes, bytes.len - rest.len));
		else
			buffer_put_utf8(out, 0xfffd);
		bytes = rest;
	}
}

static void put_latin1(struct buffer *out, struct slice bytes, bool is_known)
{
	while (bytes.len && !out->error) {
		size_t run = ascii_run(bytes);

		buffer_put(out, slice_first(bytes, run));
		if (run < bytes.len)
			buffer_put_utf8(out, is_known ? (unsigned char)bytes.at[run] : 0xfffd);
		bytes = slice_from(bytes, run + 1);
	}
}

int converter_open(struct converter *converter, struct slice charset)
{
	const char *name = charset.len ? charset_converter_name(charset) : CHARSET_UTF8;

	*converter = (struct converter){.kind = KIND_UNKNOWN};
	if (!name)
		return -ENOENT;
	if (strcmp(name, CHARSET_UTF8) == 0) {
		converter->kind = KIND_UTF8;
	} else if (strcmp(name, CHARSET_LATIN1) == 0) {
		converter->kind = KIND_LATIN1;
	} else if (strcmp(name, CHARSET_UTF7) == 0) {
		converter->kind = KIND_UTF7;
	} else {
		converter->handle = iconv_open("UTF-8", name);
		if (converter->handle == (iconv_t)-1) {
			converter->handle = NULL;
			return -ENOENT;
		}
		converter->kind = KIND_ICONV;
	}
	return 0;
}

void converter_close(struct converter *converter)
{
	if (converter->handle)
		(void)iconv_close(converter->handle);
	converter->handle = NULL;
}

/*
 * As much of *bytes as iconv takes; 0 when all was taken, else -EINVAL (the rest is the beginning of a character) or
 * -EILSEQ (its first byte is bad).
 */
static int iconv_put(struct converter *converter, struct slice *bytes, struct buffer *out)
{
	char chunk[CHUNK];

	while (bytes->len) {
		char *in = (char *)(uintptr_t)bytes->at, *to = chunk;
		size_t in_left = bytes->len, to_left = sizeof(chunk);
		size_t done = iconv(converter->handle, &in, &in_left, &to, &to_left);
		int error = done == (size_t)-1 ? errno : 0;

		/* Not all that glibc writes is UTF-8: UCS-4 may name what is no character. */
		utf8_put_valid(out, slice_make(chunk, (size_t)(to - chunk)));
		*bytes = slice_make(in, in_left);
		if (error && error != E2BIG)
			return -error;
		if (error == E2BIG && to == chunk)
			return -EILSEQ;
	}
	return 0;
}

/* One more byte for the character that began in an earlier piece. */
static void held_add(struct converter *converter, char byte, struct buffer *out)
{
	struct slice held;
	int error;

	converter->held[converter->held_len++] = byte;
	held = slice_make(converter->held, converter->held_len);
	error = iconv_put(converter, &held, out);
	if (error == -EINVAL && held.len < sizeof(converter->held)) {
		memmove(converter->held, held.at, held.len);
		converter->held_len = held.len;
		return;
	}
	converter->held_len = 0;
	if (error)
		buffer_put_utf8(out, 0xfffd);
	/* The bad byte was the first of what is left; the others may begin characters of their own. */
	if (error && held.len > 1) {
		char again[sizeof(converter->held)];
		size_t len = held.len - 1;

		memcpy(again, held.at + 1, len);
		for (size_t i = 0; i < len; i++)
			held_add(converter, again[i], out);
	}
}

static void feed_iconv(struct converter *converter, struct slice bytes, struct buffer *out)
{
	while (bytes.len && !out->error) {
		int error;

		if (converter->held_len) {
			held_add(converter, bytes.at[0], out);
			bytes = slice_from(bytes, 1);
			continue;
		}
		error = iconv_put(converter, &bytes, out);
		if (error == -EINVAL && bytes.len < sizeof(converter->held)) {
			memcpy(converter->held, bytes.at, bytes.len);
			converter->held_len = bytes.len;
			return;
		}
		if (error) {
			buffer_put_utf8(out, 0xfffd);
			bytes = slice_from(bytes, 1);
		}
	}
}

/* How many bytes at the end of s are the beginning of a UTF-8 character. */
static size_t utf8_unfinished(struct slice s)
{
	for (size_t back = 1; back <= 3 && back <= s.len; back++) {
		unsigned char c = (unsigned char)s.at[s.len - back];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if ((c & 0xc0) != 0x80)
			return need > back ? back : 0;
	}
	return 0;
}

static void feed_utf8(struct converter *converter, struct slice bytes, struct buffer *out)
{
	size_t unfinished;

	while (converter->held_len && bytes.len) {
		struct slice held;

		converter->held[converter->held_len++] = bytes.at[0];
		bytes = slice_from(bytes, 1);
		held = slice_make(converter->held, converter->held_len);
		if (utf8_unfinished(held) == held.len)
			continue;
		unfinished = utf8_unfinished(held);
		utf8_put_valid(out, slice_first(held, held.len - unfinished));
		memmove(converter->held, held.at + held.len - unfinished, unfinished);
		converter->held_len = unfinished;
	}
	if (bytes.len == 0)
		return;
	unfinished = utf8_unfinished(bytes);
	utf8_put_valid(out, slice_first(bytes, bytes.len - unfinished));
	memcpy(converter->held, bytes.at + bytes.len - unfinished, unfinished);
	converter->held_len = unfinished;
}

void converter_feed(struct converter *converter, struct slice bytes, struct buffer *out)
{
	switch (converter->kind) {
	case KIND_UTF8:
		feed_utf8(converter, bytes, out);
		break;
	case KIND_UTF7:
		utf7_feed(&converter->utf7, bytes, out);
		break;
	case KIND_ICONV:
		feed_iconv(converter, bytes, out);
		break;
	default:
		put_latin1(out, bytes, converter->kind == KIND_LATIN1);
		break;
	}
}

void converter_finish(struct converter *converter, struct buffer *out)
{
	if (converter->kind == KIND_UTF8)
		utf8_put_valid(out, slice_make(converter->held, converter->held_len));
	else if (converter->kind == KIND_UTF7)
		utf7_finish(&converter->utf7, out);
	else if (converter->held_len)
		buffer_put_utf8(out, 0xfffd);
	converter->held_len = 0;
	if (converter->handle) {
		char chunk[64], *to = chunk;
		size_t to_left = sizeof(chunk);

		(void)iconv(converter->handle, NULL, NULL, &to, &to_left);
		buffer_put(out, slice_make(chunk, (size_t)(to - chunk)));
	}
}

int mail_charset_to_utf8(struct slice charset, struct slice bytes, struct buffer *out)
{
	struct converter converter;
	int error = converter_open(&converter, charset);

	converter_feed(&converter, bytes, out);
	converter_finish(&converter, out);
	converter_close(&converter);
	return error;
}

bool mail_charset_is_known(struct slice charset)
{
	return charset.len == 0 || charset_converter_name(charset) != NULL;
}

/*
 * glibc loads a converter's code at its first use and may drop it after its last: one open handle keeps it. The handles
 * are never used nor closed, and stand in a static array only to stay reachable; the call is made once, before threads.
 */
int mail_charsets_preload(void)
{
	static iconv_t kept[CONVERTERS_MAX];
	size_t count, used = 0;
	const struct charset_name *names = charset_names(&count);

	for (size_t i = 0; i < count && used < CONVERTERS_MAX; i++) {
		bool seen = kept[used] != NULL;

		for (size_t j = 0; j < i && !seen; j++)
			seen = strcmp(names[j].converter, names[i].converter) == 0;
		if (seen)
			continue;
		kept[used] = iconv_open("UTF-8", names[i].converter);
		if (kept[used] == (iconv_t)-1)
			kept[used] = NULL;
		else
			used++;
	}
	return (int)used;
}
