/*
 * Files of words (words/words.h) of all accounts: where they lie, and the thread that makes them.
 *
 * They lie in `<data>/search/<account / 64>/`, under names that say all there is to know of them: account, first and last email number, how many emails,
 * and a part of the epoch, which an index gets when it is made and which makes the files of the one before worthless, as the format does. The directory is the
 * catalogue: whoever searches lists it; a file that goes away meanwhile is in a larger one. A file is synced before it gets its name, so what a
 * power cut tears has none.
 *
 * The thread hears from the applier which accounts got or lost emails. When as many wait as settings.search_batch says, it writes them to a new file; a file no
 * larger than what comes behind it is merged with that, so that the number of files grows with the logarithm of the emails. It reads the index in
 * short transactions and messages as everybody does, below the priority of those who serve, and no one waits for it.
 *
 * A priority alone does not keep it from a processor that somebody wants in the next moment. So while records come into the journal it lets
 * more emails gather, two seconds at most, and then works an eighth of the time only - but not once 65,536 of them wait: mail that never stops
 * coming is to be found, too.
 */
#ifndef PENFOLD_STORE_SEARCHER_H
#define PENFOLD_STORE_SEARCHER_H

#include "store/engine.h"
#include "store/words/words.h"

struct search_file {
	uint32_t first, last, count;
};
struct search_files { /* by their ranges, which do not overlap */
	struct search_file *list;
	size_t count, room;
};

enum { SEARCH_LISTS = 1024, SEARCH_LIST_FILES = 64 }; /* so many accounts, of no more files */
struct search_list {
	uint64_t account; /* 0: nothing is known */
	struct search_files files;
};

struct searcher {
	struct thread thread;
	bool running, stopping;
	uint64_t epoch;   /* 0: there are to be none */
	struct lock work; /* one account at a time */
	struct lock lock; /* of what follows, and of `stopping` */
	struct condition wake;
	struct number_map
		noted; /* account -> emails that came, and in the upper half those that went, since it was looked at */
	uint64_t *due; /* accounts to be looked at */
	size_t due_count, due_room;
	bool told;                              /* that it failed */
	int64_t work_us;                        /* since when the thread has been at work without a pause */
	uint64_t log_seq;                       /* what it last saw of the log */
	struct search_list lists[SEARCH_LISTS]; /* of accounts by their lowest bits: search_lists.c */
	uint64_t list_changes;
	_Atomic uint64_t opened; /* messages that searches looked into */
	struct words_contexts *contexts;
};
MUST_CHECK int searcher_new(struct store *store);
void searcher_free(struct store *store);
/* The epoch and the directory are made where there are none. Without them searches read messages. Before the applier starts, as it writes to the index. */
void searcher_prepare(struct store *store);
void searcher_look_up(struct store *store); /* only looks for the epoch: for checks */
MUST_CHECK int searcher_start(struct store *store);
void searcher_stop(struct store *store);
bool searcher_is_on(const struct store *store);
bool searcher_is_stopping(struct store *store);
/* Between two pieces of work: lets those who serve go first. On the searcher's thread. */
void searcher_give_way(struct store *store);
/* So many emails of the account came, so many went. Any thread. */
void searcher_note(struct store *store, uint64_t account, uint32_t came, uint32_t went);
/* The account is worth a look, whatever was noted. */
void searcher_look(struct store *store, uint64_t account);

/* ---- Files: search_files.c ---- */

/* `remove`: those that are worth nothing go - of another epoch, or in a larger one. -ENOMEM, -EIO. */
MUST_CHECK int search_files_list(struct store *store, uint64_t account, bool remove, struct search_files *ret_files);
void search_files_free(struct search_files *files);
MUST_CHECK int search_files_drop(struct store *store, uint64_t account); /* all of an account's */
MUST_CHECK int search_files_add(struct search_files *files, const struct search_file *file);
/* Of a directory's path with its 0, and of one in it: a data directory's (up to 4 KiB), and the names. */
enum { SEARCH_DIR_ROOM = 4130, SEARCH_PATH_ROOM = 4200 };
void search_file_path(struct store *store, uint64_t account, const struct search_file *file, char *path);
/* Where one is written until it is whole; and giving it its name. */
MUST_CHECK int search_file_begin(struct store *store, uint64_t account, char *path);
MUST_CHECK int search_file_end(struct store *store, uint64_t account, const struct search_file *file);
void search_file_remove(struct store *store, uint64_t account, const struct search_file *file);
MUST_CHECK int search_file_open(struct store *store, uint64_t account, const struct search_file *file,
	struct words_segment **ret_segment); /* -ENOENT: gone; -EBADMSG: damaged */
/* Removes those of accounts that are gone, and of other epochs. */
MUST_CHECK int search_files_sweep(struct store *store);

/* The same as search_files_list() without `remove`, from memory when it is known; one in it may be gone. (search_lists.c) */
MUST_CHECK int search_files_find(struct store *store, uint64_t account, struct search_files *ret_files);
void search_list_forget(struct store *store, uint64_t account);
void search_lists_free(struct searcher *searcher);

/* ---- Making them: search_make.c ---- */

enum {
	SEARCH_MAKE_ALL = 1,    /* even where less than a batch waits */
	SEARCH_MAKE_THIN = 2,   /* look for files whose emails are mostly gone */
	SEARCH_MAKE_GENTLY = 4, /* on the searcher's thread, which gives way */
};
/* Everything there is to do for an account. -ECANCELED: the store closes. */
MUST_CHECK int search_make(struct store *store, uint64_t account, unsigned how);
/* Puts an email into a builder (search_fill.c). 0 also when it is gone, or cannot be read. */
MUST_CHECK int search_fill(struct store *store, struct words_builder *builder, uint64_t email);

#endif
