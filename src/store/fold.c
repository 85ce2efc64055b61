#include "store/fold.h"

#include "store/ids.h"

struct fold {
	struct rows *rows;
	const struct rows_ops *ops;
	const struct folding *record;
	struct change_head head;
};

/* 0 for "is not there": such an operation does nothing. */
static int missing_is_fine(int error)
{
	return error == -ENOENT ? 0 : error;
}

static void account_saw_id(struct account_row *account, uint64_t id)
{
	account->next_id = MAX(account->next_id, id_counter(id) + 1);
}

static void mailbox_saw_modseq(struct account_row *account, struct mailbox_row *row, uint64_t modseq)
{
	account->modseq = MAX(account->modseq, modseq);
	row->pub.highestmodseq = MAX(row->pub.highestmodseq, modseq);
	row->dirty = true;
}

static void count_in(struct mailbox_row *row, const struct entry *entry)
{
	row->pub.messages++;
	row->pub.unseen += !(entry->flags & FLAG_SEEN);
	row->pub.flagged_deleted += !!(entry->flags & FLAG_DELETED);
	row->pub.bytes += entry->bytes;
	row->dirty = true;
}

static void count_out(struct mailbox_row *row, const struct entry *entry)
{
	row->pub.messages--;
	row->pub.unseen -= !(entry->flags & FLAG_SEEN);
	row->pub.flagged_deleted -= !!(entry->flags & FLAG_DELETED);
	row->pub.bytes -= entry->bytes;
	row->dirty = true;
}

/* Account and mailbox of an operation; -ENOENT when one of them is not there. */
static int find(struct fold *f, uint64_t mailbox, struct account_row **ret_account, struct mailbox_row **ret_row)
{
	int error = f->ops->account(f->rows, false, ret_account);

	return error ? error : f->ops->mailbox(f->rows, mailbox, ret_row);
}

static int keywords_learn(struct mailbox_row *row, struct op_list keywords)
{
	struct reader r = op_list_reader(keywords);
	unsigned bit;

	for (uint64_t i = 0; i < keywords.count; i++) {
		int error = mailbox_row_add_keyword(row, reader_sized(&r), &bit);

		if (error && error != -ENOBUFS)
			return error;
	}
	row->dirty |= keywords.count > 0;
	return 0;
}

static int fold_account_set(struct fold *f, const struct op_account *op)
{
	struct account_row *row;
	int error = f->ops->account(f->rows, true, &row);

	if (error || row->deleted)
		return error;
	row->quota_bytes = op->quota_bytes;
	row->disabled = op->disabled;
	return f->ops->identity(f->rows, op);
}

static int fold_account_delete(struct fold *f)
{
	struct account_row *row;
	int error = f->ops->account(f->rows, false, &row);

	if (error || row->deleted)
		return missing_is_fine(error);
	row->deleted = true;
	row->deleted_ms = f->head.time_ms;
	error = f->ops->identity(f->rows, NULL);
	return error ? error : f->ops->expunged_head(f->rows, NULL, 0, &f->head);
}

static int fold_mailbox_create(struct fold *f, const struct op_mailbox *op)
{
	struct account_row *account;
	struct mailbox_row *row;
	int error = f->ops->account(f->rows, false, &account);

	if (!error)
		error = f->ops->mailbox_add(f->rows, op, &row);
	if (error)
		return missing_is_fine(error);
	account->uidvalidity = MAX(account->uidvalidity, op->uidvalidity);
	account_saw_id(account, op->id);
	mailbox_saw_modseq(account, row, op->modseq);
	return 0;
}

static int fold_mailbox_rename(struct fold *f, const struct op_mailbox *op)
{
	struct account_row *account;
	struct mailbox_row *row;
	int error = find(f, op->id, &account, &row);

	if (error)
		return missing_is_fine(error);
	account->modseq = MAX(account->modseq, op->modseq);
	row->dirty = true;
	return f->ops->mailbox_renamed(f->rows, row, op->name);
}

