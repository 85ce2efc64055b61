/* Starts in trouble: on a full disk, with an index that cannot grow, with a record that makes no sense. */
#include "store/disk/file.h"
#include "store/resident.h"
#include "support.h"

/* ---- No room for a whole segment ---- */

struct quota {
	struct file_system files;
	uint64_t room; /* what can still be allocated */
};

static int quota_allocate(void *context, int file, uint64_t bytes)
{
	struct quota *quota = context;

	if (bytes > quota->room)
		return -ENOSPC;
	quota->room -= bytes;
	return file_system_real.allocate(NULL, file, bytes);
}

static int quota_truncate(void *context, int file, uint64_t bytes)
{
	struct quota *quota = context;
	uint64_t before = 0;
	int error = file_system_real.size(NULL, file, &before);

	if (!error)
		error = file_system_real.truncate(NULL, file, bytes);
	if (!error && before > bytes)
		quota->room += before - bytes;
	return error;
}

static char *noise(size_t bytes)
{
	char *text = malloc(bytes + 1);

	assert_non_null(text);
	for (size_t i = 0; i < bytes; i++)
		text[i] = (char)(33 + clock_random_u64(clock_system()) % 90);
	text[bytes] = '\0';
	return text;
}

/* The reserve of the last run is in a segment that is sealed by the start: what it gives back is enough to clean up in. */
static void a_start_on_a_full_disk_lets_people_clean_up(void **state)
{
	struct quota quota = {.files = file_system_real, .room = 6 << 20};
	char *text = noise(100000);
	struct world w;
	int error = 0;

	(void)state;
	quota.files.allocate = quota_allocate;
	quota.files.truncate = quota_truncate;
	quota.files.context = &quota;
	world_make(&w);
	w.settings.files = &quota.files;
	world_open(&w);
	world_account(&w);
	for (int i = 0; !error && i < 200; i++)
		error = world_try_deliver(&w, text);
	assert_int_equal(error, -ENOSPC);
	for (uint32_t round = 1; round <= 3; round++) {
		quota.room = 0;
		world_reopen(&w);
		assert_int_equal(world_try_deliver(&w, text), -ENOSPC);
		assert_int_equal(flag(mailbox_inbox(w.account), round, round, FLAGS_ADD, FLAG_DELETED), 1);
		assert_int_equal(expunge(mailbox_inbox(w.account), round, round), 1);
		assert_int_equal(store_wait_durable(w.store, account_seq(w.account)), 0);
		assert_int_equal(world_try_deliver(&w, text), -ENOSPC);
	}
	/* With room again everything goes on, over the short segment. */
	quota.room = 64 << 20;
	error = -ENOSPC;
	for (int i = 0; error == -ENOSPC && i < 200; i++) {
		struct timespec pause = {0, 50000000};

		error = world_try_deliver(&w, text);
		nanosleep(&pause, NULL);
	}
	assert_int_equal(error, 0);
	w.settings.files = NULL;
	world_reopen(&w);
	for (uint32_t uid = 1; uid <= 3; uid++)
		assert_false(has_uid(mailbox_inbox(w.account), uid));
	assert_true(has_uid(mailbox_inbox(w.account), 4));
	free(text);
	world_free(&w);
}

/* ---- No room in the index ---- */

static void an_index_that_cannot_grow_does_not_stop_a_start(void **state)
{
	struct world w;
	uint32_t messages;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	world_settle(&w);
	w.settings.apply_delay_ms = 3600000;
	world_reopen(&w);
	for (unsigned i = 1; i <= 1500; i++)
		deliver_numbered(mailbox_inbox(w.account), i);
	flag(mailbox_inbox(w.account), 1, 5, FLAGS_ADD, FLAG_SEEN);
	expunge(mailbox_inbox(w.account), 2, 2);
	messages = mailbox_inbox(w.account)->messages;
	assert_int_equal(store_wait_durable(w.store, account_seq(w.account)), 0);
	w.settings.index_bytes_max = 1 << 17;
	world_kill_and_reopen(&w);
	assert_true(store_applied_seq(w.store) < store_durable_seq(w.store));
	assert_int_equal(mailbox_inbox(w.account)->messages, messages);
	assert_false(has_uid(mailbox_inbox(w.account), 2));
	assert_true(entry_of(mailbox_inbox(w.account), 3).flags & FLAG_SEEN);
	assert_int_equal(deliver_numbered(mailbox_inbox(w.account), 1501), 1501);
	/* Still so at the next start; and with room again all of it gets into the index. */
	world_reopen(&w);
	assert_int_equal(mailbox_inbox(w.account)->messages, messages + 1);
	w.settings.index_bytes_max = 0;
	w.settings.apply_delay_ms = 20;
	world_reopen(&w);
	world_settle(&w);
	assert_int_equal(store_applied_seq(w.store), store_durable_seq(w.store));
	assert_int_equal(mailbox_inbox(w.account)->messages, messages + 1);
	world_free(&w);
}

