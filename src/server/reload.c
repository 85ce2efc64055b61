/* SIGHUP: what can change while serving is taken over, as a whole or not at all. */
#include "base/codec.h"
#include "server/supervisor.h"

static void tell_core(const struct supervisor *s, const struct config *config)
{
	struct buffer message = BUFFER_INIT(256);

	buffer_put_byte(&message, CONTROL_RELOAD);
	buffer_put_le32(&message, (uint32_t)config->log_level);
	buffer_put_le64(&message, config->argon2_memory_kib);
	buffer_put_le64(&message, config->argon2_passes);
	buffer_put_le64(&message, config->scram_iterations);
	child_tell(&s->core, buffer_slice(&message));
	buffer_free(&message);
}

static void tell_gates(const struct supervisor *s, const struct server *fresh)
{
	for (size_t i = 0; i < s->gate_count; i++) {
		const struct child *gate = &s->gates[i];
		int error = 0;

		if (!gate->pid)
			continue;
		error = gate_send_certificates(gate->control_fd, fresh->pems, fresh->pem_count);
		if (!error)
			error = gate_send_log_level(gate->control_fd, fresh->config.log_level);
		if (error)
			supervisor_log(s, LOG_ERROR, "reload-not-told", "a gate keeps its old certificates");
	}
}

/* A process that is started later gets the new values, too. */
static void keep(struct supervisor *s, struct server *fresh)
{
	struct server *server = s->server;

	memcpy(server->pems, fresh->pems, sizeof(fresh->pems));
	server->pem_count = fresh->pem_count;
	server->config.log_level = fresh->config.log_level;
	server->config.argon2_memory_kib = fresh->config.argon2_memory_kib;
	server->config.argon2_passes = fresh->config.argon2_passes;
	server->config.scram_iterations = fresh->config.scram_iterations;
	/* The first certificates lie in the server's arena, those of the last reload in one of their own. */
	arena_free(&s->reload_arena);
	s->reload_arena = fresh->arena;
	fresh->arena = NULL;
}

static void take_over(struct supervisor *s, struct server *fresh)
{
	struct buffer keys = BUFFER_INIT(4096);

	config_restart_keys(&s->server->config, &fresh->config, &keys);
	if (keys.len)
		supervisor_log(s, LOG_WARN, "reload-needs-restart", buffer_text(&keys));
	buffer_free(&keys);
	tell_core(s, &fresh->config);
	tell_gates(s, fresh);
	keep(s, fresh);
	supervisor_log(s, LOG_INFO, "reloaded", s->server->config_path);
	log_set_level(s->server->log, s->server->config.log_level);
}

void supervisor_reload(struct supervisor *s)
{
	struct buffer problem = BUFFER_INIT(4096);
	struct server *fresh;
	int error;

	if (!s->server->config_path) {
		supervisor_log(s, LOG_WARN, "reload-refused", "the demo has no configuration file");
		return;
	}
	fresh = calloc(1, sizeof(*fresh));
	error = fresh ? arena_new(SERVER_ARENA_MAX, &fresh->arena) : -ENOMEM;
	if (!error) {
		fresh->config_path = s->server->config_path;
		error = server_read(fresh, &problem);
	}
	if (error)
		supervisor_log(s, LOG_ERROR, "reload-refused", problem.len ? buffer_text(&problem) : strerror(-error));
	else
		take_over(s, fresh);
	if (fresh)
		arena_free(&fresh->arena);
	free(fresh);
	buffer_free(&problem);
}
