/* Being told: IDLE while mail is delivered, idling connections that only stay, and coming back with QRESYNC. */
#include "workloads.h"

#include <poll.h>
#include <unistd.h>

enum { CHANGED = 100, GONE = 10, WAVE = 2000, WAVE_MS = 1000 };

static int start_idle(struct imap *imap)
{
	int error = imap_start(imap, "IDLE");

	return error ? error : imap_continue(imap);
}

static int wait_exists(struct imap *imap, uint64_t expected)
{
	struct imap_response response;
	uint64_t number;
	int more;

	while ((more = imap_next(imap, &response)) > 0) {
		struct slice rest = response.text;

		if (imap_number(&rest, &number) && slice_equal(rest, SLICE(" EXISTS")))
			return number == expected ? 0
						  : client_error(imap->conn.client, "%llu EXISTS instead of %llu",
							    (unsigned long long)number, (unsigned long long)expected);
	}
	return more < 0 ? more : client_error(imap->conn.client, "IDLE ended");
}

/* From the end of the message given to LMTP to EXISTS at a client in IDLE: the sync is part of it. */
void work_idle(struct client *client)
{
	const struct load *load = client->load;
	struct imap_selected selected;
	struct conn lmtp;
	struct imap imap;
	uint64_t number;
	char user[128];
	int error = imap_open(&imap, client, client->index);

	if (error)
		return;
	error = imap_select(&imap, load->mailbox, "", &selected);
	if (!error)
		error = start_idle(&imap);
	if (lmtp_open(&lmtp, client) == 0) {
		client_arrive(client);
		while (!error && client_next(client, &number)) {
			uint64_t start;

			buffer_reset(&client->scratch);
			messages_put(load->made, load->kind, load->first + number, &client->scratch);
			buffer_put_text(&client->scratch, ".\r\n");
			error = lmtp_send(
				&lmtp, client_user(client, client->index, user), buffer_slice(&client->scratch));
			start = load_now();
			if (!error)
				error = wait_exists(&imap, ++selected.exists);
			if (!error)
				client_done(client, start, 1, 0);
			if (!error)
				error = lmtp_accepted(&lmtp);
		}
		lmtp_close(&lmtp);
	}
	conn_close(&imap.conn);
}

/*
 * Idles until the standard input ends; whoever measures memory reads the line that says that all are here. They come in waves: more logins than
 * that at once are refused by servers that bound them.
 */
void work_hold(struct client *client)
{
	struct imap_selected selected;
	struct imap imap;
	uint64_t start;
	int error;

	client_sleep(client, client->index / WAVE * WAVE_MS);
	start = load_now();
	error = imap_open(&imap, client, client->index);
	if (!error)
		error = imap_select(&imap, client->load->mailbox, "", &selected);
	if (!error)
		error = start_idle(&imap);
	client_arrive(client);
	if (!error)
		client_done(client, start, 1, 0);
	if (client->index == 0) {
		struct pollfd end = {.fd = 0, .events = POLLIN};

		(void)printf("{\"holding\":%u}\n", client->load->clients);
		(void)fflush(stdout);
		while (poll(&end, 1, 0) == 0)
			client_sleep(client, 50);
		atomic_store(&client->load->left, 1);
	}
	while (atomic_load(&client->load->left) == 0)
		client_sleep(client, 200);
	if (!error)
		error = conn_send(&imap.conn, SLICE("DONE\r\n"));
	if (!error)
		error = imap_finish(&imap);
	if (error)
		conn_close(&imap.conn);
	else
		imap_close(&imap);
}

/* ---- QRESYNC (RFC 7162) ---- */

struct resync {
	struct imap imap;
	struct imap_selected base;
	uint64_t uids[CHANGED + GONE]; /* those changed first, then those gone */
	unsigned seen, vanished;
	bool wrong;
};

static void note_vanished(void *context, uint64_t uid)
{
	struct resync *r = context;

	for (unsigned i = CHANGED; i < CHANGED + GONE; i++)
		if (r->uids[i] == uid) {
			r->vanished++;
			return;
		}
	r->wrong = true;
}

