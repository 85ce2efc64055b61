/*
 * A whole session behind the login, on a socket pair, with a real store and two messages in INBOX. Whatever a client sends, every byte that
 * comes back is read, the session ends when the client does, and nothing of it is left.
 */
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "../imap/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUNS_PER_STORE = 500, PIPELINED_MAX = 64, QUOTA_BYTES = 100000 };

static struct rig rig;
static unsigned runs;
static uint64_t accounts[RUNS_PER_STORE]; /* one for each run: what one client did must not matter to the next */

static const char plain[] =
	"From: Ann <ann@example.org>\nSubject: plain\nDate: Thu, 13 Feb 1992 23:32:54 +0100\n\nHello\n";
static const char parts[] =
	"From: ann@example.org\nSubject: =?utf-8?q?f=C3=BCr?=\nContent-Type: multipart/mixed; boundary=b\n\n"
	"--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n"
	"--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nx\n--b--\n";

static void stop(void)
{
	rig_stop(&rig);
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
}

/* Sends everything while reading everything; both ends are bounded. */
static void talk(int fd, struct slice bytes)
{
	struct pollfd ready = {.fd = fd};
	char answer[4096];

	for (;;) {
		ready.events = (short)(POLLIN | (bytes.len ? POLLOUT : 0));
		if (poll(&ready, 1, -1) < 0)
			continue;
		if (ready.revents & (POLLIN | POLLHUP) && recv(fd, answer, sizeof(answer), MSG_DONTWAIT) == 0)
			return;
		if (!bytes.len || !(ready.revents & POLLOUT))
			continue;
		ssize_t sent = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		bytes = sent < 0 ? (struct slice){NULL, 0} : slice_from(bytes, (size_t)sent);
		if (!bytes.len)
			(void)shutdown(fd, SHUT_WR);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size), early;
	uint64_t account;
	int fd;

	prepare();
	account = accounts[(runs - 1) % RUNS_PER_STORE];
	CHECK(rig_deliver(&rig, account, SLICE("INBOX"), slice_of(plain)) == 0);
	CHECK(rig_deliver(&rig, account, SLICE("INBOX"), slice_of(parts)) == 0);
	early = slice_first(bytes, size % PIPELINED_MAX);
	CHECK(rig_connect(&rig, account, early, &fd) == 0);
	bytes = slice_from(bytes, early.len);
	if (!bytes.len)
		(void)shutdown(fd, SHUT_WR);
	talk(fd, bytes);
	(void)close(fd);
	rig_wait_sessions(&rig);
	return 0;
}
