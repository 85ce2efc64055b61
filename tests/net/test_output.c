#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

/* ---- Marks ---- */

static void assert_hears(struct rig *rig, const char *expected)
{
	char text[200];

	rig_run(rig, 5);
	assert_string_equal(rig_heard(rig, text, sizeof(text)), expected);
}

static void marked(struct rig *rig, const char *text, uint64_t seq)
{
	net_stream_write(rig->stream, slice_of(text));
	net_stream_mark(rig->stream, seq);
}

static void marked_bytes_wait_in_order(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	marked(&rig, "a", 10);
	marked(&rig, "b", 20);
	net_stream_write(rig.stream, SLICE("c"));
	assert_hears(&rig, "");
	net_loop_release(rig.loop, 9);
	assert_hears(&rig, "");
	net_loop_release(rig.loop, 10);
	assert_hears(&rig, "a");
	net_loop_release(rig.loop, 19);
	assert_hears(&rig, "");
	net_loop_release(rig.loop, 25);
	assert_hears(&rig, "bc");
	rig_close(&rig);
}

static void a_mark_that_is_reached_already_holds_nothing(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	net_loop_release(rig.loop, 10);
	net_loop_release(rig.loop, 4); /* never goes back */
	marked(&rig, "a", 10);
	assert_hears(&rig, "a");
	net_stream_mark(rig.stream, 50); /* nothing queued: nothing to hold */
	net_stream_write(rig.stream, SLICE("b"));
	assert_hears(&rig, "b");
	rig_close(&rig);
}

static void a_lower_mark_behind_a_higher_one_leaves_with_it(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	marked(&rig, "a", 20);
	marked(&rig, "b", 10);
	net_loop_release(rig.loop, 10);
	assert_hears(&rig, "");
	net_loop_release(rig.loop, 20);
	assert_hears(&rig, "ab");
	rig_close(&rig);
}

static void a_second_mark_at_the_same_place_counts(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	marked(&rig, "a", 10);
	net_stream_mark(rig.stream, 20);
	net_loop_release(rig.loop, 10);
	assert_hears(&rig, "");
	net_loop_release(rig.loop, 20);
	assert_hears(&rig, "a");
	rig_close(&rig);
}

static void more_marks_than_are_kept_wait_longer_never_shorter(void **state)
{
	struct rig rig;
	char expected[2] = "a";

	(void)state;
	rig_open(&rig, NULL);
	for (uint64_t i = 1; i <= 8; i++) {
		char text[2] = {(char)('a' + i - 1), '\0'};

		marked(&rig, text, i);
	}
	for (uint64_t i = 1; i <= 3; i++) {
		net_loop_release(rig.loop, i);
		expected[0] = (char)('a' + i - 1);
		assert_hears(&rig, expected);
	}
	net_loop_release(rig.loop, 7);
	assert_hears(&rig, "");
	net_loop_release(rig.loop, 8);
	assert_hears(&rig, "defgh");
	rig_close(&rig);
}

