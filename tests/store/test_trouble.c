/* Trouble: a process that is killed, a full disk, many threads at once. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/disk/file.h"
#include "store/resident.h"
#include "support.h"

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

/* ---- Killed ---- */

/* What a child does until it is killed: mail comes in, goes, space is given back; each durable UID is told. */
static void deliver_for_ever(struct world *w, int out)
{
	uint32_t last;

	w->settings.retention_s = 0;
	world_open(w);
	/* The one before may have been killed between a delivery and what goes with it. */
	last = mailbox_inbox(w->account)->uidnext - 1;
	if (last && last % 3 == 0 && has_uid(mailbox_inbox(w->account), last - 1))
		expunge(mailbox_inbox(w->account), last - 1, last - 1);
	for (unsigned i = 0;; i++) {
		struct mailbox *inbox = mailbox_inbox(w->account);
		uint32_t uid = deliver_numbered(inbox, inbox->uidnext);

		if (uid % 3 == 0)
			expunge(inbox, uid - 1, uid - 1);
		flag(inbox, uid > 4 ? uid - 4 : 1, uid, FLAGS_ADD, FLAG_SEEN);
		if (store_wait_durable(w->store, account_seq(w->account)))
			_exit(1);
		if (write(out, &uid, sizeof(uid)) != sizeof(uid))
			_exit(2);
		if (i % 50 == 49)
			shard_tick(w->shard);
		if (i % 100 == 99 && store_compact(w->store))
			_exit(3);
		w->now_ms += 100;
	}
}

static uint32_t run_and_kill(struct world *w, unsigned told_max)
{
	uint32_t uid = 0, last = 0;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		deliver_for_ever(w, ends[1]);
	}
	close(ends[1]);
	for (unsigned i = 0; i < told_max && read(ends[0], &uid, sizeof(uid)) == sizeof(uid); i++)
		last = uid;
	assert_int_equal(kill(child, SIGKILL), 0);
	while (read(ends[0], &uid, sizeof(uid)) == sizeof(uid))
		last = uid;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return last;
}

static void assert_is_there(struct mailbox *inbox, uint32_t uid)
{
	char expected[64];
	size_t len;
	char *body = body_of(inbox->account, entry_of(inbox, uid).email, &len);

	(void)snprintf(expected, sizeof(expected), "This is number %u.\r\n", uid);
	assert_non_null(strstr(body, expected));
	free(body);
}

static void what_was_told_survives_kill_9(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	for (unsigned round = 0; round < 6; round++) {
		uint32_t last;

		world_close(&w);
		last = run_and_kill(&w, 60 + round * 37);
		assert_true(last > 0);
		if (round % 3 == 2)
			world_forget_index(&w);
		check_dir(&w);
		world_open(&w);
		assert_true(mailbox_inbox(w.account)->uidnext > last);
		for (uint32_t uid = 1; uid <= last; uid++) {
			bool is_expunged =
				uid % 3 == 2; /* with the next one; whether it was with the last, nobody was told */

			if (is_expunged && uid < last)
				assert_false(has_uid(mailbox_inbox(w.account), uid));
			else if (!is_expunged || has_uid(mailbox_inbox(w.account), uid))
				assert_is_there(mailbox_inbox(w.account), uid);
		}
	}
	world_free(&w);
}

/* ---- Full ---- */

static atomic_bool full;

static int full_allocate(void *context, int file, uint64_t bytes)
{
	return atomic_load(&full) ? -ENOSPC : file_system_real.allocate(context, file, bytes);
}

static void a_full_disk_refuses_and_recovers(void **state)
{
	struct file_system files = file_system_real;
	char *text = malloc(100001);
	struct world w;
	uint32_t before;
	int error = 0;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < 100000; i++)
		text[i] = (char)(33 + clock_random_u64(clock_system()) % 90);
	text[100000] = '\0';
	files.allocate = full_allocate;
	world_make(&w);
	w.settings.files = &files;
	world_open(&w);
	world_account(&w);
	assert_int_equal(world_try_deliver(&w, text), 0);
	atomic_store(&full, true);
	for (int i = 0; !error && i < 200; i++)
		error = world_try_deliver(&w, text);
	assert_int_equal(error, -ENOSPC);
	before = mailbox_inbox(w.account)->messages;
	assert_int_equal(world_try_deliver(&w, text), -ENOSPC);
	assert_int_equal(mailbox_inbox(w.account)->messages, before);
	/* Cleaning up works all the same. */
	assert_int_equal(flag(mailbox_inbox(w.account), 1, 1, FLAGS_ADD, FLAG_DELETED), 1);
	assert_int_equal(expunge(mailbox_inbox(w.account), 1, 1), 1);
	world_settle(&w);
	atomic_store(&full, false);
	error = -ENOSPC;
	for (int i = 0; error == -ENOSPC && i < 100; i++) {
		struct timespec pause = {0, 50000000};

		error = world_try_deliver(&w, text);
		nanosleep(&pause, NULL);
	}
	assert_int_equal(error, 0);
	assert_int_equal(mailbox_inbox(w.account)->messages, before);
	world_close(&w);
	check_dir(&w);
	world_open(&w);
	assert_int_equal(mailbox_inbox(w.account)->messages, before);
	free(text);
	world_free(&w);
}

