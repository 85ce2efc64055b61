/* POP3: a client takes all that is in its maildrop and deletes it (RFC 1939). */
#include "workloads.h"

static int command(struct conn *conn, const char *text)
{
	int error = conn_send(conn, slice_of(text));

	return error ? error : conn_expect(conn, SLICE("+OK"));
}

static int login(struct conn *conn, struct client *client, uint64_t user)
{
	char name[128], text[400];
	int error = conn_open(conn, client, &client->load->pop3);

	if (error)
		return error;
	error = conn_expect(conn, SLICE("+OK"));
	(void)snprintf(text, sizeof(text), "USER %s\r\n", client_user(client, user, name));
	if (!error)
		error = command(conn, text);
	(void)snprintf(text, sizeof(text), "PASS %s\r\n", client->load->password);
	if (!error)
		error = command(conn, text);
	if (error)
		conn_close(conn);
	return error;
}

static int quit(struct conn *conn)
{
	int error = conn->open ? command(conn, "QUIT\r\n") : -ENOTCONN;

	conn_close(conn);
	return error;
}

static int stat(struct conn *conn, uint64_t *ret_messages)
{
	struct slice line;
	int error = conn_send(conn, SLICE("STAT\r\n"));

	if (!error)
		error = conn_line(conn, &line);
	if (error)
		return error;
	line = slice_from(line, 4);
	return imap_number(&line, ret_messages) ? 0 : client_error(conn->client, "STAT without a number");
}

static void put_unstuffed(struct buffer *out, struct slice bytes)
{
	size_t at;

	buffer_reset(out);
	while ((at = slice_find(bytes, SLICE("\n.."))) != SIZE_MAX) {
		buffer_put(out, slice_first(bytes, at + 2));
		bytes = slice_from(bytes, at + 3);
	}
	buffer_put(out, bytes);
}

/* "+OK", the message, ".", and the answer to DELE behind it. */
static int take_message(struct conn *conn, struct buffer *message, uint64_t *ret_bytes)
{
	struct slice bytes;
	const char *wrong;
	uint64_t number;
	int error = conn_expect(conn, SLICE("+OK"));

	if (!error)
		error = conn_until(conn, SLICE("\r\n.\r\n"), &bytes);
	if (error)
		return error;
	put_unstuffed(message, slice_first(bytes, bytes.len - 3));
	*ret_bytes = message->len;
	wrong = messages_wrong(conn->client->load->made, buffer_slice(message), false, &conn->client->scratch, &number);
	return wrong ? client_error(conn->client, "RETR: %s", wrong) : 0;
}

static int ask(struct conn *conn, uint64_t message)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "RETR %llu\r\nDELE %llu\r\n", (unsigned long long)message,
		(unsigned long long)message);
	return conn_send(conn, slice_of(text));
}

static int ask_one(struct conn *conn, const char *what, uint64_t message)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s %llu\r\n", what, (unsigned long long)message);
	return conn_send(conn, slice_of(text));
}

static int take_one(struct conn *conn, uint64_t message, struct buffer *room)
{
	uint64_t start = load_now(), bytes = 0;
	int error = ask_one(conn, "RETR", message);

	if (!error)
		error = take_message(conn, room, &bytes);
	if (!error)
		error = ask_one(conn, "DELE", message);
	if (!error)
		error = conn_expect(conn, SLICE("+OK"));
	if (!error)
		client_done(conn->client, start, 1, bytes);
	return error;
}

/* `pipeline` messages are asked for before the first is there (PIPELINING, RFC 2449 §6.6). */
static int take_pipelined(struct conn *conn, uint64_t messages, struct buffer *room)
{
	uint64_t asked = 0, start = load_now(), bytes = 0;
	int error = 0;

	for (uint64_t got = 0; got < messages && !error; got++) {
		while (!error && asked < messages && asked < got + conn->client->load->pipeline)
			error = ask(conn, ++asked);
		if (!error)
			error = take_message(conn, room, &bytes);
		if (!error)
			error = conn_expect(conn, SLICE("+OK"));
		if (!error)
			client_done(conn->client, start, 1, bytes);
		start = load_now();
	}
	return error;
}

void work_pop3(struct client *client)
{
	struct buffer room = BUFFER_INIT(MESSAGE_MAX);
	uint64_t messages = 0;
	struct conn conn;
	int error;

	client_arrive(client);
	error = login(&conn, client, client->index);
	if (!error)
		error = stat(&conn, &messages);
	if (!error && messages != client->load->messages)
		error = client_error(client, "STAT: %llu messages", (unsigned long long)messages);
	if (!error && client->load->pipeline > 1)
		error = take_pipelined(&conn, messages, &room);
	else
		for (uint64_t i = 1; i <= messages && !error; i++)
			error = take_one(&conn, i, &room);
	if (!error)
		error = quit(&conn);
	conn_close(&conn);
	buffer_free(&room);
}

void work_pop3_login(struct client *client)
{
	uint64_t number, messages;

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start = load_now();
		struct conn conn;
		int error = login(&conn, client, number);

		if (error)
			continue;
		error = stat(&conn, &messages);
		if (!error && client->load->messages && messages != client->load->messages)
			error = client_error(client, "STAT: %llu messages", (unsigned long long)messages);
		if (!error)
			error = quit(&conn);
		conn_close(&conn);
		if (!error)
			client_done(client, start, 1, 0);
	}
}
