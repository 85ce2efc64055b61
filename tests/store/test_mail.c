/* Delivering, reading back, flags, expunging; and that all of it is there after every way of starting again. */
#include "store/body.h"
#include "store/engine.h"
#include "store/frame_cache.h"
#include "support.h"

static void check_message(struct world *w, uint32_t uid, const char *text)
{
	struct entry entry = entry_of(mailbox_inbox(w->account), uid);
	size_t len;
	char *body = body_of(w->account, entry.email, &len);

	assert_int_equal(entry.bytes, strlen(text));
	assert_int_equal(len, strlen(text));
	assert_string_equal(body, text);
	free(body);
}

static void a_message_comes_back_as_it_went_in(void **state)
{
	static const char text[] = "Subject: One\r\n\r\nHello.\r\n";
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(deliver(mailbox_inbox(w.account), text), 1);
	check_message(&w, 1, text);
	world_settle(&w);
	check_message(&w, 1, text);
	world_reopen(&w);
	check_message(&w, 1, text);
	world_close(&w);
	world_forget_index(&w);
	world_open(&w);
	check_message(&w, 1, text);
	world_free(&w);
}

/* Base64 of several frames: unpacking one has to have more room than it fills. */
static char *lines_of_base64(size_t bytes)
{
	struct buffer text = BUFFER_INIT(SIZE_MAX / 2);

	buffer_put_text(&text, "Subject: Large\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	for (unsigned n = 0; text.len < bytes; n++)
		buffer_printf(&text, "%08u%068u\r\n", n, n * 7);
	buffer_put_byte(&text, '\0');
	assert_int_equal(buffer_error(&text), 0);
	return text.at;
}

static void read_and_check(struct body_reader *reader, struct slice text, uint64_t at, uint64_t bytes)
{
	struct slice expected = slice_first(slice_from(text, at), bytes);
	struct buffer out = BUFFER_INIT(expected.len); /* and not a byte more */

	assert_int_equal(body_reader_read(reader, at, bytes, &out), 0);
	assert_true(slice_equal(buffer_slice(&out), expected));
	buffer_free(&out);
}

static void peek_and_check(struct body_reader *reader, struct slice text, uint64_t at)
{
	struct slice piece;

	assert_int_equal(body_reader_peek(reader, at, &piece), 0);
	assert_true(piece.len && slice_equal(piece, slice_first(slice_from(text, at), piece.len)));
}

/* One reader, by pieces and by frames, in any order, with what others keep unpacked and without. */
static void a_message_is_read_in_any_order(void **state)
{
	char *raw = lines_of_base64(3 * FRAME_RAW_BYTES + 1000);
	struct slice text = slice_of(raw);
	struct body_reader *reader;
	struct buffer out = BUFFER_INIT(1 << 22);
	struct world w;

	(void)state;
	world_make(&w);
	w.settings.body_cache_bytes = 1 << 24;
	world_open(&w);
	world_account(&w);
	assert_int_equal(deliver(mailbox_inbox(w.account), raw), 1);
	for (int again = 0; again < 4; again++) {
		assert_int_equal(body_reader_new(w.account, entry_of(mailbox_inbox(w.account), 1).email, &reader), 0);
		read_and_check(reader, text, 0, FRAME_RAW_BYTES);
		peek_and_check(reader, text, 100);
		/* From within a frame over a whole one into the next, with room and without. */
		read_and_check(reader, text, 1000, 2 * FRAME_RAW_BYTES);
		buffer_reset(&out);
		assert_int_equal(body_reader_read(reader, 1000, 2 * FRAME_RAW_BYTES, &out), 0);
		assert_true(slice_equal(
			buffer_slice(&out), slice_first(slice_from(text, 1000), (size_t)2 * FRAME_RAW_BYTES)));
		peek_and_check(reader, text, 2 * FRAME_RAW_BYTES + 100);
		peek_and_check(reader, text, 200);
		buffer_reset(&out);
		assert_int_equal(body_reader_read(reader, FRAME_RAW_BYTES, UINT64_MAX, &out), 0);
		assert_true(slice_equal(buffer_slice(&out), slice_from(text, FRAME_RAW_BYTES)));
		peek_and_check(reader, text, 300);
		read_and_check(reader, text, 0, UINT64_MAX);
		body_reader_free(&reader);
	}
	buffer_free(&out);
	free(raw);
	world_free(&w);
}

/* What is read again comes from memory, where there is room, and is the same. */
static void what_is_read_again_stays_unpacked(void **state)
{
	static const char text[] = "Subject: Again\r\n\r\nAnd again.\r\n";
	static const uint64_t sizes[] = {1 << 20, 40, 0};
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(deliver(mailbox_inbox(w.account), text), 1);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		w.settings.body_cache_bytes = sizes[i];
		world_reopen(&w);
		assert_true(!sizes[i] == !w.store->frame_cache);
		check_message(&w, 1, text);
		assert_true(!sizes[i] || frame_cache_bytes(w.store->frame_cache) == 0);
		for (int again = 0; again < 3; again++)
			check_message(&w, 1, text);
		if (i == 0)
			assert_true(frame_cache_bytes(w.store->frame_cache) >= strlen(text));
		else
			assert_true(!sizes[i] || frame_cache_bytes(w.store->frame_cache) == 0);
	}
	world_free(&w);
}

