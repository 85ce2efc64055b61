#include "store/search_internal.h"

enum { SECONDS_PER_DAY = 86400 };

static enum search_stage stage_of(const struct search_criterion *criterion)
{
	switch (criterion->kind) {
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
	case SEARCH_THREADID:
		return STAGE_DESCRIPTION;
	case SEARCH_HEADER:
		return mail_field_is_common(criterion->name) ? STAGE_DESCRIPTION : STAGE_HEADER;
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return criterion->text.len ? STAGE_BODY : STAGE_ENTRY;
	default:
		return STAGE_ENTRY;
	}
}

static int fold_text(struct search *search, const struct search_criterion *criterion, struct slice *ret_text)
{
	int rc;

	*ret_text = criterion->text;
	if (criterion->kind != SEARCH_HEADER && criterion->kind != SEARCH_BODY && criterion->kind != SEARCH_TEXT)
		return 0;
	buffer_reset(&search->folded);
	mail_text_fold(criterion->text, &search->folded);
	rc = buffer_error(&search->folded);
	return rc ? rc : arena_copy(search->arena, buffer_slice(&search->folded), ret_text);
}

static int compile_children(
	struct search *search, const struct search_criterion *first, unsigned depth, struct search_node *node)
{
	struct search_node **end = &node->children;
	int rc = 0;

	for (const struct search_criterion *child = first; child && !rc; child = child->next) {
		rc = search_compile(search, child, depth + 1, end);
		if (!rc)
			end = &(*end)->next;
	}
	return rc;
}

int search_compile(
	struct search *search, const struct search_criterion *criterion, unsigned depth, struct search_node **ret_node)
{
	struct search_node *node;
	int rc = 0;

	if (depth >= SEARCH_DEPTH_MAX)
		return -EINVAL;
	node = arena_zalloc(search->arena, 1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->kind = criterion->kind;
	node->stage = stage_of(criterion);
	node->number = criterion->number;
	node->name = criterion->name;
	node->uids = criterion->uids;
	rc = fold_text(search, criterion, &node->text);
	if (!rc && (node->kind == SEARCH_AND || node->kind == SEARCH_OR || node->kind == SEARCH_NOT))
		rc = compile_children(search, criterion->children, depth, node);
	if (!rc && node->kind == SEARCH_NOT && (!node->children || node->children->next))
		rc = -EINVAL;
	if (!rc)
		*ret_node = node;
	return rc;
}

void search_reset(struct search_node *node)
{
	node->verdict = VERDICT_OPEN;
	for (struct search_node *child = node->children; child; child = child->next)
		search_reset(child);
}

void search_find_keywords(struct search *search, struct search_node *node)
{
	const struct mailbox *mailbox = search->mailbox;

	if (node->kind == SEARCH_KEYWORD) {
		node->keyword = 0;
		for (unsigned i = 0; i < mailbox->keyword_count; i++)
			if (slice_equal_nocase(mailbox->keywords[i], node->text))
				node->keyword = UINT64_C(1) << i;
	}
	for (struct search_node *child = node->children; child; child = child->next)
		search_find_keywords(search, child);
}

static enum search_verdict verdict_of(bool yes)
{
	return yes ? VERDICT_YES : VERDICT_NO;
}

/* Dates disregard the time of day, in the zone that was given with them (RFC 9051 §6.4.4). */
static enum search_verdict compare_day(int64_t seconds, int zone, enum search_kind kind, uint64_t day)
{
	int64_t local = seconds + zone * 60;
	int64_t local_day = local / SECONDS_PER_DAY - (local % SECONDS_PER_DAY < 0);

	switch (kind) {
	case SEARCH_BEFORE:
		return verdict_of(local_day < (int64_t)day);
	case SEARCH_ON:
		return verdict_of(local_day == (int64_t)day);
	default:
		return verdict_of(local_day >= (int64_t)day);
	}
}

static enum search_verdict leaf_entry(const struct search *search, const struct search_node *node)
{
	const struct entry *entry = &search->entry;

