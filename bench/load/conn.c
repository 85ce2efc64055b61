#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "load.h"

enum {
	READ_ROOM = 128 << 10,
	WORTH_MOVING = 4096 /* to the front, so that what is read goes where it is warm */,
	CLIENTS_PER_ADDRESS = 10000
};

static int failed(struct conn *conn, const char *what, int error)
{
	conn->open = false;
	return client_error(conn->client, "%s: %s", what, error ? strerror(-error) : "closed by the server");
}

/* After an SSL call that did not succeed: waits when it only wants to; else what went wrong. */
static int tls_wait(struct conn *conn, int result)
{
	int error = SSL_get_error(conn->ssl, result);

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return client_wait(conn->client);
	ERR_clear_error();
	return error == SSL_ERROR_ZERO_RETURN ? -ECONNRESET : -EPROTO;
}

static int tls_start(struct conn *conn)
{
	int error = 0, result;

	conn->ssl = SSL_new(conn->client->load->tls);
	CHECK(conn->ssl && SSL_set_fd(conn->ssl, conn->fd) == 1);
	while (!error && (result = SSL_connect(conn->ssl)) != 1)
		error = tls_wait(conn, result);
	return error;
}

/* A port is used up after 28,000 connections to the same address: many clients come from several of 127.0.0.0/8. */
static int come_from(int fd, unsigned index)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int on = 1;

	from.sin_addr.s_addr = htonl(0x7f000001 + index / CLIENTS_PER_ADDRESS);
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
		return -errno;
	return bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ? -errno : 0;
}

