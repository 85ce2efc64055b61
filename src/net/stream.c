#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

int64_t stream_now(const struct net_stream *stream)
{
	return net_loop_now_ms(stream->loop);
}

static bool has_output(const struct net_stream *stream)
{
	return net_stream_queued(stream) != 0;
}

/* ---- Life ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

int net_stream_new(struct net_loop *loop, int fd, const struct net_stream_events *events,
	const struct net_stream_limits *limits, void *owner, struct net_stream **ret_stream)
{
	struct net_stream *stream = calloc(1, sizeof(*stream));
	int on = 1;
	int error;

	if (!stream)
		return -ENOMEM;
	error = uv_poll_init(&loop->uv, &stream->poll, fd); /* also makes it non-blocking */
	if (error) {
		free(stream);
		return error;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails where it is not TCP */
	stream->loop = loop;
	stream->events = events;
	stream->owner = owner;
	stream->limits = *limits;
	stream->fd = fd;
	stream->in = BUFFER_INIT(limits->input_max);
	stream->out = BUFFER_INIT(limits->output_max * 2);
	stream->active_ms = stream->progress_ms = stream_now(stream);
	stream_update_poll(stream, true);
	stream_arm_timeouts(stream);
	*ret_stream = stream;
	return 0;
}

/* The buffers live until here because a callback that frees its stream may still be looking at them. */
static void on_poll_closed(uv_handle_t *handle)
{
	struct net_stream *stream = (struct net_stream *)handle;

	buffer_free(&stream->in);
	buffer_free(&stream->out);
	free(stream);
}

static void stream_let_go(struct net_stream *stream)
{
	stream->freed = true;
	stream->ended = true;
	loop_forget_due(stream->loop, stream);
	wheel_remove(stream);
	stream->mark_count = 0;
	stream_wait_for_mark(stream);
	uv_close((uv_handle_t *)&stream->poll, on_poll_closed);
}

void net_stream_free(struct net_stream **stream_at)
{
	struct net_stream *stream = *stream_at;

	if (!stream)
		return;
	*stream_at = NULL;
	stream_let_go(stream);
	(void)close(stream->fd);
}

int net_stream_detach(struct net_stream **stream_at, int *ret_fd, struct buffer *rest)
{
	struct net_stream *stream = *stream_at;

	if (has_output(stream) || buffer_error(&stream->out))
		return -EBUSY;
	buffer_put(rest, buffer_slice(&stream->in));
	*ret_fd = stream->fd;
	*stream_at = NULL;
	stream_let_go(stream);
	return 0;
}

int net_stream_fd(const struct net_stream *stream)
{
	return stream->fd;
}

void stream_end(struct net_stream *stream, int error)
{
	if (stream->ended)
		return;
	stream->ended = true;
	stream->error = error;
	stream_drop_output(stream);
	stream_update_poll(stream, true);
	wheel_remove(stream);
	loop_make_due(stream->loop, stream);
}

/* Bytes that came in and nobody will read would make close(2) reset the connection and destroy our last words. */
static void discard_input(struct net_stream *stream)
{
	for (int i = 0; i < 4; i++)
		if (recv(stream->fd, stream->loop->scratch, LOOP_SCRATCH, MSG_DONTWAIT) <= 0)
			break;
}

static void end_when_done(struct net_stream *stream)
{
	if (stream->ended || has_output(stream))
		return;
	if (stream->finishing) {
		(void)shutdown(stream->fd, SHUT_WR);
		discard_input(stream);
		stream_end(stream, 0);
	} else if (stream->at_end && !stream->paused && !stream->again) {
		stream_end(stream, 0);
	}
}

void net_stream_finish(struct net_stream *stream)
{
	if (stream->ended)
		return;
	stream->finishing = true;
	loop_make_due(stream->loop, stream);
}

/* ---- Input ---- */

