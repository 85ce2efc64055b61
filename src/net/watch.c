#include <poll.h>

#include "net/loop.h"

struct net_watch {
	uv_poll_t uv; /* first: libuv hands it back */
	void (*ready)(void *owner, int events);
	void *owner;
};

static int to_poll(int events)
{
	return (events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0) |
	       (events & UV_DISCONNECT ? POLLHUP : 0);
}

static void on_ready(uv_poll_t *uv, int status, int events)
{
	struct net_watch *watch = (struct net_watch *)uv;

	/* libuv has stopped watching then; the owner finds out by reading. */
	watch->ready(watch->owner, status < 0 ? POLLIN | POLLHUP : to_poll(events));
}

int net_watch_new(struct net_loop *loop, int fd, void (*ready)(void *owner, int events), void *owner,
	struct net_watch **ret_watch)
{
	struct net_watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return -ENOMEM;
	error = uv_poll_init(&loop->uv, &watch->uv, fd);
	if (error) {
		free(watch);
		return error;
	}
	watch->ready = ready;
	watch->owner = owner;
	*ret_watch = watch;
	return 0;
}

int net_watch_for(struct net_watch *watch, int events)
{
	int wanted = (events & POLLIN ? UV_READABLE | UV_DISCONNECT : 0) | (events & POLLOUT ? UV_WRITABLE : 0);

	return uv_poll_start(&watch->uv, wanted, on_ready);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

void net_watch_free(struct net_watch **watch)
{
	if (!*watch)
		return;
	uv_close((uv_handle_t *)&(*watch)->uv, on_closed);
	*watch = NULL;
}
