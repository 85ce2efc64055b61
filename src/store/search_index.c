/*
 * What the files of words say of a search's strings. They are asked after the first messages had to be opened, as for a few that is cheaper, and
 * then of all files at once, a block at a time. Each says of the messages that it lists whether they have a string, have it not, or may have it;
 * the last are looked at like those that are in no file.
 */
#include "store/ids.h"
#include "store/search_answers.h"
#include "store/searcher.h"

enum {
	OPENED_FIRST = 8, /* messages before it is worth it */
	WORTH = 64,       /* emails in files for each message to be looked at: beyond that these are less to read */
	ANSWERS_MAX = 64 << 20, /* bytes */
	LIST_TRIES = 4
};

/* ---- The questions ---- */

static unsigned column_of(struct slice name)
{
	static const char *const names[WORDS_COLUMNS] = {"subject", "from", "to", "cc", "bcc"};

	for (unsigned i = 0; i < WORDS_COLUMNS; i++)
		if (slice_equal_nocase(name, slice_of(names[i])))
			return 1u << i;
	return 0;
}

static int name_fold(struct search *search, struct slice name, struct slice *ret_name)
{
	buffer_reset(&search->folded);
	mail_text_fold(name, &search->folded);
	return arena_copy(search->arena, buffer_slice(&search->folded), ret_name);
}

static int question_of(struct search *search, const struct search_node *node, struct words_question *q)
{
	*q = (struct words_question){.text = node->text};
	if (node->kind == SEARCH_BODY)
		q->streams = 1u << WORDS_BODY;
	else if (node->kind == SEARCH_TEXT)
		q->streams = 1u << WORDS_BODY | 1u << WORDS_HEAD;
	else
		q->streams = column_of(node->name);
	if (q->streams)
		return 0;
	q->streams = 1u << WORDS_HEAD;
	return name_fold(search, node->name, &q->name);
}

/* Which leaves ask; what is beyond the limit is looked for in the messages. */
static int questions_find(struct search *search, struct search_node *node)
{
	struct search_index *x = search->index;
	bool asks = node->kind == SEARCH_HEADER ||
		    ((node->kind == SEARCH_BODY || node->kind == SEARCH_TEXT) && node->text.len);
	int rc = 0;

	if (asks && x->question_count < QUESTIONS_MAX) {
		rc = question_of(search, node, &x->questions[x->question_count]);
		if (!rc)
			node->question = (uint32_t)++x->question_count;
	}
	for (struct search_node *child = node->children; child && !rc; child = child->next)
		rc = questions_find(search, child);
	return rc;
}

static void questions_forget(struct search_node *node)
{
	node->question = 0;
	for (struct search_node *child = node->children; child; child = child->next)
		questions_forget(child);
}

/* ---- Asking ---- */

static struct store *store_of(const struct search *search)
{
	return account_store(search->mailbox->account);
}

static void answers_free(struct answers *a)
{
	free(a->numbers);
	for (size_t i = 0; i < QUESTIONS_MAX; i++)
		free(a->hits[i]);
}

static void index_free(struct search_index *x)
{
	for (size_t i = 0; x->answers && i < x->files.count; i++)
		answers_free(&x->answers[i]);
	free(x->answers);
	x->answers = NULL;
	x->answered = 0;
	x->bytes = 0;
	x->number = x->word = 0;
	x->at = NOWHERE;
	words_segment_close(&x->segment);
	search_files_free(&x->files);
}

void search_index_free(struct search *search)
{
	struct search_index *x = search->index;

	atomic_fetch_add(&store_of(search)->searcher->opened, search->opened);
	if (!x)
		return;
	if (x->elsewhere >= store_of(search)->settings.search_batch)
		searcher_look(store_of(search), account_id(search->mailbox->account));
	index_free(x);
	words_ask_free(&x->ask);
	free(x);
	search->index = NULL;
}

bool search_index_is_due(const struct search *search)
{
	return !search->index_over && search->opened >= OPENED_FIRST;
}

