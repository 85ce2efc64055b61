#include "rot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "store/dictionary.h"
#include "store/engine.h"
#include "store/upkeep.h"

enum { LARGE_BYTES = 600000, MANY = 140, MANY_BYTES = 9000 /* enough for the dictionaries */, FEW = 30 };

#define MEMORY "/dev/shm"

static void on_notice(void *context, const char *event, struct slice detail)
{
	struct rot *r = CONTAINER_OF((struct world *)context, struct rot, w);

	buffer_printf(&r->lines, "%s: %.*s\n", event, SLICE_ARG(detail));
}

static void on_line(void *context, struct slice line)
{
	struct rot *r = context;

	buffer_put(&r->lines, line);
	buffer_put_byte(&r->lines, '\n');
}

/* ---- What is in it ---- */

static struct account *enter(struct rot *r, unsigned who)
{
	struct account *account;

	r->w.shard = store_shard(r->w.store, store_shard_of(r->w.store, r->accounts[who]));
	assert_int_equal(account_open(r->w.shard, r->accounts[who], &account), 0);
	return account;
}

/* Large enough for frames of their own; does not compress. */
static void deliver_large(struct mailbox *mailbox, unsigned seed)
{
	uint64_t state = seed;
	char *text = malloc(LARGE_BYTES + 1);
	size_t at;

	assert_non_null(text);
	at = (size_t)snprintf(text, LARGE_BYTES, "Subject: Large %u\r\n\r\n", seed);
	for (; at < LARGE_BYTES; at++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		text[at] = at % 70 == 68 ? '\r' : at % 70 == 69 ? '\n' : (char)(33 + (state >> 33) % 93);
	}
	text[LARGE_BYTES] = '\0';
	deliver(mailbox, text);
	free(text);
}

static void deliver_words(struct mailbox *mailbox, unsigned number)
{
	struct buffer text = BUFFER_INIT(1 << 20);

	/* References stand in the description twice: that many bytes of them make a dictionary, too. */
	buffer_printf(&text, "From: Bob <bob@example.org>\r\nSubject: Words %u\r\nReferences:", number);
	for (unsigned i = 0; text.len < MANY_BYTES / 2; i++)
		buffer_printf(&text, " <%u.%u.reference@example.org>\r\n", number, i);
	buffer_put_text(&text, "\r\n");
	for (unsigned i = number; text.len < MANY_BYTES; i = i * 1103515245 + 12345)
		buffer_printf(&text, "%s %u\r\n", i & 0x40000 ? "a line of text with the number" : "and another one",
			i >> 20);
	deliver(mailbox, buffer_text(&text));
	buffer_free(&text);
}

/* Its description is too long for a page of the index. */
static void deliver_long_header(struct mailbox *mailbox)
{
	struct buffer text = BUFFER_INIT(1 << 20);

	buffer_put_text(&text, "From: Bob <bob@example.org>\r\nSubject: Long\r\nTo: ");
	for (unsigned i = 0; i < 200; i++)
		buffer_printf(&text, "%sRecipient %u <r%u@example.org>", i ? ",\r\n " : "", i, i);
	buffer_put_text(&text, "\r\n\r\nTo many.\r\n");
	deliver(mailbox, buffer_text(&text));
	buffer_free(&text);
}

static void copy(struct mailbox *from, uint32_t uid, struct mailbox *to, bool move)
{
	struct uid_range range = {uid, uid};
	struct uid_list sources = UID_LIST_INIT(10), targets = UID_LIST_INIT(10);

	assert_int_equal(entries_copy(from, (struct uid_set){&range, 1}, to, move, &actor_imap, &sources, &targets), 0);
	uid_list_free(&sources);
	uid_list_free(&targets);
}

