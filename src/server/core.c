/* Core: the one process that holds mail. Its front loop, its start and its end. */
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/codec.h"
#include "gate/sandbox.h"
#include "mail/mail.h"
#include "server/core.h"

enum { LOCK_PATIENCE_TRIES = 100, LOCK_PATIENCE_US = 100000, SESSION_BITS = 10 };

/* ---- What the store says ---- */

static void store_durable(void *context, uint64_t seq)
{
	struct core *core = context;

	for (unsigned i = 0; i < core->shard_count; i++)
		net_loop_release(core->loops[i], seq);
}

/* Accepted changes may be lost in memory now; only a new process that reads what the disk really has can go on. */
static void store_failed(void *context, int error, const char *what)
{
	struct core *core = context;

	LOG(core->server->log, LOG_ERROR, "storage-failed", {"what", slice_of(what)},
		{"error", slice_of(strerror(-error))});
	_exit(1);
}

static void store_notice(void *context, const char *event, struct slice detail)
{
	struct core *core = context;

	LOG(core->server->log, LOG_WARN, event, {"detail", detail});
}

static int open_store(struct core *core)
{
	const struct config *config = &core->server->config;
	struct store_settings settings = store_settings_default();
	int error = 0;

	settings.dir = config->data_dir;
	settings.shards = core->shard_count;
	settings.retention_s = config->retention_s;
	settings.repack_after_s = config->repack_after_s;
	settings.message_bytes_max = config->message_bytes_max;
	settings.messages_max = config->messages_max;
	settings.segment_bytes = config->segment_bytes;
	settings.search_batch = config->search_index ? settings.search_batch : 0;
	settings.body_cache_bytes = config->body_cache_bytes;
	settings.flags_unsynced = !config->sync_flags;
	settings.durable = store_durable;
	settings.failed = store_failed;
	settings.notice = store_notice;
	settings.context = core;
	/* A predecessor that was killed may hold the lock for a moment longer. */
	for (int tries = 0; tries < LOCK_PATIENCE_TRIES; tries++) {
		error = store_open(&settings, &core->store);
		if (error != -EBUSY)
			break;
		(void)usleep(LOCK_PATIENCE_US);
	}
	return error;
}

/* ---- What the supervisor says ---- */

static void core_stop(struct core *core)
{
	if (core->stopping)
		return;
	core->stopping = true;
	LOG(core->server->log, LOG_INFO, "stopping");
	for (size_t i = 0; i < core->lmtp_count; i++)
		net_listener_free(&core->lmtp[i]);
	core_shards_stop(core);
}

static void core_reload(struct core *core, struct slice message)
{
	struct reader r = READER_INIT(message);
	uint32_t level = reader_le32(&r);
	struct auth_cost cost;

	cost.argon2_memory_kib = (unsigned)reader_le64(&r);
	cost.argon2_passes = (unsigned)reader_le64(&r);
	cost.scram_iterations = (unsigned)reader_le64(&r);
	if (reader_finish(&r) || level > LOG_ERROR)
		return;
	log_set_level(core->server->log, (enum log_level)level);
	core_logins_set_cost(core->logins, &cost);
	admin_server_set_cost(core->admin, &cost);
}

static void control_take(struct core *core, struct slice message, const int *fds, size_t fd_count)
{
	char kind = message.len ? message.at[0] : 0;

	if (kind == CONTROL_GATE && fd_count == 1 && !core->stopping) {
		if (core_logins_add_gate(core->logins, fds[0]))
			LOG(core->server->log, LOG_ERROR, "gate-not-taken");
		return;
	}
	for (size_t i = 0; i < fd_count; i++)
		(void)close(fds[i]);
	if (kind == CONTROL_STOP)
		core_stop(core);
	else if (kind == CONTROL_RELOAD)
		core_reload(core, slice_from(message, 1));
}

