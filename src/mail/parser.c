#include "mail/parser.h"

enum {
	BOUNDARY_MAX = 998, /* a line can hold no more (RFC 5322 §2.1.1) */
	HELD_MAX = 2 + BOUNDARY_MAX + 2 + 2 /* --boundary-- and CRLF */,
	TEXT_SOFT_MAX = 1 << 20, /* beyond, further parts are rendered without details */
	TEXT_MAX = 1 << 27,
	FIRST_PARTS = 8,
	KEEP_BYTES = 32 << 10,
	KEEP_PARTS = 64,
	BLOCK_BYTES = 255, /* a byte counts the line ends among them */
};

const struct mail_limits mail_limits_default = {
	.depth_max = 100,
	.parts_max = 10000,
	.header_bytes_max = 256 << 10,
	.fields_max = 2000,
	.common_max = 16 << 10,
};

static int part_add(struct mail_parser *parser, uint32_t parent, struct place at)
{
	uint32_t index = parser->count;
	struct mail_part *part;
	struct node *node;

	if (index == parser->room) {
		uint32_t room = parser->room ? parser->room * 2 : FIRST_PARTS;
		struct mail_part *parts = realloc(parser->parts, room * sizeof(*parts));
		struct node *nodes;

		if (!parts)
			return -ENOMEM;
		parser->parts = parts;
		nodes = realloc(parser->nodes, room * sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		parser->nodes = nodes;
		parser->room = room;
	}
	part = &parser->parts[index];
	node = &parser->nodes[index];
	*part = (struct mail_part){.parent = parent, .header_at = at.at};
	*node = (struct node){.last_child = PART_NONE, .lines_before = at.lines};
	if (parent != PART_NONE) {
		node->depth = parser->nodes[parent].depth + 1;
		if (parser->nodes[parent].last_child != PART_NONE)
			parser->parts[parser->nodes[parent].last_child].next = index;
		parser->nodes[parent].last_child = index;
		parser->parts[parent].children++;
	}
	parser->count++;
	parser->current = index;
	parser->state = IN_HEADER;
	buffer_reset(&parser->header);
	parser->header_cut = false;
	return 0;
}

enum { BUFFERS = 16 };

static void buffers_of(struct mail_parser *p, struct buffer *ret_buffers[BUFFERS])
{
	struct buffer *const all[BUFFERS] = {&p->held, &p->header, &p->fields, &p->text, &p->common, &p->references,
		&p->plain, &p->html, &p->structure, &p->preview, &p->params.text, &p->addresses.name,
		&p->addresses.route, &p->addresses.local, &p->addresses.domain, &p->addresses.comment};

	memcpy(ret_buffers, all, sizeof(all));
}

void mail_parser_free(struct mail_parser **parser)
{
	struct mail_parser *p = *parser;
	struct buffer *buffers[BUFFERS];

	if (!p)
		return;
	buffers_of(p, buffers);
	for (unsigned i = 0; i < BUFFERS; i++)
		buffer_free(buffers[i]);
	free(p->reference_slices);
	free(p->parts);
	free(p->nodes);
	free(p);
	*parser = NULL;
}

int mail_parser_new(const struct mail_limits *limits, struct mail_parser **ret_parser)
{
	struct mail_parser *parser = calloc(1, sizeof(*parser));
	int error;

	if (!parser)
		return -ENOMEM;
	parser->limits = *limits;
	parser->held = BUFFER_INIT(HELD_MAX);
	parser->header = BUFFER_INIT(limits->header_bytes_max);
	parser->fields = BUFFER_INIT((size_t)limits->fields_max * sizeof(struct header_field));
	parser->text = BUFFER_INIT(TEXT_MAX);
	parser->common = BUFFER_INIT(limits->common_max + sizeof("\r\n"));
	parser->references = BUFFER_INIT(REFERENCES_MAX * sizeof(struct span));
	parser->plain = BUFFER_INIT(PREVIEW_PLAIN_BYTES);
	parser->html = BUFFER_INIT(PREVIEW_HTML_BYTES);
	parser->structure = BUFFER_INIT(TEXT_MAX);
	parser->preview = BUFFER_INIT(PREVIEW_BYTES_MAX);
	params_init(&parser->params);
	address_scratch_init(&parser->addresses);
	error = mail_parser_reset(parser);
	if (error) {
		mail_parser_free(&parser);
		return error;
	}
	*ret_parser = parser;
	return 0;
}

/* What was grown for a message out of the common is given back. */
static void memory_trim(struct mail_parser *parser)
{
	struct buffer *buffers[BUFFERS];

	buffers_of(parser, buffers);
	for (unsigned i = 0; i < BUFFERS; i++)
		buffer_recycle(buffers[i], KEEP_BYTES);
	free(parser->reference_slices);
	parser->reference_slices = NULL;
	if (parser->room > KEEP_PARTS) {
		free(parser->parts);
		free(parser->nodes);
		parser->parts = NULL;
		parser->nodes = NULL;
		parser->room = 0;
	}
}

int mail_parser_reset(struct mail_parser *parser)
{
	memory_trim(parser);
	parser->here = (struct place){0, 0};
	parser->line_at = 0;
	parser->line_end_bytes = 0;
	parser->last_byte = '\0';
	parser->undecided = parser->has_nul = parser->has_8bit = false;
	parser->delimiters = 0;
	parser->count = 0;
	parser->common_cut = false;
	parser->subject = parser->message_id = (struct span){0};
	parser->has_date = false;
	parser->date = 0;
	parser->date_zone = 0;
	parser->plain_part = parser->html_part = PART_NONE;
	parser->message = (struct mail_message){0};
	return part_add(parser, PART_NONE, (struct place){0, 0});
}

static bool is_inner_message(const struct mail_parser *parser, uint32_t index)
{
	uint32_t parent = parser->parts[index].parent;

	return parent != PART_NONE && parser->parts[parent].kind == MAIL_MESSAGE;
}

static bool in_digest(const struct mail_parser *parser, uint32_t index)
{
	uint32_t parent = parser->parts[index].parent;

	return parent != PART_NONE && parser->parts[parent].kind == MAIL_MULTIPART &&
	       slice_equal(span_slice(&parser->text, parser->nodes[parent].content.subtype), SLICE("digest"));
}

/* A part of a multipart is MIME by being one; a message says so itself. */
static bool is_mime(const struct mail_parser *parser, uint32_t index, const struct header *header)
{
	if (index != 0 && !is_inner_message(parser, index))
		return true;
	return header_has(header, FIELD_MIME_VERSION) || header_has(header, FIELD_CONTENT_TYPE);
}

/* Whether this part may have parts inside, as far as the limits go. */
static bool may_nest(const struct mail_parser *parser, const struct node *node)
{
	return node->depth < parser->limits.depth_max &&
	       !(node->content.kind == MAIL_MESSAGE && parser->count >= parser->limits.parts_max);
}

/* Reads the header block just collected into the part's node. */
static void header_take(struct mail_parser *parser)
{
	uint32_t index = parser->current;
	struct node *node = &parser->nodes[index];
	struct slice block = buffer_slice(&parser->header);
	size_t start = parser->text.len;
	struct header header;

	if (index == 0)
		parser->common_cut = parser->header_cut;
	header_read(block, &parser->limits, &parser->fields, index == 0 ? &parser->common : NULL, &parser->common_cut);
	header = header_of(&parser->fields);
	content_read(&header, is_mime(parser, index, &header), in_digest(parser, index), &parser->params, &parser->text,
		&node->content);
	if (node->content.boundary.len > BOUNDARY_MAX)
		node->content.boundary.len = BOUNDARY_MAX;
	if (index == 0 || is_inner_message(parser, index)) {
		size_t envelope = parser->text.len;

		envelope_put(&header, &parser->addresses, &parser->text);
		node->envelope = span_since(&parser->text, envelope);
	}
	if (index == 0)
		parser_message_fields(parser, &header);
	if ((index == 0 || parser->text.len <= TEXT_SOFT_MAX) &&
		(node->content.kind == MAIL_LEAF || may_nest(parser, node)))
		return;
	if (index)
		buffer_truncate(&parser->text, start);
	content_opaque(&parser->text, &node->content);
	if (index && is_inner_message(parser, index)) {
		start = parser->text.len;
		envelope_put_empty(&parser->text);
		node->envelope = span_since(&parser->text, start);
	}
}

/* Whether the part's text may become the preview: then its beginning is kept while it goes by. */
static void preview_offer(struct mail_parser *parser, uint32_t index)
{
	const struct node *node = &parser->nodes[index];
	struct slice subtype = span_slice(&parser->text, node->content.subtype);

	if (!node->content.is_text || node->content.attachment || parser->plain_part != PART_NONE)
		return;
	if (slice_equal(subtype, SLICE("plain")))
		parser->plain_part = index;
	else if (slice_equal(subtype, SLICE("html")) && parser->html_part == PART_NONE)
		parser->html_part = index;
}

/* The header of the current part ends before `end`: its body begins, or the header of the message inside. */
static int header_end(struct mail_parser *parser, struct place end)
{
	uint32_t index = parser->current;
	struct mail_part *part = &parser->parts[index];
	struct node *node = &parser->nodes[index];

	part->header_bytes = end.at - part->header_at;
	part->header_lines = end.lines - node->lines_before;
	part->body_at = end.at;
	node->lines_before = end.lines;
	parser->state = IN_BODY;
	header_take(parser);
	part->kind = node->content.kind;
	part->encoding = node->content.encoding;
	part->attachment = node->content.attachment;
	if (part->kind == MAIL_MESSAGE)
		return part_add(parser, index, end);
	if (part->kind == MAIL_MULTIPART) {
		node->delimited = true;
		parser->delimiters++;
	} else {
		preview_offer(parser, index);
	}
	return 0;
}

static void part_close(struct mail_parser *parser, uint32_t index, struct place end)
{
	struct mail_part *part = &parser->parts[index];
	struct node *node = &parser->nodes[index];

	part->body_bytes = end.at - part->body_at;
	part->body_lines = end.lines - node->lines_before;
	if (node->delimited && !node->closed) {
		node->closed = true;
		parser->delimiters--;
	}
}

/* Ends all parts that are inside `keep` (PART_NONE: all). */
static int parts_close(struct mail_parser *parser, uint32_t keep, struct place end)
{
	/* A header that was cut short may have opened a message, whose header is then empty. */
	while (parser->state == IN_HEADER && parser->current != keep) {
		int error = header_end(parser, end);

		if (error)
			return error;
	}
	while (parser->current != keep) {
		part_close(parser, parser->current, end);
		parser->current = parser->parts[parser->current].parent;
	}
	return 0;
}

/*
 * The open multipart whose boundary begins `line` (after "--"), or PART_NONE. It need not be the whole line (RFC 2046
 * §5.1.1): where one boundary is the beginning of another, the longest that fits is meant; of equal ones the innermost.
 */
static uint32_t boundary_find(const struct mail_parser *parser, struct slice line, bool *ret_is_end)
{
	uint32_t best = PART_NONE;
	size_t best_len = 0;

	for (uint32_t i = parser->current; i != PART_NONE; i = parser->parts[i].parent) {
		const struct node *node = &parser->nodes[i];
		struct slice boundary = span_slice(&parser->text, node->content.boundary);
		struct slice after;

		if (!node->delimited || node->closed || boundary.len <= best_len || !slice_starts(line, boundary))
			continue;
		best = i;
		best_len = boundary.len;
		after = slice_from(line, boundary.len);
		*ret_is_end = slice_starts(after, SLICE("--"));
		if (after.len == 0 || (after.len == 2 && *ret_is_end))
			break;
	}
	return best;
}

/* The blank line after the header of part `index` turns out to belong to a boundary: header and body end before it. */
static void blank_line_give_up(struct mail_parser *parser, uint32_t index, struct place end)
{
	struct mail_part *part = &parser->parts[index];

	part->header_bytes -= part->body_at - end.at;
	part->header_lines--;
	part->body_at = end.at;
	parser->nodes[index].lines_before = end.lines;
}

/*
 * Where the parts inside `found` end when its boundary line begins at line_at: the CRLF before it belongs to the boundary
 * (RFC 2046 §5.1.1), even when it was taken for the blank line after a header that no body follows.
 */
static struct place parts_end(struct mail_parser *parser, uint32_t found)
{
	uint32_t index = parser->current;
	struct mail_part *part = &parser->parts[index];
	struct place line = {parser->line_at, parser->here.lines};
	struct place end = {line.at - parser->line_end_bytes, line.lines - 1};

	if (index == found || parser->line_end_bytes == 0)
		return line;
	if (parser->state == IN_HEADER && part->header_at > end.at) {
		/* Not even a header: right after another boundary line, or a message inside that is empty. */
		if (!is_inner_message(parser, index))
			return line;
		part->header_at = end.at;
		parser->nodes[index].lines_before = end.lines;
		blank_line_give_up(parser, part->parent, end);
	} else if (parser->state == IN_BODY && part->body_at > end.at) {
		blank_line_give_up(parser, index, end);
	}
	return end;
}

static struct slice line_content(struct slice line)
{
	if (line.len && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* Sets the state to IN_DELIMITER when `line` is the boundary line of an open part. */
static int boundary_take(struct mail_parser *parser, struct slice line)
{
	bool is_end = false;
	uint32_t found;
	int error;

	if (parser->delimiters == 0 || !slice_starts(line, SLICE("--")))
		return 0;
	found = boundary_find(parser, slice_from(line_content(line), 2), &is_end);
	if (found == PART_NONE || (!is_end && parser->count >= parser->limits.parts_max))
		return 0;
	error = parts_close(parser, found, parts_end(parser, found));
	if (error)
		return error;
	if (is_end) {
		parser->nodes[found].closed = true;
		parser->delimiters--;
	}
	parser->state = IN_DELIMITER;
	return 0;
}

static void header_put(struct mail_parser *parser, struct slice bytes)
{
	size_t room = parser->header.max - parser->header.len;

	if (bytes.len > room)
		parser->header_cut = true;
	buffer_put(&parser->header, slice_first(bytes, room));
}

static bool is_blank_line(struct slice line)
{
	return slice_equal(line, SLICE("\r\n")) || slice_equal(line, SLICE("\n"));
}

/* Whether the beginning of an unfinished line leaves open what the line is. */
static bool is_undecided(const struct mail_parser *parser, struct slice begun)
{
	if (parser->state == IN_HEADER && slice_equal(begun, SLICE("\r")))
		return true;
	return parser->delimiters && slice_starts(begun, slice_first(SLICE("--"), begun.len));
}

static void preview_collect(struct mail_parser *parser, struct slice bytes)
{
	struct buffer *kept = NULL;

	if (parser->current == parser->plain_part)
		kept = &parser->plain;
	else if (parser->current == parser->html_part)
		kept = &parser->html;
	if (kept && kept->len < kept->max)
		buffer_put(kept, slice_first(bytes, kept->max - kept->len));
}

/* Moves on over bytes of the current line, its end included when `ended`. */
static int line_advance(struct mail_parser *parser, struct slice bytes, bool ended)
{
	char before = bytes.len > 1 ? bytes.at[bytes.len - 2] : parser->last_byte;
	bool child = ended && parser->state == IN_DELIMITER && !parser->nodes[parser->current].closed;

	if (parser->state == IN_BODY)
		preview_collect(parser, bytes);
	parser->here.at += bytes.len;
	parser->last_byte = bytes.at[bytes.len - 1];
	if (!ended)
		return 0;
	parser->here.lines++;
	parser->line_at = parser->here.at;
	parser->line_end_bytes = before == '\r' ? 2 : 1;
	if (child)
		return part_add(parser, parser->current, parser->here);
	if (parser->state == IN_DELIMITER)
		parser->state = IN_BODY;
	return 0;
}

/* A line (or enough of its beginning to know what it is) in a header. */
static int line_decide(struct mail_parser *parser, struct slice line)
{
	int error = boundary_take(parser, line);

	if (!error && parser->state == IN_HEADER)
		header_put(parser, line);
	return error;
}

/* One line or the part of it that is there. */
static int line_feed(struct mail_parser *parser, struct slice bytes, bool ended)
{
	bool first = parser->here.at == parser->line_at;
	bool blank = false;
	size_t taken = bytes.len;
	int error = 0;

	if (first && (ended || !is_undecided(parser, bytes))) {
		blank = is_blank_line(bytes);
		error = line_decide(parser, bytes);
	} else if (first || parser->undecided) {
		taken = MIN(bytes.len, HELD_MAX - parser->held.len);
		buffer_put(&parser->held, slice_first(bytes, taken));
		parser->undecided = !ended && parser->held.len < HELD_MAX &&
				    is_undecided(parser, slice_first(buffer_slice(&parser->held), 2));
		if (!parser->undecided) {
			blank = is_blank_line(buffer_slice(&parser->held));
			error = line_decide(parser, buffer_slice(&parser->held));
			buffer_reset(&parser->held);
			if (parser->state == IN_HEADER && taken < bytes.len)
				header_put(parser, slice_from(bytes, taken));
		}
	} else if (parser->state == IN_HEADER) {
		header_put(parser, bytes);
	}
	if (!error)
		error = line_advance(parser, bytes, ended);
	if (!error && blank && parser->state == IN_HEADER)
		error = header_end(parser, parser->here);
	return error;
}

static uint64_t count_line_ends(struct slice bytes)
{
	const char *at = bytes.at, *end = bytes.at + bytes.len;
	uint64_t count = 0;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		count++;
	}
	return count;
}

/* Nothing can end the current body any more but the end of the message. */
static void body_rest(struct mail_parser *parser, struct slice bytes)
{
	preview_collect(parser, bytes);
	parser->here.at += bytes.len;
	parser->here.lines += count_line_ends(bytes);
	parser->last_byte = bytes.at[bytes.len - 1];
}

/*
 * Whether no line end among `BLOCK_BYTES` bytes, which at least one more follows, has a '-' behind it; counts the line ends. Without
 * branches in the loop, compilers make vector instructions of it: this runs over nearly every byte of every message.
 */
static bool block_lines(const char *at, uint64_t *lines)
{
	unsigned char count = 0, dash = 0; /* as narrow as the bytes: a vector then holds as many of them */

	for (size_t i = 0; i < BLOCK_BYTES; i++) {
		unsigned char is_end = at[i] == '\n';

		count = (unsigned char)(count + is_end);
		dash |= (unsigned char)(is_end & (at[i + 1] == '-'));
	}
	*lines += dash ? 0 : count;
	return !dash;
}

/* Whole lines of a body that cannot be boundaries, as many as there are; returns how many bytes that was. */
static size_t body_lines(struct mail_parser *parser, struct slice bytes)
{
	const char *at = bytes.at, *end = bytes.at + bytes.len, *lf;
	uint64_t lines = 0;
	size_t len;

	if (*at != '-') {
		while (end - at > BLOCK_BYTES && block_lines(at, &lines))
			at += BLOCK_BYTES;
		lf = memrchr(bytes.at, '\n', (size_t)(at - bytes.at));
		at = lf ? lf + 1 : bytes.at;
	}
	while (at < end && *at != '-' && (lf = memchr(at, '\n', (size_t)(end - at)))) {
		at = lf + 1;
		lines++;
	}
	len = (size_t)(at - bytes.at);
	if (len == 0)
		return 0;
	preview_collect(parser, slice_first(bytes, len));
	parser->line_end_bytes = (len > 1 ? at[-2] : parser->last_byte) == '\r' ? 2 : 1;
	parser->last_byte = '\n';
	parser->here.at += len;
	parser->here.lines += lines;
	parser->line_at = parser->here.at;
	return len;
}

/* Eight bytes at a time: this runs over every byte of every message. */
static bool has_8bit(struct slice bytes)
{
	uint64_t seen = 0, word;
	size_t at = 0;

	for (; at + sizeof(word) <= bytes.len; at += sizeof(word)) {
		memcpy(&word, bytes.at + at, sizeof(word));
		seen |= word;
	}
	for (; at < bytes.len; at++)
		seen |= (unsigned char)bytes.at[at];
	return seen & 0x8080808080808080;
}

static void bytes_note(struct mail_parser *parser, struct slice bytes)
{
	if (!parser->has_nul)
		parser->has_nul = memchr(bytes.at, '\0', bytes.len) != NULL;
	if (!parser->has_8bit)
		parser->has_8bit = has_8bit(bytes);
}

static int parser_error(const struct mail_parser *parser)
{
	int error = buffer_error(&parser->text);

	if (!error)
		error = buffer_error(&parser->header);
	if (!error)
		error = buffer_error(&parser->fields);
	if (!error)
		error = buffer_error(&parser->common);
	if (!error)
		error = buffer_error(&parser->held);
	return error;
}

int mail_parser_feed(struct mail_parser *parser, struct slice bytes)
{
	int error = 0;

	if (bytes.len)
		bytes_note(parser, bytes);
	while (bytes.len && !error) {
		size_t len = 0;

		if (parser->state == IN_BODY && parser->delimiters == 0) {
			body_rest(parser, bytes);
			break;
		}
		if (parser->state == IN_BODY && parser->here.at == parser->line_at)
			len = body_lines(parser, bytes);
		if (len == 0) {
			size_t lf = slice_find_byte(bytes, '\n');

			len = lf == SIZE_MAX ? bytes.len : lf + 1;
			error = line_feed(parser, slice_first(bytes, len), lf != SIZE_MAX);
		}
		bytes = slice_from(bytes, len);
	}
	return error ? error : parser_error(parser);
}

int mail_parser_finish(struct mail_parser *parser, const struct mail_message **ret_message)
{
	int error = 0;

	/* The last line may lack its end and still be a boundary. */
	if (parser->undecided)
		error = line_decide(parser, buffer_slice(&parser->held));
	parser->undecided = false;
	if (!error)
		error = parts_close(parser, PART_NONE, parser->here);
	if (!error)
		error = parser_result(parser);
	if (!error)
		error = parser_error(parser);
	if (error)
		return error;
	*ret_message = &parser->message;
	return 0;
}
