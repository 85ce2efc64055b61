/* Space: retention lets go, compaction gives back, and whatever is alive stays readable. */
#include <fcntl.h>
#include <unistd.h>

#include "store/body.h"
#include "store/resident.h"
#include "store/upkeep.h"
#include "support.h"

enum { MESSAGES = 300, BODY_BYTES = 20000 };

static void report(void *context, struct slice line)
{
	(void)context;
	print_message("# check: %.*s\n", SLICE_ARG(line));
}

static void check_dir(struct world *w)
{
	struct store_check check = {.report = report};

	assert_int_equal(store_check(&w->settings, &check), 0);
}

/* A body that does not compress, different for each number. */
static char *noise(unsigned number, size_t bytes)
{
	uint64_t state = number * 0x9E3779B97F4A7C15u + 1;
	size_t at = 0;
	char *text = malloc(bytes + 256);

	assert_non_null(text);
	at = (size_t)snprintf(
		text, 256, "Subject: Noise %u\r\nMessage-ID: <noise-%u@example.org>\r\n\r\n", number, number);
	while (at < bytes) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		text[at++] = (char)(33 + (state >> 33) % 93);
		if (at % 76 == 0 && at + 2 < bytes) {
			text[at++] = '\r';
			text[at++] = '\n';
		}
	}
	text[at] = '\0';
	return text;
}

static void deliver_noise(struct mailbox *mailbox, unsigned number, size_t bytes)
{
	char *text = noise(number, bytes);

	deliver(mailbox, text);
	free(text);
}

static void assert_noise(struct mailbox *mailbox, uint32_t uid, unsigned number, size_t bytes)
{
	char *text = noise(number, bytes), *body;
	size_t len;

	body = body_of(mailbox->account, entry_of(mailbox, uid).email, &len);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(body, text, len);
	free(text);
	free(body);
}

static void world_full(struct world *w)
{
	world_make(w);
	world_open(w);
	world_account(w);
	for (unsigned i = 1; i <= MESSAGES; i++) {
		deliver_noise(mailbox_inbox(w->account), i, BODY_BYTES);
		w->now_ms += 10;
	}
	world_settle(w);
}

static uint64_t segments_of(struct world *w)
{
	struct store_stats stats;

	store_stats(w->store, &stats);
	return stats.segments;
}

static void retention_passes(struct world *w)
{
	world_settle(w);
	w->now_ms += (int64_t)w->settings.retention_s * 1000 + 1;
	assert_int_equal(store_compact(w->store), 0);
	shard_tick(w->shard);
}

static void expunged_mail_stays_for_the_retention_time(void **state)
{
	struct world w;
	uint64_t before, email;
	struct email found;

	(void)state;
	world_full(&w);
	before = segments_of(&w);
	email = entry_of(mailbox_inbox(w.account), 5).email;
	assert_int_equal(expunge(mailbox_inbox(w.account), 1, MESSAGES), MESSAGES);
	world_settle(&w);
	w.now_ms += (int64_t)w.settings.retention_s * 1000 - 1000;
	assert_int_equal(store_compact(w.store), 0);
	shard_tick(w.shard);
	assert_true(segments_of(&w) >= before);
	assert_int_equal(email_look(w.account, email, &found), 0);
	w.now_ms += 2000;
	assert_int_equal(store_compact(w.store), 0);
	shard_tick(w.shard);
	assert_int_equal(email_look(w.account, email, &found), -ENOENT);
	assert_true(segments_of(&w) < before / 2);
	world_close(&w);
	check_dir(&w);
	world_open(&w);
	world_free(&w);
}

