/* Looking up in the directory: straight from the index, from any thread. */
#include "base/hash.h"
#include "store/address.h"
#include "store/directory.h"
#include "store/directory_more.h"
#include "store/resident.h"

enum { ALIAS_DEPTH_MAX = 10, RESOLVED_MAX = 1000 };

uint64_t directory_hash(struct slice key)
{
	uint64_t hash = hash64(key, 0);

	return hash ? hash : 1;
}

int directory_has(struct store *store, enum index_table table, struct slice key, bool *ret_there)
{
	struct slice value;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_get(store->index, txn, table, key, &value);
	mdb_txn_abort(txn);
	if (error && error != -ENOENT)
		return error;
	*ret_there = !error;
	return 0;
}

/* The domain's first key on from `walk`; false when its keys are over. */
static bool key_is_of_domain(struct slice key, struct slice domain)
{
	return !domain.len || (key.len > domain.len && key.at[domain.len] == '\0' && slice_starts(key, domain));
}

int directory_domain_used(struct store *store, struct slice domain, bool *ret_used)
{
	static const enum index_table tables[] = {TABLE_ADDRESSES, TABLE_ALIASES};
	bool used = false;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	for (size_t i = 0; !error && !used && i < ARRAY_LEN(tables); i++) {
		struct index_walk walk = {NULL};
		char prefix[DIRECTORY_ADDRESS_MAX + 1];

		memcpy(prefix, domain.at, domain.len);
		prefix[domain.len] = '\0';
		error = index_walk_from(store->index, txn, tables[i], slice_make(prefix, domain.len + 1), &walk);
		used = !error && key_is_of_domain(walk.key, domain);
		index_walk_end(&walk);
		if (error == -ENOENT)
			error = 0;
	}
	mdb_txn_abort(txn);
	if (!error)
		*ret_used = used;
	return error;
}

static int account_read(struct slice identity, uint64_t id, struct directory_account *ret_account)
{
	struct reader r = READER_INIT(identity);
	struct op op;

	if (!op_next(&r, &op) || op.kind != OP_ACCOUNT_SET)
		return -EBADMSG;
	*ret_account = (struct directory_account){.id = id,
		.address = op.account.address,
		.secret = op.account.secret,
		.quota_bytes = op.account.quota_bytes,
		.allowed = op.account.allowed,
		.disabled = op.account.disabled,
		.created_ms = op.account.created_ms};
	return 0;
}

static int account_get(struct store *store, MDB_txn *txn, uint64_t id, struct directory_account *ret_account)
{
	struct index_key key = key_of(id);
	struct slice value;
	int error = index_get(store->index, txn, TABLE_IDENTITIES, key_slice(&key), &value);

	return error ? error : account_read(value, id, ret_account);
}

static int account_copy(struct arena *arena, struct directory_account account, struct directory_account *ret_account)
{
	int error = arena_copy(arena, account.address, &account.address);

	if (!error)
		error = arena_copy(arena, account.secret, &account.secret);
	if (!error)
		*ret_account = account;
	return error;
}

int directory_account_by_id(
	struct store *store, uint64_t id, struct arena *arena, struct directory_account *ret_account)
{
	struct directory_account account;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = account_get(store, txn, id, &account);
	if (!error)
		error = account_copy(arena, account, ret_account);
	mdb_txn_abort(txn);
	return error;
}

int directory_account_find(
	struct store *store, struct slice address, struct arena *arena, struct directory_account *ret_account)
{
	struct buffer normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4), key = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4);
	struct directory_account account;
	struct slice detail;
	MDB_txn *txn = NULL;
	uint64_t id;
	int error = address_normalise(address, false, &normal, &detail);

	if (!error)
		error = address_key(buffer_slice(&normal), &key);
	if (error == -EINVAL)
		error = -ENOENT; /* no account has such a name */
	if (!error)
		error = index_begin(store->index, false, &txn);
	if (!error)
		error = index_get_number(store->index, txn, TABLE_ADDRESSES, buffer_slice(&key), &id);
	if (!error)
		error = account_get(store, txn, id, &account);
	if (!error)
		error = account_copy(arena, account, ret_account);
	if (txn)
		mdb_txn_abort(txn);
	buffer_free(&normal);
	buffer_free(&key);
	return error;
}

/* ---- Resolving ---- */

struct resolving {
	struct store *store;
	MDB_txn *txn;
	void (*target)(void *context, const struct directory_account *account, struct slice detail);
	void *context;
	struct number_map seen; /* accounts called back, hashes of aliases followed */
	struct buffer normal, key;
	size_t found;
};

static int resolve(struct resolving *r, struct slice address, unsigned depth);

static int resolve_account(struct resolving *r, uint64_t id, struct slice detail)
{
	struct directory_account account;
	uint64_t seen;
	int error;

	if (number_map_get(&r->seen, id, &seen))
		return 0;
	error = number_map_put(&r->seen, id, 1);
	if (!error)
		error = account_get(r->store, r->txn, id, &account);
	if (error)
		return error;
	r->found++;
	r->target(r->context, &account, detail);
	return 0;
}

static int resolve_alias(struct resolving *r, struct slice targets, uint64_t hash, unsigned depth)
{
	struct reader list = READER_INIT(targets);
	uint64_t seen;
	int error;

	if (number_map_get(&r->seen, hash, &seen))
		return 0; /* a loop */
	if (depth == ALIAS_DEPTH_MAX || r->seen.count > RESOLVED_MAX)
		return -ENOBUFS;
	error = number_map_put(&r->seen, hash, 1);
	while (!error && list.rest.len) {
		error = resolve(r, reader_sized(&list), depth + 1);
		if (error == -ENOENT || error == -EXDEV)
			error = 0; /* a target that is gone does not keep mail from the others */
	}
	return error;
}

