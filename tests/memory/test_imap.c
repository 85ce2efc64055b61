/*
 * One whole IMAP session, in which each allocation of its thread fails in turn. Every command is answered, with OK or the protocol's own error,
 * or the connection ends; a look at the account afterwards shows that what got OK was done, and what got anything else was not.
 *
 * A change that cannot be folded into memory after it went to the journal ends core (change.c), and a new one starts. So all of this runs in a child
 * process; where the store fails it ends, and the next child looks at what the journal says.
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

#include "../imap/rig.h"
#include "failing.h"

enum { PATIENCE_MS = 20000, ANSWER_MAX = 1 << 20, BATCH = 20, ROUNDS_MAX = 20000, STORE_FAILED = 3 };

/* In a child a failed check must not go on in the test's runner. */
#define NEED(condition) need(condition, #condition, __LINE__)

#define MESSAGE         "From: Ann <ann@example.org>\r\nSubject: new\r\n\r\nHello again\r\n"
#define MESSAGE_LITERAL "{58+}\r\n" MESSAGE

/* `proof` is sent afterwards by a second session and contains `done` or `undone` then. None: nothing changes. */
struct step {
	const char *command, *proof, *done, *undone;
};
static const struct step steps[] = {
	{"CAPABILITY", NULL, NULL, NULL},
	{"ID (\"name\" \"a client\" \"version\" NIL)", NULL, NULL, NULL},
	{"ENABLE QRESYNC UTF8=ACCEPT", NULL, NULL, NULL},
	{"NAMESPACE", NULL, NULL, NULL},
	{"APPEND Sent (\\Seen $Work) \" 1-Feb-2024 12:00:00 +0100\" " MESSAGE_LITERAL,
		"EXAMINE Sent\r\np FETCH 1:* BODY.PEEK[]", "BODY[] {58}\r\n" MESSAGE, "\r\n* 0 EXISTS"},
	{"APPEND Drafts () " MESSAGE_LITERAL " (\\Draft) " MESSAGE_LITERAL, "STATUS Drafts (MESSAGES)", "(MESSAGES 2)",
		"(MESSAGES 0)"},
	{"CREATE New/Below", "LIST \"\" New/%", "New/Below", "p OK"},
	{"RENAME Old Renamed", "STATUS Renamed (MESSAGES)", "(MESSAGES 0)", "p NO"},
	{"DELETE Gone", "STATUS Gone (MESSAGES)", "p NO", "(MESSAGES 0)"},
	{"UNSUBSCRIBE Junk", "LIST (SUBSCRIBED) \"\" Junk", "!Junk", "Junk"},
	{"LIST \"\" (\"*\" \"%\") RETURN (CHILDREN STATUS (MESSAGES UNSEEN SIZE))", NULL, NULL, NULL},
	{"STATUS INBOX (MESSAGES UNSEEN HIGHESTMODSEQ)", NULL, NULL, NULL},
	{"SELECT INBOX", NULL, NULL, NULL},
	{"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE MODSEQ EMAILID)", NULL, NULL, NULL},
	{"FETCH 1:2 (BODY.PEEK[] BODY.PEEK[HEADER.FIELDS (SUBJECT X-ODD)] BODY.PEEK[TEXT]<3.5> BINARY.PEEK[1])", NULL,
		NULL, NULL},
	{"STORE 1 +FLAGS ($Label \\Flagged)", "EXAMINE INBOX\r\np SEARCH 1 FLAGGED", "SEARCH 1\r\n", "SEARCH\r\n"},
	{"SEARCH RETURN (ALL) OR TEXT hello SUBJECT {3+}\r\nabc", NULL, NULL, NULL},
	{"UID SEARCH BODY hello UNSEEN NOT KEYWORD $Label", NULL, NULL, NULL},
	{"COPY 1 Junk", "STATUS Junk (MESSAGES)", "(MESSAGES 1)", "(MESSAGES 0)"},
	{"UID MOVE 2 Trash", "STATUS Trash (MESSAGES)", "(MESSAGES 1)", "(MESSAGES 0)"},
	{"UID STORE 3 +FLAGS.SILENT (\\Answered)", NULL, NULL, NULL},
	{"UID EXPUNGE 3", "EXAMINE INBOX\r\np UID SEARCH UID 3", "SEARCH\r\n", "SEARCH 3\r\n"},
	{"SELECT Sent (QRESYNC (1 1))", NULL, NULL, NULL},
	{"CLOSE", NULL, NULL, NULL},
	{"NONSENSE", NULL, NULL, NULL},
	{"LOGOUT", NULL, NULL, NULL},
};

