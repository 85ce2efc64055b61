#include "store/fold.h"
#include "store/ids.h"
#include "store/index_rows_more.h"

/* For whoever keeps what is made of emails. */
static int email_note(struct index_rows *rows, uint64_t id, uint64_t what)
{
	return number_map_add(&rows->emails, id_account(id), what);
}

static int large_mark(struct index_rows *rows, const struct frame_ref *ref, uint64_t id, bool present)
{
	struct index_key key = key_pair(ref->place.segment, id);

	if (present)
		return index_put(rows->index, rows->txn, TABLE_LARGE, key_slice(&key), (struct slice){NULL, 0});
	return index_delete(rows->index, rows->txn, TABLE_LARGE, key_slice(&key));
}

/* Counts what the email occupies in each segment, in or out. */
static int email_count(struct index_rows *rows, uint64_t id, const struct email_row *row, bool in)
{
	struct reader r = op_list_reader(row->frames);
	uint64_t home_bytes = email_row_home_bytes(row);
	struct frame_ref ref;
	int error = number_map_add(&rows->live, row->home, in ? home_bytes : -home_bytes);

	/* One that is only elsewhere now neither came nor went. */
	if (!error && !rows->relocating)
		error = email_note(rows, id, in ? INDEX_EMAIL_CAME : INDEX_EMAIL_WENT);
	while (!error && frame_ref_next(&r, &ref)) {
		uint64_t bytes = ref.stored_bytes;

		error = number_map_add(&rows->live, ref.place.segment, in ? bytes : -bytes);
		if (!error && ref.place.segment != row->home)
			error = large_mark(rows, &ref, id, in);
	}
	return error;
}

int index_email_forget(struct index_rows *rows, uint64_t id)
{
	struct index_key key = key_of(id);
	struct slice value = {NULL, 0};
	struct email_row row;
	int error = index_get(rows->index, rows->txn, TABLE_EMAILS, key_slice(&key), &value);

	if (error)
		return error == -ENOENT ? 0 : error;
	error = email_row_read(value, &row);
	if (error)
		return error;
	/* What LMDB returned is good until something is written, and counting writes. */
	buffer_reset(&rows->frames);
	buffer_put(&rows->frames, row.frames.bytes);
	row.frames.bytes = buffer_slice(&rows->frames);
	error = buffer_error(&rows->frames);
	if (!error)
		error = email_count(rows, id, &row, false);
	return error ? error : index_delete(rows->index, rows->txn, TABLE_EMAILS, key_slice(&key));
}

int index_email_put(struct index_rows *rows, uint64_t id, const struct email_row *row)
{
	struct index_key key = key_of(id);
	int error = email_count(rows, id, row, true);

	if (error)
		return error;
	buffer_reset(&rows->scratch);
	email_row_put(&rows->scratch, row);
	error = buffer_error(&rows->scratch);
	return error ? error
		     : index_put_next(
			       rows->index, rows->txn, TABLE_EMAILS, key_slice(&key), buffer_slice(&rows->scratch));
}

/* Frames as they came in: to be packed again. */
static int loose_count(struct index_rows *rows, struct op_list frames)
{
	struct reader r = op_list_reader(frames);
	struct frame_ref ref;
	int error = 0;

	while (!error && frame_ref_next(&r, &ref))
		error = number_map_add(&rows->loose, ref.place.segment, ref.stored_bytes);
	return error;
}

static int email_store(
	struct rows *base, const struct email_description *email, const struct folding *record, bool loose)
{
	struct index_rows *rows = index_rows_of(base);
	struct email_row row = {.thread = email->thread,
		.bytes = email->bytes,
		.home = record->place.segment,
		.described = email->described};
	int error = 0;

	if (id_account(email->id) != base->account)
		return -EBADMSG;
	if (rows->rebuilding)
		error = index_email_forget(rows, email->id);
	if (error)
		return error;
	buffer_reset(&rows->frames);
	frames_resolve(email->frames, record, &rows->frames);
	row.frames = (struct op_list){email->frames.count, buffer_slice(&rows->frames)};
	error = buffer_error(&rows->frames);
	if (!error && loose)
		error = loose_count(rows, row.frames);
	return error ? error : index_email_put(rows, email->id, &row);
}

int index_email(struct rows *base, const struct email_description *email, const struct folding *record)
{
	return email_store(base, email, record, true);
}

int index_relocate(struct rows *base, const struct email_description *email, const struct folding *record)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_of(email->id);
	struct slice value = {NULL, 0};
	int error;

	if (rows->rebuilding)
		return email_store(base, email, record, false);
	/* Purged since the compactor looked: it stays dead. */
	error = index_get(rows->index, rows->txn, TABLE_EMAILS, key_slice(&key), &value);
	if (error)
		return error == -ENOENT ? 0 : error;
	rows->relocating = true;
	error = index_email_forget(rows, email->id);
	if (!error)
		error = email_store(base, email, record, false);
	rows->relocating = false;
	return error;
}