/* The account no longer shows the email in this entry; the space is its own again when no other entry does. */
static int entry_release(struct fold *f, struct account_row *account, const struct entry *entry)
{
	uint32_t live = 1, kept = 0;
	int error;

	if (entry->flags & ENTRY_SHARED) {
		error = f->ops->share(f->rows, entry->email, &live, &kept);
		if (!error)
			error = f->ops->share_put(f->rows, entry->email, live ? live - 1 : 0, kept + 1);
		if (error)
			return missing_is_fine(error);
	}
	if (live <= 1) {
		account->used_bytes -= MIN(account->used_bytes, entry->bytes);
		account->used_messages -= MIN(account->used_messages, 1);
	}
	return 0;
}

static int expunge_range(struct fold *f, struct account_row *account, struct mailbox_row *row, struct uid_range range,
	uint64_t modseq, bool moved)
{
	struct entry entry;
	uint64_t uid = range.first;
	int error = 0;

	while (!error && uid <= range.last) {
		error = f->ops->entry_from(f->rows, row, (uint32_t)uid, &entry);
		if (error || entry.uid > range.last)
			return missing_is_fine(error);
		count_out(row, &entry);
		if (!moved)
			error = entry_release(f, account, &entry);
		if (moved)
			entry.flags |= ENTRY_MOVED;
		if (!error)
			error = f->ops->expunged(f->rows, row, modseq, &entry);
		uid = (uint64_t)entry.uid + 1;
	}
	return error;
}

static int expunge_ranges(struct fold *f, struct account_row *account, struct mailbox_row *row, struct op_list ranges,
	uint64_t modseq, bool moved)
{
	struct reader r = op_list_reader(ranges);
	struct uid_range range;
	uint32_t last = 0;
	int error = 0;

	mailbox_saw_modseq(account, row, modseq);
	while (!error && range_next(&r, &last, &range))
		error = expunge_range(f, account, row, range, modseq, moved);
	if (!error)
		error = f->ops->expunged_head(f->rows, row, modseq, &f->head);
	return error ? error : f->ops->entries_remove(f->rows, row, ranges);
}

static int fold_expunge(struct fold *f, const struct op_expunge *op)
{
	struct account_row *account;
	struct mailbox_row *row;
	int error = find(f, op->mailbox, &account, &row);

	return error ? missing_is_fine(error) : expunge_ranges(f, account, row, op->ranges, op->modseq, false);
}

static int fold_mailbox_delete(struct fold *f, const struct op_mailbox *op)
{
	static const char everything[] = "\x01\xfe\xff\xff\xff\x0f"; /* the range 1 to UINT32_MAX */
	struct account_row *account;
	struct mailbox_row *row;
	int error = find(f, op->id, &account, &row);

	if (error)
		return missing_is_fine(error);
	error = f->ops->mailbox_deleted(f->rows, row);
	if (error)
		return error;
	row->pub.deleted = true;
	return expunge_ranges(
		f, account, row, (struct op_list){1, {everything, sizeof(everything) - 1}}, op->modseq, false);
}

static int email_fold(struct fold *f, const struct email_description *email)
{
	struct reader r = op_list_reader(email->hashes);
	int error = f->ops->email(f->rows, email, f->record);

	for (uint64_t i = 0; !error && i < email->hashes.count; i++)
		error = f->ops->thread(f->rows, reader_le64(&r), email->thread);
	return error;
}

static int append_one(struct fold *f, struct account_row *account, struct mailbox_row *row,
	const struct append_entry *item, const struct op_append *op)
{
	struct entry entry = {.uid = row->pub.uidnext,
		.flags = item->flags,
		.zone = item->zone,
		.modseq = op->modseq,
		.email = item->email.id,
		.keywords = item->keywords,
		.bytes = item->email.bytes,
		.internaldate = item->internaldate,
		.savedate = (uint32_t)(f->head.time_ms / 1000)};

	row->pub.uidnext++;
	account->used_bytes += entry.bytes;
	account->used_messages++;
	account_saw_id(account, item->email.id);
	if (id_account(item->email.thread) == f->record->account)
		account_saw_id(account, item->email.thread);
	count_in(row, &entry);
	return f->ops->entry_add(f->rows, row, &entry);
}

