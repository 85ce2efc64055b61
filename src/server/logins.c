/*
 * Logins: from a gate's AUTH_START to a session. The exchanges live on the front loop; each step of one runs on a worker, because a
 * password hash takes long; a guess too many waits on a timer first. Whose password was verified not long ago is known at once, without either.
 */
#include <unistd.h>

#include "server/core.h"
#include "store/directory.h"

enum {
	CACHE_ENTRIES = 1 << 22, /* 40 bytes each, in a table that is a quarter to half full */
	CACHE_KEEP_MS = 3600000,
	LOGIN_ARENA_MAX = 65536,
	LOGIN_BYTES_MAX = GATE_SASL_MAX + 4096,
	MECHANISM_LISTS = 4,
};

struct login_gate {
	struct core_logins *logins;
	struct gate_peer *peer;
	unsigned users; /* logins that point here */
	bool gone;
	struct login *first;
};

enum login_state { LOGIN_DELAYED, LOGIN_WORKING, LOGIN_WAITING /* for the client */, LOGIN_THROUGH };

struct login {
	struct core_logins *logins;
	struct login_gate *gate;
	struct login *next;
	uint64_t id;
	enum gate_protocol protocol;
	enum login_state state;
	bool cancelled, tls;
	struct slice peer, address_only, client, mechanism; /* of `texts` */
	struct buffer in, out;                              /* of the step at work */
	struct buffer
		user; /* whom it tries, as typed: what SASL says, or, before the exchange has begun, what PLAIN carries */
	struct auth_connection connection;
	struct auth_settings settings;  /* as they were when it began: a reload changes the next ones */
	struct auth_exchange *exchange; /* while it goes on */
	enum auth_state result;
	struct buffer address, device; /* with `account`: who it is, when the result is AUTH_DONE */
	uint64_t account;
	bool forbidden;
	uint64_t waited_ms; /* for guessing, so far */
	struct net_timer *timer;
	struct worker_job job;
	struct net_task done;
	char texts[]; /* in one piece: of a crowd that comes at once all but a few wait for their turn */
};

struct core_logins {
	struct core *core;
	struct auth_settings settings;
	struct auth_cache *cache;
	struct auth_throttle *throttle;
	struct buffer lists[MECHANISM_LISTS];
};

/* ---- Life of a login ---- */

static void login_free(struct login *login)
{
	struct login_gate *gate = login->gate;
	struct login **at = &gate->first;

	while (*at != login)
		at = &(*at)->next;
	*at = login->next;
	if (login->exchange)
		auth_exchange_free(&login->exchange);
	net_timer_free(&login->timer);
	buffer_free(&login->in);
	buffer_free(&login->out);
	buffer_free(&login->user);
	buffer_free(&login->address);
	buffer_free(&login->device);
	free(login);
	if (--gate->users == 0 && gate->gone)
		free(gate);
}

static struct login *login_find(struct login_gate *gate, uint64_t id)
{
	for (struct login *login = gate->first; login; login = login->next)
		if (login->id == id)
			return login;
	return NULL;
}

static void answer_failed(struct login *login, enum gate_failure failure, const char *text)
{
	if (!login->cancelled)
		gate_peer_failed(login->gate->peer, login->id, failure, slice_of(text));
	login_free(login);
}

/* ---- One step ---- */

/* The password is right. The directory says whether this account may do what it is about to do. Any thread. */
static void look_at_account(struct login *login)
{
	unsigned wanted = login->protocol == GATE_POP3 ? ALLOW_POP3 : ALLOW_IMAP;
	struct directory_account account;
	struct arena *arena = NULL;
	int error = arena_new(LOGIN_ARENA_MAX, &arena);

	if (!error)
		error = directory_account_by_id(login->logins->core->store, login->account, arena, &account);
	if (error)
		login->result = error == -ENOENT ? AUTH_FAILED : AUTH_UNAVAILABLE;
	else
		login->forbidden = account.disabled || !(account.allowed & wanted);
	arena_free(&arena);
}

