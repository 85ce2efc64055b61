/* Changing the directory. One change at a time, each in the index before the call returns: so every check here sees all before it. */
#include "store/directory.h"

#include "store/address.h"
#include "store/directory_more.h"
#include "store/ids.h"
#include "store/resident.h"

enum { ADD_TOGETHER = 4096 };

static int change_append(struct store *store, uint64_t account, struct buffer *change, uint64_t *ret_seq)
{
	struct appending what = {.account = account, .kind = RECORD_CHANGE, .reserve = true};
	int error;

	change_finish(change);
	error = buffer_error(change);
	if (error)
		return error;
	what.change = buffer_slice(change);
	return store_append(store, &what, NULL, ret_seq);
}

static int change_apply(struct store *store, uint64_t account, struct buffer *change)
{
	uint64_t seq;
	int error = change_append(store, account, change, &seq);

	return error ? error : store_wait_applied(store, seq);
}

static void begin(struct store *store, struct buffer *change, const struct actor *actor)
{
	static const struct actor admin = {STORE_BY_ADMIN, {NULL, 0}, {NULL, 0}};

	buffer_reset(change);
	change_begin(change, actor ? actor : &admin, clock_wall_ms(store->settings.clock));
}

/* ---- Domains ---- */

static int domain_change(struct store *store, struct slice domain, bool on)
{
	struct buffer change = BUFFER_INIT(4096);
	int error;

	begin(store, &change, NULL);
	op_put_name(&change, OP_DOMAIN, on, domain);
	error = change_apply(store, 0, &change);
	buffer_free(&change);
	return error;
}

int directory_domain_add(struct store *store, struct slice domain)
{
	struct buffer normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX);
	bool there;
	int error = domain_normalise(domain, &normal);

	lock_take(&store->directory_lock);
	if (!error)
		error = directory_has(store, TABLE_DOMAINS, buffer_slice(&normal), &there);
	if (!error)
		error = there ? -EEXIST : domain_change(store, buffer_slice(&normal), true);
	lock_give(&store->directory_lock);
	buffer_free(&normal);
	return error;
}

int directory_domain_delete(struct store *store, struct slice domain)
{
	struct buffer normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX);
	bool there = false, used = false;
	int error = domain_normalise(domain, &normal);

	lock_take(&store->directory_lock);
	if (!error)
		error = directory_has(store, TABLE_DOMAINS, buffer_slice(&normal), &there);
	if (!error && !there)
		error = -ENOENT;
	if (!error)
		error = directory_domain_used(store, buffer_slice(&normal), &used);
	if (!error)
		error = used ? -EBUSY : domain_change(store, buffer_slice(&normal), false);
	lock_give(&store->directory_lock);
	buffer_free(&normal);
	return error;
}

/* ---- Accounts ---- */

static const struct {
	const char *name;
	unsigned special_use;
} first_mailboxes[] = {{"INBOX", 0}, {"Archive", SPECIAL_ARCHIVE}, {"Drafts", SPECIAL_DRAFTS}, {"Junk", SPECIAL_JUNK},
	{"Sent", SPECIAL_SENT}, {"Trash", SPECIAL_TRASH}};

/* Above all of deleted accounts: one of them may have had this address (RFC 9051 §2.3.1.1), and clocks may go back. */
static void put_first_mailboxes(
	struct store *store, uint64_t account, uint64_t uidvalidity_taken, struct buffer *change)
{
	uint32_t now = (uint32_t)MAX(clock_wall_ms(store->settings.clock) / 1000, 1);

	if (now <= uidvalidity_taken)
		now = (uint32_t)uidvalidity_taken + 1;
	for (size_t i = 0; i < ARRAY_LEN(first_mailboxes); i++) {
		struct slice name = slice_of(first_mailboxes[i].name);
		struct op_mailbox op = {.id = id_make(account, i + 1),
			.modseq = 1,
			.uidvalidity = now + (uint32_t)i,
			.special_use = first_mailboxes[i].special_use,
			.name = name};

		op_put_mailbox(change, OP_MAILBOX_CREATE, &op);
		op_put_name(change, OP_SUBSCRIBE, true, name);
	}
}

struct adding_accounts {
	struct store *store;
	const struct actor *actor;
	MDB_txn *txn;            /* nothing but this call changes the directory meanwhile */
	struct number_map added; /* hashes of addresses in this round: the index does not know them yet */
	struct buffer normal, key, change;
	uint64_t next_id, seq, uidvalidity_taken;
};

