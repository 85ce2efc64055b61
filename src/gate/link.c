#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <unistd.h>

#include "gate/link.h"

enum {
	KEEPALIVE_IDLE_S = 300, /* so that a client that vanished while it was idle is found */
	KEEPALIVE_EVERY_S = 60,
};

static void set_options(int fd)
{
	const int on = 1, idle_s = KEEPALIVE_IDLE_S, every_s = KEEPALIVE_EVERY_S;

	/* None of them is worth refusing a client. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
}

int link_init(struct link *link, struct net_loop *loop, int fd, size_t out_max, void (*ready)(void *owner, int events),
	void *owner)
{
	*link = (struct link){.fd = fd, .out = BUFFER_INIT(out_max)};
	set_options(fd);
	return net_watch_new(loop, fd, ready, owner, &link->watch);
}

void link_clear(struct link *link)
{
	char unread[1024];

	buffer_free(&link->out);
	net_watch_free(&link->watch);
	if (link->ssl) {
		ERR_clear_error();
		if (SSL_is_init_finished(link->ssl))
			(void)SSL_shutdown(link->ssl);
		SSL_free(link->ssl);
		link->ssl = NULL;
	}
	if (link->fd < 0)
		return;
	/* Bytes left unread would make close(2) reset the connection and destroy our last words. */
	(void)shutdown(link->fd, SHUT_WR);
	for (int i = 0; i < 64 && recv(link->fd, unread, sizeof(unread), MSG_DONTWAIT) > 0; i++)
		;
	(void)close(link->fd);
	link->fd = -1;
}

int link_start_tls(struct link *link, struct tls *tls, enum gate_protocol protocol)
{
	link->ssl = tls_accept(tls, link->fd, protocol);
	return link->ssl ? 0 : -ENOMEM;
}

/* What a failed call of OpenSSL means; 0 for the end. */
static int tls_error(struct link *link, int result)
{
	int error = SSL_get_error(link->ssl, result);
	int saved = errno;

	switch (error) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		link->tls_wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return saved ? -saved : -ECONNRESET;
	default:
		return -EPROTO;
	}
}

int link_handshake(struct link *link)
{
	int result, error;

	ERR_clear_error();
	link->tls_wants_write = false;
	errno = 0;
	result = SSL_accept(link->ssl);
	if (result == 1)
		return 0;
	error = tls_error(link, result);
	return error ? error : -ECONNRESET;
}

static ssize_t read_tls(struct link *link, char *at, size_t room)
{
	size_t got;

	ERR_clear_error();
	link->tls_wants_write = false;
	errno = 0;
	if (SSL_read_ex(link->ssl, at, room, &got) == 1)
		return (ssize_t)got;
	return tls_error(link, 0);
}

ssize_t link_read(struct link *link, char *at, size_t room)
{
	ssize_t got;

	if (link->ssl)
		return read_tls(link, at, room);
	do
		got = recv(link->fd, at, room, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* How many bytes were taken; a negative errno only when none. */
static ssize_t write_some(struct link *link, struct slice bytes)
{
	ssize_t done;
	size_t some;
	int error;

	if (!link->ssl) {
		done = send(link->fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		return done < 0 ? -errno : done;
	}
	ERR_clear_error();
	errno = 0;
	if (SSL_write_ex(link->ssl, bytes.at, bytes.len, &some) == 1)
		return (ssize_t)some;
	error = SSL_get_error(link->ssl, 0);
	if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
		return -EAGAIN;
	return error == SSL_ERROR_SYSCALL && errno ? -errno : -EPIPE;
}

/* Sends from the front of *bytes, which keeps what is left. */
static int send_front(struct link *link, struct slice *bytes)
{
	while (bytes->len) {
		ssize_t done = write_some(link, *bytes);

		if (done == -EINTR)
			continue;
		if (done < 0)
			return (int)done;
		link->moved = true;
		*bytes = slice_from(*bytes, (size_t)done);
	}
	return 0;
}

int link_flush(struct link *link)
{
	struct slice rest = buffer_slice(&link->out);
	int error = send_front(link, &rest);

	if (rest.len == 0)
		buffer_free(&link->out);
	else
		buffer_consume(&link->out, link->out.len - rest.len);
	return error;
}

int link_write(struct link *link, struct slice bytes)
{
	int error = link->out.len ? -EAGAIN : send_front(link, &bytes);

	if (error != -EAGAIN)
		return error;
	buffer_put(&link->out, bytes);
	return buffer_error(&link->out) ? buffer_error(&link->out) : -EAGAIN;
}

int link_poll(struct link *link, bool reading)
{
	int wanted = (reading ? POLLIN : 0) | (link->out.len || link->tls_wants_write ? POLLOUT : 0);

	if (wanted == link->watched)
		return 0;
	link->watched = wanted;
	return net_watch_for(link->watch, wanted);
}
