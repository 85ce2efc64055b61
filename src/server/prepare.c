/* What happens before the first fork: configuration and certificates read, sockets bound, rights dropped. */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"
#include "server/server.h"
#include "store/disk/file.h"

enum { PEM_BYTES_MAX = 1 << 18, BIND_TRIES = 50, BIND_PAUSE_US = 100000, LOOK_DEPTH = 2 };

/* ---- Configuration and certificates ---- */

static int load_pem(struct server *server, struct slice path, struct slice *ret_contents, struct buffer *problem)
{
	struct buffer contents = BUFFER_INIT(PEM_BYTES_MAX);
	const char *name = arena_text(server->arena, path);
	int error = name ? file_read_whole(name, &contents) : -ENOMEM;

	if (!error)
		error = arena_copy(server->arena, buffer_slice(&contents), ret_contents);
	if (error)
		buffer_printf(problem, "%.*s: %s", SLICE_ARG(path), strerror(-error));
	if (contents.at)
		explicit_bzero(contents.at, contents.room);
	buffer_free(&contents);
	return error;
}

static int load_certificates(struct server *server, struct buffer *problem)
{
	for (size_t i = 0; i < server->config.certificate_count; i++) {
		const struct config_certificate *from = &server->config.certificates[i];
		struct server_pem *pem = &server->pems[i];
		struct buffer why = BUFFER_INIT(1024);
		int error = load_pem(server, from->chain, &pem->chain, &why);

		if (!error)
			error = load_pem(server, from->key, &pem->key, &why);
		if (!error)
			error = server_check_certificate(pem, &why);
		if (error)
			buffer_printf(problem, "%s: tls_certificate = %.*s %.*s: %s", server->config_path,
				SLICE_ARG(from->chain), SLICE_ARG(from->key), buffer_text(&why));
		buffer_free(&why);
		if (error)
			return error;
	}
	server->pem_count = server->config.certificate_count;
	return 0;
}

/* The machine's own name where the configuration gives none. */
static int default_hostname(struct server *server)
{
	char name[256] = "localhost";

	if (server->config.hostname.len)
		return 0;
	(void)gethostname(name, sizeof(name) - 1);
	return arena_copy(server->arena, slice_of(name), &server->config.hostname);
}

int server_read(struct server *server, struct buffer *problem)
{
	int error = config_load(server->config_path, server->arena, &server->config, problem);

	if (!error) {
		struct buffer why = BUFFER_INIT(1024);

		error = config_validate(&server->config, &why);
		if (error)
			buffer_printf(problem, "%s: %s", server->config_path, buffer_text(&why));
		buffer_free(&why);
	}
	if (!error)
		error = default_hostname(server);
	if (!error)
		error = load_certificates(server, problem);
	return error;
}

/* ---- Sockets ---- */