/* One row of the history goes; so does its email when nothing else has it. */
static int expunged_release(struct index_rows *rows, const struct entry *entry)
{
	const struct rows_ops *ops = rows->rows.ops;
	struct index_key key = key_of(entry->email);
	uint32_t live = 0, kept = 1;
	int error = 0;

	if (entry->flags & ENTRY_MOVED)
		return 0;
	if (entry->flags & ENTRY_SHARED) {
		error = ops->share(&rows->rows, entry->email, &live, &kept);
		if (error)
			return error == -ENOENT ? 0 : error;
		kept -= kept > 0;
		if (live || kept)
			return ops->share_put(&rows->rows, entry->email, live, kept);
		error = index_delete(rows->index, rows->txn, TABLE_SHARES, key_slice(&key));
	}
	return error ? error : index_email_forget(rows, entry->email);
}

static int expunged_purge(struct index_rows *rows, const struct op_purge *op)
{
	struct index_key key = key_expunged(op->mailbox, op->modseq, 0);
	struct index_walk walk = {NULL};
	struct entry entry;
	int error = index_walk_from(rows->index, rows->txn, TABLE_EXPUNGED, key_slice(&key), &walk);

	while (!error && key_number(walk.key, 0) == op->mailbox && key_number(walk.key, 8) == op->modseq) {
		uint32_t uid = key_number32(walk.key, 16);

		if (uid && walk.value.len != ENTRY_ROW_BYTES)
			error = -EBADMSG;
		if (!error && uid) {
			entry_row_read(walk.value.at, uid, &entry);
			error = expunged_release(rows, &entry);
		}
		if (!error)
			error = index_walk_delete(&walk);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int mailbox_has_history(struct index_rows *rows, uint64_t id, bool *ret_has)
{
	struct index_key key = key_of(id);
	struct index_walk walk = {NULL};
	int error = index_walk_from(rows->index, rows->txn, TABLE_EXPUNGED, key_slice(&key), &walk);

	*ret_has = !error && key_number(walk.key, 0) == id;
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

int index_purge(struct rows *base, const struct op_purge *op)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key expiry = key_triple(op->when_ms > 0 ? (uint64_t)op->when_ms : 0, op->mailbox, op->modseq);
	struct mailbox_row *row;
	bool has_history;
	int error = index_delete(rows->index, rows->txn, TABLE_EXPIRY, key_slice(&expiry));

	if (!error)
		error = expunged_purge(rows, op);
	if (!error)
		error = index_mailbox_any(rows, op->mailbox, &row);
	if (error)
		return error == -ENOENT ? 0 : error;
	row->history_modseq = MAX(row->history_modseq, op->modseq);
	row->dirty = true;
	if (!row->pub.deleted)
		return 0;
	error = mailbox_has_history(rows, op->mailbox, &has_history);
	if (!error && !has_history)
		row->pub.uidvalidity = 0; /* index_mailbox_write() deletes it */
	return error;
}

int index_mailbox_write(struct index_rows *rows, struct mailbox_row *row)
{
	struct index_key key = key_of(row->pub.id);
	int error;

	if (row->pub.deleted && row->pub.uidvalidity == 0)
		return index_delete(rows->index, rows->txn, TABLE_MAILBOXES, key_slice(&key));
	buffer_reset(&rows->scratch);
	mailbox_row_put(&rows->scratch, row);
	error = buffer_error(&rows->scratch);
	return error ? error
		     : index_put(
			       rows->index, rows->txn, TABLE_MAILBOXES, key_slice(&key), buffer_slice(&rows->scratch));
}

/* Deletes every row whose key begins with a number from `first` on and below `end`. */
static int table_clear(struct index_rows *rows, enum index_table table, uint64_t first, uint64_t end)
{
	struct index_key key = key_of(first);
	struct index_walk walk = {NULL};
	int error = index_walk_from(rows->index, rows->txn, table, key_slice(&key), &walk);

	while (!error && key_number(walk.key, 0) < end) {
		if (table == TABLE_EMAILS) {
			struct email_row row;

			error = email_row_read(walk.value, &row);
			if (!error)
				error = email_count(rows, key_number(walk.key, 0), &row, false);
		}
		if (!error)
			error = index_walk_delete(&walk);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

int index_account_purge(struct rows *base, uint64_t deleted_ms)
{
	static const enum index_table by_id[] = {
		TABLE_MAILBOXES, TABLE_ENTRIES, TABLE_EMAILS, TABLE_SHARES, TABLE_EXPUNGED};
	static const enum index_table by_account[] = {TABLE_SUBSCRIPTIONS, TABLE_THREADS, TABLE_ACCOUNTS};
	struct index_rows *rows = index_rows_of(base);
	uint64_t account = base->account;
	struct index_key expiry = key_triple(deleted_ms, id_make(account, 0), 0);
	struct account_row *row;
	int error = index_delete(rows->index, rows->txn, TABLE_EXPIRY, key_slice(&expiry));

	if (!error)
		error = base->ops->account(base, false, &row);
	if (error || !row->deleted)
		return error == -ENOENT ? 0 : error;
	error = email_note(rows, id_make(account, 0), INDEX_EMAIL_WENT); /* even if it had none any more */
	index_account_forget(rows);
	for (size_t i = 0; !error && i < ARRAY_LEN(by_id); i++)
		error = table_clear(rows, by_id[i], id_make(account, 0), id_make(account + 1, 0));
	for (size_t i = 0; !error && i < ARRAY_LEN(by_account); i++)
		error = table_clear(rows, by_account[i], account, account + 1);
	return error;
}
