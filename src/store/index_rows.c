#include "store/index_rows.h"

#include "store/fold.h"
#include "store/ids.h"
#include "store/index_rows_more.h"

enum { SCRATCH_MAX = 1 << 28 };

static int rows_account(struct rows *base, bool create, struct account_row **ret_row)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_of(base->account);
	struct slice value = {NULL, 0};
	int error = 0;

	if (!rows->account_known) {
		error = index_get(rows->index, rows->txn, TABLE_ACCOUNTS, key_slice(&key), &value);
		if (error && error != -ENOENT)
			return error;
		rows->account_there = !error;
		if (!error)
			error = account_row_read(value, &rows->account);
		if (error && error != -ENOENT)
			return error;
		rows->account_known = true;
	}
	if (!rows->account_there) {
		if (!create)
			return -ENOENT;
		rows->account = (struct account_row){.modseq = 1, .next_id = 1};
		rows->account_there = true;
	}
	*ret_row = &rows->account;
	return 0;
}

static int mailbox_hold(struct index_rows *rows, struct mailbox_row *row)
{
	if (rows->mailbox_count == rows->mailbox_room) {
		size_t room = MAX(rows->mailbox_room * 2, 8);
		struct mailbox_row **grown = realloc(rows->mailboxes, room * sizeof(struct mailbox_row *));

		if (!grown)
			return -ENOMEM;
		rows->mailboxes = grown;
		rows->mailbox_room = room;
	}
	rows->mailboxes[rows->mailbox_count++] = row;
	return 0;
}

static int mailbox_new(struct index_rows *rows, uint64_t id, struct slice stored, struct mailbox_row **ret_row)
{
	struct mailbox_row *row = calloc(1, sizeof(*row));
	int error = row ? 0 : -ENOMEM;

	if (!error && stored.len)
		error = mailbox_row_read(stored, row);
	if (!error)
		error = mailbox_hold(rows, row);
	if (error) {
		if (row)
			mailbox_row_clear(row);
		free(row);
		return error;
	}
	row->pub.id = id;
	*ret_row = row;
	return 0;
}

/* Deleted ones, too. */
int index_mailbox_any(struct index_rows *rows, uint64_t id, struct mailbox_row **ret_row)
{
	struct index_key key = key_of(id);
	struct slice value = {NULL, 0};
	int error;

	for (size_t i = 0; i < rows->mailbox_count; i++) {
		if (rows->mailboxes[i]->pub.id == id) {
			*ret_row = rows->mailboxes[i];
			return 0;
		}
	}
	if (id_account(id) != rows->rows.account)
		return -ENOENT;
	error = index_get(rows->index, rows->txn, TABLE_MAILBOXES, key_slice(&key), &value);
	return error ? error : mailbox_new(rows, id, value, ret_row);
}

static int rows_mailbox(struct rows *base, uint64_t id, struct mailbox_row **ret_row)
{
	struct mailbox_row *row;
	int error = index_mailbox_any(index_rows_of(base), id, &row);

	if (error)
		return error;
	if (row->pub.deleted)
		return -ENOENT;
	*ret_row = row;
	return 0;
}

static int rows_mailbox_add(struct rows *base, const struct op_mailbox *op, struct mailbox_row **ret_row)
{
	struct index_rows *rows = index_rows_of(base);
	struct mailbox_row *row;
	int error;

	if (id_account(op->id) != base->account)
		return -EBADMSG;
	error = index_mailbox_any(rows, op->id, &row);
	if (!error)
		return -EBADMSG;
	if (error == -ENOENT)
		error = mailbox_new(rows, op->id, (struct slice){NULL, 0}, &row);
	if (!error)
		error = mailbox_row_set_name(row, op->name);
	if (error)
		return error;
	row->pub.uidvalidity = op->uidvalidity;
	row->pub.special_use = op->special_use;
	row->pub.uidnext = 1;
	*ret_row = row;
	return 0;
}

static int rows_mailbox_renamed(struct rows *base, struct mailbox_row *row, struct slice name)
{
	(void)base;
	return mailbox_row_set_name(row, name);
}

static int rows_mailbox_deleted(struct rows *base, struct mailbox_row *row)
{
	(void)base;
	row->dirty = true;
	return 0;
}

static int rows_subscribe(struct rows *base, struct slice name, bool on)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_of(base->account);
	struct account_row *account;
	struct slice value = {NULL, 0};
	int error = rows_account(base, false, &account);

	if (error)
		return error == -ENOENT ? 0 : error;
	if (!rows->subscriptions_known) {
		error = index_get(rows->index, rows->txn, TABLE_SUBSCRIPTIONS, key_slice(&key), &value);
		if (!error)
			error = name_set_decode(value, &rows->subscriptions);
		if (error && error != -ENOENT)
			return error;
		rows->subscriptions_known = true;
	}
	rows->subscriptions_dirty = true;
	if (on)
		return name_set_add(&rows->subscriptions, name);
	name_set_remove(&rows->subscriptions, name);
	return 0;
}