static void control_ready(void *owner, int events)
{
	struct core *core = owner;
	struct buffer message = BUFFER_INIT(NET_MESSAGE_MAX);
	int fds[NET_DESCRIPTORS_MAX];
	size_t fd_count;
	int error;

	(void)events;
	while ((error = net_message_receive(core->control_fd, &message, fds, &fd_count)) == 0)
		control_take(core, buffer_slice(&message), fds, fd_count);
	buffer_free(&message);
	if (error == -EPIPE) {
		/* The supervisor is gone: so are we, in order. */
		if (net_watch_for(core->control, 0))
			_exit(1);
		core_stop(core);
	}
}

void core_tell_supervisor(struct core *core, enum control_message kind)
{
	const char message = (char)kind;

	if (net_message_send(core->control_fd, slice_make(&message, 1), NULL, 0))
		LOG(core->server->log, LOG_WARN, "supervisor-not-told");
}

/* ---- LMTP connections go to the shards in turn ---- */

struct lmtp_arrival {
	struct net_task task;
	struct core_shard *shard;
	int fd;
	struct sockaddr_storage peer;
};

static void lmtp_arrive(struct net_task *task)
{
	struct lmtp_arrival *arrival = CONTAINER_OF(task, struct lmtp_arrival, task);

	if (arrival->shard->stopping)
		(void)close(arrival->fd);
	else if (lmtp_session_new(&arrival->shard->lmtp, arrival->fd, &arrival->peer))
		LOG(arrival->shard->core->server->log, LOG_ERROR, "lmtp-session-failed");
	free(arrival);
}

static void lmtp_accepted(void *owner, int fd, const struct sockaddr_storage *peer)
{
	struct core *core = owner;
	struct lmtp_arrival *arrival = calloc(1, sizeof(*arrival));

	if (!arrival) {
		(void)close(fd);
		return;
	}
	arrival->fd = fd;
	arrival->peer = *peer;
	arrival->shard = &core->shards[core->next_lmtp_shard++ % core->shard_count];
	arrival->task.run = lmtp_arrive;
	net_loop_post(arrival->shard->loop, &arrival->task);
}

static int listen_lmtp(struct core *core)
{
	const struct server *server = core->server;
	int error = 0;

	for (size_t i = 0; i < server->listening_count && !error; i++) {
		if (server->listening[i].kind != LISTEN_LMTP)
			continue;
		error = net_listener_new(
			core->front, server->listening[i].fd, lmtp_accepted, core, &core->lmtp[core->lmtp_count]);
		if (!error)
			core->lmtp_count++;
	}
	return error;
}

/* ---- Start and end ---- */

static int make_loops(struct core *core)
{
	uint64_t wanted = core->server->config.shards;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int error;

	core->shard_count = (unsigned)MIN(wanted ? wanted : (uint64_t)MAX(processors, 1), (uint64_t)STORE_SHARDS_MAX);
	core->shards = calloc(core->shard_count, sizeof(*core->shards));
	core->loops = calloc(core->shard_count, sizeof(struct net_loop *));
	if (!core->shards || !core->loops)
		return -ENOMEM;
	error = net_loop_new(&core->front);
	for (unsigned i = 0; i < core->shard_count && !error; i++) {
		core->shards[i].core = core;
		core->shards[i].index = i;
		error = net_loop_new(&core->shards[i].loop);
		core->loops[i] = core->shards[i].loop;
	}
	return error;
}

/* Everything the walls would keep out afterwards has been done: then the walls, before the first thread. */
static int enclose(struct core *core, const char *data)
{
	const struct server *server = core->server;
	int error;

	(void)mail_charsets_preload();
	error = gate_sandbox_core(data);
	if (error == -EOPNOTSUPP && !server->config.require_sandbox) {
		LOG(server->log, LOG_WARN, "sandbox-incomplete",
			{"detail", SLICE("this kernel has no Landlock or seccomp")});
		error = 0;
	}
	return error;
}