/* Lines may end as they like when they come in; what is kept ends with CRLF, and nothing else changes. */
static void bare_line_feeds_become_canonical(void **state)
{
	static const char raw[] = "Subject: x\n\na\rb\n\r\n\xff";
	struct append_item item = {.internaldate = 1000, .zone = -90};
	struct entry entry;
	struct world w;
	uint32_t uid;
	size_t len;
	char *body;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(ingest_new(w.store, &item.ingest), 0);
	for (size_t i = 0; i < sizeof(raw); i++) /* byte by byte, the NUL too */
		assert_int_equal(ingest_write(item.ingest, slice_make(raw + i, 1)), 0);
	assert_int_equal(ingest_finish(item.ingest), 0);
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), &item, 1, &actor_imap, &uid), 0);
	ingest_free(&item.ingest);
	entry = entry_of(mailbox_inbox(w.account), uid);
	assert_int_equal(entry.internaldate, 1000);
	assert_int_equal(entry.zone, -90);
	assert_int_equal(entry.savedate, w.now_ms / 1000);
	body = body_of(w.account, entry.email, &len);
	assert_int_equal(len, sizeof("Subject: x\r\n\r\na\rb\r\n\r\n\xff"));
	assert_memory_equal(body, "Subject: x\r\n\r\na\rb\r\n\r\n\xff", len);
	free(body);
	world_free(&w);
}

static void an_empty_message_is_a_message(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	deliver(mailbox_inbox(w.account), "");
	check_message(&w, 1, "");
	world_reopen(&w);
	check_message(&w, 1, "");
	world_free(&w);
}

static void many_are_added_together_or_not_at_all(void **state)
{
	struct slice keywords[] = {SLICE("$Label1"), SLICE("$label1"), SLICE("Work")}, bad = SLICE("a b");
	struct append_item items[50];
	uint64_t quota = 100;
	struct directory_change change = {.quota_bytes = &quota};
	struct world w;
	uint32_t uid;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		items[i] = (struct append_item){.ingest = ingest_of(&w, "Subject: many\r\n\r\n"),
			.internaldate = INT64_MIN,
			.flags = {FLAG_SEEN, keywords, 3}};
	items[49].flags = (struct flag_set){0, &bad, 1};
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), items, 50, &actor_imap, &uid), -EINVAL);
	assert_int_equal(mailbox_inbox(w.account)->messages, 0);
	assert_int_equal(mailbox_inbox(w.account)->keyword_count, 0);
	items[49].flags.keyword_count = 0;
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), items, 50, &actor_imap, &uid), 0);
	assert_int_equal(uid, 1);
	assert_int_equal(mailbox_inbox(w.account)->messages, 50);
	assert_int_equal(mailbox_inbox(w.account)->unseen, 1);
	assert_int_equal(mailbox_inbox(w.account)->keyword_count, 2);
	assert_int_equal(entry_of(mailbox_inbox(w.account), 7).keywords, 3);
	assert_int_equal(directory_account_change(w.store, SLICE("ann@example.org"), &change, &actor_imap), 0);
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), items, 1, &actor_imap, &uid), -EDQUOT);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		ingest_free(&items[i].ingest);
	world_free(&w);
}

