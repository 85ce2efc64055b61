/*
 * Checking, and making accounts' rows in the index anew, while the store serves. A thread of its own does it account by account. Nothing waits for it but
 * housekeeping (which would drop segments under it) and, while one account's rows are put in, the applier, whom nobody's answer waits for.
 *
 * What is made anew is first folded into an index beside the one in use, as long as that takes. Then, in a write transaction of the index in
 * use, so that the applier stands still at a known record, it is brought to that record, too, and the rows that differ are put in.
 */
#include "store/check.h"
#include "store/ids.h"
#include "store/rebuild.h"
#include "store/resident.h"
#include "store/searcher.h"
#include "store/upkeep.h"

enum { LINES_MAX = 1 << 22 };

void online_init(struct store *store)
{
	lock_init(&store->online.lock, store->settings.threads);
	store->online.lines = BUFFER_INIT(LINES_MAX);
}

void online_free(struct store *store)
{
	lock_free(&store->online.lock);
	buffer_free(&store->online.lines);
	free(store->online.accounts);
}

static void on_line(void *context, struct slice line)
{
	struct online *o = context;

	lock_take(&o->lock);
	buffer_put(&o->lines, line);
	buffer_put_byte(&o->lines, '\n');
	lock_give(&o->lock);
}

/* ---- Which accounts ---- */