/* Shows bytes for as long as the owner takes some; returns how many it took. */
static size_t show(struct net_stream *stream, struct slice bytes)
{
	size_t taken = 0;

	while (taken < bytes.len && !stream->ended && !stream->paused && !stream->finishing) {
		size_t some = stream->events->input(stream->owner, slice_from(bytes, taken));

		CHECK(some <= bytes.len - taken);
		taken += some;
		if (some == 0)
			break;
	}
	return taken;
}

static void keep_rest(struct net_stream *stream, struct slice bytes, size_t taken)
{
	struct slice rest = slice_from(bytes, taken);

	if (stream->freed)
		return;
	stream->in.max = MAX(stream->limits.input_max, stream->in.len);
	if (bytes.at == stream->in.at)
		buffer_consume(&stream->in, taken);
	else
		buffer_put(&stream->in, rest);
	if (buffer_error(&stream->in))
		stream_end(stream, buffer_error(&stream->in));
	else if (taken == 0 && rest.len >= stream->limits.input_max && !stream->paused)
		stream_end(stream, -ENOBUFS);
	if (stream->in.len == 0 || stream->ended || stream->finishing)
		buffer_free(&stream->in);
}

static void offer(struct net_stream *stream, struct slice bytes)
{
	keep_rest(stream, bytes, show(stream, bytes));
}

/* Reads into the loop's scratch, or behind what is unread. The error of recv(2) as a negative number. */
static ssize_t receive(struct net_stream *stream, struct slice *ret_bytes)
{
	size_t room = MIN(stream->limits.input_max - stream->in.len, (size_t)LOOP_SCRATCH);
	char *place = stream->loop->scratch;
	ssize_t got;

	if (stream->in.len)
		place = buffer_room(&stream->in, room);
	if (!place)
		return -ENOMEM;
	got = recv(stream->fd, place, room, MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	if (stream->in.len) {
		buffer_added(&stream->in, (size_t)got);
		*ret_bytes = buffer_slice(&stream->in);
	} else {
		*ret_bytes = slice_make(place, (size_t)got);
	}
	return got;
}

static void read_some(struct net_stream *stream)
{
	struct slice bytes = buffer_slice(&stream->in);
	ssize_t got = 1;

	/* Without room (the limit was lowered) the owner must take something first. */
	if (stream->in.len < stream->limits.input_max)
		got = receive(stream, &bytes);
	if (got > 0) {
		stream->active_ms = stream_now(stream);
		offer(stream, bytes);
	} else if (got == 0) {
		stream->at_end = true;
		loop_make_due(stream->loop, stream);
	} else if (got != -EAGAIN && got != -EINTR) {
		stream_end(stream, (int)got);
	}
}

static int socket_error(const struct net_stream *stream)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error == 0)
		error = ECONNRESET;
	return -error;
}

static bool wants_input(const struct net_stream *stream)
{
	return !stream->paused && !stream->finishing && !stream->at_end;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct net_stream *stream = (struct net_stream *)poll;
	bool wanted = wants_input(stream);

	if (status < 0) {
		stream->polled = 0;
		stream_end(stream, socket_error(stream));
		return;
	}
	if (events & UV_WRITABLE) {
		stream->blocked = false;
		loop_make_due(stream->loop, stream);
	}
	if ((events & UV_READABLE) && wanted)
		read_some(stream);
	if (!stream->freed)
		stream_update_poll(stream, ((events & UV_READABLE) && !wanted) || stream->at_end);
}

/*
 * Changing what is polled costs system calls, so reading is only switched off (`stop_reading`) when the descriptor has become readable and
 * nobody wanted it: a pause that is over before that costs nothing, such as that of an LMTP client who waits for his answer.
 */
