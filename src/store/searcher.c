#include "store/searcher.h"

#include "store/ids.h"

enum {
	ACCOUNTS_TOGETHER = 512,
	PIECE_US = 1000, /* of work between two pauses, at least */
	PAUSES = 7,      /* for each part of work as many of rest */
	PAUSE_MAX_US = 50000,
	QUIET_US = 20000, /* no record in so long: nothing more is to come, for now */
	GATHER_MAX_US = 2000000,
	BEHIND = 65536 /* emails that wait: no pauses then */
};

int searcher_new(struct store *store)
{
	struct searcher *s = calloc(1, sizeof(*s));
	const struct thread_system *threads = store->settings.threads;

	if (!s || words_contexts_new(threads, &s->contexts)) {
		free(s);
		return -ENOMEM;
	}
	lock_init(&s->work, threads);
	lock_init(&s->lock, threads);
	condition_init(&s->wake, threads);
	store->searcher = s;
	return 0;
}

void searcher_free(struct store *store)
{
	struct searcher *s = store->searcher;

	if (!s)
		return;
	lock_free(&s->work);
	lock_free(&s->lock);
	condition_free(&s->wake);
	number_map_free(&s->noted);
	search_lists_free(s);
	words_contexts_free(&s->contexts);
	free(s->due);
	free(s);
	store->searcher = NULL;
}

static int epoch_find(struct store *store)
{
	uint64_t epoch = 0;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_get_number(store->index, txn, TABLE_META, INDEX_SEARCH, &epoch);
	mdb_txn_abort(txn);
	if (!error)
		store->searcher->epoch = epoch;
	return error;
}

static int epoch_make(struct store *store)
{
	uint64_t epoch = clock_random_u64(store->settings.clock) | 1;
	MDB_txn *txn;
	int error = index_begin(store->index, true, &txn);

	if (error)
		return error;
	error = index_put_number(store->index, txn, TABLE_META, INDEX_SEARCH, epoch);
	if (error)
		mdb_txn_abort(txn);
	else
		error = index_commit(txn);
	if (!error)
		store->searcher->epoch = epoch;
	return error;
}

void searcher_look_up(struct store *store)
{
	if (store->settings.search_batch && epoch_find(store))
		store->searcher->epoch = 0;
}

void searcher_prepare(struct store *store)
{
	char path[SEARCH_PATH_ROOM];
	int error;

	if (!store->settings.search_batch)
		return;
	(void)snprintf(path, sizeof(path), "%s/search", store->dir);
	error = store->settings.files->make_dir(store->settings.files->context, path);
	if (!error)
		error = epoch_find(store);
	if (error == -ENOENT)
		error = epoch_make(store);
	if (error)
		store_notice(
			store, "search-index-off", "%s; searches read messages until the next start", strerror(-error));
}

bool searcher_is_on(const struct store *store)
{
	return store->searcher->epoch != 0;
}

bool searcher_is_stopping(struct store *store)
{
	bool stopping;

	lock_take(&store->searcher->lock);
	stopping = store->searcher->stopping;
	lock_give(&store->searcher->lock);
	return stopping || atomic_load(&store->failed);
}

/* ---- What there is to do ---- */

/* Under the lock. Without memory it is not done: nobody needs it, and there is always a next time. */
static void due_add(struct searcher *s, uint64_t account)
{
	for (size_t i = 0; i < s->due_count; i++)
		if (s->due[i] == account)
			return;
	if (s->due_count == s->due_room) {
		uint64_t *grown = realloc(s->due, MAX(s->due_room * 2, 16) * sizeof(*grown));

		if (!grown)
			return;
		s->due = grown;
		s->due_room = MAX(s->due_room * 2, 16);
	}
	s->due[s->due_count++] = account;
	condition_wake(&s->wake);
}