/* The normal form and the key of an address that may become an account or an alias. */
static int address_free(struct adding_accounts *a, struct slice address)
{
	struct slice detail, value;
	uint64_t taken;
	int error;

	buffer_reset(&a->normal);
	buffer_reset(&a->key);
	error = address_normalise(address, true, &a->normal, &detail);
	if (!error && detail.at)
		error = -EINVAL;
	if (!error)
		error = address_key(buffer_slice(&a->normal), &a->key);
	if (error)
		return error;
	error = index_get(a->store->index, a->txn, TABLE_DOMAINS,
		slice_first(buffer_slice(&a->key), slice_find_byte(buffer_slice(&a->key), '\0')), &value);
	if (error)
		return error;
	if (number_map_get(&a->added, directory_hash(buffer_slice(&a->key)), &taken))
		return -EEXIST;
	error = index_get(a->store->index, a->txn, TABLE_ADDRESSES, buffer_slice(&a->key), &value);
	if (error == -ENOENT)
		error = index_get(a->store->index, a->txn, TABLE_ALIASES, buffer_slice(&a->key), &value);
	return error == -ENOENT ? 0 : error ? error : -EEXIST;
}

static int account_add(struct adding_accounts *a, const struct directory_account *account)
{
	struct op_account op = {.secret = account->secret,
		.quota_bytes = account->quota_bytes,
		.allowed = account->allowed & ALLOW_ALL,
		.disabled = account->disabled,
		.created_ms = clock_wall_ms(a->store->settings.clock)};
	int error = account->secret.len > DIRECTORY_SECRET_MAX ? -EINVAL : address_free(a, account->address);

	if (!error && a->next_id >= UINT32_MAX)
		error = -ENOBUFS;
	if (!error)
		error = number_map_put(&a->added, directory_hash(buffer_slice(&a->key)), 1);
	if (error)
		return error;
	op.address = buffer_slice(&a->normal);
	begin(a->store, &a->change, a->actor);
	op_put_account(&a->change, &op);
	put_first_mailboxes(a->store, a->next_id, a->uidvalidity_taken, &a->change);
	error = change_append(a->store, a->next_id, &a->change, &a->seq);
	if (!error)
		a->next_id++;
	return error;
}

/* Up to so many with one wait for the index. */
static int accounts_add_round(
	struct adding_accounts *a, const struct directory_account *accounts, size_t count, size_t *added)
{
	int error = index_begin(a->store->index, false, &a->txn), waited = 0;

	if (error)
		return error;
	a->next_id = 1;
	error = index_get_number(a->store->index, a->txn, TABLE_META, INDEX_NEXT_ACCOUNT, &a->next_id);
	if (!error || error == -ENOENT)
		error = index_get_number(a->store->index, a->txn, TABLE_META, INDEX_UIDVALIDITY, &a->uidvalidity_taken);
	if (error == -ENOENT)
		error = 0;
	for (size_t i = 0; !error && i < count; i++) {
		error = account_add(a, &accounts[i]);
		*added += !error;
	}
	mdb_txn_abort(a->txn);
	number_map_free(&a->added);
	if (a->seq)
		waited = store_wait_applied(a->store, a->seq);
	return waited ? waited : error;
}

static int accounts_add(struct store *store, const struct directory_account *accounts, size_t count,
	const struct actor *actor, size_t *ret_added, uint64_t *ret_last_id)
{
	struct adding_accounts a = {.store = store,
		.actor = actor,
		.normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4),
		.key = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4),
		.change = BUFFER_INIT(65536)};
	size_t added = 0;
	int error = 0;

	lock_take(&store->directory_lock);
	while (!error && added < count)
		error = accounts_add_round(&a, accounts + added, MIN(count - added, ADD_TOGETHER), &added);
	lock_give(&store->directory_lock);
	buffer_free(&a.normal);
	buffer_free(&a.key);
	buffer_free(&a.change);
	*ret_added = added;
	*ret_last_id = a.next_id - 1;
	return error;
}

int directory_accounts_add(struct store *store, const struct directory_account *accounts, size_t count,
	const struct actor *actor, size_t *ret_added)
{
	uint64_t last_id;

	return accounts_add(store, accounts, count, actor, ret_added, &last_id);
}

int directory_account_add(struct store *store, struct slice address, struct slice secret, uint64_t quota_bytes,
	const struct actor *actor, uint64_t *ret_id)
{
	struct directory_account account = {
		.address = address, .secret = secret, .quota_bytes = quota_bytes, .allowed = ALLOW_ALL};
	uint64_t id;
	size_t added;
	int error = accounts_add(store, &account, 1, actor, &added, &id);

	if (!error)
		*ret_id = id;
	return error;
}