static int try_flag(struct world *w, enum flags_mode mode)
{
	struct uid_range range = {10, 10};
	struct flag_set set = {.flags = FLAG_SEEN};
	struct uid_list changed = UID_LIST_INIT(10);
	int error = entries_store(mailbox_inbox(w->account), (struct uid_set){&range, 1}, mode, &set, UINT64_MAX, NULL,
		&actor_imap, &changed, NULL);

	uid_list_free(&changed);
	return error;
}

/* What is durable waits in memory for the index, which may be slow, or find no room. */
static void what_waits_for_the_index_has_a_most(void **state)
{
	struct world w;
	uint32_t before;
	int error = 0;

	(void)state;
	world_make(&w);
	w.settings.apply_delay_ms = 3600000;
	w.settings.pending_bytes_max = 100000;
	world_open(&w);
	world_account(&w);
	for (int i = 0; !error && i < 5000; i++)
		error = world_try_deliver(&w, "Subject: x\r\n\r\nx\r\n");
	assert_int_equal(error, -ENOSPC);
	before = mailbox_inbox(w.account)->messages;
	assert_true(before > 20);
	assert_in_range(w.store->pending_bytes, 100000, 102000);
	assert_int_equal(world_try_deliver(&w, "Subject: y\r\n\r\ny\r\n"), -ENOSPC);
	/* Cleaning up works all the same, but nothing goes on for ever. */
	assert_int_equal(expunge(mailbox_inbox(w.account), 1, 3), 3);
	error = 0;
	for (int i = 0; !error && i < 5000; i++)
		error = try_flag(&w, i % 2 ? FLAGS_REMOVE : FLAGS_ADD);
	assert_int_equal(error, -ENOSPC);
	assert_in_range(w.store->pending_bytes, 112500, 114500);
	world_settle(&w);
	assert_int_equal(try_flag(&w, FLAGS_REPLACE), 0);
	world_settle(&w);
	assert_int_equal(w.store->pending_bytes, 0);
	assert_int_equal(world_try_deliver(&w, "Subject: z\r\n\r\nz\r\n"), 0);
	assert_int_equal(mailbox_inbox(w.account)->messages, before - 2);
	world_close(&w);
	check_dir(&w);
	world_open(&w);
	assert_int_equal(mailbox_inbox(w.account)->messages, before - 2);
	world_free(&w);
}

static void *compact_thread(void *context)
{
	struct world *w = context;

	return store_compact(w->store) == -ECANCELED ? w : NULL;
}

/* While the index cannot be written, housekeeping waits for it; closing does not wait for housekeeping. */
static void closing_does_not_wait_for_a_full_index(void **state)
{
	pthread_t thread;
	struct world w;
	MDB_txn *txn;
	void *canceled;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	assert_int_equal(index_begin(w.store->index, true, &txn), 0);
	deliver_numbered(mailbox_inbox(w.account), 1);
	assert_int_equal(pthread_create(&thread, NULL, compact_thread, &w), 0);
	applier_end_waits(w.store);
	assert_int_equal(pthread_join(thread, &canceled), 0);
	mdb_txn_abort(txn);
	assert_ptr_equal(canceled, &w);
	world_reopen(&w);
	assert_is_there(mailbox_inbox(w.account), 1);
	world_free(&w);
}

/* What the journal has beyond a damaged index cannot be folded into it: all of it is made anew. */
static void a_damaged_index_is_made_anew(void **state)
{
	struct index_key key;
	struct world w;
	MDB_txn *txn;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	deliver_numbered(mailbox_inbox(w.account), 1);
	w.settings.apply_delay_ms = 60000;
	world_reopen(&w);
	key = key_of(mailbox_inbox(w.account)->id);
	assert_int_equal(index_begin(w.store->index, true, &txn), 0);
	assert_int_equal(index_put(w.store->index, txn, TABLE_MAILBOXES, key_slice(&key), SLICE("?")), 0);
	assert_int_equal(index_commit(txn), 0);
	deliver_numbered(mailbox_inbox(w.account), 2);
	assert_int_equal(store_wait_durable(w.store, account_seq(w.account)), 0);
	world_kill_and_reopen(&w);
	assert_int_equal(w.failed, -EBADMSG); /* the one that was left behind could not fold it either */
	w.failed = 0;
	assert_is_there(mailbox_inbox(w.account), 1);
	assert_is_there(mailbox_inbox(w.account), 2);
	world_free(&w);
}

