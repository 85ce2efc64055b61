#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/message.h"
#include "gate/peer.h"

/* A peer, and a gate that the test plays on a bare socket. */
struct rig {
	struct net_loop *loop;
	struct net_timer *timer;
	struct gate_peer *peer;
	int gate;
	unsigned starts, steps, cancels, handovers, closed;
	uint64_t id;
	struct buffer text; /* of the last callback */
	int fd;
	const char *why;
};

static void on_start(void *owner, const struct gate_auth_start *start)
{
	struct rig *rig = owner;

	rig->starts++;
	rig->id = start->id;
	buffer_reset(&rig->text);
	buffer_printf(&rig->text, "%.*s from %.*s", SLICE_ARG(start->mechanism), SLICE_ARG(start->peer));
}

static void on_step(void *owner, uint64_t id, struct slice response)
{
	struct rig *rig = owner;

	rig->steps++;
	rig->id = id;
	buffer_reset(&rig->text);
	buffer_put(&rig->text, response);
}

static void on_cancel(void *owner, uint64_t id)
{
	struct rig *rig = owner;

	rig->cancels++;
	rig->id = id;
}

static void on_handover(void *owner, const struct gate_handover *handover)
{
	struct rig *rig = owner;

	rig->handovers++;
	rig->id = handover->id;
	rig->fd = handover->fd;
	buffer_reset(&rig->text);
	buffer_printf(&rig->text, "%.*s %.*s", SLICE_ARG(handover->tag), SLICE_ARG(handover->pipelined));
}

static void on_closed(void *owner, const char *why)
{
	struct rig *rig = owner;

	rig->closed++;
	rig->why = why;
}

static void stop(void *owner)
{
	net_loop_stop(((struct rig *)owner)->loop);
}

static void run(struct rig *rig)
{
	net_timer_start(rig->timer, 5);
	net_loop_run(rig->loop);
}

/* What core said last, as text. Gives the descriptor that came along, or -1. */
static int hear(struct rig *rig, struct buffer *out)
{
	static const char *const names[] = {"hello", "challenge", "ok", "failed"};
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	struct gate_message message;
	int fds[NET_DESCRIPTORS_MAX] = {-1};
	size_t count = 0;

	run(rig);
	buffer_reset(out);
	if (net_message_receive(rig->gate, &bytes, fds, &count) == 0) {
		assert_int_equal(gate_message_decode(buffer_slice(&bytes), false, &message), 0);
		buffer_printf(out, "%s %u %.*s%.*s", names[message.kind - GATE_HELLO], (unsigned)message.id,
			SLICE_ARG(message.sasl), SLICE_ARG(message.text));
	}
	buffer_free(&bytes);
	return count ? fds[0] : -1;
}

static void assert_hears(struct rig *rig, const char *expected)
{
	struct buffer text = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);

	assert_int_equal(hear(rig, &text), -1);
	assert_string_equal(buffer_text(&text), expected);
	buffer_free(&text);
}

static void rig_open(struct rig *rig)
{
	static const struct gate_peer_events events = {on_start, on_step, on_cancel, on_handover, on_closed};
	const struct gate_mechanisms mechanisms = {SLICE("A"), SLICE("B"), SLICE("C"), SLICE("D")};
	int pair[2];

	*rig = (struct rig){.text = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX), .fd = -1};
	assert_int_equal(net_loop_new(&rig->loop), 0);
	assert_int_equal(net_timer_new(rig->loop, stop, rig, &rig->timer), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(gate_peer_new(rig->loop, pair[0], &mechanisms, &events, rig, &rig->peer), 0);
	rig->gate = pair[1];
	assert_hears(rig, "hello 0 ");
}

static void rig_close(struct rig *rig)
{
	gate_peer_free(&rig->peer);
	net_timer_free(&rig->timer);
	net_loop_free(&rig->loop);
	buffer_free(&rig->text);
	if (rig->gate >= 0)
		(void)close(rig->gate);
	if (rig->fd >= 0)
		(void)close(rig->fd);
}

static void say(struct rig *rig, struct gate_message message, int fd)
{
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);

	gate_message_encode(&message, &bytes);
	assert_int_equal(net_message_send(rig->gate, buffer_slice(&bytes), &fd, fd >= 0), 0);
	buffer_free(&bytes);
	run(rig);
}

static void say_start(struct rig *rig, uint64_t id, unsigned flags)
{
	say(rig,
		(struct gate_message){.kind = GATE_AUTH_START,
			.id = id,
			.flags = flags,
			.mechanism = SLICE("PLAIN"),
			.peer = SLICE("192.0.2.1:1")},
		-1);
}

static void say_handover(struct rig *rig, uint64_t id, int fd)
{
	say(rig,
		(struct gate_message){
			.kind = GATE_HANDOVER, .id = id, .tag = SLICE("a1"), .pipelined = SLICE("a2 NOOP")},
		fd);
}

static void assert_broken(struct rig *rig, const char *why)
{
	run(rig);
	assert_int_equal(rig->closed, 1);
	if (why)
		assert_string_equal(rig->why, why);
	else
		assert_null(rig->why);
}

