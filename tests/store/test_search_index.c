/*
 * The search index of a store: kept up as mail comes and goes, through restarts and losses; and whatever becomes of it, searches find what there is.
 */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "store/disk/file.h"
#include "store/engine.h"
#include "store/searcher.h"
#include "support.h"

#include "store/search.h"

enum { MESSAGES = 300, BATCH = 20, PATIENCE = 600 /* tenths of a second */ };

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_make(w);
	w->settings.search_batch = BATCH;
	world_open(w);
	world_account(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	free(*state);
	return 0;
}

static void changed(void *owner)
{
	(void)owner;
}

/* ---- Searching ---- */

/* How many are found; *ret_opened: how many messages had to be looked into. */
static uint64_t search_kind(
	struct world *w, struct mailbox *mailbox, const struct search_criterion *c, uint64_t *ret_opened)
{
	struct uid_list found = UID_LIST_INIT(100000);
	struct store_stats before, after;
	struct search *search;
	struct view *view;
	uint64_t count;
	bool done = false;

	store_stats(w->store, &before);
	assert_int_equal(view_open(mailbox, changed, w, &view), 0);
	assert_int_equal(search_new(view, c, &search), 0);
	while (!done)
		assert_int_equal(search_step(search, 1000000, &found, &done), 0);
	search_free(&search);
	view_close(&view);
	count = uid_set_count(uid_list_set(&found));
	uid_list_free(&found);
	store_stats(w->store, &after);
	if (ret_opened)
		*ret_opened = after.searched - before.searched;
	return count;
}

static uint64_t search(struct world *w, const char *text, uint64_t *ret_opened)
{
	const struct search_criterion c = {.kind = SEARCH_BODY, .text = slice_of(text)};

	return search_kind(w, mailbox_inbox(w->account), &c, ret_opened);
}

/* "This is number N": those from `first` to `last` that have the digit 7 in it. */
static uint64_t sevens(unsigned first, unsigned last)
{
	uint64_t count = 0;

	for (unsigned i = first; i <= last; i++)
		count += i % 10 == 7 || i / 10 % 10 == 7 || i / 100 % 10 == 7;
	return count;
}

static void deliver_many(struct world *w, unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++)
		(void)deliver_numbered(mailbox_inbox(w->account), i);
	world_settle(w);
}

/* ---- Files ---- */

static struct search_files files_of(struct world *w)
{
	struct search_files files;

	assert_int_equal(search_files_list(w->store, w->account_id, false, &files), 0);
	return files;
}

static uint32_t emails_in_files(struct world *w)
{
	struct search_files files = files_of(w);
	uint32_t sum = 0;

	for (size_t i = 0; i < files.count; i++)
		sum += files.list[i].count;
	search_files_free(&files);
	return sum;
}

static size_t file_count(struct world *w)
{
	struct search_files files = files_of(w);
	size_t count = files.count;

	search_files_free(&files);
	return count;
}

static void first_path(struct world *w, char *path)
{
	struct search_files files = files_of(w);

	assert_true(files.count > 0);
	search_file_path(w->store, w->account_id, &files.list[0], path);
	search_files_free(&files);
}

/* The thread makes them when it gets to it. */
static void wait_for_emails(struct world *w, uint32_t least, uint32_t most)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		uint32_t emails = emails_in_files(w);

		if (emails >= least && emails <= most)
			return;
		thread_pause(NULL, 100000);
	}
	fail_msg("%u emails are in files", emails_in_files(w));
}

/* Any files of the data directory's "search" with the account's number, of whatever epoch. */
static size_t names_in(struct world *w)
{
	char path[SEARCH_PATH_ROOM];
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/search/%llx", w->dir, (unsigned long long)w->account_id / 64);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += strlen(entry->d_name) > 20;
	assert_int_equal(closedir(dir), 0);
	return count;
}

/* ---- Tests ---- */

static void it_is_kept_up_as_mail_arrives(void **state)
{
	struct world *w = *state;
	uint64_t opened;

	deliver_many(w, 1, MESSAGES);
	wait_for_emails(w, MESSAGES - BATCH, MESSAGES);
	assert_int_equal(search(w, "number", &opened), MESSAGES);
	assert_true(opened < MESSAGES / 4);
	assert_int_equal(search(w, "7", &opened), sevens(1, MESSAGES));
	assert_true(opened < MESSAGES / 4);
	deliver_many(w, MESSAGES + 1, 2 * MESSAGES);
	wait_for_emails(w, 2 * MESSAGES - BATCH, 2 * MESSAGES);
	assert_int_equal(search(w, "7", &opened), sevens(1, 2 * MESSAGES));
	assert_true(opened < MESSAGES / 4);
	/* Many small ones became few. */
	assert_true(file_count(w) <= 8);
}