void searcher_note(struct store *store, uint64_t account, uint32_t came, uint32_t went)
{
	struct searcher *s = store->searcher;
	uint64_t so_far = 0, all_came, all_went;

	if (!searcher_is_on(store))
		return;
	lock_take(&s->lock);
	(void)number_map_get(&s->noted, account, &so_far);
	all_came = MIN((so_far & UINT32_MAX) + came, UINT32_MAX);
	all_went = MIN((so_far >> 32) + went, UINT32_MAX);
	if (number_map_put(&s->noted, account, all_went << 32 | all_came) == 0 &&
		(all_came >= store->settings.search_batch || all_went >= store->settings.search_batch / 2))
		due_add(s, account);
	lock_give(&s->lock);
}

void searcher_look(struct store *store, uint64_t account)
{
	if (!searcher_is_on(store))
		return;
	lock_take(&store->searcher->lock);
	due_add(store->searcher, account);
	lock_give(&store->searcher->lock);
}

/* Under the lock. Those of accounts that are not due yet do not count, as nobody has to look at them. */
static bool is_behind(struct searcher *s)
{
	uint64_t emails = 0;

	for (size_t i = 0; i < s->due_count && emails < BEHIND; i++) {
		uint64_t noted = 0;

		(void)number_map_get(&s->noted, s->due[i], &noted);
		emails += noted & UINT32_MAX;
	}
	return emails >= BEHIND;
}

void searcher_give_way(struct store *store)
{
	struct searcher *s = store->searcher;
	const struct thread_system *threads = store->settings.threads;
	int64_t now = thread_now_us(threads), until = now + MIN((now - s->work_us) * PAUSES, (int64_t)PAUSE_MAX_US);
	uint64_t seq;

	if (now - s->work_us < PIECE_US)
		return;
	seq = store->log->ops->last_seq(store->log);
	lock_take(&s->lock);
	while (seq != s->log_seq && !s->stopping && now < until && !is_behind(s)) {
		condition_wait_until(&s->wake, &s->lock, until);
		now = thread_now_us(threads);
	}
	lock_give(&s->lock);
	s->log_seq = seq;
	s->work_us = now;
}

/* ---- Doing it ---- */

static void failed(struct store *store, int error)
{
	if (error == -ECANCELED || (store->searcher->told && error))
		return;
	if (error)
		store_notice(store, "search-index-failed", "%s; searches read messages meanwhile", strerror(-error));
	store->searcher->told = error != 0;
}

static void account_make(struct store *store, uint64_t account)
{
	struct searcher *s = store->searcher;
	uint64_t noted = 0;
	int error;

	lock_take(&s->lock);
	(void)number_map_get(&s->noted, account, &noted);
	number_map_delete(&s->noted, account);
	lock_give(&s->lock);
	lock_take(&s->work);
	s->work_us = thread_now_us(store->settings.threads);
	error = search_make(store, account, (noted >> 32 ? SEARCH_MAKE_THIN : 0) | SEARCH_MAKE_GENTLY);
	failed(store, error);
	lock_give(&s->work);
}

/* Accounts from *next on that may be worth it, into `accounts`; *next 0: these were the last. */
static int accounts_list(struct store *store, uint64_t least, uint64_t *next, uint64_t *accounts, size_t *ret_count)
{
	struct index_key key = key_of(*next);
	struct index_walk walk = {NULL};
	struct account_row row;
	size_t count = 0;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_walk_from(store->index, txn, TABLE_ACCOUNTS, key_slice(&key), &walk);
	*next = 0;
	while ((!error || error == -EBADMSG) && count < ACCOUNTS_TOGETHER) {
		bool is_one = !error && account_row_read(walk.value, &row) == 0 && row.used_messages >= least;

		*next = key_number(walk.key, 0) + 1;
		if (is_one && key_number(walk.key, 0))
			accounts[count++] = key_number(walk.key, 0);
		error = index_walk_next(&walk);
	}
	if (error == -ENOENT)
		*next = 0;
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	*ret_count = count;
	return error == -ENOENT || error == -EBADMSG ? 0 : error;
}

