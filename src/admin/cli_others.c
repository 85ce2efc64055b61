/* penfold domain ..., alias ..., status, reload, stop */
#include "admin/cli.h"

/* ---- Domains ---- */

static enum cli_status change_domain(struct cli *cli, const char *command, const char *done)
{
	json_t *request = json_pack("{s:s}", "cmd", command);
	enum cli_status status;

	json_object_set_new(request, "domain", json_string(cli->arguments[0]));
	status = cli_do(cli, request);
	if (status == CLI_DONE)
		(void)fprintf(cli->out, "%s %s.\n", done, cli->arguments[0]);
	return status;
}

enum cli_status cli_domain_add(struct cli *cli)
{
	return change_domain(cli, "domain.add", "Added");
}

enum cli_status cli_domain_delete(struct cli *cli)
{
	return change_domain(cli, "domain.delete", "Deleted");
}

enum cli_status cli_domain_list(struct cli *cli)
{
	json_t *answer = cli_ask(cli, json_pack("{s:s}", "cmd", "domain.list"));
	const json_t *domains = json_object_get(answer, "domains");
	const json_t *domain;
	size_t i;

	if (!answer)
		return CLI_FAILED;
	if (cli->options[CLI_JSON])
		cli_print_json(cli, domains);
	else
		json_array_foreach(domains, i, domain)(void) fprintf(cli->out, "%s\n", json_string_value(domain));
	json_decref(answer);
	return CLI_DONE;
}

/* ---- Aliases ---- */

static enum cli_status change_alias(struct cli *cli, const char *command, const char *done)
{
	json_t *request = json_pack("{s:s}", "cmd", command);
	json_t *targets = cli->argument_count > 1 ? json_array() : NULL;
	enum cli_status status;

	json_object_set_new(request, "address", json_string(cli->arguments[0]));
	for (size_t i = 1; i < cli->argument_count; i++) {
		json_t *target = json_string(cli->arguments[i]);

		/* Text that is no UTF-8 becomes null, which is refused as no address. */
		json_array_append_new(targets, target ? target : json_null());
	}
	if (targets)
		json_object_set_new(request, "targets", targets);
	status = cli_do(cli, request);
	if (status == CLI_DONE)
		(void)fprintf(cli->out, "%s %s.\n", done, cli->arguments[0]);
	return status;
}

enum cli_status cli_alias_add(struct cli *cli)
{
	return change_alias(cli, "alias.add", "Added to");
}

enum cli_status cli_alias_delete(struct cli *cli)
{
	return change_alias(cli, "alias.delete", cli->argument_count > 1 ? "Taken off" : "Deleted");
}

static void print_alias(struct cli *cli, const json_t *alias)
{
	const json_t *targets = json_object_get(alias, "targets");
	const json_t *target;
	size_t i;

	(void)fprintf(cli->out, "%s:", cli_text(alias, "address"));
	json_array_foreach(targets, i, target)(void) fprintf(cli->out, " %s", json_string_value(target));
	(void)fprintf(cli->out, "\n");
}

enum cli_status cli_alias_list(struct cli *cli)
{
	json_t *request = json_pack("{s:s}", "cmd", "alias.list");
	json_t *aliases;
	const json_t *alias;
	size_t i;

	if (cli->argument_count)
		json_object_set_new(request, "domain", json_string(cli->arguments[0]));
	aliases = cli_list(cli, request, "aliases");
	json_decref(request);
	if (!aliases)
		return CLI_FAILED;
	if (cli->options[CLI_JSON])
		cli_print_json(cli, aliases);
	else
		json_array_foreach(aliases, i, alias) print_alias(cli, alias);
	json_decref(aliases);
	return CLI_DONE;
}

/* ---- The server ---- */

static void print_status(struct cli *cli, const json_t *status)
{
	const json_t *sessions = json_object_get(status, "sessions");
	struct buffer text = BUFFER_INIT(1024);

	if (sessions)
		buffer_printf(&text, "sessions        %llu IMAP, %llu POP3, %llu LMTP, on %llu shards\n",
			(unsigned long long)cli_number(sessions, "imap"),
			(unsigned long long)cli_number(sessions, "pop3"),
			(unsigned long long)cli_number(sessions, "lmtp"),
			(unsigned long long)cli_number(status, "shards"));
	buffer_printf(&text, "journal         %llu segments, ", (unsigned long long)cli_number(status, "segments"));
	cli_put_size(&text, cli_number(status, "segment_bytes"));
	buffer_put_text(&text, " on disk, ");
	cli_put_size(&text, cli_number(status, "live_bytes"));
	buffer_printf(&text, " of mail in use\nsince the start %llu records, ",
		(unsigned long long)cli_number(status, "records"));
	cli_put_size(&text, cli_number(status, "record_bytes"));
	buffer_printf(&text, ", in %llu syncs; %llu not in the index yet\naccounts        %llu in memory\n",
		(unsigned long long)cli_number(status, "syncs"),
		(unsigned long long)cli_number(status, "pending_records"),
		(unsigned long long)cli_number(status, "accounts_resident"));
	(void)fprintf(cli->out, "%s", buffer_text(&text));
	buffer_free(&text);
}

enum cli_status cli_server_status(struct cli *cli)
{
	json_t *answer = cli_ask(cli, json_pack("{s:s}", "cmd", "status"));
	const json_t *status = json_object_get(answer, "status");

	if (!answer)
		return CLI_FAILED;
	if (cli->fd < 0)
		(void)fprintf(cli->err, "penfold: No server is running; this is the data directory.\n");
	if (cli->options[CLI_JSON])
		cli_print_json(cli, status);
	else
		print_status(cli, status);
	json_decref(answer);
	return CLI_DONE;
}

enum cli_status cli_server_reload(struct cli *cli)
{
	return cli_do(cli, json_pack("{s:s}", "cmd", "reload"));
}

enum cli_status cli_server_stop(struct cli *cli)
{
	return cli_do(cli, json_pack("{s:s}", "cmd", "stop"));
}
