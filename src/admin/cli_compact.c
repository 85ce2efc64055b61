/* penfold compact: through the server, or of a data directory that nobody has open. */
#include <time.h>

#include "admin/cli.h"

enum { POLL_MS = 200 };

static json_t *poll(struct cli *cli)
{
	return cli_ask(cli, json_pack("{s:s}", "cmd", "compact.poll"));
}

static double megabytes(const json_t *answer)
{
	return (double)json_integer_value(json_object_get(json_object_get(answer, "compact"), "bytes")) / 1e6;
}

enum cli_status cli_compact(struct cli *cli)
{
	const struct timespec pause = {0, POLL_MS * 1000000L};
	json_t *answer = poll(cli);
	double before = megabytes(answer);
	enum cli_status status = answer ? cli_do(cli, json_pack("{s:s}", "cmd", "compact.start")) : CLI_FAILED;
	bool over = false;

	json_decref(answer);
	while (status == CLI_DONE && !over) {
		const json_t *compact;
		const char *failure;

		(void)nanosleep(&pause, NULL);
		answer = poll(cli);
		compact = json_object_get(answer, "compact");
		failure = json_string_value(json_object_get(compact, "failure"));
		over = json_is_true(json_object_get(compact, "over"));
		if (!answer)
			status = CLI_FAILED;
		else if (failure)
			status = cli_complain(cli, CLI_FAILED, "It ended early: %s", failure);
		else if (over)
			(void)fprintf(cli->out, "The journal has %.1f MB, %.1f before.\n", megabytes(answer), before);
		json_decref(answer);
	}
	return status;
}
