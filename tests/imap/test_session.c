/* What a transcript cannot say: clients that do not read, and clients that go away in the middle of something. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

enum { COMMANDS = 20000, PATIENCE_MS = 10000, QUIET_MS = 300, ANSWER_MAX = 64 << 20 };

static struct rig rig;
static uint64_t account;

static int setup(void **state)
{
	(void)state;
	if (rig_start(&rig) < 0 || rig_account(&rig, 0, &account) < 0)
		return -1;
	rig.services.limits.output_bytes_max = 65536;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static int connect_device(void)
{
	int fd;

	assert_int_equal(rig_connect(&rig, account, SLICE(""), &fd), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Until a text comes. */
static void read_until(int fd, struct buffer *input, const char *text)
{
	while (slice_find(buffer_slice(input), slice_of(text)) == SIZE_MAX) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		char *room = buffer_room(input, 65536);
		ssize_t got;

		assert_non_null(room);
		assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
		got = recv(fd, room, 65536, 0);
		assert_true(got > 0);
		buffer_added(input, (size_t)got);
	}
}

/* Sends as much as the server takes while nobody reads what it answers. Returns how much that was. */
static size_t send_without_reading(int fd, struct slice bytes)
{
	size_t sent = 0;

	while (sent < bytes.len) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT};
		ssize_t some;

		if (poll(&ready, 1, QUIET_MS) <= 0)
			break;
		some = send(fd, bytes.at + sent, bytes.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(some > 0);
		sent += (size_t)some;
	}
	return sent;
}

static void a_client_that_does_not_read_is_not_read_from(void **state)
{
	struct buffer commands = BUFFER_INIT(ANSWER_MAX), input = BUFFER_INIT(ANSWER_MAX);
	int fd = connect_device();
	size_t sent;

	(void)state;
	for (unsigned i = 0; i < COMMANDS; i++)
		buffer_printf(&commands, "c%u CAPABILITY\r\n", i);
	buffer_put_text(&commands, "last LOGOUT\r\n");
	sent = send_without_reading(fd, buffer_slice(&commands));
	/* What is under way is in two socket buffers, the input of the stream and its bounded output. */
	assert_true(sent < commands.len);
	while (sent < commands.len) {
		size_t more = send_without_reading(fd, slice_from(buffer_slice(&commands), sent));
		struct pollfd ready = {.fd = fd, .events = POLLIN};

		sent += more;
		while (poll(&ready, 1, 0) > 0) {
			char *room = buffer_room(&input, 65536);
			ssize_t got = recv(fd, room, 65536, MSG_DONTWAIT);

			assert_true(got > 0);
			buffer_added(&input, (size_t)got);
		}
	}
	read_until(fd, &input, "last OK");
	for (unsigned i = 0; i < COMMANDS; i += COMMANDS / 20) {
		char answer[32];

		(void)snprintf(answer, sizeof(answer), "\r\nc%u OK ", i);
		assert_true(slice_find(buffer_slice(&input), slice_of(answer)) != SIZE_MAX);
	}
	(void)close(fd);
	buffer_free(&commands);
	buffer_free(&input);
	rig_wait_sessions(&rig);
}

/* What is under way when the client disappears. */
static const char *const unfinished[] = {
	"",
	"a",
	"a NO",
	"a CREATE {100}\r\n",
	"a CREATE {100}\r\nabc",
	"a CREATE {2000000+}\r\nabc",
	"a APPEND INBOX {100}\r\n",
	"a APPEND INBOX {100}\r\nSubject: x\r\n",
	"a APPEND INBOX {20+}\r\nSubject: x\r\n\r\nBody\r\n",
	"a APPEND INBOX {20+}\r\nSubject: x\r\n\r\nBody\r\n {5",
	"a APPEND Nowhere {100+}\r\nSubject",
	"a SELECT INBOX\r\n",
	"a SELECT INBOX\r\nb IDLE\r\n",
	"a SELECT INBOX\r\nb IDLE\r\nDO",
	"a IDLE\r\nb {7+}\r\nabc",
	"a LIST \"\" *\r\nb LIST \"\" *\r\nc LIST",
	"a LOGOUT\r\nb NOOP\r\n",
	"a SELECT INBOX\r\nb FETCH 1:* (ENVELOPE BODY[])\r\nc FETCH 1:* ALL\r\n",
};

static void a_client_may_go_away_at_any_time(void **state)
{
	(void)state;
	assert_int_equal(rig_deliver(&rig, account, SLICE("INBOX"), SLICE("Subject: x\n\ny\n")), 0);
	for (size_t i = 0; i < ARRAY_LEN(unfinished); i++) {
		for (int politely = 0; politely < 2; politely++) {
			struct buffer input = BUFFER_INIT(ANSWER_MAX);
			int fd = connect_device();

			read_until(fd, &input, "login OK");
			send_text(fd, unfinished[i]);
			if (politely)
				(void)usleep(2000);
			(void)close(fd);
			rig_wait_sessions(&rig);
			buffer_free(&input);
		}
	}
}

/* As many as an account may have, in pieces that the socket takes. */
static void subscriptions_have_a_most(void **state)
{
	struct buffer input = BUFFER_INIT(ANSWER_MAX), text = BUFFER_INIT(ANSWER_MAX);
	unsigned there = 6; /* of a new account */
	int fd;

	(void)state;
	assert_int_equal(rig_account(&rig, 0, &account), 0);
	fd = connect_device();
	while (there < STORE_MAILBOXES_MAX) {
		char last[32];

		for (unsigned i = 0; i < 1000 && there < STORE_MAILBOXES_MAX; i++, there++)
			buffer_printf(&text, "s%u SUBSCRIBE n%u\r\n", there, there);
		send_text(fd, buffer_text(&text));
		(void)snprintf(last, sizeof(last), "s%u OK ", there - 1);
		read_until(fd, &input, last);
		buffer_reset(&text);
		buffer_reset(&input);
	}
	send_text(fd, "a SUBSCRIBE more\r\nb SUBSCRIBE n6\r\nc UNSUBSCRIBE n6\r\nd SUBSCRIBE more\r\n");
	read_until(fd, &input, "d OK ");
	assert_true(slice_starts(buffer_slice(&input), SLICE("a NO [LIMIT] A limit is reached\r\nb OK ")));
	(void)close(fd);
	buffer_free(&input);
	buffer_free(&text);
}

static void begin_to_stop(void *context)
{
	imap_sessions_stop(context);
}

static void a_server_stops_with_many_sessions(void **state)
{
	int fds[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_device();
		send_text(fds[i], i % 2 ? "a IDLE\r\n" : "a LIST \"\" *\r\nb SELECT INBOX\r\nc STA");
	}
	rig_call(&rig, begin_to_stop, &rig.services);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct buffer input = BUFFER_INIT(ANSWER_MAX);

		read_until(fds[i], &input, "* BYE [UNAVAILABLE] ");
		(void)close(fds[i]);
		buffer_free(&input);
	}
	rig_wait_sessions(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_that_does_not_read_is_not_read_from),
		cmocka_unit_test(a_client_may_go_away_at_any_time),
		cmocka_unit_test(subscriptions_have_a_most),
		cmocka_unit_test(a_server_stops_with_many_sessions),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