static int rows_entry_from(struct rows *base, struct mailbox_row *row, uint32_t uid, struct entry *ret_entry)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_entry(row->pub.id, uid);
	int error = index_walk_from(rows->index, rows->txn, TABLE_ENTRIES, key_slice(&key), &rows->entries);

	if (error)
		return error;
	if (key_number(rows->entries.key, 0) != row->pub.id)
		return -ENOENT;
	if (rows->entries.key.len != 12 || rows->entries.value.len != ENTRY_ROW_BYTES)
		return -EBADMSG;
	entry_row_read(rows->entries.value.at, key_number32(rows->entries.key, 8), ret_entry);
	return 0;
}

static int rows_entry_put(struct rows *base, struct mailbox_row *row, const struct entry *entry)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_entry(row->pub.id, entry->uid);
	char bytes[ENTRY_ROW_BYTES];

	entry_row_put(bytes, entry);
	return index_put(rows->index, rows->txn, TABLE_ENTRIES, key_slice(&key), slice_make(bytes, sizeof(bytes)));
}

static int remove_range(struct index_rows *rows, uint64_t mailbox, struct uid_range range)
{
	struct index_key key = key_entry(mailbox, range.first);
	int error = index_walk_from(rows->index, rows->txn, TABLE_ENTRIES, key_slice(&key), &rows->entries);

	while (!error && key_number(rows->entries.key, 0) == mailbox &&
		key_number32(rows->entries.key, 8) <= range.last) {
		error = index_walk_delete(&rows->entries);
		if (!error)
			error = index_walk_next(&rows->entries);
	}
	return error == -ENOENT ? 0 : error;
}

static int rows_entries_remove(struct rows *base, struct mailbox_row *row, struct op_list ranges)
{
	struct reader r = op_list_reader(ranges);
	struct uid_range range;
	uint32_t last = 0;
	int error = 0;

	while (!error && range_next(&r, &last, &range))
		error = remove_range(index_rows_of(base), row->pub.id, range);
	return error;
}

static int rows_expunged(struct rows *base, struct mailbox_row *row, uint64_t modseq, const struct entry *entry)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_expunged(row->pub.id, modseq, entry->uid);
	char bytes[ENTRY_ROW_BYTES];

	entry_row_put(bytes, entry);
	return index_put(rows->index, rows->txn, TABLE_EXPUNGED, key_slice(&key), slice_make(bytes, sizeof(bytes)));
}

static int rows_expunged_head(
	struct rows *base, struct mailbox_row *row, uint64_t modseq, const struct change_head *head)
{
	struct index_rows *rows = index_rows_of(base);
	uint64_t when = head->time_ms > 0 ? (uint64_t)head->time_ms : 0;
	uint64_t mailbox = row ? row->pub.id : id_make(base->account, 0);
	struct index_key expiry = key_triple(when, mailbox, modseq);
	struct index_key key = key_expunged(mailbox, modseq, 0);
	struct buffer *b = &rows->scratch;
	int error;

	error = index_put(rows->index, rows->txn, TABLE_EXPIRY, key_slice(&expiry), (struct slice){NULL, 0});
	if (error || !row)
		return error;
	buffer_reset(b);
	buffer_put_byte(b, (char)head->protocol);
	buffer_put_varint(b, when);
	buffer_put_sized(b, head->device);
	buffer_put_sized(b, head->address);
	error = buffer_error(b);
	return error ? error : index_put(rows->index, rows->txn, TABLE_EXPUNGED, key_slice(&key), buffer_slice(b));
}

static int rows_share(struct rows *base, uint64_t email, uint32_t *ret_live, uint32_t *ret_kept)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_of(email);
	uint64_t counts = 0;
	int error = index_get_number(rows->index, rows->txn, TABLE_SHARES, key_slice(&key), &counts);

	if (error)
		return error;
	*ret_live = (uint32_t)counts;
	*ret_kept = (uint32_t)(counts >> 32);
	return 0;
}

static int rows_share_put(struct rows *base, uint64_t email, uint32_t live, uint32_t kept)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_of(email);

	return index_put_number(rows->index, rows->txn, TABLE_SHARES, key_slice(&key), (uint64_t)kept << 32 | live);
}

static int rows_thread(struct rows *base, uint64_t hash, uint64_t thread)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_pair(base->account, hash);

	return index_put_number(rows->index, rows->txn, TABLE_THREADS, key_slice(&key), thread);
}