/* All but every tenth message goes; what stays is the same before and after, however it is opened. */
static void what_is_alive_is_copied_out(void **state)
{
	struct world w;
	uint64_t before;

	(void)state;
	world_full(&w);
	before = segments_of(&w);
	for (uint32_t uid = 1; uid <= 3 * MESSAGES; uid++)
		assert_noise(mailbox_inbox(w.account), 1 + uid % MESSAGES, 1 + uid % MESSAGES, BODY_BYTES);
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		if (uid % 10)
			expunge(mailbox_inbox(w.account), uid, uid);
	}
	retention_passes(&w);
	assert_true(segments_of(&w) < before / 2);
	for (int round = 0; round < 4; round++) {
		assert_int_equal(mailbox_inbox(w.account)->messages, MESSAGES / 10);
		/* The third reading is from memory. */
		for (uint32_t uid = 10; uid <= 3 * MESSAGES; uid += 10)
			assert_noise(mailbox_inbox(w.account), 10 + uid % MESSAGES, 10 + uid % MESSAGES, BODY_BYTES);
		if (round == 3)
			break;
		if (round == 0)
			world_kill_and_reopen(&w);
		world_close(&w);
		if (round > 0)
			world_forget_index(&w);
		check_dir(&w);
		world_open(&w);
	}
	world_free(&w);
}

/* Large messages have frames of their own in many segments; each moves when its segment goes. */
static void large_messages_move_frame_by_frame(void **state)
{
	struct world w;
	uint64_t before;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	for (unsigned i = 1; i <= 8; i++) {
		deliver_noise(mailbox_inbox(w.account), i, 1500000);
		deliver_noise(mailbox_inbox(w.account), 100 + i, 1500000);
	}
	world_settle(&w);
	before = segments_of(&w);
	for (uint32_t uid = 1; uid <= 16; uid++) {
		if (uid != 7 && uid != 10)
			expunge(mailbox_inbox(w.account), uid, uid);
	}
	retention_passes(&w);
	assert_true(segments_of(&w) < before / 2);
	for (int round = 0; round < 3; round++) {
		assert_noise(mailbox_inbox(w.account), 7, 4, 1500000);
		assert_noise(mailbox_inbox(w.account), 10, 105, 1500000);
		world_close(&w);
		if (round == 1)
			world_forget_index(&w);
		check_dir(&w);
		world_open(&w);
	}
	world_free(&w);
}

/* Somebody who reads a message while its segment is dropped reads on. */
static void a_reader_outlives_its_segment(void **state)
{
	struct body_reader *reader;
	struct buffer out = BUFFER_INIT(1 << 20);
	struct world w;
	char *text;

	(void)state;
	world_full(&w);
	assert_int_equal(body_reader_new(w.account, entry_of(mailbox_inbox(w.account), 3).email, &reader), 0);
	assert_int_equal(expunge(mailbox_inbox(w.account), 1, MESSAGES), MESSAGES);
	retention_passes(&w);
	assert_int_equal(body_reader_read(reader, 0, UINT64_MAX, &out), 0);
	text = noise(3, BODY_BYTES);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.at, text, out.len);
	free(text);
	buffer_free(&out);
	body_reader_free(&reader);
	world_free(&w);
}

/* A reader that was told a place before the email moved finds it at its new one. */
static void an_old_snapshot_of_the_index_finds_what_moved(void **state)
{
	struct world w;
	struct email found;
	uint64_t email;

	(void)state;
	world_full(&w);
	email = entry_of(mailbox_inbox(w.account), 10).email;
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		if (uid != 10)
			expunge(mailbox_inbox(w.account), uid, uid);
	}
	world_settle(&w);
	assert_int_equal(email_look(w.account, email, &found), 0);
	w.now_ms += (int64_t)w.settings.retention_s * 1000 + 1;
	assert_int_equal(store_compact(w.store), 0);
	assert_noise(mailbox_inbox(w.account), 10, 10, BODY_BYTES);
	assert_true(w.shard->txn_active); /* until the end of the turn */
	world_free(&w);
}

