/* Inside the supervisor: its children, and what it remembers of them. */
#ifndef PENFOLD_SERVER_SUPERVISOR_H
#define PENFOLD_SERVER_SUPERVISOR_H

#include <signal.h>

#include "server/server.h"

enum { SUPERVISOR_GATES_MAX = 64 };

struct child {
	pid_t pid; /* 0: not running */
	int control_fd;
	int64_t started_ms;
	int64_t restart_at_ms; /* not before; 0: at once */
	int64_t restart_delay_ms;
};

struct supervisor {
	struct server *server;
	struct child core, gates[SUPERVISOR_GATES_MAX];
	size_t gate_count;
	pid_t pid;
	int signals; /* a signalfd */
	sigset_t old_mask;
	bool stopping, served; /* served: core was ready at least once */
	int status;            /* to exit with */
	int64_t stop_deadline_ms;
	struct arena *reload_arena; /* of the certificates, after a reload */
};

void supervisor_log(const struct supervisor *s, enum log_level level, const char *event, const char *text);
/* A child that does not listen is dying or dead, which waitpid(2) will say. */
void child_tell(const struct child *child, struct slice message);

/* Takes over certificates, log level and cost of new hashes. Anything wrong: all stays as it was, and the log says why. */
void supervisor_reload(struct supervisor *s);

#endif
