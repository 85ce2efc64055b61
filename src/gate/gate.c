#include "gate/gate.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "gate/control.h"
#include "gate/sandbox.h"

enum { KEPT_MAX = GATE_LISTENERS_MAX + 2, OUTPUT_FDS = 3, TRIM_AFTER_MS = 1000, TRIM_SHARE = 100, TRIM_WORTH = 32 };
enum {
	DESCRIPTORS_OWN = 64, /* at the most */
	DESCRIPTORS_EACH = 2, /* the client, and its relay with TLS */
	FULL_UNTIL_SHARE = 64,
};

struct gate_settings gate_settings_default(void)
{
	return (struct gate_settings){
		.channel_fd = -1,
		.control_fd = -1,
		.connections_max = 10000,
		.connections_per_address_max = 100,
		.handshake_ms = 30000,
		.login_ms = 60000,
		.turn_ms = 20000,
		.stalled_ms = 600000,
		.pop3_expire_days = -1,
	};
}

/* ---- Serving ---- */

static void end(struct gate *gate, int status)
{
	gate->status = status;
	net_loop_stop(gate->loop);
}

static void log_full(const struct gate *gate)
{
	char count[24];

	(void)snprintf(count, sizeof(count), "%zu", gate->connection_count);
	LOG(gate->settings->log, LOG_WARN, "gate-full", {"connections", slice_of(count)},
		{"why", SLICE("there are descriptors for no more")});
}

/*
 * Each connection may want a second descriptor when it has logged in. If there were none left then, a client that did nothing wrong would be turned
 * away; while nobody is accepted here, other gates do that, or the kernel's queue keeps them.
 */
static void look_at_room(struct gate *gate)
{
	/* Once full, it is that until some have left: not on and off with each. */
	bool full = gate->connection_count >= gate->room - (gate->full ? gate->room / FULL_UNTIL_SHARE : 0);

	if (gate->full == full || gate->stopping)
		return;
	gate->full = full;
	if (full)
		log_full(gate);
	for (size_t i = 0; i < gate->settings->listener_count; i++) {
		if (full && gate->listeners[i])
			net_listener_pause(gate->listeners[i]);
		else if (gate->listeners[i])
			net_listener_resume(gate->listeners[i]);
	}
}

static size_t room_for_connections(void)
{
	size_t descriptors = net_descriptors_max();

	return descriptors <= 2 * DESCRIPTORS_OWN ? 1 : (descriptors - DESCRIPTORS_OWN) / DESCRIPTORS_EACH;
}

void gate_connection_ended(struct gate *gate)
{
	look_at_room(gate);
	if (gate->stopping && gate->connection_count == 0)
		net_loop_stop(gate->loop);
}

/*
 * A handshake takes some 20 KiB that its connection does not need afterwards. A crowd that comes at once leaves that between what stays, and
 * there the heap keeps it. So it is told to give it back: at most once a second, and for a hundredth of the time.
 */
static void trim(void *owner)
{
	struct gate *gate = owner;
	int64_t start_us = clock_monotonic_us(clock_system());
	uint64_t took_us;

	(void)malloc_trim(0);
	took_us = (uint64_t)(clock_monotonic_us(clock_system()) - start_us);
	gate->freed = 0;
	gate->trim_after_ms = MAX((uint64_t)TRIM_AFTER_MS, took_us * TRIM_SHARE / 1000);
}

void gate_memory_freed(struct gate *gate)
{
	if (++gate->freed == TRIM_WORTH && !gate->stopping)
		net_timer_start(gate->trim, gate->trim_after_ms);
}

static void on_accepted(void *owner, int fd, const struct sockaddr_storage *peer)
{
	struct listening *listening = owner;

	connection_accept(listening->gate, listening->listener, fd, peer);
	look_at_room(listening->gate);
}

static int listen_on_all(struct gate *gate)
{
	const struct gate_settings *settings = gate->settings;
	int error = 0;

	for (size_t i = 0; i < settings->listener_count && !error; i++) {
		gate->listening[i] = (struct listening){gate, &settings->listeners[i]};
		error = net_listener_new(
			gate->loop, settings->listeners[i].fd, on_accepted, &gate->listening[i], &gate->listeners[i]);
	}
	return error;
}

/* Core's first message; before it nobody could be told what may be done here. */
static int take_hello(struct gate *gate, const struct gate_message *message)
{
	const struct gate_mechanisms *said = &message->mechanisms;
	struct gate_mechanisms *kept = &gate->mechanisms;

	if (gate->hello || arena_new(4 * GATE_MECHANISMS_MAX + 4096, &gate->hello))
		return -EBADMSG;
	if (arena_copy(gate->hello, said->open, &kept->open) ||
		arena_copy(gate->hello, said->loopback, &kept->loopback) ||
		arena_copy(gate->hello, said->tls_exporter, &kept->tls_exporter) ||
		arena_copy(gate->hello, said->tls_unique, &kept->tls_unique))
		return -ENOMEM;
	return gate->stopping ? 0 : listen_on_all(gate);
}

