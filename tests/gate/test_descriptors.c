/* What happens when a process may have no more file descriptors: nobody loses a connection that is there, and logins are told. */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.h"

#include "net/net.h"

static const char greeting[] = "* OK [CAPABILITY IMAP4rev1 IMAP4rev2";

static rlim_t limit_to(rlim_t descriptors)
{
	struct rlimit limit;
	rlim_t before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = descriptors;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static bool has_news(const struct client *client)
{
	struct pollfd watched = {.fd = client->fd, .events = POLLIN};

	return poll(&watched, 1, 100) == 1;
}

/* As many as there is room for are served; the others wait until somebody leaves, and are served then. */
static void a_full_gate_lets_others_wait(void **state)
{
	enum { ROOM = 40, MORE = 6, LIMIT = 64 + 2 * ROOM };
	struct client clients[ROOM + MORE];
	struct world world;
	rlim_t before;

	(void)state;
	world_prepare(&world);
	before = limit_to(LIMIT);
	world_start(&world);
	(void)limit_to(before);
	for (int i = 0; i < ROOM; i++) {
		clients[i] = client_open(&world, WORLD_IMAP);
		client_expect(&clients[i], greeting);
	}
	for (int i = ROOM; i < ROOM + MORE; i++)
		clients[i] = client_open(&world, WORLD_IMAP);
	for (int i = ROOM; i < ROOM + MORE; i++)
		assert_false(has_news(&clients[i]));
	for (int i = 0; i < MORE; i++)
		client_close(&clients[i]);
	for (int i = ROOM; i < ROOM + MORE; i++)
		client_expect(&clients[i], greeting);
	for (int i = MORE; i < ROOM + MORE; i++) {
		client_say(&clients[i], "a NOOP\r\n");
		client_expect(&clients[i], "a OK");
		client_close(&clients[i]);
	}
	world_end(&world);
}

static unsigned descriptors_of(pid_t pid)
{
	char path[64];
	unsigned count = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	(void)closedir(dir);
	return count;
}

/* The relay that comes with core's OK cannot be taken: the client is told, the others stay, and the next attempt succeeds. */
static void a_login_without_a_descriptor_is_told(void **state)
{
	struct client client, other;
	struct rlimit limit;
	struct world world;
	rlim_t before;

	(void)state;
	world_prepare(&world);
	world_start(&world);
	other = client_open(&world, WORLD_IMAP);
	client_expect(&other, greeting);
	client = client_open(&world, WORLD_IMAPS);
	assert_true(client_tls(&client, "one.example.org", 0, NULL));
	client_expect(&client, greeting);
	assert_int_equal(prlimit(world.gate, RLIMIT_NOFILE, NULL, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = descriptors_of(world.gate);
	assert_int_equal(prlimit(world.gate, RLIMIT_NOFILE, &limit, NULL), 0);
	client_say(&client, "a LOGIN ann secret\r\n");
	client_expect(&client, "a NO [UNAVAILABLE]");
	limit.rlim_cur = before;
	assert_int_equal(prlimit(world.gate, RLIMIT_NOFILE, &limit, NULL), 0);
	client_say(&client, "b LOGIN ann secret\r\n");
	client_expect(&client, "b OK Logged in");
	client_say(&other, "c NOOP\r\n");
	client_expect(&other, "c OK");
	assert_int_equal(world_seen(&world).cancels, 1);
	client_close(&other);
	client_close(&client);
	world_end(&world);
}

/* A message whose descriptor cannot be taken is whole all the same. */
static void a_message_comes_without_its_descriptor(void **state)
{
	int pair[2], fds[NET_DESCRIPTORS_MAX];
	struct buffer bytes = BUFFER_INIT(NET_MESSAGE_MAX);
	size_t count = 9;
	rlim_t before;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(net_message_send(pair[0], SLICE("take this"), pair, 1), 0);
	assert_int_equal(net_message_send(pair[0], SLICE("and this"), pair, 1), 0);
	before = limit_to((rlim_t)MAX(pair[0], pair[1]) + 1);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &count), -EMFILE);
	(void)limit_to(before);
	assert_true(slice_equal(buffer_slice(&bytes), SLICE("take this")));
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &count), 0);
	assert_int_equal(count, 1);
	(void)close(fds[0]);
	(void)close(pair[0]);
	(void)close(pair[1]);
	buffer_free(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_gate_lets_others_wait),
		cmocka_unit_test(a_login_without_a_descriptor_is_told),
		cmocka_unit_test(a_message_comes_without_its_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