static void note_changed(struct resync *r, struct slice text)
{
	size_t at = slice_find(text, SLICE("UID "));
	struct slice rest = at == SIZE_MAX ? SLICE("") : slice_from(text, at + 4);
	uint64_t uid;

	if (!imap_number(&rest, &uid) || slice_find(text, SLICE("FLAGS (")) == SIZE_MAX ||
		slice_find(text, SLICE("MODSEQ (")) == SIZE_MAX) {
		r->wrong = true;
		return;
	}
	for (unsigned i = 0; i < CHANGED; i++)
		if (r->uids[i] == uid) {
			r->seen++;
			return;
		}
	r->wrong = true;
}

/* What another client does while this one is away: every message named is still there. */
static int change(struct imap *other, struct resync *r, unsigned turn)
{
	struct imap_response response;
	struct imap_selected selected;
	unsigned found = 0;
	int more, error = imap_select(other, other->conn.client->load->mailbox, " (CONDSTORE)", &selected);

	if (!error && (selected.exists < CHANGED + GONE || !selected.highestmodseq))
		return client_error(other->conn.client, "the mailbox is used up, or has no HIGHESTMODSEQ");
	if (error)
		return error;
	r->base = selected;
	error = imap_start(other, "FETCH 1:%u (UID)", CHANGED + GONE);
	while (!error && (more = imap_next(other, &response)) > 0) {
		size_t at = slice_find(response.text, SLICE("UID "));
		struct slice rest = at == SIZE_MAX ? SLICE("") : slice_from(response.text, at + 4);
		uint64_t uid;

		if (imap_number(&rest, &uid) && found < CHANGED + GONE)
			r->uids[found++] = uid;
	}
	if (error || more < 0)
		return error ? error : more;
	if (found != CHANGED + GONE)
		return client_error(other->conn.client, "FETCH of UIDs: %u", found);
	error = imap_start(other, "STORE 1:%u %cFLAGS.SILENT (\\Answered)", CHANGED, turn % 2 ? '-' : '+');
	if (!error)
		error = imap_finish(other);
	if (!error)
		error = imap_start(other, "STORE %u:%u +FLAGS.SILENT (\\Deleted)", CHANGED + 1, CHANGED + GONE);
	if (!error)
		error = imap_finish(other);
	if (!error)
		error = imap_start(other, "EXPUNGE");
	return error ? error : imap_finish(other);
}

static int resync(struct resync *r, const char *mailbox)
{
	struct imap_response response;
	int more, error;

	r->seen = r->vanished = 0;
	r->wrong = false;
	error = imap_start(&r->imap, "SELECT %s (QRESYNC (%llu %llu))", mailbox,
		(unsigned long long)r->base.uidvalidity, (unsigned long long)r->base.highestmodseq);
	while (!error && (more = imap_next(&r->imap, &response)) > 0) {
		struct slice rest = response.text;
		uint64_t number;

		if (slice_starts(rest, SLICE("VANISHED (EARLIER) ")) &&
			!imap_set(slice_from(rest, 19), note_vanished, r))
			r->wrong = true;
		if (imap_number(&rest, &number) && slice_starts(rest, SLICE(" FETCH (")))
			note_changed(r, rest);
	}
	if (error || more < 0)
		return error ? error : more;
	if (r->wrong || r->seen != CHANGED || r->vanished != GONE)
		return client_error(r->imap.conn.client, "QRESYNC told of %u changed and %u gone%s", r->seen,
			r->vanished, r->wrong ? ", and of others" : "");
	return 0;
}

static int come_back(struct client *client, struct resync *r)
{
	int error = imap_open(&r->imap, client, client->index);
	uint64_t start;

	if (error)
		return error;
	error = imap_start(&r->imap, "ENABLE QRESYNC");
	if (!error)
		error = imap_finish(&r->imap);
	start = load_now();
	if (!error)
		error = resync(r, client->load->mailbox);
	if (!error)
		client_done(client, start, 1, 0);
	imap_close(&r->imap);
	return error;
}

void work_qresync(struct client *client)
{
	struct resync r;
	struct imap other;
	uint64_t number;
	int error = imap_open(&other, client, client->index);

	/* An earlier run may have left the flag set that the first turn is to set. */
	if (!error)
		error = imap_select(&other, client->load->mailbox, " (CONDSTORE)", &r.base);
	if (!error)
		error = imap_start(&other, "STORE 1:%u -FLAGS.SILENT (\\Answered)", CHANGED);
	if (!error)
		error = imap_finish(&other);
	client_arrive(client);
	while (!error && client_next(client, &number)) {
		error = change(&other, &r, (unsigned)number);
		if (!error)
			error = come_back(client, &r);
	}
	imap_close(&other);
}
