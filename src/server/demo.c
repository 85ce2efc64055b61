/*
 * penfold demo: a throw-away server on loopback. Tests and measurements from outside drive Penfold through this, so its one line of
 * JSON and its port order are a promise (see penfold(1)).
 */
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gate/selfsign.h"
#include "server/server.h"
#include "store/directory.h"

enum { DEMO_BASE_PORT = 2143, DEMO_USERS_MAX = 1000000, DEMO_BATCH = 1000, SET_MAX = 32 };

static const struct actor demo_actor = {STORE_BY_ADMIN, {"demo", 4}, {"127.0.0.1", 9}};

struct demo {
	const char *dir, *password;
	uint64_t users, base_port;
	struct slice set[SET_MAX]; /* lines of configuration */
	size_t set_count;
	struct server server;
	struct buffer problem; /* why it cannot start */
};

/* The order of the fixed ports, base + index; what is not built yet keeps its place. */
static const struct {
	const char *name;
	bool built;
	enum listen_kind kind;
} ports[] = {
	{"imap", true, LISTEN_IMAP},
	{"imaps", true, LISTEN_IMAPS},
	{"pop3", true, LISTEN_POP3},
	{"pop3s", true, LISTEN_POP3S},
	{"lmtp", true, LISTEN_LMTP},
	{"smtp", false, LISTEN_LMTP},
	{"submission", false, LISTEN_LMTP},
	{"http", false, LISTEN_LMTP},
	{"managesieve", false, LISTEN_LMTP},
};

static int usage(void)
{
	(void)fprintf(stderr,
		"usage: penfold demo --dir DIR [--users N] [--password P] [--base-port B] [--set 'KEY = VALUE']...\n"
		"  serves on 127.0.0.1, ports B+0 imap, B+1 imaps, B+2 pop3, B+3 pop3s, B+4 lmtp (B: "
		"2143; 0: any free ones)\n"
		"  users user0@example.org ... with one password (\"penfold\")\n"
		"  any key of penfold.conf(5) can be set\n");
	return 2;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	return slice_to_u64(slice_of(text), max, ret_number) == 0;
}

static int parse_arguments(struct demo *demo, int argc, char **argv)
{
	static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
		{"users", required_argument, NULL, 'u'}, {"password", required_argument, NULL, 'p'},
		{"base-port", required_argument, NULL, 'b'}, {"set", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		bool fine = true;

		if (option == 'd')
			demo->dir = optarg;
		else if (option == 'p')
			demo->password = optarg;
		else if (option == 'u')
			fine = parse_number(optarg, DEMO_USERS_MAX, &demo->users) && demo->users > 0;
		else if (option == 'b')
			fine = parse_number(optarg, 65535 - ARRAY_LEN(ports), &demo->base_port);
		else if (option == 's' && (fine = demo->set_count < SET_MAX))
			demo->set[demo->set_count++] = slice_of(optarg);
		else if (option != 's')
			return usage();
		if (!fine) {
			(void)fprintf(stderr, "penfold demo: '%s' is out of range\n", optarg);
			return usage();
		}
	}
	return optind < argc || !demo->dir ? usage() : 0;
}

/* ---- The data directory: domain and users, made before anything serves ---- */

static void store_failed(void *context, int error, const char *what)
{
	(void)context;
	(void)fprintf(stderr, "penfold demo: %s: %s\n", what, strerror(-error));
	_exit(1);
}

static void store_durable(void *context, uint64_t seq)
{
	(void)context;
	(void)seq;
}

/* What all users get, and what the last one who had it already has: usually the same for all. */
struct demo_secret {
	struct slice fresh;
	struct buffer proven;
};

/* Whatever became of a user's password since the last start: the line of JSON promises this one. */
static int keep_password(
	struct demo *demo, struct store *store, const struct directory_account *account, struct demo_secret *secret)
{
	const struct directory_change change = {.secret = &secret->fresh};
	int error = -EACCES;

	if (slice_equal(account->secret, buffer_slice(&secret->proven)))
		return 0;
	if (account->secret.len)
		error = auth_secret_verify(account->secret, slice_of(demo->password), &auth_cost_fast);
	if (error == -EACCES || error == -EBADMSG)
		return directory_account_change(store, account->address, &change, &demo_actor);
	if (!error) {
		buffer_reset(&secret->proven);
		buffer_put(&secret->proven, account->secret);
	}
	return error;
}

