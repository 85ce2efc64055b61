/* The command line: which commands there are, what they take, how they are read. */
#include <stdarg.h>

#include "admin/cli.h"

static const struct {
	const char *name, *value, *help; /* value: NULL where it takes none */
} options[CLI_OPTIONS] = {
	[CLI_JSON] = {"json", NULL, "print JSON"},
	[CLI_YES] = {"yes", NULL, "do not ask"},
	[CLI_QUOTA] = {"quota", "SIZE", "most bytes of mail: 500M, 5G, none"},
	[CLI_PASSWORD_FILE] = {"password-file", "FILE",
		"take the password from the first line of FILE (-: standard input)"},
	[CLI_HASH] = {"hash", "HASH", "take a hash brought from elsewhere, like '{SHA512-CRYPT}$6$...'"},
	[CLI_GENERATE] = {"generate", NULL, "make a password and print it"},
	[CLI_ALLOW] = {"allow", "LIST", "protocols, with commas: imap,pop3,jmap,smtp"},
	[CLI_DISABLE] = {"disable", NULL, "no login, mail is refused for now"},
	[CLI_ENABLE] = {"enable", NULL, "the opposite"},
	[CLI_REBUILD_INDEX] = {"rebuild-index", NULL, "make the index anew from the journal"},
	[CLI_SALVAGE] = {"salvage", NULL, "step over damaged records, naming them"},
	[CLI_HELP] = {"help", NULL, "this"},
};

#define BIT(option) (1u << (option))
enum {
	SECRET = BIT(CLI_PASSWORD_FILE) | BIT(CLI_HASH) | BIT(CLI_GENERATE),
	MANY = 1000,
};

static const struct cli_command commands[] = {
	{"domain", "add", "DOMAIN", "serve a domain", 0, 1, 1, cli_domain_add},
	{"domain", "list", "", "the domains served here", BIT(CLI_JSON), 0, 0, cli_domain_list},
	{"domain", "delete", "DOMAIN", "serve it no more; it must be empty", 0, 1, 1, cli_domain_delete},
	{"account", "add", "ADDRESS", "make an account; asks for its password", SECRET | BIT(CLI_QUOTA), 1, 1,
		cli_account_add},
	{"account", "list", "[DOMAIN]", "the accounts", BIT(CLI_JSON), 0, 1, cli_account_list},
	{"account", "info", "ADDRESS", "one account: quota, mailboxes, sessions", BIT(CLI_JSON), 1, 1,
		cli_account_info},
	{"account", "passwd", "ADDRESS", "set a new password", SECRET, 1, 1, cli_account_passwd},
	{"account", "set", "ADDRESS", "change quota and rights",
		BIT(CLI_QUOTA) | BIT(CLI_ALLOW) | BIT(CLI_DISABLE) | BIT(CLI_ENABLE), 1, 1, cli_account_set},
	{"account", "delete", "ADDRESS", "delete an account; asks first", BIT(CLI_YES), 1, 1, cli_account_delete},
	{"alias", "add", "ADDRESS TARGET...", "send mail for ADDRESS to the targets, too", 0, 2, MANY, cli_alias_add},
	{"alias", "list", "[DOMAIN]", "the aliases", BIT(CLI_JSON), 0, 1, cli_alias_list},
	{"alias", "delete", "ADDRESS [TARGET...]", "delete an alias, or take targets off it", 0, 1, MANY,
		cli_alias_delete},
	{"status", "", "", "figures of the running server", BIT(CLI_JSON), 0, 0, cli_server_status},
	{"reload", "", "", "make the server read its configuration again", 0, 0, 0, cli_server_reload},
	{"stop", "", "", "make the server end, in order", 0, 0, 0, cli_server_stop},
	{"check", "", "[ADDRESS...]", "verify all there is, or some accounts; also while the server runs",
		BIT(CLI_REBUILD_INDEX) | BIT(CLI_SALVAGE), 0, MANY, cli_check},
	{"compact", "", "", "give back space and pack mail tightly now; also while the server runs", 0, 0, 0,
		cli_compact},
};

/* ---- Help ---- */

