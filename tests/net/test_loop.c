#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rig.h"

/* ---- Posting and releasing from other threads ---- */

enum { THREADS = 3, TASKS = 20000 };

struct numbered {
	struct net_task task;
	struct counting *counting;
	unsigned thread, number;
};
struct counting {
	struct net_loop *loop;
	unsigned next[THREADS];
	unsigned done;
	struct numbered *tasks;
};

static void count(struct net_task *task)
{
	struct numbered *numbered = CONTAINER_OF(task, struct numbered, task);
	struct counting *counting = numbered->counting;

	assert_int_equal(counting->next[numbered->thread]++, numbered->number);
	if (++counting->done == THREADS * TASKS)
		net_loop_stop(counting->loop);
}

static void *post_many(void *argument)
{
	struct numbered *tasks = argument;

	for (int i = 0; i < TASKS; i++)
		net_loop_post(tasks->counting->loop, &tasks[i].task);
	return NULL;
}

static void posts_of_each_thread_run_in_order(void **state)
{
	struct counting counting = {.tasks = calloc(THREADS * TASKS, sizeof(struct numbered))};
	pthread_t threads[THREADS];

	(void)state;
	assert_non_null(counting.tasks);
	assert_int_equal(net_loop_new(&counting.loop), 0);
	for (unsigned t = 0; t < THREADS; t++)
		for (unsigned i = 0; i < TASKS; i++)
			counting.tasks[t * TASKS + i] = (struct numbered){{count, NULL}, &counting, t, i};
	for (unsigned t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, post_many, &counting.tasks[t * TASKS]), 0);
	net_loop_run(counting.loop);
	for (unsigned t = 0; t < THREADS; t++)
		assert_int_equal(pthread_join(threads[t], NULL), 0);
	assert_int_equal(counting.done, THREADS * TASKS);
	net_loop_free(&counting.loop);
	free(counting.tasks);
}

struct releasing {
	struct rig rig;
	_Atomic uint64_t written; /* highest sequence number that was marked */
	_Atomic bool over;
};

/* The log writer's part: whatever was marked becomes durable a little later. */
static void *release_all(void *argument)
{
	struct releasing *releasing = argument;

	while (!releasing->over)
		net_loop_release(releasing->rig.loop, releasing->written);
	return NULL;
}

enum { ROUNDS = 20000 };

static size_t answer_marked(struct rig *rig, struct slice bytes)
{
	struct releasing *releasing = CONTAINER_OF(rig, struct releasing, rig);
	uint64_t seq = releasing->written + 1;

	net_stream_write(rig->stream, SLICE("."));
	net_stream_mark(rig->stream, seq);
	releasing->written = seq;
	return bytes.len;
}

static void *ask_many(void *argument)
{
	struct releasing *releasing = argument;
	char byte;

	for (int i = 0; i < ROUNDS; i++) {
		if (write(releasing->rig.peer, "?", 1) != 1 || read(releasing->rig.peer, &byte, 1) != 1)
			break;
	}
	(void)shutdown(releasing->rig.peer, SHUT_WR);
	return NULL;
}

static void stop_when_closed(void *owner, int error)
{
	struct rig *rig = owner;

	rig->closed++;
	rig->error = error;
	net_loop_stop(rig->loop);
}

static size_t input_marked(void *owner, struct slice bytes)
{
	return answer_marked(owner, bytes);
}

