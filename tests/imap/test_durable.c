/*
 * No answer, and no news to any other session, tells of a change before it is durable: with the disk's syncs held, nothing comes; after the
 * release all of it does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../held_sync.h"
#include "rig.h"
#include "store/engine.h"

enum { POLL_US = 200, POLLS = 50000, ANSWER_MAX = 1 << 20 };

/*
 * One session makes the change in INBOX, which holds three messages. Two others have selected `watched`: one is in IDLE, one asks with NOOP after the
 * change. A fourth comes after the change and asks for what is in `question`.
 */
struct change {
	const char *name, *watched;
	const char *prepare, *command;
	const char *news; /* to those who watch, if any */
	const char *question, *told;
};

static const struct change changes[] = {
	{"APPEND", "INBOX", "NOOP", "APPEND INBOX {14+}\r\nSubject: x\r\n\r\n", "* 4 EXISTS\r\n",
		"STATUS INBOX (MESSAGES)", "(MESSAGES 4)"},
	{"APPEND in pieces", "INBOX", "NOOP", "APPEND INBOX {14+}\r\nSubject: x\r\n\r\n {14+}\r\nSubject: y\r\n\r\n",
		"* 5 EXISTS\r\n", "STATUS INBOX (MESSAGES)", "(MESSAGES 5)"},
	{"STORE", "INBOX", "NOOP", "STORE 2 +FLAGS (\\Seen)", "* 2 FETCH (", "STATUS INBOX (UNSEEN)", "(UNSEEN 2)"},
	{"STORE in silence", "INBOX", "NOOP", "UID STORE 1:* +FLAGS.SILENT ($Junk)", "$Junk", "EXAMINE INBOX", "$Junk"},
	{"FETCH that makes seen", "INBOX", "NOOP", "FETCH 2 BODY[]", "* 2 FETCH (", "STATUS INBOX (UNSEEN)",
		"(UNSEEN 2)"},
	{"COPY", "Work", "NOOP", "COPY 1:2 Work", "* 2 EXISTS\r\n", "STATUS Work (MESSAGES)", "(MESSAGES 2)"},
	{"MOVE, seen where it left", "INBOX", "NOOP", "MOVE 2 Work", "* 2 EXPUNGE\r\n", "STATUS INBOX (MESSAGES)",
		"(MESSAGES 2)"},
	{"MOVE, seen where it came", "Work", "NOOP", "MOVE 2 Work", "* 1 EXISTS\r\n", "STATUS Work (MESSAGES)",
		"(MESSAGES 1)"},
	{"EXPUNGE", "INBOX", "STORE 2 +FLAGS (\\Deleted)", "EXPUNGE", "* 2 EXPUNGE\r\n", "STATUS INBOX (MESSAGES)",
		"(MESSAGES 2)"},
	{"CLOSE", "INBOX", "STORE 2 +FLAGS (\\Deleted)", "CLOSE", "* 2 EXPUNGE\r\n", "STATUS INBOX (MESSAGES)",
		"(MESSAGES 2)"},
	{"CREATE", "INBOX", "NOOP", "CREATE New", NULL, "LIST \"\" New", " New\r\n"},
	{"RENAME", "Work", "NOOP", "RENAME Work Play", NULL, "LIST \"\" Play", " Play\r\n"},
	{"RENAME of INBOX", "INBOX", "NOOP", "RENAME INBOX Old", " EXPUNGE\r\n", "STATUS Old (MESSAGES)",
		"(MESSAGES 3)"},
	{"DELETE", "INBOX", "NOOP", "DELETE Work", NULL, "STATUS Work (MESSAGES)", "q NO "},
	{"DELETE of a mailbox somebody is in", "Work", "NOOP", "DELETE Work", "[CLOSED]", "LIST \"\" Work", "q OK "},
	{"SUBSCRIBE", "INBOX", "NOOP", "SUBSCRIBE Elsewhere", NULL, "LSUB \"\" Elsewhere", " Elsewhere\r\n"},
	{"UNSUBSCRIBE", "INBOX", "SUBSCRIBE Elsewhere", "UNSUBSCRIBE Elsewhere", NULL, "LSUB \"\" Elsewhere", "q OK "},
};

struct client {
	int fd;
	struct buffer input;
};
enum { CHANGING, IDLING, ASKING, LATE, CLIENTS };
enum { OTHERS = 4 }; /* tests that are not of the table */
struct test {
	struct held_sync sync;
	struct rig rig;
	uint64_t account;
	struct client clients[CLIENTS];
	const struct change *change; /* of the table, if any */
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	int error;

	if (!t)
		return -1;
	t->change = *state;
	for (int i = 0; i < CLIENTS; i++)
		t->clients[i] = (struct client){-1, BUFFER_INIT(ANSWER_MAX)};
	held_sync_init(&t->sync);
	error = rig_start_on(&t->rig, &t->sync.files);
	*state = t;
	return error;
}

static void hang_up(struct client *client)
{
	if (client->fd >= 0)
		(void)close(client->fd);
	client->fd = -1;
	buffer_free(&client->input);
}