static int fold_append(struct fold *f, const struct op_append *op)
{
	struct account_row *account = NULL;
	struct mailbox_row *row = NULL;
	struct reader r = op_list_reader(op->items);
	struct append_entry item;
	int error = f->rows->emails_only ? 0 : find(f, op->mailbox, &account, &row);

	if (error)
		return missing_is_fine(error);
	if (row && op->first_uid < row->pub.uidnext)
		return -EBADMSG;
	if (row) {
		row->pub.uidnext = op->first_uid;
		mailbox_saw_modseq(account, row, op->modseq);
		error = keywords_learn(row, op->keywords);
	}
	while (!error && append_entry_next(&r, &item)) {
		error = email_fold(f, &item.email);
		if (!error && row)
			error = append_one(f, account, row, &item, op);
	}
	return error;
}

static void flags_apply(struct entry *entry, const struct op_flags *op)
{
	unsigned ours = entry->flags & ~FLAGS_ALL;

	switch (op->mode) {
	case FLAGS_REPLACE:
		entry->flags = (uint16_t)(ours | op->flags);
		entry->keywords = op->keywords;
		break;
	case FLAGS_ADD:
		entry->flags = (uint16_t)(entry->flags | op->flags);
		entry->keywords |= op->keywords;
		break;
	case FLAGS_REMOVE:
		entry->flags = (uint16_t)(entry->flags & ~op->flags);
		entry->keywords &= ~op->keywords;
		break;
	}
	entry->modseq = op->modseq;
}

static int flags_range(struct fold *f, struct mailbox_row *row, struct uid_range range, const struct op_flags *op)
{
	struct entry entry;
	uint64_t uid = range.first;
	int error = 0;

	while (!error && uid <= range.last) {
		error = f->ops->entry_from(f->rows, row, (uint32_t)uid, &entry);
		if (error || entry.uid > range.last)
			return missing_is_fine(error);
		count_out(row, &entry);
		flags_apply(&entry, op);
		count_in(row, &entry);
		error = f->ops->entry_change(f->rows, row, &entry);
		uid = (uint64_t)entry.uid + 1;
	}
	return error;
}

static int fold_flags(struct fold *f, const struct op_flags *op)
{
	struct reader r = op_list_reader(op->ranges);
	struct account_row *account;
	struct mailbox_row *row;
	struct uid_range range;
	uint32_t last = 0;
	int error = find(f, op->mailbox, &account, &row);

	if (error)
		return missing_is_fine(error);
	mailbox_saw_modseq(account, row, op->modseq);
	error = keywords_learn(row, op->new_keywords);
	while (!error && range_next(&r, &last, &range))
		error = flags_range(f, row, range, op);
	return error;
}

/* COPY: the source's entries are marked as sharing their email from now on; their MODSEQ stays. */
static int share_range(struct fold *f, struct mailbox_row *row, struct uid_range range)
{
	struct entry entry;
	uint64_t uid = range.first;
	int error = 0;

	while (!error && uid <= range.last) {
		error = f->ops->entry_from(f->rows, row, (uint32_t)uid, &entry);
		if (error || entry.uid > range.last)
			return missing_is_fine(error);
		if (!(entry.flags & ENTRY_SHARED)) {
			entry.flags |= ENTRY_SHARED;
			error = f->ops->entry_change(f->rows, row, &entry);
		}
		uid = (uint64_t)entry.uid + 1;
	}
	return error;
}

static int copy_source(struct fold *f, const struct op_copy *op)
{
	struct reader r = op_list_reader(op->ranges);
	struct account_row *account;
	struct mailbox_row *row;
	struct uid_range range;
	uint32_t last = 0;
	int error = find(f, op->mailbox, &account, &row);

	if (error)
		return missing_is_fine(error);
	if (op->move)
		return expunge_ranges(f, account, row, op->ranges, op->modseq, true);
	while (!error && range_next(&r, &last, &range))
		error = share_range(f, row, range);
	return error;
}

