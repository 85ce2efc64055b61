/*
 * Event loops, timers, streams, listeners.
 *
 * A net_loop runs on one thread; everything made on it is used on that thread only, except net_loop_post() and
 * net_loop_release(), which any thread may call. Streams own their descriptor (TCP or Unix, any SOCK_STREAM).
 *
 * A stream reads when its owner takes bytes and has a bounded output queue that never blocks. Idle streams hold no
 * buffers: input and output memory exists only while there are bytes in it.
 *
 * Barriers. What a session writes may show changes that are not durable yet. After writing, the session calls
 * net_stream_mark(stream, seq): the bytes written so far leave only when net_loop_release() has been told that `seq` is
 * reached. Marks only grow; bytes written before the mark that were under an older mark leave with the older one.
 */
#ifndef PENFOLD_NET_NET_H
#define PENFOLD_NET_NET_H

#include <sys/socket.h>

#include "base/buffer.h"

/* ---- Loops ---- */

struct net_loop;
MUST_CHECK int net_loop_new(struct net_loop **ret_loop);
/*
 * After net_loop_run() came back, everything made on the loop was freed, and no other thread can post or release any more.
 * Runs the tasks that are still posted.
 */
void net_loop_free(struct net_loop **loop);
void net_loop_run(struct net_loop *loop);             /* until net_loop_stop() */
void net_loop_stop(struct net_loop *loop);            /* from the loop's thread or by a post */
int64_t net_loop_now_ms(const struct net_loop *loop); /* monotonic, of this turn of the loop */

/*
 * Runs the task on the loop's thread, in the order of posting from one thread. Intrusive: the caller's struct holds the
 * task and must live until it has run; no allocation, cannot fail. Any thread.
 */
struct net_task {
	void (*run)(struct net_task *task);
	struct net_task *next; /* the loop's */
};
void net_loop_post(struct net_loop *loop, struct net_task *task);

/* Everything marked up to `seq` may leave. Any thread; cheap when called with what the loop already knows. */
void net_loop_release(struct net_loop *loop, uint64_t seq);

/* ---- Timers: one shot; restarting moves it; milliseconds ---- */

struct net_timer;
MUST_CHECK int net_timer_new(
	struct net_loop *loop, void (*fire)(void *owner), void *owner, struct net_timer **ret_timer);
void net_timer_start(struct net_timer *timer, uint64_t after_ms);
void net_timer_stop(struct net_timer *timer);
void net_timer_free(struct net_timer **timer);

/* ---- Watching a descriptor that is no stream (a channel, a signalfd) ---- */

struct net_watch;
/* Calls `ready` with what poll(2) would say (POLLIN, POLLOUT, POLLHUP); does not own the descriptor. */
MUST_CHECK int net_watch_new(struct net_loop *loop, int fd, void (*ready)(void *owner, int events), void *owner,
	struct net_watch **ret_watch);
MUST_CHECK int net_watch_for(struct net_watch *watch, int events); /* POLLIN | POLLOUT; 0 stops */
void net_watch_free(struct net_watch **watch);

/* ---- Streams ---- */

struct net_stream;
struct net_stream_events {
	/*
	 * Bytes came in, or the owner asked again with net_stream_again(). Returns how many of `bytes` it is done with; the
	 * rest is shown again at once for as long as some is taken, then at the next call with more behind it. Not called while
	 * input is paused; an owner that is busy and wants no call, and no end of the stream, pauses. When the rest reaches
	 * `input_max` and none is taken, the stream closes with -ENOBUFS.
	 */
	size_t (*input)(void *owner, struct slice bytes);
	/* The output queue fell below its low-water mark (a quarter of output_max) after net_stream_is_full() was true. */
	void (*drained)(void *owner);
	/*
	 * The peer closed (0), reset or failed (negative), or an idle time is over (-ETIMEDOUT). Called at most once, never
	 * from inside another net_stream_ call. The owner frees the stream in here or later. A peer that closed only its
	 * sending side still gets the queued output first, and what it sent is shown to the end.
	 */
	void (*closed)(void *owner, int error);
};
/* The times are kept to 64 ms or so. */
struct net_stream_limits {
	size_t input_max;  /* bytes kept unread */
	size_t output_max; /* bytes queued before net_stream_is_full(); writes beyond twice this close with -ENOBUFS */
	uint64_t idle_ms;  /* without a byte from the peer, not counting while paused or sending; 0: for ever */
	uint64_t stalled_ms; /* without the peer taking a byte while output waits (unmarked); 0: for ever */
};
/* Owns `fd` on success; sets it non-blocking, TCP_NODELAY where it is TCP. */
MUST_CHECK int net_stream_new(struct net_loop *loop, int fd, const struct net_stream_events *events,
	const struct net_stream_limits *limits, void *owner, struct net_stream **ret_stream);