/* ---- As it should be ---- */

static void a_plain_login_goes_from_start_to_handover(void **state)
{
	struct rig rig;
	int pair[2];
	char byte;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	assert_string_equal(buffer_text(&rig.text), "PLAIN from 192.0.2.1:1");
	gate_peer_challenge(rig.peer, 1, SLICE("more"));
	assert_hears(&rig, "challenge 1 more");
	say(&rig, (struct gate_message){.kind = GATE_AUTH_STEP, .id = 1, .sasl = SLICE("answer")}, -1);
	assert_string_equal(buffer_text(&rig.text), "answer");
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("final")), 0);
	assert_hears(&rig, "ok 1 final");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	say_handover(&rig, 1, pair[1]);
	(void)close(pair[1]);
	assert_int_equal(rig.handovers, 1);
	assert_string_equal(buffer_text(&rig.text), "a1 a2 NOOP");
	assert_int_equal(write(rig.fd, "x", 1), 1);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	(void)close(pair[0]);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void a_tls_login_gets_a_relay(void **state)
{
	struct rig rig;
	struct buffer text = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	int relay;
	char byte;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, GATE_FLAG_TLS | GATE_FLAG_CONFIDENTIAL | GATE_FLAG_INITIAL);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0);
	relay = hear(&rig, &text);
	assert_true(relay >= 0);
	say_handover(&rig, 1, -1);
	assert_int_equal(rig.handovers, 1);
	assert_int_equal(write(rig.fd, "x", 1), 1);
	assert_int_equal(read(relay, &byte, 1), 1);
	(void)close(relay);
	buffer_free(&text);
	rig_close(&rig);
}

/* Core may have no more: who is through but for the descriptor is reported as lost, new ones are refused; neither ends the channel. */
static void descriptors_run_out(void **state)
{
	struct rlimit limit, few;
	struct buffer text = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	struct rig rig;
	int lowest;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0);
	assert_hears(&rig, "ok 1 ");
	lowest = dup(0);
	assert_true(lowest >= 0);
	(void)close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){(rlim_t)lowest, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	say_handover(&rig, 1, rig.gate);
	assert_int_equal(rig.handovers, 1);
	assert_int_equal(rig.fd, -1);
	say_start(&rig, 2, 0);
	assert_int_equal(gate_peer_ok(rig.peer, 2, SLICE("")), -EMFILE);
	assert_int_equal(hear(&rig, &text), -1);
	assert_true(slice_starts(buffer_slice(&text), SLICE("failed 2 ")));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	say_start(&rig, 3, 0);
	assert_int_equal(gate_peer_ok(rig.peer, 3, SLICE("")), 0);
	assert_int_equal(rig.closed, 0);
	buffer_free(&text);
	rig_close(&rig);
}

static void failures_end_an_exchange_and_numbers_go_on(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	gate_peer_failed(rig.peer, 1, GATE_WRONG, SLICE("no"));
	assert_hears(&rig, "failed 1 no");
	gate_peer_failed(rig.peer, 1, GATE_WRONG, SLICE("no"));
	assert_hears(&rig, "");
	say_start(&rig, 5, 0);
	assert_int_equal(rig.starts, 2);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void a_cancel_drops_late_answers(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, GATE_FLAG_TLS | GATE_FLAG_CONFIDENTIAL);
	say(&rig, (struct gate_message){.kind = GATE_AUTH_CANCEL, .id = 1}, -1);
	assert_int_equal(rig.cancels, 1);
	gate_peer_challenge(rig.peer, 1, SLICE("late"));
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("late")), -ENOENT);
	assert_hears(&rig, "");
	say(&rig, (struct gate_message){.kind = GATE_AUTH_CANCEL, .id = 1}, -1); /* may cross an answer */
	assert_int_equal(rig.cancels, 1);
	assert_int_equal(rig.closed, 0);
	rig_close(&rig);
}

static void a_gate_that_ends_just_ends(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	(void)close(rig.gate);
	rig.gate = -1;
	assert_broken(&rig, NULL);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0); /* into the void */
	rig_close(&rig);
}

/* ---- As a hostile gate would have it ---- */

static void a_handover_without_a_login_breaks(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	say_handover(&rig, 1, rig.gate);
	assert_int_equal(rig.handovers, 0);
	assert_broken(&rig, "a hand-over of a login that is not through");
	rig_close(&rig);
}

static void a_second_handover_breaks(void **state)
{
	struct rig rig;

	int pair[2];

	(void)state;
	rig_open(&rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	say_start(&rig, 1, 0);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0);
	say_handover(&rig, 1, pair[0]);
	say_handover(&rig, 1, pair[1]);
	assert_int_equal(rig.handovers, 1);
	assert_broken(&rig, "a hand-over of a login that is not through");
	rig_close(&rig);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void assert_no_client(int fd)
{
	struct rig rig;

	rig_open(&rig);
	say_start(&rig, 1, 0);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0);
	say_handover(&rig, 1, fd);
	assert_int_equal(rig.handovers, 0);
	assert_broken(&rig, "a hand-over with the wrong descriptor");
	rig_close(&rig);
	(void)close(fd);
}