static void fill(struct rot *r, unsigned who, unsigned messages)
{
	struct account *account = enter(r, who);
	struct mailbox *inbox = mailbox_inbox(account), *archive, *gone;

	deliver_large(inbox, who + 20); /* to go again, and its segment with it */
	assert_int_equal(mailbox_create(account, SLICE("Archive/2025"), 0, &actor_imap, &archive), 0);
	assert_int_equal(mailbox_create(account, SLICE("Gone"), 0, &actor_imap, &gone), 0);
	for (unsigned i = 1; i <= messages; i++) {
		if (who)
			deliver_numbered(inbox, i);
		else
			deliver_words(inbox, i);
		r->w.now_ms += 1000;
	}
	deliver_large(inbox, who + 1);
	deliver_long_header(inbox);
	flag(inbox, 2, 4, FLAGS_ADD, FLAG_SEEN);
	copy(inbox, 3, archive, false);
	copy(inbox, 4, archive, true);
	expunge(inbox, 5, 5);
	deliver_numbered(gone, 77);
	assert_int_equal(mailbox_delete(account, gone, &actor_imap), 0);
	assert_int_equal(mailbox_rename(account, archive, SLICE("Archive/2026"), &actor_imap), 0);
	assert_int_equal(account_subscribe(account, SLICE("Archive/2026"), true, &actor_imap), 0);
	account_release(&account);
}

/* What is old enough is let go, and its segments give way to snapshots and copies. */
static void compact(struct rot *r)
{
	struct account *account = enter(r, 0);

	deliver_large(mailbox_inbox(account), 9);
	deliver_large(mailbox_inbox(account), 10);
	assert_int_equal(expunge(mailbox_inbox(account), mailbox_inbox(account)->uidnext - 2, UINT32_MAX), 2);
	assert_int_equal(expunge(mailbox_inbox(account), 1, 1), 1);
	account_release(&account);
	assert_int_equal(store_wait_durable(r->w.store, store_durable_seq(r->w.store)), 0);
	r->w.now_ms += (int64_t)r->w.settings.retention_s * 1000 + 1000;
	assert_int_equal(store_compact(r->w.store), 0);
}

/* One of each: those of before are gone, as their segments are, which were packed again. */
static void changes(struct account *account)
{
	struct mailbox *inbox = mailbox_inbox(account), *later, *gone;

	assert_int_equal(mailbox_create(account, SLICE("Later"), 0, &actor_imap, &later), 0);
	assert_int_equal(mailbox_create(account, SLICE("Gone too"), 0, &actor_imap, &gone), 0);
	deliver_numbered(inbox, 78);
	deliver_large(inbox, 79);
	flag(inbox, 8, 9, FLAGS_ADD, FLAG_SEEN);
	copy(inbox, 8, later, false);
	assert_int_equal(expunge(inbox, 7, 7), 1);
	assert_int_equal(mailbox_delete(account, gone, &actor_imap), 0);
	assert_int_equal(mailbox_rename(account, later, SLICE("Later on"), &actor_imap), 0);
	assert_int_equal(account_subscribe(account, SLICE("Later on"), true, &actor_imap), 0);
}

/* The last records are of letting go, and of something that is kept for now. */
static void purge(struct rot *r)
{
	struct account *account;

	r->w.now_ms += (int64_t)r->w.settings.retention_s * 1000 + 1000;
	assert_int_equal(store_compact(r->w.store), 0);
	account = enter(r, 1);
	changes(account);
	account_release(&account);
	r->w.now_ms += (int64_t)r->w.settings.retention_s * 1000 + 1000;
	assert_int_equal(store_wait_applied(r->w.store, r->w.store->log->ops->last_seq(r->w.store->log)), 0);
	assert_int_equal(retention_run(r->w.store), 0);
	account = enter(r, 1);
	assert_int_equal(expunge(mailbox_inbox(account), 6, 6), 1);
	account_release(&account);
}

/* Both are made in the background from the first small messages. */
static void dictionaries_await(struct rot *r)
{
	for (unsigned i = 0; !dictionary_current(r->w.store, DICTIONARY_MESSAGES) ||
			     !dictionary_current(r->w.store, DICTIONARY_DESCRIPTIONS);
		i++) {
		struct timespec pause = {0, 20000000};

		assert_true(i < 5000); /* below the priority of all else */
		nanosleep(&pause, NULL);
	}
}

