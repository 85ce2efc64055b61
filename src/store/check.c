/* Checking a data directory: every record's and every frame's checksum, every reference, every counter. */
#include "store/check.h"
#include "store/body.h"

#include "store/ids.h"
#include "store/upkeep.h"

void check_report(struct checking *c, const char *format, ...)
{
	struct buffer line = BUFFER_INIT(1024);
	va_list args;

	va_start(args, format);
	buffer_vprintf(&line, format, args);
	va_end(args);
	c->findings++;
	if (c->check->report)
		c->check->report(c->check->context, buffer_slice(&line));
	buffer_free(&line);
}

/* ---- The journal ---- */

static int record_count(void *context, const struct record_read *record)
{
	struct checking *c = context;

	(void)record;
	c->records++;
	return 0;
}

static int segment_check(void *context, const struct segment_info *info)
{
	struct checking *c = context;
	int error = c->store->log->ops->segment_read(c->store->log, info->id, c->check->salvage, record_count, c);

	if (error == -EBADMSG) {
		check_report(c, "journal segment %llu is damaged", (unsigned long long)info->id);
		return 0;
	}
	return error;
}

/* ---- Bodies ---- */

static void body_check(struct checking *c, uint64_t id, const struct email_row *row)
{
	struct body_reader *reader;
	struct slice piece;
	uint64_t at = 0;
	int error = body_reader_for_row(c->store, row, &reader);

	if (!error) {
		while (at < row->bytes && !(error = body_reader_peek(reader, at, &piece)))
			at += piece.len;
		body_reader_free(&reader);
	}
	if (!error && at != row->bytes)
		error = -EBADMSG;
	if (error)
		check_report(c, "account %llu: the body of email %llu cannot be read: %s",
			(unsigned long long)id_account(id), (unsigned long long)id, strerror(-error));
}

static int emails_check(struct checking *c)
{
	struct index_key first = key_of(0);
	struct index_walk walk = {NULL};
	int error = index_walk_from(c->store->index, c->txn, TABLE_EMAILS, key_slice(&first), &walk);

	while (!error) {
		uint64_t id = key_number(walk.key, 0);
		struct email_row row;

		if (email_row_read(walk.value, &row)) {
			check_report(c, "the row of email %llu is damaged", (unsigned long long)id);
		} else {
			body_check(c, id, &row);
			error = check_live(c, &row);
		}
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int check_run(struct checking *c)
{
	int error = c->store->log->ops->segments(c->store->log, segment_check, c);

	if (!error)
		error = index_begin(c->store->index, false, &c->txn);
	if (error)
		return error;
	error = emails_check(c);
	if (!error)
		error = check_live_bytes(c);
	if (!error)
		error = check_accounts(c);
	mdb_txn_abort(c->txn);
	number_map_free(&c->live);
	return error;
}

int store_check(const struct store_settings *settings, const struct store_check *check)
{
	struct checking c = {.check = check};
	int error = store_open_quiet(settings, check->rebuild_index, check->salvage, &c.store);

	if (error == -EBADMSG)
		check_report(&c, "the journal or the index is damaged");
	if (error)
		return error;
	error = check_run(&c);
	store_close(&c.store);
	return error ? error : c.findings ? -EBADMSG : 0;
}
