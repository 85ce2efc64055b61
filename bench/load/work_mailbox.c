/* One mailbox: logging in to it, selecting it, storing flags in it. */
#include "workloads.h"

void work_login(struct client *client)
{
	uint64_t number;

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start = load_now();
		struct imap_selected selected;
		struct imap imap;
		int error = imap_open(&imap, client, number);

		if (error)
			continue;
		error = imap_select(&imap, client->load->mailbox, "", &selected);
		if (error)
			conn_close(&imap.conn);
		else if (imap_close(&imap) == 0)
			client_done(client, start, 1, 0);
	}
}

void work_select(struct client *client)
{
	const struct load *load = client->load;
	struct imap imap;
	uint64_t number;
	int error = imap_open(&imap, client, client->index);

	client_arrive(client);
	while (client_next(client, &number)) {
		uint64_t start = load_now();
		struct imap_selected selected;

		if (!imap.conn.open)
			error = imap_open(&imap, client, client->index);
		if (!error)
			error = imap_select(&imap, load->mailbox, "", &selected);
		if (!error && selected.exists != load->messages)
			error = client_error(client, "SELECT: %llu EXISTS", (unsigned long long)selected.exists);
		if (!error)
			client_done(client, start, 1, 0);
		else
			conn_close(&imap.conn);
	}
	imap_close(&imap);
}

static int store_one(struct imap *imap, uint64_t message, bool set)
{
	struct imap_response response;
	bool answered = false;
	int more = 0;
	int error = imap_start(imap, "STORE %llu %cFLAGS (\\Flagged)", (unsigned long long)message, set ? '+' : '-');

	while (!error && (more = imap_next(imap, &response)) > 0) {
		struct slice rest = response.text;
		uint64_t number;

		if (imap_number(&rest, &number) && number == message && slice_starts(rest, SLICE(" FETCH (")))
			answered = (slice_find(rest, SLICE("\\Flagged")) != SIZE_MAX) == set;
	}
	if (error || more < 0)
		return error ? error : more;
	return answered ? 0 : client_error(imap->conn.client, "STORE did not answer with the flags");
}

/* Message by message through the mailbox; a round sets the flag, the next takes it away again. */
void work_store(struct client *client)
{
	const struct load *load = client->load;
	struct imap_selected selected;
	struct imap imap;
	uint64_t number, mine = 0;
	int error = imap_open(&imap, client, client->index);

	if (!error)
		error = imap_select(&imap, load->mailbox, "", &selected);
	/* No flag must be set already, or the first answer might be missing. */
	if (!error)
		error = imap_start(&imap, "STORE 1:* -FLAGS.SILENT (\\Flagged)");
	if (!error)
		error = imap_finish(&imap);
	client_arrive(client);
	while (!error && client_next(client, &number)) {
		uint64_t start = load_now();

		error = store_one(&imap, 1 + mine % load->messages, mine / load->messages % 2 == 0);
		mine++;
		if (!error)
			client_done(client, start, 1, 0);
	}
	imap_close(&imap);
}
