/* What is ordinary: a million messages in a mailbox, 100,000 accounts, 100 MB in one message. */
#include <unistd.h>

#include "base/hash.h"
#include "support.h"

enum { MILLION = 1 << 20, ACCOUNTS = 100000, LARGE_BYTES = 100000000 };

/* Memory that is freed must be given back at once for its growth to be told. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1";
}

static size_t resident_bytes(void)
{
	char text[128] = "";
	FILE *file = fopen("/proc/self/statm", "r");
	struct slice rest;
	uint64_t pages = 0;

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	rest = slice_of(text);
	(void)slice_split(&rest, ' ');
	assert_int_equal(slice_to_u64(slice_split(&rest, ' '), UINT64_MAX, &pages), 0);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void world_large(struct world *w)
{
	world_make(w);
	w->settings.segment_bytes = 64 << 20;
	w->settings.apply_delay_ms = 200;
	world_open(w);
	world_account(w);
}

static void a_million_messages_in_a_mailbox(void **state)
{
	struct uid_range all = {1, UINT32_MAX};
	struct uid_set set = {&all, 1};
	struct mailbox *inbox;
	struct entry entry;
	struct view *view;
	struct world w;
	uint32_t seq;

	(void)state;
	world_large(&w);
	inbox = mailbox_inbox(w.account);
	deliver_numbered(inbox, 1);
	while (inbox->messages < MILLION)
		assert_int_equal(entries_copy(inbox, set, inbox, false, &actor_imap, NULL, NULL), 0);
	assert_int_equal(inbox->messages, MILLION);
	world_reopen(&w);
	inbox = mailbox_inbox(w.account);
	assert_int_equal(inbox->messages, MILLION);
	assert_int_equal(view_open(inbox, NULL, NULL, &view), 0);
	assert_int_equal(view_count(view), MILLION);
	assert_int_equal(view_entry(view, MILLION / 2, &entry), 0);
	assert_int_equal(entry.uid, MILLION / 2);
	assert_int_equal(flag(inbox, 2, MILLION, FLAGS_ADD, FLAG_SEEN), MILLION - 1);
	assert_int_equal(view_first_unseen(view, &seq), 0);
	assert_int_equal(seq, 1);
	assert_int_equal(expunge(inbox, 1, MILLION / 2), MILLION / 2);
	deliver_numbered(inbox, 2);
	assert_int_equal(inbox->unseen, 1);
	assert_int_equal(view_entry(view, 7, &entry), 0);
	assert_int_equal(entry.uid, 7);
	assert_int_equal(view_seq_of(view, MILLION, &seq), 0);
	assert_int_equal(seq, MILLION);
	view_close(&view);
	world_reopen(&w);
	inbox = mailbox_inbox(w.account);
	assert_int_equal(inbox->messages, MILLION / 2 + 1);
	assert_int_equal(entry_of(inbox, MILLION).flags, FLAG_SEEN);
	world_free(&w);
}

static void many_accounts_in_one_directory(void **state)
{
	struct directory_account *accounts = calloc(ACCOUNTS, sizeof(*accounts)), found;
	char(*names)[40] = calloc(ACCOUNTS, sizeof(*names));
	struct store_stats stats;
	struct arena *arena;
	struct world w;
	size_t added;

	(void)state;
	assert_non_null(accounts);
	assert_non_null(names);
	world_make(&w);
	w.settings.segment_bytes = 64 << 20;
	w.settings.resident_accounts = 500;
	world_open(&w);
	assert_int_equal(directory_domain_add(w.store, SLICE("example.org")), 0);
	for (size_t i = 0; i < ACCOUNTS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "user%zu@example.org", i);
		accounts[i].address = slice_of(names[i]);
		accounts[i].allowed = ALLOW_ALL;
	}
	assert_int_equal(directory_accounts_add(w.store, accounts, ACCOUNTS, &actor_imap, &added), 0);
	assert_int_equal(added, ACCOUNTS);
	assert_int_equal(arena_new(1 << 20, &arena), 0);
	for (size_t i = 0; i < ACCOUNTS; i += 37) {
		struct account *account;

		arena_reset(arena);
		assert_int_equal(directory_account_find(w.store, slice_of(names[i]), arena, &found), 0);
		assert_int_equal(account_open(store_shard(w.store, 0), found.id, &account), 0);
		if (i % 5 == 0)
			deliver_numbered(mailbox_inbox(account), (unsigned)i);
		account_release(&account);
		if (i % 100 == 0)
			shard_tick(store_shard(w.store, 0));
	}
	assert_int_equal(store_wait_applied(w.store, store_durable_seq(w.store)), 0);
	shard_tick(store_shard(w.store, 0));
	store_stats(w.store, &stats);
	assert_true(stats.accounts_resident <= 500 + 8);
	arena_free(&arena);
	free(accounts);
	free(names);
	world_free(&w);
}

static void a_large_message_needs_little_memory(void **state)
{
	struct append_item item = {.internaldate = INT64_MIN};
	struct body_reader *reader;
	struct slice piece;
	char *chunk = malloc(65536);
	size_t before, most = 0;
	uint64_t at = 0;
	uint32_t sum = 0, expected = 0, uid;
	struct world w;

	(void)state;
	assert_non_null(chunk);
	world_large(&w);
	w.settings.message_bytes_max = LARGE_BYTES + 65536;
	before = resident_bytes();
	assert_int_equal(ingest_new(w.store, &item.ingest), 0);
	assert_int_equal(ingest_write(item.ingest, SLICE("Subject: large\r\n\r\n")), 0);
	for (unsigned i = 0; ingest_bytes(item.ingest) < LARGE_BYTES; i++) {
		for (unsigned k = 0; k < 65536; k++)
			chunk[k] = (char)(k % 78 == 76   ? '\r'
					  : k % 78 == 77 ? '\n'
							 : 'A' + (k * 7 + i * (k / 64)) % 50);
		expected = crc32c(expected, chunk, 65536);
		assert_int_equal(ingest_write(item.ingest, slice_make(chunk, 65536)), 0);
		most = MAX(most, resident_bytes());
	}
	assert_int_equal(ingest_finish(item.ingest), 0);
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), &item, 1, &actor_lmtp, &uid), 0);
	ingest_free(&item.ingest);
	assert_int_equal(body_reader_new(w.account, entry_of(mailbox_inbox(w.account), uid).email, &reader), 0);
	at = strlen("Subject: large\r\n\r\n");
	while (body_reader_peek(reader, at, &piece) == 0) {
		sum = crc32c(sum, piece.at, piece.len);
		at += piece.len;
		most = MAX(most, resident_bytes());
	}
	assert_int_equal(sum, expected);
	assert_int_equal(at, entry_of(mailbox_inbox(w.account), uid).bytes);
	body_reader_free(&reader);
	print_message("# grew by %zu KiB\n", (most - before) / 1024);
	assert_true(most - before < (size_t)80 << 20);
	free(chunk);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_messages_in_a_mailbox),
		cmocka_unit_test(many_accounts_in_one_directory),
		cmocka_unit_test(a_large_message_needs_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