static void a_handover_of_no_client_breaks(void **state)
{
	int pipes[2], pair[2];
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	assert_no_client(listener);
	assert_int_equal(pipe(pipes), 0);
	assert_no_client(pipes[0]);
	assert_no_client(pipes[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_no_client(pair[0]);
	assert_no_client(pair[1]);
}

static void a_handover_with_the_wrong_descriptor_breaks(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0);
	say_handover(&rig, 1, -1);
	assert_broken(&rig, "a hand-over with the wrong descriptor");
	rig_close(&rig);
	rig_open(&rig);
	say_start(&rig, 1, GATE_FLAG_TLS | GATE_FLAG_CONFIDENTIAL);
	assert_int_equal(gate_peer_ok(rig.peer, 1, SLICE("")), 0);
	say_handover(&rig, 1, rig.gate);
	assert_broken(&rig, "a hand-over with the wrong descriptor");
	assert_int_equal(rig.handovers, 0);
	rig_close(&rig);
}

static void a_number_used_twice_breaks(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 3, 0);
	say_start(&rig, 2, 0);
	assert_int_equal(rig.starts, 1);
	assert_broken(&rig, "an exchange's number was used before");
	rig_close(&rig);
}

static void a_step_out_of_turn_breaks(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	say_start(&rig, 1, 0);
	say(&rig, (struct gate_message){.kind = GATE_AUTH_STEP, .id = 1}, -1);
	assert_int_equal(rig.steps, 0);
	assert_broken(&rig, "a step out of turn");
	rig_close(&rig);
}

static void too_many_exchanges_break(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (uint64_t id = 1; id <= GATE_EXCHANGES_MAX + 1; id++) {
		struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
		struct gate_message message = {.kind = GATE_AUTH_START, .id = id};

		gate_message_encode(&message, &bytes);
		while (net_message_send(rig.gate, buffer_slice(&bytes), NULL, 0) == -EAGAIN)
			run(&rig);
		buffer_free(&bytes);
	}
	for (int i = 0; i < 100 && !rig.closed; i++)
		run(&rig);
	assert_int_equal(rig.starts, GATE_EXCHANGES_MAX);
	assert_broken(&rig, "too many exchanges");
	rig_close(&rig);
}

static void other_oddities_break(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	assert_int_equal(net_message_send(rig.gate, SLICE("\xffgarbage"), NULL, 0), 0);
	assert_broken(&rig, "a malformed message");
	rig_close(&rig);
	rig_open(&rig);
	say(&rig, (struct gate_message){.kind = GATE_AUTH_CANCEL, .id = 1}, rig.gate);
	assert_broken(&rig, "a descriptor that nobody asked for");
	rig_close(&rig);
	rig_open(&rig);
	say(&rig, (struct gate_message){.kind = GATE_AUTH_START, .id = 1, .peer = SLICE("192.0.2.1\nforged=log")}, -1);
	assert_broken(&rig, "a text is not printable");
	rig_close(&rig);
	rig_open(&rig);
	say(&rig, (struct gate_message){.kind = GATE_AUTH_CANCEL, .id = 1}, -1);
	assert_broken(&rig, "a cancel before the start");
	rig_close(&rig);
	rig_open(&rig);
	say_start(&rig, 1, GATE_FLAG_TLS);
	assert_broken(&rig, "TLS that is not confidential");
	rig_close(&rig);
}

/* It asks and asks and never reads: core must not collect its answers for ever. */
static void a_gate_that_reads_nothing_breaks(void **state)
{
	static char big[GATE_SASL_MAX];
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (uint64_t id = 1; id <= 3000 && !rig.closed; id++) {
		say_start(&rig, id, 0);
		gate_peer_challenge(rig.peer, id, slice_make(big, sizeof(big)));
	}
	assert_broken(&rig, "it does not take its answers");
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_login_goes_from_start_to_handover),
		cmocka_unit_test(a_tls_login_gets_a_relay),
		cmocka_unit_test(failures_end_an_exchange_and_numbers_go_on),
		cmocka_unit_test(a_cancel_drops_late_answers),
		cmocka_unit_test(a_gate_that_ends_just_ends),
		cmocka_unit_test(a_handover_without_a_login_breaks),
		cmocka_unit_test(a_second_handover_breaks),
		cmocka_unit_test(a_handover_of_no_client_breaks),
		cmocka_unit_test(a_handover_with_the_wrong_descriptor_breaks),
		cmocka_unit_test(descriptors_run_out),
		cmocka_unit_test(a_number_used_twice_breaks),
		cmocka_unit_test(a_step_out_of_turn_breaks),
		cmocka_unit_test(too_many_exchanges_break),
		cmocka_unit_test(other_oddities_break),
		cmocka_unit_test(a_gate_that_reads_nothing_breaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