/* The pieces of a message that is still coming in are nobody's yet, and must not be taken for dead. */
static void a_message_on_its_way_keeps_its_pieces(void **state)
{
	struct append_item item = {.internaldate = INT64_MIN};
	char *text = noise(1, 1500000), *body;
	size_t half = strlen(text) / 2, len;
	struct world w;
	uint64_t before;
	uint32_t uid;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(ingest_new(w.store, &item.ingest), 0);
	assert_int_equal(ingest_write(item.ingest, slice_make(text, half)), 0);
	for (unsigned i = 1; i <= MESSAGES; i++)
		deliver_noise(mailbox_inbox(w.account), i, BODY_BYTES);
	expunge(mailbox_inbox(w.account), 1, MESSAGES);
	before = segments_of(&w);
	retention_passes(&w);
	assert_true(segments_of(&w) < before / 2); /* however long it takes to come in, it keeps nothing else */
	assert_int_equal(ingest_write(item.ingest, slice_of(text + half)), 0);
	assert_int_equal(ingest_finish(item.ingest), 0);
	retention_passes(&w);
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), &item, 1, &actor_lmtp, &uid), 0);
	ingest_free(&item.ingest);
	retention_passes(&w);
	body = body_of(w.account, entry_of(mailbox_inbox(w.account), uid).email, &len);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(body, text, len);
	free(body);
	free(text);
	world_close(&w);
	check_dir(&w);
	world_open(&w);
	world_free(&w);
}

static uint64_t thread_of(struct mailbox *mailbox, uint32_t uid)
{
	struct email email;

	assert_int_equal(email_look(mailbox->account, entry_of(mailbox, uid).email, &email), 0);
	return email.thread;
}

/* A message that refers to two threads belongs to one; moving it does not bring what refers to the other over. */
static void moving_leaves_threads_as_they_are(void **state)
{
	struct mailbox *inbox;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	inbox = mailbox_inbox(w.account);
	deliver(inbox, "Message-ID: <a@example.org>\r\n\r\n");
	deliver(inbox, "Message-ID: <b@example.org>\r\n\r\n");
	deliver(inbox, "Message-ID: <c@example.org>\r\nReferences: <b@example.org> <a@example.org>\r\n\r\n");
	for (unsigned i = 1; i <= MESSAGES; i++)
		deliver_noise(inbox, i, BODY_BYTES);
	expunge(inbox, 4, 3 + MESSAGES);
	retention_passes(&w);
	for (int round = 0; round < 2; round++) {
		uint32_t reply;

		inbox = mailbox_inbox(w.account);
		assert_int_not_equal(thread_of(inbox, 1), thread_of(inbox, 2));
		assert_int_equal(thread_of(inbox, 3), thread_of(inbox, 2));
		reply = deliver(inbox, "References: <a@example.org>\r\n\r\n");
		assert_int_equal(thread_of(inbox, reply), thread_of(inbox, 1));
		world_close(&w);
		world_forget_index(&w);
		world_open(&w);
	}
	world_free(&w);
}

static void journal_spoil(struct world *w, unsigned segment, off_t at)
{
	char path[128], byte;
	int file;

	(void)snprintf(path, sizeof(path), "%s/journal/%016x.seg", w->dir, segment);
	file = open(path, O_RDWR);
	assert_true(file >= 0);
	assert_int_equal(pread(file, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(file, &byte, 1, at), 1);
	close(file);
}

/* A segment with a rotten record stays as it is, and keeps no other from being given back. */
/* While it serves, from its start to its end; what it said is printed. */
static int remake_index(struct world *w)
{
	const struct store_check check = {.rebuild_index = true};
	struct buffer lines = BUFFER_INIT(1 << 20);
	bool over = false;
	int error = 0;

	assert_int_equal(store_check_start(w->store, &check, NULL, 0), 0);
	while (!over) {
		error = store_check_poll(w->store, &lines, &over);
		thread_pause(NULL, 5000);
	}
	print_message("# %.*s\n", SLICE_ARG(buffer_slice(&lines)));
	buffer_free(&lines);
	return error;
}

/* The journal has nothing of them any more, the index has: that is no difference, and answers that come late find their thread. */
static void threads_of_mail_that_is_gone_stay_known(void **state)
{
	struct mailbox *inbox;
	struct world w;
	uint64_t thread;
	uint32_t late;

	(void)state;
	world_full(&w);
	inbox = mailbox_inbox(w.account);
	thread = thread_of(inbox, 1);
	expunge(inbox, 1, MESSAGES - 1);
	retention_passes(&w);
	assert_int_equal(remake_index(&w), 0);
	late = deliver(inbox, "In-Reply-To: <noise-1@example.org>\r\n\r\nLate.\r\n");
	assert_int_equal(thread_of(inbox, late), thread);
	world_free(&w);
}

static void damage_does_not_stop_compaction(void **state)
{
	struct world w;
	uint64_t before;

	(void)state;
	world_full(&w);
	before = segments_of(&w);
	world_close(&w);
	journal_spoil(&w, 2, 500000);
	world_open(&w);
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		if (uid % 10)
			expunge(mailbox_inbox(w.account), uid, uid);
	}
	retention_passes(&w);
	assert_true(segments_of(&w) < before / 2 + 1);
	for (uint32_t uid = 100; uid <= MESSAGES; uid += 10)
		assert_noise(mailbox_inbox(w.account), uid, uid, BODY_BYTES);
	world_free(&w);
}