void rot_make(struct rot *r)
{
	static const char *const names[] = {"ann@example.org", "bob@example.org"};
	static const char template[] = MEMORY "/penfold-test-XXXXXX";
	uint64_t carl;
	struct slice targets[] = {SLICE("ann@example.org"), SLICE("bob@example.org")};
	*r = (struct rot){.truth = BUFFER_INIT(1 << 24), .lines = BUFFER_INIT(1 << 20)};
	world_make(&r->w);
	if (access(MEMORY, W_OK) == 0) { /* thousands of syncs need not go to a disk */
		assert_int_equal(rmdir(r->w.dir), 0);
		memcpy(r->w.dir, template, sizeof(template));
		assert_non_null(mkdtemp(r->w.dir));
	}
	world_open(&r->w);
	assert_int_equal(directory_domain_add(r->w.store, SLICE("example.org")), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(directory_account_add(r->w.store, slice_of(names[i]), SLICE("{PLAIN}secret"), 0,
					 &actor_imap, &r->accounts[i]),
			0);
	fill(r, 0, MANY);
	compact(r);
	dictionaries_await(r);
	fill(r, 1, FEW);
	purge(r);
	/* Late, so that no compaction that comes upon a segment just sealed has put them into a snapshot. */
	assert_int_equal(directory_domain_add(r->w.store, SLICE("example.net")), 0);
	assert_int_equal(
		directory_account_add(r->w.store, SLICE("carl@example.net"), SLICE("x"), 0, &actor_imap, &carl), 0);
	assert_int_equal(directory_alias_set(r->w.store, SLICE("all@example.org"), targets, ARRAY_LEN(targets)), 0);
	store_close(&r->w.store);
	(void)snprintf(r->origin, sizeof(r->origin), "%s.origin", r->w.dir);
	world_run("cp", "-r", r->w.dir, r->origin);
	r->w.settings.notice = on_notice;
	rot_read(r, &r->truth);
	assert_true(r->truth.len > 0);
}

void rot_free(struct rot *r)
{
	world_run("rm", "-rf", r->w.dir, r->origin);
	buffer_free(&r->truth);
	buffer_free(&r->lines);
}

static void restore(struct rot *r, const char *file)
{
	struct buffer bytes = BUFFER_INIT(1 << 26);
	char path[256];
	int fd;

	rot_bytes(r, file, &bytes);
	(void)snprintf(path, sizeof(path), "%s/%s", r->w.dir, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.at, bytes.len), bytes.len);
	close(fd);
	buffer_free(&bytes);
}

void rot_restore(struct rot *r, const char *file)
{
	restore(r, "index/data.mdb");
	restore(r, file);
	buffer_reset(&r->lines);
}

/* ---- Reading all of it ---- */

static void put_message(struct account *account, const struct entry *entry, struct buffer *out)
{
	struct buffer body = BUFFER_INIT(SIZE_MAX / 2);
	struct email_room room = EMAIL_ROOM_INIT;
	struct body_reader *reader;
	struct email email;
	int error = body_reader_new(account, entry->email, &reader);

	if (!error) {
		error = body_reader_read(reader, 0, UINT64_MAX, &body);
		body_reader_free(&reader);
	}
	if (!error)
		error = email_find(account, entry->email, EMAIL_WHOLE, &room, &email);
	/* One that cannot be read is not there. */
	if (!error)
		buffer_printf(out, "%llu %u flags %x modseq %llu date %u keywords %llx body %016llx packed %016llx\n",
			(unsigned long long)account_id(account), entry->uid, entry->flags,
			(unsigned long long)entry->modseq, entry->internaldate, (unsigned long long)entry->keywords,
			(unsigned long long)hash64(buffer_slice(&body), 0),
			(unsigned long long)hash64(email.packed, 0));
	buffer_free(&body);
	email_room_free(&room);
}