static void print_usage(FILE *to, const struct cli_command *command)
{
	(void)fprintf(to, "  penfold %s%s%s%s%s", command->noun, *command->verb ? " " : "", command->verb,
		*command->arguments ? " " : "", command->arguments);
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		if (command->options & BIT(i))
			(void)fprintf(to, " [--%s%s%s]", options[i].name, options[i].value ? " " : "",
				options[i].value ? options[i].value : "");
	}
	(void)fprintf(to, "\n      %s\n", command->help);
}

/* Of one command, or (NULL) of all with this noun. */
static void print_help(FILE *to, const char *noun, const struct cli_command *only)
{
	unsigned used = 0;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (only ? only != &commands[i] : !slice_equal(slice_of(noun), slice_of(commands[i].noun)))
			continue;
		print_usage(to, &commands[i]);
		used |= commands[i].options;
	}
	(void)fprintf(to, "\n  -c FILE                the server's configuration\n");
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		char name[64];

		if (!(used & BIT(i)))
			continue;
		(void)snprintf(
			name, sizeof(name), "--%s %s", options[i].name, options[i].value ? options[i].value : "");
		(void)fprintf(to, "  %-22s %s\n", name, options[i].help);
	}
}

enum cli_status cli_complain(struct cli *cli, enum cli_status status, const char *format, ...)
{
	va_list args;

	(void)fprintf(cli->err, "penfold: ");
	va_start(args, format);
	(void)vfprintf(cli->err, format, args);
	va_end(args);
	(void)fprintf(cli->err, "\n");
	return status;
}

/* ---- Reading the arguments ---- */

bool admin_cli_knows(struct slice command)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (slice_equal(command, slice_of(commands[i].noun)))
			return true;
	}
	return false;
}

const char *admin_cli_config(int *argc, char **argv)
{
	const char *config = NULL;
	int kept = 0;

	for (int i = 0; i < *argc; i++) {
		struct slice argument = slice_of(argv[i]);
		bool is_name = slice_equal(argument, SLICE("-c")) || slice_equal(argument, SLICE("--config"));

		if (slice_equal(argument, SLICE("--"))) {
			while (i < *argc)
				argv[kept++] = argv[i++];
		} else if (is_name && i + 1 < *argc) {
			config = argv[++i];
		} else if (slice_starts(argument, SLICE("--config="))) {
			config = argv[i] + sizeof("--config=") - 1;
		} else {
			argv[kept++] = argv[i];
		}
	}
	*argc = kept;
	argv[kept] = NULL;
	return config;
}

static const struct cli_command *command_find(const char *noun, const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (slice_equal(slice_of(noun), slice_of(commands[i].noun)) &&
			(!*commands[i].verb || slice_equal(slice_of(verb), slice_of(commands[i].verb))))
			return &commands[i];
	}
	return NULL;
}

static enum cli_option option_find(struct slice name)
{
	size_t i = 0;

	while (i < CLI_OPTIONS && !slice_equal(name, slice_of(options[i].name)))
		i++;
	return (enum cli_option)i;
}

/* One `--name`, `--name=value` or `--name value`; *at moves on over a value. */
static enum cli_status take_option(struct cli *cli, int argc, char **argv, int *at)
{
	struct slice rest = slice_from(slice_of(argv[*at]), 2);
	struct slice name = slice_split(&rest, '=');
	enum cli_option option = option_find(name);

	if (option == CLI_OPTIONS || !((cli->command->options | BIT(CLI_HELP)) & BIT(option)))
		return cli_complain(cli, CLI_NOT_UNDERSTOOD, "%s%s%s takes no option --%.*s.", cli->command->noun,
			*cli->command->verb ? " " : "", cli->command->verb, SLICE_ARG(name));
	if (!options[option].value) {
		if (rest.at)
			return cli_complain(cli, CLI_NOT_UNDERSTOOD, "--%.*s takes no value.", SLICE_ARG(name));
		cli->options[option] = "";
		return CLI_DONE;
	}
	if (!rest.at && *at + 1 >= argc)
		return cli_complain(cli, CLI_NOT_UNDERSTOOD, "--%.*s needs a value.", SLICE_ARG(name));
	cli->options[option] = rest.at ? rest.at : argv[++*at];
	return CLI_DONE;
}

