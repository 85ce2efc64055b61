/* The part of a connection before login: the client's words to prelogin.c, its decisions to core, core's answers back. */
#include <poll.h>
#include <unistd.h>

#include "gate/connection.h"

/* ---- Exchanges ---- */

static struct login *find_login(struct gate *gate, uint64_t exchange)
{
	for (struct list_node *node = gate->exchanges[exchange % EXCHANGE_BUCKETS]; node; node = node->next) {
		struct login *login = CONTAINER_OF(node, struct login, exchange_node);

		if (login->exchange == exchange)
			return login;
	}
	return NULL;
}

/* ---- Asking core ---- */

/* An end of the connection, as text; the kernel remembers it, so that we need not. */
static void put_address(int (*ask)(int fd, struct sockaddr *address, socklen_t *size), int fd, struct buffer *out)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	socklen_t size = sizeof(address);

	(void)ask(fd, (struct sockaddr *)(void *)&address, &size);
	net_address_text(&address, out);
}

static void send_start(struct login *login)
{
	struct connection *connection = login->connection;
	const struct prelogin *prelogin = &login->prelogin;
	/* Room of their own: without its channel bindings or its address an attempt would look like a wrong or another one. */
	char rooms[5][MAX(MAX(GATE_ADDRESS_MAX, GATE_TLS_TEXT_MAX), GATE_BINDING_MAX)];
	static const size_t most[5] = {
		GATE_ADDRESS_MAX, GATE_ADDRESS_MAX, GATE_TLS_TEXT_MAX, GATE_BINDING_MAX, GATE_BINDING_MAX};
	struct buffer texts[5];
	struct gate_message message = {.kind = GATE_AUTH_START,
		.id = login->exchange,
		.number = connection->protocol,
		.flags = (prelogin->has_initial ? GATE_FLAG_INITIAL : 0) |
			 (prelogin->transport.tls ? GATE_FLAG_TLS : 0) |
			 (prelogin->transport.confidential ? GATE_FLAG_CONFIDENTIAL : 0),
		.mechanism = slice_make(prelogin->mechanism, prelogin->mechanism_len),
		.sasl = buffer_slice(&prelogin->sasl),
		.client = buffer_slice(&prelogin->client)};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		texts[i] = (struct buffer){rooms[i], 0, most[i], most[i], 0};
	put_address(getpeername, connection->link.fd, &texts[0]);
	put_address(getsockname, connection->link.fd, &texts[1]);
	if (connection->link.ssl) {
		tls_put_text(connection->link.ssl, &texts[2]);
		tls_put_exporter(connection->link.ssl, &texts[3]);
		tls_put_unique(connection->link.ssl, &texts[4]);
	}
	message.peer = buffer_slice(&texts[0]);
	message.local = buffer_slice(&texts[1]);
	message.tls_text = buffer_slice(&texts[2]);
	message.tls_exporter = buffer_slice(&texts[3]);
	message.tls_unique = buffer_slice(&texts[4]);
	gate_channel_send(connection->gate->channel, &message, -1);
}

static void send_step(struct login *login)
{
	struct gate_message message = {
		.kind = GATE_AUTH_STEP, .id = login->exchange, .sasl = buffer_slice(&login->prelogin.sasl)};

	gate_channel_send(login->connection->gate->channel, &message, -1);
}

/* ---- From the beginning of an attempt to its end ---- */

/*
 * Core holds every gate to GATE_EXCHANGES_MAX. Who comes beyond that - after a start all clients log in at once - waits in a line, and has
 * its turn when another one's attempt has ended.
 */
static void leave_line(struct login *login)
{
	struct gate *gate = login->connection->gate;

	if (!login->exchange_node.next)
		gate->line_end = login->exchange_node.place;
	list_remove(&login->exchange_node);
	login->in_line = false;
}

static void join_line(struct login *login)
{
	struct gate *gate = login->connection->gate;

	list_add(gate->line_end, &login->exchange_node);
	gate->line_end = &login->exchange_node.next;
	login->in_line = true;
	net_timer_start(login->connection->timer, gate->settings->turn_ms);
}

static void begin_exchange(struct login *login)
{
	struct gate *gate = login->connection->gate;

	login->exchange = ++gate->last_exchange;
	gate->exchange_count++;
	list_add(&gate->exchanges[login->exchange % EXCHANGE_BUCKETS], &login->exchange_node);
	send_start(login);
}

static void next_in_line(struct gate *gate)
{
	struct login *login;

	if (!gate->line || gate->exchange_count >= GATE_EXCHANGES_MAX)
		return;
	login = CONTAINER_OF(gate->line, struct login, exchange_node);
	leave_line(login);
	net_timer_start(login->connection->timer, gate->settings->login_ms);
	begin_exchange(login);
}

