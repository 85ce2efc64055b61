/*
 * The limit of taking mail in: LMTP and APPEND into the bare log, and nothing else. Each message is synced before its answer as it is;
 * nobody reads it, nothing says where it is.
 */
#include <signal.h>

#include "bare_log.h"
#include "ceiling.h"
#include "load.h"

enum { LOG_BYTES = 256 << 20 };

struct taking {
	struct bare_log *log;
	bool lmtp;
};

struct taken { /* of one connection */
	const struct taking *taking;
	bool in_data;
	uint64_t uid;
};

/* Takes a line or a message from the front of the input; returns how much, 0: it is not all there yet. */
static size_t lmtp_step(void *context, struct slice in, struct buffer *out)
{
	struct taken *t = context;
	size_t end;

	if (t->in_data) {
		if (in.len < 5 || memcmp(in.at + in.len - 5, "\r\n.\r\n", 5) != 0)
			return 0; /* the client sends nothing behind it until it is answered */
		bare_log_commit(t->taking->log, in);
		t->in_data = false;
		buffer_put_text(out, "250 ok\r\n");
		return in.len;
	}
	end = slice_find(in, SLICE("\r\n"));
	if (end == SIZE_MAX)
		return 0;
	t->in_data = slice_starts(in, SLICE("DATA"));
	buffer_put_text(out, t->in_data                        ? "354 go on\r\n"
			     : slice_starts(in, SLICE("QUIT")) ? "221 bye\r\n"
							       : "250 ok\r\n");
	return end + 2;
}

static size_t imap_step(void *context, struct slice in, struct buffer *out)
{
	struct taken *t = context;
	size_t end = slice_find(in, SLICE("\r\n")), brace;
	struct slice line, tag, rest;
	uint64_t bytes;

	if (end == SIZE_MAX)
		return 0;
	line = rest = slice_first(in, end);
	tag = slice_split(&rest, ' ');
	brace = slice_find(line, SLICE("{"));
	if (brace == SIZE_MAX) {
		if (slice_starts(rest, SLICE("LOGOUT")))
			buffer_put_text(out, "* BYE\r\n");
		buffer_printf(out, "%.*s OK done\r\n", SLICE_ARG(tag));
		return end + 2;
	}
	if (line.len < brace + 3 ||
		slice_to_u64(slice_make(line.at + brace + 1, line.len - brace - 3), CEILING_INPUT_MAX, &bytes))
		return 0;
	if (in.len < end + 2 + bytes + 2)
		return 0;
	bare_log_commit(t->taking->log, slice_make(in.at + end + 2, (size_t)bytes));
	buffer_printf(out, "%.*s OK [APPENDUID 1 %llu] done\r\n", SLICE_ARG(tag), (unsigned long long)++t->uid);
	return end + 2 + (size_t)bytes + 2;
}

static void serve(const void *context, int fd)
{
	struct taken t = {.taking = context};

	if (t.taking->lmtp)
		ceiling_converse(fd, SLICE("220 ok\r\n"), lmtp_step, &t);
	else
		ceiling_converse(fd, SLICE("* OK\r\n"), imap_step, &t);
}

int ceiling_taker(const char *log_path)
{
	struct bare_log *log = bare_log_open(log_path, LOG_BYTES);
	const struct taking imap = {log, false}, lmtp = {log, true};
	uint16_t imap_port, lmtp_port;

	(void)signal(SIGPIPE, SIG_IGN);
	ceiling_accept(ceiling_listen(&imap_port), serve, &imap);
	ceiling_accept(ceiling_listen(&lmtp_port), serve, &lmtp);
	ceiling_until_end(imap_port, lmtp_port);
}