static enum cli_status take_arguments(struct cli *cli, int argc, char **argv, int first)
{
	bool only_arguments = false;

	for (int i = first; i < argc; i++) {
		if (!only_arguments && slice_equal(slice_of(argv[i]), SLICE("--"))) {
			only_arguments = true;
		} else if (!only_arguments && slice_equal(slice_of(argv[i]), SLICE("-h"))) {
			cli->options[CLI_HELP] = "";
		} else if (!only_arguments && slice_starts(slice_of(argv[i]), SLICE("--"))) {
			enum cli_status status = take_option(cli, argc, argv, &i);

			if (status != CLI_DONE)
				return status;
		} else {
			cli->arguments[cli->argument_count++] = argv[i];
		}
	}
	if (cli->options[CLI_HELP])
		return CLI_DONE;
	if (cli->argument_count < cli->command->arguments_min || cli->argument_count > cli->command->arguments_max) {
		(void)fprintf(cli->err, "usage:\n");
		print_usage(cli->err, cli->command);
		return CLI_NOT_UNDERSTOOD;
	}
	return CLI_DONE;
}

static bool is_help(const char *argument)
{
	struct slice text = slice_of(argument);

	return slice_equal(text, SLICE("--help")) || slice_equal(text, SLICE("-h")) || slice_equal(text, SLICE("help"));
}

/* CLI_DONE with cli->command NULL: help for the noun is wanted. */
static enum cli_status parse(struct cli *cli, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	cli->command = command_find(argv[0], verb);
	if (cli->command)
		return take_arguments(cli, argc, argv, *cli->command->verb ? 2 : 1);
	if (is_help(verb))
		return CLI_DONE;
	(void)fprintf(cli->err, "usage:\n");
	print_help(cli->err, argv[0], NULL);
	return CLI_NOT_UNDERSTOOD;
}

/* ---- Running ---- */

static enum cli_status cli_run(struct cli *cli, int argc, char **argv)
{
	enum cli_status status = parse(cli, argc, argv);

	if (status != CLI_DONE)
		return status;
	if (!cli->command || cli->options[CLI_HELP]) {
		print_help(cli->out, argv[0], cli->command);
		return CLI_DONE;
	}
	if (!cli->place)
		return cli_complain(cli, CLI_FAILED, "There is no configuration.");
	status = cli->command->run(cli);
	cli_disconnect(cli);
	if (fflush(cli->out) != 0 || ferror(cli->out))
		return cli_complain(cli, CLI_FAILED, "The output could not be written.");
	return status;
}

static enum cli_status cli_start(int argc, char **argv, const struct admin_place *place, FILE *out, FILE *err)
{
	struct cli cli = {.in = place && place->in ? place->in : stdin,
		.out = out,
		.err = err,
		.place = place,
		.fd = -1,
		.received = BUFFER_INIT(SIZE_MAX / 2)};
	enum cli_status status;

	CHECK(argc > 0);
	cli.arguments = calloc((size_t)argc, sizeof(*cli.arguments));
	if (!cli.arguments)
		return CLI_FAILED;
	status = cli_run(&cli, argc, argv);
	buffer_free(&cli.received);
	free(cli.arguments);
	return status;
}

int admin_cli_main(int argc, char **argv, const struct admin_place *place)
{
	FILE *out = place && place->out ? place->out : stdout;
	FILE *err = place && place->err ? place->err : stderr;

	return (int)cli_start(argc, argv, place, out, err);
}

bool admin_cli_is_help(int argc, char **argv)
{
	FILE *nowhere = fopen("/dev/null", "w");
	struct cli cli = {.out = nowhere, .err = nowhere};
	bool needs_nothing = true;

	cli.arguments = calloc((size_t)argc, sizeof(*cli.arguments));
	if (nowhere && cli.arguments)
		needs_nothing = parse(&cli, argc, argv) != CLI_DONE || !cli.command || cli.options[CLI_HELP];
	free(cli.arguments);
	if (nowhere)
		(void)fclose(nowhere);
	return needs_nothing;
}