static const struct rows_ops index_rows_ops = {.account = rows_account,
	.identity = index_identity,
	.account_purge = index_account_purge,
	.mailbox = rows_mailbox,
	.mailbox_add = rows_mailbox_add,
	.mailbox_renamed = rows_mailbox_renamed,
	.mailbox_deleted = rows_mailbox_deleted,
	.subscribe = rows_subscribe,
	.entry_from = rows_entry_from,
	.entry_add = rows_entry_put,
	.entry_change = rows_entry_put,
	.entries_remove = rows_entries_remove,
	.expunged = rows_expunged,
	.expunged_head = rows_expunged_head,
	.share = rows_share,
	.share_put = rows_share_put,
	.email = index_email,
	.relocate = index_relocate,
	.thread = rows_thread,
	.purge = index_purge,
	.domain = index_domain,
	.alias = index_alias,
	.next_account = index_next_account};

int index_rows_new(struct index *index, struct index_rows **ret_rows)
{
	struct index_rows *rows = calloc(1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	rows->rows.ops = &index_rows_ops;
	rows->index = index;
	rows->scratch = BUFFER_INIT(SCRATCH_MAX);
	rows->frames = BUFFER_INIT(SCRATCH_MAX);
	*ret_rows = rows;
	return 0;
}

void index_account_forget(struct index_rows *rows)
{
	for (size_t i = 0; i < rows->mailbox_count; i++) {
		mailbox_row_clear(rows->mailboxes[i]);
		free(rows->mailboxes[i]);
	}
	rows->mailbox_count = 0;
	name_set_free(&rows->subscriptions);
	rows->subscriptions_known = rows->subscriptions_dirty = false;
	rows->account_known = rows->account_there = false;
}

void index_rows_start(struct index_rows *rows, MDB_txn *txn)
{
	index_account_forget(rows);
	number_map_free(&rows->live);
	number_map_free(&rows->loose);
	number_map_free(&rows->emails);
	rows->next_account = 0;
	rows->rows.account = UINT64_MAX;
	rows->txn = txn;
	rows->entries = (struct index_walk){NULL};
}

void index_rows_free(struct index_rows **rows)
{
	if (!*rows)
		return;
	index_account_forget(*rows);
	number_map_free(&(*rows)->live);
	number_map_free(&(*rows)->loose);
	number_map_free(&(*rows)->emails);
	free((*rows)->mailboxes);
	buffer_free(&(*rows)->scratch);
	buffer_free(&(*rows)->frames);
	free(*rows);
	*rows = NULL;
}

static int account_write(struct index_rows *rows)
{
	struct index_key key = key_of(rows->rows.account);
	struct buffer *b = &rows->scratch;
	int error = 0;

	if (rows->account_there) {
		buffer_reset(b);
		account_row_put(b, &rows->account);
		error = buffer_error(b);
		if (!error)
			error = index_put(rows->index, rows->txn, TABLE_ACCOUNTS, key_slice(&key), buffer_slice(b));
	}
	if (!error && rows->subscriptions_dirty) {
		buffer_reset(b);
		name_set_encode(&rows->subscriptions, b);
		error = buffer_error(b);
		if (!error)
			error = index_put(
				rows->index, rows->txn, TABLE_SUBSCRIPTIONS, key_slice(&key), buffer_slice(b));
	}
	for (size_t i = 0; !error && i < rows->mailbox_count; i++) {
		if (rows->mailboxes[i]->dirty)
			error = index_mailbox_write(rows, rows->mailboxes[i]);
	}
	return error;
}

int index_rows_select(struct index_rows *rows, uint64_t account)
{
	int error = 0;

	if (rows->rows.account == account)
		return 0;
	error = account_write(rows);
	index_account_forget(rows);
	rows->rows.account = account;
	return error;
}

int index_rows_fold(struct index_rows *rows, const struct folding *record)
{
	int error = index_rows_select(rows, record->account);

	return error ? error : fold_change(&rows->rows, record);
}

static int live_write(struct index_rows *rows)
{
	int error = 0;

	for (size_t i = 0; !error && i < rows->live.room; i++) {
		const struct number_slot *slot = &rows->live.slots[i];
		struct segment_row row;
		uint64_t loose = 0;

		if (!slot->key)
			continue;
		(void)number_map_get(&rows->loose, slot->key, &loose);
		if (!slot->value && !loose)
			continue;
		error = index_segment_get(rows->index, rows->txn, slot->key, &row);
		row.live += slot->value;
		row.loose += loose;
		if (!error)
			error = index_segment_put(rows->index, rows->txn, slot->key, &row);
	}
	return error;
}

int index_rows_finish(struct index_rows *rows)
{
	uint64_t next = 0;
	int error;

	index_walk_end(&rows->entries);
	error = index_rows_select(rows, UINT64_MAX);
	if (!error)
		error = live_write(rows);
	if (error || !rows->next_account)
		return error;
	error = index_get_number(rows->index, rows->txn, TABLE_META, INDEX_NEXT_ACCOUNT, &next);
	if (error == -ENOENT)
		error = 0;
	if (error || rows->next_account <= next)
		return error;
	return index_put_number(rows->index, rows->txn, TABLE_META, INDEX_NEXT_ACCOUNT, rows->next_account);
}
