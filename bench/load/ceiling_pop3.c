/* The limit of a POP3 drain: a server that has all messages in memory as they are sent, and does nothing but send them. */
#include <signal.h>

#include "ceiling.h"
#include "load.h"

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

static size_t take_line(void *context, struct slice in, struct buffer *out)
{
	const struct maildrop *const *drop = context;
	size_t end = slice_find(in, SLICE("\r\n"));

	if (end == SIZE_MAX)
		return 0;
	answer(*drop, slice_first(in, end), out);
	return end + 2;
}

static void serve(const void *context, int fd)
{
	const struct maildrop *drop = context;

	ceiling_converse(fd, SLICE("+OK\r\n"), take_line, &drop);
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