static int copy_one(struct fold *f, struct mailbox_row *row, struct entry *entry, const struct op_copy *op)
{
	uint32_t live, kept;
	int error;

	entry->uid = row->pub.uidnext++;
	entry->modseq = op->modseq;
	entry->savedate = (uint32_t)(f->head.time_ms / 1000);
	if (!op->move) {
		entry->flags |= ENTRY_SHARED;
		error = f->ops->share(f->rows, entry->email, &live, &kept);
		if (error == -ENOENT)
			live = 1, kept = 0;
		else if (error)
			return error;
		error = f->ops->share_put(f->rows, entry->email, live + 1, kept);
		if (error)
			return error;
	}
	count_in(row, entry);
	return f->ops->entry_add(f->rows, row, entry);
}

static int fold_copy(struct fold *f, const struct op_copy *op)
{
	struct reader r = op_list_reader(op->entries);
	struct account_row *account;
	struct mailbox_row *row;
	struct entry entry;
	int error = copy_source(f, op);

	if (!error)
		error = find(f, op->target, &account, &row);
	if (error)
		return missing_is_fine(error);
	if (op->first_uid < row->pub.uidnext)
		return -EBADMSG;
	row->pub.uidnext = op->first_uid;
	mailbox_saw_modseq(account, row, op->modseq);
	error = keywords_learn(row, op->new_keywords);
	while (!error && copied_entry_next(&r, &entry))
		error = copy_one(f, row, &entry, op);
	return error;
}

static int fold_relocate(struct fold *f, const struct email_description *email)
{
	struct reader r = op_list_reader(email->hashes);
	int error = f->ops->relocate(f->rows, email, f->record);

	/* Known already, but to a rebuild that no longer has the record that said so first. */
	for (uint64_t i = 0; !error && i < email->hashes.count; i++)
		error = f->ops->thread(f->rows, reader_le64(&r), email->thread);
	return error;
}

static int fold_directory_op(struct fold *f, const struct op *op)
{
	switch (op->kind) {
	case OP_DOMAIN:
		return f->ops->domain(f->rows, op->name.name, op->name.on);
	case OP_ALIAS:
		return f->ops->alias(f->rows, &op->alias);
	case OP_NEXT_ACCOUNT:
		return f->ops->next_account(f->rows, op->number);
	default: /* OP_STATE_...: only in snapshots, which are not folded */
		return -EBADMSG;
	}
}

static int fold_op(struct fold *f, const struct op *op)
{
	switch (op->kind) {
	case OP_ACCOUNT_SET:
		return fold_account_set(f, &op->account);
	case OP_ACCOUNT_DELETE:
		return fold_account_delete(f);
	case OP_ACCOUNT_PURGE:
		return f->ops->account_purge(f->rows, op->number);
	case OP_MAILBOX_CREATE:
		return fold_mailbox_create(f, &op->mailbox);
	case OP_MAILBOX_RENAME:
		return fold_mailbox_rename(f, &op->mailbox);
	case OP_MAILBOX_DELETE:
		return fold_mailbox_delete(f, &op->mailbox);
	case OP_SUBSCRIBE:
		return f->ops->subscribe(f->rows, op->name.name, op->name.on);
	case OP_APPEND:
		return fold_append(f, &op->append);
	case OP_FLAGS:
		return fold_flags(f, &op->flags);
	case OP_EXPUNGE:
		return fold_expunge(f, &op->expunge);
	case OP_COPY:
		return fold_copy(f, &op->copy);
	case OP_PURGE:
		return f->ops->purge(f->rows, &op->purge);
	case OP_RELOCATE:
		return fold_relocate(f, &op->relocate);
	default:
		return fold_directory_op(f, op);
	}
}

int fold_change(struct rows *rows, const struct folding *record)
{
	struct fold f = {rows, rows->ops, record, {0}};
	struct reader r = READER_INIT(record->change);
	struct op op;
	int error = 0;

	change_head_read(&r, &f.head);
	while (!error && op_next(&r, &op)) {
		bool about_emails = op.kind == OP_APPEND || op.kind == OP_RELOCATE;

		if (!rows->emails_only || about_emails)
			error = fold_op(&f, &op);
	}
	return error ? error : reader_error(&r);
}
