#include "store/search_internal.h"

/*
 * The scan of a message for the strings of BODY and TEXT. Strings may lie across pieces: the end of each is kept for the next.
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

/* Looks for what is still wanted in a folded text. */
static void look(struct search_scan *scan, struct slice folded, bool text_only)
{
	for (struct search_node *node = scan->wanted; node; node = node->wanted)
		if (node->verdict == VERDICT_OPEN && (!text_only || node->kind == SEARCH_TEXT) &&
			search_text_has(folded, node->text))
			node->verdict = VERDICT_YES;
}

static void on_field(void *context, bool in_body, struct slice folded)
{
	look(context, folded, !in_body);
}

/* Keeps what a longer text may continue. */
static void on_text(void *context, struct buffer *folded, bool last)
{
	struct search_scan *scan = context;
	size_t keep = last ? 0 : MIN(folded->len, scan->overlap);

	look(scan, buffer_slice(folded), false);
	buffer_consume(folded, folded->len - keep);
}

void search_scan_start(struct search *search)
{
	struct search_scan *scan = &search->scan;
	bool readable;

	scan->active = true;
	scan->wanted = NULL;
	scan->overlap = 0;
	scan->listener = (struct search_listener){on_field, on_text, scan};
	want(scan, search->root);
	readable = search_describe(search) && search_unpack(search) && search_open_reader(search);
	search_walk_start(&scan->walk, &scan->listener, &search->message, readable ? search->reader : NULL);
}

void search_scan_stop(struct search *search)
{
	search_walk_stop(&search->scan.walk);
	search->scan.active = false;
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
	bool over;
	int rc = search_walk_step(&scan->walk, &over);

	if (rc)
		return rc;
	for (struct search_node *node = scan->wanted; over && node; node = node->wanted)
		if (node->verdict == VERDICT_OPEN)
			node->verdict = VERDICT_NO;
	*ret_done = all_decided(scan);
	return 0;
}