static int teardown(void **state)
{
	struct test *t = *state;

	held_sync_release(&t->sync); /* a test that failed did not */
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&t->clients[i]);
	rig_stop(&t->rig);
	free(t);
	return 0;
}

/* ---- Clients ---- */

static void say(struct client *client, const char *tag, const char *command)
{
	struct buffer text = BUFFER_INIT(1000);

	buffer_printf(&text, "%s%s\r\n", tag, command);
	assert_int_equal(send(client->fd, text.at, text.len, MSG_NOSIGNAL), text.len);
	buffer_free(&text);
}

/* Takes what comes, at once or waiting. False at the end of the connection, or when nothing is there. */
static bool take(struct client *client, int flags)
{
	char *room = buffer_room(&client->input, 65536);
	ssize_t got;

	assert_non_null(room);
	got = recv(client->fd, room, 65536, flags);
	if (got > 0)
		buffer_added(&client->input, (size_t)got);
	return got > 0;
}

static bool has(const struct client *client, const char *text)
{
	return slice_find(buffer_slice(&client->input), slice_of(text)) != SIZE_MAX;
}

static void expect(struct client *client, const char *text)
{
	while (!has(client, text))
		if (!take(client, 0))
			fail_msg("no '%s' in '%.*s'", text, SLICE_ARG(buffer_slice(&client->input)));
}

static void ask(struct client *client, const char *command)
{
	buffer_reset(&client->input);
	say(client, "p ", command);
	expect(client, "p OK ");
	buffer_reset(&client->input);
}

static void connect_client(struct test *t, struct client *client)
{
	const struct timeval patience = {.tv_sec = 10};

	assert_int_equal(rig_connect(&t->rig, t->account, SLICE(""), &client->fd), 0);
	assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
}

static void expect_quiet(struct client *client, const struct change *change, const char *who)
{
	if (take(client, MSG_DONTWAIT))
		fail_msg("%s: %s is told '%.*s' too early", change->name, who, SLICE_ARG(buffer_slice(&client->input)));
	if (errno != EAGAIN)
		fail_msg("%s: the connection of %s has ended", change->name, who);
}

/* ---- The change ---- */

struct seeing {
	struct test *test;
	uint64_t seq;
};

static void see_seq(void *context)
{
	struct seeing *s = context;
	struct account *account;

	assert_int_equal(account_open(s->test->rig.services.shard, s->test->account, &account), 0);
	s->seq = account_seq(account);
	account_release(&account);
}

/* Until the change is made, which is not durable; then until all has left that would leave. */
static void wait_until_changed(struct test *t)
{
	struct seeing s = {t, 0};

	for (int polls = 0; polls < POLLS && !s.seq; polls++) {
		rig_call(&t->rig, see_seq, &s);
		(void)usleep(POLL_US);
	}
	assert_true(s.seq != 0);
	rig_settle(&t->rig);
}

static void start_all(struct test *t, const struct change *change)
{
	static const struct slice message = {"Subject: one\n\nof three\n", 23};
	struct buffer select = BUFFER_INIT(100);

	assert_int_equal(rig_account(&t->rig, 0, &t->account), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_deliver(&t->rig, t->account, SLICE("INBOX"), message), 0);
	for (int i = 0; i < LATE; i++)
		connect_client(t, &t->clients[i]);
	ask(&t->clients[CHANGING], "CREATE Work");
	ask(&t->clients[CHANGING], "SELECT INBOX");
	ask(&t->clients[CHANGING], change->prepare);
	buffer_printf(&select, "SELECT %s", change->watched);
	ask(&t->clients[IDLING], buffer_text(&select));
	ask(&t->clients[ASKING], buffer_text(&select));
	say(&t->clients[IDLING], "i ", "IDLE");
	expect(&t->clients[IDLING], "+ idling\r\n");
	buffer_reset(&t->clients[IDLING].input);
	buffer_free(&select);
}

static void make_change(struct test *t, const struct change *change)
{
	held_sync_hold(&t->sync);
	/* As long as nothing has changed, answers come. */
	ask(&t->clients[CHANGING], "NOOP");
	ask(&t->clients[ASKING], "NOOP");
	say(&t->clients[CHANGING], "a ", change->command);
	wait_until_changed(t);
}

static void a_change_is_told_when_it_is_durable(void **state)
{
	struct test *t = *state;
	const struct change *change = t->change;
	struct client *clients = t->clients;

	start_all(t, change);
	make_change(t, change);
	say(&clients[ASKING], "b ", "NOOP");
	connect_client(t, &clients[LATE]);
	say(&clients[LATE], "q ", change->question);
	rig_settle(&t->rig);
	expect_quiet(&clients[CHANGING], change, "who made it");
	expect_quiet(&clients[IDLING], change, "who is in IDLE");
	expect_quiet(&clients[ASKING], change, "who asks");
	(void)take(&clients[LATE], MSG_DONTWAIT);
	if (has(&clients[LATE], "q ") || has(&clients[LATE], "* "))
		fail_msg("%s: who comes later is told too early", change->name);
	held_sync_release(&t->sync);
	expect(&clients[CHANGING], "a OK ");
	if (change->news) {
		expect(&clients[IDLING], change->news);
		expect(&clients[ASKING], change->news);
	}
	expect(&clients[ASKING], "b OK ");
	expect(&clients[LATE], change->told);
}

