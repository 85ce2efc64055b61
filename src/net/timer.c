#include "net/loop.h"

struct net_timer {
	uv_timer_t uv; /* first: libuv hands it back */
	struct net_loop *loop;
	void (*fire)(void *owner);
	void *owner;
};

int net_timer_new(struct net_loop *loop, void (*fire)(void *owner), void *owner, struct net_timer **ret_timer)
{
	struct net_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return -ENOMEM;
	CHECK(uv_timer_init(&loop->uv, &timer->uv) == 0); /* only links it into the loop */
	timer->loop = loop;
	timer->fire = fire;
	timer->owner = owner;
	*ret_timer = timer;
	return 0;
}

static void on_fire(uv_timer_t *uv)
{
	struct net_timer *timer = (struct net_timer *)uv;

	timer->fire(timer->owner);
}

void net_timer_start(struct net_timer *timer, uint64_t after_ms)
{
	/* Before the loop runs, its clock stands still. */
	if (!timer->loop->running)
		uv_update_time(&timer->loop->uv);
	CHECK(uv_timer_start(&timer->uv, on_fire, after_ms, 0) == 0);
}

void net_timer_stop(struct net_timer *timer)
{
	(void)uv_timer_stop(&timer->uv);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

void net_timer_free(struct net_timer **timer)
{
	if (!*timer)
		return;
	uv_close((uv_handle_t *)&(*timer)->uv, on_closed);
	*timer = NULL;
}
