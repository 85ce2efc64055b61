/* The inside of the command line. */
#ifndef PENFOLD_ADMIN_CLI_H
#define PENFOLD_ADMIN_CLI_H

#include "admin/internal.h"

enum cli_option {
	CLI_JSON,
	CLI_YES,
	CLI_QUOTA,
	CLI_PASSWORD_FILE,
	CLI_HASH,
	CLI_GENERATE,
	CLI_ALLOW,
	CLI_DISABLE,
	CLI_ENABLE,
	CLI_REBUILD_INDEX,
	CLI_SALVAGE,
	CLI_HELP,
	CLI_OPTIONS,
};

enum cli_status { CLI_DONE = 0, CLI_FAILED = 1, CLI_NOT_UNDERSTOOD = 2 };

struct cli {
	FILE *in, *out, *err;
	const struct admin_place *place;
	const struct cli_command *command;
	const char *options[CLI_OPTIONS]; /* NULL: not given; "" for those without a value */
	const char **arguments;
	size_t argument_count;
	/* The way to the data: a running server, or the store itself. */
	int fd; /* -1: none */
	struct store *store;
	struct buffer received;
};

struct cli_command {
	const char *noun, *verb; /* verb "": the noun alone is the command */
	const char *arguments;
	const char *help;
	unsigned options; /* bits of enum cli_option */
	size_t arguments_min, arguments_max;
	enum cli_status (*run)(struct cli *cli);
};

/* Says what is wrong, as a sentence, on standard error. */
enum cli_status cli_complain(struct cli *cli, enum cli_status status, const char *format, ...) PRINTF_LIKE(3, 4);

/*
 * Sends the request (and takes it) to the running server, or executes it on the data directory. The answer, when it is a good one;
 * otherwise NULL, and the reason has been printed.
 */
json_t *cli_ask(struct cli *cli, json_t *request);
enum cli_status cli_do(struct cli *cli, json_t *request); /* where only success matters */
/* Something that goes on in the server. */
struct cli_awaited {
	const char *command, *field; /* what to ask, and in which field of the answer it stands how it goes */
	const char *name;            /* for people, at the begin of a sentence */
	void (*each)(const struct cli *cli, const json_t *state); /* told of each answer; may be NULL */
};
/* Asks until it is over. The last answer, for the caller; NULL as cli_ask(), also when it failed. */
json_t *cli_await(struct cli *cli, const struct cli_awaited *awaited);
/* Is a server running, and this a connection to it? Otherwise nothing has been opened. */
bool cli_reaches_server(struct cli *cli);
void cli_disconnect(struct cli *cli);
/* Root becomes the owner of the data directory (made if need be), whose files must be the server's own. */
enum cli_status cli_become_owner(struct cli *cli);
/* The settings of the place, with callbacks that print. */
struct store_settings cli_store_settings(struct cli *cli);

/* All pages of a list, one array; NULL when that failed (printed). `request` is kept. */
json_t *cli_list(struct cli *cli, json_t *request, const char *name);

/* ---- Passwords: into the request, never into arguments ---- */

enum { CLI_GENERATED_BYTES = 24 };
void cli_generate(char password[CLI_GENERATED_BYTES]);
/* Adds "password" or "hash" as the options say, or asks on the terminal. With --generate `generated` gets the password. */
enum cli_status cli_put_secret(struct cli *cli, json_t *request, char generated[CLI_GENERATED_BYTES]);
/* A line from the terminal, without echo. */
enum cli_status cli_ask_secretly(struct cli *cli, const char *prompt, struct buffer *line);
/* Does standard input say yes to what was just asked on standard error? */
bool cli_confirms(struct cli *cli);

/* ---- Printing ---- */

void cli_print_json(struct cli *cli, const json_t *json);
void cli_put_size(struct buffer *out, uint64_t bytes); /* "1.5 GiB" */
void cli_put_time(struct buffer *out, int64_t ms);
const char *cli_text(const json_t *object, const char *name); /* "" when it is not there */
uint64_t cli_number(const json_t *object, const char *name);
/* "5G", "500M", "10K", bytes, or "none". -EINVAL. */
MUST_CHECK int cli_parse_size(const char *text, uint64_t *ret_bytes);

/* ---- Commands ---- */

enum cli_status cli_domain_add(struct cli *cli);
enum cli_status cli_domain_list(struct cli *cli);
enum cli_status cli_domain_delete(struct cli *cli);
enum cli_status cli_account_add(struct cli *cli);
enum cli_status cli_account_list(struct cli *cli);
enum cli_status cli_account_info(struct cli *cli);
enum cli_status cli_account_passwd(struct cli *cli);
enum cli_status cli_account_set(struct cli *cli);
enum cli_status cli_account_delete(struct cli *cli);
enum cli_status cli_alias_add(struct cli *cli);
enum cli_status cli_alias_list(struct cli *cli);
enum cli_status cli_alias_delete(struct cli *cli);
enum cli_status cli_server_status(struct cli *cli);
enum cli_status cli_server_reload(struct cli *cli);
enum cli_status cli_server_stop(struct cli *cli);
enum cli_status cli_check(struct cli *cli);
enum cli_status cli_compact(struct cli *cli);

#endif