void stream_update_poll(struct net_stream *stream, bool stop_reading)
{
	int wanted = 0;

	if (stream->freed)
		return;
	if (!stream->ended) {
		if (wants_input(stream))
			wanted |= UV_READABLE;
		else if (!stop_reading)
			wanted |= stream->polled & UV_READABLE;
		if (stream->blocked)
			wanted |= UV_WRITABLE;
	}
	if (wanted == stream->polled)
		return;
	stream->polled = (uint8_t)wanted;
	CHECK(uv_poll_start(&stream->poll, wanted, on_poll) == 0); /* with no events it stops */
}

void net_stream_pause(struct net_stream *stream)
{
	stream->paused = true;
}

void net_stream_resume(struct net_stream *stream)
{
	if (!stream->paused)
		return;
	stream->paused = false;
	stream->active_ms = stream_now(stream);
	stream_update_poll(stream, false);
	net_stream_again(stream);
}

void net_stream_again(struct net_stream *stream)
{
	stream->again = true;
	loop_make_due(stream->loop, stream);
}

int net_stream_preload(struct net_stream *stream, struct slice bytes)
{
	if (bytes.len == 0)
		return 0;
	stream->in.max = MAX(stream->limits.input_max, bytes.len);
	buffer_put(&stream->in, bytes);
	if (buffer_error(&stream->in))
		return buffer_error(&stream->in);
	net_stream_again(stream);
	return 0;
}

void net_stream_set_input_max(struct net_stream *stream, size_t input_max)
{
	stream->limits.input_max = input_max;
	stream->in.max = MAX(input_max, stream->in.len);
}

/* ---- Timeouts ---- */

static bool stalls(const struct net_stream *stream)
{
	return stream->limits.stalled_ms && stream->blocked;
}

void stream_arm_timeouts(struct net_stream *stream)
{
	int64_t deadline = INT64_MAX;

	if (stream->ended)
		return;
	if (stream->limits.idle_ms)
		deadline = stream->active_ms + (int64_t)stream->limits.idle_ms;
	if (stalls(stream))
		deadline = MIN(deadline, stream->progress_ms + (int64_t)stream->limits.stalled_ms);
	if (deadline != INT64_MAX)
		wheel_place(stream->loop, stream, deadline);
}

void stream_check_timeouts(struct net_stream *stream)
{
	int64_t now = stream_now(stream);

	if (stalls(stream) && now - stream->progress_ms >= (int64_t)stream->limits.stalled_ms) {
		stream_end(stream, -ETIMEDOUT);
		return;
	}
	/* A peer that is being answered, or whose commands we do not read, is not idle. */
	if (stream->paused || has_output(stream))
		stream->active_ms = now;
	if (stream->limits.idle_ms && now - stream->active_ms >= (int64_t)stream->limits.idle_ms)
		stream_end(stream, -ETIMEDOUT);
	else
		stream_arm_timeouts(stream);
}

void net_stream_set_idle_ms(struct net_stream *stream, uint64_t idle_ms)
{
	stream->limits.idle_ms = idle_ms;
	stream_arm_timeouts(stream);
}

/* ---- The end of a turn ---- */

static void tell_closed(struct net_stream *stream)
{
	stream_drop_output(stream); /* what was written since it ended */
	if (stream->told)
		return;
	stream->told = true;
	stream->events->closed(stream->owner, stream->error);
}

static void tell_drained(struct net_stream *stream)
{
	if (!stream->was_full || net_stream_queued(stream) > stream->limits.output_max / 4)
		return;
	stream->was_full = false;
	if (stream->events->drained)
		stream->events->drained(stream->owner);
}

void stream_run_due(struct net_stream *stream)
{
	stream_send(stream);
	if (!stream->ended)
		tell_drained(stream);
	if (stream->again && !stream->ended && !stream->paused) {
		stream->again = false;
		if (stream->in.len)
			offer(stream, buffer_slice(&stream->in));
	}
	if (stream->freed)
		return;
	end_when_done(stream);
	if (stream->ended) {
		tell_closed(stream);
		return;
	}
	stream_update_poll(stream, false);
	stream_arm_timeouts(stream);
}