/* Whoever is through may wait for its gate for a while, and many at a time: with as little as there is to know. */
static void take_identity(struct login *login, const struct auth_identity *identity)
{
	login->account = identity->account;
	buffer_put(&login->address, identity->address);
	buffer_put(&login->device, identity->device);
	login->result = AUTH_DONE;
	look_at_account(login);
	if (buffer_error(&login->address) || buffer_error(&login->device))
		login->result = AUTH_UNAVAILABLE;
}

static void exchange_step(struct login *login)
{
	int error = 0;

	if (!login->exchange)
		error = auth_exchange_new(&login->settings, &login->connection, login->mechanism, &login->exchange);
	if (error) {
		login->result = error == -ENOENT ? AUTH_FAILED : AUTH_UNAVAILABLE;
		return;
	}
	login->result = auth_exchange_step(login->exchange, buffer_slice(&login->in), &login->out);
	buffer_reset(&login->user);
	buffer_put(&login->user, auth_exchange_user(login->exchange));
	if (login->result == AUTH_DONE)
		take_identity(login, auth_exchange_identity(login->exchange));
	if (login->result != AUTH_CONTINUE)
		auth_exchange_free(&login->exchange);
}

static void step_work(struct worker_job *job)
{
	struct login *login = CONTAINER_OF(job, struct login, job);

	exchange_step(login);
	net_loop_post(login->logins->core->front, &login->done);
}

/* Who logged in not long ago is spared the way to a worker and back. */
static bool is_remembered(struct login *login)
{
	struct auth_identity identity;
	struct arena *arena = NULL;
	bool remembered;

	if (!slice_equal_nocase(login->mechanism, SLICE("PLAIN")) || arena_new(LOGIN_ARENA_MAX, &arena))
		return false;
	remembered = auth_plain_remembered(
			     &login->settings, &login->connection, buffer_slice(&login->in), arena, &identity) == 0;
	if (remembered)
		take_identity(login, &identity);
	arena_free(&arena);
	return remembered;
}

static void step_over(struct login *login);

static void step_start(struct login *login)
{
	buffer_reset(&login->out);
	if (is_remembered(login)) {
		step_over(login);
		return;
	}
	login->state = LOGIN_WORKING;
	login->job.work = step_work;
	worker_pool_add(login->logins->core->workers, &login->job);
}

struct login_story {
	struct slice account, device;
	uint64_t session; /* 0: none */
	const char *why;
};

static void log_login(
	const struct login *login, enum log_level level, const char *event, const struct login_story *story)
{
	char session[17] = "";

	if (story->session)
		(void)snprintf(session, sizeof(session), "%llx", (unsigned long long)story->session);
	LOG(login->logins->core->server->log, level, event, {"account", story->account}, {"device", story->device},
		{"session", slice_of(session)}, {"peer", login->peer},
		{"proto", login->protocol == GATE_POP3 ? SLICE("pop3") : SLICE("imap")},
		{"mechanism", login->mechanism}, {"tls", login->tls ? SLICE("yes") : SLICE("no")},
		{"client", login->client}, {"why", slice_of(story->why)});
}

static void log_step(const struct login *login)
{
	struct login_story story = {.account = buffer_slice(&login->user), .why = ""};

	if (login->result == AUTH_DONE && login->forbidden) {
		story.why = "not allowed";
		log_login(login, LOG_INFO, "login-refused", &story);
	} else if (login->result == AUTH_FAILED) {
		log_login(login, LOG_INFO, "login-failed", &story);
	} else if (login->result == AUTH_UNAVAILABLE) {
		log_login(login, LOG_ERROR, "login-unavailable", &story);
	}
}

