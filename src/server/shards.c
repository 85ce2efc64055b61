/* The shards' threads: a loop each, ticking the store, and the sessions on them started and stopped. */
#include <unistd.h>

#include "server/core.h"

enum { TICK_MS = 200, STOP_PATIENCE_MS = 10000 };

static unsigned sessions_of(const struct core_shard *shard)
{
	return shard->imap.session_count + shard->pop3.session_count + shard->lmtp.session_count;
}

static void tick(void *owner)
{
	struct core_shard *shard = owner;

	shard_tick(shard->imap.shard);
	if (shard->stopping && (sessions_of(shard) == 0 || net_loop_now_ms(shard->loop) >= shard->stop_deadline_ms)) {
		net_loop_stop(shard->loop);
		return;
	}
	net_timer_start(shard->tick, shard->stopping ? 10 : TICK_MS);
}

static void *shard_run(void *argument)
{
	struct core_shard *shard = argument;
	struct core *core = shard->core;

	net_timer_start(shard->tick, TICK_MS);
	net_loop_run(shard->loop);
	if (--core->shards_running == 0)
		net_loop_post(core->front, &core->shard_ended);
	return NULL;
}

static void front_stop(struct net_task *task)
{
	net_loop_stop(CONTAINER_OF(task, struct core, shard_ended)->front);
}

static void services_fill(struct core_shard *shard)
{
	struct core *core = shard->core;
	const struct config *config = &core->server->config;
	struct shard *store_part = store_shard(core->store, shard->index);

	shard->imap = (struct imap_services){.loop = shard->loop,
		.shard = store_part,
		.hostname = config->hostname,
		.log = core->server->log,
		.limits = imap_limits_default,
		.mechanisms = core_logins_mechanisms(core->logins)};
	shard->imap.limits.idle_ms = config->imap_idle_s * 1000;
	shard->imap.limits.sessions_max = (unsigned)config->sessions_per_account;
	shard->imap.limits.append_bytes_max = config->message_bytes_max;
	shard->pop3 = (struct pop3_services){.loop = shard->loop,
		.shard = store_part,
		.log = core->server->log,
		.limits = pop3_limits_default,
		.mechanisms = core_logins_mechanisms(core->logins),
		.login_delay_s = (unsigned)config->pop3_login_delay_s,
		.expire_days = POP3_EXPIRE_NEVER};
	shard->pop3.limits.idle_ms = config->pop3_idle_s * 1000;
	shard->lmtp = (struct lmtp_services){.loop = shard->loop,
		.store = core->store,
		.loops = core->loops,
		.hostname = config->hostname,
		.log = core->server->log,
		.limits = lmtp_limits_default};
	shard->lmtp.limits.message_bytes_max = config->message_bytes_max;
}

int core_shards_start(struct core *core)
{
	int error = 0;

	core->shard_ended.run = front_stop;
	for (unsigned i = 0; i < core->shard_count && !error; i++) {
		struct core_shard *shard = &core->shards[i];

		services_fill(shard);
		error = net_timer_new(shard->loop, tick, shard, &shard->tick);
	}
	for (unsigned i = 0; i < core->shard_count && !error; i++) {
		core->shards_running++;
		error = -pthread_create(&core->shards[i].thread, NULL, shard_run, &core->shards[i]);
		core->shards[i].running = !error;
		if (error)
			core->shards_running--;
	}
	return error;
}

static void shard_stop(struct net_task *task)
{
	struct core_shard *shard = CONTAINER_OF(task, struct core_shard, stop_task);

	shard->stopping = true;
	shard->stop_deadline_ms = net_loop_now_ms(shard->loop) + STOP_PATIENCE_MS;
	lmtp_sessions_stop(&shard->lmtp);
	pop3_sessions_stop(&shard->pop3);
	imap_sessions_stop(&shard->imap);
	net_timer_start(shard->tick, 1);
}

void core_shards_stop(struct core *core)
{
	for (unsigned i = 0; i < core->shard_count; i++) {
		core->shards[i].stop_task.run = shard_stop;
		net_loop_post(core->shards[i].loop, &core->shards[i].stop_task);
	}
}

bool core_shards_join(struct core *core)
{
	bool clean = true;

	for (unsigned i = 0; i < core->shard_count; i++) {
		if (core->shards[i].running)
			(void)pthread_join(core->shards[i].thread, NULL);
		core->shards[i].running = false;
		clean = clean && sessions_of(&core->shards[i]) == 0;
		net_timer_free(&core->shards[i].tick);
	}
	return clean;
}

/* ---- A login arrives on the shard of its account ---- */

struct arrival {
	struct net_task task;
	struct core_shard *shard;
	struct core_handover handover;
	char bytes[]; /* what the slices of handover point to */
};

static void arrive(struct net_task *task)
{
	struct arrival *arrival = CONTAINER_OF(task, struct arrival, task);
	const struct core_handover *from = &arrival->handover;
	struct core_shard *shard = arrival->shard;
	int error;

	if (shard->stopping) {
		(void)close(from->fd);
		free(arrival);
		return;
	}
	if (from->protocol == GATE_POP3) {
		const struct pop3_start start = {from->account_id, from->address, from->peer, from->device,
			from->session, from->tls, from->utf8, from->pipelined};

		error = pop3_session_new(&shard->pop3, from->fd, &start);
	} else {
		const struct imap_start start = {from->account_id, from->address, from->peer, from->device,
			from->session, from->tls, from->tag, from->pipelined};

		error = imap_session_new(&shard->imap, from->fd, &start);
	}
	if (error)
		LOG(shard->core->server->log, LOG_ERROR, "session-failed", {"account", from->address},
			{"peer", from->peer}, {"error", slice_of(strerror(-error))});
	free(arrival);
}

static struct slice keep(char **at, struct slice bytes)
{
	struct slice copy = {*at, bytes.len};

	if (bytes.len)
		memcpy(*at, bytes.at, bytes.len);
	*at += bytes.len;
	return copy;
}

void core_handover(struct core *core, const struct core_handover *handover)
{
	size_t bytes = handover->address.len + handover->peer.len + handover->device.len + handover->tag.len +
		       handover->pipelined.len;
	struct arrival *arrival = malloc(sizeof(*arrival) + bytes);
	char *at;

	if (!arrival) {
		(void)close(handover->fd);
		return;
	}
	at = arrival->bytes;
	arrival->handover = *handover;
	arrival->handover.address = keep(&at, handover->address);
	arrival->handover.peer = keep(&at, handover->peer);
	arrival->handover.device = keep(&at, handover->device);
	arrival->handover.tag = keep(&at, handover->tag);
	arrival->handover.pipelined = keep(&at, handover->pipelined);
	arrival->shard = &core->shards[store_shard_of(core->store, handover->account_id)];
	arrival->task.run = arrive;
	net_loop_post(arrival->shard->loop, &arrival->task);
}