/* Together they would not fit into one record: their bodies get records of their own. */
static void many_large_ones_are_added_together(void **state)
{
	struct append_item items[12];
	size_t bytes = 200000;
	char *text = malloc(bytes + 1);
	struct world w;
	uint32_t uid;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_non_null(text);
	for (size_t i = 0; i < bytes; i++)
		text[i] = (char)(33 + clock_random_u64(clock_system()) % 90);
	text[bytes] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		items[i] = (struct append_item){.ingest = ingest_of(&w, text + i), .internaldate = INT64_MIN};
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), items, 12, &actor_imap, &uid), 0);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		ingest_free(&items[i].ingest);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < ARRAY_LEN(items); i++)
			check_message(&w, i + 1, text + i);
		world_close(&w);
		world_forget_index(&w);
		world_open(&w);
	}
	free(text);
	world_free(&w);
}

static void one_ingest_goes_to_several_accounts(void **state)
{
	struct append_item item = {.internaldate = INT64_MIN};
	struct account *bob;
	uint64_t id;
	struct world w;
	uint32_t uid;
	size_t len;
	char *body;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(directory_account_add(w.store, SLICE("bob@example.org"), SLICE("x"), 0, NULL, &id), 0);
	assert_int_equal(account_open(w.shard, id, &bob), 0);
	item.ingest = ingest_of(&w, "Subject: both\r\n\r\nHello.\r\n");
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), &item, 1, &actor_lmtp, &uid), 0);
	assert_int_equal(mailbox_append(mailbox_inbox(bob), &item, 1, &actor_lmtp, &uid), 0);
	ingest_free(&item.ingest);
	body = body_of(bob, entry_of(mailbox_inbox(bob), 1).email, &len);
	assert_string_equal(body, "Subject: both\r\n\r\nHello.\r\n");
	free(body);
	account_release(&bob);
	world_free(&w);
}

static uint64_t thread_of_message(struct world *w, const char *text)
{
	struct email email;
	uint32_t uid = deliver(mailbox_inbox(w->account), text);

	assert_int_equal(email_look(w->account, entry_of(mailbox_inbox(w->account), uid).email, &email), 0);
	assert_int_equal(email.bytes, strlen(text));
	return email.thread;
}

static void answers_join_the_thread(void **state)
{
	struct world w;
	uint64_t first, other, third;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	first = thread_of_message(&w, "Message-ID: <1@example.org>\r\n\r\n");
	other = thread_of_message(&w, "Message-ID: <x@example.org>\r\n\r\n");
	assert_int_not_equal(first, other);
	assert_int_equal(
		thread_of_message(&w, "Message-ID: <2@example.org>\r\nIn-Reply-To: <1@example.org>\r\n\r\n"), first);
	world_settle(&w);
	/* An answer to something never seen; then another to that. */
	third = thread_of_message(
		&w, "Message-ID: <4@example.org>\r\nReferences: <lost@example.org> <2@example.org>\r\n\r\n");
	assert_int_equal(third, first);
	assert_int_equal(
		thread_of_message(&w, "Message-ID: <5@example.org>\r\nReferences: <lost@example.org>\r\n\r\n"), first);
	world_close(&w);
	world_forget_index(&w);
	world_open(&w);
	assert_int_equal(
		thread_of_message(&w, "Message-ID: <6@example.org>\r\nReferences: <5@example.org>\r\n\r\n"), first);
	assert_int_equal(thread_of_message(&w, "Message-ID: <x@example.org>\r\n\r\n"), other);
	world_free(&w);
}