static void what_came_by_lmtp_is_told_when_it_is_durable(void **state)
{
	static const struct change delivery = {.name = "delivery", .watched = "INBOX", .prepare = "NOOP"};
	struct test *t = *state;

	start_all(t, &delivery);
	held_sync_hold(&t->sync);
	assert_int_equal(rig_deliver(&t->rig, t->account, SLICE("INBOX"), SLICE("Subject: four\n\n4\n")), 0);
	wait_until_changed(t);
	say(&t->clients[ASKING], "b ", "NOOP");
	rig_settle(&t->rig);
	expect_quiet(&t->clients[IDLING], &delivery, "who is in IDLE");
	expect_quiet(&t->clients[ASKING], &delivery, "who asks");
	held_sync_release(&t->sync);
	expect(&t->clients[IDLING], "* 4 EXISTS\r\n");
	expect(&t->clients[ASKING], "* 4 EXISTS\r\n");
	expect(&t->clients[ASKING], "b OK ");
}

/* What is asked behind the change is answered behind it, and a connection does not end before it is durable either. */
static void the_end_of_a_session_waits_too(void **state)
{
	static const struct change change = {.name = "CREATE and LOGOUT",
		.watched = "INBOX",
		.prepare = "NOOP",
		.command = "CREATE New\r\nb CAPABILITY\r\nc LOGOUT"};
	struct test *t = *state;

	start_all(t, &change);
	make_change(t, &change);
	expect_quiet(&t->clients[CHANGING], &change, "who made it");
	held_sync_release(&t->sync);
	expect(&t->clients[CHANGING], "a OK ");
	expect(&t->clients[CHANGING], "b OK ");
	expect(&t->clients[CHANGING], "c OK ");
	assert_false(take(&t->clients[CHANGING], 0));
}

static void stop_sessions(void *context)
{
	struct test *t = context;

	imap_sessions_stop(&t->rig.services);
}

/* RFC 9051 §7.1.5: a BYE behind an answer that waits comes behind it. */
static void a_stopping_server_gives_away_nothing(void **state)
{
	static const struct change change = {.name = "STORE and a stop",
		.watched = "INBOX",
		.prepare = "NOOP",
		.command = "STORE 1 +FLAGS (\\Seen)"};
	struct test *t = *state;

	start_all(t, &change);
	make_change(t, &change);
	rig_call(&t->rig, stop_sessions, t);
	rig_settle(&t->rig);
	for (int i = 0; i < LATE; i++)
		expect_quiet(&t->clients[i], &change, "a session");
	held_sync_release(&t->sync);
	expect(&t->clients[CHANGING], "a OK ");
	for (int i = 0; i < LATE; i++)
		expect(&t->clients[i], "* BYE ");
}

static void let_flags_go(void *context)
{
	struct test *t = context;

	t->rig.store->settings.flags_unsynced = true;
}

/* With sync_flags = no; whatever else changes is waited for, and so are the flags that changed before it. */
static void flags_need_not_be_waited_for(void **state)
{
	static const struct change append = {.name = "APPEND behind flags",
		.watched = "INBOX",
		.prepare = "NOOP",
		.command = "APPEND INBOX {14+}\r\nSubject: x\r\n\r\n"};
	struct test *t = *state;
	struct client *clients = t->clients;

	start_all(t, &append);
	rig_call(&t->rig, let_flags_go, t);
	held_sync_hold(&t->sync);
	say(&clients[CHANGING], "f ", "STORE 2 +FLAGS (\\Seen)");
	expect(&clients[CHANGING], "f OK ");
	expect(&clients[IDLING], "* 2 FETCH (");
	ask(&clients[CHANGING], "FETCH 1 BODY[]");
	buffer_reset(&clients[IDLING].input);
	say(&clients[CHANGING], "a ", append.command);
	wait_until_changed(t);
	expect_quiet(&clients[CHANGING], &append, "who made it");
	(void)take(&clients[IDLING], MSG_DONTWAIT); /* of what the FETCH has set */
	assert_false(has(&clients[IDLING], "EXISTS"));
	held_sync_release(&t->sync);
	expect(&clients[CHANGING], "a OK ");
	expect(&clients[IDLING], "* 4 EXISTS\r\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	struct CMUnitTest tests[ARRAY_LEN(changes) + OTHERS] = {
		TEST(what_came_by_lmtp_is_told_when_it_is_durable),
		TEST(the_end_of_a_session_waits_too),
		TEST(a_stopping_server_gives_away_nothing),
		TEST(flags_need_not_be_waited_for),
	};

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		union {
			const struct change *read;
			void *given;
		} change = {&changes[i]};

		tests[i + OTHERS] = (struct CMUnitTest){
			changes[i].name, a_change_is_told_when_it_is_durable, setup, teardown, change.given};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
