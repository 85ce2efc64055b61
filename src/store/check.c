/* Checking a data directory: every record's and every frame's checksum, every reference, every counter. */
#include "store/check.h"
#include "store/body.h"

#include "store/ids.h"
#include "store/index_rows.h"
#include "store/searcher.h"
#include "store/upkeep.h"

enum { NOTICES_MAX = 1 << 20 };

void check_report(struct checking *c, const char *format, ...)
{
	struct buffer line = BUFFER_INIT(4096);
	va_list args;

	va_start(args, format);
	buffer_vprintf(&line, format, args);
	va_end(args);
	c->findings++;
	if (c->check->report)
		c->check->report(c->check->context, buffer_slice(&line));
	buffer_free(&line);
}

void check_account_name(struct checking *c, uint64_t account, struct buffer *out)
{
	struct index_key key = key_of(account);
	struct slice value = {NULL, 0};
	MDB_txn *txn;
	struct op op;
	bool known = false;

	if (index_begin(c->store->index, false, &txn) == 0) {
		if (index_get(c->store->index, txn, TABLE_IDENTITIES, key_slice(&key), &value) == 0) {
			struct reader r = READER_INIT(value);

			known = op_next(&r, &op) && op.kind == OP_ACCOUNT_SET;
			if (known)
				buffer_put(out, op.account.address);
		}
		mdb_txn_abort(txn);
	}
	if (!known)
		buffer_printf(out, "account %llu", (unsigned long long)account);
}

void check_free(struct checking *c)
{
	number_map_free(&c->live);
	number_map_free(&c->damaged);
	number_map_free(&c->unreadable);
	buffer_free(&c->notices);
}

/* ---- Bodies ---- */

static bool is_in_damage(const struct checking *c, const struct email_row *row)
{
	struct reader r = op_list_reader(row->frames);
	struct frame_ref ref;

	while (frame_ref_next(&r, &ref)) {
		if (check_is_damaged(c, &ref.place))
			return true;
	}
	return false;
}

static int body_read(struct checking *c, const struct email_row *row)
{
	struct body_reader *reader;
	struct slice piece;
	uint64_t at = 0;
	int error = body_reader_for_row(c->store, row, &reader);

	if (error)
		return error;
	while (at < row->bytes && !(error = body_reader_peek(reader, at, &piece)))
		at += piece.len;
	body_reader_free(&reader);
	return error ? error : at != row->bytes ? -EBADMSG : 0;
}

static int body_check(struct checking *c, uint64_t id, const struct email_row *row)
{
	int error = body_read(c, row);

	if (error)
		return number_map_put(&c->unreadable, id, CHECK_UNREADABLE);
	return is_in_damage(c, row) ? number_map_put(&c->unreadable, id, CHECK_IN_DAMAGED_RECORD) : 0;
}

int check_emails(struct checking *c, uint64_t first, uint64_t end)
{
	struct index_key key = key_of(first);
	struct index_walk walk = {NULL};
	int error = index_walk_from(c->store->index, c->txn, TABLE_EMAILS, key_slice(&key), &walk);

	while ((!error || error == -EBADMSG) && key_number(walk.key, 0) < end) {
		uint64_t id = key_number(walk.key, 0);
		struct email_row row;

		if (!error)
			error = email_row_read(walk.value, &row);
		if (error == -EBADMSG) {
			check_report(c, "index: what it says of email %llu is damaged (--rebuild-index mends it)",
				(unsigned long long)id);
			error = 0;
		} else {
			error = body_check(c, id, &row);
			if (!error)
				error = check_live(c, &row);
		}
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

/* Those that no entry has named: they are in the history, or of an account that is gone. */
void check_rest(struct checking *c)
{
	for (size_t i = 0; i < c->unreadable.room; i++) {
		struct buffer name = BUFFER_INIT(1024);
		uint64_t id = c->unreadable.slots[i].key;

		if (!id || c->unreadable.slots[i].value != CHECK_UNREADABLE)
			continue;
		check_account_name(c, id_account(id), &name);
		check_report(c, "%s: a deleted message that is still kept (email %llu) cannot be read",
			buffer_text(&name), (unsigned long long)id);
		buffer_free(&name);
	}
}

static void notices_report(struct checking *c)
{
	struct slice rest = buffer_slice(&c->notices);

	while (rest.len)
		check_report(c, "journal: %.*s", SLICE_ARG(slice_split(&rest, '\n')));
}

static int check_run(struct checking *c)
{
	uint64_t before = c->findings;
	int error = check_journal(c);

	/* The same is said better now; but of what was cut only those who opened it know. */
	if (!error && c->findings == before)
		notices_report(c);
	if (!error)
		error = index_begin(c->store->index, false, &c->txn);
	if (error)
		return error;
	error = check_emails(c, 0, UINT64_MAX);
	if (!error)
		error = check_live_bytes(c);
	if (!error)
		error = check_accounts(c);
	if (!error)
		check_rest(c);
	mdb_txn_abort(c->txn);
	return error;
}

/* ---- Opening ---- */

static void on_notice(void *context, const char *event, struct slice detail)
{
	struct checking *c = context;
	struct slice name = slice_of(event);

	if (slice_equal(name, SLICE("index-damaged"))) {
		check_report(c, "index: %.*s", SLICE_ARG(detail));
	} else if (slice_equal(name, SLICE("record-set-aside")) || slice_equal(name, SLICE("journal-short"))) {
		check_report(c, "journal: %.*s", SLICE_ARG(detail));
	} else if (slice_starts(name, SLICE("journal-"))) {
		buffer_put(&c->notices, detail);
		buffer_put_byte(&c->notices, '\n');
	}
}

static void on_failed(void *context, int error, const char *what)
{
	check_report(context, "%s: %s", what, strerror(-error));
}

int store_check(const struct store_settings *settings, const struct store_check *check)
{
	struct checking c = {.check = check, .notices = BUFFER_INIT(NOTICES_MAX)};
	struct store_settings quiet = *settings;
	int error;

	quiet.durable = NULL;
	quiet.failed = on_failed;
	quiet.notice = on_notice;
	quiet.context = &c;
	error = store_open_quiet(&quiet, check->rebuild_index, check->salvage, &c.store);
	if (error == -EBADMSG) {
		notices_report(&c);
		check_report(&c, "the journal is damaged beyond a single bit; --salvage serves what is left of it");
	}
	if (!error) {
		searcher_look_up(c.store);
		error = check_run(&c);
		store_close(&c.store);
	}
	check_free(&c);
	return error ? error : c.findings ? -EBADMSG : 0;
}
