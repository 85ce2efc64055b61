/* The control socket: connections on a loop, commands on a thread. */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "admin/internal.h"

enum { ANSWER_MAX = 16777216, IDLE_MS = 600000, STALLED_MS = 60000 };

struct admin_server;

/* A client; has at most one command in work, and reads no further meanwhile. */
struct connection {
	struct admin_server *server;
	struct net_stream *stream; /* NULL: closed while its command is in work */
	struct buffer request, answer;
	int asked; /* enum admin_request, or -1 */
	bool working;
	struct connection *next;        /* of all connections */
	struct connection *next_queued; /* waiting for the worker, or done by it */
};

struct admin_server {
	struct net_loop *loop;
	struct net_listener *listener;
	struct admin_services services;
	struct connection *connections;
	unsigned connection_count;
	int done_fd; /* an eventfd: the worker has done something */
	struct net_watch *done_watch;
	pthread_t worker;
	bool worker_runs;
	_Atomic bool ending;
	/* Between the loop and the worker. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct connection *queue, **queue_end, *done;
	struct auth_cost cost;
};

/* ---- The worker ---- */

/* A request may hold a password. */
static void wipe(struct buffer *request)
{
	if (request->at)
		explicit_bzero(request->at, request->room);
}

static void work(struct admin_server *server, struct connection *connection, const struct auth_cost *cost)
{
	struct admin_services services = server->services;
	const uint64_t one = 1;
	ssize_t written;

	services.cost = *cost;
	admin_execute_call(&services, &server->ending, buffer_slice(&connection->request), &connection->asked,
		&connection->answer);
	wipe(&connection->request);
	pthread_mutex_lock(&server->lock);
	connection->next_queued = server->done;
	server->done = connection;
	pthread_mutex_unlock(&server->lock);
	written = write(server->done_fd, &one, sizeof(one));
	(void)written; /* a full eventfd wakes as well */
}

static void *worker_run(void *argument)
{
	struct admin_server *server = argument;

	for (;;) {
		struct connection *connection;
		struct auth_cost cost;

		pthread_mutex_lock(&server->lock);
		while (!server->queue && !server->ending)
			pthread_cond_wait(&server->wake, &server->lock);
		connection = server->ending ? NULL : server->queue;
		if (connection) {
			server->queue = connection->next_queued;
			if (!server->queue)
				server->queue_end = &server->queue;
		}
		cost = server->cost;
		pthread_mutex_unlock(&server->lock);
		if (!connection)
			return NULL;
		work(server, connection, &cost);
	}
}

static void enqueue(struct connection *connection)
{
	struct admin_server *server = connection->server;

	connection->next_queued = NULL;
	pthread_mutex_lock(&server->lock);
	*server->queue_end = connection;
	server->queue_end = &connection->next_queued;
	pthread_cond_signal(&server->wake);
	pthread_mutex_unlock(&server->lock);
}

/* ---- Connections ---- */

static void connection_free(struct connection *connection)
{
	struct connection **at = &connection->server->connections;

	while (*at != connection)
		at = &(*at)->next;
	*at = connection->next;
	connection->server->connection_count--;
	if (connection->stream)
		net_stream_free(&connection->stream);
	wipe(&connection->request);
	buffer_free(&connection->request);
	buffer_free(&connection->answer);
	free(connection);
}

static size_t on_input(void *owner, struct slice bytes)
{
	struct connection *connection = owner;
	size_t end = slice_find_byte(bytes, '\n');

	if (connection->working || end == SIZE_MAX)
		return 0;
	buffer_reset(&connection->request);
	buffer_reset(&connection->answer);
	buffer_put(&connection->request, slice_first(bytes, end));
	connection->working = true;
	net_stream_pause(connection->stream);
	enqueue(connection);
	return end + 1;
}

static void on_drained(void *owner)
{
	(void)owner; /* answers are written whole */
}

static void on_closed(void *owner, int error)
{
	struct connection *connection = owner;

	(void)error;
	net_stream_free(&connection->stream);
	if (!connection->working)
		connection_free(connection);
}

static const struct net_stream_events stream_events = {on_input, on_drained, on_closed};

static bool is_permitted(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void on_accepted(void *owner, int fd, const struct sockaddr_storage *peer)
{
	static const struct net_stream_limits limits = {
		.input_max = ADMIN_LINE_MAX, .output_max = ANSWER_MAX, .idle_ms = IDLE_MS, .stalled_ms = STALLED_MS};
	struct admin_server *server = owner;
	struct connection *connection = NULL;
	const char *refusal = NULL;

	(void)peer;
	if (!is_permitted(fd))
		refusal = "{\"ok\":false,\"error\":\"Only root and the server's own user may manage it.\",\"code\":"
			  "\"failed\"}\n";
	else if (server->connection_count >= ADMIN_CONNECTIONS_MAX)
		refusal = "{\"ok\":false,\"error\":\"Too many are managing already.\",\"code\":\"over-limit\"}\n";
	else
		connection = calloc(1, sizeof(*connection));
	if (connection && net_stream_new(server->loop, fd, &stream_events, &limits, connection, &connection->stream)) {
		free(connection);
		connection = NULL;
	}
	if (!connection) {
		if (refusal)
			(void)send(fd, refusal, strlen(refusal), MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)close(fd);
		return;
	}
	connection->server = server;
	connection->request = BUFFER_INIT(ADMIN_LINE_MAX);
	connection->answer = BUFFER_INIT(ANSWER_MAX);
	connection->next = server->connections;
	server->connections = connection;
	server->connection_count++;
}

/* ---- What the worker has done ---- */

static void deliver(struct connection *connection)
{
	struct admin_server *server = connection->server;

	connection->working = false;
	if (connection->asked >= 0 && server->services.request)
		server->services.request(server->services.context, (enum admin_request)connection->asked);
	if (!connection->stream) {
		connection_free(connection);
		return;
	}
	net_stream_write(connection->stream, buffer_slice(&connection->answer));
	buffer_free(&connection->answer);
	net_stream_resume(connection->stream);
	net_stream_again(connection->stream);
}

static void on_done(void *owner, int events)
{
	struct admin_server *server = owner;
	struct connection *connection, *next;
	uint64_t count;
	ssize_t got;

	(void)events;
	got = read(server->done_fd, &count, sizeof(count));
	(void)got;
	pthread_mutex_lock(&server->lock);
	connection = server->done;
	server->done = NULL;
	pthread_mutex_unlock(&server->lock);
	for (; connection; connection = next) {
		next = connection->next_queued;
		deliver(connection);
	}
}

/* ---- Its life ---- */

static int server_start(struct admin_server *server, int fd)
{
	int error;

	server->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (server->done_fd < 0)
		return -errno;
	error = net_watch_new(server->loop, server->done_fd, on_done, server, &server->done_watch);
	if (!error)
		error = net_watch_for(server->done_watch, POLLIN);
	if (!error)
		error = -pthread_create(&server->worker, NULL, worker_run, server);
	server->worker_runs = !error;
	if (!error)
		error = net_listener_new(server->loop, fd, on_accepted, server, &server->listener);
	return error;
}

int admin_server_new(
	struct net_loop *loop, int fd, const struct admin_services *services, struct admin_server **ret_server)
{
	struct admin_server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	json_object_seed(0); /* before there are threads that would race for it */
	server->loop = loop;
	server->services = *services;
	server->cost = services->cost;
	server->queue_end = &server->queue;
	server->done_fd = -1;
	if (pthread_mutex_init(&server->lock, NULL) != 0) {
		free(server);
		return -ENOMEM;
	}
	if (pthread_cond_init(&server->wake, NULL) != 0) {
		pthread_mutex_destroy(&server->lock);
		free(server);
		return -ENOMEM;
	}
	error = server_start(server, fd);
	if (error)
		admin_server_free(&server);
	else
		*ret_server = server;
	return error;
}

void admin_server_set_cost(struct admin_server *server, const struct auth_cost *cost)
{
	pthread_mutex_lock(&server->lock);
	server->cost = *cost;
	pthread_mutex_unlock(&server->lock);
}

void admin_server_free(struct admin_server **server)
{
	struct admin_server *old = *server;

	if (!old)
		return;
	*server = NULL;
	pthread_mutex_lock(&old->lock);
	old->ending = true;
	pthread_cond_signal(&old->wake);
	pthread_mutex_unlock(&old->lock);
	if (old->worker_runs)
		(void)pthread_join(old->worker, NULL);
	while (old->connections)
		connection_free(old->connections);
	if (old->listener)
		net_listener_free(&old->listener);
	if (old->done_watch)
		net_watch_free(&old->done_watch);
	if (old->done_fd >= 0)
		(void)close(old->done_fd);
	pthread_mutex_destroy(&old->lock);
	pthread_cond_destroy(&old->wake);
	free(old);
}
