/* Names of the files of words, and the directories they are in. */
#include "store/ids.h"
#include "store/searcher.h"

enum { ACCOUNTS_TOGETHER = 64, NAME_BYTES = 8 + 1 + 8 + 1 + 8 + 1 + 5 + 1 + 8, NAMES_MAX = 1 << 26 };

struct name {
	uint32_t account, epoch;
	struct search_file file;
};

static void dir_of(struct store *store, uint64_t account, char *path)
{
	(void)snprintf(
		path, SEARCH_DIR_ROOM, "%s/search/%llx", store->dir, (unsigned long long)account / ACCOUNTS_TOGETHER);
}

static void name_path(const char *dir, const struct name *name, char *path)
{
	(void)snprintf(path, SEARCH_PATH_ROOM, "%s/%08x-%08x-%08x-%05x-%08x", dir, name->account, name->file.first,
		name->file.last, name->file.count, name->epoch);
}

/* Files of another format are none of this index's. */
static uint32_t epoch_of(const struct store *store)
{
	return (uint32_t)store->searcher->epoch + WORDS_FORMAT;
}

static struct name name_of(struct store *store, uint64_t account, const struct search_file *file)
{
	return (struct name){(uint32_t)account, epoch_of(store), *file};
}

static bool hex_read(struct slice *rest, size_t digits, uint32_t *ret_number)
{
	uint32_t number = 0;

	for (size_t i = 0; i < digits; i++) {
		char c = i < rest->len ? rest->at[i] : 'x';

		if (!byte_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
		number = number << 4 | (uint32_t)(byte_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*rest = slice_from(*rest, digits + 1); /* and what separates */
	*ret_number = number;
	return true;
}

static bool name_read(struct slice text, struct name *ret_name)
{
	struct name n;

	if (text.len != NAME_BYTES || !hex_read(&text, 8, &n.account) || !hex_read(&text, 8, &n.file.first) ||
		!hex_read(&text, 8, &n.file.last) || !hex_read(&text, 5, &n.file.count) ||
		!hex_read(&text, 8, &n.epoch))
		return false;
	*ret_name = n;
	return n.file.first <= n.file.last && n.file.count;
}

/* ---- Listing ---- */

struct listing {
	struct buffer names; /* struct name */
	uint32_t account;
	bool all; /* of every account */
};

static int on_name(void *arg, const char *text)
{
	struct listing *l = arg;
	struct name name;

	if (name_read(slice_of(text), &name) && (l->all || name.account == l->account))
		buffer_put(&l->names, slice_make(&name, sizeof(name)));
	return buffer_error(&l->names);
}

static int dir_list(struct store *store, const char *dir, struct listing *l)
{
	const struct file_system *files = store->settings.files;
	int error = files->list(files->context, dir, on_name, l);

	return error == -ENOENT ? 0 : error == -ENOBUFS ? -ENOMEM : error;
}

/* The larger one first. */
static int by_range(const void *a, const void *b)
{
	const struct search_file *x = &((const struct name *)a)->file, *y = &((const struct name *)b)->file;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->last > y->last ? -1 : x->last < y->last;
}

static void name_remove(struct store *store, const char *dir, const struct name *name)
{
	const struct file_system *files = store->settings.files;
	char path[SEARCH_PATH_ROOM];

	name_path(dir, name, path);
	(void)files->unlink(files->context, path); /* whoever lists it next tries again */
	search_list_forget(store, name->account);
}

int search_files_add(struct search_files *files, const struct search_file *file)
{
	size_t at = files->count;

	if (files->count == files->room) {
		size_t room = MAX(files->room * 2, 16);
		struct search_file *grown = realloc(files->list, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		files->list = grown;
		files->room = room;
	}
	for (; at && files->list[at - 1].first > file->first; at--)
		files->list[at] = files->list[at - 1];
	files->list[at] = *file;
	files->count++;
	return 0;
}

void search_files_free(struct search_files *files)
{
	free(files->list);
	*files = (struct search_files){NULL, 0, 0};
}

int search_files_list(struct store *store, uint64_t account, bool remove, struct search_files *ret_files)
{
	struct listing l = {.names = BUFFER_INIT(NAMES_MAX), .account = (uint32_t)account};
	struct search_files files = {NULL, 0, 0};
	char dir[SEARCH_DIR_ROOM];
	struct name *names;
	size_t count;
	int error;

	dir_of(store, account, dir);
	error = dir_list(store, dir, &l);
	names = (struct name *)(void *)l.names.at;
	count = l.names.len / sizeof(*names);
	if (!error && count)
		qsort(names, count, sizeof(*names), by_range);
	for (size_t i = 0; !error && i < count; i++) {
		const struct search_file *before = files.count ? &files.list[files.count - 1] : NULL;

		if (names[i].epoch == epoch_of(store) && (!before || names[i].file.first > before->last))
			error = search_files_add(&files, &names[i].file);
		else if (remove)
			name_remove(store, dir, &names[i]);
	}
	buffer_free(&l.names);
	if (error)
		search_files_free(&files);
	else
		*ret_files = files;
	return error;
}

int search_files_drop(struct store *store, uint64_t account)
{
	struct search_files files;
	int error = search_files_list(store, account, true, &files);

	if (error)
		return error;
	for (size_t i = 0; i < files.count; i++)
		search_file_remove(store, account, &files.list[i]);
	search_files_free(&files);
	return 0;
}

/* ---- One of them ---- */

void search_file_path(struct store *store, uint64_t account, const struct search_file *file, char *path)
{
	struct name name = name_of(store, account, file);
	char dir[SEARCH_DIR_ROOM];

	dir_of(store, account, dir);
	name_path(dir, &name, path);
}

static void new_path(struct store *store, uint64_t account, char *path)
{
	dir_of(store, account, path);
	(void)snprintf(path + strlen(path), SEARCH_PATH_ROOM - strlen(path), "/new");
}

int search_file_begin(struct store *store, uint64_t account, char *path)
{
	const struct file_system *files = store->settings.files;
	int error;

	dir_of(store, account, path);
	error = files->make_dir(files->context, path);
	new_path(store, account, path);
	if (!error) {
		error = files->unlink(files->context, path); /* one that a crash left there may be longer */
		error = error == -ENOENT ? 0 : error;
	}
	return error;
}

int search_file_end(struct store *store, uint64_t account, const struct search_file *file)
{
	const struct file_system *files = store->settings.files;
	char from[SEARCH_PATH_ROOM], to[SEARCH_PATH_ROOM];
	int error;

	new_path(store, account, from);
	search_file_path(store, account, file, to);
	error = files->rename(files->context, from, to);
	search_list_forget(store, account);
	if (error)
		return error;
	/* The next one begins under the name that this one had: which is which must not be left open. */
	dir_of(store, account, to);
	return files->sync_dir(files->context, to);
}

void search_file_remove(struct store *store, uint64_t account, const struct search_file *file)
{
	struct name name = name_of(store, account, file);
	char dir[SEARCH_DIR_ROOM];

	dir_of(store, account, dir);
	name_remove(store, dir, &name);
}

int search_file_open(
	struct store *store, uint64_t account, const struct search_file *file, struct words_segment **ret_segment)
{
	struct words_id id = {store->searcher->epoch, (uint32_t)account, file->first, file->last};
	char path[SEARCH_PATH_ROOM];
	struct words_segment *segment;
	int error;

	search_file_path(store, account, file, path);
	error = words_segment_open(store->settings.files, store->searcher->contexts, path, &id, &segment);
	if (!error && words_segment_count(segment) != file->count) {
		words_segment_close(&segment);
		error = -EBADMSG;
	}
	if (!error)
		*ret_segment = segment;
	return error;
}

/* ---- Sweeping ---- */

struct dirs {
	struct buffer names; /* NUL-terminated */
};

static int on_dir(void *arg, const char *name)
{
	struct dirs *d = arg;

	buffer_put(&d->names, slice_make(name, strlen(name) + 1));
	return buffer_error(&d->names);
}

static bool account_is_there(struct store *store, uint32_t account)
{
	struct index_key key = key_of(account);
	struct slice value;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return true;
	error = index_get(store->index, txn, TABLE_ACCOUNTS, key_slice(&key), &value);
	mdb_txn_abort(txn);
	return error != -ENOENT;
}

static int dir_sweep(struct store *store, const char *name)
{
	struct listing l = {.names = BUFFER_INIT(NAMES_MAX), .all = true};
	char dir[SEARCH_DIR_ROOM];
	const struct name *names;
	int error;

	(void)snprintf(dir, sizeof(dir), "%s/search/%s", store->dir, name);
	error = dir_list(store, dir, &l);
	names = (const struct name *)(const void *)l.names.at;
	for (size_t i = 0; !error && i < l.names.len / sizeof(*names); i++) {
		if (names[i].epoch != epoch_of(store) || !account_is_there(store, names[i].account))
			name_remove(store, dir, &names[i]);
	}
	buffer_free(&l.names);
	return error;
}

int search_files_sweep(struct store *store)
{
	const struct file_system *files = store->settings.files;
	struct dirs dirs = {BUFFER_INIT(NAMES_MAX)};
	char path[SEARCH_PATH_ROOM];
	int error;

	(void)snprintf(path, sizeof(path), "%s/search", store->dir);
	error = files->list(files->context, path, on_dir, &dirs);
	for (size_t at = 0; !error && at < dirs.names.len; at += strlen(dirs.names.at + at) + 1)
		error = searcher_is_stopping(store) ? -ECANCELED : dir_sweep(store, dirs.names.at + at);
	buffer_free(&dirs.names);
	return error == -ENOENT || error == -ENOTDIR ? 0 : error;
}
