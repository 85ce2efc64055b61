/* Taking mail in: LMTP and APPEND. Both put messages `first`, `first` + 1, ... in the order of operations. */
#include "workloads.h"

/* Behind the message comes the end of DATA, in the same write. */
static void make_delivery(struct client *client, uint64_t number)
{
	buffer_reset(&client->scratch);
	messages_put(client->load->made, client->load->kind, number, &client->scratch);
	buffer_put_text(&client->scratch, ".\r\n");
	CHECK(buffer_error(&client->scratch) == 0);
}

void work_lmtp(struct client *client)
{
	struct conn conn = {.fd = -1};
	uint64_t number;
	char user[128];
	int error = lmtp_open(&conn, client);

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start;

		make_delivery(client, client->load->first + number);
		start = load_now();
		if (!conn.open)
			error = lmtp_open(&conn, client);
		if (!error)
			error = lmtp_send(&conn, client_user(client, number, user), buffer_slice(&client->scratch));
		if (!error)
			error = lmtp_accepted(&conn);
		if (!error)
			client_done(client, start, 1, client->scratch.len - 3);
		else
			conn_close(&conn);
	}
	lmtp_close(&conn);
}

/* "t5 OK [APPENDUID 1 7]": the UIDs of one client's mailbox only grow. */
static int append_finish(struct imap *imap, uint64_t *uid)
{
	struct imap_response response;
	struct slice rest;
	uint64_t got;
	size_t at;
	int more;

	while ((more = imap_next(imap, &response)) > 0)
		continue;
	if (more < 0)
		return more;
	at = slice_find(response.text, SLICE("[APPENDUID "));
	rest = at == SIZE_MAX ? SLICE("") : slice_from(response.text, at + 11);
	if (!imap_number(&rest, &got) || (rest = slice_from(rest, 1), !imap_number(&rest, &got)))
		return client_error(imap->conn.client, "APPEND answered without APPENDUID");
	if (got <= *uid)
		return client_error(imap->conn.client, "APPEND gave UID %llu after %llu", (unsigned long long)got,
			(unsigned long long)*uid);
	*uid = got;
	return 0;
}

static int append_one(struct imap *imap, struct slice message, uint64_t *uid)
{
	int error = imap_append(imap, message);

	return error ? error : append_finish(imap, uid);
}

void work_append(struct client *client)
{
	struct imap imap;
	uint64_t number, uid = 0;
	int error = imap_open(&imap, client, client->index);

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start;

		buffer_reset(&client->scratch);
		messages_put(client->load->made, client->load->kind, client->load->first + number, &client->scratch);
		start = load_now();
		if (!imap.conn.open)
			error = imap_open(&imap, client, client->index);
		if (!error)
			error = append_one(&imap, buffer_slice(&client->scratch), &uid);
		if (!error)
			client_done(client, start, 1, client->scratch.len);
		else
			conn_close(&imap.conn);
	}
	imap_close(&imap);
}

/* MULTIAPPEND (RFC 3502): `batch` messages in one command. */
static int fill_batch(struct imap *imap, uint64_t first, uint64_t count)
{
	struct client *client = imap->conn.client;
	int error = 0;

	for (uint64_t i = 0; i < count && !error; i++) {
		char start[200];

		buffer_reset(&client->scratch);
		messages_put(client->load->made, client->load->kind, first + i, &client->scratch);
		if (i == 0)
			(void)snprintf(start, sizeof(start), "t%u APPEND %s {%zu+}\r\n", ++imap->tag,
				client->load->mailbox, client->scratch.len);
		else
			(void)snprintf(start, sizeof(start), " {%zu+}\r\n", client->scratch.len);
		error = conn_send(&imap->conn, slice_of(start));
		if (!error)
			error = conn_send(&imap->conn, buffer_slice(&client->scratch));
	}
	if (!error)
		error = conn_send(&imap->conn, SLICE("\r\n"));
	return error ? error : imap_finish(imap);
}

/* Fills one mailbox for each client, message by message in their order, `messages` of them. */
void work_fill(struct client *client)
{
	const struct load *load = client->load;
	struct imap_selected selected;
	struct imap imap;
	int error = imap_open(&imap, client, client->index);

	client_arrive(client);
	if (!error && strcmp(load->mailbox, "INBOX") != 0) {
		error = imap_start(&imap, "CREATE %s", load->mailbox);
		if (!error)
			error = imap_finish(&imap);
	}
	for (uint64_t done = 0; done < load->messages && !error; done += load->batch) {
		uint64_t count = MIN(load->batch, load->messages - done), start = load_now();

		error = fill_batch(&imap, load->first + done, count);
		if (!error)
			client_done(client, start, count, 0);
	}
	if (!error)
		error = imap_select(&imap, load->mailbox, "", &selected);
	if (!error && selected.exists != load->messages)
		(void)!client_error(client, "%llu messages after filling", (unsigned long long)selected.exists);
	if (error)
		conn_close(&imap.conn);
	else
		imap_close(&imap);
}

/* Makes --mailbox and copies all of INBOX to it. */
void work_copy(struct client *client)
{
	const struct load *load = client->load;
	struct imap_selected selected;
	struct imap imap;
	uint64_t start = load_now();
	int error = imap_open(&imap, client, client->index);

	client_arrive(client);
	if (!error)
		error = imap_start(&imap, "CREATE %s", load->mailbox);
	if (!error)
		error = imap_finish(&imap);
	if (!error)
		error = imap_select(&imap, "INBOX", "", &selected);
	if (!error)
		error = imap_start(&imap, "COPY 1:* %s", load->mailbox);
	if (!error)
		error = imap_finish(&imap);
	if (!error)
		error = imap_select(&imap, load->mailbox, "", &selected);
	if (!error && selected.exists != load->messages)
		error = client_error(client, "%llu messages after copying", (unsigned long long)selected.exists);
	if (!error)
		client_done(client, start, selected.exists, 0);
	if (error)
		conn_close(&imap.conn);
	else
		imap_close(&imap);
}

/* How many messages the mailboxes of all users hold: what was acknowledged must be there. */
void work_count(struct client *client)
{
	const struct load *load = client->load;

	client_arrive(client);
	for (uint64_t user = client->index; user < load->users; user += load->clients) {
		uint64_t start = load_now();
		struct imap_selected selected;
		struct imap imap;
		int error = imap_open(&imap, client, user);

		if (error)
			continue;
		error = imap_select(&imap, load->mailbox, "", &selected);
		if (!error)
			client_done(client, start, selected.exists, 0);
		if (error)
			conn_close(&imap.conn);
		else
			imap_close(&imap);
	}
}
