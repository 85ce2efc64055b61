#include <fcntl.h>
#include <unistd.h>

#include "rig.h"

static const struct net_stream_limits timed = {4096, 65536, 100, 0};

static size_t take_line(struct rig *rig, struct slice bytes)
{
	size_t end = slice_find_byte(bytes, '\n');

	(void)rig;
	return end == SIZE_MAX ? 0 : end + 1;
}

static size_t take_nothing(struct rig *rig, struct slice bytes)
{
	(void)rig;
	(void)bytes;
	return 0;
}

static size_t take_line_and_pause(struct rig *rig, struct slice bytes)
{
	net_stream_pause(rig->stream);
	return take_line(rig, bytes);
}

static size_t free_the_stream(struct rig *rig, struct slice bytes)
{
	net_stream_free(&rig->stream);
	return bytes.at[0] == 'x'; /* the bytes can still be read */
}

static void assert_seen(struct rig *rig, const char *text)
{
	assert_string_equal(buffer_text(&rig->seen), text);
}

static void input_is_shown_and_output_leaves_at_the_end_of_the_turn(void **state)
{
	struct rig rig;
	char text[100];

	(void)state;
	rig_open(&rig, NULL);
	rig_say(&rig, "hello");
	net_stream_write(rig.stream, SLICE("one "));
	buffer_put_text(net_stream_out(rig.stream), "two");
	assert_string_equal(rig_heard(&rig, text, sizeof(text)), "");
	assert_int_equal(net_stream_queued(rig.stream), 7);
	rig_run(&rig, 10);
	assert_string_equal(rig_heard(&rig, text, sizeof(text)), "one two");
	assert_seen(&rig, "hello");
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void flush_sends_at_once(void **state)
{
	struct rig rig;
	char text[100];

	(void)state;
	rig_open(&rig, NULL);
	net_stream_write(rig.stream, SLICE("now"));
	net_stream_flush(rig.stream);
	assert_string_equal(rig_heard(&rig, text, sizeof(text)), "now");
	rig_close(&rig);
}

static void what_is_not_taken_is_shown_again_with_more(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_line;
	rig_say(&rig, "a\nb\nc");
	rig_run(&rig, 10);
	assert_seen(&rig, "a\nb\n");
	rig_say(&rig, "d\n");
	rig_run(&rig, 10);
	assert_seen(&rig, "a\nb\ncd\n");
	rig_close(&rig);
}

static void again_offers_the_rest(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_nothing;
	rig_say(&rig, "later\n");
	rig_run(&rig, 10);
	assert_seen(&rig, "");
	rig.take = take_line;
	net_stream_again(rig.stream);
	rig_run(&rig, 10);
	assert_seen(&rig, "later\n");
	rig_close(&rig);
}

static void preloaded_bytes_come_before_the_peers(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_line;
	assert_int_equal(net_stream_preload(rig.stream, SLICE("one\ntw")), 0);
	rig_say(&rig, "o\nthree\nfo");
	rig_run(&rig, 10);
	assert_seen(&rig, "one\ntwo\nthree\n");
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void a_full_rest_that_nobody_takes_closes(void **state)
{
	struct rig rig;
	char long_line[5001];

	(void)state;
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	rig_open(&rig, NULL);
	rig.take = take_line;
	rig_say(&rig, long_line);
	rig_run(&rig, 20);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, -ENOBUFS);
	rig_close(&rig);
}

static void a_raised_limit_lets_more_in(void **state)
{
	struct rig rig;
	char long_line[5002];

	(void)state;
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 2] = '\n';
	long_line[sizeof(long_line) - 1] = '\0';
	rig_open(&rig, NULL);
	rig.take = take_line;
	net_stream_set_input_max(rig.stream, 8192);
	rig_say(&rig, long_line);
	rig_run(&rig, 20);
	assert_int_equal(rig.closed, 0);
	assert_int_equal(rig.seen.len, 5001);
	rig_close(&rig);
}

static void pause_holds_input_and_resume_brings_it(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_line_and_pause;
	rig_say(&rig, "a\nb\n");
	rig_run(&rig, 10);
	assert_seen(&rig, "a\n");
	rig_say(&rig, "c\n");
	rig_run(&rig, 10);
	assert_seen(&rig, "a\n");
	net_stream_resume(rig.stream);
	rig_run(&rig, 10);
	assert_seen(&rig, "a\nb\n");
	rig.take = NULL;
	net_stream_resume(rig.stream);
	rig_run(&rig, 10);
	assert_seen(&rig, "a\nb\nc\n");
	rig_close(&rig);
}

static void the_end_waits_for_a_pause(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_line_and_pause;
	rig_say(&rig, "a\nb\n");
	assert_int_equal(shutdown(rig.peer, SHUT_WR), 0);
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 0);
	rig.take = NULL;
	net_stream_resume(rig.stream);
	rig_run(&rig, 10);
	assert_seen(&rig, "a\nb\n");
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, 0);
	rig_close(&rig);
}