static void mail_that_never_stops_is_in_it_too(void **state)
{
	struct world *w = *state;
	unsigned count = MESSAGES;
	int64_t until = thread_now_us(NULL) + (int64_t)PATIENCE * 100000;

	deliver_many(w, 1, MESSAGES);
	while (emails_in_files(w) < MESSAGES && thread_now_us(NULL) < until) {
		count++;
		deliver_many(w, count, count);
	}
	assert_in_range(emails_in_files(w), MESSAGES, count);
}

/* How long a pause is after so much work. */
static int64_t way_given_us(struct world *w, int64_t work_us)
{
	int64_t start = thread_now_us(NULL);

	w->store->searcher->work_us = start - work_us;
	searcher_give_way(w->store);
	return thread_now_us(NULL) - start;
}

static void it_rests_while_mail_arrives(void **state)
{
	struct world *w = *state;
	int64_t least = INT64_MAX;

	/* The thread has nothing to do: these are too few. */
	deliver_many(w, 1, 1);
	assert_true(way_given_us(w, 4000) >= 28000);
	deliver_many(w, 2, 2);
	assert_true(way_given_us(w, 10000000) >= 50000);
	for (unsigned i = 0; i < 20; i++)
		least = MIN(least, way_given_us(w, 10000000));
	assert_true(least < 50000);
}

static void few_messages_are_looked_into(void **state)
{
	struct world *w = *state;
	uint64_t opened;

	deliver_many(w, 1, BATCH - 1);
	assert_int_equal(search(w, "7", &opened), sevens(1, BATCH - 1));
	assert_int_equal(opened, BATCH - 1);
	assert_int_equal(file_count(w), 0);
}

static void before_and_after_the_answers_are_the_same(void **state)
{
	static const char *const needles[] = {"7", "number 2", "s is n", "is number 12.", ".", "nowhere", "r 30"};
	struct world *w = *state;
	uint64_t found[ARRAY_LEN(needles)], opened;

	w->settings.search_batch = 1000000; /* nothing by itself */
	world_reopen(w);
	deliver_many(w, 1, MESSAGES);
	for (size_t i = 0; i < ARRAY_LEN(needles); i++) {
		found[i] = search(w, needles[i], &opened);
		assert_int_equal(opened, MESSAGES);
	}
	assert_int_equal(store_search_index(w->store), 0);
	assert_int_equal(emails_in_files(w), MESSAGES);
	for (size_t i = 0; i < ARRAY_LEN(needles); i++)
		assert_int_equal(search(w, needles[i], NULL), found[i]);
	assert_int_equal(search(w, "nowhere", &opened), 0);
	assert_true(opened < 20);
	assert_int_equal(found[0], sevens(1, MESSAGES));
	assert_int_equal(found[1], 1 + 10 + 100);
	assert_int_equal(found[3], 1);
}

static void fields_are_found_without_a_look(void **state)
{
	static const struct {
		const char *name, *text;
		uint64_t found;
	} all[] = {{"subject", "number 2", 1 + 10 + 100}, {"from", "b <bob@example.org>", MESSAGES},
		{"to", "ann@", MESSAGES}, {"cc", "", 0}, {"subject", "", MESSAGES}, {"subject", "r 30", 1 + 1}};
	struct world *w = *state;
	uint64_t opened;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct search_criterion c = {
			.kind = SEARCH_HEADER, .name = slice_of(all[i].name), .text = slice_of(all[i].text)};

		assert_int_equal(search_kind(w, mailbox_inbox(w->account), &c, &opened), all[i].found);
		assert_true(opened < 20);
	}
}