static int make_data_directory(struct core *core, const char **ret_path)
{
	const char *path = arena_text(core->server->arena, core->server->config.data_dir);

	if (!path)
		return -ENOMEM;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	*ret_path = path;
	return 0;
}

static int core_start(struct core *core, const char **ret_step)
{
	const char *data = NULL;
	int error;

	*ret_step = "data directory";
	error = make_data_directory(core, &data);
	if (error)
		return error;
	*ret_step = "sandbox";
	error = enclose(core, data);
	if (error)
		return error;
	*ret_step = "loops";
	error = make_loops(core);
	if (error)
		return error;
	*ret_step = "data directory";
	error = open_store(core);
	if (error)
		return error;
	/* With a key of this process only, a stranger may find out who exists: no reason not to serve, when a disk is full. */
	error = core_salt_key(core->server->config.data_dir, core->salt_key);
	if (error)
		LOG(core->server->log, LOG_WARN, "salt-key-not-kept", {"error", slice_of(strerror(-error))});
	*ret_step = "logins";
	error = worker_pool_new(MAX(2, core->shard_count), &core->workers);
	if (!error)
		error = core_logins_new(core, &core->logins);
	if (!error)
		error = core_shards_start(core);
	if (error)
		return error;
	*ret_step = "listeners";
	error = listen_lmtp(core);
	if (!error)
		error = core_admin_start(core);
	if (!error)
		error = net_watch_new(core->front, core->control_fd, control_ready, core, &core->control);
	if (!error)
		error = net_watch_for(core->control, POLLIN);
	return error;
}

static void core_end(struct core *core)
{
	bool clean = core_shards_join(core);

	admin_server_free(&core->admin);
	worker_pool_free(&core->workers);
	if (!clean) {
		/* Sessions that did not end in time still hold their accounts: leave all as it is; what was acknowledged is durable. */
		LOG(core->server->log, LOG_WARN, "sessions-left");
		_exit(0);
	}
	store_close(&core->store);
	LOG(core->server->log, LOG_INFO, "store-closed");
}

/* Certificates are the gates' business. */
static void forget_keys(struct server *server)
{
	for (size_t i = 0; i < server->pem_count; i++)
		if (server->pems[i].key.len)
			explicit_bzero((char *)(uintptr_t)server->pems[i].key.at, server->pems[i].key.len);
	memset(server->pems, 0, sizeof(server->pems));
	server->pem_count = 0;
}

static const char *explain(const char *step, int error)
{
	if (!slice_equal(slice_of(step), SLICE("data directory")))
		return strerror(-error);
	if (error == -EBUSY)
		return "in use by another process";
	if (error == -EBADMSG)
		return "damaged; see `penfold check`";
	if (error == -EACCES || error == -EPERM)
		return "this user may not read and write there";
	return strerror(-error);
}

int core_run(struct server *server, int control_fd)
{
	struct core *core = calloc(1, sizeof(*core));
	const char *step = "memory";
	int error;

	if (!core)
		return 1;
	core->server = server;
	core->control_fd = control_fd;
	/* Numbers of sessions do not come again after a restart: the log is searched for them. */
	core->last_session = (uint64_t)clock_wall_ms(clock_system()) << SESSION_BITS;
	server_name_process("penfold-core");
	forget_keys(server);
	for (size_t i = 0; i < server->listening_count; i++)
		if (server->listening[i].kind != LISTEN_LMTP)
			(void)close(server->listening[i].fd);
	error = core_start(core, &step);
	if (error) {
		LOG(server->log, LOG_ERROR, "core-start-failed", {"step", slice_of(step)},
			{"error", slice_of(explain(step, error))}, {"data_dir", server->config.data_dir});
		return 1;
	}
	core_tell_supervisor(core, CONTROL_READY);
	net_loop_run(core->front);
	core_end(core);
	return 0;
}