/* ---- A record that makes no sense ---- */

static void report(void *context, struct slice line)
{
	struct buffer *lines = context;

	buffer_put(lines, line);
	buffer_put_byte(lines, '\n');
}

static void append_nonsense(struct world *w, uint64_t account)
{
	/* Its checksum is right. */
	static const char change[] = "\x04\0\0\0\xff\xff\xff\xff";
	struct appending what = {.account = account, .kind = RECORD_CHANGE};
	uint64_t seq = 0;

	what.change = (struct slice){change, sizeof(change) - 1};
	assert_int_equal(store_append(w->store, &what, NULL, &seq), 0);
	assert_int_equal(store_wait_durable(w->store, seq), 0);
}

static void a_record_that_makes_no_sense_is_set_aside(void **state)
{
	struct buffer lines = BUFFER_INIT(1 << 16);
	struct store_check check = {.salvage = true, .report = report, .context = &lines};
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	deliver_numbered(mailbox_inbox(w.account), 1);
	world_settle(&w);
	w.settings.apply_delay_ms = 3600000;
	world_reopen(&w);
	append_nonsense(&w, w.account_id);
	deliver_numbered(mailbox_inbox(w.account), 2);
	assert_int_equal(store_wait_durable(w.store, account_seq(w.account)), 0);
	account_release(&w.account);
	store_close(&w.store);
	w.failed = 0; /* the applier could not fold it */
	assert_int_equal(store_open(&w.settings, &w.store), -EBADMSG);
	assert_int_equal(store_check(&w.settings, &check), -EBADMSG);
	assert_non_null(strstr(buffer_text(&lines), "it makes no sense, and is left out"));
	buffer_reset(&lines);
	check.salvage = false;
	assert_int_equal(store_check(&w.settings, &check), 0);
	world_open(&w);
	assert_int_equal(mailbox_inbox(w.account)->messages, 2);
	for (uint32_t uid = 1; uid <= 2; uid++)
		assert_true(has_uid(mailbox_inbox(w.account), uid));
	buffer_free(&lines);
	world_free(&w);
}

/* ---- An index that is older than what was dropped ---- */

struct syncs {
	struct file_system files;
	unsigned of_index;
};

static int counting_sync_dir(void *context, const char *path)
{
	struct syncs *syncs = context;
	struct slice name = slice_of(path);

	syncs->of_index += name.len > 6 && memcmp(name.at + name.len - 6, "/index", 6) == 0;
	return file_system_real.sync_dir(NULL, path);
}

/* A rebuild that ended behind the rename: the next start uses what it made, and segments go because of what that knows. */
static void the_name_of_an_index_is_durable_before_it_is_used(void **state)
{
	struct syncs syncs = {.files = file_system_real};
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	syncs.files.sync_dir = counting_sync_dir;
	syncs.files.context = &syncs;
	w.settings.files = &syncs.files;
	world_reopen(&w);
	assert_in_range(syncs.of_index, 1, 100);
	world_free(&w);
}

/* Somebody puts a copy back, or a power cut does: what it does not know is in the journal, but not behind what it knows. */
static void an_index_from_before_is_made_anew(void **state)
{
	char index[80], copy[80], *text = noise(20000);
	struct mailbox *box;
	struct world w;

	(void)state;
	world_make(&w);
	world_open(&w);
	world_account(&w);
	world_settle(&w);
	world_close(&w);
	(void)snprintf(index, sizeof(index), "%s/index", w.dir);
	(void)snprintf(copy, sizeof(copy), "%s/index.copy", w.dir);
	world_run("cp", "-r", index, copy);
	world_open(&w);
	assert_int_equal(mailbox_create(w.account, SLICE("Kept"), 0, &actor_imap, &box), 0);
	deliver_numbered(box, 7);
	for (int i = 0; i < 300; i++)
		assert_int_equal(world_try_deliver(&w, text), 0);
	assert_int_equal(expunge(mailbox_inbox(w.account), 1, 300), 300);
	world_settle(&w);
	w.now_ms += (int64_t)w.settings.retention_s * 1000 + 1;
	assert_int_equal(store_compact(w.store), 0);
	world_close(&w);
	world_run("rm", "-r", index, NULL);
	world_run("mv", copy, index, NULL);
	world_open(&w);
	box = mailbox_named(w.account, "Kept");
	assert_non_null(box);
	assert_int_equal(box->messages, 1);
	assert_int_equal(mailbox_inbox(w.account)->messages, 0);
	free(text);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_on_a_full_disk_lets_people_clean_up),
		cmocka_unit_test(an_index_that_cannot_grow_does_not_stop_a_start),
		cmocka_unit_test(a_record_that_makes_no_sense_is_set_aside),
		cmocka_unit_test(an_index_from_before_is_made_anew),
		cmocka_unit_test(the_name_of_an_index_is_durable_before_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
