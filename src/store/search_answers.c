#include "store/search_answers.h"

#include "store/ids.h"

enum { NEAR = 16 };

/* ---- Where a message is ---- */

/* Mostly messages stand in the order they came, so it is looked for right behind the last one first. */
static int ordinal_find(const struct answers *a, uint32_t number, uint32_t *ordinal)
{
	uint32_t low = 0, high = a->file.count, from = *ordinal;

	if (a->numbers[from] <= number) {
		for (low = from; low < high && low - from < NEAR; low++) {
			if (a->numbers[low] == number) {
				*ordinal = low;
				return 0;
			}
		}
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->numbers[middle] < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == a->file.count || a->numbers[low] != number)
		return -ENOENT;
	*ordinal = low;
	return 0;
}

static bool is_in(const struct answers *a, uint32_t number)
{
	return a->file.first <= number && number <= a->file.last;
}

static void file_find(struct search_index *x, uint32_t number)
{
	size_t i = 0;

	if (x->at != NOWHERE && is_in(&x->answers[x->at], number))
		return;
	while (i < x->answered && x->answers[i].file.last < number)
		i++;
	x->at = i < x->answered && is_in(&x->answers[i], number) ? (int)i : NOWHERE;
	x->ordinal = 0;
	x->word = 0;
}

/* Whether one of the files lists it. */
static bool message_find(struct search_index *x, uint32_t number)
{
	if (x->number == number)
		return x->at != NOWHERE;
	file_find(x, number);
	x->number = number;
	if (x->at == NOWHERE)
		x->elsewhere++;
	else if (ordinal_find(&x->answers[x->at], number, &x->ordinal))
		x->at = NOWHERE;
	return x->at != NOWHERE;
}

/* ---- What is said of it ---- */

enum search_verdict search_index_verdict(struct search *search, const struct search_node *node)
{
	struct search_index *x = search->index;
	size_t question = node->question - 1;
	const struct answers *a;

	if (!x || !search->index_over || !message_find(x, (uint32_t)id_counter(search->entry.email)))
		return VERDICT_OPEN;
	a = &x->answers[x->at];
	if (!a->hits[question])
		return VERDICT_OPEN;
	if (!(a->hits[question][x->ordinal / 64] >> x->ordinal % 64 & 1))
		return VERDICT_NO;
	return a->sure[question][x->ordinal / 64] >> x->ordinal % 64 & 1 ? VERDICT_YES : VERDICT_OPEN;
}

struct masks {
	uint64_t may, must;
};

/* What the files say of the criterion, of 64 messages at once. Of what they know nothing about, all may match. */
static struct masks masks_of(const struct search_node *node, const struct answers *a, uint32_t word)
{
	bool is_or = node->kind == SEARCH_OR;
	struct masks masks = {UINT64_MAX, 0};

	if (node->question && a->hits[node->question - 1])
		return (struct masks){a->hits[node->question - 1][word], a->sure[node->question - 1][word]};
	if (node->kind == SEARCH_AND || is_or)
		masks = is_or ? (struct masks){0, 0} : (struct masks){UINT64_MAX, UINT64_MAX};
	for (const struct search_node *child = node->children; child; child = child->next) {
		struct masks of_child = masks_of(child, a, word);

		if (node->kind == SEARCH_NOT)
			masks = (struct masks){~of_child.must, ~of_child.may};
		else if (is_or)
			masks = (struct masks){masks.may | of_child.may, masks.must | of_child.must};
		else
			masks = (struct masks){masks.may & of_child.may, masks.must & of_child.must};
	}
	return masks;
}

enum search_verdict search_index_look(struct search *search, uint64_t email)
{
	struct search_index *x = search->index;
	uint32_t bit;

	if (!message_find(x, (uint32_t)id_counter(email)))
		return VERDICT_OPEN;
	if (x->word != x->ordinal / 64 + 1) {
		struct masks masks = masks_of(search->root, &x->answers[x->at], x->ordinal / 64);

		x->word = x->ordinal / 64 + 1;
		x->may = masks.may;
		x->must = masks.must;
	}
	bit = x->ordinal % 64;
	if (!(x->may >> bit & 1))
		return VERDICT_NO;
	return x->must >> bit & 1 ? VERDICT_YES : VERDICT_OPEN;
}
