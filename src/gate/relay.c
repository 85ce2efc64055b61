/* After login over TLS: bytes between the client and its session in core, without looking at them. */
#include <poll.h>
#include <unistd.h>

#include "gate/connection.h"

enum { PIECES_PER_TURN = 8 }; /* of LINK_READ_MAX bytes, each way; then others on this loop get their say */

void relay_clear(struct relay *relay)
{
	buffer_free(&relay->to_core);
	net_watch_free(&relay->watch);
	if (relay->fd >= 0)
		(void)close(relay->fd);
	relay->fd = -1;
}

/* ---- Client to core ---- */

/* Core has closed: nobody will read what the client says, but what core said before is still on its way. */
static void core_stopped_reading(struct relay *relay)
{
	relay->client_at_end = true;
	relay->told_core = true;
	buffer_free(&relay->to_core);
}

static int send_to_core(struct relay *relay, struct slice bytes, size_t *ret_sent)
{
	size_t sent = 0;

	while (sent < bytes.len) {
		ssize_t done = send(relay->fd, bytes.at + sent, bytes.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN)
			break;
		if (done < 0)
			return -errno;
		sent += (size_t)done;
	}
	*ret_sent = sent;
	return 0;
}

/* Sends, keeps what core does not take. -EAGAIN: something waits. */
static int pass_to_core(struct relay *relay, struct slice bytes)
{
	size_t sent = 0;

	if (send_to_core(relay, bytes, &sent)) {
		core_stopped_reading(relay);
		return 0;
	}
	if (sent == bytes.len)
		return 0;
	buffer_put(&relay->to_core, slice_from(bytes, sent));
	return buffer_error(&relay->to_core) ? buffer_error(&relay->to_core) : -EAGAIN;
}

static int flush_to_core(struct relay *relay)
{
	size_t sent = 0;

	if (relay->to_core.len == 0)
		return 0;
	if (send_to_core(relay, buffer_slice(&relay->to_core), &sent)) {
		core_stopped_reading(relay);
		return 0;
	}
	buffer_consume(&relay->to_core, sent);
	if (relay->to_core.len)
		return -EAGAIN;
	buffer_free(&relay->to_core);
	return 0;
}

/* 0, or a negative errno that ends the connection. */
static int move_to_core(struct connection *connection)
{
	struct relay *relay = &connection->relay;
	char *scratch = connection->gate->scratch;
	int error = flush_to_core(relay);

	for (int i = 0; i < PIECES_PER_TURN && !error && !relay->client_at_end; i++) {
		ssize_t got = link_read(&connection->link, scratch, LINK_READ_MAX);

		if (got < 0)
			return got == -EAGAIN ? 0 : (int)got;
		if (got == 0)
			relay->client_at_end = true;
		else
			error = pass_to_core(relay, slice_make(scratch, (size_t)got));
	}
	if (relay->client_at_end && !relay->told_core && relay->to_core.len == 0) {
		(void)shutdown(relay->fd, SHUT_WR);
		relay->told_core = true;
	}
	return error == -EAGAIN ? 0 : error;
}

/* ---- Core to client ---- */

static int move_to_client(struct connection *connection)
{
	struct relay *relay = &connection->relay;
	char *scratch = connection->gate->scratch;
	int error = link_flush(&connection->link);

	for (int i = 0; i < PIECES_PER_TURN && !error && !relay->core_at_end; i++) {
		ssize_t got = recv(relay->fd, scratch, LINK_READ_MAX, MSG_DONTWAIT);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0)
			relay->core_at_end = true;
		else
			error = link_write(&connection->link, slice_make(scratch, (size_t)got));
	}
	return error == -EAGAIN ? 0 : error;
}

/* A client that takes nothing of what waits may not hold memory and a session for ever. */
static void watch_for_stall(struct connection *connection, bool waited)
{
	if (connection->link.out.len == 0)
		net_timer_stop(connection->timer);
	else if (connection->link.moved || !waited)
		net_timer_start(connection->timer, connection->gate->settings->stalled_ms);
	connection->link.moved = false;
}

static int poll_both(struct connection *connection)
{
	struct relay *relay = &connection->relay;
	bool to_core_waits = relay->to_core.len != 0;
	int wanted =
		(!relay->core_at_end && connection->link.out.len == 0 ? POLLIN : 0) | (to_core_waits ? POLLOUT : 0);
	int error = link_poll(&connection->link, !relay->client_at_end && !to_core_waits);

	if (error || wanted == relay->watched)
		return error;
	relay->watched = wanted;
	return net_watch_for(relay->watch, wanted);
}

void relay_go_on(struct connection *connection)
{
	bool waited = connection->link.out.len != 0;
	int error = move_to_core(connection);

	if (!error)
		error = move_to_client(connection);
	if (!error && connection->relay.core_at_end && connection->link.out.len == 0)
		error = -EPIPE; /* all was said */
	if (!error)
		error = poll_both(connection);
	if (error)
		connection_free(connection);
	else
		watch_for_stall(connection, waited);
}

/* ---- Life ---- */

static void on_ready(void *owner, int events)
{
	(void)events;
	relay_go_on(owner);
}

void relay_start(struct connection *connection, int fd)
{
	struct relay *relay = &connection->relay;

	connection->stage = STAGE_RELAY;
	relay->fd = fd;
	relay->to_core = BUFFER_INIT(LINK_READ_MAX);
	net_timer_stop(connection->timer);
	if (net_watch_new(connection->gate->loop, fd, on_ready, connection, &relay->watch)) {
		connection_free(connection);
		return;
	}
	relay_go_on(connection);
}