static void pass_on(struct login *login)
{
	int error;

	login->state = LOGIN_THROUGH;
	error = gate_peer_ok(login->gate->peer, login->id, buffer_slice(&login->out));
	if (!error)
		return;
	if (error != -ENOENT) {
		const struct login_story story = {.account = buffer_slice(&login->user), .why = strerror(-error)};

		log_login(login, LOG_ERROR, "login-unavailable", &story);
	}
	login_free(login);
}

static void step_over(struct login *login)
{
	struct core_logins *logins = login->logins;

	buffer_reset(&login->in);
	log_step(login);
	if (login->result == AUTH_FAILED)
		auth_throttle_failed(logins->throttle, buffer_slice(&login->user), login->address_only);
	else if (login->result == AUTH_DONE)
		auth_throttle_succeeded(logins->throttle, buffer_slice(&login->user), login->address_only);
	if (login->cancelled) {
		login_free(login);
	} else if (login->result == AUTH_CONTINUE) {
		login->state = LOGIN_WAITING;
		gate_peer_challenge(login->gate->peer, login->id, buffer_slice(&login->out));
	} else if (login->result == AUTH_UNAVAILABLE) {
		answer_failed(login, GATE_UNAVAILABLE, "");
	} else if (login->result == AUTH_FAILED) {
		answer_failed(login, GATE_WRONG, "");
	} else if (login->forbidden) {
		answer_failed(login, GATE_FORBIDDEN, "");
	} else {
		pass_on(login);
	}
}

static void step_done(struct net_task *task)
{
	step_over(CONTAINER_OF(task, struct login, done));
}

/* ---- What a gate says ---- */

static void delay_over(void *owner)
{
	step_start(owner);
}

static struct slice keep(char **at, struct slice bytes)
{
	struct slice kept = {*at, bytes.len};

	if (bytes.len)
		memcpy(*at, bytes.at, bytes.len);
	*at += bytes.len;
	return kept;
}

/* authzid NUL authcid NUL password (RFC 4616 §2): the middle, for the throttle to know whom this is about. */
static struct slice guess_user(struct slice mechanism, struct slice initial)
{
	if (!slice_equal_nocase(mechanism, SLICE("PLAIN")))
		return SLICE("");
	(void)slice_split(&initial, '\0');
	return slice_first(slice_split(&initial, '\0'), AUTH_USER_MAX);
}

/* Without its port and brackets: the throttle counts addresses. */
static struct slice host_of(struct slice peer)
{
	size_t colon = slice_find_last_byte(peer, ':');
	struct slice host = colon == SIZE_MAX ? peer : slice_first(peer, colon);

	return host.len >= 2 && host.at[0] == '[' ? slice_first(slice_from(host, 1), host.len - 2) : host;
}

static void keep_start(struct login *login, const struct gate_auth_start *start)
{
	char *at = login->texts;

	login->id = start->id;
	login->protocol = start->protocol;
	login->tls = start->tls;
	login->peer = keep(&at, start->peer);
	login->address_only = host_of(login->peer);
	login->client = keep(&at, start->client);
	login->mechanism = keep(&at, start->mechanism);
	login->connection = (struct auth_connection){.confidential = start->confidential,
		.tls_exporter = keep(&at, start->tls_exporter),
		.tls_unique = keep(&at, start->tls_unique)};
	buffer_put(&login->in, start->initial);
	buffer_put(&login->user, guess_user(start->mechanism, start->initial));
}

static size_t texts_of(const struct gate_auth_start *start)
{
	return start->peer.len + start->client.len + start->mechanism.len + start->tls_exporter.len +
	       start->tls_unique.len;
}

static struct login *login_new(struct login_gate *gate, const struct gate_auth_start *start)
{
	struct login *login = calloc(1, sizeof(*login) + texts_of(start));

	if (!login)
		return NULL;
	login->logins = gate->logins;
	login->gate = gate;
	login->in = login->out = login->user = login->address = login->device = BUFFER_INIT(LOGIN_BYTES_MAX);
	login->settings = gate->logins->settings;
	login->done.run = step_done;
	login->next = gate->first;
	gate->first = login;
	gate->users++;
	keep_start(login, start);
	return login;
}