static void no_release_is_missed(void **state)
{
	static const struct net_stream_events events = {input_marked, NULL, stop_when_closed};
	const struct net_stream_limits limits = {4096, 4096, 0, 0};
	struct releasing releasing = {.written = 0};
	pthread_t releaser, asker;
	int fds[2];

	(void)state;
	rig_open(&releasing.rig, NULL);
	net_stream_free(&releasing.rig.stream);
	(void)close(releasing.rig.peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	releasing.rig.peer = fds[1];
	assert_int_equal(
		net_stream_new(releasing.rig.loop, fds[0], &events, &limits, &releasing.rig, &releasing.rig.stream), 0);
	assert_int_equal(pthread_create(&releaser, NULL, release_all, &releasing), 0);
	assert_int_equal(pthread_create(&asker, NULL, ask_many, &releasing), 0);
	rig_run(&releasing.rig, 120000);
	releasing.over = true;
	assert_int_equal(pthread_join(releaser, NULL), 0);
	(void)shutdown(releasing.rig.peer, SHUT_RDWR);
	assert_int_equal(pthread_join(asker, NULL), 0);
	assert_int_equal(releasing.written, ROUNDS);
	assert_int_equal(releasing.rig.closed, 1);
	rig_close(&releasing.rig);
}

/* ---- Timers and watches ---- */

static void note_firing(void *owner)
{
	(*(unsigned *)owner)++;
}

static void timers_fire_once_and_can_be_moved(void **state)
{
	struct rig rig;
	struct net_timer *timer;
	unsigned fired = 0;

	(void)state;
	rig_open(&rig, NULL);
	assert_int_equal(net_timer_new(rig.loop, note_firing, &fired, &timer), 0);
	net_timer_start(timer, 5);
	rig_run(&rig, 30);
	assert_int_equal(fired, 1);
	net_timer_start(timer, 5);
	net_timer_start(timer, 100);
	rig_run(&rig, 30);
	assert_int_equal(fired, 1);
	net_timer_stop(timer);
	rig_run(&rig, 120);
	assert_int_equal(fired, 1);
	net_timer_free(&timer);
	rig_close(&rig);
}

static void note_events(void *owner, int events)
{
	*(int *)owner |= events;
}

static void a_watch_tells_what_poll_would(void **state)
{
	struct rig rig;
	struct net_watch *watch;
	int fds[2];
	int events = 0;

	(void)state;
	rig_open(&rig, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(net_watch_new(rig.loop, fds[0], note_events, &events, &watch), 0);
	assert_int_equal(net_watch_for(watch, POLLIN), 0);
	rig_run(&rig, 5);
	assert_int_equal(events, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	rig_run(&rig, 5);
	assert_int_equal(events, POLLIN);
	assert_int_equal(net_watch_for(watch, POLLOUT), 0);
	events = 0;
	rig_run(&rig, 5);
	assert_int_equal(events, POLLOUT);
	assert_int_equal(net_watch_for(watch, POLLIN), 0);
	(void)close(fds[1]);
	rig_run(&rig, 5);
	assert_true(events & POLLHUP);
	net_watch_free(&watch);
	(void)close(fds[0]);
	rig_close(&rig);
}

/* ---- Listeners ---- */

struct caller {
	int fd;
	struct sockaddr_storage peer;
	unsigned count;
	struct net_listener *listener; /* to be freed from inside accepted(), if any */
};

static void note_caller(void *owner, int fd, const struct sockaddr_storage *peer)
{
	struct caller *caller = owner;

	if (caller->count++)
		(void)close(caller->fd);
	caller->fd = fd;
	caller->peer = *peer;
	net_listener_free(&caller->listener);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void a_listener_accepts(void **state)
{
	struct rig rig;
	struct caller caller = {.fd = -1};
	struct net_listener *listener;
	struct buffer text = BUFFER_INIT(100);
	uint16_t port, again;
	int fd, second, client;

	(void)state;
	rig_open(&rig, NULL);
	assert_int_equal(net_bind_tcp(SLICE("127.0.0.1"), 0, &fd, &port), 0);
	assert_int_equal(net_bind_tcp(SLICE("127.0.0.1"), port, &second, &again), -EADDRINUSE);
	assert_int_equal(net_bind_tcp(SLICE("localhost"), 0, &second, &again), -EINVAL);
	assert_int_equal(net_bind_tcp(SLICE(""), 0, &second, &again), -EINVAL);
	assert_int_equal(net_listener_new(rig.loop, fd, note_caller, &caller, &listener), 0);
	client = connect_to(port);
	rig_run(&rig, 10);
	assert_int_equal(caller.count, 1);
	net_address_text(&caller.peer, &text);
	assert_true(slice_starts(buffer_slice(&text), SLICE("127.0.0.1:")));
	assert_true(net_address_is_loopback(&caller.peer));
	net_listener_free(&listener);
	(void)close(caller.fd);
	(void)close(client);
	(void)close(fd);
	buffer_free(&text);
	rig_close(&rig);
}

static void a_listener_may_be_freed_while_it_accepts(void **state)
{
	struct rig rig;
	struct caller caller = {.fd = -1};
	uint16_t port;
	int fd, first, second;

	(void)state;
	rig_open(&rig, NULL);
	assert_int_equal(net_bind_tcp(SLICE("127.0.0.1"), 0, &fd, &port), 0);
	assert_int_equal(net_listener_new(rig.loop, fd, note_caller, &caller, &caller.listener), 0);
	first = connect_to(port);
	second = connect_to(port);
	rig_run(&rig, 10);
	assert_int_equal(caller.count, 1);
	(void)close(caller.fd);
	(void)close(first);
	(void)close(second);
	(void)close(fd);
	rig_close(&rig);
}

static void a_unix_socket_replaces_a_dead_one_only(void **state)
{
	char dir[] = "/tmp/penfold-net-XXXXXX";
	struct buffer path = BUFFER_INIT(200);
	struct stat st;
	int fd, again;

	(void)state;
	assert_non_null(mkdtemp(dir));
	buffer_printf(&path, "%s/socket", dir);
	assert_int_equal(net_bind_unix(buffer_slice(&path), 0660, &fd), 0);
	assert_int_equal(stat(buffer_text(&path), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(net_bind_unix(buffer_slice(&path), 0660, &again), -EADDRINUSE);
	(void)close(fd);
	assert_int_equal(net_bind_unix(buffer_slice(&path), 0600, &fd), 0);
	(void)close(fd);
	assert_int_equal(unlink(buffer_text(&path)), 0);
	assert_int_equal(net_bind_unix(slice_of(dir), 0600, &fd), -EEXIST);
	assert_int_equal(rmdir(dir), 0);
	buffer_free(&path);
}

static void put_address(const char *text, uint16_t port, struct buffer *out, bool *ret_loopback)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	memcpy(&address, &in6, sizeof(in6));
	buffer_reset(out);
	net_address_text(&address, out);
	*ret_loopback = net_address_is_loopback(&address);
}

static void addresses_have_one_text(void **state)
{
	struct buffer out = BUFFER_INIT(100);
	struct sockaddr_storage local = {.ss_family = AF_UNIX};
	bool loopback;

	(void)state;
	put_address("2001:db8::1", 993, &out, &loopback);
	assert_string_equal(buffer_text(&out), "[2001:db8::1]:993");
	assert_false(loopback);
	put_address("::ffff:192.0.2.1", 143, &out, &loopback);
	assert_string_equal(buffer_text(&out), "192.0.2.1:143");
	assert_false(loopback);
	put_address("::ffff:127.1.2.3", 143, &out, &loopback);
	assert_true(loopback);
	put_address("::1", 143, &out, &loopback);
	assert_true(loopback);
	buffer_reset(&out);
	net_address_text(&local, &out);
	assert_string_equal(buffer_text(&out), "unix");
	assert_true(net_address_is_loopback(&local));
	buffer_free(&out);
}

/* ---- Messages ---- */

static void messages_carry_descriptors(void **state)
{
	int pair[2], pipes[2], fds[NET_DESCRIPTORS_MAX];
	size_t fd_count = 9;
	struct buffer bytes = BUFFER_INIT(NET_MESSAGE_MAX);
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &fd_count), -EAGAIN);
	assert_int_equal(net_message_send(pair[0], SLICE("take this"), pipes, 2), 0);
	assert_int_equal(net_message_send(pair[0], SLICE("nothing"), NULL, 0), 0);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &fd_count), 0);
	assert_int_equal(fd_count, 2);
	assert_true(slice_equal(buffer_slice(&bytes), SLICE("take this")));
	assert_int_equal(write(fds[1], "p", 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &fd_count), 0);
	assert_int_equal(fd_count, 0);
	assert_true(slice_equal(buffer_slice(&bytes), SLICE("nothing")));
	(void)close(pair[0]);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &fd_count), -EPIPE);
	assert_int_equal(net_message_send(pair[1], SLICE("gone"), NULL, 0), -EPIPE);
	(void)close(pair[1]);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	buffer_free(&bytes);
}

