/* penfold account ... */
#include "admin/cli.h"

static json_t *request_about(const struct cli *cli, const char *command)
{
	/* Text that is no UTF-8 is left out; the answer then says that this is no address. */
	json_t *request = json_pack("{s:s}", "cmd", command);

	json_object_set_new(request, "address", json_string(cli->arguments[0]));
	return request;
}

static enum cli_status put_quota(struct cli *cli, json_t *request)
{
	const char *text = cli->options[CLI_QUOTA];
	uint64_t bytes;

	if (!text)
		return CLI_DONE;
	if (cli_parse_size(text, &bytes) != 0)
		return cli_complain(cli, CLI_NOT_UNDERSTOOD, "\"%s\" is not a size like 500M, 5G or none.", text);
	json_object_set_new(request, "quota_bytes", json_integer((json_int_t)bytes));
	return CLI_DONE;
}

/* account add and passwd: a request with a secret in it. */
static enum cli_status send_with_secret(struct cli *cli, const char *command, const char *done)
{
	json_t *request = request_about(cli, command);
	char generated[CLI_GENERATED_BYTES] = "";
	enum cli_status status = put_quota(cli, request);

	if (status == CLI_DONE)
		status = cli_put_secret(cli, request, generated);
	if (status == CLI_DONE)
		status = cli_do(cli, request);
	else
		json_decref(request);
	if (status == CLI_DONE) {
		(void)fprintf(cli->out, "%s %s.\n", done, cli->arguments[0]);
		if (*generated)
			(void)fprintf(cli->out, "Its password is: %s\n", generated);
	}
	explicit_bzero(generated, sizeof(generated));
	return status;
}

enum cli_status cli_account_add(struct cli *cli)
{
	return send_with_secret(cli, "account.add", "Added");
}

enum cli_status cli_account_passwd(struct cli *cli)
{
	return send_with_secret(cli, "account.passwd", "Changed the password of");
}

enum cli_status cli_account_set(struct cli *cli)
{
	json_t *request = request_about(cli, "account.set");
	struct slice names = slice_of(cli->options[CLI_ALLOW]);
	enum cli_status status = put_quota(cli, request);

	if (status == CLI_DONE && cli->options[CLI_DISABLE] && cli->options[CLI_ENABLE])
		status = cli_complain(cli, CLI_NOT_UNDERSTOOD, "Use one of --disable and --enable.");
	if (status != CLI_DONE) {
		json_decref(request);
		return status;
	}
	if (cli->options[CLI_ALLOW]) {
		json_t *allow = json_array();

		while (names.len) {
			struct slice name = slice_trim(slice_split(&names, ','));

			if (name.len)
				json_array_append_new(allow, admin_string(name));
		}
		json_object_set_new(request, "allow", allow);
	}
	if (cli->options[CLI_DISABLE] || cli->options[CLI_ENABLE])
		json_object_set_new(request, "disabled", json_boolean(cli->options[CLI_DISABLE] != NULL));
	status = cli_do(cli, request);
	if (status == CLI_DONE)
		(void)fprintf(cli->out, "Changed %s.\n", cli->arguments[0]);
	return status;
}

enum cli_status cli_account_delete(struct cli *cli)
{
	enum cli_status status;

	if (!cli->options[CLI_YES]) {
		(void)fprintf(cli->err,
			"Delete %s? Nobody can log in or deliver to it afterwards. Type yes: ", cli->arguments[0]);
		if (!cli_confirms(cli))
			return CLI_FAILED;
	}
	status = cli_do(cli, request_about(cli, "account.delete"));
	if (status == CLI_DONE)
		(void)fprintf(cli->out, "Deleted %s.\n", cli->arguments[0]);
	return status;
}

/* ---- Looking ---- */

static void put_allowed(struct buffer *out, const json_t *account)
{
	const json_t *names = json_object_get(account, "allow");
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name) buffer_printf(out, "%s%s", i ? "," : "", json_string_value(name));
	if (json_array_size(names) == 0)
		buffer_put_text(out, "nothing");
}

