#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net.h"

enum {
	ACCEPTS_PER_TURN = 16, /* then others on this loop get their say */
	PAUSE_MS = 100,        /* when this process is out of descriptors or memory */
	BACKLOG = 4096,
};

struct net_listener {
	int fd;
	struct net_watch *watch;
	struct net_timer *pause;
	void (*accepted)(void *owner, int fd, const struct sockaddr_storage *peer);
	void *owner;
	bool accepting;
	bool paused; /* by the owner */
	bool freed;
};

/* ---- Accepting ---- */

static void listener_destroy(struct net_listener *listener)
{
	net_watch_free(&listener->watch);
	net_timer_free(&listener->pause);
	free(listener);
}

static void stop_for_a_while(struct net_listener *listener)
{
	/* Stopping cannot fail; the connections wait in the kernel's queue. */
	CHECK(net_watch_for(listener->watch, 0) == 0);
	net_timer_start(listener->pause, PAUSE_MS);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_ready(void *owner, int events)
{
	struct net_listener *listener = owner;

	(void)events;
	listener->accepting = true;
	for (int i = 0; i < ACCEPTS_PER_TURN && !listener->freed && !listener->paused; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t size = sizeof(peer);
		int fd = accept4(listener->fd, (struct sockaddr *)(void *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->accepted(listener->owner, fd, &peer);
		} else if (is_shortage(errno)) {
			stop_for_a_while(listener);
			break;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			break;
		}
	}
	listener->accepting = false;
	if (listener->freed)
		listener_destroy(listener);
}

static void go_on(void *owner)
{
	struct net_listener *listener = owner;

	if (!listener->paused && net_watch_for(listener->watch, POLLIN) != 0)
		net_timer_start(listener->pause, PAUSE_MS);
}

void net_listener_pause(struct net_listener *listener)
{
	listener->paused = true;
	CHECK(net_watch_for(listener->watch, 0) == 0);
}

void net_listener_resume(struct net_listener *listener)
{
	listener->paused = false;
	go_on(listener);
}

int net_listener_new(struct net_loop *loop, int fd,
	void (*accepted)(void *owner, int fd, const struct sockaddr_storage *peer), void *owner,
	struct net_listener **ret_listener)
{
	struct net_listener *listener = calloc(1, sizeof(*listener));
	int error;

	if (!listener)
		return -ENOMEM;
	listener->fd = fd;
	listener->accepted = accepted;
	listener->owner = owner;
	error = net_timer_new(loop, go_on, listener, &listener->pause);
	if (!error)
		error = net_watch_new(loop, fd, on_ready, listener, &listener->watch);
	if (!error)
		error = net_watch_for(listener->watch, POLLIN);
	if (error) {
		listener_destroy(listener);
		return error;
	}
	*ret_listener = listener;
	return 0;
}

void net_listener_free(struct net_listener **listener_at)
{
	struct net_listener *listener = *listener_at;

	if (!listener)
		return;
	*listener_at = NULL;
	listener->freed = true;
	if (!listener->accepting)
		listener_destroy(listener);
}

/* ---- Binding ---- */

static int listen_at(const struct sockaddr *address, socklen_t size, bool both_families, int *ret_fd)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	int only_v6 = !both_families;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		error = -errno;
	if (!error && address->sa_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)) != 0)
		error = -errno;
	if (!error && bind(fd, address, size) != 0)
		error = -errno;
	if (!error && address->sa_family != AF_UNIX && listen(fd, BACKLOG) != 0)
		error = -errno;
	if (error) {
		(void)close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static int bind_v4(const char *host, uint16_t port, int *ret_fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (host && inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return -EINVAL;
	return listen_at((const struct sockaddr *)&address, sizeof(address), false, ret_fd);
}

static int bind_v6(const char *host, uint16_t port, int *ret_fd)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (host && inet_pton(AF_INET6, host, &address.sin6_addr) != 1)
		return -EINVAL;
	return listen_at((const struct sockaddr *)&address, sizeof(address), !host, ret_fd);
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_in6 address; /* the port lies at the same place in both families */
	socklen_t size = sizeof(address);

	CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	return ntohs(address.sin6_port);
}

int net_bind_tcp(struct slice host, uint16_t port, int *ret_fd, uint16_t *ret_port)
{
	char text[INET6_ADDRSTRLEN + 1];
	int fd = -1;
	int error;

	if (slice_equal(host, SLICE("*"))) {
		error = bind_v6(NULL, port, &fd);
		if (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL) /* a machine without IPv6 */
			error = bind_v4(NULL, port, &fd);
	} else {
		if (host.len == 0 || host.len >= sizeof(text))
			return -EINVAL;
		memcpy(text, host.at, host.len);
		text[host.len] = '\0';
		error = slice_find_byte(host, ':') == SIZE_MAX ? bind_v4(text, port, &fd) : bind_v6(text, port, &fd);
	}
	if (error)
		return error;
	*ret_port = bound_port(fd);
	*ret_fd = fd;
	return 0;
}

/* Removes a socket that nobody listens on; leaves everything else alone. */
static int remove_dead_socket(const struct sockaddr_un *address)
{
	struct stat st;
	int fd;
	int error = 0;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
		error = -EADDRINUSE;
	else if (unlink(address->sun_path) != 0 && errno != ENOENT)
		error = -errno;
	(void)close(fd);
	return error;
}

int net_bind_unix(struct slice path, unsigned mode, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;
	int error;

	if (path.len == 0 || path.len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path.at, path.len);
	error = remove_dead_socket(&address);
	if (!error)
		error = listen_at((const struct sockaddr *)&address, sizeof(address), false, &fd);
	if (error)
		return error;
	/* The mode is set before anybody can connect: until listen(2) they are refused. */
	if (chmod(address.sun_path, mode) != 0 || listen(fd, BACKLOG) != 0) {
		error = -errno;
		(void)close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}