/*
 * Looks at the client's bytes when their turn has come. Who it is may show only on the way (SCRAM, LOGIN): what it waited for its
 * network already counts.
 */
static void step_in_turn(struct login *login)
{
	struct core_logins *logins = login->logins;
	uint64_t delay_ms = auth_throttle_delay_ms(logins->throttle, buffer_slice(&login->user), login->address_only);

	if (delay_ms <= login->waited_ms) {
		step_start(login);
		return;
	}
	login->state = LOGIN_DELAYED;
	if (!login->timer && net_timer_new(logins->core->front, delay_over, login, &login->timer)) {
		answer_failed(login, GATE_UNAVAILABLE, "");
		return;
	}
	net_timer_start(login->timer, delay_ms - login->waited_ms);
	login->waited_ms = delay_ms;
}

static void on_start(void *owner, const struct gate_auth_start *start)
{
	struct login_gate *gate = owner;
	struct login *login = login_new(gate, start);

	if (!login) {
		gate_peer_failed(gate->peer, start->id, GATE_UNAVAILABLE, SLICE(""));
		return;
	}
	step_in_turn(login);
}

static void on_step(void *owner, uint64_t id, struct slice response)
{
	struct login *login = login_find(owner, id);

	if (!login || login->state != LOGIN_WAITING)
		return;
	buffer_put(&login->in, response);
	step_in_turn(login);
}

static void on_cancel(void *owner, uint64_t id)
{
	struct login *login = login_find(owner, id);

	if (!login)
		return;
	/* A worker has it: it is freed when it comes back. */
	if (login->state == LOGIN_WORKING)
		login->cancelled = true;
	else
		login_free(login);
}

static void on_handover(void *owner, const struct gate_handover *from)
{
	struct login *login = login_find(owner, from->id);
	struct core_handover handover;
	struct login_story story;
	struct core *core;

	if (!login || login->state != LOGIN_THROUGH) {
		if (from->fd >= 0)
			(void)close(from->fd);
		return;
	}
	core = login->logins->core;
	if (from->fd < 0) {
		story = (struct login_story){.account = buffer_slice(&login->address), .why = "no descriptor is left"};
		log_login(login, LOG_WARN, "login-lost", &story);
		login_free(login);
		return;
	}
	/* The gate chooses when: meanwhile the account may have been shut, and the sessions that were told so. */
	look_at_account(login);
	if (login->result != AUTH_DONE || login->forbidden) {
		story = (struct login_story){.account = buffer_slice(&login->address), .why = "not allowed any more"};
		log_login(login, LOG_INFO, "login-refused", &story);
		(void)close(from->fd);
		login_free(login);
		return;
	}
	handover = (struct core_handover){.session = ++core->last_session,
		.protocol = login->protocol,
		.account_id = login->account,
		.address = buffer_slice(&login->address),
		.peer = login->peer,
		.device = login->device.len ? buffer_slice(&login->device) : login->client,
		.tag = from->tag,
		.pipelined = from->pipelined,
		.tls = login->tls,
		.utf8 = from->utf8,
		.fd = from->fd};
	story = (struct login_story){handover.address, handover.device, handover.session, ""};
	log_login(login, LOG_INFO, "login", &story);
	core_handover(core, &handover);
	login_free(login);
}

static void on_closed(void *owner, const char *why)
{
	struct login_gate *gate = owner;
	struct login *next;

	if (why)
		LOG(gate->logins->core->server->log, LOG_ERROR, "gate-broke-rules", {"why", slice_of(why)});
	gate_peer_free(&gate->peer);
	gate->gone = true;
	gate->users++;
	for (struct login *login = gate->first; login; login = next) {
		next = login->next;
		if (login->state == LOGIN_WORKING)
			login->cancelled = true;
		else
			login_free(login);
	}
	if (--gate->users == 0)
		free(gate);
}