static void strings_beyond_the_limit_are_looked_for(void **state)
{
	enum { STRINGS = 50 };
	struct world *w = *state;
	struct search_criterion root = {.kind = SEARCH_OR}, leaves[STRINGS];
	char texts[STRINGS][24];
	uint64_t opened;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	for (int i = STRINGS - 1; i >= 0; i--) {
		(void)snprintf(texts[i], sizeof(texts[i]), "number %d.", 3 * i + 1);
		leaves[i] = (struct search_criterion){
			.kind = SEARCH_BODY, .text = slice_of(texts[i]), .next = root.children};
		root.children = &leaves[i];
	}
	assert_int_equal(search_kind(w, mailbox_inbox(w->account), &root, &opened), STRINGS);
	assert_true(opened > MESSAGES / 2);
}

static void what_moves_and_goes_is_known(void **state)
{
	struct world *w = *state;
	struct uid_range range = {1, 100}, rest = {101, 200};
	struct uid_list from = UID_LIST_INIT(1000), to = UID_LIST_INIT(1000);
	const struct search_criterion c = {.kind = SEARCH_BODY, .text = SLICE("7")};
	struct mailbox *box;
	uint64_t opened;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(mailbox_create(w->account, SLICE("Box"), 0, &actor_imap, &box), 0);
	assert_int_equal(store_search_index(w->store), 0);
	assert_int_equal(entries_copy(mailbox_inbox(w->account), (struct uid_set){&range, 1}, box, true, &actor_imap,
				 &from, &to),
		0);
	assert_int_equal(expunge(mailbox_inbox(w->account), rest.first, rest.last), 100);
	assert_int_equal(search(w, "7", NULL), sevens(201, MESSAGES));
	assert_int_equal(search_kind(w, box, &c, &opened), sevens(1, 100));
	assert_true(opened < 20);
	uid_list_free(&from);
	uid_list_free(&to);
}

static void words_go_with_the_mail(void **state)
{
	struct world *w = *state;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	assert_int_equal(emails_in_files(w), MESSAGES);
	assert_int_equal(expunge(mailbox_inbox(w->account), 11, MESSAGES), MESSAGES - 10);
	world_settle(w);
	w->now_ms += ((int64_t)w->settings.retention_s + 60) * 1000;
	assert_int_equal(store_compact(w->store), 0);
	wait_for_emails(w, 10, 10);
	assert_int_equal(search(w, "number", NULL), 10);
	assert_int_equal(expunge(mailbox_inbox(w->account), 1, 10), 10);
	world_settle(w);
	w->now_ms += ((int64_t)w->settings.retention_s + 60) * 1000;
	assert_int_equal(store_compact(w->store), 0);
	assert_int_equal(store_search_index(w->store), 0);
	assert_int_equal(names_in(w), 0);
}

static void files_go_with_the_account(void **state)
{
	struct world *w = *state;
	uint64_t other;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	account_release(&w->account);
	assert_int_equal(directory_account_delete(w->store, SLICE("ann@example.org"), &actor_imap), 0);
	assert_int_equal(store_wait_applied(w->store, store_durable_seq(w->store)), 0);
	shard_tick(w->shard);
	assert_true(names_in(w) > 0); /* as long as the mail is kept */
	w->now_ms += ((int64_t)w->settings.retention_s + 60) * 1000;
	assert_int_equal(store_compact(w->store), 0);
	for (unsigned i = 0; i < PATIENCE && names_in(w); i++)
		thread_pause(NULL, 100000);
	assert_int_equal(names_in(w), 0);
	assert_int_equal(directory_account_add(
				 w->store, SLICE("ann@example.org"), SLICE("{PLAIN}secret"), 0, &actor_imap, &other),
		0);
	assert_int_equal(account_open(store_shard(w->store, store_shard_of(w->store, other)), other, &w->account), 0);
}

static void it_outlives_a_restart(void **state)
{
	struct world *w = *state;
	char before[SEARCH_PATH_ROOM], after[SEARCH_PATH_ROOM];
	uint64_t opened;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	first_path(w, before);
	world_reopen(w);
	first_path(w, after);
	assert_string_equal(before, after);
	assert_int_equal(search(w, "7", &opened), sevens(1, MESSAGES));
	assert_true(opened < 20);
}

static void lost_it_is_made_again(void **state)
{
	struct world *w = *state;
	char path[SEARCH_PATH_ROOM];

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	world_close(w);
	(void)snprintf(path, sizeof(path), "%s/search", w->dir);
	world_run("rm", "-rf", path, NULL);
	world_open(w);
	assert_int_equal(search(w, "7", NULL), sevens(1, MESSAGES));
	wait_for_emails(w, MESSAGES, MESSAGES);
	/* Under a running server, too: a search that misses it says so. */
	world_run("rm", "-rf", path, NULL);
	world_run("mkdir", path, NULL, NULL);
	assert_int_equal(search(w, "7", NULL), sevens(1, MESSAGES));
	wait_for_emails(w, MESSAGES, MESSAGES);
	assert_int_equal(search(w, "7", NULL), sevens(1, MESSAGES));
}

