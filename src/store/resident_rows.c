/* Folding into the memory of an account: live changes as they happen, and pending ones into entries that are being loaded. */
#include "store/fold.h"
#include "store/resident.h"

static struct resident_rows *resident_rows_of(struct rows *base)
{
	return CONTAINER_OF(base, struct resident_rows, rows);
}

static struct resident_mailbox *mailbox_of_row(struct resident_rows *rows, struct mailbox_row *row)
{
	return rows->only ? rows->only_mailbox : CONTAINER_OF(row, struct resident_mailbox, row);
}

static int res_account(struct rows *base, bool create, struct account_row **ret_row)
{
	struct resident_rows *rows = resident_rows_of(base);

	(void)create;
	*ret_row = rows->only ? &rows->only_account : &rows->of->row;
	return 0;
}

static int res_identity(struct rows *base, const struct op_account *identity)
{
	(void)base;
	(void)identity;
	return 0;
}

static int res_account_purge(struct rows *base, uint64_t deleted_ms)
{
	(void)base;
	(void)deleted_ms;
	return 0;
}

static int res_mailbox(struct rows *base, uint64_t id, struct mailbox_row **ret_row)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct mailbox *mailbox;

	if (rows->only) {
		if (id != rows->only_mailbox->row.pub.id)
			return -ENOENT;
		*ret_row = rows->only;
		return 0;
	}
	mailbox = mailbox_by_id(rows->of, id);
	if (!mailbox)
		return -ENOENT;
	*ret_row = &resident_of(mailbox)->row;
	return 0;
}

static int res_mailbox_add(struct rows *base, const struct op_mailbox *op, struct mailbox_row **ret_row)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct resident_mailbox *mailbox;
	int error;

	if (rows->only)
		return -ENOENT;
	mailbox = calloc(1, sizeof(*mailbox));
	if (!mailbox)
		return -ENOMEM;
	mailbox->row.pub.id = op->id;
	mailbox->row.pub.account = rows->of;
	mailbox->row.pub.uidvalidity = op->uidvalidity;
	mailbox->row.pub.special_use = op->special_use;
	mailbox->row.pub.uidnext = 1;
	mailbox->loaded = true; /* and empty */
	mailbox->used_us = clock_monotonic_us(rows->of->shard->store->settings.clock);
	error = mailbox_row_set_name(&mailbox->row, op->name);
	if (!error)
		error = resident_mailbox_insert(rows->of, mailbox);
	if (error) {
		resident_mailbox_free(mailbox);
		return error;
	}
	*ret_row = &mailbox->row;
	return 0;
}

static int res_mailbox_renamed(struct rows *base, struct mailbox_row *row, struct slice name)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct resident_mailbox *mailbox;
	int error, insert_error;

	if (rows->only)
		return 0;
	mailbox = mailbox_of_row(rows, row);
	resident_mailbox_take_out(rows->of, mailbox);
	error = mailbox_row_set_name(row, name);
	/* Back under the old name, if need be: whoever frees the account must find it. */
	insert_error = resident_mailbox_insert(rows->of, mailbox);
	return error ? error : insert_error;
}

static int res_mailbox_deleted(struct rows *base, struct mailbox_row *row)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct account *account = rows->of;

	if (rows->only)
		return 0;
	if (account->gone_count == account->gone_room) {
		size_t room = MAX(account->gone_room * 2, 4);
		struct resident_mailbox **grown = realloc(account->gone, room * sizeof(struct resident_mailbox *));

		if (!grown)
			return -ENOMEM;
		account->gone = grown;
		account->gone_room = room;
	}
	resident_mailbox_take_out(account, mailbox_of_row(rows, row));
	account->gone[account->gone_count++] = mailbox_of_row(rows, row);
	return 0;
}

static int res_subscribe(struct rows *base, struct slice name, bool on)
{
	struct resident_rows *rows = resident_rows_of(base);

	if (rows->only)
		return 0;
	if (on)
		return name_set_add(&rows->of->subscriptions, name);
	name_set_remove(&rows->of->subscriptions, name);
	return 0;
}

static int res_entry_from(struct rows *base, struct mailbox_row *row, uint32_t uid, struct entry *ret_entry)
{
	struct resident_mailbox *mailbox = mailbox_of_row(resident_rows_of(base), row);
	size_t at = entries_from(mailbox, uid);

	if (at == mailbox->count)
		return -ENOENT;
	*ret_entry = mailbox->entries[at];
	return 0;
}