static int resolve(struct resolving *r, struct slice address, unsigned depth)
{
	struct slice detail, key, value;
	uint64_t id;
	int error;

	buffer_reset(&r->normal);
	buffer_reset(&r->key);
	error = address_normalise(address, true, &r->normal, &detail);
	if (!error)
		error = address_key(buffer_slice(&r->normal), &r->key);
	if (error)
		return error == -EINVAL ? -ENOENT : error;
	key = buffer_slice(&r->key);
	error = index_get(r->store->index, r->txn, TABLE_DOMAINS, slice_first(key, slice_find_byte(key, '\0')), &value);
	if (error)
		return error == -ENOENT ? -EXDEV : error;
	error = index_get_number(r->store->index, r->txn, TABLE_ADDRESSES, key, &id);
	if (!error)
		return resolve_account(r, id, detail);
	if (error == -ENOENT)
		error = index_get(r->store->index, r->txn, TABLE_ALIASES, key, &value);
	/* With its highest bit, a hash is never an account's number. */
	return error ? error : resolve_alias(r, value, directory_hash(key) | (uint64_t)1 << 63, depth);
}

int directory_resolve(struct store *store, struct slice address,
	void (*target)(void *context, const struct directory_account *account, struct slice detail), void *context)
{
	struct resolving r = {.store = store,
		.target = target,
		.context = context,
		.normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4),
		.key = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4)};
	int error = index_begin(store->index, false, &r.txn);

	if (error)
		return error;
	error = resolve(&r, address, 0);
	if (!error && !r.found)
		error = -ENOENT;
	mdb_txn_abort(r.txn);
	number_map_free(&r.seen);
	buffer_free(&r.normal);
	buffer_free(&r.key);
	return error;
}

/* ---- Walking ---- */

/* Calls back for each row of a table whose key is of the domain, until it says no. */
static int table_walk(struct store *store, enum index_table table, struct slice domain,
	bool (*each)(void *context, MDB_txn *txn, const struct index_walk *walk), void *context)
{
	struct index_walk walk = {NULL};
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_walk_from(store->index, txn, table, domain, &walk);
	while (!error) {
		bool ours = table == TABLE_DOMAINS || key_is_of_domain(walk.key, domain);

		/* Keys that only begin like the domain may stand before its own. */
		if ((!ours && !slice_starts(walk.key, domain)) || (ours && !each(context, txn, &walk)))
			break;
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	return error == -ENOENT ? 0 : error;
}

struct walking {
	struct store *store;
	bool (*domain)(void *context, struct slice domain);
	bool (*account)(void *context, const struct directory_account *account);
	bool (*alias)(void *context, struct slice address, const struct slice *targets, size_t count);
	void *context;
	int error;
};

static bool walk_domain(void *context, MDB_txn *txn, const struct index_walk *walk)
{
	struct walking *w = context;

	(void)txn;
	return w->domain(w->context, walk->key);
}

int directory_domains(struct store *store, bool (*each)(void *context, struct slice domain), void *context)
{
	struct walking w = {.store = store, .domain = each, .context = context};

	return table_walk(store, TABLE_DOMAINS, (struct slice){NULL, 0}, walk_domain, &w);
}

static bool walk_account(void *context, MDB_txn *txn, const struct index_walk *walk)
{
	struct walking *w = context;
	struct directory_account account;
	struct reader r = READER_INIT(walk->value);
	uint64_t id = reader_le64(&r);

	w->error = account_get(w->store, txn, id, &account);
	return !w->error && w->account(w->context, &account);
}

static int walk_of_domain(struct walking *w, enum index_table table, struct slice domain,
	bool (*each)(void *context, MDB_txn *txn, const struct index_walk *walk))
{
	struct buffer normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX);
	int error = domain.len ? domain_normalise(domain, &normal) : 0;

	if (!error)
		error = table_walk(w->store, table, buffer_slice(&normal), each, w);
	buffer_free(&normal);
	return error ? error : w->error;
}

int directory_accounts(struct store *store, struct slice domain,
	bool (*each)(void *context, const struct directory_account *account), void *context)
{
	struct walking w = {.store = store, .account = each, .context = context};

	return walk_of_domain(&w, TABLE_ADDRESSES, domain, walk_account);
}

static bool walk_alias(void *context, MDB_txn *txn, const struct index_walk *walk)
{
	struct walking *w = context;
	struct buffer address = BUFFER_INIT(DIRECTORY_ADDRESS_MAX + 1);
	struct slice targets[DIRECTORY_ALIAS_TARGETS_MAX];
	struct reader r = READER_INIT(walk->value);
	size_t count = 0;
	bool more;

	(void)txn;
	while (r.rest.len && count < ARRAY_LEN(targets))
		targets[count++] = reader_sized(&r);
	address_of_key(walk->key, &address);
	more = w->alias(w->context, buffer_slice(&address), targets, count);
	buffer_free(&address);
	return more;
}

int directory_aliases(struct store *store, struct slice domain,
	bool (*each)(void *context, struct slice address, const struct slice *targets, size_t count), void *context)
{
	struct walking w = {.store = store, .alias = each, .context = context};

	return walk_of_domain(&w, TABLE_ALIASES, domain, walk_alias);
}
