/* penfold check: of a data directory, or through the server that has it open. */
#include "admin/cli.h"

/* ---- The directory ---- */

static void print_finding(void *context, struct slice line)
{
	const struct cli *cli = context;

	(void)fprintf(cli->out, "%.*s\n", SLICE_ARG(line));
}

static enum cli_status conclude(struct cli *cli, int error)
{
	struct slice dir = cli->place->store.dir;

	if (error == -EBADMSG)
		return cli_complain(cli, CLI_FAILED, "%.*s is not sound.", SLICE_ARG(dir));
	if (error)
		return cli_complain(cli, CLI_FAILED, "%.*s: %s", SLICE_ARG(dir), strerror(-error));
	(void)fprintf(cli->out, "%.*s is sound.\n", SLICE_ARG(dir));
	return CLI_DONE;
}

static enum cli_status check_directory(struct cli *cli)
{
	const struct store_settings settings = cli_store_settings(cli);
	const struct store_check check = {.rebuild_index = cli->options[CLI_REBUILD_INDEX] != NULL,
		.salvage = cli->options[CLI_SALVAGE] != NULL,
		.report = print_finding,
		.context = cli};
	int error;

	if (cli_become_owner(cli) != CLI_DONE)
		return CLI_FAILED;
	error = store_check(&settings, &check);
	if (error == -EBUSY)
		return cli_complain(cli, CLI_FAILED,
			"%.*s is in use, but no server answers at %.*s: it is starting or ending, or another "
			"command runs.",
			SLICE_ARG(settings.dir), SLICE_ARG(cli->place->socket));
	return conclude(cli, error);
}

/* ---- The server ---- */

static enum cli_status start(struct cli *cli)
{
	json_t *request = json_pack("{s:s,s:b,s:b}", "cmd", "check.start", "rebuild_index",
		cli->options[CLI_REBUILD_INDEX] != NULL, "salvage", cli->options[CLI_SALVAGE] != NULL);
	json_t *addresses = cli->argument_count ? json_array() : NULL;

	for (size_t i = 0; i < cli->argument_count; i++) {
		json_t *address = json_string(cli->arguments[i]);

		json_array_append_new(addresses, address ? address : json_null());
	}
	if (addresses)
		json_object_set_new(request, "addresses", addresses);
	return cli_do(cli, request);
}

static void print_lines(const struct cli *cli, const json_t *check)
{
	(void)fprintf(cli->out, "%s", cli_text(check, "lines"));
}

static enum cli_status follow(struct cli *cli)
{
	static const struct cli_awaited check = {"check.poll", "check", "The check", print_lines};
	json_t *answer = cli_await(cli, &check);
	bool sound = json_is_true(json_object_get(json_object_get(answer, "check"), "sound"));

	if (!answer)
		return CLI_FAILED;
	json_decref(answer);
	return conclude(cli, sound ? 0 : -EBADMSG);
}

enum cli_status cli_check(struct cli *cli)
{
	if (!cli_reaches_server(cli))
		return check_directory(cli);
	return start(cli) == CLI_DONE ? follow(cli) : CLI_FAILED;
}
