/*
 * A whole session of LMTP and one of POP3, in which each allocation of its thread fails in turn. Every command gets its answer, or one that says that
 * it will pass, or the connection ends. What was acknowledged has happened, what was refused has not.
 *
 * As in test_imap.c a store that fails ends the process, and the next child looks at what the journal says.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core_rig.h"
#include "failing.h"

enum { PATIENCE_MS = 20000, ANSWER_MAX = 1 << 20, ROUNDS_MAX = 5000, STORE_FAILED = 3, MAILS = 3 };

#define FOLDER  "INBOX/Arbeit/B\xc3\xbcro"
#define MESSAGE "Message-ID: <1@example.net>\r\nSubject: =?iso-8859-1?q?f=FCr?=\r\n\r\nHello.\r\n"

struct step {
	const char *send, *good;
	int change, filed; /* of how many messages there are in INBOX and in FOLDER, when it is acknowledged */
};
struct script {
	const char *name, *passing; /* what answers begin with that say that it will pass */
	const struct step *steps;   /* the first one is the greeting; ended by one that sends NULL */
	void (*connect)(void *context);
	bool is_second; /* another session has the maildrop already */
};

enum answer { GOOD, REFUSED, NOT_ANSWERED };

/* What outlives a child. */
struct shared {
	char dir[64];
	size_t fail_at, rounds_refused;
	uint64_t account;
	uint32_t count, filed;         /* of messages, as the client knows */
	const struct step *unanswered; /* may have been done without its knowledge */
	bool to_check, finished;
};

static struct shared *shared;
static struct core_rig rig;

/* The account's: all that a session does there is done by one thread. */
static unsigned shard(void)
{
	return store_shard_of(rig.store, shared->account);
}

/* ---- LMTP ---- */

static const struct step lmtp_steps[] = {
	{"", "220 ", 0, 0},
	{"LHLO mx.example.net\r\n", "250-host.example.org", 0, 0},
	{"MAIL FROM:<sender@example.net> SIZE=100\r\n", "250 ", 0, 0},
	{"RCPT TO:<ann@example.org>\r\n", "250 ", 0, 0},
	{"RCPT TO:<\"bo\\th\"@example.org>\r\n", "250 ", 0, 0},
	{"RCPT TO:<nobody@example.org>\r\n", "550 5.1.1 ", 0, 0},
	{"DATA\r\n", "354 ", 0, 0},
	{MESSAGE ".\r\n", "250 2.1.5 Delivered\r\n250 2.1.5 ", 1, 0},
	{"MAIL FROM:<> SMTPUTF8\r\n", "250 ", 0, 0},
	{"RCPT TO:<ann+arbeit.B\xc3\x9cRO@example.org>\r\n", "250 ", 0, 0},
	{"BDAT 7\r\nfrom: x", "250 ", 0, 0},
	{"BDAT 9 LAST\r\n\r\n\r\nHello", "250 2.1.5 ", 0, 1},
	{"QUIT\r\n", "221 ", 0, 0},
	{NULL, NULL, 0, 0},
};

struct connecting {
	int fd, error;
	size_t fail_at;
};

static void connect_lmtp(void *context)
{
	struct connecting *c = context;
	const struct sockaddr_storage peer = {.ss_family = AF_UNIX};

	failing_start(c->fail_at);
	c->error = lmtp_session_new(&rig.lmtp[shard()], c->fd, &peer);
}

/* ---- POP3 ---- */

static const struct step pop3_steps[] = {
	{"", "+OK 3 messages", 0, 0},
	{"CAPA\r\n", "+OK ", 0, 0},
	{"STAT\r\n", "+OK 3 ", 0, 0},
	{"LIST\r\n", "+OK 3 messages", 0, 0},
	{"LIST 2\r\n", "+OK 2 ", 0, 0},
	{"UIDL\r\n", "+OK ", 0, 0},
	{"UIDL 3\r\n", "+OK 3 ", 0, 0},
	{"RETR 1\r\n", "+OK ", 0, 0},
	{"TOP 2 1\r\n", "+OK ", 0, 0},
	{"NONSENSE\r\n", "-ERR Unknown", 0, 0},
	{"DELE 1\r\n", "+OK Message 1 will", 0, 0},
	{"RETR 1\r\n", "-ERR Message 1 is marked", 0, 0},
	{"DELE 3\r\n", "+OK Message 3 will", 0, 0},
	{"QUIT\r\n", "+OK 2 messages deleted", -2, 0},
	{NULL, NULL, 0, 0},
};