/* ---- Crowded ---- */

enum { CROWD_SHARDS = 3, CROWD_ACCOUNTS = 12, CROWD_ROUNDS = 150 };

struct crowd {
	struct world w;
	uint64_t ids[CROWD_ACCOUNTS];
	atomic_bool over;
};
struct crowd_member {
	struct crowd *crowd;
	unsigned shard;
	pthread_t thread;
};

static void *shard_thread(void *context)
{
	struct crowd_member *member = context;
	struct crowd *crowd = member->crowd;
	struct shard *shard = store_shard(crowd->w.store, member->shard);

	for (unsigned round = 0; round < CROWD_ROUNDS; round++) {
		for (size_t i = 0; i < CROWD_ACCOUNTS; i++) {
			struct account *account;
			struct mailbox *inbox;
			uint32_t uid;

			if (store_shard_of(crowd->w.store, crowd->ids[i]) != member->shard)
				continue;
			CHECK(account_open(shard, crowd->ids[i], &account) == 0);
			inbox = mailbox_inbox(account);
			uid = deliver_numbered(inbox, inbox->uidnext);
			if (uid > 10) {
				flag(inbox, uid - 5, uid, FLAGS_ADD, FLAG_SEEN);
				expunge(inbox, uid - 10, uid - 10);
				assert_is_there(inbox, uid - 3);
			}
			account_release(&account);
		}
		if (round % 10 == 9)
			shard_tick(shard);
	}
	return NULL;
}

static void *directory_thread(void *context)
{
	struct crowd *crowd = context;

	for (unsigned i = 0; !atomic_load(&crowd->over); i++) {
		char address[40];
		uint64_t id;

		(void)snprintf(address, sizeof(address), "late%u@example.org", i);
		CHECK(directory_account_add(crowd->w.store, slice_of(address), SLICE("x"), 0, NULL, &id) == 0);
		if (i % 2)
			CHECK(directory_account_delete(crowd->w.store, slice_of(address), NULL) == 0);
		CHECK(store_compact(crowd->w.store) == 0);
	}
	return NULL;
}

static void crowd_make(struct crowd *crowd)
{
	world_make(&crowd->w);
	crowd->w.settings.shards = CROWD_SHARDS;
	crowd->w.settings.clock = NULL;
	crowd->w.settings.retention_s = 0;
	crowd->w.settings.resident_accounts = 3;
	world_open(&crowd->w);
	assert_int_equal(directory_domain_add(crowd->w.store, SLICE("example.org")), 0);
	for (unsigned i = 0; i < CROWD_ACCOUNTS; i++) {
		char address[40];

		(void)snprintf(address, sizeof(address), "user%u@example.org", i);
		assert_int_equal(
			directory_account_add(crowd->w.store, slice_of(address), SLICE("x"), 0, NULL, &crowd->ids[i]),
			0);
	}
}

static void many_threads_do_not_get_in_each_others_way(void **state)
{
	static struct crowd crowd;
	struct crowd_member members[CROWD_SHARDS];
	pthread_t directory;

	(void)state;
	crowd_make(&crowd);
	assert_int_equal(pthread_create(&directory, NULL, directory_thread, &crowd), 0);
	for (unsigned i = 0; i < CROWD_SHARDS; i++) {
		members[i] = (struct crowd_member){.crowd = &crowd, .shard = i};
		assert_int_equal(pthread_create(&members[i].thread, NULL, shard_thread, &members[i]), 0);
	}
	for (unsigned i = 0; i < CROWD_SHARDS; i++)
		assert_int_equal(pthread_join(members[i].thread, NULL), 0);
	atomic_store(&crowd.over, true);
	assert_int_equal(pthread_join(directory, NULL), 0);
	for (int round = 0; round < 2; round++) {
		world_close(&crowd.w);
		if (round)
			world_forget_index(&crowd.w);
		check_dir(&crowd.w);
		world_open(&crowd.w);
		for (size_t i = 0; i < CROWD_ACCOUNTS; i++) {
			struct account *account;
			unsigned shard = store_shard_of(crowd.w.store, crowd.ids[i]);

			assert_int_equal(account_open(store_shard(crowd.w.store, shard), crowd.ids[i], &account), 0);
			assert_int_equal(mailbox_inbox(account)->messages, 10);
			assert_is_there(mailbox_inbox(account), CROWD_ROUNDS - 7);
			account_release(&account);
		}
	}
	world_free(&crowd.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_survives_kill_9),
		cmocka_unit_test(a_full_disk_refuses_and_recovers),
		cmocka_unit_test(what_waits_for_the_index_has_a_most),
		cmocka_unit_test(a_damaged_index_is_made_anew),
		cmocka_unit_test(closing_does_not_wait_for_a_full_index),
		cmocka_unit_test(many_threads_do_not_get_in_each_others_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
