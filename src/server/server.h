/*
 * The program as a whole: what the supervisor prepares before it forks, and what every child inherits. The only module that knows all others.
 *
 * Processes: the supervisor reads the configuration, binds, forks one core and n gates, and restarts what dies. It parses nothing that comes from
 * the network. Children are forked, not executed anew, so that what was read before dropping rights (certificates, configuration) needs no file later.
 */
#ifndef PENFOLD_SERVER_SERVER_H
#define PENFOLD_SERVER_SERVER_H

#include <sys/types.h>

#include "server/config.h"

#define PENFOLD_VERSION "0.1.0"

enum { SERVER_ARENA_MAX = 64 << 20 }; /* configuration and certificates */

struct server_listening {
	enum listen_kind kind;
	int fd;
	uint16_t port; /* 0 for a Unix socket */
};

struct server_pem {
	struct slice chain, key; /* contents of PEM files */
};

struct server {
	struct config config;
	struct arena *arena;     /* of the configuration and certificates */
	const char *config_path; /* NULL for the demo, which has no file */
	struct log *log;
	int log_fd; /* where it writes */
	struct server_listening listening[CONFIG_LISTENERS_MAX];
	size_t listening_count;
	struct server_pem pems[CONFIG_CERTIFICATES_MAX];
	size_t pem_count;
	int control_listener; /* of the command line's socket */
	/* Called once, when core serves: pids are the supervisor's, core's, then the gates'. May be NULL. */
	void (*ready)(void *context, const pid_t *pids, size_t count);
	void *context;
};

/* ---- Preparing: each says in `problem` what is wrong, as a sentence for the admin ---- */

/* The file at config_path, checked, with its certificates. Slices are copied into the server's arena. */
MUST_CHECK int server_read(struct server *server, struct buffer *problem);
MUST_CHECK int server_bind(struct server *server, struct buffer *problem);
/*
 * As root with another `user`: gives that user the data directory (with nothing of somebody else's in it) and the sockets, and becomes
 * it, for good.
 */
MUST_CHECK int server_drop_rights(const struct server *server, struct buffer *problem);
void server_raise_limits(void); /* as many descriptors as we may have */

void server_name_process(const char *name); /* as ps(1) shows it */

/* Runs until SIGTERM or SIGINT; returns the exit status. */
int supervisor_run(struct server *server);

/* ---- Children; they return their exit status ---- */

int core_run(struct server *server, int control_fd);
int gate_child_run(struct server *server, int control_fd, int channel_fd);
MUST_CHECK int server_check_certificate(const struct server_pem *pem, struct buffer *problem);
/* To a running gate. */
MUST_CHECK int gate_send_certificates(int control_fd, const struct server_pem *pems, size_t count);
MUST_CHECK int gate_send_log_level(int control_fd, enum log_level level);
MUST_CHECK int gate_send_stop(int control_fd);

/* ---- Between supervisor and children: one byte, then what belongs to it ---- */

enum control_message {
	CONTROL_READY = 'r', /* core: serving */
	CONTROL_GATE = 'g',  /* to core: one channel of a gate, by SCM_RIGHTS */
	CONTROL_STOP = 's',  /* to core: finish and end; from core: an admin asks for it */
	CONTROL_RELOAD =
		'h', /* to core: le32 log level, le64 argon2 KiB, le64 passes, le64 SCRAM iterations; from core: an admin asks for it */
};

/* ---- The commands of main.c ---- */

int demo_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int command_main(int argc, char **argv); /* domain, account, alias, ... */

#endif