static const struct gate_peer_events peer_events = {on_start, on_step, on_cancel, on_handover, on_closed};

int core_logins_add_gate(struct core_logins *logins, int channel_fd)
{
	const struct gate_mechanisms mechanisms = {.open = buffer_slice(&logins->lists[0]),
		.loopback = buffer_slice(&logins->lists[1]),
		.tls_exporter = buffer_slice(&logins->lists[2]),
		.tls_unique = buffer_slice(&logins->lists[3])};
	struct login_gate *gate = calloc(1, sizeof(*gate));
	int error = gate ? 0 : -ENOMEM;

	if (!error) {
		gate->logins = logins;
		error = gate_peer_new(logins->core->front, channel_fd, &mechanisms, &peer_events, gate, &gate->peer);
	}
	if (error) {
		(void)close(channel_fd);
		free(gate);
	}
	return error;
}

/* ---- Who is it: the directory, for auth ---- */

static int find_account(void *context, struct slice user, struct arena *arena, struct auth_identity *ret_identity)
{
	struct core_logins *logins = context;
	struct directory_account account;
	int error = directory_account_find(logins->core->store, user, arena, &account);

	if (error)
		return error == -EINVAL ? -ENOENT : error;
	*ret_identity =
		(struct auth_identity){.account = account.id, .address = account.address, .secret = account.secret};
	return 0;
}

/* ---- All of it ---- */

static void list_mechanisms(struct core_logins *logins)
{
	const struct auth_connection kinds[MECHANISM_LISTS] = {{.confidential = false}, {.confidential = true},
		{.confidential = true, .tls_exporter = SLICE("x")}, {.confidential = true, .tls_unique = SLICE("x")}};

	for (size_t i = 0; i < MECHANISM_LISTS; i++) {
		logins->lists[i] = BUFFER_INIT(GATE_MECHANISMS_MAX);
		auth_mechanisms(&kinds[i], &logins->lists[i]);
	}
}

int core_logins_new(struct core *core, struct core_logins **ret_logins)
{
	const struct config *config = &core->server->config;
	const struct auth_throttle_settings throttle = {.exempt_loopback = !config->throttle_loopback,
		.delay_first_ms = 1000,
		.delay_max_ms = 30000,
		.forget_ms = 600000,
		.entries_max = 65536};
	struct core_logins *logins = calloc(1, sizeof(*logins));
	int error;

	if (!logins)
		return -ENOMEM;
	logins->core = core;
	list_mechanisms(logins);
	error = auth_cache_new(CACHE_ENTRIES, CACHE_KEEP_MS, clock_system(), &logins->cache);
	if (!error)
		error = auth_throttle_new(&throttle, clock_system(), &logins->throttle);
	logins->settings = (struct auth_settings){.lookup = {find_account, logins},
		.cache = logins->cache,
		.cost = {.argon2_passes = (unsigned)config->argon2_passes,
			.argon2_memory_kib = (unsigned)config->argon2_memory_kib,
			.scram_iterations = (unsigned)config->scram_iterations},
		.hostname = config->hostname,
		.fake_salt_key = slice_make(core->salt_key, sizeof(core->salt_key))};
	if (error)
		core_logins_free(&logins);
	else
		*ret_logins = logins;
	return error;
}

void core_logins_free(struct core_logins **logins)
{
	if (!*logins)
		return;
	auth_cache_free(&(*logins)->cache);
	auth_throttle_free(&(*logins)->throttle);
	for (size_t i = 0; i < MECHANISM_LISTS; i++)
		buffer_free(&(*logins)->lists[i]);
	free(*logins);
	*logins = NULL;
}

void core_logins_set_cost(struct core_logins *logins, const struct auth_cost *cost)
{
	logins->settings.cost = *cost;
}

struct slice core_logins_mechanisms(const struct core_logins *logins)
{
	return buffer_slice(&logins->lists[1]);
}