static int tcp_connect(struct conn *conn, const struct endpoint *to)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	unsigned from = conn->client->index;
	int on = 1, error = 0;
	socklen_t len = sizeof(error);

	if (inet_pton(AF_INET, to->host, &address.sin_addr) != 1)
		return -EINVAL;
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		return -errno;
	if (from >= CLIENTS_PER_ADDRESS)
		error = come_from(conn->fd, from);
	(void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	worker_watch(conn->client->worker, conn->fd, conn->client);
	if (error || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return error;
	if (errno != EINPROGRESS)
		return -errno;
	/* The first event may be the one of a socket not connected yet. */
	do {
		struct sockaddr_in peer;
		socklen_t peer_len = sizeof(peer);

		error = client_wait(conn->client);
		if (!error && getpeername(conn->fd, (struct sockaddr *)&peer, &peer_len) == 0)
			return 0;
		if (!error)
			(void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	} while (!error);
	return error > 0 ? -error : error;
}

int conn_open(struct conn *conn, struct client *client, const struct endpoint *to)
{
	int error;

	*conn = (struct conn){.client = client, .fd = -1, .in = BUFFER_INIT(LOAD_RESPONSE_MAX)};
	error = tcp_connect(conn, to);
	if (!error && to->tls)
		error = tls_start(conn);
	if (error) {
		(void)failed(conn, "connect", error);
		conn_close(conn);
		return error;
	}
	conn->open = true;
	return 0;
}

void conn_close(struct conn *conn)
{
	if (conn->ssl && conn->open)
		(void)SSL_shutdown(conn->ssl);
	SSL_free(conn->ssl);
	conn->ssl = NULL;
	if (conn->fd >= 0)
		(void)close(conn->fd);
	conn->fd = -1;
	conn->open = false;
	buffer_free(&conn->in);
}

static ssize_t send_some(struct conn *conn, struct slice bytes, int *ret_error)
{
	ssize_t n;

	*ret_error = 0;
	if (conn->ssl) {
		int result = SSL_write(conn->ssl, bytes.at, (int)MIN(bytes.len, 1U << 30));

		if (result <= 0)
			*ret_error = tls_wait(conn, result);
		return MAX(result, 0);
	}
	n = send(conn->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
	if (n < 0)
		*ret_error = errno == EAGAIN ? client_wait(conn->client) : -errno;
	return MAX(n, 0);
}

int conn_send(struct conn *conn, struct slice bytes)
{
	while (bytes.len) {
		int error;
		ssize_t n = send_some(conn, bytes, &error);

		if (error)
			return failed(conn, "write", error);
		bytes = slice_from(bytes, (size_t)n);
	}
	return 0;
}

/* One system call for all of them, and one segment for the server to wake up for, as far as they fit; TLS takes them one by one. */
int conn_send_parts(struct conn *conn, const struct slice *parts, size_t count)
{
	struct iovec vectors[CONN_PARTS];
	ssize_t n = 0;
	int error = 0;

	CHECK(count <= CONN_PARTS);
	for (size_t i = 0; i < count; i++)
		vectors[i] = (struct iovec){(char *)(uintptr_t)parts[i].at, parts[i].len};
	if (!conn->ssl)
		n = sendmsg(conn->fd, &(struct msghdr){.msg_iov = vectors, .msg_iovlen = count}, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		return failed(conn, "write", -errno);
	n = MAX(n, 0);
	for (size_t i = 0; i < count && !error; i++) {
		size_t sent = MIN((size_t)n, parts[i].len);

		n -= (ssize_t)sent;
		error = conn_send(conn, slice_from(parts[i], sent));
	}
	return error;
}

/* The kernel forgets this wish whenever it likes: it has to be repeated. */
static void acknowledge_at_once(struct conn *conn)
{
	int on = 1;

	if (conn->client->load->quick_ack)
		(void)setsockopt(conn->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* Bytes added to what is unread; 0: none yet. */
static ssize_t receive_some(struct conn *conn, char *room, int *ret_error)
{
	ssize_t n;

	*ret_error = 0;
	if (conn->ssl) {
		int result = SSL_read(conn->ssl, room, READ_ROOM);

		if (result <= 0)
			*ret_error = tls_wait(conn, result);
		return MAX(result, 0);
	}
	n = recv(conn->fd, room, READ_ROOM, 0);
	if (n == 0)
		*ret_error = -ECONNRESET;
	else if (n < 0)
		*ret_error = errno == EAGAIN ? client_wait(conn->client) : -errno;
	return MAX(n, 0);
}

static int receive(struct conn *conn)
{
	char *room;
	int error = 0;
	ssize_t n = 0;

	if (conn->in_at == conn->in.len) {
		buffer_reset(&conn->in);
		conn->in_at = 0;
	} else if (conn->in_at > (1U << 20) || conn->in.len - conn->in_at < WORTH_MOVING) {
		buffer_consume(&conn->in, conn->in_at);
		conn->in_at = 0;
	}
	room = buffer_room(&conn->in, READ_ROOM);
	if (!room)
		return failed(conn, "read: more than any answer has", -ENOBUFS);
	acknowledge_at_once(conn);
	while (!error && n == 0)
		n = receive_some(conn, room, &error);
	if (error)
		return failed(conn, "read", error);
	buffer_added(&conn->in, (size_t)n);
	return 0;
}

int conn_peek(struct conn *conn, size_t bytes, struct slice *ret_unread)
{
	while (conn->in.len - conn->in_at < bytes) {
		int error = receive(conn);

		if (error)
			return error;
	}
	*ret_unread = slice_from(buffer_slice(&conn->in), conn->in_at);
	return 0;
}

void conn_take(struct conn *conn, size_t bytes)
{
	CHECK(bytes <= conn->in.len - conn->in_at);
	conn->in_at += bytes;
}

static size_t find(struct slice bytes, struct slice end)
{
	return end.len == 1 ? slice_find_byte(bytes, end.at[0]) : slice_find(bytes, end);
}

int conn_until(struct conn *conn, struct slice end, struct slice *ret_bytes)
{
	struct slice unread = slice_from(buffer_slice(&conn->in), conn->in_at);
	size_t searched = 0, at;

	while ((at = find(slice_from(unread, searched), end)) == SIZE_MAX) {
		int error;

		searched = unread.len - MIN(unread.len, end.len - 1);
		error = conn_peek(conn, unread.len + 1, &unread);
		if (error)
			return error;
	}
	*ret_bytes = slice_first(unread, searched + at + end.len);
	conn_take(conn, searched + at + end.len);
	return 0;
}

int conn_line(struct conn *conn, struct slice *ret_line)
{
	struct slice line;
	int error = conn_until(conn, SLICE("\n"), &line);

	if (error)
		return error;
	line.len--;
	if (line.len == 0 || line.at[line.len - 1] != '\r')
		return client_error(
			conn->client, "a line that ends with a bare LF: %.*s", SLICE_ARG(slice_first(line, 80)));
	line.len--;
	*ret_line = line;
	return 0;
}

int conn_expect(struct conn *conn, struct slice start)
{
	struct slice line;
	int error = conn_line(conn, &line);

	if (error || slice_starts(line, start))
		return error;
	return client_error(
		conn->client, "'%.*s' instead of '%.*s'", SLICE_ARG(slice_first(line, 150)), SLICE_ARG(start));
}

/* As they come, while they are warm: nothing is gathered or copied. */
int conn_expect_bytes(struct conn *conn, const char *what, struct slice bytes)
{
	size_t len = bytes.len;

	while (bytes.len) {
		struct slice unread;
		int error = conn_peek(conn, 1, &unread);

		if (error)
			return error;
		unread = slice_first(unread, bytes.len);
		if (memcmp(unread.at, bytes.at, unread.len) != 0)
			return client_error(conn->client, "%s: other bytes than were sent, between %zu and %zu", what,
				len - bytes.len, len - bytes.len + unread.len);
		conn_take(conn, unread.len);
		bytes = slice_from(bytes, unread.len);
	}
	return 0;
}
