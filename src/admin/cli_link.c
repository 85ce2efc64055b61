/* The way to the data: the socket of the running server, or, where none runs, the data directory. */
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "admin/cli.h"
#include "store/disk/file.h"

enum { READ_BYTES = 65536, POLL_MS = 200 };

/* ---- The running server ---- */

/* 0, -ENOENT: no server; or why it cannot be reached. */
static int server_connect(struct cli *cli)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct slice path = cli->place->socket;
	int fd, error;

	if (path.len == 0)
		return -ENOENT;
	if (path.len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path.at, path.len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)(void *)&address, sizeof(address)) < 0) {
		error = errno == ECONNREFUSED ? -ENOENT : -errno;
		(void)close(fd);
		return error;
	}
	cli->fd = fd;
	return 0;
}

static int server_send(struct cli *cli, struct slice line)
{
	while (line.len) {
		ssize_t sent = send(cli->fd, line.at, line.len, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return -errno;
		if (sent > 0)
			line = slice_from(line, (size_t)sent);
	}
	return 0;
}

static int server_receive(struct cli *cli)
{
	buffer_reset(&cli->received);
	for (;;) {
		char *room = buffer_room(&cli->received, READ_BYTES);
		ssize_t got;

		if (!room)
			return -ENOMEM;
		got = recv(cli->fd, room, READ_BYTES, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EPIPE;
		buffer_added(&cli->received, (size_t)got);
		if (room[got - 1] == '\n')
			return 0;
	}
}

/* ---- The data directory ---- */

/* A directory that is not there is made, and given to the user that the server will run as. */
static int make_directory(const char *path, const char *user_name)
{
	const struct passwd *user = *user_name ? getpwnam(user_name) : NULL;
	int error;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	error = file_make_dir(&file_system_real, path); /* its name is to last */
	if (error)
		return error;
	return user && chown(path, user->pw_uid, user->pw_gid) < 0 ? -errno : 0;
}

static int become_owner(const char *path, const char *user_name)
{
	struct stat status;
	int error = make_directory(path, user_name);

	if (error)
		return error;
	if (stat(path, &status) < 0)
		return -errno;
	if (status.st_uid != 0 && (setgroups(0, NULL) < 0 || setgid(status.st_gid) < 0 || setuid(status.st_uid) < 0))
		return -errno;
	return 0;
}

enum cli_status cli_become_owner(struct cli *cli)
{
	struct buffer path = BUFFER_INIT(4096), user = BUFFER_INIT(256);
	enum cli_status status = CLI_DONE;
	int error = 0;

	buffer_put(&path, cli->place->store.dir);
	buffer_put(&user, cli->place->user);
	if (geteuid() == 0)
		error = become_owner(buffer_text(&path), buffer_text(&user));
	if (error)
		status = cli_complain(cli, CLI_FAILED, "%s: %s", buffer_text(&path), strerror(-error));
	buffer_free(&path);
	buffer_free(&user);
	return status;
}

static void on_durable(void *context, uint64_t seq)
{
	(void)context; /* directory changes wait themselves */
	(void)seq;
}

static void on_failed(void *context, int error, const char *what)
{
	(void)cli_complain(context, CLI_FAILED, "%s: %s", what, strerror(-error));
	_exit(CLI_FAILED);
}

static void on_notice(void *context, const char *event, struct slice detail)
{
	(void)cli_complain(context, CLI_DONE, "%s: %.*s", event, SLICE_ARG(detail));
}

struct store_settings cli_store_settings(struct cli *cli)
{
	struct store_settings settings = cli->place->store;

	settings.shards = 1;
	settings.durable = on_durable;
	settings.failed = on_failed;
	settings.notice = on_notice;
	settings.context = cli;
	return settings;
}

static enum cli_status data_open(struct cli *cli)
{
	struct store_settings settings = cli_store_settings(cli);
	struct slice dir = settings.dir;
	int error;

	if (cli_become_owner(cli) != CLI_DONE)
		return CLI_FAILED;
	error = store_open(&settings, &cli->store);
	if (error == -EBUSY)
		return cli_complain(cli, CLI_FAILED,
			"%.*s is in use, but no server answers at %.*s: it is starting or ending, or another "
			"command runs.",
			SLICE_ARG(dir), SLICE_ARG(cli->place->socket));
	if (error == -EBADMSG)
		return cli_complain(cli, CLI_FAILED, "%.*s is damaged; see `penfold check`.", SLICE_ARG(dir));
	if (error)
		return cli_complain(cli, CLI_FAILED, "%.*s cannot be opened: %s", SLICE_ARG(dir), strerror(-error));
	return CLI_DONE;
}

static enum cli_status cli_connect(struct cli *cli)
{
	int error;

	if (cli->fd >= 0 || cli->store)
		return CLI_DONE;
	error = server_connect(cli);
	if (error == -EACCES || error == -EPERM)
		return cli_complain(cli, CLI_FAILED, "%.*s: only root and the server's own user may manage it.",
			SLICE_ARG(cli->place->socket));
	if (error && error != -ENOENT)
		return cli_complain(cli, CLI_FAILED, "%.*s: %s", SLICE_ARG(cli->place->socket), strerror(-error));
	return error ? data_open(cli) : CLI_DONE;
}

bool cli_reaches_server(struct cli *cli)
{
	return cli->fd >= 0 || server_connect(cli) == 0;
}

void cli_disconnect(struct cli *cli)
{
	if (cli->fd >= 0)
		(void)close(cli->fd);
	cli->fd = -1;
	if (cli->store)
		store_close(&cli->store);
}

/* ---- Asking ---- */

static int converse(struct cli *cli, struct buffer *line)
{
	const struct admin_services services = {.store = cli->store, .cost = cli->place->cost};
	int error = buffer_error(line);

	if (!error && cli->fd >= 0) {
		buffer_put_byte(line, '\n');
		error = server_send(cli, buffer_slice(line));
		return error ? error : server_receive(cli);
	}
	if (!error) {
		buffer_reset(&cli->received);
		admin_execute(&services, buffer_slice(line), NULL, &cli->received);
	}
	return error;
}

static int put_bytes(const char *bytes, size_t len, void *context)
{
	buffer_put(context, slice_make(bytes, len));
	return 0;
}

json_t *cli_ask(struct cli *cli, json_t *request)
{
	struct buffer line = BUFFER_INIT(ADMIN_LINE_MAX - 1);
	json_t *answer = NULL;
	int error;

	if (cli_connect(cli) != CLI_DONE)
		goto out;
	/* A request that cannot be written has text that is no UTF-8. */
	error = json_dump_callback(request, put_bytes, &line, JSON_COMPACT) ? -EINVAL : converse(cli, &line);
	if (!error)
		answer = json_loadb(cli->received.at, cli->received.len, 0, NULL);
	if (error || !answer) {
		(void)cli_complain(cli, CLI_FAILED, "no answer: %s", strerror(error ? -error : EBADMSG));
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		(void)cli_complain(cli, CLI_FAILED, "%s", cli_text(answer, "error"));
		json_decref(answer);
		answer = NULL;
	}
out:
	if (line.at)
		explicit_bzero(line.at, line.room);
	buffer_free(&line);
	json_decref(request);
	return answer;
}

enum cli_status cli_do(struct cli *cli, json_t *request)
{
	json_t *answer = cli_ask(cli, request);

	json_decref(answer);
	return answer ? CLI_DONE : CLI_FAILED;
}

json_t *cli_await(struct cli *cli, const struct cli_awaited *awaited)
{
	const struct timespec pause = {0, POLL_MS * 1000000L};
	json_t *answer;

	while ((answer = cli_ask(cli, json_pack("{s:s}", "cmd", awaited->command)))) {
		const json_t *state = json_object_get(answer, awaited->field);
		const char *failure = json_string_value(json_object_get(state, "failure"));

		if (awaited->each)
			awaited->each(cli, state);
		if (!failure && json_is_true(json_object_get(state, "over")))
			break;
		if (failure)
			(void)cli_complain(cli, CLI_FAILED, "%s ended early: %s", awaited->name, failure);
		json_decref(answer);
		if (failure)
			return NULL;
		(void)nanosleep(&pause, NULL);
	}
	return answer;
}

json_t *cli_list(struct cli *cli, json_t *request, const char *name)
{
	json_t *all = json_array();
	bool has_more = true;

	while (has_more && all) {
		json_t *answer = cli_ask(cli, json_copy(request));
		json_t *more = json_object_get(answer, "more");

		if (!answer || json_array_extend(all, json_object_get(answer, name)) != 0) {
			json_decref(all);
			all = NULL;
		}
		has_more = json_is_string(more);
		if (has_more)
			json_object_set(request, "after", more);
		json_decref(answer);
	}
	return all;
}