static void connect_pop3(void *context)
{
	struct connecting *c = context;
	const struct pop3_start start = {shared->account, SLICE("ann@example.org"), SLICE("192.0.2.1"), SLICE("phone"),
		1, true, false, SLICE("")};

	failing_start(c->fail_at);
	c->error = pop3_session_new(&rig.pop3[shard()], c->fd, &start);
}

static const struct step second_steps[] = {
	{"", "-ERR [IN-USE] The maildrop is in use since ", 0, 0},
	{NULL, NULL, 0, 0},
};

static const struct script scripts[] = {
	{"LMTP", "4", lmtp_steps, connect_lmtp, false},
	{"POP3", "-ERR [SYS/TEMP] ", pop3_steps, connect_pop3, false},
	{"POP3 refused", "-ERR [IN-USE] The maildrop is in use\r", second_steps, connect_pop3, true},
};

static const struct script *script;

/* In a child a failed check must not go on in the test's runner. */
#define NEED(condition) ((condition) ? (void)0 : give_up("not so", #condition))

static void give_up(const char *what, const char *text)
{
	(void)fprintf(stderr, "%s, allocation %zu: %s: %s\n", script->name, shared->fail_at, what, text);
	_exit(1);
}

/* ---- Talking ---- */

/* LMTP's answers end with a line without a hyphen; POP3's have more than a line where they end with a dot in the first session. */
static bool is_complete(const struct step *step, struct slice text)
{
	bool lines =
		script->connect == connect_pop3 && text.len && text.at[0] == '+' &&
		(!strncmp(step->send, "CAPA", 4) || !strncmp(step->send, "TOP", 3) || !strcmp(step->send, "LIST\r\n") ||
			!strcmp(step->send, "UIDL\r\n") || !strncmp(step->send, "RETR", 4));
	struct slice last = text;
	unsigned wanted = 1, count = 0;

	if (!slice_ends(text, lines ? SLICE("\r\n.\r\n") : SLICE("\r\n")))
		return false;
	if (script->connect == connect_pop3)
		return true;
	/* One answer for each recipient. */
	for (const char *at = step->good; (at = strstr(at, "\r\n")); at += 2)
		wanted++;
	while (last.len) {
		struct slice line = slice_split(&last, '\n');

		count += line.len > 3 && line.at[3] == ' ';
	}
	return count >= wanted;
}

/* False when the connection has ended before. */
static bool read_answer(int fd, const struct step *step, struct buffer *input)
{
	buffer_reset(input);
	while (!is_complete(step, buffer_slice(input))) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		char *room = buffer_room(input, 65536);
		ssize_t got;

		NEED(room != NULL);
		NEED(poll(&ready, 1, PATIENCE_MS) == 1);
		got = recv(fd, room, 65536, 0);
		if (got <= 0)
			return false;
		buffer_added(input, (size_t)got);
	}
	return true;
}

/* Each recipient has an answer of its own. */
static bool will_pass(struct slice answers)
{
	while (answers.len) {
		struct slice line = slice_split(&answers, '\n');

		if (!slice_starts(line, slice_of(script->passing)) && !slice_starts(line, SLICE("250 2.1.5 ")))
			return false;
	}
	return true;
}

static enum answer ask(int fd, const struct step *step, struct buffer *input)
{
	size_t len = strlen(step->send);
	struct slice text;

	/* A session that has ended takes nothing; reading will say so. */
	if (len && send(fd, step->send, len, MSG_NOSIGNAL) != (ssize_t)len)
		return NOT_ANSWERED;
	if (!read_answer(fd, step, input))
		return NOT_ANSWERED;
	text = buffer_slice(input);
	if (slice_starts(text, slice_of(step->good)))
		return GOOD;
	if (!failing_happened() || !will_pass(text))
		give_up(step->send, buffer_text(input));
	return REFUSED;
}

/* One answer that says less than it should is as bad as a wrong one. */
static void check_length(size_t at, const struct buffer *input)
{
	static size_t lengths[32];

	/* Unique ids grow with time. */
	if (!strncmp(script->steps[at].send, "UIDL", 4))
		return;
	if (shared->fail_at == 0)
		lengths[at] = input->len;
	else if (lengths[at])
		NEED(input->len == lengths[at]);
}

static enum answer talk(int fd)
{
	struct buffer input = BUFFER_INIT(ANSWER_MAX);
	enum answer answer = GOOD;