/* The newest segment knows how far the numbers have come: it stays even when there is nothing in it. */
static void the_newest_segment_stays(void **state)
{
	char *text = noise(1, 2000000);
	struct ingest *ingest;
	struct world w;

	(void)state;
	world_full(&w);
	assert_int_equal(ingest_new(w.store, &ingest), 0);
	assert_int_equal(ingest_write(ingest, slice_of(text)), 0);
	ingest_free(&ingest);
	free(text);
	for (int round = 0; round < 3; round++) {
		world_reopen(&w);
		assert_int_equal(store_compact(w.store), 0);
	}
	world_free(&w);
}

static void a_deleted_account_gives_its_space_back(void **state)
{
	struct account *none;
	struct world w;
	uint64_t id, before;

	(void)state;
	world_full(&w);
	before = segments_of(&w);
	assert_int_equal(directory_account_delete(w.store, SLICE("ann@example.org"), &actor_imap), 0);
	account_release(&w.account);
	w.now_ms += (int64_t)w.settings.retention_s * 1000 + 1;
	assert_int_equal(store_compact(w.store), 0);
	shard_tick(w.shard);
	assert_true(segments_of(&w) < before / 2);
	id = w.account_id;
	w.account_id = 0;
	for (int round = 0; round < 2; round++) {
		world_close(&w);
		if (round)
			world_forget_index(&w);
		check_dir(&w);
		world_open(&w);
		w.shard = store_shard(w.store, store_shard_of(w.store, id));
		assert_int_equal(account_open(w.shard, id, &none), -ENOENT);
	}
	world_free(&w);
}

/* All that the journal still has of the account with the highest number is that it was deleted. */
static void the_number_of_a_deleted_account_stays_taken(void **state)
{
	char *text = noise(1, 1500000);
	struct account *account;
	struct ingest *ingest;
	uint64_t bob, carol;
	struct world w;

	(void)state;
	world_full(&w);
	expunge(mailbox_inbox(w.account), 1, MESSAGES);
	retention_passes(&w);
	world_reopen(&w);
	assert_int_equal(store_compact(w.store), 0);
	for (unsigned i = 1; i <= MESSAGES / 5; i++)
		deliver_noise(mailbox_inbox(w.account), i, BODY_BYTES);
	ingest = ingest_of(&w, text);
	free(text);
	ingest_free(&ingest);
	assert_int_equal(directory_account_add(w.store, SLICE("bob@example.org"), SLICE("x"), 0, NULL, &bob), 0);
	assert_int_equal(directory_account_delete(w.store, SLICE("bob@example.org"), NULL), 0);
	world_reopen(&w);
	assert_int_equal(store_compact(w.store), 0);
	world_close(&w);
	world_forget_index(&w);
	world_open(&w);
	assert_int_equal(directory_account_add(w.store, SLICE("carol@example.org"), SLICE("x"), 0, NULL, &carol), 0);
	assert_true(carol > bob);
	assert_int_equal(account_open(store_shard(w.store, store_shard_of(w.store, carol)), carol, &account), 0);
	account_release(&account);
	world_free(&w);
}