/* Its numbers may then be other emails': nothing of the one before is believed. */
static void another_index_has_its_own(void **state)
{
	struct world *w = *state;
	char before[SEARCH_PATH_ROOM];

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	first_path(w, before);
	world_close(w);
	world_forget_index(w);
	world_open(w);
	wait_for_emails(w, MESSAGES, MESSAGES);
	assert_int_equal(access(before, F_OK), -1);
	assert_int_equal(names_in(w), 1);
	assert_int_equal(search(w, "7", NULL), sevens(1, MESSAGES));
}

/* At so many thousandths of the file. */
static void byte_flip(const char *path, off_t thousandths)
{
	char byte;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t at;

	assert_true(fd >= 0);
	at = lseek(fd, 0, SEEK_END) * thousandths / 1000;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 8;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(close(fd), 0);
}

/* Header, a block of each kind, directory: found by a search that comes by, which answers all the same, and made again. */
static void rot_costs_nothing_but_time(void **state)
{
	static const off_t places[] = {0, 15, 100, 250, 500, 750, 900, 990};
	const struct search_criterion c = {.kind = SEARCH_TEXT, .text = SLICE("7")};
	struct world *w = *state;
	char path[SEARCH_PATH_ROOM];

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		uint64_t found = search_kind(w, mailbox_inbox(w->account), &c, NULL);

		first_path(w, path);
		byte_flip(path, places[i]);
		assert_int_equal(search_kind(w, mailbox_inbox(w->account), &c, NULL), found);
		wait_for_emails(w, MESSAGES, MESSAGES);
		assert_int_equal(search_kind(w, mailbox_inbox(w->account), &c, NULL), found);
	}
}

static void check_line(void *context, struct slice line)
{
	unsigned *named = context;

	print_message("# %.*s\n", SLICE_ARG(line));
	*named += slice_find(line, SLICE("ann@example.org: the search index")) != SIZE_MAX;
}

/* While the store serves: from its start to its end. */
static int check_online(struct world *w, const struct store_check *check, struct buffer *lines)
{
	bool over = false;
	int error = 0;

	assert_int_equal(store_check_start(w->store, check, NULL, 0), 0);
	while (!over) {
		error = store_check_poll(w->store, lines, &over);
		thread_pause(NULL, 10000);
	}
	return error;
}

static void a_check_names_what_is_rotten(void **state)
{
	struct world *w = *state;
	unsigned named = 0;
	const struct store_check check = {.report = check_line, .context = &named};
	struct buffer lines = BUFFER_INIT(1 << 20);
	char path[SEARCH_PATH_ROOM];
	int error;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	first_path(w, path);
	byte_flip(path, 500);
	/* While it serves. */
	error = check_online(w, &check, &lines);
	assert_int_equal(error, -EBADMSG);
	assert_true(slice_find(buffer_slice(&lines), SLICE("ann@example.org: the search index")) != SIZE_MAX);
	wait_for_emails(w, MESSAGES, MESSAGES);
	/* And at rest. */
	first_path(w, path);
	byte_flip(path, 500);
	world_close(w);
	assert_int_equal(store_check(&w->settings, &check), -EBADMSG);
	assert_int_equal(named, 1);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(store_check(&w->settings, &check), 0);
	world_open(w);
	wait_for_emails(w, MESSAGES, MESSAGES);
	buffer_free(&lines);
}

static void making_the_index_anew_makes_this_one_anew(void **state)
{
	struct world *w = *state;
	const struct store_check check = {.rebuild_index = true};
	struct buffer lines = BUFFER_INIT(1 << 20);
	char path[SEARCH_PATH_ROOM];
	int error;

	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), 0);
	first_path(w, path);
	byte_flip(path, 500);
	error = check_online(w, &check, &lines);
	assert_int_equal(error, 0);
	wait_for_emails(w, MESSAGES, MESSAGES);
	assert_int_equal(search(w, "7", NULL), sevens(1, MESSAGES));
	first_path(w, path);
	world_close(w);
	assert_int_equal(store_check(&w->settings, &check), 0);
	world_open(w);
	wait_for_emails(w, MESSAGES, MESSAGES);
	assert_int_equal(access(path, F_OK), -1); /* that was the other index's */
	buffer_free(&lines);
}

