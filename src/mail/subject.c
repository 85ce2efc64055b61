/* Base subject (RFC 5256 §2.1) and message identifiers: what threads are made of. */
#include "mail/internal.h"

enum { ID_MAX = 998, SUBJECT_RAW_MAX = 16384, SUBJECT_MAX = 1024 };

static struct slice spaces_off_start(struct slice s)
{
	while (s.len && byte_is_space(s.at[0]))
		s = slice_make(s.at + 1, s.len - 1);
	return s;
}

/* "[anything]" and the space after it; false when s does not begin with one. */
static bool blob_off(struct slice *s)
{
	for (size_t i = 1; i < s->len && s->at[0] == '['; i++) {
		if (s->at[i] == '[')
			return false;
		if (s->at[i] == ']') {
			*s = spaces_off_start(slice_make(s->at + i + 1, s->len - i - 1));
			return true;
		}
	}
	return false;
}

/* subj-leader: any blobs, then "re", "fw" or "fwd", perhaps a blob, and a colon. */
static bool leader_off(struct slice *s)
{
	struct slice rest = *s;

	while (blob_off(&rest))
		;
	if (slice_starts_nocase(rest, SLICE("re")))
		rest = slice_from(rest, 2);
	else if (slice_starts_nocase(rest, SLICE("fwd")))
		rest = slice_from(rest, 3);
	else if (slice_starts_nocase(rest, SLICE("fw")))
		rest = slice_from(rest, 2);
	else
		return false;
	rest = spaces_off_start(rest);
	(void)blob_off(&rest);
	if (!slice_starts(rest, SLICE(":")))
		return false;
	*s = spaces_off_start(slice_from(rest, 1));
	return true;
}

static struct slice trailers_off(struct slice s)
{
	struct slice trailer = SLICE("(fwd)");

	for (;;) {
		s = slice_trim(s);
		if (s.len < trailer.len || !slice_equal_nocase(slice_from(s, s.len - trailer.len), trailer))
			return s;
		s.len -= trailer.len;
	}
}

static struct slice base_of(struct slice s)
{
	for (;;) {
		struct slice shorter;

		s = trailers_off(s);
		for (;;) {
			if (leader_off(&s))
				continue;
			shorter = s;
			if (!blob_off(&shorter) || shorter.len == 0)
				break;
			s = shorter;
		}
		if (!slice_starts_nocase(s, SLICE("[fwd:")) || !slice_ends(s, SLICE("]")))
			return s;
		s = slice_make(s.at + 5, s.len - 6);
	}
}

void subject_put_base(struct slice value, struct buffer *out)
{
	struct buffer decoded = BUFFER_INIT(8 * SUBJECT_RAW_MAX), compact = BUFFER_INIT(SUBJECT_MAX);

	mail_header_text(slice_first(value, SUBJECT_RAW_MAX), &decoded);
	text_put_compact(&compact, utf8_first(buffer_slice(&decoded), SUBJECT_MAX));
	buffer_put(out, base_of(buffer_slice(&compact)));
	if (decoded.error == -ENOMEM || compact.error == -ENOMEM)
		out->error = -ENOMEM;
	buffer_free(&decoded);
	buffer_free(&compact);
}

bool message_id_next(struct slice *rest, struct buffer *out)
{
	while (rest->len) {
		size_t open = slice_find_byte(*rest, '<');
		size_t close, again, start = out->len;
		struct slice id;

		*rest = slice_from(*rest, open);
		close = slice_find_byte(*rest, '>');
		if (close == SIZE_MAX) {
			*rest = slice_make(NULL, 0);
			return false;
		}
		id = slice_first(*rest, close + 1);
		*rest = slice_from(*rest, close + 1);
		again = slice_find_last_byte(id, '<');
		id = slice_from(id, again);
		if (id.len < 3 || id.len > ID_MAX)
			continue;
		for (size_t i = 0; i < id.len; i++)
			if (!byte_is_space(id.at[i]))
				buffer_put_byte(out, id.at[i]);
		if (out->len - start >= 3)
			return true;
		buffer_truncate(out, start);
	}
	return false;
}