static int res_entry_add(struct rows *base, struct mailbox_row *row, const struct entry *entry)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct resident_mailbox *mailbox = mailbox_of_row(rows, row);

	if (!rows->only && !mailbox->loaded)
		return 0;
	if (mailbox->count == mailbox->room) {
		size_t room = MAX(mailbox->room + mailbox->room / 2, 8);
		struct entry *grown = realloc(mailbox->entries, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		mailbox->entries = grown;
		mailbox->room = room;
	}
	mailbox->entries[mailbox->count++] = *entry;
	return 0;
}

static int res_entry_change(struct rows *base, struct mailbox_row *row, const struct entry *entry)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct resident_mailbox *mailbox = mailbox_of_row(rows, row);
	size_t at = entries_from(mailbox, entry->uid);
	bool visible;

	if (at == mailbox->count || mailbox->entries[at].uid != entry->uid)
		return -ENOENT;
	visible = mailbox->entries[at].modseq != entry->modseq;
	mailbox->entries[at] = *entry;
	for (struct view *view = rows->only || !visible ? NULL : mailbox->views; view; view = view->next) {
		if (view != rows->by)
			view_flags_changed(view, entry->uid, entry->modseq);
	}
	return 0;
}

static int views_lose(struct resident_mailbox *mailbox, const struct entry *entry)
{
	int error = 0;

	for (struct view *view = mailbox->views; !error && view; view = view->next)
		error = view_entry_gone(view, entry);
	return error;
}

/* One pass, however many ranges there are. */
static int res_entries_remove(struct rows *base, struct mailbox_row *row, struct op_list ranges)
{
	struct resident_rows *rows = resident_rows_of(base);
	struct resident_mailbox *mailbox = mailbox_of_row(rows, row);
	struct reader r = op_list_reader(ranges);
	struct uid_range range;
	uint32_t last = 0;
	size_t to = SIZE_MAX, from = 0;
	int error = 0;

	if (!mailbox->count || (!rows->only && row->pub.deleted))
		return 0; /* a deleted one's views go on reading them */
	while (!error && range_next(&r, &last, &range)) {
		size_t at = entries_from(mailbox, range.first);
		size_t kept = to == SIZE_MAX ? 0 : at - from;

		if (kept)
			memmove(mailbox->entries + to, mailbox->entries + from, kept * sizeof(*mailbox->entries));
		to = to == SIZE_MAX ? at : to + kept;
		for (from = at; !error && from < mailbox->count && mailbox->entries[from].uid <= range.last; from++) {
			if (!rows->only)
				error = views_lose(mailbox, &mailbox->entries[from]);
		}
	}
	if (to != SIZE_MAX) {
		memmove(mailbox->entries + to, mailbox->entries + from,
			(mailbox->count - from) * sizeof(*mailbox->entries));
		mailbox->count = to + mailbox->count - from;
	}
	return error;
}

static int res_expunged(struct rows *base, struct mailbox_row *row, uint64_t modseq, const struct entry *entry)
{
	(void)base;
	(void)row;
	(void)modseq;
	(void)entry;
	return 0;
}

static int res_expunged_head(
	struct rows *base, struct mailbox_row *row, uint64_t modseq, const struct change_head *head)
{
	(void)base;
	(void)row;
	(void)modseq;
	(void)head;
	return 0;
}

int resident_share(struct account *account, uint64_t email, uint32_t *ret_live)
{
	struct index_key key = key_of(email);
	uint64_t live;
	MDB_txn *txn;
	int error;

	if (number_map_get(&account->shares, email, &live)) {
		*ret_live = (uint32_t)live;
		return 0;
	}
	error = shard_snapshot(account->shard, &txn);
	if (!error)
		error = index_get_number(account->shard->store->index, txn, TABLE_SHARES, key_slice(&key), &live);
	if (!error)
		*ret_live = (uint32_t)live;
	return error;
}

static int res_share(struct rows *base, uint64_t email, uint32_t *ret_live, uint32_t *ret_kept)
{
	struct resident_rows *rows = resident_rows_of(base);

	*ret_kept = 0;
	return rows->only ? -ENOENT : resident_share(rows->of, email, ret_live);
}

static int res_share_put(struct rows *base, uint64_t email, uint32_t live, uint32_t kept)
{
	struct resident_rows *rows = resident_rows_of(base);

	(void)kept;
	return rows->only ? 0 : number_map_put(&rows->of->shares, email, live);
}

static int res_email(struct rows *base, const struct email_description *email, const struct folding *record)
{
	struct resident_rows *rows = resident_rows_of(base);

	(void)record;
	if (rows->only)
		return 0;
	rows->pending->has_emails = true;
	return number_map_put(&rows->of->emails, email->id, (uintptr_t)rows->pending);
}