/* A disk that has no room for it: mail is taken in all the same, and found. */
static int full_write(void *context, int file, uint64_t at, struct slice bytes)
{
	char link[64], path[SEARCH_PATH_ROOM] = "";

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	if (readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, "/search/"))
		return -ENOSPC;
	return file_system_real.write(context, file, at, bytes);
}

static void a_full_disk_hurts_nobody(void **state)
{
	struct world *w = *state;
	struct file_system full = file_system_real;

	full.write = full_write;
	w->settings.files = &full;
	world_reopen(w);
	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), -ENOSPC);
	assert_int_equal(search(w, "7", NULL), sevens(1, MESSAGES));
	assert_int_equal(names_in(w), 0);
	w->settings.files = NULL;
	world_reopen(w);
	wait_for_emails(w, MESSAGES, MESSAGES);
}

static void without_it_all_is_looked_into(void **state)
{
	struct world *w = *state;
	uint64_t opened;

	w->settings.search_batch = 0;
	world_reopen(w);
	deliver_many(w, 1, MESSAGES);
	assert_int_equal(store_search_index(w->store), -EOPNOTSUPP);
	assert_int_equal(search(w, "7", &opened), sevens(1, MESSAGES));
	assert_int_equal(opened, MESSAGES);
}

static atomic_uint lists;

static int count_list(void *context, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
	atomic_fetch_add(&lists, strstr(path, "/search/") != NULL);
	return file_system_real.list(context, path, each, arg);
}

/* A directory is that of many accounts: it is read once, and again when a file came or went, also behind the store's back. */
static void the_directory_is_read_once(void **state)
{
	struct world *w = *state;
	struct file_system files = file_system_real;
	char path[SEARCH_PATH_ROOM];
	struct lock *work;

	files.list = count_list;
	world_close(w);
	w->settings.files = &files;
	world_open(w);
	work = &w->store->searcher->work;
	deliver_many(w, 1, 100);
	wait_for_emails(w, 100 - BATCH, 100);
	lock_take(work); /* the thread reads directories, too */
	assert_int_equal(search(w, "7", NULL), sevens(1, 100));
	atomic_store(&lists, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(search(w, "7", NULL), sevens(1, 100));
	assert_int_equal(atomic_load(&lists), 0);
	lock_give(work);
	deliver_many(w, 101, 300);
	wait_for_emails(w, 300 - BATCH, 300);
	lock_take(work);
	atomic_store(&lists, 0);
	assert_int_equal(search(w, "7", NULL), sevens(1, 300));
	assert_int_equal(search(w, "7", NULL), sevens(1, 300));
	assert_int_equal(atomic_load(&lists), 1);
	first_path(w, path);
	assert_int_equal(unlink(path), 0);
	atomic_store(&lists, 0);
	assert_int_equal(search(w, "7", NULL), sevens(1, 300));
	assert_int_equal(atomic_load(&lists), 1);
	lock_give(work);
	world_close(w);
	w->settings.files = NULL;
	world_open(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_kept_up_as_mail_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(mail_that_never_stops_is_in_it_too, setup, teardown),
		cmocka_unit_test_setup_teardown(it_rests_while_mail_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(few_messages_are_looked_into, setup, teardown),
		cmocka_unit_test_setup_teardown(before_and_after_the_answers_are_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(fields_are_found_without_a_look, setup, teardown),
		cmocka_unit_test_setup_teardown(strings_beyond_the_limit_are_looked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(what_moves_and_goes_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(words_go_with_the_mail, setup, teardown),
		cmocka_unit_test_setup_teardown(files_go_with_the_account, setup, teardown),
		cmocka_unit_test_setup_teardown(the_directory_is_read_once, setup, teardown),
		cmocka_unit_test_setup_teardown(it_outlives_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_it_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(another_index_has_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(rot_costs_nothing_but_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_check_names_what_is_rotten, setup, teardown),
		cmocka_unit_test_setup_teardown(making_the_index_anew_makes_this_one_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_hurts_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(without_it_all_is_looked_into, setup, teardown),
	};

	return cmocka_run_group_tests_name("store: search index", tests, NULL, NULL);
}
