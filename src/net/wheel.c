#include "net/stream.h"

static uint64_t tick_of(int64_t ms)
{
	return (uint64_t)ms / WHEEL_TICK_MS;
}

static void on_tick(uv_timer_t *timer);

static void arm(struct net_loop *loop, uint64_t tick)
{
	struct net_wheel *wheel = &loop->wheel;
	uint64_t now = uv_now(&loop->uv);
	uint64_t at = tick * WHEEL_TICK_MS;

	if (wheel->armed && wheel->armed <= tick)
		return;
	wheel->armed = tick;
	CHECK(uv_timer_start(&wheel->timer, on_tick, at > now ? at - now : 0, 0) == 0);
}

static void arm_next(struct net_loop *loop)
{
	struct net_wheel *wheel = &loop->wheel;

	for (uint64_t tick = wheel->reached + 1; tick <= wheel->reached + WHEEL_SLOTS; tick++) {
		if (!LIST_EMPTY(&wheel->slots[tick % WHEEL_SLOTS])) {
			arm(loop, tick);
			return;
		}
	}
}

/* The slot is emptied first: a stream whose time has not come may go back into it, a whole turn of the wheel later. */
static void check_slot(struct stream_slot *slot)
{
	struct stream_slot taken = *slot;
	struct net_stream *stream = LIST_FIRST(slot);

	LIST_INIT(slot);
	if (stream)
		stream->wheel_link.le_prev = &taken.lh_first;
	while ((stream = LIST_FIRST(&taken))) {
		wheel_remove(stream);
		stream_check_timeouts(stream);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct net_loop *loop = timer->data;
	struct net_wheel *wheel = &loop->wheel;
	uint64_t from = wheel->reached + 1;
	uint64_t now = tick_of(net_loop_now_ms(loop));

	wheel->armed = 0;
	/* Set first: whatever is placed meanwhile lies behind the tick being looked at. */
	wheel->reached = MAX(now, wheel->reached);
	if (now >= from + WHEEL_SLOTS)
		from = now - WHEEL_SLOTS + 1;
	for (uint64_t tick = from; tick <= now; tick++)
		check_slot(&wheel->slots[tick % WHEEL_SLOTS]);
	arm_next(loop);
}

int wheel_init(struct net_loop *loop)
{
	struct net_wheel *wheel = &loop->wheel;

	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		LIST_INIT(&wheel->slots[i]);
	wheel->reached = tick_of(net_loop_now_ms(loop));
	wheel->timer.data = loop;
	return uv_timer_init(&loop->uv, &wheel->timer);
}

void wheel_remove(struct net_stream *stream)
{
	if (!stream->wheel_tick)
		return;
	LIST_REMOVE(stream, wheel_link);
	stream->wheel_tick = 0;
}

void wheel_place(struct net_loop *loop, struct net_stream *stream, int64_t deadline_ms)
{
	struct net_wheel *wheel = &loop->wheel;
	uint64_t tick = tick_of(deadline_ms) + 1;

	tick = MAX(tick, wheel->reached + 1);
	tick = MIN(tick, MAX(wheel->reached, tick_of(net_loop_now_ms(loop))) + WHEEL_SLOTS - 1);
	/* An earlier slot is good enough: it is looked at again then. */
	if (stream->wheel_tick && stream->wheel_tick <= tick)
		return;
	wheel_remove(stream);
	stream->wheel_tick = tick;
	LIST_INSERT_HEAD(&wheel->slots[tick % WHEEL_SLOTS], stream, wheel_link);
	arm(loop, tick);
}