static void odd_messages_are_refused(void **state)
{
	int pair[2], fds[NET_DESCRIPTORS_MAX + 1] = {0, 0, 0, 0, 0};
	size_t fd_count;
	struct buffer bytes = BUFFER_INIT(16);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(net_message_send(pair[0], SLICE(""), NULL, 0), -EINVAL);
	assert_int_equal(net_message_send(pair[0], SLICE("x"), fds, ARRAY_LEN(fds)), -EINVAL);
	assert_int_equal(net_message_send(pair[0], SLICE("longer than sixteen"), NULL, 0), 0);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &fd_count), -EBADMSG);
	assert_int_equal(send(pair[0], "", 0, 0), 0);
	assert_int_equal(net_message_receive(pair[1], &bytes, fds, &fd_count), -EPIPE);
	while (net_message_send(pair[0], SLICE("flood"), NULL, 0) == 0)
		;
	assert_int_equal(net_message_send(pair[0], SLICE("flood"), NULL, 0), -EAGAIN);
	(void)close(pair[0]);
	(void)close(pair[1]);
	buffer_free(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_of_each_thread_run_in_order),
		cmocka_unit_test(no_release_is_missed),
		cmocka_unit_test(timers_fire_once_and_can_be_moved),
		cmocka_unit_test(a_watch_tells_what_poll_would),
		cmocka_unit_test(a_listener_accepts),
		cmocka_unit_test(a_listener_may_be_freed_while_it_accepts),
		cmocka_unit_test(a_unix_socket_replaces_a_dead_one_only),
		cmocka_unit_test(addresses_have_one_text),
		cmocka_unit_test(messages_carry_descriptors),
		cmocka_unit_test(odd_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