/* Only what is in the index is relocated, and only the index needs to know. */
static int res_relocate(struct rows *base, const struct email_description *email, const struct folding *record)
{
	(void)base;
	(void)email;
	(void)record;
	return 0;
}

static int res_thread(struct rows *base, uint64_t hash, uint64_t thread)
{
	struct resident_rows *rows = resident_rows_of(base);

	return rows->only ? 0 : number_map_put(&rows->of->threads, hash ? hash : 1, thread);
}

static int res_purge(struct rows *base, const struct op_purge *op)
{
	(void)base;
	(void)op;
	return 0;
}

static int res_domain(struct rows *base, struct slice domain, bool on)
{
	(void)base;
	(void)domain;
	(void)on;
	return 0;
}

static int res_alias(struct rows *base, const struct op_alias *op)
{
	(void)base;
	(void)op;
	return 0;
}

static int res_next_account(struct rows *base, uint64_t next)
{
	(void)base;
	(void)next;
	return 0;
}

static const struct rows_ops resident_ops = {.account = res_account,
	.identity = res_identity,
	.account_purge = res_account_purge,
	.mailbox = res_mailbox,
	.mailbox_add = res_mailbox_add,
	.mailbox_renamed = res_mailbox_renamed,
	.mailbox_deleted = res_mailbox_deleted,
	.subscribe = res_subscribe,
	.entry_from = res_entry_from,
	.entry_add = res_entry_add,
	.entry_change = res_entry_change,
	.entries_remove = res_entries_remove,
	.expunged = res_expunged,
	.expunged_head = res_expunged_head,
	.share = res_share,
	.share_put = res_share_put,
	.email = res_email,
	.relocate = res_relocate,
	.thread = res_thread,
	.purge = res_purge,
	.domain = res_domain,
	.alias = res_alias,
	.next_account = res_next_account};

void resident_rows_init(struct account *account)
{
	account->fold.rows.ops = &resident_ops;
	account->fold.rows.account = account->id;
	account->fold.of = account;
}

int resident_fold(struct account *account, struct pending *pending, struct view *by)
{
	struct resident_rows *rows = &account->fold;
	struct folding record = pending_folding(pending);

	rows->only = NULL;
	rows->pending = pending;
	rows->by = by;
	return fold_change(&rows->rows, &record);
}

int resident_replay(struct resident_mailbox *mailbox, uint64_t after_seq)
{
	struct account *account = mailbox->row.pub.account;
	struct mailbox_row row = {.pub = {.id = mailbox->row.pub.id}};
	struct resident_rows rows = account->fold;
	int error = 0;

	rows.only = &row;
	rows.only_mailbox = mailbox;
	for (struct pending *p = account->pending_first; !error && p; p = p->next_of_account) {
		struct folding record = pending_folding(p);

		if (record.seq > after_seq)
			error = fold_change(&rows.rows, &record);
	}
	mailbox_row_clear(&row);
	return error;
}

/* Ranges of one pending operation that expunges from the mailbox. */
static bool op_expunges(const struct op *op, uint64_t mailbox, uint64_t *ret_modseq, struct op_list *ret_ranges)
{
	if (op->kind == OP_EXPUNGE && op->expunge.mailbox == mailbox) {
		*ret_modseq = op->expunge.modseq;
		*ret_ranges = op->expunge.ranges;
		return true;
	}
	if (op->kind == OP_COPY && op->copy.move && op->copy.mailbox == mailbox) {
		*ret_modseq = op->copy.modseq;
		*ret_ranges = op->copy.ranges;
		return true;
	}
	return false;
}

int resident_vanished(struct resident_mailbox *mailbox, uint64_t after_seq, uint64_t modseq, struct uid_list *uids)
{
	struct account *account = mailbox->row.pub.account;

	for (struct pending *p = account->pending_first; p; p = p->next_of_account) {
		struct reader r = READER_INIT(((struct slice){p->change, p->change_bytes}));
		struct change_head head;
		struct op op;

		if (p->record.seq <= after_seq)
			continue;
		change_head_read(&r, &head);
		while (op_next(&r, &op)) {
			struct op_list ranges = {0, {NULL, 0}};
			struct uid_range range;
			uint64_t when;
			uint32_t last = 0;
			struct reader list;

			if (!op_expunges(&op, mailbox->row.pub.id, &when, &ranges) || when <= modseq)
				continue;
			list = op_list_reader(ranges);
			while (range_next(&list, &last, &range))
				uid_list_add(uids, range.first, range.last);
		}
	}
	return uids->error;
}