/* So does the UIDVALIDITY that its mailboxes had, though the clock goes back and nothing of it is left anywhere. */
static void the_uidvalidity_of_a_deleted_account_stays_taken(void **state)
{
	struct world w;
	uint32_t before;

	(void)state;
	world_full(&w);
	before = mailbox_named(w.account, "Trash")->uidvalidity;
	assert_int_equal(directory_account_delete(w.store, SLICE("ann@example.org"), &actor_imap), 0);
	account_release(&w.account);
	w.account_id = 0;
	for (int round = 0; round < 3; round++) {
		w.now_ms += (int64_t)w.settings.retention_s * 1000 + 1;
		assert_int_equal(store_compact(w.store), 0);
		world_close(&w);
		world_forget_index(&w);
		world_open(&w);
	}
	w.now_ms = 1000000000000;
	assert_int_equal(
		directory_account_add(w.store, SLICE("ann@example.org"), SLICE("x"), 0, NULL, &w.account_id), 0);
	world_reopen(&w);
	assert_true(mailbox_inbox(w.account)->uidvalidity > before);
	world_free(&w);
}

/* History that was forgotten is made up for: every UID that is not there. */
static void vanished_survives_forgotten_history(void **state)
{
	struct uid_range known = {1, 8};
	struct uid_list vanished = UID_LIST_INIT(100);
	struct world w;
	uint64_t modseq;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	for (unsigned i = 1; i <= 10; i++)
		deliver_numbered(mailbox_inbox(w.account), i);
	expunge(mailbox_inbox(w.account), 2, 3);
	modseq = account_highestmodseq(w.account);
	expunge(mailbox_inbox(w.account), 9, 9);
	assert_int_equal(mailbox_vanished(mailbox_inbox(w.account), modseq, (struct uid_set){NULL, 0}, &vanished), 0);
	assert_int_equal(vanished.count, 1);
	assert_int_equal(vanished.ranges[0].first, 9);
	retention_passes(&w);
	uid_list_free(&vanished);
	assert_int_equal(mailbox_vanished(mailbox_inbox(w.account), modseq, (struct uid_set){&known, 1}, &vanished), 0);
	assert_int_equal(vanished.count, 1);
	assert_int_equal(vanished.ranges[0].first, 2);
	assert_int_equal(vanished.ranges[0].last, 3);
	uid_list_free(&vanished);
	world_free(&w);
}

/* A message with an attachment of so many bytes, of so many different ones; 0: text. */
static char *with_attachment(unsigned symbols, size_t bytes)
{
	struct buffer raw = BUFFER_INIT(1 << 20), text = BUFFER_INIT(1 << 20);
	uint64_t state = 42;

	while (symbols && raw.len < bytes) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		buffer_put_byte(&raw, (char)((state >> 33) % symbols));
	}
	while (raw.len < bytes)
		buffer_printf(&raw, "%zu;so much;%zu.00\n", raw.len, raw.len * 7 % 1000);
	buffer_put(
		&text, SLICE("Subject: a file\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: "
			     "base64\r\n\r\n"));
	for (struct slice rest = buffer_slice(&raw); rest.len; rest = slice_from(rest, 57)) {
		buffer_put_base64(&text, slice_first(rest, 57));
		buffer_put(&text, SLICE("\r\n"));
	}
	buffer_put_byte(&text, '\0');
	assert_int_equal(buffer_error(&text), 0);
	buffer_free(&raw);
	return text.at;
}

static const struct attachment {
	unsigned symbols;
	size_t size;
	uint64_t least, most, least_fast, most_fast; /* bytes in the journal */
} attachments[] = {
	{256, 30000, 30000, 31000, 30000, 31000},
	{64, 30000, 22500, 23500, 30000, 31000},
	{100, 30000, 24500, 26500, 30000, 31000},
	{0, 30000, 3000, 12000, 30000, 31000}, /* short enough to come in as it is */
	{0, 40000, 4000, 16000, 4000, 22000},
};