static void on_core_message(void *owner, const struct gate_message *message, int fd)
{
	struct gate *gate = owner;

	if (message->kind != GATE_HELLO) {
		login_core_said(gate, message, fd);
		return;
	}
	if (fd >= 0)
		(void)close(fd);
	if (take_hello(gate, message)) {
		LOG(gate->settings->log, LOG_ERROR, "gate-cannot-listen");
		end(gate, 1);
	}
}

static void on_core_gone(void *owner, int error)
{
	struct gate *gate = owner;

	/* Core ends first. What it said last may still be on its way to clients over TLS. */
	if (gate->stopping) {
		gate_connection_ended(gate);
		return;
	}
	LOG(gate->settings->log, LOG_ERROR, "gate-lost-core", {"error", slice_of(strerror(-error))});
	end(gate, 1);
}

static void on_control(void *owner, int events)
{
	struct gate *gate = owner;

	(void)events;
	if (control_read(gate) == 0)
		return;
	/* Without a supervisor nothing would ever end this process. */
	end(gate, !gate->stopping);
}

/* ---- Life ---- */

static bool is_kept(const struct gate_settings *settings, int fd)
{
	if (fd < OUTPUT_FDS || fd == settings->channel_fd || fd == settings->control_fd)
		return true;
	for (size_t i = 0; i < settings->listener_count; i++)
		if (fd == settings->listeners[i].fd)
			return true;
	return false;
}

/* What the parent had open is none of a gate's business. */
static void close_others(const struct gate_settings *settings)
{
	unsigned from = OUTPUT_FDS;
	int highest = MAX(settings->channel_fd, settings->control_fd);

	for (size_t i = 0; i < settings->listener_count; i++)
		highest = MAX(highest, settings->listeners[i].fd);
	for (int fd = OUTPUT_FDS; fd <= highest; fd++)
		if (!is_kept(settings, fd))
			(void)close(fd);
	from = MAX(from, (unsigned)(highest + 1));
	(void)close_range(from, ~0U, 0);
}

static int prepare(struct gate *gate)
{
	static const struct gate_channel_events channel_events = {on_core_message, on_core_gone};
	const struct gate_settings *settings = gate->settings;
	struct buffer problem = BUFFER_INIT(512);
	int error = tls_new(&gate->tls);

	if (!error)
		error = tls_load(gate->tls, settings->certificates, settings->certificate_count, &problem);
	if (error)
		LOG(settings->log, LOG_ERROR, "certificates-refused", {"detail", buffer_slice(&problem)});
	buffer_free(&problem);
	if (!error)
		error = net_loop_new(&gate->loop);
	if (!error)
		error = net_timer_new(gate->loop, trim, gate, &gate->trim);
	if (!error)
		error = gate_channel_new(
			gate->loop, settings->channel_fd, false, &channel_events, gate, &gate->channel);
	if (!error)
		error = net_watch_new(gate->loop, settings->control_fd, on_control, gate, &gate->control);
	if (!error)
		error = net_watch_for(gate->control, POLLIN);
	return error;
}

static int shut_in(const struct gate_settings *settings)
{
	int error = gate_sandbox_gate();

	if (error == -EOPNOTSUPP && !settings->require_sandbox) {
		LOG(settings->log, LOG_WARN, "sandbox-incomplete",
			{"detail", SLICE("this kernel has no Landlock or seccomp")});
		error = 0;
	}
	return error;
}

static void clear(struct gate *gate)
{
	struct list_node *node;

	for (size_t i = 0; i < gate->settings->listener_count; i++)
		net_listener_free(&gate->listeners[i]);
	while ((node = gate->connections))
		connection_free(CONTAINER_OF(node, struct connection, node));
	gate_channel_free(&gate->channel);
	net_watch_free(&gate->control);
	net_timer_free(&gate->trim);
	control_clear(gate);
	net_loop_free(&gate->loop);
	tls_free(&gate->tls);
	arena_free(&gate->hello);
	free(gate);
}

int gate_run(const struct gate_settings *settings)
{
	struct gate *gate = calloc(1, sizeof(*gate));
	int error;
	int status = 1;

	if (!gate || settings->listener_count > GATE_LISTENERS_MAX) {
		free(gate);
		return 1;
	}
	gate->settings = settings;
	gate->room = room_for_connections();
	gate->trim_after_ms = TRIM_AFTER_MS;
	gate->line_end = &gate->line;
	gate->site =
		(struct prelogin_site){settings->hostname, settings->pop3_expire_days, settings->pop3_login_delay_s};
	gate->addresses.seed = clock_random_u64(clock_system());
	gate->addresses.per_address_max = settings->connections_per_address_max;
	close_others(settings);
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	error = prepare(gate);
	if (!error)
		error = shut_in(settings);
	if (error) {
		LOG(settings->log, LOG_ERROR, "gate-failed", {"error", slice_of(strerror(-error))});
	} else {
		net_loop_run(gate->loop);
		status = gate->status;
	}
	clear(gate);
	return status;
}