/* A predecessor that was killed may hold its ports for a moment longer. */
static int bind_patiently(const struct config_listener *listener, unsigned mode, int *ret_fd, uint16_t *ret_port)
{
	int error = 0;

	for (int tries = 0; tries < BIND_TRIES; tries++) {
		error = listener->is_unix ? net_bind_unix(listener->host, mode, ret_fd)
					  : net_bind_tcp(listener->host, listener->port, ret_fd, ret_port);
		if (error != -EADDRINUSE)
			break;
		(void)usleep(BIND_PAUSE_US);
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

static int bind_one(const struct config_listener *listener, struct server_listening *listening, struct buffer *problem)
{
	int error = bind_patiently(listener, 0660, &listening->fd, &listening->port);

	if (!error)
		return 0;
	buffer_printf(problem, "cannot listen on %.*s", SLICE_ARG(listener->host));
	if (!listener->is_unix)
		buffer_printf(problem, " port %u", listener->port);
	buffer_printf(problem, ": %s%s", strerror(-error),
		error == -EACCES && !listener->is_unix ? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)" : "");
	return error;
}

int server_bind(struct server *server, struct buffer *problem)
{
	const struct config *config = &server->config;
	const struct config_listener control = {.host = config->control_socket, .is_unix = true};
	const char *path = arena_text(server->arena, config->control_socket);
	int error = path ? 0 : -ENOMEM;
	uint16_t no_port;

	for (size_t i = 0; i < config->listener_count && !error; i++) {
		server->listening[i].kind = config->listeners[i].kind;
		error = bind_one(&config->listeners[i], &server->listening[i], problem);
		if (!error)
			server->listening_count = i + 1;
	}
	if (error)
		return error;
	error = make_parent(path);
	if (!error)
		error = bind_patiently(&control, 0600, &server->control_listener, &no_port);
	if (error)
		buffer_printf(problem, "control_socket %s: %s", path,
			error == -EADDRINUSE ? "another server listens there" : strerror(-error));
	return error;
}

void server_raise_limits(void)
{
	struct rlimit limit;

	/* Each connection is a descriptor or two; the soft limit is often 1,024. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- Rights ---- */

/* The directory where a socket lies may belong to somebody who puts a link in its place. */
static int own(const char *path, const struct passwd *user, struct buffer *problem)
{
	if (!path)
		return -ENOMEM;
	if (lchown(path, user->pw_uid, user->pw_gid) == 0)
		return 0;
	buffer_printf(problem, "%s: cannot be given to user %s: %s", path, user->pw_name, strerror(errno));
	return -errno;
}

static int complain_of_owner(const char *path, uid_t owner, const struct passwd *user, struct buffer *problem)
{
	buffer_printf(problem,
		"%s belongs to user %u, but the server is to run as %s: give it to that user (chown -R) or name "
		"another one "
		"with `user`",
		path, (unsigned)owner, user->pw_name);
	return -EPERM;
}

/* A file system of its own has a folder for what fsck(8) finds. */
static bool is_not_ours(struct slice name)
{
	return slice_equal(name, SLICE(".")) || slice_equal(name, SLICE("..")) ||
	       slice_equal(name, SLICE("lost+found"));
}

/* Whose is what is in there? Only looked at, not changed: root does not give away what a link may lead to. */
static int look_into(const char *path, const struct passwd *user, unsigned depth, struct buffer *problem)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int error = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!error && (entry = readdir(dir))) {
		struct buffer below = BUFFER_INIT(8192);
		struct stat status;

		if (is_not_ours(slice_of(entry->d_name)))
			continue;
		buffer_printf(&below, "%s/%s", path, entry->d_name);
		if (lstat(buffer_text(&below), &status) < 0)
			error = errno == ENOENT ? 0 : -errno;
		else if (status.st_uid != user->pw_uid)
			error = complain_of_owner(buffer_text(&below), status.st_uid, user, problem);
		else if (S_ISDIR(status.st_mode) && depth > 1)
			error = look_into(buffer_text(&below), user, depth - 1, problem);
		buffer_free(&below);
	}
	(void)closedir(dir);
	return error;
}

/* Makes the data directory if need be, and sees that it is the user's with all that is in it. */
static int own_data(const char *data, const struct passwd *user, struct buffer *problem)
{
	int error;

	if (!data)
		return -ENOMEM;
	error = file_make_dir(&file_system_real, data);
	if (!error)
		error = look_into(data, user, LOOK_DEPTH, problem);
	if (!error && chown(data, user->pw_uid, user->pw_gid) < 0)
		error = -errno;
	if (error && problem->len == 0)
		buffer_printf(problem, "data_dir %s: %s", data, strerror(-error));
	return error;
}

static int become(const struct passwd *user, struct buffer *problem)
{
	if (setgroups(0, NULL) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0 && setuid(0) < 0)
		return 0;
	buffer_printf(problem, "cannot become user %s: %s", user->pw_name, strerror(errno));
	return -EPERM;
}

int server_drop_rights(const struct server *server, struct buffer *problem)
{
	const struct config *config = &server->config;
	const char *name = arena_text(server->arena, config->user);
	const struct passwd *user;
	int error;

	if (geteuid() != 0 || config->user.len == 0)
		return 0;
	user = name ? getpwnam(name) : NULL;
	if (!user) {
		buffer_printf(problem,
			"user %s does not exist: make it (adduser --system --group %s) or name another one with `user`",
			name ? name : "", name ? name : "");
		return -ENOENT;
	}
	if (user->pw_uid == 0)
		return 0;
	error = own_data(arena_text(server->arena, config->data_dir), user, problem);
	if (!error)
		error = own(arena_text(server->arena, config->control_socket), user, problem);
	for (size_t i = 0; i < config->listener_count && !error; i++)
		if (config->listeners[i].is_unix)
			error = own(arena_text(server->arena, config->listeners[i].host), user, problem);
	return error ? error : become(user, problem);
}

void server_name_process(const char *name)
{
	(void)prctl(PR_SET_NAME, name);
}