static void assert_attachment(struct world *w, uint32_t uid, size_t i)
{
	char *text = with_attachment(attachments[i].symbols, attachments[i].size);
	size_t len;
	char *body = body_of(w->account, entry_of(mailbox_inbox(w->account), uid).email, &len);

	assert_string_equal(body, text);
	free(body);
	free(text);
}

static uint64_t attachment_deliver(struct world *w, size_t i)
{
	char *text = with_attachment(attachments[i].symbols, attachments[i].size);
	struct store_stats before, after;
	uint32_t uid;

	store_stats(w->store, &before);
	uid = deliver(mailbox_inbox(w->account), text);
	store_stats(w->store, &after);
	assert_attachment(w, uid, i);
	free(text);
	return after.record_bytes - before.record_bytes;
}

static void an_attachment_takes_what_is_in_it(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	w.settings.repack_after_s = STORE_REPACK_NEVER;
	world_open(&w);
	world_account(&w);
	for (size_t i = 0; i < ARRAY_LEN(attachments); i++)
		assert_in_range(attachment_deliver(&w, i), attachments[i].least, attachments[i].most);
	world_free(&w);
}

static uint64_t live_of(struct world *w)
{
	struct store_stats stats;

	world_settle(w);
	store_stats(w->store, &stats);
	return stats.live_bytes;
}

/* Mail comes in as it is, or packed fast; what stays is packed tightly, once. */
static void what_stays_is_packed_again(void **state)
{
	uint64_t fast, tight, most = 0, appended;
	struct store_stats stats;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	for (size_t i = 0; i < ARRAY_LEN(attachments); i++) {
		assert_in_range(attachment_deliver(&w, i), attachments[i].least_fast, attachments[i].most_fast);
		most += attachments[i].most;
	}
	fast = live_of(&w);
	assert_int_equal(store_compact(w.store), 0);
	shard_tick(w.shard);
	tight = live_of(&w);
	assert_true(fast > most);
	assert_in_range(tight, 1, most);
	for (uint32_t uid = 1; uid <= ARRAY_LEN(attachments); uid++)
		assert_attachment(&w, uid, uid - 1);
	store_stats(w.store, &stats);
	appended = stats.record_bytes;
	assert_int_equal(store_compact(w.store), 0);
	assert_int_equal(live_of(&w), tight);
	store_stats(w.store, &stats);
	assert_in_range(stats.record_bytes - appended, 0, 1000);
	world_close(&w);
	check_dir(&w);
	world_open(&w);
	for (uint32_t uid = 1; uid <= ARRAY_LEN(attachments); uid++)
		assert_attachment(&w, uid, uid - 1);
	world_free(&w);
}

/* What the housekeeping thread does, until it pauses. */
static void in_background(struct world *w)
{
	do {
		lock_take(&w->store->upkeep.lock);
		assert_int_equal(compact_run(w->store, false), 0);
		lock_give(&w->store->upkeep.lock);
	} while (w->store->upkeep.has_more);
}

/* Some segments full of what packing again makes smaller; returns what is alive. */
static uint64_t world_of_attachments(struct world *w)
{
	world_open(w);
	world_account(w);
	for (unsigned i = 0; i < 64; i++)
		(void)attachment_deliver(w, 1);
	return live_of(w);
}

/* In the background: segments whose mail is a day old, and no others. */
static void mail_is_packed_again_after_a_day(void **state)
{
	struct world w;
	uint64_t fast;

	(void)state;
	world_make(&w);
	fast = world_of_attachments(&w);
	in_background(&w);
	assert_int_equal(live_of(&w), fast);
	w.now_ms += (int64_t)w.settings.repack_after_s * 1000 - 1000;
	in_background(&w);
	assert_int_equal(live_of(&w), fast);
	w.now_ms += 2000;
	in_background(&w);
	/* All but what is in the current segment. */
	assert_in_range(live_of(&w), 64 * attachments[1].least, fast - fast / 8);
	shard_tick(w.shard);
	for (uint32_t uid = 1; uid <= 64; uid++)
		assert_attachment(&w, uid, 1);
	world_free(&w);
}

