/*
 * The supervisor: forks core and gates, restarts what dies, passes signals on. A plain poll loop; it never touches a connection.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net.h"
#include "server/server.h"

enum {
	GATES_MAX = 64,
	STOP_PATIENCE_MS = 20000, /* for core to finish what is in flight */
	RESTART_FIRST_MS = 100,
	RESTART_MAX_MS = 5000,
	STEADY_MS = 60000, /* alive so long: the next restart is the first again */
};

struct child {
	pid_t pid; /* 0: not running */
	int control_fd;
	int64_t started_ms;
};

struct supervisor {
	struct server *server;
	struct child core, gates[GATES_MAX];
	size_t gate_count;
	int signals;
	sigset_t old_mask;
	bool stopping, announced;
	int64_t stop_deadline_ms;
	int64_t restart_at_ms; /* of core; 0: none due */
	int64_t restart_delay_ms;
};

static int64_t now_ms(void)
{
	return clock_monotonic_us(clock_system()) / 1000;
}

static void log_text(const struct supervisor *s, enum log_level level, const char *event, const char *text)
{
	LOG(s->server->log, level, event, {"detail", slice_of(text)});
}

/* Tells systemd, where it asks (sd_notify(3)'s protocol: one datagram). */
static void notify_manager(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	(void)close(fd);
}

static int pair_make(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ? -errno : 0;
}

static void child_forget(struct child *child)
{
	if (child->control_fd > 0)
		(void)close(child->control_fd);
	*child = (struct child){0};
}

/* In the child: nothing of the supervisor's is kept but what this child is for. */
static void child_begin(struct supervisor *s)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	(void)close(s->signals);
	if (s->core.control_fd > 0)
		(void)close(s->core.control_fd);
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].control_fd > 0)
			(void)close(s->gates[i].control_fd);
}

static int core_start(struct supervisor *s)
{
	int pair[2];
	int error = pair_make(pair);
	pid_t pid;

	if (error)
		return error;
	pid = fork();
	if (pid < 0) {
		error = -errno;
		(void)close(pair[0]);
		(void)close(pair[1]);
		return error;
	}
	if (pid == 0) {
		child_begin(s);
		(void)close(pair[0]);
		_exit(core_run(s->server, pair[1]));
	}
	(void)close(pair[1]);
	s->core = (struct child){pid, pair[0], now_ms()};
	return 0;
}

static int gate_start(struct supervisor *s, struct child *gate)
{
	const char message = CONTROL_GATE;
	int control[2], channel[2];
	int error = pair_make(control);
	pid_t pid;

	if (error)
		return error;
	error = pair_make(channel);
	if (error) {
		(void)close(control[0]);
		(void)close(control[1]);
		return error;
	}
	pid = fork();
	if (pid == 0) {
		child_begin(s);
		(void)close(control[0]);
		(void)close(channel[0]);
		_exit(gate_child_run(s->server, control[1], channel[1]));
	}
	error = pid < 0 ? -errno : net_message_send(s->core.control_fd, slice_make(&message, 1), &channel[0], 1);
	(void)close(control[1]);
	(void)close(channel[0]);
	(void)close(channel[1]);
	if (pid < 0)
		(void)close(control[0]);
	else
		*gate = (struct child){pid, control[0], now_ms()};
	return error;
}

static int all_start(struct supervisor *s)
{
	int error = core_start(s);

	for (size_t i = 0; i < s->gate_count && !error; i++)
		error = gate_start(s, &s->gates[i]);
	if (error)
		log_text(s, LOG_ERROR, "start-failed", strerror(-error));
	return error;
}

static void restart_later(struct supervisor *s, int64_t lived_ms)
{
	if (s->restart_delay_ms == 0 || lived_ms > STEADY_MS)
		s->restart_delay_ms = RESTART_FIRST_MS;
	else
		s->restart_delay_ms = MIN(s->restart_delay_ms * 2, (int64_t)RESTART_MAX_MS);
	s->restart_at_ms = now_ms() + s->restart_delay_ms;
}

static void gates_signal(struct supervisor *s, int signal_number)
{
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].pid)
			(void)kill(s->gates[i].pid, signal_number);
}

