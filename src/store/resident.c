/* An account in memory: mailboxes and counters always, a mailbox's entries when somebody asks for them. */
#include "store/resident.h"

#include "store/ids.h"

static int mailbox_load(struct account *account, const struct index_walk *walk)
{
	struct resident_mailbox *mailbox = calloc(1, sizeof(*mailbox));
	int error;

	if (!mailbox)
		return -ENOMEM;
	error = mailbox_row_read(walk->value, &mailbox->row);
	if (!error && !mailbox->row.pub.deleted) {
		mailbox->row.pub.id = key_number(walk->key, 0);
		mailbox->row.pub.account = account;
		error = resident_mailbox_insert(account, mailbox);
		if (!error)
			return 0;
	}
	resident_mailbox_free(mailbox);
	return error;
}

static int mailboxes_load(struct account *account, MDB_txn *txn)
{
	struct index *index = account->shard->store->index;
	struct index_key key = key_of(id_make(account->id, 0));
	struct index_walk walk = {NULL};
	int error = index_walk_from(index, txn, TABLE_MAILBOXES, key_slice(&key), &walk);

	while (!error && id_account(key_number(walk.key, 0)) == account->id) {
		error = mailbox_load(account, &walk);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int row_load(struct account *account, MDB_txn *txn, struct account_row *ret_row)
{
	struct index_key key = key_of(account->id);
	struct slice value = {NULL, 0};
	int error = index_get(account->shard->store->index, txn, TABLE_ACCOUNTS, key_slice(&key), &value);

	return error ? error : account_row_read(value, ret_row);
}

static int subscriptions_load(struct account *account, MDB_txn *txn)
{
	struct index_key key = key_of(account->id);
	struct slice value = {NULL, 0};
	int error = index_get(account->shard->store->index, txn, TABLE_SUBSCRIPTIONS, key_slice(&key), &value);

	if (error)
		return error == -ENOENT ? 0 : error;
	return name_set_decode(value, &account->subscriptions);
}

int resident_load(struct shard *shard, uint64_t id, struct account **ret_account)
{
	struct account *account;
	MDB_txn *txn;
	int error = shard_snapshot(shard, &txn);

	if (error)
		return error;
	account = calloc(1, sizeof(*account));
	if (!account)
		return -ENOMEM;
	account->id = id;
	account->shard = shard;
	resident_rows_init(account);
	error = id ? row_load(account, txn, &account->row) : -ENOENT;
	if (!error && account->row.deleted)
		error = -ENOENT;
	if (!error)
		error = mailboxes_load(account, txn);
	if (!error)
		error = subscriptions_load(account, txn);
	if (error) {
		resident_free(&account);
		return error;
	}
	*ret_account = account;
	return 0;
}

int account_refresh(struct account *account)
{
	struct account_row row;
	MDB_txn *txn;
	int error = shard_snapshot(account->shard, &txn);

	if (!error)
		error = row_load(account, txn, &row);
	if (error == -ENOENT) {
		account->row.deleted = account->ended = true;
		return 0;
	}
	if (error)
		return error;
	account->row.quota_bytes = row.quota_bytes;
	account->row.disabled = row.disabled;
	account->row.deleted = row.deleted;
	account->ended = row.deleted || row.disabled;
	return 0;
}

void resident_mailbox_free(struct resident_mailbox *mailbox)
{
	mailbox_row_clear(&mailbox->row);
	free(mailbox->entries);
	free(mailbox);
}

void resident_free(struct account **account)
{
	struct account *a = *account;

	if (!a)
		return;
	for (size_t i = 0; i < a->mailbox_count; i++)
		resident_mailbox_free(a->mailboxes[i]);
	for (size_t i = 0; i < a->gone_count; i++)
		resident_mailbox_free(a->gone[i]);
	free(a->mailboxes);
	free(a->gone);
	name_set_free(&a->subscriptions);
	number_map_free(&a->emails);
	number_map_free(&a->threads);
	number_map_free(&a->shares);
	free(a);
	*account = NULL;
}

/* Index of the first mailbox whose name is not before `name`. */
static size_t mailbox_place(const struct account *account, struct slice name)
{
	size_t low = 0, high = account->mailbox_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (name_compare(account->mailboxes[middle]->row.pub.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int resident_mailbox_insert(struct account *account, struct resident_mailbox *mailbox)
{
	size_t at = mailbox_place(account, mailbox->row.pub.name);

	if (account->mailbox_count == account->mailbox_room) {
		size_t room = MAX(account->mailbox_room * 2, 8);
		struct resident_mailbox **grown = realloc(account->mailboxes, room * sizeof(struct resident_mailbox *));

		if (!grown)
			return -ENOMEM;
		account->mailboxes = grown;
		account->mailbox_room = room;
	}
	memmove(account->mailboxes + at + 1, account->mailboxes + at,
		(account->mailbox_count - at) * sizeof(struct resident_mailbox *));
	account->mailboxes[at] = mailbox;
	account->mailbox_count++;
	return 0;
}

void resident_mailbox_take_out(struct account *account, struct resident_mailbox *mailbox)
{
	size_t at = mailbox_place(account, mailbox->row.pub.name);

	while (at < account->mailbox_count && account->mailboxes[at] != mailbox)
		at++;
	CHECK(at < account->mailbox_count);
	account->mailbox_count--;
	memmove(account->mailboxes + at, account->mailboxes + at + 1,
		(account->mailbox_count - at) * sizeof(struct resident_mailbox *));
}

struct mailbox *mailbox_find(struct account *account, struct slice name)
{
	static const struct slice inbox = {"INBOX", 5};
	size_t at = mailbox_place(account, name_is_inbox(name) ? inbox : name);

	if (at < account->mailbox_count &&
		slice_equal(account->mailboxes[at]->row.pub.name, name_is_inbox(name) ? inbox : name))
		return &account->mailboxes[at]->row.pub;
	return NULL;
}

struct mailbox *mailbox_by_id(struct account *account, uint64_t id)
{
	for (size_t i = 0; i < account->mailbox_count; i++) {
		if (account->mailboxes[i]->row.pub.id == id)
			return &account->mailboxes[i]->row.pub;
	}
	return NULL;
}

struct mailbox *mailbox_inbox(struct account *account)
{
	return mailbox_find(account, SLICE("INBOX"));
}

struct mailbox *mailbox_next(struct account *account, struct mailbox *after)
{
	size_t at = after ? mailbox_place(account, after->name) + 1 : 0;

	return at < account->mailbox_count ? &account->mailboxes[at]->row.pub : NULL;
}

/* ---- Entries ---- */

size_t entries_from(const struct resident_mailbox *mailbox, uint32_t uid)
{
	size_t low = 0, high = mailbox->count;

	if (high && mailbox->entries[high - 1].uid < uid)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mailbox->entries[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int entries_read(struct resident_mailbox *mailbox, MDB_txn *txn)
{
	struct index *index = mailbox->row.pub.account->shard->store->index;
	struct index_key key = key_entry(mailbox->row.pub.id, 0);
	struct index_walk walk = {NULL};
	int error = index_walk_from(index, txn, TABLE_ENTRIES, key_slice(&key), &walk);

	while (!error && key_number(walk.key, 0) == mailbox->row.pub.id) {
		if (walk.value.len != ENTRY_ROW_BYTES || walk.key.len != 12) {
			error = -EBADMSG;
			break;
		}
		if (mailbox->count == mailbox->room) {
			size_t room = MAX(mailbox->room * 2, 16);
			struct entry *grown = realloc(mailbox->entries, room * sizeof(*grown));

			if (!grown) {
				error = -ENOMEM;
				break;
			}
			mailbox->entries = grown;
			mailbox->room = room;
		}
		entry_row_read(walk.value.at, key_number32(walk.key, 8), &mailbox->entries[mailbox->count++]);
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

int resident_entries(struct resident_mailbox *mailbox)
{
	struct shard *shard = mailbox->row.pub.account->shard;
	size_t room = (size_t)mailbox->row.pub.messages + 8;
	MDB_txn *txn;
	int error;

	mailbox->used_us =
		shard->tick_us; /* it is asked for each entry that is read: a clock would cost as much as all the rest */
	if (mailbox->loaded)
		return 0;
	error = shard_snapshot(shard, &txn);
	if (error)
		return error;
	mailbox->entries = malloc(room * sizeof(*mailbox->entries));
	if (!mailbox->entries)
		return -ENOMEM;
	mailbox->room = room;
	mailbox->count = 0;
	error = entries_read(mailbox, txn);
	if (!error)
		error = resident_replay(mailbox, shard->txn_applied);
	if (!error && mailbox->count != mailbox->row.pub.messages)
		error = -EBADMSG;
	mailbox->loaded = true;
	if (error)
		resident_entries_drop(mailbox);
	return error;
}

void resident_entries_drop(struct resident_mailbox *mailbox)
{
	free(mailbox->entries);
	mailbox->entries = NULL;
	mailbox->count = mailbox->room = 0;
	mailbox->loaded = false;
}

void account_gone_sweep(struct account *account)
{
	size_t kept = 0;

	for (size_t i = 0; i < account->gone_count; i++) {
		if (account->gone[i]->views)
			account->gone[kept++] = account->gone[i];
		else
			resident_mailbox_free(account->gone[i]);
	}
	account->gone_count = kept;
}

/* ---- Pending records ---- */

static void pending_email_forget(struct account *account, struct pending *pending)
{
	struct reader r = READER_INIT(((struct slice){pending->change, pending->change_bytes}));
	struct change_head head;
	struct append_entry item;
	struct op op;

	change_head_read(&r, &head);
	while (op_next(&r, &op)) {
		struct reader items = op_list_reader(op.append.items);

		while (op.kind == OP_APPEND && append_entry_next(&items, &item)) {
			struct reader hashes = op_list_reader(item.email.hashes);

			number_map_delete(&account->emails, item.email.id);
			for (uint64_t i = 0; i < item.email.hashes.count; i++)
				number_map_delete(&account->threads, reader_le64(&hashes));
		}
	}
}

void account_pending_applied(struct account *account, struct pending *pending)
{
	CHECK(account->pending_first == pending);
	account->pending_first = pending->next_of_account;
	if (!account->pending_first) {
		account->pending_last = NULL;
		number_map_free(&account->shares);
	}
	if (pending->has_emails)
		pending_email_forget(account, pending);
	free(pending);
}
