/* What happens before the first fork: certificates read, sockets bound, rights dropped. */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"
#include "server/server.h"

enum { PEM_BYTES_MAX = 1 << 18 };

static int load_pem(struct server *server, struct slice path, struct slice *ret_contents, struct buffer *problem)
{
	struct buffer contents = BUFFER_INIT(PEM_BYTES_MAX);
	const char *name = arena_text(server->arena, path);
	int error = name ? file_read_whole(name, &contents) : -ENOMEM;

	if (!error)
		error = arena_copy(server->arena, buffer_slice(&contents), ret_contents);
	if (error)
		buffer_printf(problem, "certificate %.*s: %s", SLICE_ARG(path), strerror(-error));
	buffer_free(&contents);
	return error;
}

int server_load_certificates(struct server *server, struct buffer *problem)
{
	size_t count = server->config.certificate_count;
	int error;

	for (size_t i = 0; i < count; i++) {
		error = load_pem(server, server->config.certificates[i].chain, &server->pems[i].chain, problem);
		if (!error)
			error = load_pem(server, server->config.certificates[i].key, &server->pems[i].key, problem);
		if (error)
			return error;
	}
	server->pem_count = count;
	return 0;
}

/* A predecessor that was killed may hold its ports for a moment longer. */
static int bind_patiently(const struct config_listener *listener, int *ret_fd, uint16_t *ret_port)
{
	int error = 0;

	for (int tries = 0; tries < 50; tries++) {
		error = listener->is_unix ? net_bind_unix(listener->host, 0660, ret_fd)
					  : net_bind_tcp(listener->host, listener->port, ret_fd, ret_port);
		if (error != -EADDRINUSE)
			break;
		(void)usleep(100000);
	}
	return error;
}

static int make_parent(const char *path)
{
	char copy[4096];
	char *slash;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	slash = strrchr(copy, '/');
	if (!slash || slash == copy)
		return 0;
	*slash = '\0';
	return mkdir(copy, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int server_bind(struct server *server, struct buffer *problem)
{
	const struct config *config = &server->config;
	const char *control = arena_text(server->arena, config->control_socket);
	int error;

	for (size_t i = 0; i < config->listener_count; i++) {
		struct server_listening *listening = &server->listening[i];

		listening->kind = config->listeners[i].kind;
		error = bind_patiently(&config->listeners[i], &listening->fd, &listening->port);
		if (error) {
			buffer_printf(problem, "cannot listen on %.*s", SLICE_ARG(config->listeners[i].host));
			if (!config->listeners[i].is_unix)
				buffer_printf(problem, " port %u", config->listeners[i].port);
			buffer_printf(problem, ": %s", strerror(-error));
			return error;
		}
		server->listening_count = i + 1;
	}
	error = control ? make_parent(control) : -ENOMEM;
	if (!error)
		error = net_bind_unix(config->control_socket, 0600, &server->control_listener);
	if (error)
		buffer_printf(problem, "control socket %.*s: %s", SLICE_ARG(config->control_socket), strerror(-error));
	return error;
}

static int own(const char *path, const struct passwd *user, struct buffer *problem)
{
	if (chown(path, user->pw_uid, user->pw_gid) == 0)
		return 0;
	buffer_printf(problem, "%s: cannot be given to user %s: %s", path, user->pw_name, strerror(errno));
	return -errno;
}

int server_drop_rights(const struct server *server, struct buffer *problem)
{
	const char *name = arena_text(server->arena, server->config.user);
	const char *data = arena_text(server->arena, server->config.data_dir);
	const char *control = arena_text(server->arena, server->config.control_socket);
	const struct passwd *user;
	int error;

	if (geteuid() != 0 || server->config.user.len == 0 || slice_equal(server->config.user, SLICE("root")))
		return 0;
	if (!name || !data || !control)
		return -ENOMEM;
	user = getpwnam(name);
	if (!user) {
		buffer_printf(problem,
			"user %s does not exist: make it (adduser --system --group %s) or name another one with `user`",
			name, name);
		return -ENOENT;
	}
	if (mkdir(data, 0700) < 0 && errno != EEXIST) {
		buffer_printf(problem, "%s: %s", data, strerror(errno));
		return -EIO;
	}
	error = own(data, user, problem);
	if (!error)
		error = own(control, user, problem);
	for (size_t i = 0; i < server->config.listener_count && !error; i++)
		if (server->config.listeners[i].is_unix)
			error = own(arena_text(server->arena, server->config.listeners[i].host), user, problem);
	if (error)
		return error;
	if (setgroups(0, NULL) || setgid(user->pw_gid) || setuid(user->pw_uid) || setuid(0) == 0) {
		buffer_printf(problem, "cannot become user %s: %s", name, strerror(errno));
		return -EPERM;
	}
	return 0;
}

void server_name_process(const char *name)
{
	(void)prctl(PR_SET_NAME, name);
}
