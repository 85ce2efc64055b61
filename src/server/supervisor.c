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
#include "server/supervisor.h"

enum {
	STOP_PATIENCE_MS = 20000,      /* for core to finish what is in flight */
	LAST_WORDS_PATIENCE_MS = 5000, /* then for gates to pass on what it said */
	RESTART_FIRST_MS = 100,
	RESTART_MAX_MS = 5000,
	STEADY_MS = 60000, /* alive so long: the next restart is the first again */
};

static int64_t now_ms(void)
{
	return clock_monotonic_us(clock_system()) / 1000;
}

void supervisor_log(const struct supervisor *s, enum log_level level, const char *event, const char *text)
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

static int64_t wait_until(const struct child *child)
{
	return child->pid ? INT64_MAX : child->restart_at_ms;
}

/* It is not running any more: when may it again? */
static void child_ended(struct child *child)
{
	bool steady = now_ms() - child->started_ms > STEADY_MS;

	if (child->control_fd > 0)
		(void)close(child->control_fd);
	child->control_fd = 0;
	child->pid = 0;
	if (child->restart_delay_ms == 0 || steady)
		child->restart_delay_ms = RESTART_FIRST_MS;
	else
		child->restart_delay_ms = MIN(child->restart_delay_ms * 2, (int64_t)RESTART_MAX_MS);
	child->restart_at_ms = now_ms() + child->restart_delay_ms;
}

static void child_started(struct child *child, pid_t pid, int control_fd)
{
	child->pid = pid;
	child->control_fd = control_fd;
	child->started_ms = now_ms();
}

/* In the child: nothing of the supervisor's is kept but what this child is for. */
static void child_begin(struct supervisor *s)
{
	/* Signals that a terminal or a service manager sends to everybody are the supervisor's to pass on. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->pid)
		_exit(1); /* it ended before we had asked to be told */
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
	child_started(&s->core, pid, pair[0]);
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
	error = pid < 0 ? -errno : 0;
	/* A gate whose channel does not reach core sees that it is closed, and ends. */
	if (!error && net_message_send(s->core.control_fd, slice_make(&message, 1), &channel[0], 1))
		supervisor_log(s, LOG_ERROR, "gate-not-introduced", "core does not listen");
	(void)close(control[1]);
	(void)close(channel[0]);
	(void)close(channel[1]);
	if (error)
		(void)close(control[0]);
	else
		child_started(gate, pid, control[0]);
	return error;
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

/* Core only when no gate of the last one is left; a gate only with a core. */
static void start_due(struct supervisor *s)
{
	int error = 0;

	if (!s->core.pid && now_ms() >= s->core.restart_at_ms && !children_alive(s)) {
		error = core_start(s);
		if (error)
			child_ended(&s->core);
	}
	for (size_t i = 0; i < s->gate_count && s->core.pid && !error; i++) {
		if (s->gates[i].pid || now_ms() < s->gates[i].restart_at_ms)
			continue;
		error = gate_start(s, &s->gates[i]);
		if (error)
			child_ended(&s->gates[i]);
	}
	if (error)
		supervisor_log(s, LOG_ERROR, "start-failed", strerror(-error));
}

static void gates_signal(struct supervisor *s, int signal_number)
{
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].pid)
			(void)kill(s->gates[i].pid, signal_number);
}

static bool ended_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void log_end(const struct supervisor *s, const char *what, pid_t pid, int status)
{
	enum log_level level = s->stopping && ended_well(status) ? LOG_DEBUG : LOG_ERROR;
	char how[64], number[24];

	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	else
		(void)snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	LOG(s->server->log, level, "process-ended", {"process", slice_of(what)}, {"pid", slice_of(number)},
		{"how", slice_of(how)});
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
			(void)kill(s->gates[i].pid, SIGKILL);
	child_tell(&s->core, slice_make(&message, 1));
}

