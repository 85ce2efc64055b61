/* The control socket in core, and the commands that use it from outside. */
#include "admin/admin.h"
#include "server/core.h"

static void count_sessions(
	void *context, unsigned shard_index, uint64_t account_id, struct admin_sessions *ret_sessions)
{
	struct core *core = context;
	const struct core_shard *shard = &core->shards[shard_index];

	*ret_sessions = (struct admin_sessions){.imap = imap_sessions_of(&shard->imap, account_id),
		.pop3 = pop3_sessions_of(&shard->pop3, account_id),
		.lmtp = account_id ? 0 : shard->lmtp.session_count};
}

static void take_request(void *context, enum admin_request request)
{
	core_tell_supervisor(context, request == ADMIN_STOP ? CONTROL_STOP : CONTROL_RELOAD);
}

static struct auth_cost cost_of(const struct config *config)
{
	return (struct auth_cost){.argon2_passes = (unsigned)config->argon2_passes,
		.argon2_memory_kib = (unsigned)config->argon2_memory_kib,
		.scram_iterations = (unsigned)config->scram_iterations};
}

int core_admin_start(struct core *core)
{
	const struct admin_services services = {.store = core->store,
		.cost = cost_of(&core->server->config),
		.loops = core->loops,
		.sessions = count_sessions,
		.request = take_request,
		.log = core->server->log,
		.context = core};

	return admin_server_new(core->front, core->server->control_listener, &services, &core->admin);
}

static struct admin_place place_from(const struct config *config)
{
	struct admin_place place = (struct admin_place){
		.socket = config->control_socket, .store = store_settings_default(), .cost = cost_of(config)};
	place.user = config->user;
	place.store.dir = config->data_dir;
	place.store.retention_s = config->retention_s;
	place.store.repack_after_s = config->repack_after_s;
	place.store.message_bytes_max = config->message_bytes_max;
	place.store.messages_max = config->messages_max;
	place.store.segment_bytes = config->segment_bytes;
	place.store.search_batch = config->search_index ? place.store.search_batch : 0;
	return place;
}

static int run(int argc, char **argv, const struct config *config)
{
	const struct admin_place place = place_from(config);

	return admin_cli_main(argc, argv, &place);
}

int command_main(int argc, char **argv)
{
	const char *path = admin_cli_config(&argc, argv);
	struct buffer problem = BUFFER_INIT(4096);
	struct arena *arena = NULL;
	struct config config;
	int status = 1;
	int error;

	if (admin_cli_is_help(argc, argv))
		return admin_cli_main(argc, argv, NULL);
	error = arena_new(1 << 20, &arena);
	if (!error)
		error = config_load(path ? path : CONFIG_DEFAULT_PATH, arena, &config, &problem);
	if (error)
		(void)fprintf(stderr, "penfold: %s\n", problem.len ? buffer_text(&problem) : strerror(-error));
	else
		status = run(argc, argv, &config);
	arena_free(&arena);
	buffer_free(&problem);
	return status;
}
