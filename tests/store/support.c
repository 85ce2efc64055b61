#include "support.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const struct actor actor_imap = {STORE_BY_IMAP, {"phone", 5}, {"127.0.0.1", 9}};
const struct actor actor_lmtp = {STORE_BY_LMTP, {"mx.example.org", 14}, {"127.0.0.2", 9}};
const struct actor actor_pop3 = {STORE_BY_POP3, {"laptop", 6}, {"127.0.0.3", 9}};

static int64_t world_wall_ms(void *context)
{
	return ((struct world *)context)->now_ms;
}

static int64_t world_monotonic_us(void *context)
{
	return ((struct world *)context)->now_ms * 1000;
}

static void world_random(void *context, void *bytes, size_t len)
{
	(void)context;
	clock_random(clock_system(), bytes, len);
}

static void world_failed(void *context, int error, const char *what)
{
	struct world *w = context;

	print_message("# failed: %s: %s\n", what, strerror(-error));
	w->failed = error;
}

static void world_notice(void *context, const char *event, struct slice detail)
{
	(void)context;
	print_message("# %s: %.*s\n", event, SLICE_ARG(detail));
}

void world_run(const char *program, const char *a, const char *b, const char *c)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		execlp(program, program, a, b, c, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

void world_make(struct world *w)
{
	*w = (struct world){.now_ms = 1772359200000};
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/penfold-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->settings = store_settings_default();
	w->settings.dir = slice_of(w->dir);
	w->settings.segment_bytes = 1 << 20;
	w->settings.apply_delay_ms = 20;
	/* Its thread reads messages: it would keep segments, memory and a processor when a test is about those. */
	w->settings.search_batch = 0;
	w->clock = (struct clock_source){world_wall_ms, world_monotonic_us, world_random, w};
	w->settings.clock = &w->clock;
	w->settings.failed = world_failed;
	w->settings.notice = world_notice;
	w->settings.context = w;
}

void world_open(struct world *w)
{
	w->settings.dir = slice_of(w->dir);
	assert_int_equal(store_open(&w->settings, &w->store), 0);
	w->apply_delay_ms = w->settings.apply_delay_ms;
	if (w->account_id) {
		w->shard = store_shard(w->store, store_shard_of(w->store, w->account_id));
		assert_int_equal(account_open(w->shard, w->account_id, &w->account), 0);
	}
}

void world_account(struct world *w)
{
	assert_int_equal(directory_domain_add(w->store, SLICE("example.org")), 0);
	assert_int_equal(directory_account_add(w->store, SLICE("ann@example.org"), SLICE("{PLAIN}secret"), 0,
				 &actor_imap, &w->account_id),
		0);
	w->shard = store_shard(w->store, store_shard_of(w->store, w->account_id));
	assert_int_equal(account_open(w->shard, w->account_id, &w->account), 0);
}

void world_close(struct world *w)
{
	account_release(&w->account);
	store_close(&w->store);
}

void world_reopen(struct world *w)
{
	world_close(w);
	world_open(w);
}

void world_kill_and_reopen(struct world *w)
{
	static const char *const parts[] = {"index", "journal"};
	char copy[80], part[80];

	(void)snprintf(copy, sizeof(copy), "%s.copy", w->dir);
	/* The index first: what is in it is in the journal, too. Nothing may write it meanwhile, so that the copy is whole. */
	if (w->apply_delay_ms < 10000)
		world_settle(w);
	world_run("mkdir", "-p", copy, NULL);
	(void)snprintf(copy, sizeof(copy), "%s.copy/%s", w->dir, strrchr(w->dir, '/') + 1);
	world_run("mkdir", "-p", copy, NULL);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		(void)snprintf(part, sizeof(part), "%s/%s", w->dir, parts[i]);
		world_run("cp", "-r", part, copy);
	}
	world_close(w);
	world_run("rm", "-rf", w->dir, NULL);
	(void)snprintf(copy, sizeof(copy), "%s.copy/%s", w->dir, strrchr(w->dir, '/') + 1);
	world_run("mv", copy, w->dir, NULL);
	(void)snprintf(copy, sizeof(copy), "%s.copy", w->dir);
	world_run("rm", "-rf", copy, NULL);
	world_open(w);
}

void world_forget_index(struct world *w)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/index", w->dir);
	world_run("rm", "-rf", path, NULL);
}

void world_free(struct world *w)
{
	if (w->store)
		world_close(w);
	world_run("rm", "-rf", w->dir, NULL);
	assert_int_equal(w->failed, 0);
}

