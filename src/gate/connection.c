#include "gate/connection.h"

#include <poll.h>
#include <unistd.h>

enum { LAST_WORDS_MS = 5000 };

static void on_ready(void *owner, int events);

/* ---- Ends ---- */

void connection_free(struct connection *connection)
{
	struct gate *gate = connection->gate;

	login_free(&connection->login);
	if (connection->stage == STAGE_RELAY)
		relay_clear(&connection->relay);
	link_clear(&connection->link);
	net_timer_free(&connection->timer);
	addresses_leave(connection->address);
	list_remove(&connection->node);
	free(connection);
	gate->connection_count--;
	gate_memory_freed(gate);
	gate_connection_ended(gate);
}

void connection_close_when_sent(struct connection *connection)
{
	login_free(&connection->login);
	connection->stage = STAGE_CLOSING;
	if (link_flush(&connection->link) != -EAGAIN || link_poll(&connection->link, false)) {
		connection_free(connection);
		return;
	}
	net_timer_start(connection->timer, LAST_WORDS_MS);
}

void connection_say_bye(struct connection *connection, const char *text)
{
	/* In the middle of a handshake there is no way to say it. */
	if (connection->stage == STAGE_COMMANDS) {
		prelogin_bye(&connection->login->prelogin, text, &connection->link.out);
		connection_close_when_sent(connection);
	} else {
		connection_free(connection);
	}
}

static void on_timer(void *owner)
{
	if (!login_gave_up(owner))
		connection_say_bye(owner, "You took too long");
}

/* ---- Going on ---- */

void connection_go_on(struct connection *connection)
{
	struct login *login = connection->login;
	enum prelogin_state state = login->prelogin.state;
	bool reading = !login->at_end && !login->handing_over && state != PRELOGIN_CORE;
	int error = link_flush(&connection->link);

	if (error == 0 && login->handing_over) {
		login_hand_over(connection);
		return;
	}
	if (buffer_error(&connection->link.out))
		error = buffer_error(&connection->link.out);
	/* Who does not take our answers is not asked for more. */
	if (error == 0 || error == -EAGAIN)
		error = link_poll(&connection->link, reading && connection->link.out.len == 0);
	if (error)
		connection_free(connection);
}

static void begin_commands(struct connection *connection)
{
	struct login *login = connection->login;

	connection->stage = STAGE_COMMANDS;
	net_timer_start(connection->timer, connection->gate->settings->login_ms);
	if (login->greets)
		prelogin_greet(&login->prelogin, &connection->link.out);
	login->greets = false;
	login_read(connection);
}

static void finish_handshake(struct connection *connection)
{
	struct prelogin_transport transport = login_transport(connection);

	gate_memory_freed(connection->gate);
	prelogin_set_transport(&connection->login->prelogin, &transport);
	begin_commands(connection);
}

static void go_on_with_handshake(struct connection *connection)
{
	int error = link_handshake(&connection->link);

	if (error == 0) {
		finish_handshake(connection);
		return;
	}
	if (error == -EAGAIN)
		error = link_poll(&connection->link, true);
	if (error)
		connection_free(connection);
}

static void on_ready(void *owner, int events)
{
	struct connection *connection = owner;

	(void)events;
	switch ((enum stage)connection->stage) {
	case STAGE_HANDSHAKE:
		go_on_with_handshake(connection);
		break;
	case STAGE_COMMANDS:
		login_read(connection);
		break;
	case STAGE_RELAY:
		relay_go_on(connection);
		break;
	case STAGE_CLOSING:
		connection_close_when_sent(connection);
		break;
	}
}

void connection_start_tls(struct connection *connection)
{
	connection->stage = STAGE_HANDSHAKE;
	if (link_start_tls(&connection->link, connection->gate->tls, (enum gate_protocol)connection->protocol)) {
		connection_free(connection);
		return;
	}
	net_timer_start(connection->timer, connection->gate->settings->handshake_ms);
	go_on_with_handshake(connection);
}

/* ---- Beginnings ---- */

static struct connection *connection_new(
	struct gate *gate, const struct gate_listener *listener, int fd, struct address_count *address)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		addresses_leave(address);
		(void)close(fd);
		return NULL;
	}
	connection->gate = gate;
	connection->address = address;
	connection->protocol = (uint8_t)listener->protocol;
	connection->relay.fd = -1;
	list_add(&gate->connections, &connection->node);
	gate->connection_count++;
	if (link_init(&connection->link, gate->loop, fd, PRELOGIN_OUT_ROOM, on_ready, connection) ||
		net_timer_new(gate->loop, on_timer, connection, &connection->timer)) {
		connection_free(connection);
		return NULL;
	}
	return connection;
}

/* Who speaks TLS from the first byte could read it only after a handshake, which is what there is no room for. */
static void turn_away(const struct gate_listener *listener, int fd)
{
	static const char *const words[GATE_PROTOCOLS] = {[GATE_IMAP] = "* BYE [UNAVAILABLE] Too many connections\r\n",
		[GATE_POP3] = "-ERR [SYS/TEMP] Too many connections\r\n"};

	if (!listener->tls)
		(void)send(
			fd, words[listener->protocol], strlen(words[listener->protocol]), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

void connection_accept(
	struct gate *gate, const struct gate_listener *listener, int fd, const struct sockaddr_storage *peer)
{
	struct address_count *address;
	struct connection *connection;
	bool full = gate->connection_count >= gate->settings->connections_max;

	if (full || addresses_enter(&gate->addresses, peer, &address)) {
		turn_away(listener, fd);
		return;
	}
	connection = connection_new(gate, listener, fd, address);
	if (!connection)
		return;
	connection->loopback = net_address_is_loopback(peer);
	connection->login = login_new(connection);
	if (!connection->login) {
		connection_free(connection);
		return;
	}
	if (listener->tls)
		connection_start_tls(connection);
	else
		begin_commands(connection);
}
