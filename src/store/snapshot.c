#include "store/snapshot.h"

#include "store/address.h"
#include "store/directory.h"
#include "store/ids.h"

enum { PART_BYTES = 262144, LIST_BYTES = 131072, BUFFER_MAX = 1 << 26 };

struct snapshotting {
	struct store *store;
	MDB_txn *txn;
	bool reserve;
	uint64_t account, as_of, parts, bytes, seq;
	struct buffer part, list;
};

static int record_write(struct snapshotting *s, enum record_kind kind, struct slice payload)
{
	/* Parts need not be kept in memory for the applier; the end does. */
	struct appending what = {.account = s->account, .kind = kind, .reserve = s->reserve};
	int error;

	if (kind == RECORD_SNAPSHOT_END) {
		what.change = payload;
	} else {
		what.bodies = &payload;
		what.body_count = 1;
	}
	error = store_append(s->store, &what, NULL, &s->seq);
	s->bytes += payload.len;
	return error;
}

static int part_write(struct snapshotting *s, bool last)
{
	int error = buffer_error(&s->part);

	if (error || !s->part.len || (!last && s->part.len < PART_BYTES))
		return error;
	error = record_write(s, RECORD_SNAPSHOT_PART, buffer_slice(&s->part));
	s->parts++;
	buffer_reset(&s->part);
	return error;
}

static int number_write(struct snapshotting *s, enum record_kind kind)
{
	char bytes[32];
	struct buffer b = BUFFER_INIT(sizeof(bytes));
	int error;

	buffer_put_varint(&b, s->as_of);
	if (kind == RECORD_SNAPSHOT_END)
		buffer_put_varint(&b, s->parts);
	error = buffer_error(&b);
	if (!error)
		error = record_write(s, kind, buffer_slice(&b));
	buffer_free(&b);
	return error;
}

/* ---- Writing an account ---- */

static int put_account(struct snapshotting *s, bool *ret_there)
{
	struct index_key key = key_of(s->account);
	struct slice value;
	int error = index_get(s->store->index, s->txn, TABLE_ACCOUNTS, key_slice(&key), &value);

	*ret_there = !error;
	if (error)
		return error == -ENOENT ? 0 : error;
	op_put_row(&s->part, OP_STATE_ACCOUNT, value);
	error = index_get(s->store->index, s->txn, TABLE_IDENTITIES, key_slice(&key), &value);
	if (!error)
		buffer_put(&s->part, value); /* it is stored as the operation */
	if (!error || error == -ENOENT)
		error = index_get(s->store->index, s->txn, TABLE_SUBSCRIPTIONS, key_slice(&key), &value);
	if (error)
		return error == -ENOENT ? 0 : error;
	for (struct reader r = READER_INIT(value); r.rest.len && !r.error;)
		op_put_name(&s->part, OP_SUBSCRIBE, true, reader_sized(&r));
	return part_write(s, false);
}