enum answer { NOT_SENT, NOT_ANSWERED, GOT_OK, GOT_ERROR };

/* What outlives a child. */
struct shared {
	char dir[64];
	unsigned accounts; /* made so far */
	size_t fail_at, rounds_refused;
	bool to_check, finished;
	uint64_t account;
	enum answer answers[ARRAY_LEN(steps)];
};

static struct shared *shared;
static struct rig rig;
static uint64_t accounts[BATCH];
static unsigned account_number;

static void need(bool fine, const char *what, int line)
{
	if (fine)
		return;
	(void)fprintf(stderr, "allocation %zu, line %d: not so: %s\n", shared->fail_at, line, what);
	_exit(1);
}

/* ---- Talking ---- */

static void send_text(int fd, const char *text)
{
	size_t len = strlen(text);

	/* A session that has ended takes nothing; reading will say so. */
	while (len) {
		ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

		if (sent < 0)
			return;
		text += sent;
		len -= (size_t)sent;
	}
}

/* Until there is a line that begins with the tag; false when the connection ended before. */
static bool read_answer(int fd, const char *tag, struct buffer *input)
{
	char begin[16];

	(void)snprintf(begin, sizeof(begin), "\r\n%s ", tag);
	buffer_reset(input);
	buffer_put_text(input, "\r\n");
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		char *room = buffer_room(input, 65536);
		ssize_t got;

		NEED(room != NULL);
		NEED(poll(&ready, 1, PATIENCE_MS) == 1);
		got = recv(fd, room, 65536, 0);
		if (got <= 0)
			return false;
		buffer_added(input, (size_t)got);
		if (slice_find(buffer_slice(input), slice_of(begin)) != SIZE_MAX && input->at[input->len - 1] == '\n')
			return true;
	}
}

static enum answer ask(int fd, const char *tag, const char *command, struct buffer *input)
{
	char good[16];

	send_text(fd, tag);
	send_text(fd, " ");
	send_text(fd, command);
	send_text(fd, "\r\n");
	if (!read_answer(fd, tag, input))
		return NOT_ANSWERED;
	(void)snprintf(good, sizeof(good), "\r\n%s OK ", tag);
	return slice_find(buffer_slice(input), slice_of(good)) != SIZE_MAX ? GOT_OK : GOT_ERROR;
}

static int connect_client(uint64_t account)
{
	struct buffer input = BUFFER_INIT(ANSWER_MAX);
	int fd;

	NEED(rig_connect(&rig, account, SLICE(""), &fd) == 0);
	NEED(read_answer(fd, "login", &input));
	buffer_free(&input);
	return fd;
}

/* ---- Before, while and after ---- */

static void prepare(uint64_t account)
{
	static const char *const commands[] = {"APPEND INBOX () " MESSAGE_LITERAL, "APPEND INBOX () " MESSAGE_LITERAL,
		"APPEND INBOX (\\Deleted) " MESSAGE_LITERAL, "CREATE Old", "CREATE Gone"};
	struct buffer input = BUFFER_INIT(ANSWER_MAX);
	int fd = connect_client(account);

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		NEED(ask(fd, "a", commands[i], &input) == GOT_OK);
	(void)close(fd);
	rig_wait_sessions(&rig);
	buffer_free(&input);
}

static void start_failing(void *fail_at)
{
	failing_start(*(size_t *)fail_at);
}

static void stop_failing(void *count)
{
	*(size_t *)count = failing_stop();
}

/* IDLE has no answer before DONE. */
static void idle(int fd, struct buffer *input)
{
	send_text(fd, "i IDLE\r\nDONE\r\n");
	(void)read_answer(fd, "i", input);
}