static int add_batch(struct demo *demo, struct store *store, struct demo_secret *secret, uint64_t first, uint64_t count)
{
	struct directory_account *accounts = calloc(count, sizeof(*accounts));
	struct arena *arena = NULL;
	int error = accounts ? arena_new(64 << 20, &arena) : -ENOMEM;
	size_t used = 0, added;

	for (uint64_t i = first; i < first + count && !error; i++) {
		struct directory_account there;
		char name[64];

		(void)snprintf(name, sizeof(name), "user%llu@example.org", (unsigned long long)i);
		error = directory_account_find(store, slice_of(name), arena, &there);
		if (!error)
			error = keep_password(demo, store, &there, secret);
		if (error != -ENOENT)
			continue;
		accounts[used] = (struct directory_account){.secret = secret->fresh, .allowed = ALLOW_ALL};
		error = arena_copy(arena, slice_of(name), &accounts[used].address);
		used++;
	}
	if (!error && used)
		error = directory_accounts_add(store, accounts, used, &demo_actor, &added);
	arena_free(&arena);
	free(accounts);
	return error;
}

static int fill_directory(struct demo *demo, struct store *store)
{
	struct buffer fresh = BUFFER_INIT(AUTH_SECRET_MAX);
	struct demo_secret secret = {.proven = BUFFER_INIT(AUTH_SECRET_MAX)};
	int error = directory_domain_add(store, SLICE("example.org"));

	if (error == -EEXIST)
		error = 0;
	if (!error)
		error = auth_secret_make(slice_of(demo->password), &auth_cost_fast, &fresh);
	secret.fresh = buffer_slice(&fresh);
	for (uint64_t i = 0; i < demo->users && !error; i += DEMO_BATCH)
		error = add_batch(demo, store, &secret, i, MIN(DEMO_BATCH, demo->users - i));
	buffer_free(&fresh);
	buffer_free(&secret.proven);
	return error;
}

static int make_accounts(struct demo *demo)
{
	struct store_settings settings = store_settings_default();
	struct store *store = NULL;
	int error = 0;

	settings.dir = demo->server.config.data_dir;
	settings.shards = 1;
	settings.failed = store_failed;
	settings.durable = store_durable;
	/* A predecessor that was killed may hold the lock for a moment longer. */
	for (int tries = 0; tries < 100; tries++) {
		error = store_open(&settings, &store);
		if (error != -EBUSY)
			break;
		(void)usleep(100000);
	}
	if (error) {
		buffer_printf(&demo->problem, "%s/data: %s", demo->dir,
			error == -EBUSY ? "is in use by another process" : strerror(-error));
		return error;
	}
	error = fill_directory(demo, store);
	if (error)
		buffer_printf(&demo->problem, "accounts: %s", strerror(-error));
	store_close(&store);
	return error;
}

/* ---- Configuration without a file ---- */

static int make_certificate(struct demo *demo)
{
	struct server *server = &demo->server;
	struct buffer chain = BUFFER_INIT(1 << 16), key = BUFFER_INIT(1 << 16);
	int error = gate_selfsign(server->config.hostname, &chain, &key);

	if (!error)
		error = arena_copy(server->arena, buffer_slice(&chain), &server->pems[0].chain);
	if (!error)
		error = arena_copy(server->arena, buffer_slice(&key), &server->pems[0].key);
	server->pem_count = 1;
	buffer_free(&chain);
	buffer_free(&key);
	if (error)
		buffer_printf(&demo->problem, "certificate: %s", strerror(-error));
	return error;
}

static int path_below(struct demo *demo, const char *name, struct slice *ret_path)
{
	struct buffer path = BUFFER_INIT(4096);
	int error;

	buffer_printf(&path, "%s/%s", demo->dir, name);
	error = buffer_error(&path);
	if (!error)
		error = arena_copy(demo->server.arena, buffer_slice(&path), ret_path);
	buffer_free(&path);
	return error;
}

/* What the command line sets; the demo's folder and ports are its own. */
static int settings_take(struct demo *demo)
{
	struct server *server = &demo->server;
	int error = 0;

	for (size_t i = 0; !error && i < demo->set_count; i++)
		error = config_set(demo->set[i], server->arena, &server->config, &demo->problem);
	return error;
}

static int configure(struct demo *demo)
{
	struct config *config = &demo->server.config;
	int error;

	config_defaults(config);
	config->hostname = SLICE("localhost");
	config->user = SLICE("");
	config->throttle_loopback = false;
	config->argon2_memory_kib = auth_cost_fast.argon2_memory_kib;
	config->argon2_passes = auth_cost_fast.argon2_passes;
	config->scram_iterations = auth_cost_fast.scram_iterations;
	config->connections_per_address = config->connections_max;
	config->sessions_per_account = config->connections_max;
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		if (!ports[i].built)
			continue;
		config->listeners[config->listener_count++] = (struct config_listener){.kind = ports[i].kind,
			.host = SLICE("127.0.0.1"),
			.port = (uint16_t)(demo->base_port ? demo->base_port + i : 0)};
	}
	error = settings_take(demo);
	if (!error)
		error = path_below(demo, "data", &config->data_dir);
	if (!error)
		error = path_below(demo, "control", &config->control_socket);
	/* The address of a socket has room for 107 bytes; a test's folder may lie deeper. */
	if (!error && config->control_socket.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		config->control_socket = SLICE("control");
		error = chdir(demo->dir) < 0 ? -errno : 0;
	}
	return error;
}

