/*
 * Which files of words an account has, kept for who asks again: its directory is that of 64 accounts. Whatever adds or removes one says so, and what
 * was read from the directory meanwhile is not kept. One that is named here and gone is no harm: whoever finds that forgets the list and asks again.
 */
#include "store/searcher.h"

static struct search_list *list_of(struct searcher *s, uint64_t account)
{
	return &s->lists[account % SEARCH_LISTS];
}

static int files_copy(const struct search_files *from, struct search_files *ret_files)
{
	struct search_files copy = {NULL, 0, 0};
	int error = 0;

	for (size_t i = 0; !error && i < from->count; i++)
		error = search_files_add(&copy, &from->list[i]);
	if (error)
		search_files_free(&copy);
	else
		*ret_files = copy;
	return error;
}

/* Without memory, or when something changed meanwhile, it is not kept. */
static void list_keep(struct searcher *s, uint64_t account, const struct search_files *files, uint64_t changes)
{
	struct search_list *list = list_of(s, account);
	struct search_files copy;

	if (files->count > SEARCH_LIST_FILES || files_copy(files, &copy))
		return;
	lock_take(&s->lock);
	if (s->list_changes == changes) {
		search_files_free(&list->files);
		*list = (struct search_list){account, copy};
		copy = (struct search_files){NULL, 0, 0};
	}
	lock_give(&s->lock);
	search_files_free(&copy);
}

int search_files_find(struct store *store, uint64_t account, struct search_files *ret_files)
{
	struct searcher *s = store->searcher;
	const struct search_list *list = list_of(s, account);
	bool found;
	uint64_t changes;
	int error;

	lock_take(&s->lock);
	changes = s->list_changes;
	found = list->account == account;
	error = found ? files_copy(&list->files, ret_files) : 0;
	lock_give(&s->lock);
	if (found)
		return error;
	error = search_files_list(store, account, false, ret_files);
	if (!error)
		list_keep(s, account, ret_files, changes);
	return error;
}

void search_list_forget(struct store *store, uint64_t account)
{
	struct searcher *s = store->searcher;
	struct search_list *list = list_of(s, account);

	lock_take(&s->lock);
	s->list_changes++;
	if (list->account == account) {
		search_files_free(&list->files);
		list->account = 0;
	}
	lock_give(&s->lock);
}

void search_lists_free(struct searcher *s)
{
	for (size_t i = 0; i < SEARCH_LISTS; i++)
		search_files_free(&s->lists[i].files);
}