static size_t echo(struct rig *rig, struct slice bytes)
{
	net_stream_write(rig->stream, bytes);
	net_stream_mark(rig->stream, 7);
	return bytes.len;
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
	struct rig rig;
	char text[100];

	(void)state;
	rig_open(&rig, NULL);
	rig.take = echo;
	rig_say(&rig, "ping");
	assert_int_equal(shutdown(rig.peer, SHUT_WR), 0);
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 0);
	net_loop_release(rig.loop, 7);
	rig_run(&rig, 10);
	assert_string_equal(rig_heard(&rig, text, sizeof(text)), "ping");
	assert_int_equal(rig.closed, 1);
	rig_close(&rig);
}

static void a_peer_that_goes_away_closes(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	(void)close(rig.peer);
	rig.peer = -1;
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, 0);
	net_stream_write(rig.stream, SLICE("into the void"));
	net_stream_mark(rig.stream, 3);
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(net_stream_queued(rig.stream), 0);
	rig_close(&rig);
}

static void writing_to_a_gone_peer_closes_with_an_error(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	net_stream_pause(rig.stream);
	(void)close(rig.peer);
	rig.peer = -1;
	net_stream_write(rig.stream, SLICE("hello?"));
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, -EPIPE);
	rig_close(&rig);
}

static void a_stream_may_be_freed_while_it_shows_input(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_nothing;
	rig_say(&rig, "x");
	rig_run(&rig, 5);
	rig.take = free_the_stream;
	rig_say(&rig, "y");
	rig_run(&rig, 10);
	assert_null(rig.stream);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void finish_lets_the_queue_leave(void **state)
{
	struct rig rig;
	char text[100];

	(void)state;
	rig_open(&rig, NULL);
	net_stream_write(rig.stream, SLICE("* BYE\r\n"));
	net_stream_mark(rig.stream, 9);
	net_stream_finish(rig.stream);
	rig_say(&rig, "not read");
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 0);
	net_loop_release(rig.loop, 9);
	rig_run(&rig, 10);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, 0);
	assert_seen(&rig, "");
	net_stream_free(&rig.stream);
	assert_string_equal(rig_heard(&rig, text, sizeof(text)), "* BYE\r\n");
	assert_int_equal(recv(rig.peer, text, sizeof(text), 0), 0);
	rig_close(&rig);
}

static void detach_gives_the_descriptor_and_the_rest(void **state)
{
	struct rig rig;
	struct buffer rest = BUFFER_INIT(100);
	char text[100];
	int fd = -1;

	(void)state;
	rig_open(&rig, NULL);
	rig.take = take_line;
	rig_say(&rig, "login\nrest");
	rig_run(&rig, 10);
	net_stream_write(rig.stream, SLICE("busy"));
	assert_int_equal(net_stream_detach(&rig.stream, &fd, &rest), -EBUSY);
	net_stream_flush(rig.stream);
	assert_int_equal(net_stream_detach(&rig.stream, &fd, &rest), 0);
	assert_null(rig.stream);
	assert_string_equal(buffer_text(&rest), "rest");
	assert_int_equal(write(fd, "!", 1), 1);
	assert_string_equal(rig_heard(&rig, text, sizeof(text)), "busy!");
	rig_run(&rig, 10); /* the loop has forgotten it */
	assert_int_equal(fcntl(fd, F_GETFD) >= 0, 1);
	(void)close(fd);
	buffer_free(&rest);
	rig_close(&rig);
}

static void an_idle_peer_is_closed(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &timed);
	rig_run(&rig, 60);
	rig_say(&rig, "x");
	rig_run(&rig, 70);
	assert_int_equal(rig.closed, 0);
	rig_run(&rig, 300);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.error, -ETIMEDOUT);
	rig_close(&rig);
}

static void a_paused_stream_is_not_idle(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &timed);
	net_stream_pause(rig.stream);
	rig_run(&rig, 350);
	assert_int_equal(rig.closed, 0);
	net_stream_resume(rig.stream);
	net_stream_set_idle_ms(rig.stream, 50);
	rig_run(&rig, 300);
	assert_int_equal(rig.closed, 1);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_shown_and_output_leaves_at_the_end_of_the_turn),
		cmocka_unit_test(flush_sends_at_once),
		cmocka_unit_test(what_is_not_taken_is_shown_again_with_more),
		cmocka_unit_test(again_offers_the_rest),
		cmocka_unit_test(preloaded_bytes_come_before_the_peers),
		cmocka_unit_test(a_full_rest_that_nobody_takes_closes),
		cmocka_unit_test(a_raised_limit_lets_more_in),
		cmocka_unit_test(pause_holds_input_and_resume_brings_it),
		cmocka_unit_test(the_end_waits_for_a_pause),
		cmocka_unit_test(a_half_closed_peer_still_gets_its_answer),
		cmocka_unit_test(a_peer_that_goes_away_closes),
		cmocka_unit_test(writing_to_a_gone_peer_closes_with_an_error),
		cmocka_unit_test(a_stream_may_be_freed_while_it_shows_input),
		cmocka_unit_test(finish_lets_the_queue_leave),
		cmocka_unit_test(detach_gives_the_descriptor_and_the_rest),
		cmocka_unit_test(an_idle_peer_is_closed),
		cmocka_unit_test(a_paused_stream_is_not_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
