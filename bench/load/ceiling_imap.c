/* The limit of FETCH and of logins: a server that does nothing but send answers that were made before. The generator checks them as any others. */
#include <signal.h>
#include <unistd.h>

#include "ceiling.h"
#include "load.h"

enum { LINE_MAX_BYTES = 4096 };

struct answers {
	struct buffer flags, envelope, header; /* to FETCH 1:* of each */
	uint64_t messages;
};

/* Answers are about as long as what Penfold says of a small message: 30 bytes on average for its 25 (no flag is set), 407 for 421, 266 for 266. */
static void put_flags(uint64_t number, struct buffer *out)
{
	buffer_printf(out, "* %llu FETCH (FLAGS (\\Seen))\r\n", (unsigned long long)(number + 1));
}

static void put_header(const struct load *load, uint64_t number, struct buffer *scratch, struct buffer *out)
{
	buffer_reset(scratch);
	buffer_put_text(scratch, "From: Somebody Known <somebody@example.net>\r\nTo: user@example.org\r\nSubject: ");
	messages_put_subject(load->made, load->kind, load->first + number, scratch);
	buffer_put_text(scratch, "\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: ");
	messages_put_id(load->kind, load->first + number, scratch);
	buffer_put_text(scratch, "\r\n\r\n");
	buffer_printf(out, "* %llu FETCH (BODY[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)] {%zu}\r\n",
		(unsigned long long)(number + 1), scratch->len);
	buffer_put(out, buffer_slice(scratch));
	buffer_put_text(out, ")\r\n");
}

static void put_envelope(const struct load *load, uint64_t number, struct buffer *out)
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

static struct slice fetched(const struct answers *answers, struct slice line)
{
	if (slice_find(line, SLICE("ENVELOPE")) != SIZE_MAX)
		return buffer_slice(&answers->envelope);
	return buffer_slice(slice_find(line, SLICE("HEADER")) != SIZE_MAX ? &answers->header : &answers->flags);
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
		more = ceiling_send(fd, fetched(answers, line));
	buffer_printf(&text, "%.*s OK done\r\n", SLICE_ARG(tag));
	more = more && ceiling_send(fd, buffer_slice(&text));
	buffer_free(&text);
	return more;
}

static void serve_lines(const struct answers *answers, FILE *in, int fd)
{
	char line[LINE_MAX_BYTES];
	bool more = ceiling_send(fd, SLICE("* OK\r\n"));

	while (more && fgets(line, sizeof(line), in))
		more = answer(answers, fd, slice_trim(slice_of(line)));
}

static void serve_client(const void *answers, int fd)
{
	FILE *in = fdopen(fd, "r");

	CHECK(in);
	serve_lines(answers, in, fd);
	(void)fclose(in);
}

static void answers_make(struct answers *answers, const struct load *load)
{
	struct buffer scratch = BUFFER_INIT(LINE_MAX_BYTES);

	for (uint64_t i = 0; i < answers->messages; i++) {
		put_flags(i, &answers->flags);
		put_envelope(load, i, &answers->envelope);
		put_header(load, i, &scratch, &answers->header);
	}
	CHECK(!buffer_error(&answers->flags) && !buffer_error(&answers->envelope) && !buffer_error(&answers->header));
	buffer_free(&scratch);
}

int ceiling_answers(const struct load *load)
{
	enum { BYTES_MAX = 1 << 30 };
	struct answers answers = {.flags = BUFFER_INIT(BYTES_MAX),
		.envelope = BUFFER_INIT(BYTES_MAX),
		.header = BUFFER_INIT(BYTES_MAX),
		.messages = load->messages};
	uint16_t port;
	int listener = ceiling_listen(&port);

	(void)signal(SIGPIPE, SIG_IGN);
	answers_make(&answers, load);
	ceiling_accept(listener, serve_client, &answers);
	ceiling_until_end(port, 0);
}
