/* Keeping an account's files of words: new ones for emails that are in none, fewer and larger ones of many small ones. */
#include "store/ids.h"
#include "store/searcher.h"

enum {
	EMAILS_TOGETHER = 8192, /* in a new file */
	ROUNDS_MAX = 4,         /* in which damaged files are thrown away */
	MERGE_MAX = 32,
};

struct making {
	struct store *store;
	uint64_t account;
	unsigned how;
	struct search_files files;
};

/* Between two pieces of work. */
static int making_goes_on(struct making *m)
{
	if (m->how & SEARCH_MAKE_GENTLY)
		searcher_give_way(m->store);
	return searcher_is_stopping(m->store) ? -ECANCELED : 0;
}

/* Numbers of emails that there are, from `first` to `last`, at most `most`. */
static int emails_list(
	struct making *m, uint32_t first, uint32_t last, size_t most, uint32_t **ret_numbers, size_t *ret_count)
{
	struct index_key key = key_of(id_make(m->account, first));
	struct index_walk walk = {NULL};
	uint32_t *numbers = NULL;
	size_t count = 0, room = 0;
	MDB_txn *txn;
	int error = index_begin(m->store->index, false, &txn);

	if (error)
		return error;
	error = index_walk_from(m->store->index, txn, TABLE_EMAILS, key_slice(&key), &walk);
	while ((!error || error == -EBADMSG) && count < most && key_number(walk.key, 0) <= id_make(m->account, last)) {
		if (count == room) {
			uint32_t *grown = realloc(numbers, MAX(room * 2, 256) * sizeof(*grown));

			if (!grown) {
				error = -ENOMEM;
				break;
			}
			numbers = grown;
			room = MAX(room * 2, 256);
		}
		numbers[count++] = (uint32_t)id_counter(key_number(walk.key, 0));
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	if (error && error != -ENOENT && error != -EBADMSG) {
		free(numbers);
		return error;
	}
	*ret_numbers = numbers;
	*ret_count = count;
	return 0;
}

/* ---- New files ---- */

static int builder_write(struct making *m, struct words_builder *builder, struct search_file *file)
{
	struct words_id id = {m->store->searcher->epoch, (uint32_t)m->account, file->first, file->last};
	char path[SEARCH_PATH_ROOM];
	int error;

	file->count = words_builder_count(builder);
	if (!file->count)
		return 0; /* none that could be listed: they are looked at */
	error = search_file_begin(m->store, m->account, path);
	if (!error)
		error = words_builder_write(builder, m->store->settings.files, path, &id);
	if (!error)
		error = search_file_end(m->store, m->account, file);
	return error ? error : search_files_add(&m->files, file);
}

/* *ret_last: up to which of them. */
static int emails_write(struct making *m, const uint32_t *numbers, size_t count, uint32_t *ret_last)
{
	struct search_file file = {.first = numbers[0]};
	struct words_builder *builder;
	int error = words_builder_new(clock_random_u64(m->store->settings.clock), &builder);

	if (error)
		return error;
	for (size_t i = 0; !error && i < count && words_builder_bytes(builder) < WORDS_BUILDER_BYTES; i++) {
		error = making_goes_on(m);
		if (!error)
			error = search_fill(m->store, builder, id_make(m->account, numbers[i]));
		file.last = numbers[i];
	}
	if (!error)
		error = builder_write(m, builder, &file);
	words_builder_free(&builder);
	if (!error)
		*ret_last = file.last;
	return error;
}

/* What is in no file: between two of them all of it, behind the last one a batch or more. */
static int gaps_fill(struct making *m)
{
	uint64_t from = 1;
	size_t next = 0;
	int error = 0;

	while (!error && from <= UINT32_MAX) {
		bool behind = next == m->files.count;
		uint32_t last = behind ? UINT32_MAX : m->files.list[next].first - 1, *numbers = NULL, done = last;
		size_t count = 0;

		if (from <= last)
			error = emails_list(m, (uint32_t)from, last, EMAILS_TOGETHER, &numbers, &count);
		if (!error && count &&
			((m->how & SEARCH_MAKE_ALL) || !behind || count >= m->store->settings.search_batch))
			error = emails_write(m, numbers, count, &done);
		free(numbers);
		from = (uint64_t)done + 1;
		while (next < m->files.count && m->files.list[next].first <= from) {
			from = MAX(from, (uint64_t)m->files.list[next].last + 1);
			next++;
		}
	}
	return error;
}

/* ---- Merging ---- */

static void run_close(struct words_segment **segments, size_t count)
{
	for (size_t i = 0; i < count; i++)
		words_segment_close(&segments[i]);
}

static int run_open(struct making *m, size_t first, size_t count, struct words_segment **segments)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++)
		error = search_file_open(m->store, m->account, &m->files.list[first + i], &segments[i]);
	return error;
}

/* Their places in the list are one's now, or nobody's. */
static void run_replace(struct making *m, size_t first, size_t count, const struct search_file *by)
{
	size_t left = by ? 1 : 0;

	if (!count)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct search_file *file = &m->files.list[first + i];

		if (!by || file->first != by->first || file->last != by->last || file->count != by->count)
			search_file_remove(m->store, m->account, file);
	}
	if (by)
		m->files.list[first] = *by;
	memmove(m->files.list + first + left, m->files.list + first + count,
		(m->files.count - first - count) * sizeof(*m->files.list));
	m->files.count -= count - left;
}

