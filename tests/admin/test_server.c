#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support.h"

/* A server on a loop of its own, its store on two shards with theirs. */
struct world {
	struct test_dir dir;
	char socket[80];
	struct store *store;
	struct net_loop *front, *shard_loops[2];
	pthread_t threads[3];
	struct admin_server *server;
	int listen_fd;
	int asked[4];
	_Atomic int asked_count;
	struct net_task stop_server;
	_Atomic bool stopped;
};

static void *loop_thread(void *argument)
{
	net_loop_run(argument);
	return NULL;
}

struct stop_task {
	struct net_task task;
	struct net_loop *loop;
};

static void stop_loop(struct net_task *task)
{
	net_loop_stop(CONTAINER_OF(task, struct stop_task, task)->loop);
}

static void count_sessions(void *context, unsigned shard, uint64_t account_id, struct admin_sessions *ret_sessions)
{
	(void)context;
	*ret_sessions = account_id ? (struct admin_sessions){1, 1, 0} : (struct admin_sessions){10 + shard, 1, 3};
}

static void take_request(void *context, enum admin_request request)
{
	struct world *world = context;

	if (world->asked_count < 4)
		world->asked[world->asked_count++] = (int)request;
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct store_settings settings;
	struct admin_services services;

	*state = world;
	test_dir_make(&world->dir);
	(void)snprintf(world->socket, sizeof(world->socket), "%s/control", world->dir.path);
	settings = test_settings(&world->dir, 2);
	if (store_open(&settings, &world->store) || net_loop_new(&world->front) ||
		net_loop_new(&world->shard_loops[0]) || net_loop_new(&world->shard_loops[1]) ||
		net_bind_unix(slice_of(world->socket), 0600, &world->listen_fd))
		return -1;
	services = (struct admin_services){.store = world->store,
		.cost = auth_cost_fast,
		.loops = world->shard_loops,
		.sessions = count_sessions,
		.request = take_request,
		.context = world};
	if (admin_server_new(world->front, world->listen_fd, &services, &world->server))
		return -1;
	(void)pthread_create(&world->threads[0], NULL, loop_thread, world->front);
	(void)pthread_create(&world->threads[1], NULL, loop_thread, world->shard_loops[0]);
	(void)pthread_create(&world->threads[2], NULL, loop_thread, world->shard_loops[1]);
	return 0;
}

static void loop_end(struct net_loop **loop, pthread_t thread)
{
	struct stop_task stop = {.task = {.run = stop_loop}, .loop = *loop};

	net_loop_post(*loop, &stop.task);
	(void)pthread_join(thread, NULL);
}

static int tear_down(void **state)
{
	struct world *world = *state;

	loop_end(&world->front, world->threads[0]);
	admin_server_free(&world->server);
	loop_end(&world->shard_loops[0], world->threads[1]);
	loop_end(&world->shard_loops[1], world->threads[2]);
	net_loop_free(&world->front);
	net_loop_free(&world->shard_loops[0]);
	net_loop_free(&world->shard_loops[1]);
	(void)close(world->listen_fd);
	store_close(&world->store);
	test_dir_remove(&world->dir);
	free(world);
	return 0;
}

/* ---- A client ---- */

