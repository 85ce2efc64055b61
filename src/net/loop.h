/*
 * Inside net: what a loop holds, for the files of this module only. Everything here belongs to the loop's thread except
 * the atomics.
 */
#ifndef PENFOLD_NET_LOOP_H
#define PENFOLD_NET_LOOP_H

#include <stdatomic.h>
#include <sys/queue.h>
#include <uv.h>

/* <sys/param.h>, which <uv.h> brings, has its own; ours are the same. */
#undef MIN
#undef MAX

#include "net/net.h"

enum {
	LOOP_SCRATCH = 65536, /* bytes read at once; shared by all streams of the loop */
	WHEEL_SLOTS = 1024,
	WHEEL_TICK_MS = 64,
};

TAILQ_HEAD(stream_queue, net_stream);
LIST_HEAD(stream_slot, net_stream);

/*
 * Timeouts of streams: coarse, in no order within a tick, and lazy: activity only changes a time stored in the stream;
 * the slot where it lies is corrected when its turn comes. So a byte received costs nothing here.
 */
struct net_wheel {
	struct stream_slot slots[WHEEL_SLOTS];
	uint64_t reached; /* ticks up to this one have been looked at */
	uint64_t armed;   /* the tick `tick_timer` waits for; 0: stopped */
	uv_timer_t timer;
};

struct net_loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_prepare_t end_of_turn;
	uv_idle_t spin;                    /* keeps the loop from sleeping while streams are due */
	_Atomic(struct net_task *) posted; /* newest first */
	_Atomic uint64_t released;         /* durable up to here */
	_Atomic uint64_t awaited;          /* lowest mark that a stream waits for; 0: none */
	struct stream_queue due;           /* streams with something to do at the end of the turn */
	uint64_t due_round;
	struct stream_queue waiting; /* streams whose output waits for a mark, lowest mark first */
	struct net_wheel wheel;
	bool running;
	char scratch[LOOP_SCRATCH];
};

/* stream.c and stream_output.c, called by the loop */
void stream_run_due(struct net_stream *stream);
void stream_check_timeouts(struct net_stream *stream);

/* wheel.c: a stream is in the wheel at most once; the tick where it lies is never later than its deadline's. */
MUST_CHECK int wheel_init(struct net_loop *loop);
void wheel_place(struct net_loop *loop, struct net_stream *stream, int64_t deadline_ms);
void wheel_remove(struct net_stream *stream);

/* loop.c */
void loop_make_due(struct net_loop *loop, struct net_stream *stream);
void loop_forget_due(struct net_loop *loop, struct net_stream *stream);

#endif