	switch (node->kind) {
	case SEARCH_UIDS:
		return verdict_of(uid_set_has(node->uids, entry->uid));
	case SEARCH_FLAGS:
		return verdict_of((entry->flags & node->number) == node->number);
	case SEARCH_KEYWORD:
		return verdict_of((entry->keywords & node->keyword) != 0);
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
		return compare_day(entry->internaldate, entry->zone, node->kind, node->number);
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
		return compare_day(entry->savedate, 0, SEARCH_BEFORE + (node->kind - SEARCH_SAVEDBEFORE), node->number);
	case SEARCH_OLDER:
		return verdict_of(search->now_s - (int64_t)entry->internaldate >= (int64_t)node->number);
	case SEARCH_YOUNGER:
		return verdict_of(search->now_s - (int64_t)entry->internaldate <= (int64_t)node->number);
	case SEARCH_LARGER:
		return verdict_of(entry->bytes > node->number);
	case SEARCH_SMALLER:
		return verdict_of(entry->bytes < node->number);
	case SEARCH_MODSEQ:
		return verdict_of(entry->modseq >= node->number);
	case SEARCH_EMAILID:
		return verdict_of(entry->email == node->number);
	default: /* ALL, and BODY or TEXT with an empty string, which every text has */
		return VERDICT_YES;
	}
}

enum search_verdict search_leaf_described(struct search *search, const struct search_node *node)
{
	const struct mail_message *brief = &search->brief;

	if (!search_describe(search))
		return VERDICT_NO;
	if (node->kind == SEARCH_THREADID)
		return verdict_of(search->thread == node->number);
	/* A message without a date was sent neither before nor since any. */
	if (!brief->has_date)
		return VERDICT_NO;
	return compare_day(
		brief->date, brief->date_zone, SEARCH_BEFORE + (node->kind - SEARCH_SENTBEFORE), node->number);
}

static enum search_verdict leaf(struct search *search, struct search_node *node, enum search_stage stage)
{
	enum search_verdict known = node->question ? search_index_verdict(search, node) : VERDICT_OPEN;

	if (known != VERDICT_OPEN || stage < node->stage)
		return known;
	if (node->kind == SEARCH_HEADER)
		return search_leaf_header(search, node, stage);
	if (node->stage == STAGE_DESCRIPTION)
		return search_leaf_described(search, node);
	if (node->stage == STAGE_BODY)
		return VERDICT_OPEN; /* the scan decides */
	return leaf_entry(search, node);
}

/* AND is decided by the first NO, OR by the first YES; without it by all being decided. */
static enum search_verdict eval_children(
	struct search *search, struct search_node *node, enum search_stage stage, enum search_verdict decisive)
{
	enum search_verdict verdict = decisive == VERDICT_NO ? VERDICT_YES : VERDICT_NO;

	for (struct search_node *child = node->children; child; child = child->next) {
		enum search_verdict of_child = search_eval(search, child, stage);

		if (of_child == decisive)
			return decisive;
		if (of_child == VERDICT_OPEN)
			verdict = VERDICT_OPEN;
	}
	return verdict;
}

enum search_verdict search_eval(struct search *search, struct search_node *node, enum search_stage stage)
{
	enum search_verdict verdict;

	if (node->verdict != VERDICT_OPEN)
		return node->verdict;
	switch (node->kind) {
	case SEARCH_AND:
		node->verdict = eval_children(search, node, stage, VERDICT_NO);
		break;
	case SEARCH_OR:
		node->verdict = eval_children(search, node, stage, VERDICT_YES);
		break;
	case SEARCH_NOT:
		verdict = search_eval(search, node->children, stage);
		node->verdict = verdict == VERDICT_OPEN ? VERDICT_OPEN : verdict_of(verdict == VERDICT_NO);
		break;
	default:
		node->verdict = leaf(search, node, stage);
	}
	return node->verdict;
}
