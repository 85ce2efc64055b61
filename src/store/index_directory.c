#include "store/address.h"
#include "store/index_rows_more.h"

static int address_put(struct index_rows *rows, struct slice address)
{
	int error;

	buffer_reset(&rows->scratch);
	error = address_key(address, &rows->scratch);
	if (error)
		return -EBADMSG;
	return index_put_number(
		rows->index, rows->txn, TABLE_ADDRESSES, buffer_slice(&rows->scratch), rows->rows.account);
}

int index_uidvalidity_note(struct index_rows *rows, uint64_t highest)
{
	uint64_t known = 0;
	int error = index_get_number(rows->index, rows->txn, TABLE_META, INDEX_UIDVALIDITY, &known);

	if ((error && error != -ENOENT) || highest <= known)
		return error == -ENOENT ? 0 : error;
	return index_put_number(rows->index, rows->txn, TABLE_META, INDEX_UIDVALIDITY, highest);
}

static int identity_delete(struct index_rows *rows)
{
	struct index_key key = key_of(rows->rows.account);
	struct slice value = {NULL, 0};
	struct reader r;
	struct op op;
	int error = index_uidvalidity_note(rows, rows->account.uidvalidity);

	if (!error)
		error = index_get(rows->index, rows->txn, TABLE_IDENTITIES, key_slice(&key), &value);
	if (error)
		return error == -ENOENT ? 0 : error;
	r = READER_INIT(value);
	if (!op_next(&r, &op) || op.kind != OP_ACCOUNT_SET)
		return -EBADMSG;
	buffer_reset(&rows->scratch);
	error = address_key(op.account.address, &rows->scratch);
	if (!error)
		error = index_delete(rows->index, rows->txn, TABLE_ADDRESSES, buffer_slice(&rows->scratch));
	return error ? error : index_delete(rows->index, rows->txn, TABLE_IDENTITIES, key_slice(&key));
}

int index_identity(struct rows *base, const struct op_account *identity)
{
	struct index_rows *rows = index_rows_of(base);
	struct index_key key = key_of(base->account);
	int error;

	if (!identity)
		return identity_delete(rows);
	error = address_put(rows, identity->address);
	if (error)
		return error;
	buffer_reset(&rows->scratch);
	op_put_account(&rows->scratch, identity);
	error = buffer_error(&rows->scratch);
	if (!error)
		error = index_put(
			rows->index, rows->txn, TABLE_IDENTITIES, key_slice(&key), buffer_slice(&rows->scratch));
	return error ? error : index_next_account(base, base->account + 1);
}

int index_domain(struct rows *base, struct slice domain, bool on)
{
	struct index_rows *rows = index_rows_of(base);

	if (!domain.len || domain.len > 255)
		return -EBADMSG;
	if (on)
		return index_put(rows->index, rows->txn, TABLE_DOMAINS, domain, (struct slice){NULL, 0});
	return index_delete(rows->index, rows->txn, TABLE_DOMAINS, domain);
}

int index_alias(struct rows *base, const struct op_alias *op)
{
	struct index_rows *rows = index_rows_of(base);

	buffer_reset(&rows->scratch);
	if (address_key(op->address, &rows->scratch))
		return -EBADMSG;
	if (!op->targets.count)
		return index_delete(rows->index, rows->txn, TABLE_ALIASES, buffer_slice(&rows->scratch));
	return index_put(rows->index, rows->txn, TABLE_ALIASES, buffer_slice(&rows->scratch), op->targets.bytes);
}

int index_next_account(struct rows *base, uint64_t next)
{
	struct index_rows *rows = index_rows_of(base);

	rows->next_account = MAX(rows->next_account, next);
	return 0;
}
