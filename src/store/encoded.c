#include "store/encoded.h"

#include "base/base64.h"
#include "base/codec.h"

enum {
	WIDTH_MIN = 16,
	WIDTH_MAX = 996, /* a line has at most 998 octets (RFC 5322 §2.1.1), a group four */
	RUN_BYTES_MIN = 192
};

/* ---- Taking apart ---- */

/* Whether one of the eight bytes is below '+', as spaces and most marks are, and no digit is. */
static bool has_mark(const char *at)
{
	static const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return (bytes - ones * '+') & ~bytes & tops;
}

/* Whether a line may be base64: text has a space or a mark among so many bytes nearly always. */
static bool line_looks_encoded(const char *line, size_t left)
{
	if (left < WIDTH_MIN || has_mark(line) || has_mark(line + 8))
		return false;
	for (size_t i = 0; i < WIDTH_MIN; i++) {
		if (base64_value(line[i]) == 255)
			return false;
	}
	return true;
}

/* Digits in the line, without its CRLF; 0: it is none that can begin a run. */
static size_t line_width(const char *line, size_t left)
{
	const char *lf = memchr(line, '\n', MIN(left, WIDTH_MAX + 2));
	size_t len;

	if (!lf || lf == line || lf[-1] != '\r')
		return 0;
	len = (size_t)(lf - line) - 1;
	return len % 4 || len < WIDTH_MIN ? 0 : len;
}

/* The last line of a run, shorter than the others, padded or cut off: how many of its digits go with the run. */
static size_t tail_take(const char *line, size_t left, size_t width, struct buffer *bytes)
{
	const char *lf = memchr(line, '\n', MIN(left, width + 2));
	size_t len = lf ? (size_t)(lf - line) : MIN(left, width);

	if (lf && (len == 0 || lf[-1] != '\r'))
		return 0;
	len -= lf ? 1 : 0;
	len -= len % 4;
	return len && buffer_put_base64_decoded(bytes, slice_make(line, len)) == 0 ? len : 0;
}

/* How many bytes at `at`, the beginning of a line, are one run; what they stand for is appended. 0: none. */
static size_t run_take(const char *at, const char *end, size_t width, struct buffer *bytes)
{
	const char *from = at, *last = NULL; /* after the digits of the last whole line */
	size_t before = bytes->len, tail;

	while ((size_t)(end - at) >= width + 2 && at[width] == '\r' && at[width + 1] == '\n') {
		char *room = buffer_room(bytes, width / 4 * 3 + BASE64_SLACK);

		if (!room || !base64_decode(at, width, room))
			break;
		buffer_added(bytes, width / 4 * 3);
		last = at + width;
		at = last + 2;
	}
	if (!last)
		return 0;
	tail = tail_take(at, (size_t)(end - at), width, bytes);
	if (tail)
		last = at + tail;
	if (bytes->len - before >= RUN_BYTES_MIN)
		return (size_t)(last - from);
	buffer_truncate(bytes, before);
	return 0;
}

bool encoded_split(struct slice raw, struct encoded *e)
{
	const char *at = raw.len ? raw.at : "", *end = at + raw.len, *text = at;

	buffer_reset(&e->runs);
	buffer_reset(&e->text);
	buffer_reset(&e->bytes);
	while (at < end) {
		size_t width = line_looks_encoded(at, (size_t)(end - at)) ? line_width(at, (size_t)(end - at)) : 0;
		size_t before = e->bytes.len, run = width ? run_take(at, end, width, &e->bytes) : 0;

		if (run) {
			buffer_put_varint(&e->runs, (uint64_t)(at - text));
			buffer_put_varint(&e->runs, width);
			buffer_put_varint(&e->runs, e->bytes.len - before);
			buffer_put(&e->text, slice_make(text, (size_t)(at - text)));
			at += run;
			text = at;
		} else {
			at = memchr(at, '\n', (size_t)(end - at));
			at = at ? at + 1 : end;
		}
	}
	if (!e->runs.len)
		return false;
	buffer_put(&e->text, slice_make(text, (size_t)(end - text)));
	return !buffer_error(&e->runs) && !buffer_error(&e->text) && !buffer_error(&e->bytes);
}

/* ---- Putting together ---- */

/* Digits and line ends of a run. */
static uint64_t run_length(uint64_t width, uint64_t bytes)
{
	uint64_t digits = (bytes + 2) / 3 * 4;

	return digits ? digits + (digits - 1) / width * 2 : 0;
}

/* `bytes` has BASE64_SLACK readable bytes behind it; `to` has room for what run_length() says and BASE64_SLACK more. */
static char *run_put(const char *from, size_t bytes, size_t width, char *to)
{
	size_t per_line = width / 4 * 3;

	while (bytes > per_line) {
		base64_encode(from, per_line, to);
		to += width;
		*to++ = '\r';
		*to++ = '\n';
		from += per_line;
		bytes -= per_line;
	}
	base64_encode(from, bytes - bytes % 3, to);
	to += bytes / 3 * 4;
	if (bytes % 3) {
		base64_encode_last(from + bytes - bytes % 3, bytes % 3, to);
		to += 4;
	}
	return to;
}

/* One run with the text before it. */
static bool piece_put(struct reader *runs, struct slice *text, struct slice *bytes, struct slice *room)
{
	uint64_t before = reader_varint(runs), width = reader_varint(runs), stands_for = reader_varint(runs);
	char *to = (char *)(uintptr_t)room->at;

	if (reader_error(runs) || before > text->len || width < WIDTH_MIN || width > WIDTH_MAX || width % 4 ||
		!stands_for || stands_for > bytes->len || before > room->len ||
		run_length(width, stands_for) > room->len - before)
		return false;
	if (before)
		memcpy(to, text->at, (size_t)before);
	to = run_put(bytes->at, (size_t)stands_for, (size_t)width, to + before);
	*text = slice_from(*text, (size_t)before);
	*bytes = slice_from(*bytes, (size_t)stands_for);
	*room = slice_from(*room, (size_t)(to - room->at));
	return true;
}

int encoded_join(struct slice runs, struct slice text, struct slice bytes, size_t raw, struct buffer *out)
{
	char *room = buffer_room(out, raw + BASE64_SLACK);
	struct slice left = slice_make(room, raw);
	struct reader r = READER_INIT(runs);

	if (!room)
		return buffer_error(out);
	while (r.rest.len) {
		if (!piece_put(&r, &text, &bytes, &left))
			return -EBADMSG;
	}
	if (bytes.len || text.len != left.len)
		return -EBADMSG;
	if (text.len)
		memcpy(room + (raw - left.len), text.at, text.len);
	buffer_added(out, raw);
	return 0;
}
