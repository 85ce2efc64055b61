/* The limits: what this machine and this generator can do at the most when there is no mail server behind it. See ceiling.c. */
#include "workloads.h"

/* Handshakes with whoever accepts and closes. */
void work_tls(struct client *client)
{
	uint64_t number;

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start = load_now();
		struct conn conn;

		if (conn_open(&conn, client, &client->load->imap))
			continue;
		if (conn_expect(&conn, SLICE("* OK")) == 0)
			client_done(client, start, 1, 0);
		conn_close(&conn);
	}
}

/* A line there and back. */
void work_echo(struct client *client)
{
	struct conn conn;
	uint64_t number;
	int error = conn_open(&conn, client, &client->load->imap);

	if (!error)
		error = conn_expect(&conn, SLICE("* OK"));
	client_arrive(client);
	while (!error && client_next(client, &number)) {
		uint64_t start = load_now();

		error = conn_send(&conn, SLICE("t1 NOOP\r\n"));
		if (!error)
			error = conn_expect(&conn, SLICE("t1 NOOP"));
		if (!error)
			client_done(client, start, 1, 0);
	}
	conn_close(&conn);
}