static void copies_share_the_email_and_the_quota(void **state)
{
	struct uid_range range = {1, 3};
	struct uid_set all = {&range, 1};
	struct uid_list from = UID_LIST_INIT(10), to = UID_LIST_INIT(10);
	struct mailbox *inbox, *archive, *trash;
	struct world w;
	uint64_t bytes;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	inbox = mailbox_inbox(w.account);
	archive = mailbox_named(w.account, "Archive");
	trash = mailbox_named(w.account, "Trash");
	for (unsigned i = 1; i <= 3; i++)
		deliver_numbered(inbox, i);
	bytes = account_quota(w.account).used_bytes;
	expunge(inbox, 2, 2);
	assert_int_equal(entries_copy(inbox, all, archive, false, &actor_imap, &from, &to), 0);
	assert_int_equal(from.count, 2);
	assert_int_equal(to.count, 1);
	assert_int_equal(to.ranges[0].last, 2);
	assert_int_equal(entry_of(archive, 2).email, entry_of(inbox, 3).email);
	assert_int_equal(account_quota(w.account).used_messages, 2);
	assert_int_equal(entries_copy(inbox, all, trash, true, &actor_imap, NULL, NULL), 0);
	assert_int_equal(inbox->messages, 0);
	assert_int_equal(account_quota(w.account).used_messages, 2);
	world_settle(&w);
	assert_int_equal(expunge(archive, 1, 2), 2);
	assert_int_equal(account_quota(w.account).used_messages, 2);
	world_settle(&w);
	assert_int_equal(expunge(trash, 1, 1), 1);
	assert_int_equal(account_quota(w.account).used_messages, 1);
	assert_true(account_quota(w.account).used_bytes < bytes);
	assert_int_equal(expunge(trash, 2, 2), 1);
	assert_int_equal(account_quota(w.account).used_bytes, 0);
	uid_list_free(&from);
	uid_list_free(&to);
	world_free(&w);
}

static void an_account_is_full_at_some_point(void **state)
{
	struct uid_range range = {1, 3};
	struct uid_set all = {&range, 1};
	struct append_item item = {.internaldate = INT64_MIN};
	struct mailbox *inbox, *archive;
	struct world w;
	uint32_t uid;

	(void)state;
	world_make(&w);
	w.settings.messages_max = 7;
	world_open(&w);
	world_account(&w);
	inbox = mailbox_inbox(w.account);
	archive = mailbox_named(w.account, "Archive");
	for (unsigned i = 1; i <= 3; i++)
		deliver_numbered(inbox, i);
	assert_int_equal(entries_copy(inbox, all, archive, false, &actor_imap, NULL, NULL), 0);
	assert_int_equal(entries_copy(inbox, all, archive, false, &actor_imap, NULL, NULL), -EDQUOT);
	assert_int_equal(archive->messages, 3);
	assert_int_equal(entries_copy(archive, all, inbox, true, &actor_imap, NULL, NULL), 0);
	assert_int_equal(inbox->messages, 6);
	deliver_numbered(archive, 4);
	item.ingest = ingest_of(&w, "Subject: one too many\r\n\r\n");
	assert_int_equal(mailbox_append(inbox, &item, 1, &actor_lmtp, &uid), -EDQUOT);
	assert_int_equal(expunge(inbox, 1, 1), 1);
	assert_int_equal(mailbox_append(inbox, &item, 1, &actor_lmtp, &uid), 0);
	ingest_free(&item.ingest);
	world_free(&w);
}

static void a_changed_entry_is_left_alone(void **state)
{
	struct uid_range range = {1, 4};
	struct flag_set seen = {.flags = FLAG_SEEN};
	struct uid_list changed = UID_LIST_INIT(10), modified = UID_LIST_INIT(10);
	struct mailbox *inbox;
	struct world w;
	uint64_t since;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	inbox = mailbox_inbox(w.account);
	for (unsigned i = 1; i <= 4; i++)
		deliver_numbered(inbox, i);
	since = account_highestmodseq(w.account);
	flag(inbox, 2, 2, FLAGS_ADD, FLAG_FLAGGED);
	assert_int_equal(entries_store(inbox, (struct uid_set){&range, 1}, FLAGS_ADD, &seen, since, NULL, &actor_imap,
				 &changed, &modified),
		0);
	assert_int_equal(changed.count, 2);
	assert_int_equal(changed.ranges[0].last, 1);
	assert_int_equal(changed.ranges[1].first, 3);
	assert_int_equal(modified.count, 1);
	assert_int_equal(modified.ranges[0].first, 2);
	assert_int_equal(entry_of(inbox, 2).flags, FLAG_FLAGGED);
	assert_int_equal(entry_of(inbox, 4).modseq, inbox->highestmodseq);
	uid_list_free(&changed);
	uid_list_free(&modified);
	world_free(&w);
}