/* For the command line, which then works on the demo, too: penfold account list -c DIR/penfold.conf */
static int write_config(struct demo *demo)
{
	struct slice path;
	int error = path_below(demo, "penfold.conf", &path);
	const char *name = error ? NULL : arena_text(demo->server.arena, path);
	FILE *file = name ? fopen(name, "we") : NULL;

	if (!file)
		return error ? error : -errno;
	(void)fprintf(file,
		"# Written by `penfold demo` at each start, for: penfold account list -c %s\n"
		"data_dir = %s/data\ncontrol_socket = %s/control\n",
		name, demo->dir, demo->dir);
	return fclose(file) ? -errno : 0;
}

/* ---- Ready ---- */

static void print_ready(void *context, const pid_t *pids, size_t count)
{
	struct demo *demo = context;
	json_t *line = json_object(), *users = json_array(), *pid_list = json_array();
	char *text;
	size_t at = 0;

	(void)json_object_set_new(line, "ready", json_true());
	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		if (ports[i].built)
			(void)json_object_set_new(line, ports[i].name, json_integer(demo->server.listening[at++].port));
	for (uint64_t i = 0; i < demo->users; i++)
		(void)json_array_append_new(users, json_sprintf("user%llu@example.org", (unsigned long long)i));
	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(pid_list, json_integer(pids[i]));
	(void)json_object_set_new(line, "users", users);
	(void)json_object_set_new(line, "password", json_string(demo->password));
	(void)json_object_set_new(line, "pids", pid_list);
	(void)json_object_set_new(line, "dir", json_string(demo->dir));
	text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
	if (text)
		(void)printf("%s\n", text);
	(void)fflush(stdout);
	free(text);
	json_decref(line);
}

static int open_log(struct demo *demo)
{
	struct slice path;
	const char *name;
	int error = path_below(demo, "penfold.log", &path);
	int fd;

	if (error)
		return error;
	name = arena_text(demo->server.arena, path);
	fd = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return -errno;
	demo->server.log_fd = fd;
	return log_new(fd, demo->server.config.log_level, &demo->server.log);
}

static int find_directory(struct demo *demo, char **ret_absolute)
{
	char *absolute = NULL;

	if (mkdir(demo->dir, 0700) == 0 || errno == EEXIST)
		absolute = realpath(demo->dir, NULL);
	if (!absolute) {
		buffer_printf(&demo->problem, "%s: %s", demo->dir, strerror(errno));
		return -EINVAL;
	}
	demo->dir = absolute;
	*ret_absolute = absolute;
	return 0;
}

static int prepare(struct demo *demo)
{
	int error = arena_new(SERVER_ARENA_MAX, &demo->server.arena);

	if (!error)
		error = configure(demo);
	if (!error)
		error = open_log(demo);
	if (!error)
		error = write_config(demo);
	if (!error)
		error = make_certificate(demo);
	if (!error)
		error = make_accounts(demo);
	if (!error)
		error = server_bind(&demo->server, &demo->problem);
	return error;
}

static int start(struct demo *demo)
{
	char *absolute = NULL;
	int status = 1;
	int error = find_directory(demo, &absolute);

	if (!error)
		error = prepare(demo);
	if (error) {
		(void)fprintf(stderr, "penfold demo: %s\n",
			demo->problem.len ? buffer_text(&demo->problem) : strerror(-error));
	} else {
		demo->server.ready = print_ready;
		demo->server.context = demo;
		status = supervisor_run(&demo->server);
	}
	log_free(&demo->server.log);
	arena_free(&demo->server.arena);
	free(absolute);
	return status;
}

int demo_main(int argc, char **argv)
{
	struct demo *demo = calloc(1, sizeof(*demo));
	int status;

	if (!demo)
		return 1;
	demo->password = "penfold";
	demo->users = 1;
	demo->base_port = DEMO_BASE_PORT;
	demo->server.control_listener = -1;
	demo->problem = BUFFER_INIT(4096);
	status = parse_arguments(demo, argc, argv);
	if (!status)
		status = start(demo);
	buffer_free(&demo->problem);
	free(demo);
	return status;
}