static void core_ended(struct supervisor *s, int status)
{
	log_end(s, "core", s->core.pid, status);
	child_ended(&s->core);
	/* Without core a gate's connections lead nowhere; new gates come with the new core. */
	if (!s->stopping) {
		gates_signal(s, SIGKILL);
	} else {
		s->stop_deadline_ms = MIN(s->stop_deadline_ms, now_ms() + LAST_WORDS_PATIENCE_MS);
		s->status = ended_well(status) ? s->status : 1;
	}
	/* It has never served, and gave up by itself: trying again would only hide from the admin what it said. */
	if (!s->served && WIFEXITED(status) && !s->stopping) {
		supervisor_log(s, LOG_ERROR, "start-failed", "core does not start; it has said why");
		s->status = 1;
		stop(s);
	}
}

static void gate_ended(struct supervisor *s, struct child *gate, int status)
{
	log_end(s, "gate", gate->pid, status);
	child_ended(gate);
	if (!s->core.pid)
		gate->restart_at_ms = 0; /* it ended because of core */
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

void child_tell(const struct child *child, struct slice message)
{
	if (child->pid && net_message_send(child->control_fd, message, NULL, 0))
		return;
}

static void announce(struct supervisor *s)
{
	pid_t pids[SUPERVISOR_GATES_MAX + 2];
	bool first = !s->served;
	size_t count = 0;

	supervisor_log(s, LOG_INFO, "serving", PENFOLD_VERSION);
	notify_manager("READY=1");
	s->served = true;
	if (!first || !s->server->ready)
		return;
	pids[count++] = getpid();
	pids[count++] = s->core.pid;
	for (size_t i = 0; i < s->gate_count; i++)
		if (s->gates[i].pid)
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
			supervisor_reload(s);
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
			supervisor_reload(s);
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

/* Until something is due: the end of patience, or a start. */
static int next_wait_ms(const struct supervisor *s)
{
	int64_t at = s->stopping ? s->stop_deadline_ms : INT64_MAX;

	if (!s->stopping && s->core.pid)
		for (size_t i = 0; i < s->gate_count; i++)
			at = MIN(at, wait_until(&s->gates[i]));
	else if (!s->stopping && !children_alive(s))
		at = s->core.restart_at_ms;
	return at == INT64_MAX ? -1 : (int)MAX(at - now_ms(), 0);
}

static void out_of_patience(struct supervisor *s)
{
	supervisor_log(s, LOG_WARN, "stop-forced", "not everybody ended in time");
	if (s->core.pid)
		(void)kill(s->core.pid, SIGKILL);
	gates_signal(s, SIGKILL);
	s->stop_deadline_ms = now_ms() + LAST_WORDS_PATIENCE_MS;
}

static void turn(struct supervisor *s)
{
	struct pollfd waits[2] = {{s->signals, POLLIN, 0}, {s->core.pid ? s->core.control_fd : -1, POLLIN, 0}};

	if (poll(waits, ARRAY_LEN(waits), next_wait_ms(s)) < 0 && errno != EINTR)
		supervisor_log(s, LOG_ERROR, "poll", strerror(errno));
	/* Core's last words first: they may be the reason for its end. */
	if (waits[1].revents & POLLIN)
		read_core(s);
	if (waits[0].revents)
		read_signals(s);
	if (!s->stopping)
		start_due(s);
	else if (now_ms() >= s->stop_deadline_ms && children_alive(s))
		out_of_patience(s);
}

int supervisor_run(struct server *server)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int status = 1;
	int error;

	if (!s)
		return 1;
	s->server = server;
	s->pid = getpid();
	s->gate_count = server->config.gates ? server->config.gates : (size_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
	s->gate_count = MIN(s->gate_count, (size_t)SUPERVISOR_GATES_MAX);
	server_raise_limits();
	error = signals_open(s);
	if (error) {
		supervisor_log(s, LOG_ERROR, "start-failed", strerror(-error));
	} else {
		start_due(s);
		while (!s->stopping || children_alive(s))
			turn(s);
		supervisor_log(s, LOG_INFO, "stopped", "");
		status = s->status;
		(void)close(s->signals);
	}
	arena_free(&s->reload_arena);
	free(s);
	return status;
}