static int client(const struct world *world)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 30};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, world->socket, strlen(world->socket) + 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)(void *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* To a server that may have closed already: then what it said before is still there to be heard. */
static void say_or_not(int fd, const char *text)
{
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The next answer; NULL at the end. */
static json_t *hear(int fd)
{
	struct buffer line = BUFFER_INIT(1 << 24);
	json_t *json = NULL;
	char byte;

	while (recv(fd, &byte, 1, 0) == 1 && byte != '\n')
		buffer_put_byte(&line, byte);
	if (line.len)
		json = json_loadb(line.at, line.len, 0, NULL);
	buffer_free(&line);
	return json;
}

static void expect_answer(int fd, const char *code)
{
	json_t *json = hear(fd);

	assert_non_null(json);
	if (code)
		assert_string_equal(json_string_value(json_object_get(json, "code")), code);
	else
		assert_true(json_is_true(json_object_get(json, "ok")));
	json_decref(json);
}

static void test_commands_and_answers_in_order(void **state)
{
	int fd = client(*state);

	say(fd, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}\n{\"cmd\":\"domain.add\",\"domain\":\"example."
		"org\"}\n{\"cm");
	expect_answer(fd, NULL);
	expect_answer(fd, "exists");
	say(fd, "d\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"secret\"}\n");
	expect_answer(fd, NULL);
	say(fd, "nonsense\n\n");
	expect_answer(fd, "invalid");
	expect_answer(fd, "invalid");
	(void)close(fd);
}

static void test_accounts_are_visited_on_their_shards(void **state)
{
	char request[200];
	int fd = client(*state);

	say(fd, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}\n");
	expect_answer(fd, NULL);
	for (int i = 0; i < 8; i++) {
		json_t *json, *account;

		(void)snprintf(request, sizeof(request),
			"{\"cmd\":\"account.add\",\"address\":\"user%d@example.org\",\"password\":\"x\"}\n"
			"{\"cmd\":\"account.info\",\"address\":\"user%d@example.org\"}\n",
			i, i);
		say(fd, request);
		expect_answer(fd, NULL);
		json = hear(fd);
		account = json_object_get(json, "account");
		assert_int_equal(json_array_size(json_object_get(account, "mailboxes")), 6);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(account, "sessions"), "pop3")), 1);
		json_decref(json);
	}
	(void)close(fd);
}

static void test_status_adds_up_shards(void **state)
{
	int fd = client(*state);
	json_t *json, *sessions;

	say(fd, "{\"cmd\":\"status\"}\n");
	json = hear(fd);
	sessions = json_object_get(json_object_get(json, "status"), "sessions");
	assert_int_equal(json_integer_value(json_object_get(sessions, "imap")), 21);
	assert_int_equal(json_integer_value(json_object_get(sessions, "pop3")), 2);
	assert_int_equal(json_integer_value(json_object_get(sessions, "lmtp")), 6);
	json_decref(json);
	(void)close(fd);
}

static void test_reload_and_stop_are_passed_on(void **state)
{
	struct world *world = *state;
	int fd = client(world);

	say(fd, "{\"cmd\":\"reload\"}\n{\"cmd\":\"stop\"}\n");
	expect_answer(fd, NULL);
	expect_answer(fd, NULL);
	assert_int_equal(world->asked_count, 2);
	assert_int_equal(world->asked[0], ADMIN_RELOAD);
	assert_int_equal(world->asked[1], ADMIN_STOP);
	(void)close(fd);
}

static void test_a_line_without_end_is_cut_off(void **state)
{
	int fd = client(*state);
	char *big = malloc(ADMIN_LINE_MAX + 1);
	ssize_t sent = 0;

	assert_non_null(big);
	memset(big, 'x', ADMIN_LINE_MAX);
	big[ADMIN_LINE_MAX] = '\0';
	while (sent >= 0 && sent < 4 * ADMIN_LINE_MAX) {
		ssize_t more = send(fd, big, ADMIN_LINE_MAX, MSG_NOSIGNAL);

		sent = more < 0 ? -1 : sent + more;
	}
	assert_null(hear(fd));
	(void)close(fd);
	free(big);
	/* Others are served as before. */
	fd = client(*state);
	say(fd, "{\"cmd\":\"domain.list\"}\n");
	expect_answer(fd, NULL);
	(void)close(fd);
}