static void log_end(const struct supervisor *s, const char *what, pid_t pid, int status)
{
	char how[64], number[24];

	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	else
		(void)snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	LOG(s->server->log, s->stopping ? LOG_DEBUG : LOG_ERROR, "process-ended", {"process", slice_of(what)},
		{"pid", slice_of(number)}, {"how", slice_of(how)});
}

static void core_ended(struct supervisor *s, int status)
{
	int64_t lived_ms = now_ms() - s->core.started_ms;

	log_end(s, "core", s->core.pid, status);
	child_forget(&s->core);
	/* Without core a gate's connections lead nowhere; new gates come with the new core. */
	gates_signal(s, s->stopping ? SIGTERM : SIGKILL);
	if (!s->stopping)
		restart_later(s, lived_ms);
}

static void gate_ended(struct supervisor *s, struct child *gate, int status)
{
	log_end(s, "gate", gate->pid, status);
	child_forget(gate);
	if (s->stopping || !s->core.pid)
		return;
	if (gate_start(s, gate))
		log_text(s, LOG_ERROR, "gate-not-restarted", strerror(errno));
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->core.pid) {
			core_ended(s, status);
			continue;
		}
		for (size_t i = 0; i < s->gate_count; i++)
			if (pid == s->gates[i].pid)
				gate_ended(s, &s->gates[i], status);
	}
}

static void tell(const struct child *child, struct slice message)
{
	/* A child that does not listen is dying or dead: waitpid() will say so. */
	if (child->pid && net_message_send(child->control_fd, message, NULL, 0))
		return;
}

static void stop(struct supervisor *s)
{
	const char message = CONTROL_STOP;

	if (s->stopping)
		return;
	s->stopping = true;
	s->stop_deadline_ms = now_ms() + STOP_PATIENCE_MS;
	notify_manager("STOPPING=1");
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].pid && gate_send_stop(s->gates[i].control_fd))
			(void)kill(s->gates[i].pid, SIGTERM);
	tell(&s->core, slice_make(&message, 1));
}

/* Takes over what can change while serving: certificates, log level, cost of new hashes. Anything wrong: all stays as it was. */
static void reload(struct supervisor *s)
{
	struct buffer problem = BUFFER_INIT(4096), message = BUFFER_INIT(256);
	struct server *fresh = calloc(1, sizeof(*fresh));
	struct arena *arena = NULL;
	int error = fresh ? arena_new(64 << 20, &arena) : -ENOMEM;

	if (!error) {
		fresh->arena = arena;
		error = s->server->config_path ? config_load(s->server->config_path, arena, &fresh->config, &problem)
					       : -ENOTSUP;
	}
	if (!error)
		error = config_validate(&fresh->config, &problem);
	if (!error)
		error = server_load_certificates(fresh, &problem);
	if (!error)
		error = server_check_certificates(fresh, &problem);
	if (error) {
		log_text(s, LOG_ERROR, "reload-refused", problem.len ? buffer_text(&problem) : strerror(-error));
		goto out;
	}
	buffer_reset(&problem);
	config_restart_keys(&s->server->config, &fresh->config, &problem);
	if (problem.len)
		log_text(s, LOG_WARN, "reload-needs-restart", buffer_text(&problem));
	log_set_level(s->server->log, fresh->config.log_level);
	buffer_put_byte(&message, CONTROL_RELOAD);
	buffer_put_le32(&message, (uint32_t)fresh->config.log_level);
	buffer_put_le64(&message, fresh->config.argon2_memory_kib);
	buffer_put_le64(&message, fresh->config.argon2_passes);
	buffer_put_le64(&message, fresh->config.scram_iterations);
	tell(&s->core, buffer_slice(&message));
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].pid && gate_send_certificates(s->gates[i].control_fd, fresh->pems, fresh->pem_count))
			log_text(s, LOG_ERROR, "reload-not-told", "a gate keeps its old certificates");
	/* A process that is started later gets the new ones, too. The old arena lives on: its slices are in use. */
	memcpy(s->server->pems, fresh->pems, sizeof(fresh->pems));
	s->server->pem_count = fresh->pem_count;
	s->server->config.log_level = fresh->config.log_level;
	s->server->config.argon2_memory_kib = fresh->config.argon2_memory_kib;
	s->server->config.argon2_passes = fresh->config.argon2_passes;
	s->server->config.scram_iterations = fresh->config.scram_iterations;
	arena = NULL;
	log_text(s, LOG_INFO, "reloaded", s->server->config_path);
