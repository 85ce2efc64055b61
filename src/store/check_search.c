/* Files of words: whether all that is in them is as it was written. One that is not goes, and is made again by itself. */
#include "store/check.h"
#include "store/searcher.h"

static int file_check(struct checking *c, uint64_t account, const struct search_file *file)
{
	struct buffer name = BUFFER_INIT(1024);
	struct words_segment *segment = NULL;
	int error = search_file_open(c->store, account, file, &segment);

	if (!error)
		error = words_segment_verify(segment);
	words_segment_close(&segment);
	if (error != -EBADMSG)
		return error == -ENOENT ? 0 : error; /* merged meanwhile */
	check_account_name(c, account, &name);
	check_report(c,
		"%s: the search index of emails %08x to %08x is damaged; it is removed, and made anew by the server",
		buffer_text(&name), file->first, file->last);
	buffer_free(&name);
	search_file_remove(c->store, account, file);
	searcher_look(c->store, account);
	return 0;
}

int check_search(struct checking *c, uint64_t account)
{
	struct search_files files;
	int error;

	if (!searcher_is_on(c->store))
		return 0;
	error = search_files_list(c->store, account, false, &files);
	if (error)
		return error;
	for (size_t i = 0; !error && i < files.count; i++)
		error = file_check(c, account, &files.list[i]);
	search_files_free(&files);
	return error;
}