static void test_clients_that_leave_in_the_middle(void **state)
{
	struct world *world = *state;
	bool served = false;
	int fd;

	for (int i = 0; i < 60; i++) {
		fd = client(world);
		say_or_not(fd,
			i % 2 ? "{\"cmd\":\"status\"}\n{\"cmd\":\"status\"}\n{\"cm" : "{\"cmd\":\"domain.list\"}\n");
		(void)close(fd);
	}
	/* Those with a command in work count until it is done. */
	for (int tries = 0; tries < 1000 && !served; tries++) {
		json_t *json;

		fd = client(world);
		say_or_not(fd, "{\"cmd\":\"domain.list\"}\n");
		json = hear(fd);
		served = json_is_true(json_object_get(json, "ok"));
		json_decref(json);
		(void)close(fd);
		(void)usleep(10000);
	}
	assert_true(served);
}

static void test_connections_are_bounded(void **state)
{
	int fds[ADMIN_CONNECTIONS_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = client(*state);
		say_or_not(fds[i], "{\"cmd\":\"domain.list\"}\n");
		expect_answer(fds[i], i < ADMIN_CONNECTIONS_MAX ? NULL : "over-limit");
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
}

/* ---- Ending with a command in work ---- */

static void end_server(struct net_task *task)
{
	struct world *world = CONTAINER_OF(task, struct world, stop_server);

	admin_server_free(&world->server);
	world->stopped = true;
}

static void test_the_server_ends_while_a_shard_does_not_answer(void **state)
{
	struct world *world = *state;
	struct stop_task stop = {.task = {.run = stop_loop}, .loop = world->shard_loops[1]};
	int64_t start_us = clock_monotonic_us(clock_system());
	int fd = client(world);

	net_loop_post(world->shard_loops[1], &stop.task);
	(void)pthread_join(world->threads[2], NULL);
	say(fd, "{\"cmd\":\"status\"}\n");
	(void)usleep(100000);
	world->stop_server.run = end_server;
	net_loop_post(world->front, &world->stop_server);
	assert_null(hear(fd)); /* the connection ends without an answer */
	while (!world->stopped)
		(void)usleep(1000);
	assert_true(clock_monotonic_us(clock_system()) - start_us < 5000000);
	(void)close(fd);
	/* The shard comes back and finds the errand that nobody waits for any more. */
	(void)pthread_create(&world->threads[2], NULL, loop_thread, world->shard_loops[1]);
}

/* ---- The command line against it ---- */

static void test_the_command_line_talks_to_it(void **state)
{
	struct world *world = *state;
	char *add[] = {"domain", "add", "example.org", NULL}, *list[] = {"domain", "list", NULL};
	char *generate[] = {"account", "add", "ann@example.org", "--generate", NULL};
	char *info[] = {"account", "info", "ann@example.org", NULL}, *status[] = {"status", NULL},
	     *stop[] = {"stop", NULL};
	struct admin_place place = {
		.socket = slice_of(world->socket), .store = test_settings(&world->dir, 1), .cost = auth_cost_fast};
	char *text = NULL;
	size_t len;

	place.out = open_memstream(&text, &len);
	assert_int_equal(admin_cli_main(3, add, &place), 0);
	assert_int_equal(admin_cli_main(2, list, &place), 0);
	assert_int_equal(admin_cli_main(4, generate, &place), 0);
	assert_int_equal(admin_cli_main(3, info, &place), 0);
	assert_int_equal(admin_cli_main(1, status, &place), 0);
	assert_int_equal(admin_cli_main(1, stop, &place), 0);
	(void)fclose(place.out);
	assert_non_null(strstr(text, "Added ann@example.org.\nIts password is: "));
	assert_non_null(strstr(text, "sessions  1 IMAP, 1 POP3"));
	assert_non_null(strstr(text, "sessions        21 IMAP, 2 POP3, 6 LMTP, on 2 shards"));
	assert_int_equal(world->asked[0], ADMIN_STOP);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands_and_answers_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accounts_are_visited_on_their_shards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status_adds_up_shards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reload_and_stop_are_passed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_line_without_end_is_cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clients_that_leave_in_the_middle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_connections_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_server_ends_while_a_shard_does_not_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_command_line_talks_to_it, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("admin/server", tests, NULL, NULL);
}
