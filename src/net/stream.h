/* Inside net: a stream, for stream.c (input and life), stream_output.c (output and marks), loop.c and wheel.c. */
#ifndef PENFOLD_NET_STREAM_H
#define PENFOLD_NET_STREAM_H

#include "net/loop.h"

enum { STREAM_MARKS_MAX = 4 };

struct stream_mark {
	uint64_t offset; /* counted from the first byte ever written */
	uint64_t seq;
};

struct net_stream {
	uv_poll_t poll; /* first: libuv hands it back */
	struct net_loop *loop;
	const struct net_stream_events *events;
	void *owner;
	struct net_stream_limits limits;
	int fd;
	int error;         /* for closed() */
	struct buffer in;  /* read but not taken */
	struct buffer out; /* from `out_at` on: written but not sent */
	size_t out_at;
	uint64_t sent;    /* bytes that left */
	uint64_t allowed; /* offset up to which reached marks let bytes leave, while a mark waits */
	struct stream_mark marks[STREAM_MARKS_MAX];
	int64_t active_ms;   /* since when the peer is silent */
	int64_t progress_ms; /* since when the peer takes nothing */
	TAILQ_ENTRY(net_stream) due_link;
	TAILQ_ENTRY(net_stream) waiting_link;
	LIST_ENTRY(net_stream) wheel_link;
	uint64_t wheel_tick; /* 0: not in the wheel */
	uint64_t due_round;
	uint8_t mark_count;
	uint8_t polled; /* what libuv watches for */
	bool is_due : 1;
	bool is_waiting : 1;
	bool again : 1;
	bool paused : 1;
	bool blocked : 1; /* the kernel's buffer is full */
	bool waited : 1;  /* it was, since the queue was last empty */
	bool was_full : 1;
	bool at_end : 1;    /* the peer will send no more */
	bool finishing : 1; /* the owner wants no more */
	bool ended : 1;     /* no more I/O; closed() is due or was called */
	bool told : 1;      /* closed() was called */
	bool freed : 1;
};

/* stream.c */
void stream_end(struct net_stream *stream, int error);
void stream_update_poll(struct net_stream *stream, bool stop_reading);
void stream_arm_timeouts(struct net_stream *stream);
int64_t stream_now(const struct net_stream *stream);

/* stream_output.c */
void stream_send(struct net_stream *stream);
void stream_drop_output(struct net_stream *stream);
void stream_wait_for_mark(struct net_stream *stream); /* puts it where its first mark belongs, or takes it out */
void stream_release_waiting(struct net_loop *loop);

#endif