static void each_stream_waits_for_its_own_mark(void **state)
{
	struct rig rig;
	struct net_stream_limits limits = {4096, 4096, 0, 0};
	struct net_stream *streams[3];
	int peers[3];
	const uint64_t seqs[3] = {30, 10, 20};
	char byte;

	(void)state;
	rig_open(&rig, NULL);
	for (int i = 0; i < 3; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_int_equal(net_stream_new(rig.loop, fds[0], &rig_events, &limits, &rig, &streams[i]), 0);
		peers[i] = fds[1];
		net_stream_write(streams[i], SLICE("x"));
		net_stream_mark(streams[i], seqs[i]);
	}
	for (uint64_t seq = 10; seq <= 30; seq += 10) {
		net_loop_release(rig.loop, seq);
		rig_run(&rig, 5);
		for (int i = 0; i < 3; i++)
			assert_int_equal(recv(peers[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1, seqs[i] <= seq);
	}
	for (int i = 0; i < 3; i++) {
		net_stream_free(&streams[i]);
		(void)close(peers[i]);
	}
	rig_close(&rig);
}

static void a_freed_stream_waits_no_longer(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	marked(&rig, "a", 10);
	net_stream_free(&rig.stream);
	net_loop_release(rig.loop, 10);
	rig_run(&rig, 5);
	rig_close(&rig);
}

/* ---- Bounds ---- */

static void read_all(struct rig *rig, size_t bytes)
{
	static const char expected[] = "0123456789abcdef";
	char text[4096];
	size_t got = 0;

	for (int turn = 0; got < bytes && turn < 1000; turn++) {
		ssize_t some;

		while ((some = recv(rig->peer, text, sizeof(text), MSG_DONTWAIT)) > 0) {
			for (ssize_t i = 0; i < some; i++)
				assert_int_equal(text[i], expected[(got + (size_t)i) % 16]);
			got += (size_t)some;
		}
		rig_run(rig, 1);
	}
	assert_int_equal(got, bytes);
}

static void shrink_kernel_buffer(struct rig *rig)
{
	int bytes = 4096;

	assert_int_equal(setsockopt(net_stream_fd(rig->stream), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

static void a_slow_peer_fills_the_queue_and_drains_it(void **state)
{
	struct rig rig;
	size_t written = 0;

	(void)state;
	rig_open(&rig, NULL);
	shrink_kernel_buffer(&rig);
	while (!net_stream_is_full(rig.stream)) {
		net_stream_write(rig.stream, SLICE("0123456789abcdef"));
		written += 16;
	}
	rig_run(&rig, 5);
	assert_int_equal(rig.drained, 0);
	assert_true(net_stream_queued(rig.stream) > 0);
	read_all(&rig, written);
	assert_int_equal(rig.drained, 1);
	assert_int_equal(net_stream_queued(rig.stream), 0);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void a_long_stream_passes_through_a_small_queue(void **state)
{
	struct rig rig;
	const struct net_stream_limits limits = {4096, 8192, 0, 0};
	char text[1024];
	size_t written = 0, got = 0;

	(void)state;
	rig_open(&rig, &limits);
	shrink_kernel_buffer(&rig);
	for (int turn = 0; turn < 3000 && written < 200000; turn++) {
		while (!net_stream_is_full(rig.stream)) {
			net_stream_write(rig.stream, SLICE("0123456789abcdef"));
			written += 16;
		}
		net_stream_flush(rig.stream);
		for (ssize_t some; (some = recv(rig.peer, text, sizeof(text), MSG_DONTWAIT)) > 0;) {
			for (ssize_t i = 0; i < some; i++)
				assert_int_equal(text[i], "0123456789abcdef"[(got + (size_t)i) % 16]);
			got += (size_t)some;
		}
		rig_run(&rig, 0);
	}
	assert_true(written >= 200000);
	assert_true(written - got < 50000);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void writing_far_beyond_the_limit_closes(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	shrink_kernel_buffer(&rig);
	for (int i = 0; i < 9000; i++)
		net_stream_write(rig.stream, SLICE("0123456789abcdef"));
	rig_run(&rig, 5);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, -ENOBUFS);
	rig_close(&rig);
}

static void a_peer_that_takes_nothing_is_closed(void **state)
{
	struct rig rig;
	const struct net_stream_limits limits = {4096, 65536, 0, 150};

	(void)state;
	rig_open(&rig, &limits);
	shrink_kernel_buffer(&rig);
	while (!net_stream_is_full(rig.stream))
		net_stream_write(rig.stream, SLICE("0123456789abcdef"));
	rig_run(&rig, 50);
	assert_int_equal(rig.closed, 0);
	rig_run(&rig, 300);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, -ETIMEDOUT);
	rig_close(&rig);
}

static void waiting_for_a_mark_is_not_the_peers_fault(void **state)
{
	struct rig rig;
	const struct net_stream_limits limits = {4096, 65536, 100, 50};

	(void)state;
	rig_open(&rig, &limits);
	marked(&rig, "a", 10);
	rig_run(&rig, 400);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marked_bytes_wait_in_order),
		cmocka_unit_test(a_mark_that_is_reached_already_holds_nothing),
		cmocka_unit_test(a_lower_mark_behind_a_higher_one_leaves_with_it),
		cmocka_unit_test(a_second_mark_at_the_same_place_counts),
		cmocka_unit_test(more_marks_than_are_kept_wait_longer_never_shorter),
		cmocka_unit_test(each_stream_waits_for_its_own_mark),
		cmocka_unit_test(a_freed_stream_waits_no_longer),
		cmocka_unit_test(a_slow_peer_fills_the_queue_and_drains_it),
		cmocka_unit_test(a_long_stream_passes_through_a_small_queue),
		cmocka_unit_test(writing_far_beyond_the_limit_closes),
		cmocka_unit_test(a_peer_that_takes_nothing_is_closed),
		cmocka_unit_test(waiting_for_a_mark_is_not_the_peers_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
