/*
 * A whole session behind the login, on a socket pair, with a real store and two messages in INBOX. Whatever a client sends, every byte that
 * comes back is read, the session ends when the client does, and nothing of it is left. A byte 0x1d in the input stands for INBOX's
 * UIDVALIDITY, which no fuzzer guesses; what follows a byte 0x1e is said by another client of the same account at the same time.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../imap/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	CLIENTS = 2,
	VALIDITY_MARK = 0x1d,
	CLIENT_MARK = 0x1e,
	RUNS_PER_STORE = 500,
	PIPELINED_MAX = 64,
	QUOTA_BYTES = 100000
};

static struct rig rig;
static unsigned runs;
static unsigned long uidvalidity;
static uint64_t accounts[RUNS_PER_STORE]; /* one for each run: what one client did must not matter to the next */

static const char plain[] =
	"From: Ann <ann@example.org>\nSubject: plain\nDate: Thu, 13 Feb 1992 23:32:54 +0100\n\nHello\n";
static const char parts[] =
	"From: ann@example.org\nSubject: =?utf-8?q?f=C3=BCr?=\nContent-Type: multipart/mixed; boundary=b\n\n"
	"--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n"
	"--b\nContent-Transfer-Encoding: x-nonesuch\n\n=41\n"
	"--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nx\n--b--\n";

static void stop(void)
{
	rig_stop(&rig);
}

struct client {
	int fd;
	struct slice bytes; /* still to be sent */
};

/* Asked of the first account, as a client would. All are made together, so INBOX nearly always has the same in each: it comes from the clock. */
static void learn_uidvalidity(void)
{
	static const char question[] = "a STATUS INBOX (UIDVALIDITY)\r\nb LOGOUT\r\n";
	char answer[4096];
	size_t len = 0;
	ssize_t got;
	int fd;

	CHECK(rig_connect(&rig, accounts[0], slice_of(question), &fd) == 0);
	while (len < sizeof(answer) - 1 && (got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
		len += (size_t)got;
	answer[len] = 0;
	(void)close(fd);
	rig_wait_sessions(&rig);

	const char *found = strstr(answer, "(UIDVALIDITY ");

	CHECK(found);
	uidvalidity = strtoul(found + strlen("(UIDVALIDITY "), NULL, 10);
}

static void prepare(void)
{
	if (runs++ % RUNS_PER_STORE)
		return;
	if (runs > 1)
		rig_stop(&rig);
	else
		CHECK(atexit(stop) == 0);
	CHECK(rig_start(&rig) == 0);
	CHECK(rig_accounts(&rig, QUOTA_BYTES, RUNS_PER_STORE, accounts) == 0);
	rig.services.limits.line_bytes_max = 2000;
	rig.services.limits.literal_bytes_max = 2000;
	rig.services.limits.append_bytes_max = 20000;
	rig.services.limits.append_items_max = 4;
	rig.services.limits.output_bytes_max = 4096;
	rig.services.limits.set_ranges_max = 20;
	rig.services.limits.list_depth_max = 10;
	rig.services.limits.bad_max = 1000;
	learn_uidvalidity();
}

/* Sends what it has while it reads; false: the server has closed. */
static bool client_step(struct client *client)
{
	char answer[4096];

	if (recv(client->fd, answer, sizeof(answer), MSG_DONTWAIT) == 0)
		return false;
	if (!client->bytes.len)
		return true;
	ssize_t sent = send(client->fd, client->bytes.at, client->bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0 && errno != EAGAIN)
		client->bytes = (struct slice){NULL, 0};
	else
		client->bytes = slice_from(client->bytes, sent < 0 ? 0 : (size_t)sent);
	if (!client->bytes.len)
		(void)shutdown(client->fd, SHUT_WR);
	return true;
}

/* All send everything while reading everything; all ends are bounded. */
static void talk(struct client *clients, nfds_t open)
{
	struct pollfd ready[CLIENTS];

	while (open) {
		for (nfds_t i = 0; i < open; i++)
			ready[i] = (struct pollfd){
				.fd = clients[i].fd, .events = (short)(POLLIN | (clients[i].bytes.len ? POLLOUT : 0))};
		if (poll(ready, open, -1) < 0)
			continue;
		for (nfds_t i = open; i--;) {
			if (!ready[i].revents || client_step(&clients[i]))
				continue;
			(void)close(clients[i].fd);
			clients[i] = clients[--open];
		}
	}
}

static void connect_client(struct client *client, uint64_t account, struct slice bytes, size_t size)
{
	struct slice early = slice_first(bytes, size % PIPELINED_MAX);

	CHECK(rig_connect(&rig, account, early, &client->fd) == 0);
	client->bytes = slice_from(bytes, early.len);
	if (!client->bytes.len)
		(void)shutdown(client->fd, SHUT_WR);
}

/* The input with the UIDVALIDITY in place of its marks. */
static void put_input(struct buffer *text, struct slice input)
{
	for (size_t i = 0; i < input.len; i++) {
		if (input.at[i] == VALIDITY_MARK)
			buffer_printf(text, "%lu", uidvalidity);
		else
			buffer_put_byte(text, (uint8_t)input.at[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer text = BUFFER_INIT(1 << 24);
	struct client clients[CLIENTS];
	struct slice all;
	uint64_t account;
	size_t mark;

	prepare();
	account = accounts[(runs - 1) % RUNS_PER_STORE];
	CHECK(rig_deliver(&rig, account, SLICE("INBOX"), slice_of(plain)) == 0);
	CHECK(rig_deliver(&rig, account, SLICE("INBOX"), slice_of(parts)) == 0);
	put_input(&text, slice_make(data, size));
	CHECK(!buffer_error(&text));
	all = buffer_slice(&text);
	mark = slice_find_byte(all, CLIENT_MARK);
	connect_client(&clients[0], account, slice_first(all, MIN(mark, all.len)), size);
	if (mark != SIZE_MAX)
		connect_client(&clients[1], account, slice_from(all, mark + 1), size);
	talk(clients, mark == SIZE_MAX ? 1 : CLIENTS);
	rig_wait_sessions(&rig);
	buffer_free(&text);
	return 0;
}
