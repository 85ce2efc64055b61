/*
 * Managing: the control socket of a running core, and the commands `penfold domain|account|alias|status|reload|stop|check|compact`.
 *
 * On the control socket each line is a JSON object and has one line for an answer, in order:
 *   {"cmd":"account.add","address":"ann@example.org","password":"...","quota_bytes":0}   {"ok":true,"id":7}
 *   {"cmd":"domain.add","domain":"..."}    {"ok":false,"error":"a sentence for humans","code":"exists"}
 * Codes: invalid, exists, not-found, busy, over-limit, no-space, unavailable, failed. Commands and their fields are listed in
 * admin/execute.c. Passwords come in requests only: never in answers, nor in what is logged (the command and the name it is about).
 * Only root and the user that core runs as may connect.
 *
 * Threads: the server lives on one loop and does the work on a thread of its own, because changes wait for the disk and hashing a
 * password takes long; what needs an account is done on the account's shard by a post.
 */
#ifndef PENFOLD_ADMIN_ADMIN_H
#define PENFOLD_ADMIN_ADMIN_H

#include <stdio.h>

#include "auth/auth.h"
#include "base/log.h"
#include "net/net.h"
#include "store/store.h"

enum { ADMIN_LINE_MAX = 262144, ADMIN_CONNECTIONS_MAX = 32 };

enum admin_request { ADMIN_RELOAD, ADMIN_STOP };

struct admin_sessions {
	unsigned imap, pop3, lmtp;
};

/* What the commands work on. */
struct admin_services {
	struct store *store;
	struct auth_cost cost; /* of new secrets */
	/* By shard; NULL where nothing runs: then everything is done on the caller's thread. */
	struct net_loop *const *loops;
	/* Sessions on a shard, of one account or (0) of all; called on the shard's thread. May be NULL. */
	void (*sessions)(void *context, unsigned shard, uint64_t account_id, struct admin_sessions *ret_sessions);
	/* On the loop's thread, before the answer is written; must not free the server. May be NULL. */
	void (*request)(void *context, enum admin_request request);
	struct log *log; /* one line per change; may be NULL */
	void *context;
};

/*
 * Executes one request (a JSON object, without its line end) and appends the answer, one line with its end. Never fails: what goes
 * wrong is the answer. Waits for the disk and for shards: not on a shard. reload and stop are only named in *ret_request (if
 * not NULL; -1: none): the caller does them.
 */
void admin_execute(
	const struct admin_services *services, struct slice request, int *ret_request, struct buffer *answer);

/* ---- The control socket ---- */

struct admin_server;
/* `fd` listens already (net_bind_unix()) and is not closed here. `services` is copied; what it points to must outlive the server. */
MUST_CHECK int admin_server_new(
	struct net_loop *loop, int fd, const struct admin_services *services, struct admin_server **ret_server);
/* On the loop's thread, or after the loop has ended. Closes all connections, waits for the command in work. */
void admin_server_free(struct admin_server **server);
void admin_server_set_cost(struct admin_server *server, const struct auth_cost *cost); /* on the loop's thread */

/* ---- The command line ---- */

/* Where the commands find a server, or the data when none runs. */
struct admin_place {
	struct slice socket;         /* path of the control socket */
	struct store_settings store; /* dir and limits; the rest is set by admin */
	struct slice user; /* root makes a data directory that is not there yet as this user; empty: as root */
	struct auth_cost cost;
	FILE *in, *out, *err; /* NULL: the standard ones */
};
/* domain, account, alias, status, reload, stop, check, compact */
bool admin_cli_knows(struct slice command);
/*
 * Takes `-c FILE` (`--config FILE`) out of the arguments wherever it stands and returns FILE, or NULL: for the caller, who reads the
 * configuration to fill an admin_place.
 */
const char *admin_cli_config(int *argc, char **argv);
/* Does this command line only ask for help (or make no sense)? Then the configuration is not needed, and place may be NULL. */
bool admin_cli_is_help(int argc, char **argv);
/* argv[0] is the command. Returns the exit status: 0 done, 1 failed, 2 not understood. */
int admin_cli_main(int argc, char **argv, const struct admin_place *place);

#endif