static void put_account(struct rot *r, unsigned who, struct buffer *out)
{
	struct account *account = enter(r, who);
	size_t count;
	const struct slice *names = account_subscriptions(account, &count);

	for (size_t i = 0; i < count; i++)
		buffer_printf(out, "%u subscribed %.*s\n", who, SLICE_ARG(names[i]));
	for (struct mailbox *box = mailbox_next(account, NULL); box; box = mailbox_next(account, box)) {
		struct entry entry;
		int error = 0;

		buffer_printf(out, "%u mailbox %.*s validity %u next %u modseq %llu\n", who, SLICE_ARG(box->name),
			box->uidvalidity, box->uidnext, (unsigned long long)box->highestmodseq);
		for (uint32_t uid = 1; mailbox_entry_from(box, uid, &entry, &error); uid = entry.uid + 1)
			put_message(account, &entry, out);
		assert_int_equal(error, 0);
	}
	account_release(&account);
}

static bool put_alias(void *context, struct slice address, const struct slice *targets, size_t count)
{
	(void)targets;
	buffer_printf(context, "alias %.*s %zu\n", SLICE_ARG(address), count);
	return true;
}

void rot_read(struct rot *r, struct buffer *out)
{
	int error;

	buffer_reset(out);
	error = store_open(&r->w.settings, &r->w.store);
	if (error)
		fail_msg("the store does not open: %s: %s", strerror(-error), buffer_text(&r->lines));
	put_account(r, 0, out);
	put_account(r, 1, out);
	assert_int_equal(directory_aliases(r->w.store, SLICE("example.org"), put_alias, out), 0);
	store_close(&r->w.store);
	assert_int_equal(buffer_error(out), 0);
}

void rot_assert_same(struct rot *r, const char *what)
{
	struct buffer now = BUFFER_INIT(1 << 24);

	rot_read(r, &now);
	if (!slice_equal(buffer_slice(&now), buffer_slice(&r->truth)))
		fail_msg("%s: what is there is not what was; it said: %s", what, buffer_text(&r->lines));
	buffer_free(&now);
}

unsigned rot_missing(struct rot *r)
{
	struct buffer now = BUFFER_INIT(1 << 24);
	struct slice rest = buffer_slice(&r->truth);
	unsigned missing = 0, found = 0, there = 0;

	rot_read(r, &now);
	while (rest.len) {
		struct slice line = slice_split(&rest, '\n');
		bool is_there = slice_find(buffer_slice(&now), line) != SIZE_MAX;

		missing += !is_there;
		found += is_there;
	}
	rest = buffer_slice(&now);
	for (; rest.len; there++)
		(void)slice_split(&rest, '\n');
	if (found != there)
		fail_msg("what was not there before: %s", buffer_text(&now));
	buffer_free(&now);
	return missing;
}

int rot_check(struct rot *r, bool rebuild, bool salvage)
{
	struct store_check check = {rebuild, salvage, on_line, r};

	buffer_reset(&r->lines);
	return store_check(&r->w.settings, &check);
}

bool rot_said(const struct rot *r, const char *text)
{
	return slice_find(buffer_slice(&r->lines), slice_of(text)) != SIZE_MAX;
}

/* ---- Files ---- */

void rot_flip(struct rot *r, const char *file, uint64_t at, unsigned bit)
{
	char path[256], byte;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", r->w.dir, file);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte = (char)(byte ^ 1 << bit);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

void rot_bytes(struct rot *r, const char *file, struct buffer *out)
{
	struct stat status;
	char path[256], *room;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", r->origin, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	buffer_reset(out);
	room = buffer_room(out, (size_t)status.st_size);
	assert_non_null(room);
	assert_int_equal(read(fd, room, (size_t)status.st_size), status.st_size);
	buffer_added(out, (size_t)status.st_size);
	close(fd);
}
