/*
 * Code of a stranger inside Penfold's processes, as a memory bug would bring it there: linked around two functions of the program (--wrap), so that
 * the program itself knows nothing of it. It wakes up when a client says four bytes that no protocol has.
 *
 *   to a gate, before login     MARK attack NAME OTHER PORT OUTSIDE SOCKET     -> NAME: errno
 *                               MARK send DESCRIPTOR COUNT HEX                 -> sent: errno     raw bytes to core
 *                               MARK pid                                       -> pid: number
 *   to core, as an LMTP line    MARK attack NAME OTHER PORT OUTSIDE SOCKET     -> the same, on standard error
 *
 * An errno of 0 says that an attack got what it wanted.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attacks.h"
#include "gate/connection.h"
#include "lmtp/parse.h"

#define MARK "\x90\x91\x92\x93 "
enum { MARK_BYTES = 5, ORDER_BYTES_MAX = 65536, WORDS_MAX = 8, DESCRIPTORS_LOOKED_AT = 1024 };

ssize_t __real_link_read(struct link *link, char *at, size_t room);
ssize_t __wrap_link_read(struct link *link, char *at, size_t room);
enum lmtp_syntax __real_lmtp_command_parse(struct slice line, struct lmtp_command *ret_command);
enum lmtp_syntax __wrap_lmtp_command_parse(struct slice line, struct lmtp_command *ret_command);

/* ---- What there is in this process ---- */

static int socket_number(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

static int find_socket(bool listening)
{
	struct sockaddr_storage peer;

	for (int fd = 3; fd < DESCRIPTORS_LOOKED_AT; fd++) {
		socklen_t size = sizeof(peer);
		int domain = socket_number(fd, SO_DOMAIN);

		if (domain != AF_INET && domain != AF_INET6)
			continue;
		if (socket_number(fd, SO_ACCEPTCONN) == listening &&
			(listening || getpeername(fd, (struct sockaddr *)(void *)&peer, &size) == 0))
			return fd;
	}
	return -1;
}

static size_t split(char *text, char **words)
{
	size_t count = 0;
	char *rest = text;

	while (rest && count < WORDS_MAX) {
		words[count++] = rest;
		rest = strchr(rest, ' ');
		if (rest)
			*rest++ = '\0';
	}
	return count;
}

static void attack(char **words, size_t count, int answer_to)
{
	const struct attack *attack = count == 6 ? attack_find(words[1]) : NULL;
	char answer[128];
	int len, result = -1;

	if (attack) {
		const struct attack_world world = {.other = (pid_t)strtol(words[2], NULL, 10),
			.listener = find_socket(true),
			.stream = find_socket(false),
			.port = (uint16_t)strtoul(words[3], NULL, 10),
			.outside = words[4],
			.socket = words[5]};

		result = attack->run(&world);
	}
	len = snprintf(answer, sizeof(answer), "%s: %d\n", count > 1 ? words[1] : "", result);
	if (write(answer_to, answer, (size_t)len) < 0)
		_exit(1);
}

/* ---- Messages to core ---- */

static int descriptor_named(struct connection *connection, const char *name)
{
	if (strcmp(name, "stream") == 0)
		return connection->link.fd;
	if (strcmp(name, "listener") == 0)
		return connection->gate->settings->listeners[0].fd;
	if (strcmp(name, "log") == 0)
		return STDERR_FILENO;
	if (strcmp(name, "channel") == 0)
		return connection->gate->settings->channel_fd;
	if (strcmp(name, "control") == 0)
		return connection->gate->settings->control_fd;
	return -1;
}

static size_t unhex(const char *hex, unsigned char *bytes)
{
	size_t count = 0;
	unsigned value;

	while (sscanf(hex + 2 * count, "%2x", &value) == 1)
		bytes[count++] = (unsigned char)value;
	return count;
}

/* With `twice` the descriptor comes along twice. */
static int send_raw(int channel, int fd, size_t fd_count, const unsigned char *bytes, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct pollfd wait = {channel, POLLOUT, 0};
	const int fds[2] = {fd, fd};

	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
	}
	while (sendmsg(channel, &message, MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN)
			return errno;
		(void)poll(&wait, 1, 100);
	}
	return 0;
}

static void send_order(struct connection *connection, char **words, size_t count)
{
	static unsigned char bytes[ORDER_BYTES_MAX];
	size_t len, times;
	char answer[64];
	int fd, result = 0;

	if (count != 4)
		_exit(1);
	fd = descriptor_named(connection, words[1]);
	times = strtoul(words[2], NULL, 10);
	len = unhex(words[3], bytes);
	for (size_t i = 0; i < MAX(times, 1) && !result; i++)
		result = send_raw(connection->gate->settings->channel_fd, fd, fd < 0 ? 0 : times ? 1 : 2, bytes, len);
	(void)snprintf(answer, sizeof(answer), "sent: %d\n", result);
	(void)send(connection->link.fd, answer, strlen(answer), MSG_NOSIGNAL);
}

/* ---- Waking up ---- */

static void obey(struct connection *connection, char *order)
{
	char *words[WORDS_MAX], answer[64];
	size_t count = split(order, words);

	if (strcmp(words[0], "attack") == 0) {
		attack(words, count, connection->link.fd);
	} else if (strcmp(words[0], "send") == 0) {
		send_order(connection, words, count);
	} else if (strcmp(words[0], "pid") == 0) {
		(void)snprintf(answer, sizeof(answer), "pid: %d\n", (int)getpid());
		(void)send(connection->link.fd, answer, strlen(answer), MSG_NOSIGNAL);
	}
}

/*
 * 1: a whole order was taken off the connection. -EAGAIN: nothing is there, or only a part of one. 0: what waits is no order.
 */
static int take_order(const struct link *link, char *order)
{
	ssize_t got = recv(link->fd, order, ORDER_BYTES_MAX - 1, MSG_PEEK | MSG_DONTWAIT);
	char *end;

	if (got < 0)
		return errno == EAGAIN ? -EAGAIN : 0;
	if (got == 0 || memcmp(order, MARK, MIN((size_t)got, (size_t)MARK_BYTES)) != 0)
		return 0;
	order[got] = '\0';
	end = strchr(order, '\n');
	if (!end || recv(link->fd, order, (size_t)(end - order) + 1, MSG_DONTWAIT) != end - order + 1)
		return -EAGAIN;
	*end = '\0';
	return 1;
}

ssize_t __wrap_link_read(struct link *link, char *at, size_t room)
{
	static char order[ORDER_BYTES_MAX];
	int taken = 0;

	if (!link->ssl)
		taken = take_order(link, order);
	if (taken == 1)
		obey(CONTAINER_OF(link, struct connection, link), order + MARK_BYTES);
	return taken ? -EAGAIN : __real_link_read(link, at, room);
}

enum lmtp_syntax __wrap_lmtp_command_parse(struct slice line, struct lmtp_command *ret_command)
{
	char order[2048], *words[WORDS_MAX];

	if (line.len > MARK_BYTES && line.len < sizeof(order) && memcmp(line.at, MARK, MARK_BYTES) == 0) {
		memcpy(order, line.at + MARK_BYTES, line.len - MARK_BYTES);
		order[line.len - MARK_BYTES] = '\0';
		attack(words, split(order, words), STDERR_FILENO);
	}
	return __real_lmtp_command_parse(line, ret_command);
}