static int files_find(struct search *search)
{
	struct search_index *x = search->index;
	uint64_t emails = 0;
	int rc;

	index_free(x);
	rc = search_files_find(store_of(search), account_id(search->mailbox->account), &x->files);
	for (size_t i = 0; !rc && i < x->files.count; i++)
		emails += x->files.list[i].count;
	if (!rc && !emails && view_count(search->view) >= store_of(search)->settings.search_batch)
		searcher_look(store_of(search), account_id(search->mailbox->account));
	if (!rc && emails / WORTH > view_count(search->view))
		search_files_free(&x->files);
	if (!rc) {
		x->answers = calloc(x->files.count + 1, sizeof(*x->answers));
		rc = x->answers ? 0 : -ENOMEM;
	}
	return rc;
}

static int index_begin_asking(struct search *search)
{
	struct search_index *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return -ENOMEM;
	search->index = x;
	x->at = NOWHERE;
	rc = questions_find(search, search->root);
	if (!rc)
		rc = files_find(search);
	if (!rc && x->question_count)
		rc = words_ask_new(x->questions, x->question_count, &x->ask);
	if (!x->question_count || !x->files.count) {
		search->index_over = true;
		questions_forget(search->root);
	}
	return rc;
}

/* What is beyond the limit is not known. */
static int answer_take(struct search_index *x, struct answers *a, size_t question)
{
	size_t bytes = (a->file.count / 64 + 1) * sizeof(uint64_t);
	const uint64_t *sure, *hits = words_ask_hits(x->ask, question, &sure);
	char *both;

	if (!hits || x->bytes + 2 * bytes > ANSWERS_MAX)
		return 0;
	both = malloc(2 * bytes);
	if (!both)
		return -ENOMEM;
	memcpy(both, hits, bytes);
	memcpy(both + bytes, sure, bytes);
	a->hits[question] = (uint64_t *)(void *)both;
	a->sure[question] = (uint64_t *)(void *)(both + bytes);
	x->bytes += 2 * bytes;
	return 0;
}

static int answers_take(struct search_index *x)
{
	struct answers *a = &x->answers[x->answered];
	int rc = 0;

	a->file = x->files.list[x->answered];
	a->numbers = words_segment_take_numbers(x->segment);
	x->bytes += a->file.count * sizeof(*a->numbers);
	for (size_t i = 0; !rc && i < x->question_count; i++)
		rc = answer_take(x, a, i);
	x->answered++;
	return rc;
}

/* One that is damaged says nothing, and goes: its messages are looked at, and another one is made. */
static void file_give_up(struct search *search, int error)
{
	struct search_index *x = search->index;
	const struct search_file *file = &x->files.list[x->answered];

	if (error == -EBADMSG) {
		store_notice(store_of(search), "search-index-damaged", "emails %08x to %08x of account %llu",
			file->first, file->last, (unsigned long long)account_id(search->mailbox->account));
		search_file_remove(store_of(search), account_id(search->mailbox->account), file);
		searcher_look(store_of(search), account_id(search->mailbox->account));
	}
	memmove(x->files.list + x->answered, x->files.list + x->answered + 1,
		(x->files.count - x->answered - 1) * sizeof(*x->files.list));
	x->files.count--;
}

static int file_step(struct search *search)
{
	struct search_index *x = search->index;
	bool done = false;
	int rc = 0;

	if (!x->segment) {
		rc = search_file_open(store_of(search), account_id(search->mailbox->account),
			&x->files.list[x->answered], &x->segment);
		if (!rc)
			rc = words_ask_begin(x->ask, x->segment);
	} else {
		rc = words_ask_step(x->ask, &done);
	}
	if (!rc && done)
		rc = answers_take(x);
	if (rc || done)
		words_segment_close(&x->segment);
	return rc;
}

int search_index_step(struct search *search)
{
	struct search_index *x = search->index;
	int rc;

	if (!x) {
		search->index_over = !searcher_is_on(store_of(search));
		rc = search->index_over ? 0 : index_begin_asking(search);
	} else {
		rc = file_step(search);
		if (rc == -ENOENT && x->tries++ < LIST_TRIES) { /* it is in a larger one now */
			search_list_forget(store_of(search), account_id(search->mailbox->account));
			rc = files_find(search);
		} else if (rc && rc != -ENOMEM) {
			file_give_up(search, rc);
			rc = 0;
		}
	}
	x = search->index;
	if (x && !rc && x->answered == x->files.count)
		search->index_over = true;
	if (rc && rc != -ENOMEM) { /* it can be done without */
		search->index_over = true;
		questions_forget(search->root);
		rc = 0;
	}
	return rc;
}
