/* The limit of a POP3 drain: a server that has all messages in memory as they are sent, and does nothing but send them. */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceiling.h"
#include "load.h"

enum { INPUT_MAX = 65536, READ_BYTES = 16384, FLUSH_BYTES = 256 << 10, ANSWER_MAX = FLUSH_BYTES + (32 << 20) };

struct maildrop {
	struct buffer bytes; /* of all messages, one behind the other */
	size_t *at;
	uint64_t messages;
};

static struct slice message(const struct maildrop *drop, uint64_t number)
{
	return slice_make(drop->bytes.at + drop->at[number - 1], drop->at[number] - drop->at[number - 1]);
}

/* None of the generator's messages has a line that begins with a dot. */
static void answer(const struct maildrop *drop, struct slice line, struct buffer *out)
{
	struct slice verb = slice_split(&line, ' ');
	uint64_t number;

	if (slice_equal(verb, SLICE("STAT"))) {
		buffer_printf(out, "+OK %llu %zu\r\n", (unsigned long long)drop->messages, drop->bytes.len);
		return;
	}
	if (!slice_equal(verb, SLICE("RETR"))) {
		buffer_put_text(out, "+OK\r\n");
		return;
	}
	if (slice_to_u64(line, drop->messages, &number) || number == 0) {
		buffer_put_text(out, "-ERR no such message\r\n");
		return;
	}
	buffer_put_text(out, "+OK\r\n");
	buffer_put(out, message(drop, number));
	buffer_put_text(out, ".\r\n");
}

static bool flush(int fd, struct buffer *out)
{
	bool sent = ceiling_send(fd, buffer_slice(out));

	buffer_reset(out);
	return sent;
}

/* Answers all whole lines of the input, many at a time. */
static bool answer_lines(const struct maildrop *drop, int fd, struct buffer *in, struct buffer *out)
{
	size_t at = 0, end;
	bool sent = true;

	while (sent && (end = slice_find(slice_from(buffer_slice(in), at), SLICE("\r\n"))) != SIZE_MAX) {
		answer(drop, slice_make(in->at + at, end), out);
		at += end + 2;
		if (out->len >= FLUSH_BYTES)
			sent = flush(fd, out);
	}
	buffer_consume(in, at);
	return sent && flush(fd, out);
}

static void serve(const void *context, int fd)
{
	struct buffer in = BUFFER_INIT(INPUT_MAX), out = BUFFER_INIT(ANSWER_MAX);
	bool more = ceiling_send(fd, SLICE("+OK\r\n"));

	while (more) {
		char *room = buffer_room(&in, READ_BYTES);
		ssize_t n = room ? recv(fd, room, READ_BYTES, 0) : -1;

		if (n <= 0)
			break;
		buffer_added(&in, (size_t)n);
		more = answer_lines(context, fd, &in, &out);
	}
	buffer_free(&in);
	buffer_free(&out);
	(void)close(fd);
}

int ceiling_maildrop(const struct load *load)
{
	struct maildrop drop = {.bytes = BUFFER_INIT(1U << 30), .messages = load->messages};
	uint16_t port;
	int listener = ceiling_listen(&port);

	(void)signal(SIGPIPE, SIG_IGN);
	drop.at = calloc(drop.messages + 1, sizeof(*drop.at));
	CHECK(drop.at);
	for (uint64_t i = 0; i < drop.messages; i++) {
		messages_put(load->made, load->kind, load->first + i, &drop.bytes);
		drop.at[i + 1] = drop.bytes.len;
	}
	CHECK(buffer_error(&drop.bytes) == 0);
	ceiling_accept(listener, serve, &drop);
	ceiling_until_end(port, 0);
}