static void session(void)
{
	struct buffer input = BUFFER_INIT(ANSWER_MAX);
	bool over;
	int fd;

	rig_call(&rig, start_failing, &shared->fail_at);
	over = rig_connect(&rig, shared->account, SLICE(""), &fd) < 0;
	if (over)
		fd = -1;
	else if (!read_answer(fd, "login", &input))
		over = true;
	for (size_t i = 0; i < ARRAY_LEN(steps) && !over; i++) {
		shared->answers[i] = NOT_ANSWERED;
		shared->answers[i] = ask(fd, "t", steps[i].command, &input);
		over = shared->answers[i] == NOT_ANSWERED;
		if (i == ARRAY_LEN(steps) / 2 && !over)
			idle(fd, &input);
	}
	if (fd >= 0)
		(void)close(fd);
	buffer_free(&input);
}

static bool shows(struct slice text, const char *sign)
{
	bool absent = sign[0] == '!';

	return (slice_find(text, slice_of(sign + absent)) != SIZE_MAX) != absent;
}

static void check_step(int fd, const struct step *step, enum answer answer, struct buffer *input)
{
	struct slice text;
	bool done, undone;

	send_text(fd, step->proof[0] == 'E' ? "x " : "p ");
	send_text(fd, step->proof);
	send_text(fd, "\r\n");
	NEED(read_answer(fd, "p", input));
	text = buffer_slice(input);
	done = shows(text, step->done);
	undone = shows(text, step->undone) && (!done || strcmp(step->undone, "p OK") != 0);
	if (done == undone || (answer == GOT_OK && !done) || ((answer == GOT_ERROR || answer == NOT_SENT) && !undone)) {
		(void)fprintf(stderr, "allocation %zu, %s: answer %d, afterwards: %s\n", shared->fail_at, step->command,
			(int)answer, buffer_text(input));
		_exit(1);
	}
}

static void check(void)
{
	struct buffer input = BUFFER_INIT(ANSWER_MAX);
	int fd = connect_client(shared->account);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i].proof)
			check_step(fd, &steps[i], shared->answers[i], &input);
	(void)close(fd);
	rig_wait_sessions(&rig);
	buffer_free(&input);
}

static unsigned refused(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		count += shared->answers[i] != GOT_OK && strcmp(steps[i].command, "NONSENSE") != 0;
	return count;
}

/* Returns whether the allocation was reached. */
static bool one_round(void)
{
	size_t count;

	if (account_number % BATCH == 0)
		NEED(rig_accounts(&rig, 0, BATCH, accounts) == 0);
	shared->accounts = rig.accounts;
	shared->account = accounts[account_number++ % BATCH];
	memset(shared->answers, 0, sizeof(shared->answers));
	prepare(shared->account);
	shared->to_check = true;
	session();
	rig_wait_sessions(&rig);
	rig_call(&rig, stop_failing, &count);
	check();
	shared->to_check = false;
	return failing_happened();
}

static void child(void)
{
	NEED(rig_start_in(&rig, shared->dir) == 0);
	rig.accounts = shared->accounts;
	rig.failed_status = STORE_FAILED;
	if (shared->to_check) {
		check();
		shared->to_check = false;
		shared->rounds_refused++;
		shared->fail_at++;
	}
	if (shared->fail_at == 0) {
		NEED(!one_round() && refused() == 0);
		shared->fail_at++;
	}
	while (one_round()) {
		shared->rounds_refused += refused() > 0;
		NEED(++shared->fail_at < ROUNDS_MAX);
	}
	rig_stop(&rig);
	shared->finished = true;
}

static void each_allocation_of_a_session_fails_in_turn(void **state UNUSED)
{
	unsigned ended = 0;

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
	assert_true(shared->fail_at > 100 && shared->rounds_refused > shared->fail_at / 4);
	print_message("# %zu allocations, a client notices %zu of them, %u end core\n", shared->fail_at - 1,
		shared->rounds_refused, ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_of_a_session_fails_in_turn),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	(void)snprintf(shared->dir, sizeof(shared->dir), "%s/penfold-memory-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(shared->dir));
	return cmocka_run_group_tests_name("memory: a session", tests, NULL, NULL);
}