static int run_write(struct making *m, struct words_segment *const *segments, size_t count, const uint32_t *live,
	size_t live_count, const struct search_file *file)
{
	struct words_id id = {m->store->searcher->epoch, (uint32_t)m->account, file->first, file->last};
	char path[SEARCH_PATH_ROOM];
	int error = search_file_begin(m->store, m->account, path);

	if (!error)
		error = words_merge(segments, count, live, live_count, m->store->settings.files, path, &id);
	return error ? error : search_file_end(m->store, m->account, file);
}

static uint32_t count_of(struct words_segment *const *segments, size_t count, const uint32_t *live, size_t live_count)
{
	uint32_t found = 0;
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		const uint32_t *numbers = words_segment_numbers(segments[i]);

		for (uint32_t n = 0; n < words_segment_count(segments[i]); n++) {
			while (at < live_count && live[at] < numbers[n])
				at++;
			found += at < live_count && live[at] == numbers[n];
		}
	}
	return found;
}

/* So many of the list from `first` on become one, without emails that are gone. */
static int run_merge(struct making *m, size_t first, size_t count)
{
	struct words_segment *segments[MERGE_MAX] = {NULL};
	struct search_file file = {m->files.list[first].first, m->files.list[first + count - 1].last, 0};
	uint32_t *live = NULL;
	size_t live_count = 0;
	int error = run_open(m, first, count, segments);

	if (!error)
		error = emails_list(m, file.first, file.last, SIZE_MAX, &live, &live_count);
	if (!error)
		file.count = count_of(segments, count, live, live_count);
	if (!error && file.count)
		error = run_write(m, segments, count, live, live_count, &file);
	run_close(segments, count);
	free(live);
	if (!error)
		run_replace(m, first, count, file.count ? &file : NULL);
	return error;
}

/* A file no larger than all that is merged behind it joins them. */
static int files_merge(struct making *m)
{
	int error = 0;

	for (size_t end = m->files.count; !error && end > 1; end--) {
		size_t first = end - 1;
		uint64_t sum = m->files.list[first].count;

		while (first && end - first < MERGE_MAX && m->files.list[first - 1].count <= sum &&
			m->files.list[first - 1].count + sum <= WORDS_EMAILS_MAX)
			sum += m->files.list[--first].count;
		if (end - first < 2)
			continue;
		error = making_goes_on(m);
		if (!error)
			error = run_merge(m, first, end - first);
		end = MIN(first + 2, m->files.count + 1); /* what it became may join the one before */
	}
	return error;
}

/* Where half of a file's emails are gone, their words go, too. */
static int files_thin_out(struct making *m)
{
	int error = 0;

	for (size_t i = m->files.count; !error && i > 0; i--) {
		const struct search_file *file = &m->files.list[i - 1];
		uint32_t *live = NULL;
		size_t count = 0;

		error = emails_list(m, file->first, file->last, SIZE_MAX, &live, &count);
		free(live);
		if (!error && count <= file->count / 2)
			error = making_goes_on(m);
		if (!error && count <= file->count / 2)
			error = run_merge(m, i - 1, 1);
	}
	return error;
}

/* ---- An account ---- */

static int damaged_remove(struct making *m)
{
	for (size_t i = 0; i < m->files.count; i++) {
		struct words_segment *segment = NULL;
		int error = search_file_open(m->store, m->account, &m->files.list[i], &segment);

		if (!error)
			error = words_segment_verify(segment);
		words_segment_close(&segment);
		if (error == -EBADMSG)
			search_file_remove(m->store, m->account, &m->files.list[i]);
		else if (error && error != -ENOENT)
			return error;
	}
	return 0;
}

static int account_find(struct making *m, struct account_row *ret_row)
{
	struct index_key key = key_of(m->account);
	struct slice value;
	MDB_txn *txn;
	int error = index_begin(m->store->index, false, &txn);

	if (error)
		return error;
	error = index_get(m->store->index, txn, TABLE_ACCOUNTS, key_slice(&key), &value);
	if (!error)
		error = account_row_read(value, ret_row);
	mdb_txn_abort(txn);
	return error;
}

/* Those of emails that never were: this index is an older one than they were made from. */
static void future_remove(struct making *m, const struct account_row *row)
{
	size_t left = m->files.count;

	while (left && m->files.list[left - 1].last >= row->next_id)
		left--;
	run_replace(m, left, m->files.count - left, NULL);
}

static int round_make(struct making *m)
{
	struct account_row row;
	int error = search_files_list(m->store, m->account, true, &m->files);

	if (error)
		return error;
	error = account_find(m, &row);
	if (error == -ENOENT) { /* it is gone, and so are they */
		run_replace(m, 0, m->files.count, NULL);
		error = 0;
	} else if (!error) {
		future_remove(m, &row);
	}
	if (!error)
		error = gaps_fill(m);
	if (!error && (m->how & SEARCH_MAKE_THIN))
		error = files_thin_out(m);
	if (!error)
		error = files_merge(m);
	if (error == -EBADMSG)
		error = damaged_remove(m);
	else if (!error)
		error = -EALREADY;
	search_files_free(&m->files);
	return error;
}

int search_make(struct store *store, uint64_t account, unsigned how)
{
	struct making m = {.store = store, .account = account, .how = how};
	int error = 0;

	for (int i = 0; !error && i < ROUNDS_MAX; i++)
		error = round_make(&m);
	return error == -EALREADY ? 0 : error;
}