/* Calls back for each row of the account in a table whose keys begin with its ids. */
static int rows_each(struct snapshotting *s, enum index_table table,
	int (*each)(struct snapshotting *s, const struct index_walk *walk))
{
	struct index_key key = key_of(id_make(s->account, 0));
	struct index_walk walk = {NULL};
	int error = index_walk_from(s->store->index, s->txn, table, key_slice(&key), &walk);

	while (!error && id_account(key_number(walk.key, 0)) == s->account) {
		error = each(s, &walk);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int put_mailbox(struct snapshotting *s, const struct index_walk *walk)
{
	buffer_reset(&s->list);
	buffer_put_le64(&s->list, key_number(walk->key, 0));
	buffer_put(&s->list, walk->value);
	op_put_row(&s->part, OP_STATE_MAILBOX, buffer_slice(&s->list));
	return part_write(s, false);
}

/* Rows gathered in `list` until they belong to another mailbox or MODSEQ, or are many. */
struct gathering {
	struct snapshotting *s;
	enum op_kind kind;
	uint64_t mailbox, modseq, count;
	struct slice head;
};

static int gathering_put(struct gathering *g)
{
	struct snapshotting *s = g->s;

	if (g->count || g->head.len)
		op_put_state(&s->part, g->kind, g->mailbox, g->modseq, g->head,
			(struct op_list){g->count, buffer_slice(&s->list)});
	g->count = 0;
	g->head = (struct slice){NULL, 0};
	buffer_reset(&s->list);
	return part_write(s, false);
}

static int put_entries(struct snapshotting *s, enum index_table table, enum op_kind kind)
{
	struct index_key key = key_of(id_make(s->account, 0));
	struct gathering g = {.s = s, .kind = kind};
	struct index_walk walk = {NULL};
	int error = index_walk_from(s->store->index, s->txn, table, key_slice(&key), &walk);

	buffer_reset(&s->list);
	while (!error && id_account(key_number(walk.key, 0)) == s->account) {
		uint64_t mailbox = key_number(walk.key, 0);
		uint64_t modseq = kind == OP_STATE_EXPUNGED ? key_number(walk.key, 8) : 0;
		uint32_t uid = key_number32(walk.key, kind == OP_STATE_EXPUNGED ? 16 : 8);

		if (mailbox != g.mailbox || modseq != g.modseq || s->list.len > LIST_BYTES)
			error = gathering_put(&g);
		g.mailbox = mailbox;
		g.modseq = modseq;
		if (uid) {
			buffer_put_le32(&s->list, uid);
			buffer_put(&s->list, walk.value);
			g.count++;
		} else {
			g.head = walk.value;
		}
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error && error != -ENOENT ? error : gathering_put(&g);
}

static int put_share(struct snapshotting *s, const struct index_walk *walk)
{
	struct op_list one = {1, {NULL, 0}};

	buffer_reset(&s->list);
	buffer_put_le64(&s->list, key_number(walk->key, 0));
	buffer_put(&s->list, walk->value);
	one.bytes = buffer_slice(&s->list);
	op_put_state(&s->part, OP_STATE_SHARES, 0, 0, (struct slice){NULL, 0}, one);
	return part_write(s, false);
}

/* Nothing else may be left that remembers what the accounts that are gone have given out. */
static int put_uidvalidity(struct snapshotting *s)
{
	uint64_t highest;
	int error = index_get_number(s->store->index, s->txn, TABLE_META, INDEX_UIDVALIDITY, &highest);

	if (!error)
		op_put_number(&s->part, OP_STATE_UIDVALIDITY, highest);
	return error == -ENOENT ? 0 : error;
}

static int account_put(struct snapshotting *s)
{
	bool there;
	int error = put_account(s, &there);

	if (!error && !there)
		error = put_uidvalidity(s);
	if (error || !there)
		return error;
	error = rows_each(s, TABLE_MAILBOXES, put_mailbox);
	if (!error)
		error = put_entries(s, TABLE_ENTRIES, OP_STATE_ENTRIES);
	if (!error)
		error = put_entries(s, TABLE_EXPUNGED, OP_STATE_EXPUNGED);
	if (!error)
		error = rows_each(s, TABLE_SHARES, put_share);
	return error;
}

/* ---- Writing the directory ---- */

static int table_each(struct snapshotting *s, enum index_table table,
	int (*each)(struct snapshotting *s, const struct index_walk *walk))
{
	struct index_walk walk = {NULL};
	int error = index_walk_from(s->store->index, s->txn, table, (struct slice){NULL, 0}, &walk);

	while (!error) {
		error = each(s, &walk);
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int put_domain(struct snapshotting *s, const struct index_walk *walk)
{
	op_put_name(&s->part, OP_DOMAIN, true, walk->key);
	return part_write(s, false);
}

static int put_alias(struct snapshotting *s, const struct index_walk *walk)
{
	struct reader r = READER_INIT(walk->value);
	struct slice targets[DIRECTORY_ALIAS_TARGETS_MAX];
	size_t count = 0;

	while (r.rest.len && count < ARRAY_LEN(targets))
		targets[count++] = reader_sized(&r);
	buffer_reset(&s->list);
	address_of_key(walk->key, &s->list);
	op_put_alias(&s->part, buffer_slice(&s->list), targets, count);
	return part_write(s, false);
}

static int directory_put(struct snapshotting *s)
{
	uint64_t next = 1;
	int error = index_get_number(s->store->index, s->txn, TABLE_META, INDEX_NEXT_ACCOUNT, &next);

	if (error && error != -ENOENT)
		return error;
	op_put_number(&s->part, OP_NEXT_ACCOUNT, next);
	error = put_uidvalidity(s);
	if (!error)
		error = table_each(s, TABLE_DOMAINS, put_domain);
	return error ? error : table_each(s, TABLE_ALIASES, put_alias);
}

int snapshot_write(struct store *store, uint64_t account, bool reserve, uint64_t *ret_bytes, uint64_t *ret_seq)
{
	struct snapshotting s = {.store = store,
		.account = account,
		.reserve = reserve,
		.part = BUFFER_INIT(BUFFER_MAX),
		.list = BUFFER_INIT(BUFFER_MAX)};
	int error = index_begin(store->index, false, &s.txn);

	if (error)
		return error;
	error = index_applied(store->index, s.txn, &s.as_of);
	if (!error)
		error = number_write(&s, RECORD_SNAPSHOT_BEGIN);
	if (!error)
		error = account ? account_put(&s) : directory_put(&s);
	if (!error)
		error = part_write(&s, true);
	mdb_txn_abort(s.txn);
	if (!error)
		error = number_write(&s, RECORD_SNAPSHOT_END);
	buffer_free(&s.part);
	buffer_free(&s.list);
	if (!error) {
		*ret_bytes = s.bytes;
		*ret_seq = s.seq;
	}
	return error;
}

/* ---- Loading ---- */

static int load_account(struct index_rows *rows, struct slice bytes)
{
	struct account_row *row = &rows->account;
	struct index_key expiry;
	int error = account_row_read(bytes, row);

	if (error)
		return error;
	rows->account_known = rows->account_there = true;
	if (!row->deleted)
		return 0;
	expiry = key_triple(row->deleted_ms > 0 ? (uint64_t)row->deleted_ms : 0, id_make(rows->rows.account, 0), 0);
	error = index_uidvalidity_note(rows, row->uidvalidity);
	if (error)
		return error;
	return index_put(rows->index, rows->txn, TABLE_EXPIRY, key_slice(&expiry), (struct slice){NULL, 0});
}

static int load_mailbox(struct index_rows *rows, struct slice row)
{
	struct reader r = READER_INIT(row);
	struct index_key key = key_of(reader_le64(&r));
	int error = reader_error(&r);

	return error ? error : index_put(rows->index, rows->txn, TABLE_MAILBOXES, key_slice(&key), r.rest);
}

static int load_entries(struct index_rows *rows, const struct op *op)
{
	struct reader r = READER_INIT(op->state.list.bytes);
	bool expunged = op->kind == OP_STATE_EXPUNGED;
	int error = 0;

	for (uint64_t i = 0; !error && i < op->state.list.count; i++) {
		uint32_t uid = reader_le32(&r);
		struct slice row = reader_bytes(&r, ENTRY_ROW_BYTES);
		struct index_key key = expunged ? key_expunged(op->state.mailbox, op->state.modseq, uid)
						: key_entry(op->state.mailbox, uid);

		error = reader_error(&r);
		if (!error)
			error = index_put(rows->index, rows->txn, expunged ? TABLE_EXPUNGED : TABLE_ENTRIES,
				key_slice(&key), row);
	}
	return error;
}

static int load_expunged(struct index_rows *rows, const struct op *op)
{
	struct reader head = READER_INIT(op->state.head);
	struct index_key key = key_expunged(op->state.mailbox, op->state.modseq, 0), expiry;
	int error = load_entries(rows, op);

	if (error || !op->state.head.len)
		return error;
	error = index_put(rows->index, rows->txn, TABLE_EXPUNGED, key_slice(&key), op->state.head);
	(void)reader_u8(&head);
	expiry = key_triple(reader_varint(&head), op->state.mailbox, op->state.modseq);
	if (!error)
		error = reader_error(&head);
	return error ? error
		     : index_put(rows->index, rows->txn, TABLE_EXPIRY, key_slice(&expiry), (struct slice){NULL, 0});
}

static int load_shares(struct index_rows *rows, const struct op *op)
{
	struct reader r = READER_INIT(op->state.list.bytes);
	int error = 0;

	for (uint64_t i = 0; !error && i < op->state.list.count; i++) {
		struct index_key key = key_of(reader_le64(&r));

		error = index_put_number(rows->index, rows->txn, TABLE_SHARES, key_slice(&key), reader_le64(&r));
	}
	return error;
}

static int load_op(struct index_rows *rows, const struct op *op)
{
	const struct rows_ops *ops = rows->rows.ops;

	switch (op->kind) {
	case OP_STATE_ACCOUNT:
		return load_account(rows, op->row);
	case OP_ACCOUNT_SET:
		return ops->identity(&rows->rows, &op->account);
	case OP_SUBSCRIBE:
		return ops->subscribe(&rows->rows, op->name.name, true);
	case OP_STATE_MAILBOX:
		return load_mailbox(rows, op->row);
	case OP_STATE_ENTRIES:
		return load_entries(rows, op);
	case OP_STATE_EXPUNGED:
		return load_expunged(rows, op);
	case OP_STATE_SHARES:
		return load_shares(rows, op);
	case OP_DOMAIN:
		return ops->domain(&rows->rows, op->name.name, true);
	case OP_ALIAS:
		return ops->alias(&rows->rows, &op->alias);
	case OP_STATE_UIDVALIDITY:
		return index_uidvalidity_note(rows, op->number);
	case OP_NEXT_ACCOUNT:
		return ops->next_account(&rows->rows, op->number);
	default:
		return -EBADMSG;
	}
}

int snapshot_load(struct index_rows *rows, uint64_t account, struct slice payload)
{
	struct reader r = READER_INIT(payload);
	struct op op;
	int error = index_rows_select(rows, account);

	while (!error && op_next(&r, &op))
		error = load_op(rows, &op);
	return error ? error : reader_error(&r);
}

int snapshot_loaded(struct index_rows *rows, uint64_t account, uint64_t as_of)
{
	struct account_row *row;
	int error = index_rows_select(rows, account);

	if (!error)
		error = rows->rows.ops->account(&rows->rows, account == 0, &row);
	if (!error)
		row->snapshot_seq = as_of;
	return error == -ENOENT ? 0 : error;
}
