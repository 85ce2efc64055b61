#include "rig.h"

#include <unistd.h>

static size_t on_input(void *owner, struct slice bytes)
{
	struct rig *rig = owner;
	size_t taken = rig->take ? rig->take(rig, bytes) : bytes.len;

	rig->inputs++;
	buffer_put(&rig->seen, slice_first(bytes, taken));
	return taken;
}

static void on_drained(void *owner)
{
	((struct rig *)owner)->drained++;
}

static void on_closed(void *owner, int error)
{
	struct rig *rig = owner;

	rig->closed++;
	rig->error = error;
}

const struct net_stream_events rig_events = {on_input, on_drained, on_closed};

static void stop_loop(void *owner)
{
	net_loop_stop(((struct rig *)owner)->loop);
}

void rig_open(struct rig *rig, const struct net_stream_limits *limits)
{
	static const struct net_stream_limits usual = {4096, 65536, 0, 0};
	int fds[2];

	*rig = (struct rig){.seen = BUFFER_INIT(1 << 20), .error = 1};
	assert_int_equal(net_loop_new(&rig->loop), 0);
	assert_int_equal(net_timer_new(rig->loop, stop_loop, rig, &rig->timer), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(
		net_stream_new(rig->loop, fds[0], &rig_events, limits ? limits : &usual, rig, &rig->stream), 0);
	rig->peer = fds[1];
}

void rig_close(struct rig *rig)
{
	net_stream_free(&rig->stream);
	net_timer_free(&rig->timer);
	net_loop_free(&rig->loop);
	buffer_free(&rig->seen);
	if (rig->peer >= 0)
		(void)close(rig->peer);
}

void rig_run(struct rig *rig, uint64_t ms)
{
	net_timer_start(rig->timer, ms);
	net_loop_run(rig->loop);
}

void rig_say(struct rig *rig, const char *text)
{
	assert_int_equal(write(rig->peer, text, strlen(text)), strlen(text));
}

const char *rig_heard(struct rig *rig, char *text, size_t room)
{
	ssize_t got = recv(rig->peer, text, room - 1, MSG_DONTWAIT);

	text[got > 0 ? got : 0] = '\0';
	return text;
}
