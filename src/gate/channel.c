#include "gate/channel.h"

#include <poll.h>
#include <unistd.h>

enum {
	QUEUE_BYTES_MAX = 16 << 20, /* as much as all open exchanges could have waiting, roughly */
	MESSAGES_PER_TURN = 64,     /* then others on this loop get their say */
};

struct waiting {
	struct waiting *next;
	int fd;
	size_t len;
	char bytes[];
};

struct gate_channel {
	int fd;
	struct net_watch *watch;
	struct net_timer *end; /* carries closed() out of whatever call noticed the end */
	const struct gate_channel_events *events;
	void *owner;
	struct waiting *first, **last;
	size_t queued_bytes;
	struct buffer in;
	int error;
	bool to_core;
	bool receiving; /* inside message(): freeing waits */
	bool freed;
};

static void tell_closed(void *owner)
{
	struct gate_channel *channel = owner;

	channel->events->closed(channel->owner, channel->error);
}

static void drop_queue(struct gate_channel *channel)
{
	while (channel->first) {
		struct waiting *waiting = channel->first;

		channel->first = waiting->next;
		if (waiting->fd >= 0)
			(void)close(waiting->fd);
		free(waiting);
	}
	channel->last = &channel->first;
	channel->queued_bytes = 0;
}

void gate_channel_break(struct gate_channel *channel, int error)
{
	if (channel->error)
		return;
	channel->error = error;
	drop_queue(channel);
	CHECK(net_watch_for(channel->watch, 0) == 0);
	net_timer_start(channel->end, 0);
}

/* ---- Sending ---- */

static void watch(struct gate_channel *channel)
{
	int events = POLLIN | (channel->first ? POLLOUT : 0);

	if (net_watch_for(channel->watch, events) != 0)
		gate_channel_break(channel, -EPIPE);
}

static void enqueue(struct gate_channel *channel, struct slice bytes, int fd)
{
	struct waiting *waiting = NULL;
	bool was_empty = !channel->first;

	if (channel->queued_bytes + bytes.len <= QUEUE_BYTES_MAX)
		waiting = malloc(sizeof(*waiting) + bytes.len);
	if (!waiting) {
		if (fd >= 0)
			(void)close(fd);
		gate_channel_break(channel, -ENOBUFS);
		return;
	}
	waiting->next = NULL;
	waiting->fd = fd;
	waiting->len = bytes.len;
	memcpy(waiting->bytes, bytes.at, bytes.len);
	*channel->last = waiting;
	channel->last = &waiting->next;
	channel->queued_bytes += bytes.len;
	if (was_empty)
		watch(channel);
}

/* 0: taken, and the descriptor closed here; -EAGAIN; or the channel is broken. */
static int try_send(struct gate_channel *channel, struct slice bytes, int fd)
{
	int error = net_message_send(channel->fd, bytes, &fd, fd >= 0);

	if (error == -EAGAIN)
		return error;
	if (fd >= 0)
		(void)close(fd);
	if (error)
		gate_channel_break(channel, error);
	return error;
}

void gate_channel_send(struct gate_channel *channel, const struct gate_message *message, int fd)
{
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);

	gate_message_encode(message, &bytes);
	if (buffer_error(&bytes))
		gate_channel_break(channel, buffer_error(&bytes));
	if (channel->error) {
		if (fd >= 0)
			(void)close(fd);
	} else if (channel->first || try_send(channel, buffer_slice(&bytes), fd) == -EAGAIN) {
		enqueue(channel, buffer_slice(&bytes), fd);
	}
	buffer_free(&bytes);
}

static void send_waiting(struct gate_channel *channel)
{
	while (channel->first) {
		struct waiting *waiting = channel->first;
		int fd = waiting->fd;
		int error;

		waiting->fd = -1; /* closed by try_send(), unless it is to be tried again */
		error = try_send(channel, slice_make(waiting->bytes, waiting->len), fd);
		if (error == -EAGAIN)
			waiting->fd = fd;
		if (error) /* other errors have emptied the queue */
			return;
		channel->first = waiting->next;
		if (!channel->first)
			channel->last = &channel->first;
		channel->queued_bytes -= waiting->len;
		free(waiting);
	}
	watch(channel);
}

/* ---- Receiving ---- */

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

static int receive_one(struct gate_channel *channel)
{
	struct gate_message message;
	int fds[NET_DESCRIPTORS_MAX];
	size_t count = 0;
	int error = net_message_receive(channel->fd, &channel->in, fds, &count);
	bool lost = error == -EMFILE;

	if (error && !lost)
		return error;
	error = gate_message_decode(buffer_slice(&channel->in), channel->to_core, &message);
	if (error || count > 1) {
		close_all(fds, count);
		return -EBADMSG;
	}
	channel->events->message(channel->owner, &message, lost ? GATE_FD_LOST : count ? fds[0] : -1);
	return 0;
}

static void destroy(struct gate_channel *channel)
{
	drop_queue(channel);
	net_watch_free(&channel->watch);
	net_timer_free(&channel->end);
	buffer_free(&channel->in);
	if (channel->fd >= 0)
		(void)close(channel->fd);
	free(channel);
}

static void receive_some(struct gate_channel *channel)
{
	int error = 0;

	channel->receiving = true;
	for (int i = 0; i < MESSAGES_PER_TURN && !error && !channel->error && !channel->freed; i++)
		error = receive_one(channel);
	channel->receiving = false;
	if (channel->freed)
		destroy(channel);
	else if (error && error != -EAGAIN)
		gate_channel_break(channel, error);
}

static void on_ready(void *owner, int events)
{
	struct gate_channel *channel = owner;

	if (channel->error)
		return;
	if ((events & POLLOUT) && channel->first)
		send_waiting(channel);
	if ((events & (POLLIN | POLLHUP)) && !channel->error)
		receive_some(channel);
}

/* ---- Life ---- */

int gate_channel_new(struct net_loop *loop, int fd, bool to_core, const struct gate_channel_events *events, void *owner,
	struct gate_channel **ret_channel)
{
	struct gate_channel *channel = calloc(1, sizeof(*channel));
	int error;

	if (!channel)
		return -ENOMEM;
	*channel = (struct gate_channel){.fd = -1,
		.events = events,
		.owner = owner,
		.in = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX),
		.to_core = to_core};
	channel->last = &channel->first;
	error = net_timer_new(loop, tell_closed, channel, &channel->end);
	if (!error)
		error = net_watch_new(loop, fd, on_ready, channel, &channel->watch);
	if (!error)
		error = net_watch_for(channel->watch, POLLIN);
	if (error) {
		destroy(channel);
		return error;
	}
	channel->fd = fd;
	*ret_channel = channel;
	return 0;
}

void gate_channel_free(struct gate_channel **channel_at)
{
	struct gate_channel *channel = *channel_at;

	if (!channel)
		return;
	*channel_at = NULL;
	channel->freed = true;
	if (!channel->receiving)
		destroy(channel);
}