	for (size_t i = 0; script->steps[i].send && answer == GOOD; i++) {
		const struct step *step = &script->steps[i];

		shared->unanswered = step;
		answer = ask(fd, step, &input);
		if (answer == GOOD)
			check_length(i, &input);
		/* Of two recipients one may have it. */
		if (answer == GOOD || slice_find(buffer_slice(&input), SLICE("250 2.1.5 Delivered")) != SIZE_MAX) {
			shared->count += (uint32_t)step->change;
			shared->filed += (uint32_t)step->filed;
		}
		if (answer != NOT_ANSWERED)
			shared->unanswered = NULL;
	}
	buffer_free(&input);
	return answer;
}

/* ---- Before, while and after ---- */

static void stop_failing(void *count)
{
	*(size_t *)count = failing_stop();
}

static bool is_known(uint32_t is, uint32_t known, int unanswered)
{
	return is == known || is == known + (uint32_t)unanswered;
}

static void check(void)
{
	const struct step *unanswered = shared->unanswered;
	uint32_t count = core_rig_count(&rig, shared->account, NULL);
	uint32_t filed = core_rig_count(&rig, shared->account, FOLDER);

	if (!is_known(count, shared->count, unanswered ? unanswered->change : 0))
		give_up("messages in INBOX", count < shared->count ? "too few" : "too many");
	if (!is_known(filed, shared->filed, unanswered ? unanswered->filed : 0))
		give_up("messages in the folder", filed < shared->filed ? "too few" : "too many");
	shared->count = count;
	shared->filed = filed;
	shared->unanswered = NULL;
	shared->to_check = false;
}

static void prepare(void)
{
	if (script->connect == connect_pop3 && shared->count < MAILS) {
		core_rig_fill(&rig, shared->account, MAILS - shared->count);
		shared->count = MAILS;
	}
}

/* Returns whether the allocation was reached. */
static bool one_round(void)
{
	struct connecting c = {.fail_at = shared->fail_at};
	struct transcript_socket first = {.fd = -1};
	enum answer answer = NOT_ANSWERED;
	int fds[2];
	size_t count;

	prepare();
	if (script->is_second) {
		first = core_rig_pop3(&rig, shared->account, "laptop", "");
		core_rig_play(&first, "S: +OK 3 messages *\n");
	}
	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	c.fd = fds[1];
	shared->to_check = true;
	core_rig_call(&rig, shard(), script->connect, &c);
	if (c.error)
		NEED(c.error == -ENOMEM && failing_happened());
	else
		answer = talk(fds[0]);
	(void)close(fds[0]);
	if (script->is_second)
		core_rig_hang_up(&first);
	core_rig_wait_sessions(&rig);
	core_rig_call(&rig, shard(), stop_failing, &count);
	check();
	shared->rounds_refused += answer != GOOD;
	return failing_happened();
}

static void make_account(void)
{
	const struct slice target = SLICE("ann@example.org");

	shared->account = core_rig_account(&rig, "ann@example.org", 0);
	core_rig_mailbox(&rig, shared->account, FOLDER);
	NEED(directory_alias_set(rig.store, SLICE("both@example.org"), &target, 1) == 0);
}

static void child(void)
{
	core_rig_start_in(&rig, shared->dir);
	rig.failed_status = STORE_FAILED;
	if (!shared->account)
		make_account();
	if (shared->to_check) {
		check();
		shared->rounds_refused++;
		shared->fail_at++;
	}
	while (one_round() || shared->fail_at == 0)
		NEED(++shared->fail_at < ROUNDS_MAX);
	core_rig_stop(&rig);
	shared->finished = true;
}

static void each_allocation_of_a_session_fails_in_turn(void **state)
{
	unsigned ended = 0;

	script = *state;
	*shared = (struct shared){.account = 0};
	(void)snprintf(shared->dir, sizeof(shared->dir), "%s/penfold-memory-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(shared->dir));
	while (!shared->finished) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			child();
			exit(0); /* with a look for leaks, where there is a sanitizer */
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == STORE_FAILED));
		ended += WEXITSTATUS(status) == STORE_FAILED;
	}
	assert_true(shared->fail_at > 5 && shared->rounds_refused > shared->fail_at / 4);
	print_message("# %s: %zu allocations, a client notices %zu of them, %u end core\n", script->name,
		shared->fail_at - 1, shared->rounds_refused, ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(each_allocation_of_a_session_fails_in_turn, (void *)(uintptr_t)&scripts[0]),
		cmocka_unit_test_prestate(each_allocation_of_a_session_fails_in_turn, (void *)(uintptr_t)&scripts[1]),
		cmocka_unit_test_prestate(each_allocation_of_a_session_fails_in_turn, (void *)(uintptr_t)&scripts[2]),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	return cmocka_run_group_tests_name("memory: LMTP and POP3", tests, NULL, NULL);
}
