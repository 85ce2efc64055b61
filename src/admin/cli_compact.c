/* penfold compact: through the server, or of a data directory that nobody has open. */
#include "admin/cli.h"

static double megabytes(const json_t *answer)
{
	return (double)json_integer_value(json_object_get(json_object_get(answer, "compact"), "bytes")) / 1e6;
}

enum cli_status cli_compact(struct cli *cli)
{
	static const struct cli_awaited compact = {"compact.poll", "compact", "It", NULL};
	json_t *answer = cli_ask(cli, json_pack("{s:s}", "cmd", compact.command));
	double before = megabytes(answer);

	if (!answer)
		return CLI_FAILED;
	json_decref(answer);
	if (cli_do(cli, json_pack("{s:s}", "cmd", "compact.start")) != CLI_DONE)
		return CLI_FAILED;
	answer = cli_await(cli, &compact);
	if (!answer)
		return CLI_FAILED;
	(void)fprintf(cli->out, "The journal has %.1f MB, %.1f before.\n", megabytes(answer), before);
	json_decref(answer);
	return CLI_DONE;
}