static int accounts_make(struct store *store, uint64_t least, unsigned how)
{
	uint64_t *accounts = malloc(ACCOUNTS_TOGETHER * sizeof(*accounts)), next = 1;
	size_t count;
	int error = accounts ? 0 : -ENOMEM;

	while (!error && next) {
		error = accounts_list(store, least, &next, accounts, &count);
		for (size_t i = 0; !error && i < count; i++) {
			if (searcher_is_stopping(store))
				error = -ECANCELED;
			else if (how & SEARCH_MAKE_ALL)
				error = search_make(store, accounts[i], how);
			else
				account_make(store, accounts[i]);
		}
	}
	free(accounts);
	return error;
}

int store_search_index(struct store *store)
{
	int error = store_wait_durable(store, store->log->ops->last_seq(store->log));

	if (!searcher_is_on(store))
		return -EOPNOTSUPP;
	if (!error)
		error = store_wait_applied(store, store->log->ops->last_seq(store->log));
	lock_take(&store->searcher->work);
	if (!error)
		error = accounts_make(store, 0, SEARCH_MAKE_ALL | SEARCH_MAKE_THIN);
	lock_give(&store->searcher->work);
	return error;
}

static bool due_wait(struct store *store)
{
	struct searcher *s = store->searcher;
	bool there;

	lock_take(&s->lock);
	while (!s->due_count && !s->stopping)
		condition_wait(&s->wake, &s->lock);
	there = !s->stopping;
	lock_give(&s->lock);
	return there && !atomic_load(&store->failed);
}

static bool due_take(struct store *store, uint64_t *ret_account)
{
	struct searcher *s = store->searcher;
	bool there;

	lock_take(&s->lock);
	there = s->due_count && !s->stopping;
	if (there) {
		*ret_account = s->due[0];
		memmove(s->due, s->due + 1, --s->due_count * sizeof(*s->due));
	}
	lock_give(&s->lock);
	return there && !atomic_load(&store->failed);
}

/*
 * While mail arrives, more of it is worth waiting for: a file of 2,048 emails costs a third for each of what one of 128 does, and need not be merged
 * with as many others. Whoever has more to do than this is behind anyhow, and does not come here.
 */
static void due_gather(struct store *store)
{
	struct searcher *s = store->searcher;
	const struct thread_system *threads = store->settings.threads;
	int64_t now = thread_now_us(threads), until = now + GATHER_MAX_US;
	bool more = true;

	while (more && now < until) {
		uint64_t seq = store->log->ops->last_seq(store->log);
		int64_t quiet = now + QUIET_US;

		lock_take(&s->lock);
		while (!s->stopping && now < quiet) {
			condition_wait_until(&s->wake, &s->lock, quiet);
			now = thread_now_us(threads);
		}
		more = !s->stopping && !is_behind(s);
		lock_give(&s->lock);
		more = more && store->log->ops->last_seq(store->log) != seq;
	}
}

/* First what a crash, or an index made anew, left to be done; then what is noted. */
static void *searcher_run(void *context)
{
	struct store *store = context;
	uint64_t account;
	int error;

	thread_run_below_others(store->settings.threads);
	lock_take(&store->searcher->work);
	error = search_files_sweep(store);
	failed(store, error);
	lock_give(&store->searcher->work);
	(void)accounts_make(store, store->settings.search_batch, 0); /* what fails of it is told of the account */
	while (due_wait(store)) {
		due_gather(store);
		while (due_take(store, &account))
			account_make(store, account);
	}
	return NULL;
}

int searcher_start(struct store *store)
{
	int error;

	if (!searcher_is_on(store))
		return 0;
	error = thread_start(store->settings.threads, searcher_run, store, &store->searcher->thread);
	store->searcher->running = !error;
	return error;
}

void searcher_stop(struct store *store)
{
	struct searcher *s = store->searcher;

	lock_take(&s->lock);
	s->stopping = true;
	condition_wake_all(&s->wake);
	lock_give(&s->lock);
	if (s->running)
		thread_join(&s->thread);
	s->running = false;
}