static int account_change_apply(struct store *store, const struct directory_account *account,
	const struct directory_change *change, const struct actor *actor)
{
	struct buffer record = BUFFER_INIT(65536);
	struct op_account op = {.address = account->address,
		.secret = change->secret ? *change->secret : account->secret,
		.quota_bytes = change->quota_bytes ? *change->quota_bytes : account->quota_bytes,
		.allowed = (change->allowed ? *change->allowed : account->allowed) & ALLOW_ALL,
		.disabled = change->disabled ? *change->disabled : account->disabled,
		.created_ms = account->created_ms};
	int error = 0;

	if (op.secret.len > DIRECTORY_SECRET_MAX)
		return -EINVAL;
	begin(store, &record, actor);
	op_put_account(&record, &op);
	error = change_apply(store, account->id, &record);
	buffer_free(&record);
	return error;
}

static int account_delete_apply(struct store *store, uint64_t id, const struct actor *actor)
{
	struct buffer record = BUFFER_INIT(4096);
	int error;

	begin(store, &record, actor);
	op_put_number(&record, OP_ACCOUNT_DELETE, 0);
	error = change_apply(store, id, &record);
	buffer_free(&record);
	return error;
}

/* Changes it, or deletes it when there is no change. */
static int account_edit(
	struct store *store, struct slice address, const struct directory_change *change, const struct actor *actor)
{
	struct directory_account account;
	struct arena *arena = NULL;
	int error = arena_new(DIRECTORY_SECRET_MAX * 4, &arena);

	if (error)
		return error;
	lock_take(&store->directory_lock);
	error = directory_account_find(store, address, arena, &account);
	if (!error)
		error = change ? account_change_apply(store, &account, change, actor)
			       : account_delete_apply(store, account.id, actor);
	lock_give(&store->directory_lock);
	if (!error)
		shard_account_changed(store->shards[store_shard_of(store, account.id)], account.id);
	arena_free(&arena);
	return error;
}

int directory_account_change(
	struct store *store, struct slice address, const struct directory_change *change, const struct actor *actor)
{
	return account_edit(store, address, change, actor);
}

int directory_account_delete(struct store *store, struct slice address, const struct actor *actor)
{
	return account_edit(store, address, NULL, actor);
}

/* ---- Aliases ---- */

static int targets_normalise(
	struct store *store, const struct slice *targets, size_t count, struct buffer *text, struct slice *normal)
{
	size_t starts[DIRECTORY_ALIAS_TARGETS_MAX + 1];

	for (size_t i = 0; i < count; i++) {
		struct slice detail;
		bool there;
		int error;

		starts[i] = text->len;
		error = address_normalise(targets[i], false, text, &detail);
		if (error)
			return error;
		normal[i] = slice_from(buffer_slice(text), starts[i]);
		error = directory_has(
			store, TABLE_DOMAINS, slice_from(normal[i], slice_find_last_byte(normal[i], '@') + 1), &there);
		if (error || !there)
			return error ? error : -ENOENT;
	}
	starts[count] = text->len;
	for (size_t i = 0; i < count; i++)
		normal[i] = slice_make(text->at + starts[i], starts[i + 1] - starts[i]);
	return 0;
}

static int alias_apply(struct store *store, struct slice address, const struct slice *targets, size_t count)
{
	struct buffer change = BUFFER_INIT(1 << 20), text = BUFFER_INIT(1 << 17);
	struct slice normal[DIRECTORY_ALIAS_TARGETS_MAX];
	int error = targets_normalise(store, targets, count, &text, normal);

	if (!error) {
		begin(store, &change, NULL);
		op_put_alias(&change, address, normal, count);
		error = change_apply(store, 0, &change);
	}
	buffer_free(&change);
	buffer_free(&text);
	return error;
}

int directory_alias_set(struct store *store, struct slice address, const struct slice *targets, size_t count)
{
	struct buffer normal = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4), key = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4);
	struct slice detail;
	bool there = false, account = false;
	int error = count > DIRECTORY_ALIAS_TARGETS_MAX ? -EINVAL : address_normalise(address, true, &normal, &detail);

	if (!error && detail.at)
		error = -EINVAL;
	if (!error)
		error = address_key(buffer_slice(&normal), &key);
	lock_take(&store->directory_lock);
	if (!error)
		error = directory_has(store, count ? TABLE_DOMAINS : TABLE_ALIASES,
			count ? slice_first(buffer_slice(&key), slice_find_byte(buffer_slice(&key), '\0'))
			      : buffer_slice(&key),
			&there);
	if (!error && !there)
		error = -ENOENT;
	if (!error)
		error = directory_has(store, TABLE_ADDRESSES, buffer_slice(&key), &account);
	if (!error)
		error = account ? -EEXIST : alias_apply(store, buffer_slice(&normal), targets, count);
	lock_give(&store->directory_lock);
	buffer_free(&normal);
	buffer_free(&key);
	return error;
}
