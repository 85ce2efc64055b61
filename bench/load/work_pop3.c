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

/* What the maildrop must hold: header of each message, made before the clock runs. Bodies that cost something to make are made when they are due. */
struct maildrop {
	struct buffer heads;
	size_t *head_at;
	uint64_t count;
};

static void maildrop_make(struct maildrop *drop, const struct load *load)
{
	*drop = (struct maildrop){.heads = BUFFER_INIT(1U << 30), .count = load->messages};
	drop->head_at = calloc(drop->count + 1, sizeof(*drop->head_at));
	CHECK(drop->head_at);
	for (uint64_t i = 0; i < drop->count; i++) {
		messages_put_head(load->made, load->kind, load->first + i, &drop->heads);
		drop->head_at[i + 1] = drop->heads.len;
	}
	CHECK(buffer_error(&drop->heads) == 0);
}

static void maildrop_free(struct maildrop *drop)
{
	buffer_free(&drop->heads);
	free(drop->head_at);
}

/*
 * "+OK", then each byte of the message, counted from 1, and ".": nothing before it, in it or behind it that was not sent there. No line of ours
 * begins with a dot, so none may be stuffed.
 */
static int take_message(struct conn *conn, const struct maildrop *drop, uint64_t message, uint64_t *ret_bytes)
{
	const struct load *load = conn->client->load;
	struct buffer *scratch = &conn->client->scratch;
	size_t from = drop->head_at[message - 1], to = drop->head_at[message];
	struct slice head = slice_make(drop->heads.at + from, to - from), body;
	int error = conn_expect(conn, SLICE("+OK"));

	buffer_reset(scratch);
	body = messages_body(load->made, load->kind, load->first + message - 1, scratch);
	if (!error)
		error = conn_expect_bytes(conn, "RETR, header", head);
	if (!error)
		error = conn_expect_bytes(conn, "RETR, body", body);
	if (!error)
		error = conn_expect_bytes(conn, "RETR, end", SLICE(".\r\n"));
	if (!error)
		*ret_bytes = head.len + body.len;
	return error;
}

static int ask(struct conn *conn, const char *what, uint64_t message)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s %llu\r\n", what, (unsigned long long)message);
	return conn_send(conn, slice_of(text));
}

static int take_one(struct conn *conn, const struct maildrop *drop, uint64_t message)
{
	uint64_t start = load_now(), bytes = 0;
	int error = ask(conn, "RETR", message);

	if (!error)
		error = take_message(conn, drop, message, &bytes);
	if (!error)
		error = ask(conn, "DELE", message);
	if (!error)
		error = conn_expect(conn, SLICE("+OK"));
	if (!error)
		client_done(conn->client, start, 1, bytes);
	return error;
}

static int ask_many(struct conn *conn, uint64_t first, uint64_t last)
{
	struct buffer text = BUFFER_INIT(1 << 20);
	int error;

	for (uint64_t message = first; message <= last; message++)
		buffer_printf(
			&text, "RETR %llu\r\nDELE %llu\r\n", (unsigned long long)message, (unsigned long long)message);
	CHECK(buffer_error(&text) == 0);
	error = conn_send(conn, buffer_slice(&text));
	buffer_free(&text);
	return error;
}

/* `pipeline` messages are asked for before the first is there (PIPELINING, RFC 2449 §6.6), and as many as are missing when half of them are. */
static int take_pipelined(struct conn *conn, const struct maildrop *drop)
{
	uint64_t asked = 0, start = load_now(), bytes = 0, most = conn->client->load->pipeline;
	int error = 0;

	for (uint64_t got = 0; got < drop->count && !error; got++) {
		uint64_t until = MIN(drop->count, got + most);

		if (asked <= got + most / 2 && asked < until) {
			error = ask_many(conn, asked + 1, until);
			asked = until;
		}
		if (!error)
			error = take_message(conn, drop, got + 1, &bytes);
		if (!error)
			error = conn_expect(conn, SLICE("+OK"));
		if (!error)
			client_done(conn->client, start, 1, bytes);
		start = load_now();
	}
	return error;
}

static int take_all(struct conn *conn, const struct maildrop *drop)
{
	int error = 0;

	if (conn->client->load->pipeline > 1)
		return take_pipelined(conn, drop);
	for (uint64_t i = 1; i <= drop->count && !error; i++)
		error = take_one(conn, drop, i);
	return error;
}

void work_pop3(struct client *client)
{
	struct maildrop drop;
	uint64_t messages = 0;
	struct conn conn;
	int error;

	maildrop_make(&drop, client->load);
	client_arrive(client);
	error = login(&conn, client, client->index);
	if (!error)
		error = stat(&conn, &messages);
	if (!error && messages != drop.count)
		error = client_error(client, "STAT: %llu messages", (unsigned long long)messages);
	if (!error)
		error = take_all(&conn, &drop);
	if (!error)
		error = quit(&conn);
	conn_close(&conn);
	maildrop_free(&drop);
}

/* A maildrop is one session's at a time: each client has its own, and goes round them. */
void work_pop3_login(struct client *client)
{
	uint64_t clients = client->load->clients, rounds = MAX(client->load->users / clients, 1);
	uint64_t number, messages, turn = 0;

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start = load_now();
		struct conn conn;
		int error = login(&conn, client, turn++ % rounds * clients + client->index);

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