/* Closes at once; queued output is lost (use net_stream_finish() to let it leave). May be called from any callback. */
void net_stream_free(struct net_stream **stream);

void net_stream_write(struct net_stream *stream, struct slice bytes);
struct buffer *net_stream_out(
	struct net_stream *stream); /* to append to directly; valid until control goes back to the loop */
bool net_stream_is_full(const struct net_stream *stream);
size_t net_stream_queued(const struct net_stream *stream);
void net_stream_mark(struct net_stream *stream, uint64_t seq);
/* Sends now what may leave, without waiting for the end of this turn of the loop (where it is sent anyhow). */
void net_stream_flush(struct net_stream *stream);
/* No more input is read; when the queue is empty (marks included) the stream closes and calls closed(0). */
void net_stream_finish(struct net_stream *stream);

void net_stream_pause(struct net_stream *stream); /* no input() until resumed; the kernel's buffer fills */
void net_stream_resume(struct net_stream *stream);
void net_stream_again(struct net_stream *stream); /* offers the unread rest to input() again, next turn */
/*
 * Bytes of the peer that somebody else has read already: shown to input() next turn, before anything that still comes. Right after
 * net_stream_new(). -ENOMEM.
 */
MUST_CHECK int net_stream_preload(struct net_stream *stream, struct slice bytes);
void net_stream_set_idle_ms(struct net_stream *stream, uint64_t idle_ms);
void net_stream_set_input_max(struct net_stream *stream, size_t input_max);
/*
 * Takes the descriptor out, with the bytes read but not taken appended to `rest`; the stream is freed. -EBUSY while output is
 * queued: nothing changed then. Not from inside input(), which would not know what of its bytes counts as taken.
 */
MUST_CHECK int net_stream_detach(struct net_stream **stream, int *ret_fd, struct buffer *rest);
int net_stream_fd(const struct net_stream *stream);

/* ---- Listeners ---- */

/* A bound, listening descriptor accepts on the loop; `accepted` owns the new descriptor (non-blocking, close-on-exec). */
struct net_listener;
MUST_CHECK int net_listener_new(struct net_loop *loop, int fd,
	void (*accepted)(void *owner, int fd, const struct sockaddr_storage *peer), void *owner,
	struct net_listener **ret_listener);
void net_listener_free(struct net_listener **listener); /* does not close the listening descriptor */
/* Whoever comes waits in the kernel's queue, or goes to another process that accepts from it. May be called by `accepted`. */
void net_listener_pause(struct net_listener *listener);
void net_listener_resume(struct net_listener *listener);

/* Binds and listens. `host` is a literal address or "*"; -errno as from bind(2). Port 0: any; ret_port says which. */
MUST_CHECK int net_bind_tcp(struct slice host, uint16_t port, int *ret_fd, uint16_t *ret_port);
MUST_CHECK int net_bind_unix(struct slice path, unsigned mode, int *ret_fd); /* replaces a socket nobody listens on */

/* "192.0.2.1:993", "[2001:db8::1]:993" or "unix" in text. */
void net_address_text(const struct sockaddr_storage *address, struct buffer *out);
bool net_address_is_loopback(const struct sockaddr_storage *address);

/* ---- Messages with descriptors: SOCK_SEQPACKET pairs between our processes ---- */

enum { NET_MESSAGE_MAX = 65536, NET_DESCRIPTORS_MAX = 4 };
/* 0, -EAGAIN when the peer's queue is full, or another -errno. The descriptors are duplicated to the peer, not closed here. */
MUST_CHECK int net_message_send(int fd, struct slice bytes, const int *fds, size_t fd_count);
/*
 * One message into `bytes` (emptied first). -EAGAIN: none waits; -EPIPE: the peer is gone; -EBADMSG: too long or cut (its
 * descriptors are closed); -EMFILE: it is whole, but came with descriptors for which there was no room, as this process may have no more (or with
 * more than NET_DESCRIPTORS_MAX): none is received. Received descriptors are the caller's, close-on-exec.
 */
MUST_CHECK int net_message_receive(int fd, struct buffer *bytes, int *ret_fds, size_t *ret_fd_count);

size_t net_descriptors_max(void); /* that this process may have; SIZE_MAX: no bound is known */

#endif