static void forget_exchange(struct login *login)
{
	struct gate *gate = login->connection->gate;

	if (!login->exchange)
		return;
	login->exchange = 0;
	list_remove(&login->exchange_node);
	gate->exchange_count--;
	if (login->relay_fd >= 0)
		(void)close(login->relay_fd);
	login->relay_fd = -1;
	next_in_line(gate);
}

static void cancel_exchange(struct login *login)
{
	struct gate_message message = {.kind = GATE_AUTH_CANCEL, .id = login->exchange};

	if (login->in_line)
		leave_line(login);
	if (!login->exchange)
		return;
	gate_channel_send(login->connection->gate->channel, &message, -1);
	forget_exchange(login);
}

/* ---- Decisions ---- */

static void start_exchange(struct connection *connection)
{
	if (connection->gate->exchange_count < GATE_EXCHANGES_MAX)
		begin_exchange(connection->login);
	else
		join_line(connection->login);
	connection_go_on(connection);
}

static void start_tls(struct connection *connection)
{
	/* RFC 9051 §6.2.1: what came behind the command is thrown away, or somebody in between could put commands there. */
	buffer_free(&connection->login->in);
	switch (link_flush(&connection->link)) {
	case 0:
		connection_start_tls(connection);
		break;
	case -EAGAIN: /* nobody who means it lets a single line wait */
	default:
		connection_free(connection);
		break;
	}
}

/* True: look at the input again. False: the connection has been dealt with, and may be gone. */
static bool act(struct connection *connection, enum prelogin_action action)
{
	struct login *login = connection->login;

	switch (action) {
	case PRELOGIN_AUTH_START:
		start_exchange(connection);
		return false;
	case PRELOGIN_AUTH_STEP:
		send_step(login);
		connection_go_on(connection);
		return false;
	case PRELOGIN_AUTH_CANCEL:
		cancel_exchange(login);
		return true;
	case PRELOGIN_START_TLS:
		start_tls(connection);
		return false;
	case PRELOGIN_HANDOVER:
		login->handing_over = true;
		connection_go_on(connection);
		return false;
	case PRELOGIN_CLOSE:
		connection_close_when_sent(connection);
		return false;
	case PRELOGIN_DRAIN:
		if (link_flush(&connection->link) == 0)
			return true;
		connection_go_on(connection); /* the kernel tells when there is room again */
		return false;
	case PRELOGIN_MORE:
	case PRELOGIN_NEXT:
		break;
	}
	return true;
}

/* Shows the machine what was read until it wants more. False: as act(). */
static bool look_at_input(struct connection *connection)
{
	struct login *login = connection->login;
	enum prelogin_action action;

	do {
		struct slice rest = buffer_slice(&login->in);

		action = prelogin_input(&login->prelogin, &rest, &connection->link.out);
		buffer_consume(&login->in, login->in.len - rest.len);
		if (login->in.len == 0)
			buffer_free(&login->in);
		if (action != PRELOGIN_MORE && !act(connection, action))
			return false;
	} while (action != PRELOGIN_MORE);
	return true;
}

/* 1: bytes came; 0: none for now. Negative: the connection is over. */
static int read_some(struct connection *connection)
{
	struct login *login = connection->login;
	size_t room = MIN((size_t)LINK_READ_MAX, CONNECTION_IN_MAX - login->in.len);
	ssize_t got;

	if (login->at_end || room == 0 || login->prelogin.state == PRELOGIN_CORE)
		return 0;
	got = link_read(&connection->link, connection->gate->scratch, room);
	if (got == -EAGAIN)
		return 0;
	if (got < 0)
		return (int)got;
	if (got == 0) {
		login->at_end = true;
		return -EPIPE;
	}
	buffer_put(&login->in, slice_make(connection->gate->scratch, (size_t)got));
	return buffer_error(&login->in) ? -ENOMEM : 1;
}

void login_read(struct connection *connection)
{
	int got = 1;

	if (link_flush(&connection->link) == -EAGAIN || connection->login->handing_over) {
		connection_go_on(connection);
		return;
	}
	while (got > 0) {
		if (!look_at_input(connection))
			return;
		got = read_some(connection);
	}
	if (got == -EPIPE)
		connection_close_when_sent(connection);
	else if (got < 0)
		connection_free(connection);
	else
		connection_go_on(connection);
}

/* ---- Core's answers ---- */

