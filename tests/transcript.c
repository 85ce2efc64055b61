#include "transcript.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000 };

bool transcript_matches(struct slice line, struct slice pattern)
{
	while (pattern.len) {
		if (pattern.at[0] == '*') {
			pattern = slice_from(pattern, 1);
			for (size_t i = 0; i <= line.len; i++)
				if (transcript_matches(slice_from(line, i), pattern))
					return true;
			return false;
		}
		if (line.len == 0 || line.at[0] != pattern.at[0])
			return false;
		line = slice_from(line, 1);
		pattern = slice_from(pattern, 1);
	}
	return line.len == 0;
}

static void expect(const struct transcript *io, struct slice pattern, unsigned number)
{
	struct buffer line = BUFFER_INIT(1 << 20);

	if (!io->receive(io->context, &line))
		fail_msg("line %u: expected '%.*s', but the server said nothing", number, SLICE_ARG(pattern));
	if (!transcript_matches(buffer_slice(&line), pattern))
		fail_msg("line %u: expected '%.*s', got '%.*s'", number, SLICE_ARG(pattern),
			SLICE_ARG(buffer_slice(&line)));
	buffer_free(&line);
}

static void expect_end(const struct transcript *io, unsigned number)
{
	struct buffer line = BUFFER_INIT(1 << 20);

	if (io->receive(io->context, &line))
		fail_msg("line %u: expected nothing more, got '%.*s'", number, SLICE_ARG(buffer_slice(&line)));
	buffer_free(&line);
}

/* Sends `text` with \\r and \\n in it as CR and LF. */
static void send_raw(const struct transcript *io, struct slice text)
{
	struct buffer bytes = BUFFER_INIT(1 << 20);

	for (size_t i = 0; i < text.len; i++) {
		bool escape = text.at[i] == '\\' && i + 1 < text.len && strchr("rn", text.at[i + 1]);

		buffer_put_byte(&bytes, !escape ? text.at[i] : text.at[++i] == 'r' ? '\r' : '\n');
	}
	io->send(io->context, buffer_slice(&bytes));
	buffer_free(&bytes);
}

static void play_line(const struct transcript *io, struct slice line, unsigned number)
{
	while (line.len && line.at[0] == '\t')
		line = slice_from(line, 1);
	if (line.len == 0)
		return;
	if (slice_starts(line, SLICE("C:"))) {
		io->send(io->context, slice_from(line, 3));
		io->send(io->context, SLICE("\r\n"));
	} else if (slice_starts(line, SLICE("C|"))) {
		send_raw(io, slice_from(line, 3));
	} else if (slice_starts(line, SLICE("S:"))) {
		expect(io, slice_from(line, 3), number);
	} else if (slice_starts(line, SLICE("S."))) {
		expect_end(io, number);
	} else {
		fail_msg("line %u: no transcript: '%.*s'", number, SLICE_ARG(line));
	}
}

void transcript_play(const struct transcript *io, const char *text)
{
	struct slice rest = slice_of(text);

	for (unsigned number = 1; rest.len; number++)
		play_line(io, slice_split(&rest, '\n'), number);
}

static void socket_send(void *context, struct slice bytes)
{
	struct transcript_socket *s = context;

	while (bytes.len) {
		ssize_t sent = send(s->fd, bytes.at, bytes.len, MSG_NOSIGNAL);

		/* A server that closed is found out by what it does not answer. */
		if (sent < 0)
			return;
		bytes = slice_from(bytes, (size_t)sent);
	}
}

static bool receive_more(struct transcript_socket *s)
{
	struct pollfd ready = {.fd = s->fd, .events = POLLIN};
	char *room;
	ssize_t got;

	buffer_consume(&s->input, s->at);
	s->at = 0;
	room = buffer_room(&s->input, 65536);
	assert_non_null(room);
	if (poll(&ready, 1, PATIENCE_MS) <= 0)
		fail_msg("the server did not answer in %d ms", PATIENCE_MS);
	got = recv(s->fd, room, 65536, 0);
	if (got <= 0)
		return false;
	buffer_added(&s->input, (size_t)got);
	return true;
}

static bool socket_receive(void *context, struct buffer *ret_line)
{
	struct transcript_socket *s = context;
	struct slice line;
	size_t end;

	while ((end = slice_find_byte(slice_from(buffer_slice(&s->input), s->at), '\n')) == SIZE_MAX)
		if (!receive_more(s))
			return false;
	line = slice_first(slice_from(buffer_slice(&s->input), s->at), end);
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	buffer_put(ret_line, line);
	s->at += end + 1;
	return true;
}

bool transcript_is_quiet(const struct transcript_socket *socket)
{
	char byte;

	return socket->at == socket->input.len && recv(socket->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

struct transcript transcript_over(struct transcript_socket *socket)
{
	return (struct transcript){socket_send, socket_receive, socket};
}
