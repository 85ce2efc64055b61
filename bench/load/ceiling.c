#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceiling.h"

enum { POOL_BYTES = 256 << 20, PIECE = 23 << 10, LOOPBACK_BYTES = 64 };
enum { READ_BYTES = 256 << 10, SEND_BYTES = 256 << 10, OUTPUT_MAX = SEND_BYTES + (32 << 20) };

int ceiling_listen(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 1024) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

struct accepting {
	int listener;
	void (*serve)(const void *context, int fd);
	const void *context;
};

struct connection {
	const struct accepting *accepting;
	int fd;
};

static void *connection_run(void *context)
{
	struct connection *c = context;

	c->accepting->serve(c->accepting->context, c->fd);
	free(c);
	return NULL;
}

static void *accepting_run(void *context)
{
	const struct accepting *accepting = context;
	pthread_t thread;
	int fd;

	while ((fd = accept(accepting->listener, NULL, NULL)) >= 0) {
		struct connection *c = malloc(sizeof(*c));

		CHECK(c);
		*c = (struct connection){accepting, fd};
		CHECK(pthread_create(&thread, NULL, connection_run, c) == 0);
		CHECK(pthread_detach(thread) == 0);
	}
	return NULL;
}

void ceiling_accept(int listener, void (*serve)(const void *context, int fd), const void *context)
{
	struct accepting *accepting = malloc(sizeof(*accepting)); /* as long as the process */
	pthread_t thread;

	CHECK(accepting);
	*accepting = (struct accepting){listener, serve, context};
	CHECK(pthread_create(&thread, NULL, accepting_run, accepting) == 0);
}

bool ceiling_send(int fd, struct slice bytes)
{
	while (bytes.len) {
		ssize_t sent = send(fd, bytes.at, MIN(bytes.len, (size_t)SEND_BYTES), MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes = slice_from(bytes, (size_t)sent);
	}
	return true;
}

static bool send_out(int fd, struct buffer *out)
{
	bool sent = ceiling_send(fd, buffer_slice(out));

	buffer_reset(out);
	return sent;
}

void ceiling_converse(int fd, struct slice greeting, ceiling_step *step, void *context)
{
	struct buffer in = BUFFER_INIT(CEILING_INPUT_MAX + READ_BYTES), out = BUFFER_INIT(OUTPUT_MAX);
	bool more = ceiling_send(fd, greeting);

	while (more) {
		char *room = buffer_room(&in, READ_BYTES);
		ssize_t n = room ? recv(fd, room, READ_BYTES, 0) : -1;
		size_t used, at = 0;

		if (n <= 0)
			break;
		buffer_added(&in, (size_t)n);
		while (more && at < in.len && (used = step(context, slice_from(buffer_slice(&in), at), &out)) > 0) {
			at += used;
			more = out.len < SEND_BYTES || send_out(fd, &out);
		}
		buffer_consume(&in, at);
		more = more && send_out(fd, &out);
	}
	buffer_free(&in);
	buffer_free(&out);
	(void)close(fd);
}

struct acceptor {
	int fd;
	SSL_CTX *tls;
};

/* With TLS: good day, and the end. */
static void shake_hands(SSL_CTX *tls, int fd)
{
	SSL *ssl = SSL_new(tls);

	if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)
		(void)SSL_write(ssl, "* OK\r\n", 6);
	SSL_free(ssl);
	(void)close(fd);
}

static void *shaking_run(void *context)
{
	const struct acceptor *acceptor = context;
	int fd;

	while ((fd = accept(acceptor->fd, NULL, NULL)) >= 0)
		shake_hands(acceptor->tls, fd);
	return NULL;
}

/* Without: lines come back until it ends. A thread that waits for one connection needs fewer calls for a line than one that waits for many. */
static void echo(const void *context, int fd)
{
	char bytes[4096];
	ssize_t n;

	(void)context;
	(void)!write(fd, "* OK\r\n", 6);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		(void)!write(fd, bytes, (size_t)n);
	(void)close(fd);
}

NORETURN void ceiling_until_end(uint16_t port, uint16_t lmtp_port)
{
	char byte;

	(void)printf("{\"port\":%u", port);
	if (lmtp_port)
		(void)printf(",\"lmtp\":%u", lmtp_port);
	(void)printf("}\n");
	(void)fflush(stdout);
	while (read(0, &byte, 1) > 0)
		continue;
	_exit(0); /* threads wait in accept() */
}

int ceiling_serve(const char *certificate, const char *key)
{
	struct acceptor acceptor = {.tls = NULL};
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint16_t port;

	(void)signal(SIGPIPE, SIG_IGN);
	if (certificate) {
		acceptor.tls = SSL_CTX_new(TLS_server_method());
		if (!acceptor.tls || SSL_CTX_use_certificate_chain_file(acceptor.tls, certificate) != 1 ||
			SSL_CTX_use_PrivateKey_file(acceptor.tls, key, SSL_FILETYPE_PEM) != 1)
			return 1;
	}
	acceptor.fd = ceiling_listen(&port);
	if (!certificate)
		ceiling_accept(acceptor.fd, echo, NULL);
	for (long i = 0; certificate && i < processors; i++) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, shaking_run, &acceptor) == 0);
	}
	ceiling_until_end(port, 0);
}

static double now(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double copy_rate(const char *pool)
{
	static char into[PIECE];
	double start = now(), bytes = 0;
	unsigned sum = 0;

	for (unsigned round = 0; round < 8; round++)
		for (size_t at = 0; at + PIECE <= POOL_BYTES; at += PIECE) {
			memcpy(into, pool + at, PIECE);
			sum += (unsigned char)into[at % PIECE];
			bytes += PIECE;
		}
	return sum == 1 ? 0 : bytes / (now() - start) / 1e9;
}

static void *take_all(void *context)
{
	char *into = malloc(1 << 20);
	int fd = *(int *)context;

	CHECK(into);
	while (recv(fd, into, 1 << 20, 0) > 0)
		continue;
	free(into);
	return NULL;
}

static double loopback_rate(const char *pool)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint16_t port;
	int listener = ceiling_listen(&port), out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), in;
	double start, bytes = 0;
	pthread_t reader;

	address.sin_port = htons(port);
	CHECK(out >= 0 && connect(out, (struct sockaddr *)&address, sizeof(address)) == 0);
	in = accept(listener, NULL, NULL);
	CHECK(in >= 0 && pthread_create(&reader, NULL, take_all, &in) == 0);
	start = now();
	for (unsigned round = 0; round < 8; round++)
		for (size_t at = 0; at + PIECE <= POOL_BYTES; at += PIECE) {
			CHECK(send(out, pool + at, PIECE, 0) == PIECE);
			bytes += PIECE;
		}
	(void)shutdown(out, SHUT_WR);
	(void)pthread_join(reader, NULL);
	bytes /= (now() - start) * 1e9;
	(void)close(out);
	(void)close(in);
	(void)close(listener);
	return bytes;
}

int ceiling_bytes(void)
{
	char *pool = malloc(POOL_BYTES);

	CHECK(pool);
	for (size_t i = 0; i < POOL_BYTES; i++)
		pool[i] = (char)(i * 7 + i / 4096);
	(void)printf("{\"memcpy\":%.2f,", copy_rate(pool));
	(void)printf("\"loopback\":%.2f}\n", loopback_rate(pool));
	free(pool);
	return 0;
}