static void fail(struct connection *connection, enum gate_failure failure, struct slice text)
{
	struct login *login = connection->login;

	if (prelogin_failed(&login->prelogin, failure, text, &connection->link.out) == PRELOGIN_CLOSE) {
		connection_close_when_sent(connection);
		return;
	}
	net_timer_start(connection->timer, connection->gate->settings->login_ms);
	login_read(connection);
}

bool login_gave_up(struct connection *connection)
{
	struct login *login = connection->login;

	if (!login || !login->in_line)
		return false;
	leave_line(login);
	fail(connection, GATE_UNAVAILABLE, SLICE(""));
	return true;
}

static void take_success(struct connection *connection, const struct gate_message *message, int fd)
{
	struct login *login = connection->login;

	login->relay_fd = fd;
	if (prelogin_ok(&login->prelogin, message->sasl, &connection->link.out) == PRELOGIN_HANDOVER)
		login->handing_over = true;
	login_read(connection);
}

void login_core_said(struct gate *gate, const struct gate_message *message, int fd)
{
	struct login *login = find_login(gate, message->id);

	/* Our cancel and its answer may have crossed. */
	if (!login || login->prelogin.state != PRELOGIN_CORE || (message->kind != GATE_OK && fd >= 0)) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	if (fd == GATE_FD_LOST) {
		cancel_exchange(login);
		fail(login->connection, GATE_UNAVAILABLE, SLICE(""));
		return;
	}
	switch ((int)message->kind) {
	case GATE_CHALLENGE:
		prelogin_challenge(&login->prelogin, message->sasl, &login->connection->link.out);
		login_read(login->connection);
		break;
	case GATE_OK:
		take_success(login->connection, message, fd);
		break;
	default:
		forget_exchange(login);
		fail(login->connection, (enum gate_failure)message->number, message->text);
		break;
	}
}

/* ---- Hand-over ---- */

void login_hand_over(struct connection *connection)
{
	struct login *login = connection->login;
	struct gate_message message = {.kind = GATE_HANDOVER,
		.id = login->exchange,
		.flags = login->prelogin.utf8 ? GATE_FLAG_UTF8 : 0,
		.tag = slice_make(login->prelogin.tag, login->prelogin.tag_len),
		.pipelined = buffer_slice(&login->in)};
	int relay_fd = login->relay_fd;
	int client_fd = connection->link.ssl ? -1 : connection->link.fd;

	if (connection->link.ssl &&
		relay_fd < 0) { /* core made no relay: it will make nothing of the hand-over either */
		connection_free(connection);
		return;
	}
	if (client_fd >= 0) {
		net_watch_free(&connection->link.watch);
		connection->link.fd = -1;
	}
	gate_channel_send(connection->gate->channel, &message, client_fd);
	login->relay_fd = -1;
	forget_exchange(login);
	login_free(&connection->login);
	if (client_fd >= 0)
		connection_free(connection);
	else
		relay_start(connection, relay_fd);
}

/* ---- Life ---- */

struct prelogin_transport login_transport(const struct connection *connection)
{
	const struct gate_mechanisms *mechanisms = &connection->gate->mechanisms;
	struct prelogin_transport transport = {.tls_possible = tls_is_possible(connection->gate->tls)};

	if (connection->link.ssl) {
		transport.tls = true;
		transport.confidential = true;
		if (tls_is_13(connection->link.ssl))
			transport.mechanisms = mechanisms->tls_exporter;
		else if (tls_has_unique(connection->link.ssl))
			transport.mechanisms = mechanisms->tls_unique;
		else
			transport.mechanisms = mechanisms->loopback; /* confidential, but nothing to bind to */
	} else {
		transport.confidential = connection->loopback;
		transport.mechanisms = connection->loopback ? mechanisms->loopback : mechanisms->open;
	}
	return transport;
}

struct login *login_new(struct connection *connection)
{
	struct login *login = calloc(1, sizeof(*login));
	struct prelogin_transport transport = login_transport(connection);

	if (!login)
		return NULL;
	login->connection = connection;
	login->in = BUFFER_INIT(CONNECTION_IN_MAX);
	login->relay_fd = -1;
	login->greets = true;
	prelogin_init(&login->prelogin, (enum gate_protocol)connection->protocol, &connection->gate->site, &transport);
	return login;
}

void login_free(struct login **login_at)
{
	struct login *login = *login_at;

	if (!login)
		return;
	*login_at = NULL;
	cancel_exchange(login);
	prelogin_clear(&login->prelogin);
	if (login->in.at)
		explicit_bzero(login->in.at, login->in.room); /* there may have been a password */
	buffer_free(&login->in);
	free(login);
}