static void too_many_keywords_are_refused(void **state)
{
	struct uid_range range = {1, 1};
	struct mailbox *inbox;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	inbox = mailbox_inbox(w.account);
	deliver_numbered(inbox, 1);
	for (int i = 0; i < 65; i++) {
		char name[16];
		struct slice keyword;
		struct flag_set set = {.keywords = &keyword, .keyword_count = 1};

		(void)snprintf(name, sizeof(name), "k%d", i);
		keyword = slice_of(name);
		assert_int_equal(entries_store(inbox, (struct uid_set){&range, 1}, FLAGS_ADD, &set, UINT64_MAX, NULL,
					 &actor_imap, NULL, NULL),
			i < 64 ? 0 : -ENOBUFS);
	}
	assert_int_equal(entry_of(inbox, 1).keywords, UINT64_MAX);
	world_reopen(&w);
	assert_int_equal(entry_of(mailbox_inbox(w.account), 1).keywords, UINT64_MAX);
	assert_true(slice_equal(mailbox_inbox(w.account)->keywords[63], SLICE("k63")));
	world_free(&w);
}

/* A mailbox without room for a keyword takes the message all the same: a full trash must go on taking mail. */
static void moving_leaves_keywords_behind_that_have_no_room(void **state)
{
	static const struct slice other[2] = {{"k7", 2}, {"Other", 5}};
	const struct flag_set both = {.keywords = other, .keyword_count = 2};
	struct uid_range first = {1, 1};
	struct mailbox *inbox, *trash;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	inbox = mailbox_inbox(w.account);
	trash = mailbox_named(w.account, "Trash");
	deliver_numbered(trash, 1);
	for (int i = 0; i < STORE_KEYWORDS_MAX; i++) {
		char name[16];
		struct slice keyword;
		struct flag_set set = {.keywords = &keyword, .keyword_count = 1};

		(void)snprintf(name, sizeof(name), "k%d", i);
		keyword = slice_of(name);
		assert_int_equal(entries_store(trash, (struct uid_set){&first, 1}, FLAGS_ADD, &set, UINT64_MAX, NULL,
					 &actor_imap, NULL, NULL),
			0);
	}
	deliver_numbered(inbox, 2);
	assert_int_equal(entries_store(inbox, (struct uid_set){&first, 1}, FLAGS_ADD, &both, UINT64_MAX, NULL,
				 &actor_imap, NULL, NULL),
		0);
	assert_int_equal(entries_copy(inbox, (struct uid_set){&first, 1}, trash, true, &actor_imap, NULL, NULL), 0);
	assert_int_equal(inbox->messages, 0);
	assert_int_equal(trash->messages, 2);
	assert_int_equal(entry_of(trash, 2).keywords, (uint64_t)1 << 7);
	world_reopen(&w);
	assert_int_equal(entry_of(mailbox_named(w.account, "Trash"), 2).keywords, (uint64_t)1 << 7);
	world_free(&w);
}

/* After a thousand small messages of a kind there is a dictionary; those before and after it can be read. */
static void small_messages_get_a_dictionary(void **state)
{
	struct store_stats before, after;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	store_stats(w.store, &before);
	for (unsigned i = 1; i <= 1024; i++)
		deliver_numbered(mailbox_inbox(w.account), i);
	/* One record more than messages: the dictionary's, made in the background. */
	for (int i = 0; i < 600; i++) {
		struct timespec pause = {0, 50000000};

		store_stats(w.store, &after);
		if (after.records > before.records + 1024)
			break;
		nanosleep(&pause, NULL);
	}
	assert_true(after.records > before.records + 1024);
	for (unsigned i = 1025; i <= 1100; i++)
		deliver_numbered(mailbox_inbox(w.account), i);
	for (int round = 0; round < 3; round++) {
		for (uint32_t uid = 1; uid <= 1100; uid += 25) {
			char expected[64];
			size_t len;
			char *body = body_of(w.account, entry_of(mailbox_inbox(w.account), uid).email, &len);

			(void)snprintf(expected, sizeof(expected), "This is number %u.\r\n", uid);
			assert_non_null(strstr(body, expected));
			free(body);
		}
		world_close(&w);
		if (round)
			world_forget_index(&w);
		world_open(&w);
	}
	world_free(&w);
}

