#include "load.h"

/* Multi-line replies: "250-..." up to "250 ...". */
static int reply(struct conn *conn, struct slice code)
{
	struct slice line;
	int error;

	do
		error = conn_line(conn, &line);
	while (!error && line.len > 3 && line.at[3] == '-' && slice_starts(line, code));
	if (!error && !slice_starts(line, code))
		return client_error(conn->client, "LMTP: '%.*s' instead of %.*s", SLICE_ARG(slice_first(line, 150)),
			SLICE_ARG(code));
	return error;
}

int lmtp_open(struct conn *conn, struct client *client)
{
	int error = conn_open(conn, client, &client->load->lmtp);

	if (error)
		return error;
	error = reply(conn, SLICE("220"));
	if (!error)
		error = conn_send(conn, SLICE("LHLO bench.example.net\r\n"));
	if (!error)
		error = reply(conn, SLICE("250"));
	if (error)
		conn_close(conn);
	return error;
}

void lmtp_close(struct conn *conn)
{
	if (conn->open && conn_send(conn, SLICE("QUIT\r\n")) == 0)
		(void)!reply(conn, SLICE("221"));
	conn_close(conn);
}

int lmtp_send(struct conn *conn, const char *user, struct slice message)
{
	char envelope[400];
	int error;

	(void)snprintf(envelope, sizeof(envelope), "MAIL FROM:<sender@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n", user);
	error = conn_send(conn, slice_of(envelope));
	if (!error)
		error = reply(conn, SLICE("250"));
	if (!error)
		error = reply(conn, SLICE("250"));
	if (!error)
		error = reply(conn, SLICE("354"));
	if (!error)
		error = conn_send(conn, message);
	return error;
}

int lmtp_accepted(struct conn *conn)
{
	return reply(conn, SLICE("250"));
}