static int accounts_list(struct store *store, struct online *o)
{
	struct index_key first = key_of(1);
	struct index_walk walk = {NULL};
	size_t room = 0;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_walk_from(store->index, txn, TABLE_ACCOUNTS, key_slice(&first), &walk);
	while (!error || error == -EBADMSG) {
		if (o->account_count == room) {
			uint64_t *grown = realloc(o->accounts, MAX(room * 2, 64) * sizeof(*grown));

			if (!grown) {
				error = -ENOMEM;
				break;
			}
			o->accounts = grown;
			room = MAX(room * 2, 64);
		}
		o->accounts[o->account_count++] = key_number(walk.key, 0);
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	return error == -ENOENT ? 0 : error;
}

/* ---- Checking ---- */

static int account_look(struct checking *c, uint64_t id)
{
	int error = index_begin(c->store->index, false, &c->txn);

	if (error)
		return error;
	error = check_emails(c, id_make(id, 0), id_make(id + 1, 0));
	if (!error)
		error = check_account(c, id);
	if (!error)
		check_rest(c);
	mdb_txn_abort(c->txn);
	number_map_free(&c->unreadable);
	number_map_free(&c->live);
	return error == -ENOENT ? 0 : error; /* it is gone since */
}

static int accounts_look(struct checking *c)
{
	struct online *o = &c->store->online;
	int error = check_journal(c);

	for (size_t i = 0; !error && i < o->account_count; i++)
		error = upkeep_is_stopping(c->store) ? -ECANCELED : account_look(c, o->accounts[i]);
	return error;
}

/* ---- Making anew ---- */

struct remaking {
	struct store *store;
	struct index *beside;
	struct rebuild *rebuild;
	struct checking *c;
};

/* What there is beside is brought to where the index in use stands, which `run` then puts right, all in one transaction. */
static int stand_still(struct remaking *r, int (*run)(struct index_sync *sync, uint64_t account), uint64_t account,
	struct index_sync *sync)
{
	struct index *index = r->store->index;
	uint64_t applied = 0;
	int error = index_begin(index, true, &sync->to);

	if (error)
		return error;
	sync->live = index;
	sync->made = r->beside;
	sync->salvage = r->c->check->salvage;
	error = index_applied(index, sync->to, &applied);
	if (!error)
		error = rebuild_follow(r->rebuild, applied);
	if (!error)
		error = index_begin(r->beside, false, &sync->from);
	if (!error) {
		error = run(sync, account);
		mdb_txn_abort(sync->from);
	}
	if (!error)
		return index_commit(sync->to);
	return index_abort(sync->to, error);
}

static int account_put(struct remaking *r, uint64_t id)
{
	struct index_sync sync = {.live = NULL};
	struct buffer name = BUFFER_INIT(1024);
	int error = stand_still(r, index_sync_account, id, &sync);

	if (!error && (sync.damaged || sync.differs)) {
		check_account_name(r->c, id, &name);
		check_report(r->c, "index: what it said of %s was %s; it has been made anew", buffer_text(&name),
			sync.damaged ? "damaged" : "not what the journal says");
		buffer_free(&name);
	}
	/* What its shard has in memory came from rows that could be read. */
	if (!error && sync.differs)
		shard_account_stale(store_shard(r->store, store_shard_of(r->store, id)), id);
	return error;
}

/* Its files of words are made anew, too: a salvaged journal may give the numbers of lost emails to others. */
static int account_remake(struct remaking *r, uint64_t id)
{
	struct searcher *searcher = r->store->searcher;
	int error = 0;

	lock_take(&searcher->work);
	if (searcher_is_on(r->store))
		error = search_files_drop(r->store, id);
	if (!error)
		error = account_put(r, id);
	lock_give(&searcher->work);
	searcher_look(r->store, id);
	return error;
}

static int rest_put(struct index_sync *sync, uint64_t account)
{
	(void)account;
	return index_sync_rest(sync);
}

static int live_put(struct store *store)
{
	MDB_txn *txn;
	int error = index_begin(store->index, true, &txn);

	if (error)
		return error;
	error = index_live_recount(store->index, txn);
	if (!error)
		return index_commit(txn);
	return index_abort(txn, error);
}

static int remake(struct remaking *r, const struct number_map *only)
{
	struct online *o = &r->store->online;
	struct rebuild_settings settings = {r->beside, only, store_durable_seq(r->store), r->c->check->salvage};
	struct index_sync rest = {.live = NULL};
	int error = store_wait_applied(r->store, settings.until);

	if (!error)
		error = rebuild_beside(r->store, &settings, &r->rebuild);
	for (size_t i = 0; !error && i < o->account_count; i++)
		error = upkeep_is_stopping(r->store) ? -ECANCELED : account_remake(r, o->accounts[i]);
	if (!error && !only)
		error = stand_still(r, rest_put, 0, &rest);
	if (!error)
		error = live_put(r->store);
	if (error == -EBADMSG)
		check_report(r->c, "the journal is damaged beyond a single bit: the index stays as it is (--salvage)");
	rebuild_free(&r->rebuild);
	return error;
}

static int accounts_remake(struct checking *c, bool all)
{
	struct remaking r = {.store = c->store, .c = c};
	struct slice dir = slice_of(c->store->dir);
	struct number_map only = {NULL, 0, 0};
	bool fresh;
	int error = index_remove(c->store->settings.files, dir, INDEX_NEW_NAME);

	for (size_t i = 0; !error && !all && i < c->store->online.account_count; i++)
		error = number_map_put(&only, c->store->online.accounts[i] + 1, 1);
	if (!error)
		error = index_open(c->store->settings.files, dir, INDEX_NEW_NAME, 0, &r.beside, &fresh);
	if (!error)
		error = remake(&r, all ? NULL : &only);
	index_close(&r.beside);
	number_map_free(&only);
	if (index_remove(c->store->settings.files, dir, INDEX_NEW_NAME))
		store_notice(c->store, "index-left", "the index made beside could not be removed");
	return error;
}

/* ---- The thread ---- */

static void *online_run(void *context)
{
	struct store *store = context;
	struct online *o = &store->online;
	struct checking c = {.store = store, .check = &o->check};
	bool all = o->account_count == 0;
	int error;

	lock_take(&store->upkeep.lock);
	error = all ? accounts_list(store, o) : 0;
	if (!error)
		error = o->check.rebuild_index ? accounts_remake(&c, all) : accounts_look(&c);
	lock_give(&store->upkeep.lock);
	lock_take(&o->lock);
	o->findings = c.findings;
	o->error = error;
	o->over = true;
	lock_give(&o->lock);
	check_free(&c);
	return NULL;
}

static void online_join(struct online *o)
{
	if (o->started)
		thread_join(&o->thread);
	o->started = false;
	free(o->accounts);
	o->accounts = NULL;
	o->account_count = 0;
}

int store_check_start(struct store *store, const struct store_check *check, const uint64_t *accounts, size_t count)
{
	struct online *o = &store->online;
	bool busy;
	int error;

	lock_take(&o->lock);
	busy = o->started && !o->over;
	lock_give(&o->lock);
	if (busy)
		return -EBUSY;
	online_join(o);
	if (count) {
		o->accounts = malloc(count * sizeof(*o->accounts));
		if (!o->accounts)
			return -ENOMEM;
		memcpy(o->accounts, accounts, count * sizeof(*o->accounts));
		o->account_count = count;
	}
	o->check = *check;
	o->check.report = on_line;
	o->check.context = o;
	o->over = false;
	o->findings = 0;
	buffer_reset(&o->lines);
	error = thread_start(store->settings.threads, online_run, store, &o->thread);
	o->started = !error;
	return error;
}

int store_check_poll(struct store *store, struct buffer *lines, bool *ret_over)
{
	struct online *o = &store->online;
	int error = 0;

	lock_take(&o->lock);
	buffer_put(lines, buffer_slice(&o->lines));
	buffer_reset(&o->lines);
	*ret_over = o->over || !o->started;
	if (*ret_over)
		error = o->error ? o->error : o->findings ? -EBADMSG : 0;
	lock_give(&o->lock);
	return error;
}

void online_stop(struct store *store)
{
	online_join(&store->online);
}