static void a_directory_has_one_user(void **state)
{
	struct store *second;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	assert_int_equal(store_open(&w.settings, &second), -EBUSY);
	world_free(&w);
}

static void ids_have_their_form(void **state)
{
	struct buffer b = BUFFER_INIT(64);
	uint64_t id;

	(void)state;
	object_id_put(&b, 'E', 0x123456789abcdef0);
	assert_string_equal(buffer_text(&b), "E123456789abcdef0");
	assert_int_equal(object_id_parse(buffer_slice(&b), 'E', &id), 0);
	assert_true(id == 0x123456789abcdef0);
	assert_int_equal(object_id_parse(buffer_slice(&b), 'T', &id), -EINVAL);
	assert_int_equal(object_id_parse(SLICE("E123"), 'E', &id), -EINVAL);
	assert_int_equal(object_id_parse(SLICE("E123456789abcdefg"), 'E', &id), -EINVAL);
	buffer_free(&b);
}

static void uid_lists_stay_sorted(void **state)
{
	struct uid_list list = UID_LIST_INIT(100);
	bool model[64] = {false};

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		uint32_t first = (i * 37) % 60 + 1, last = first + i % 4;

		if (i % 3 == 0)
			uid_list_free(&list), memset(model, 0, sizeof(model));
		for (unsigned k = 0; k < i % 17; k++) {
			uint32_t at = (first * (k + 3)) % 60 + 1;

			uid_list_add(&list, at, MIN(at + k % 3, 63));
			for (uint32_t uid = at; uid <= MIN(at + k % 3, 63); uid++)
				model[uid] = true;
		}
		uid_list_add(&list, first, MIN(last, 63));
		for (uint32_t uid = first; uid <= MIN(last, 63); uid++)
			model[uid] = true;
		for (uint32_t uid = 1; uid < 64; uid++)
			assert_int_equal(uid_set_has(uid_list_set(&list), uid), model[uid]);
		for (size_t r = 1; r < list.count; r++)
			assert_true(list.ranges[r - 1].last + 1 < list.ranges[r].first);
	}
	uid_list_free(&list);
	list.max = 1;
	uid_list_add(&list, 1, UINT32_MAX);
	uid_list_add(&list, 5, 6);
	assert_int_equal(list.error, 0);
	assert_int_equal(uid_set_count(uid_list_set(&list)), UINT32_MAX);
	uid_list_free(&list);
	uid_list_add(&list, 1, 1);
	uid_list_add(&list, 3, 3);
	assert_int_equal(list.error, -ENOBUFS);
	uid_list_free(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_comes_back_as_it_went_in),
		cmocka_unit_test(a_message_is_read_in_any_order),
		cmocka_unit_test(what_is_read_again_stays_unpacked),
		cmocka_unit_test(bare_line_feeds_become_canonical),
		cmocka_unit_test(an_empty_message_is_a_message),
		cmocka_unit_test(many_are_added_together_or_not_at_all),
		cmocka_unit_test(many_large_ones_are_added_together),
		cmocka_unit_test(one_ingest_goes_to_several_accounts),
		cmocka_unit_test(answers_join_the_thread),
		cmocka_unit_test(copies_share_the_email_and_the_quota),
		cmocka_unit_test(an_account_is_full_at_some_point),
		cmocka_unit_test(a_changed_entry_is_left_alone),
		cmocka_unit_test(too_many_keywords_are_refused),
		cmocka_unit_test(moving_leaves_keywords_behind_that_have_no_room),
		cmocka_unit_test(small_messages_get_a_dictionary),
		cmocka_unit_test(a_directory_has_one_user),
		cmocka_unit_test(ids_have_their_form),
		cmocka_unit_test(uid_lists_stay_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
