#include "base/utf8.h"
#include "store/search_internal.h"

/*
 * The scan of a message for the strings of BODY and TEXT, one piece at a time: each part's header, where it counts, then the text it holds.
 *
 * What counts (RFC 9051 §6.4.4): for TEXT every header, MIME headers too, and all text parts; for BODY the text parts and the headers of messages
 * inside the message, which are part of its body. Text is decoded (transfer encoding, charset, RFC 2047) and folded. HTML is searched as it
 * is written, tags included, as other servers do. Strings may lie across pieces: the end of each is kept for the next.
 */

static void want(struct search_scan *scan, struct search_node *node)
{
	if (node->verdict != VERDICT_OPEN)
		return;
	if (node->kind == SEARCH_BODY || node->kind == SEARCH_TEXT) {
		node->wanted = scan->wanted;
		scan->wanted = node;
		scan->overlap = MAX(scan->overlap, node->text.len - 1);
	}
	for (struct search_node *child = node->children; child; child = child->next)
		want(scan, child);
}

void search_scan_start(struct search *search)
{
	struct search_scan *scan = &search->scan;

	scan->active = true;
	scan->in_body = false;
	scan->part = 0;
	scan->wanted = NULL;
	scan->overlap = 0;
	want(scan, search->root);
	if (!search_describe(search) || !search_unpack(search) || !search_open_reader(search))
		scan->part = UINT32_MAX;
}

void search_scan_stop(struct search *search)
{
	mail_decoder_free(&search->scan.decoder);
	search->scan.active = false;
}

/* Looks for what is still wanted in a folded text; `kind` SEARCH_TEXT: only TEXT is looked for. */
static void look(struct search_scan *scan, struct slice folded, bool text_only)
{
	for (struct search_node *node = scan->wanted; node; node = node->wanted)
		if (node->verdict == VERDICT_OPEN && (!text_only || node->kind == SEARCH_TEXT) &&
			search_text_has(folded, node->text))
			node->verdict = VERDICT_YES;
}

static void look_in_header(struct search *search, struct slice header, bool text_only)
{
	struct mail_field field;

	while (mail_field_next(&header, &field)) {
		buffer_reset(&search->text);
		buffer_reset(&search->folded);
		buffer_put(&search->text, field.name);
		buffer_put_text(&search->text, ": ");
		mail_header_text(field.value, &search->text);
		mail_text_fold(buffer_slice(&search->text), &search->folded);
		look(&search->scan, buffer_slice(&search->folded), text_only);
	}
}

static void header_step(struct search *search, const struct mail_part *part)
{
	const struct mail_part *parts = search->message.parts;
	bool inner_message = part->parent != UINT32_MAX && parts[part->parent].kind == MAIL_MESSAGE;

	if (part->header_bytes)
		look_in_header(search, search_read_header(search, part), !inner_message);
}

/* Begins with the part's text, when it is text; otherwise goes on to the next part. */
static int body_start(struct search *search, const struct mail_part *part)
{
	struct search_scan *scan = &search->scan;
	int rc;

	scan->part++;
	if (part->kind != MAIL_LEAF || !slice_equal(part->type, SLICE("text")))
		return 0;
	rc = mail_decoder_new(part->encoding, part->charset, true, false, &scan->decoder);
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	scan->in_body = true;
	scan->at = part->body_at;
	scan->left = part->body_bytes;
	buffer_reset(&scan->decoded);
	buffer_reset(&scan->window);
	return 0;
}

/* How many bytes at the end are the beginning of a character that is not whole: at most 3. */
static size_t partial_character(struct slice text)
{
	for (size_t back = 1; back <= 3 && back <= text.len; back++) {
		unsigned char byte = (unsigned char)text.at[text.len - back];

		if (byte < 0x80)
			return 0;
		if (byte >= 0xc0)
			return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
	}
	return 0;
}

/* Folds what was decoded onto the window, looks, and keeps what a longer text may continue. */
static void look_in_window(struct search_scan *scan, bool last)
{
	struct slice decoded = buffer_slice(&scan->decoded);
	size_t whole = last ? decoded.len : decoded.len - partial_character(decoded);

	mail_text_fold(slice_first(decoded, whole), &scan->window);
	buffer_consume(&scan->decoded, whole);
	look(scan, buffer_slice(&scan->window), false);
	if (scan->window.len > scan->overlap)
		buffer_consume(&scan->window, scan->window.len - scan->overlap);
}

static int body_end(struct search_scan *scan)
{
	int rc = mail_decoder_finish(scan->decoder, &scan->decoded);

	look_in_window(scan, true);
	mail_decoder_free(&scan->decoder);
	scan->in_body = false;
	return rc == -ENOMEM ? rc : 0;
}

static int body_step(struct search *search)
{
	struct search_scan *scan = &search->scan;
	struct slice bytes;
	int rc;

	if (scan->left == 0)
		return body_end(scan);
	rc = body_reader_peek(search->reader, scan->at, &bytes);
	if (rc) {
		scan->left = 0;
		return rc == -ENOMEM ? rc : 0;
	}
	bytes = slice_first(bytes, (size_t)MIN(scan->left, (uint64_t)SEARCH_PIECE_BYTES));
	scan->at += bytes.len;
	scan->left -= bytes.len;
	rc = mail_decoder_feed(scan->decoder, bytes, &scan->decoded);
	look_in_window(scan, false);
	return rc;
}

static bool all_decided(const struct search_scan *scan)
{
	for (const struct search_node *node = scan->wanted; node; node = node->wanted)
		if (node->verdict == VERDICT_OPEN)
			return false;
	return true;
}

int search_scan_step(struct search *search, bool *ret_done)
{
	struct search_scan *scan = &search->scan;
	const struct mail_part *part;
	int rc = 0;

	if (scan->in_body) {
		rc = body_step(search);
	} else if (scan->part < search->message.part_count && search->unpacked) {
		part = &search->message.parts[scan->part];
		header_step(search, part);
		rc = body_start(search, part);
	} else {
		for (struct search_node *node = scan->wanted; node; node = node->wanted)
			if (node->verdict == VERDICT_OPEN)
				node->verdict = VERDICT_NO;
	}
	if (rc)
		return rc;
	*ret_done = all_decided(scan);
	return 0;
}
