#include "mail/parser.h"

/* What stands before a part's own children, or all of a leaf. */
static void part_open(const struct mail_parser *parser, uint32_t index, struct buffer *out)
{
	const struct mail_part *part = &parser->parts[index];
	const struct node *node = &parser->nodes[index];

	buffer_put_byte(out, '(');
	if (part->kind == MAIL_MULTIPART) {
		/* A multipart must have a part (RFC 9051 §9, body-type-mpart): an empty text where there is none. */
		if (part->children == 0)
			buffer_put(out, SLICE("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 "
					      "NIL NIL NIL NIL)"));
		return;
	}
	buffer_put(out, span_slice(&parser->text, node->content.head));
	buffer_put_byte(out, ' ');
	buffer_put_u64(out, part->body_bytes);
	if (part->kind == MAIL_MESSAGE) {
		buffer_put_byte(out, ' ');
		buffer_put(out, span_slice(&parser->text, parser->nodes[index + 1].envelope));
		buffer_put_byte(out, ' ');
	}
}

static void part_end(const struct mail_parser *parser, uint32_t index, struct buffer *out)
{
	const struct mail_part *part = &parser->parts[index];
	const struct node *node = &parser->nodes[index];

	if (part->kind == MAIL_MESSAGE || (part->kind == MAIL_LEAF && node->content.is_text)) {
		buffer_put_byte(out, ' ');
		buffer_put_u64(out, part->body_lines);
	}
	buffer_put(out, span_slice(&parser->text, node->content.tail));
	buffer_put_byte(out, ')');
}

void structure_put(const struct mail_parser *parser, struct buffer *out)
{
	for (uint32_t index = 0; index < parser->count; index++) {
		uint32_t done = index;

		part_open(parser, index, out);
		if (parser->parts[index].children)
			continue;
		/* The parts are in document order: what ends here ends before the next one begins. */
		part_end(parser, done, out);
		while (parser->parts[done].next == 0 && parser->parts[done].parent != PART_NONE) {
			done = parser->parts[done].parent;
			part_end(parser, done, out);
		}
	}
}

/* ---- BODY from BODYSTRUCTURE ---- */

enum { NESTING_MAX = 4096 };

struct brief {
	struct slice rest;
	struct buffer *out; /* NULL while skipping */
};

static void brief_take(struct brief *brief, size_t len)
{
	if (brief->out)
		buffer_put(brief->out, slice_first(brief->rest, len));
	brief->rest = slice_from(brief->rest, len);
}

static size_t quoted_len(struct slice rest)
{
	for (size_t i = 1; i < rest.len; i++) {
		if (rest.at[i] == '\\')
			i++;
		else if (rest.at[i] == '"')
			return i + 1;
	}
	return 0;
}

static size_t literal_len(struct slice rest)
{
	size_t end = slice_find_byte(rest, '}');
	uint64_t bytes;

	if (end == SIZE_MAX || slice_to_u64(slice_make(rest.at + 1, end - 1), rest.len, &bytes) != 0)
		return 0;
	return rest.len - end >= 3 + bytes ? end + 3 + (size_t)bytes : 0;
}

static size_t atom_len(struct slice rest)
{
	size_t len = 0;

	while (len < rest.len && rest.at[len] != ' ' && rest.at[len] != ')' && rest.at[len] != '(')
		len++;
	return len;
}

/* A string, number, NIL or a whole list without looking at what is in it. False when it is damaged. */
static bool brief_item(struct brief *brief)
{
	size_t depth = 0;

	do {
		char c = brief->rest.len ? brief->rest.at[0] : '\0';
		size_t len;

		if (c == '(' || c == ')' || c == ' ') {
			if ((c == ')' || c == ' ') && depth == 0)
				return false;
			depth += c == '(';
			depth -= c == ')';
			len = 1;
		} else if (c == '"') {
			len = quoted_len(brief->rest);
		} else if (c == '{') {
			len = literal_len(brief->rest);
		} else {
			len = atom_len(brief->rest);
		}
		if (len == 0)
			return false;
		brief_take(brief, len);
	} while (depth);
	return true;
}

static bool brief_items(struct brief *brief, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i && slice_starts(brief->rest, SLICE(" ")))
			brief_take(brief, 1);
		if (!brief_item(brief))
			return false;
	}
	return true;
}

/* Leaves out what is left of the list, but not its end. */
static bool brief_skip_rest(struct brief *brief)
{
	struct buffer *out = brief->out;

	brief->out = NULL;
	while (slice_starts(brief->rest, SLICE(" "))) {
		brief_take(brief, 1);
		if (!brief_item(brief))
			return false;
	}
	brief->out = out;
	if (!slice_starts(brief->rest, SLICE(")")))
		return false;
	brief_take(brief, 1);
	return true;
}

enum frame { FRAME_MULTIPART, FRAME_MESSAGE };

/*
 * The beginning of one body. Afterwards either the whole body is written (0), or a body inside is next (1) and the frame
 * was pushed, or -EBADMSG.
 */
static int brief_open(struct brief *brief, struct buffer *frames)
{
	struct slice start;
	bool is_message, is_text;

	if (!slice_starts(brief->rest, SLICE("(")))
		return -EBADMSG;
	brief_take(brief, 1);
	if (slice_starts(brief->rest, SLICE("("))) {
		buffer_put_byte(frames, FRAME_MULTIPART);
		return 1;
	}
	start = brief->rest;
	if (!brief_items(brief, 7))
		return -EBADMSG;
	is_message = slice_starts_nocase(start, SLICE("\"message\" \"rfc822\" ")) ||
		     slice_starts_nocase(start, SLICE("\"message\" \"global\" "));
	is_text = slice_starts_nocase(start, SLICE("\"text\" "));
	if (is_message) {
		brief_take(brief, 1);
		if (!brief_item(brief) || !slice_starts(brief->rest, SLICE(" (")))
			return -EBADMSG;
		brief_take(brief, 1);
		buffer_put_byte(frames, FRAME_MESSAGE);
		return 1;
	}
	if (is_text) {
		brief_take(brief, 1);
		if (!brief_item(brief))
			return -EBADMSG;
	}
	return brief_skip_rest(brief) ? 0 : -EBADMSG;
}

/* A body inside a frame has ended. As brief_open(): 1 when another one begins, 0 when the frame has ended as well. */
static int brief_close(struct brief *brief, char frame)
{
	if (frame == FRAME_MULTIPART && slice_starts(brief->rest, SLICE("(")))
		return 1;
	if (!slice_starts(brief->rest, SLICE(" ")))
		return -EBADMSG;
	brief_take(brief, 1);
	if (!brief_item(brief) || !brief_skip_rest(brief))
		return -EBADMSG;
	return 0;
}

int mail_structure_brief(struct slice structure, struct buffer *out)
{
	struct brief brief = {structure, out};
	struct buffer frames = BUFFER_INIT(NESTING_MAX);
	int more = 1;

	while (more > 0) {
		more = brief_open(&brief, &frames);
		while (more == 0 && frames.len) {
			more = brief_close(&brief, frames.at[frames.len - 1]);
			if (more == 0)
				buffer_truncate(&frames, frames.len - 1);
		}
		if (buffer_error(&frames))
			more = -EBADMSG;
	}
	buffer_free(&frames);
	if (more == 0 && brief.rest.len)
		more = -EBADMSG;
	return more;
}
