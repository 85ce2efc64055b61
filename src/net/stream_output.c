#include "net/stream.h"

static size_t queued(const struct net_stream *stream)
{
	return stream->out.len - stream->out_at;
}

size_t net_stream_queued(const struct net_stream *stream)
{
	return queued(stream);
}

bool net_stream_is_full(const struct net_stream *stream)
{
	return queued(stream) >= stream->limits.output_max;
}

struct buffer *net_stream_out(struct net_stream *stream)
{
	loop_make_due(stream->loop, stream);
	return &stream->out;
}

void net_stream_write(struct net_stream *stream, struct slice bytes)
{
	if (!stream->ended)
		buffer_put(net_stream_out(stream), bytes);
}

void stream_drop_output(struct net_stream *stream)
{
	buffer_free(&stream->out);
	stream->out_at = 0;
	stream->blocked = false;
	stream->waited = false;
	stream->mark_count = 0;
	stream_wait_for_mark(stream);
}

/* ---- Marks ---- */

static void note_lowest_awaited(struct net_loop *loop)
{
	const struct net_stream *first = TAILQ_FIRST(&loop->waiting);

	atomic_store(&loop->awaited, first ? first->marks[0].seq : 0);
}

/* From behind, because marks mostly come in the order of their numbers. */
static void insert_waiting(struct net_loop *loop, struct net_stream *stream)
{
	struct net_stream *before = TAILQ_LAST(&loop->waiting, stream_queue);

	while (before && before->marks[0].seq > stream->marks[0].seq)
		before = TAILQ_PREV(before, stream_queue, waiting_link);
	if (before)
		TAILQ_INSERT_AFTER(&loop->waiting, before, stream, waiting_link);
	else
		TAILQ_INSERT_HEAD(&loop->waiting, stream, waiting_link);
}

void stream_wait_for_mark(struct net_stream *stream)
{
	struct net_loop *loop = stream->loop;

	if (stream->is_waiting)
		TAILQ_REMOVE(&loop->waiting, stream, waiting_link);
	else if (!stream->mark_count)
		return;
	stream->is_waiting = stream->mark_count != 0;
	if (stream->is_waiting)
		insert_waiting(loop, stream);
	note_lowest_awaited(loop);
}

/* Drops the marks that are reached. Says whether the first mark changed. */
static bool drop_reached_marks(struct net_stream *stream)
{
	uint64_t released = atomic_load(&stream->loop->released);
	uint8_t reached = 0;

	while (reached < stream->mark_count && stream->marks[reached].seq <= released)
		stream->allowed = stream->marks[reached++].offset;
	if (reached == 0)
		return false;
	stream->mark_count -= reached;
	memmove(stream->marks, stream->marks + reached, stream->mark_count * sizeof(stream->marks[0]));
	return true;
}

void net_stream_mark(struct net_stream *stream, uint64_t seq)
{
	uint64_t offset = stream->sent + queued(stream);
	struct stream_mark *last = NULL;

	if (stream->ended || !queued(stream))
		return;
	if (stream->mark_count == 0) {
		if (seq <= atomic_load(&stream->loop->released))
			return;
		stream->allowed = stream->sent;
	} else {
		last = &stream->marks[stream->mark_count - 1];
	}
	/* Without room, or without news, the last mark is stretched: bytes may wait longer than they must, never shorter. */
	if (last && (last->seq >= seq || last->offset == offset || stream->mark_count == STREAM_MARKS_MAX)) {
		last->offset = offset;
		last->seq = MAX(last->seq, seq);
	} else {
		stream->marks[stream->mark_count++] = (struct stream_mark){offset, seq};
	}
	if (stream->mark_count == 1)
		stream_wait_for_mark(stream);
	/* It may have been released between the look above and the note that we wait; then nobody wakes us. */
	if (stream->marks[0].seq <= atomic_load(&stream->loop->released))
		loop_make_due(stream->loop, stream);
}

void stream_release_waiting(struct net_loop *loop)
{
	uint64_t released = atomic_load(&loop->released);
	struct net_stream *stream;

	while ((stream = TAILQ_FIRST(&loop->waiting)) && stream->marks[0].seq <= released) {
		(void)drop_reached_marks(stream);
		stream_wait_for_mark(stream);
		loop_make_due(loop, stream);
	}
}

/* ---- Sending ---- */

static size_t sendable(const struct net_stream *stream)
{
	return stream->mark_count ? (size_t)(stream->allowed - stream->sent) : queued(stream);
}

static void account_sent(struct net_stream *stream, size_t bytes)
{
	stream->out_at += bytes;
	stream->sent += bytes;
	stream->progress_ms = stream_now(stream);
	if (queued(stream) == 0) {
		/* Where the peer kept us waiting, its silence counts from now. */
		if (stream->waited)
			stream->active_ms = stream->progress_ms;
		stream->waited = false;
		buffer_free(&stream->out);
		stream->out_at = 0;
	} else if (stream->out_at > stream->out.len / 2) {
		buffer_consume(&stream->out, stream->out_at);
		stream->out_at = 0;
	}
	stream->out.max = stream->limits.output_max * 2 + stream->out_at;
}

static void send_allowed(struct net_stream *stream)
{
	while (!stream->blocked && sendable(stream)) {
		size_t want = sendable(stream);
		ssize_t done = send(stream->fd, stream->out.at + stream->out_at, want, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno != EAGAIN) {
			stream_end(stream, -errno);
			return;
		}
		stream->blocked = done < (ssize_t)want;
		if (done > 0)
			account_sent(stream, (size_t)done);
	}
	/* A peer stalls from the moment when there is something for it to take. */
	if (stream->blocked && !stream->waited) {
		stream->waited = true;
		stream->progress_ms = stream_now(stream);
	}
}

void stream_send(struct net_stream *stream)
{
	if (stream->ended)
		return;
	if (buffer_error(&stream->out)) {
		stream_end(stream, buffer_error(&stream->out));
		return;
	}
	if (net_stream_is_full(stream))
		stream->was_full = true;
	if (stream->mark_count && drop_reached_marks(stream))
		stream_wait_for_mark(stream);
	send_allowed(stream);
}

void net_stream_flush(struct net_stream *stream)
{
	stream_send(stream);
	if (!stream->ended)
		loop_make_due(stream->loop, stream);
}