out:
	arena_free(&arena);
	free(fresh);
	buffer_free(&message);
	buffer_free(&problem);
}

static void announce(struct supervisor *s)
{
	pid_t pids[GATES_MAX + 2];
	size_t count = 0;

	log_text(s, LOG_INFO, "serving", PENFOLD_VERSION);
	notify_manager("READY=1");
	if (s->announced || !s->server->ready)
		return;
	s->announced = true;
	pids[count++] = getpid();
	pids[count++] = s->core.pid;
	for (size_t i = 0; i < s->gate_count; i++)
		pids[count++] = s->gates[i].pid;
	s->server->ready(s->server->context, pids, count);
}

static void read_core(struct supervisor *s)
{
	struct buffer message = BUFFER_INIT(NET_MESSAGE_MAX);
	int fds[NET_DESCRIPTORS_MAX];
	size_t fd_count;

	while (s->core.pid && net_message_receive(s->core.control_fd, &message, fds, &fd_count) == 0) {
		for (size_t i = 0; i < fd_count; i++)
			(void)close(fds[i]);
		switch (message.len ? message.at[0] : 0) {
		case CONTROL_READY:
			announce(s);
			break;
		case CONTROL_STOP:
			stop(s);
			break;
		case CONTROL_RELOAD:
			reload(s);
			break;
		default:
			break;
		}
	}
	buffer_free(&message);
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else if (info.ssi_signo == SIGHUP)
			reload(s);
		else
			stop(s);
	}
}

static int signals_open(struct supervisor *s)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	(void)sigaddset(&mask, SIGCHLD);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &mask, &s->old_mask))
		return -errno;
	s->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signals < 0 ? -errno : 0;
}

static int next_wait_ms(const struct supervisor *s)
{
	int64_t at = s->stopping ? s->stop_deadline_ms : s->restart_at_ms;

	if (at == 0)
		return -1;
	return (int)MAX(at - now_ms(), 0);
}

static bool children_alive(const struct supervisor *s)
{
	if (s->core.pid)
		return true;
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].pid)
			return true;
	return false;
}

static void turn(struct supervisor *s)
{
	struct pollfd waits[2] = {{s->signals, POLLIN, 0}, {s->core.pid ? s->core.control_fd : -1, POLLIN, 0}};

	if (poll(waits, ARRAY_LEN(waits), next_wait_ms(s)) < 0 && errno != EINTR)
		log_text(s, LOG_ERROR, "poll", strerror(errno));
	/* Core's last words first: they may be the reason for its end. */
	if (waits[1].revents & POLLIN)
		read_core(s);
	if (waits[0].revents)
		read_signals(s);
	if (s->stopping && now_ms() >= s->stop_deadline_ms) {
		if (s->core.pid)
			(void)kill(s->core.pid, SIGKILL);
		gates_signal(s, SIGKILL);
		s->stop_deadline_ms = now_ms() + 1000;
	}
	if (!s->stopping && s->restart_at_ms && now_ms() >= s->restart_at_ms && !children_alive(s)) {
		s->restart_at_ms = 0;
		if (all_start(s))
			restart_later(s, 0);
	}
}

int supervisor_run(struct server *server)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int error;

	if (!s)
		return 1;
	s->server = server;
	s->gate_count = server->config.gates ? server->config.gates : (size_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
	s->gate_count = MIN(s->gate_count, (size_t)GATES_MAX);
	error = signals_open(s);
	if (!error)
		error = all_start(s);
	if (error) {
		gates_signal(s, SIGKILL);
		if (s->core.pid)
			(void)kill(s->core.pid, SIGKILL);
		free(s);
		return 1;
	}
	while (!s->stopping || children_alive(s))
		turn(s);
	log_text(s, LOG_INFO, "stopped", "");
	free(s);
	return 0;
}