static int little_room(void *context, const char *path, uint64_t *ret_bytes)
{
	(void)context;
	(void)path;
	*ret_bytes = 1 << 20; /* a quarter of it is less than a segment */
	return 0;
}

/* Copies come first, and what they are of goes afterwards: where there is hardly any room, that is for mail. */
static void a_disk_with_little_room_is_left_alone(void **state)
{
	struct file_system files = file_system_real;
	uint64_t fast;
	struct world w;

	(void)state;
	files.room = little_room;
	world_make(&w);
	w.settings.files = &files;
	w.settings.repack_after_s = 0;
	fast = world_of_attachments(&w);
	in_background(&w);
	assert_int_equal(live_of(&w), fast);
	files.room = file_system_real.room;
	in_background(&w);
	assert_in_range(live_of(&w), 1, fast - 1);
	world_free(&w);
}

/* Where accounts have so much that their snapshots are more than what is saved, nothing is copied until enough has come together for
 * snapshots that serve all of it. */
static void packing_again_pays_or_waits(void **state)
{
	enum { OLD = 30000, NEW = 64 };
	struct store_stats before, after;
	struct world w;

	(void)state;
	world_make(&w);
	w.settings.repack_after_s = 0;
	world_open(&w);
	world_account(&w);
	for (unsigned i = 0; i < OLD; i++)
		deliver(mailbox_inbox(w.account), "Subject: small\r\n\r\nAnd many.\r\n");
	for (unsigned i = 0; i < NEW; i++)
		(void)attachment_deliver(&w, 1);
	world_settle(&w);
	store_stats(w.store, &before);
	in_background(&w);
	store_stats(w.store, &after);
	assert_int_equal(after.record_bytes, before.record_bytes);
	for (unsigned i = 0; i < 10 * NEW; i++)
		(void)attachment_deliver(&w, 1);
	world_settle(&w);
	store_stats(w.store, &before);
	in_background(&w);
	store_stats(w.store, &after);
	assert_in_range(after.record_bytes - before.record_bytes, 8 * NEW * attachments[1].least,
		11 * NEW * attachments[1].most + 3000000);
	in_background(&w);
	world_settle(&w);
	store_stats(w.store, &before);
	assert_int_equal(before.record_bytes, after.record_bytes);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expunged_mail_stays_for_the_retention_time),
		cmocka_unit_test(what_is_alive_is_copied_out),
		cmocka_unit_test(large_messages_move_frame_by_frame),
		cmocka_unit_test(a_reader_outlives_its_segment),
		cmocka_unit_test(an_old_snapshot_of_the_index_finds_what_moved),
		cmocka_unit_test(a_message_on_its_way_keeps_its_pieces),
		cmocka_unit_test(moving_leaves_threads_as_they_are),
		cmocka_unit_test(threads_of_mail_that_is_gone_stay_known),
		cmocka_unit_test(damage_does_not_stop_compaction),
		cmocka_unit_test(the_newest_segment_stays),
		cmocka_unit_test(a_deleted_account_gives_its_space_back),
		cmocka_unit_test(the_number_of_a_deleted_account_stays_taken),
		cmocka_unit_test(the_uidvalidity_of_a_deleted_account_stays_taken),
		cmocka_unit_test(vanished_survives_forgotten_history),
		cmocka_unit_test(an_attachment_takes_what_is_in_it),
		cmocka_unit_test(what_stays_is_packed_again),
		cmocka_unit_test(mail_is_packed_again_after_a_day),
		cmocka_unit_test(a_disk_with_little_room_is_left_alone),
		cmocka_unit_test(packing_again_pays_or_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