void world_settle(struct world *w)
{
	uint64_t seq = account_seq(w->account);

	if (seq)
		assert_int_equal(store_wait_applied(w->store, seq), 0);
	while (store_applied_seq(w->store) < store_durable_seq(w->store))
		assert_int_equal(store_wait_applied(w->store, store_durable_seq(w->store)), 0);
	shard_tick(w->shard);
}

int world_try_deliver(struct world *w, const char *text)
{
	struct append_item item = {.internaldate = INT64_MIN};
	uint32_t uid;
	int error;

	assert_int_equal(ingest_new(w->store, &item.ingest), 0);
	error = ingest_write(item.ingest, slice_of(text));
	if (!error)
		error = ingest_finish(item.ingest);
	if (!error)
		error = mailbox_append(mailbox_inbox(w->account), &item, 1, &actor_lmtp, &uid);
	ingest_free(&item.ingest);
	return error;
}

struct ingest *ingest_of(struct world *w, const char *text)
{
	struct ingest *ingest;

	assert_int_equal(ingest_new(w->store, &ingest), 0);
	assert_int_equal(ingest_write(ingest, slice_of(text)), 0);
	assert_int_equal(ingest_finish(ingest), 0);
	return ingest;
}

uint32_t deliver(struct mailbox *mailbox, const char *text)
{
	struct append_item item = {.internaldate = INT64_MIN};
	uint32_t uid = 0;

	assert_int_equal(ingest_new(account_store(mailbox->account), &item.ingest), 0);
	assert_int_equal(ingest_write(item.ingest, slice_of(text)), 0);
	assert_int_equal(ingest_finish(item.ingest), 0);
	assert_int_equal(mailbox_append(mailbox, &item, 1, &actor_lmtp, &uid), 0);
	ingest_free(&item.ingest);
	return uid;
}

uint32_t deliver_numbered(struct mailbox *mailbox, unsigned number)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
		"From: Bob <bob@example.org>\r\nTo: ann@example.org\r\nSubject: Number %u\r\n"
		"Message-ID: <%u@example.org>\r\nDate: Sun, 1 Mar 2026 10:00:00 +0000\r\n\r\nThis is number %u.\r\n",
		number, number, number);
	return deliver(mailbox, text);
}

char *body_of(struct account *account, uint64_t email, size_t *ret_len)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX / 2);
	struct body_reader *reader;

	assert_int_equal(body_reader_new(account, email, &reader), 0);
	assert_int_equal(body_reader_read(reader, 0, UINT64_MAX, &out), 0);
	body_reader_free(&reader);
	*ret_len = out.len;
	buffer_put_byte(&out, '\0');
	return out.at;
}

struct mailbox *mailbox_named(struct account *account, const char *name)
{
	struct mailbox *mailbox = mailbox_find(account, slice_of(name));

	assert_non_null(mailbox);
	return mailbox;
}

uint32_t flag(struct mailbox *mailbox, uint32_t first, uint32_t last, enum flags_mode mode, unsigned flags)
{
	struct uid_range range = {first, last};
	struct flag_set set = {.flags = flags};
	struct uid_list changed = UID_LIST_INIT(1000000);
	uint32_t count;

	assert_int_equal(entries_store(mailbox, (struct uid_set){&range, 1}, mode, &set, UINT64_MAX, NULL, &actor_imap,
				 &changed, NULL),
		0);
	count = (uint32_t)uid_set_count(uid_list_set(&changed));
	uid_list_free(&changed);
	return count;
}

uint32_t expunge(struct mailbox *mailbox, uint32_t first, uint32_t last)
{
	struct uid_range range = {first, last};
	struct uid_list gone = UID_LIST_INIT(1000000);
	uint32_t count;

	assert_int_equal(entries_expunge(mailbox, (struct uid_set){&range, 1}, false, &actor_imap, &gone), 0);
	count = (uint32_t)uid_set_count(uid_list_set(&gone));
	uid_list_free(&gone);
	return count;
}

struct entry entry_of(struct mailbox *mailbox, uint32_t uid)
{
	struct entry entry;
	int error;

	if (!mailbox_entry_from(mailbox, uid, &entry, &error))
		fail_msg("UID %u: %s", uid, strerror(-error));
	assert_int_equal(entry.uid, uid);
	return entry;
}

bool has_uid(struct mailbox *mailbox, uint32_t uid)
{
	struct entry entry;
	int error;
	bool there = mailbox_entry_from(mailbox, uid, &entry, &error);

	assert_int_equal(error, 0);
	return there && entry.uid == uid;
}

int email_look(struct account *account, uint64_t id, struct email *ret_email)
{
	struct email_room room = EMAIL_ROOM_INIT;
	int error = email_find(account, id, EMAIL_WHOLE, &room, ret_email);

	email_room_free(&room);
	if (!error)
		ret_email->packed = slice_make(NULL, 0);
	return error;
}