static void put_quota_text(struct buffer *out, const json_t *account)
{
	uint64_t bytes = cli_number(account, "quota_bytes");

	if (bytes)
		cli_put_size(out, bytes);
	else
		buffer_put_text(out, "none");
}

static const char *state_of(const json_t *account)
{
	if (json_is_true(json_object_get(account, "disabled")))
		return "disabled";
	return json_is_true(json_object_get(account, "password")) ? "" : "no password";
}

enum cli_status cli_account_list(struct cli *cli)
{
	json_t *request = json_pack("{s:s}", "cmd", "account.list");
	json_t *accounts;
	const json_t *account;
	size_t i;

	if (cli->argument_count)
		json_object_set_new(request, "domain", json_string(cli->arguments[0]));
	accounts = cli_list(cli, request, "accounts");
	json_decref(request);
	if (!accounts)
		return CLI_FAILED;
	if (cli->options[CLI_JSON]) {
		cli_print_json(cli, accounts);
	} else {
		json_array_foreach(accounts, i, account)
		{
			struct buffer quota = BUFFER_INIT(64), allowed = BUFFER_INIT(128);

			put_quota_text(&quota, account);
			put_allowed(&allowed, account);
			(void)fprintf(cli->out, "%-40s %12s  %-20s %s\n", cli_text(account, "address"),
				buffer_text(&quota), buffer_text(&allowed), state_of(account));
			buffer_free(&quota);
			buffer_free(&allowed);
		}
	}
	json_decref(accounts);
	return CLI_DONE;
}

static void print_mailboxes(struct cli *cli, const json_t *account)
{
	const json_t *mailbox;
	size_t i;

	(void)fprintf(cli->out, "\n%10s %10s %12s  %s\n", "messages", "unseen", "size", "mailbox");
	json_array_foreach(json_object_get(account, "mailboxes"), i, mailbox)
	{
		struct buffer size = BUFFER_INIT(64);

		cli_put_size(&size, cli_number(mailbox, "bytes"));
		(void)fprintf(cli->out, "%10llu %10llu %12s  %s\n", (unsigned long long)cli_number(mailbox, "messages"),
			(unsigned long long)cli_number(mailbox, "unseen"), buffer_text(&size),
			cli_text(mailbox, "name"));
		buffer_free(&size);
	}
}

static void print_account(struct cli *cli, const json_t *account)
{
	struct buffer text = BUFFER_INIT(1024);
	const json_t *sessions = json_object_get(account, "sessions");

	buffer_printf(&text, "account   %s\ncreated   ", cli_text(account, "address"));
	cli_put_time(&text, (int64_t)cli_number(account, "created_ms"));
	buffer_put_text(&text, "\nallowed   ");
	put_allowed(&text, account);
	if (*state_of(account))
		buffer_printf(&text, "\nstate     %s", state_of(account));
	buffer_put_text(&text, "\nused      ");
	cli_put_size(&text, cli_number(account, "used_bytes"));
	buffer_printf(&text, " in %llu messages\nquota     ", (unsigned long long)cli_number(account, "used_messages"));
	put_quota_text(&text, account);
	if (sessions)
		buffer_printf(&text, "\nsessions  %llu IMAP, %llu POP3",
			(unsigned long long)cli_number(sessions, "imap"),
			(unsigned long long)cli_number(sessions, "pop3"));
	(void)fprintf(cli->out, "%s\n", buffer_text(&text));
	buffer_free(&text);
	print_mailboxes(cli, account);
}

enum cli_status cli_account_info(struct cli *cli)
{
	json_t *answer = cli_ask(cli, request_about(cli, "account.info"));
	const json_t *account = json_object_get(answer, "account");

	if (!answer)
		return CLI_FAILED;
	if (cli->options[CLI_JSON])
		cli_print_json(cli, account);
	else
		print_account(cli, account);
	json_decref(answer);
	return CLI_DONE;
}
