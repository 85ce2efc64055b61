/* The limit of FETCH: a server that does nothing but send answers that were made before. The generator checks them as any others. */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceiling.h"
#include "load.h"

enum { LINE_MAX_BYTES = 4096, SEND_BYTES = 256 << 10 };

struct answers {
	struct buffer fetch; /* to FETCH 1:* (ENVELOPE BODYSTRUCTURE) */
	uint64_t messages;
};

/* As long as what Penfold answers for a small message, some 420 bytes. */
static void put_answer(const struct load *load, uint64_t number, struct buffer *out)
{
	static const char address[] = "((\"Somebody Known\" NIL \"somebody\" \"example.net\"))";

	buffer_printf(
		out, "* %llu FETCH (ENVELOPE (\"Mon, 1 Jan 2024 00:00:00 +0000\" \"", (unsigned long long)(number + 1));
	messages_put_subject(load->made, load->kind, load->first + number, out);
	buffer_printf(out, "\" %s %s %s %s NIL NIL NIL \"", address, address, address,
		"((NIL NIL \"user\" \"example.org\"))");
	messages_put_id(load->kind, load->first + number, out);
	buffer_put_text(out,
		"\") BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 3210 45 NIL "
		"NIL NIL NIL))\r\n");
}

static bool send_all(int fd, struct slice bytes)
{
	while (bytes.len) {
		ssize_t sent = send(fd, bytes.at, MIN(bytes.len, (size_t)SEND_BYTES), MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes = slice_from(bytes, (size_t)sent);
	}
	return true;
}

static bool answer(const struct answers *answers, int fd, struct slice line)
{
	struct slice tag = slice_split(&line, ' ');
	struct buffer text = BUFFER_INIT(LINE_MAX_BYTES);
	unsigned long long messages = answers->messages;
	bool more = true;

	if (slice_starts(line, SLICE("SELECT")))
		buffer_printf(&text, "* %llu EXISTS\r\n* OK [UIDVALIDITY 1] .\r\n* OK [UIDNEXT %llu] .\r\n", messages,
			messages + 1);
	else if (slice_starts(line, SLICE("LOGOUT")))
		buffer_put_text(&text, "* BYE\r\n");
	else if (slice_starts(line, SLICE("FETCH")))
		more = send_all(fd, buffer_slice(&answers->fetch));
	buffer_printf(&text, "%.*s OK done\r\n", SLICE_ARG(tag));
	more = more && send_all(fd, buffer_slice(&text));
	buffer_free(&text);
	return more;
}

static void serve_lines(const struct answers *answers, FILE *in, int fd)
{
	char line[LINE_MAX_BYTES];
	bool more = send_all(fd, SLICE("* OK\r\n"));

	while (more && fgets(line, sizeof(line), in))
		more = answer(answers, fd, slice_trim(slice_of(line)));
}

struct serving {
	struct answers answers;
	int listener;
};

static void *serve(void *context)
{
	const struct serving *serving = context;
	int fd;

	while ((fd = accept(serving->listener, NULL, NULL)) >= 0) {
		FILE *in = fdopen(fd, "r");

		CHECK(in);
		serve_lines(&serving->answers, in, fd);
		(void)fclose(in);
	}
	return NULL;
}

int ceiling_answers(const struct load *load)
{
	struct serving serving = {.answers = {.fetch = BUFFER_INIT(1U << 30), .messages = load->messages}};
	pthread_t thread;
	uint16_t port;

	(void)signal(SIGPIPE, SIG_IGN);
	for (uint64_t i = 0; i < load->messages; i++)
		put_answer(load, i, &serving.answers.fetch);
	CHECK(buffer_error(&serving.answers.fetch) == 0);
	serving.listener = ceiling_listen(&port);
	CHECK(pthread_create(&thread, NULL, serve, &serving) == 0);
	ceiling_until_end(port);
}
