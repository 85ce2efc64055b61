/* Passwords that are asked for, read from a file or made up. */
#include <termios.h>
#include <unistd.h>

#include "admin/cli.h"

enum { GROUPS = 4, GROUP_LETTERS = 5 };

static void wipe(struct buffer *line)
{
	if (line->at)
		explicit_bzero(line->at, line->room);
	buffer_free(line);
}

/* 20 letters of 32: 100 bits, without those that look alike. */
void cli_generate(char password[CLI_GENERATED_BYTES])
{
	static const char letters[32] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char random[GROUPS * GROUP_LETTERS];
	size_t at = 0;

	CHECK(GROUPS * (GROUP_LETTERS + 1) == CLI_GENERATED_BYTES);
	clock_random(clock_system(), random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++) {
		if (i && i % GROUP_LETTERS == 0)
			password[at++] = '-';
		password[at++] = letters[random[i] % sizeof(letters)];
	}
	password[at] = '\0';
	explicit_bzero(random, sizeof(random));
}

/* ---- From a file ---- */

/* The first line, without its end; room for AUTH_PASSWORD_MAX bytes. */
static int read_line(FILE *file, struct buffer *line)
{
	int c;

	while ((c = fgetc(file)) != EOF && c != '\n')
		buffer_put_byte(line, (char)c);
	if (ferror(file))
		return -EIO;
	if (line->len && line->at[line->len - 1] == '\r')
		buffer_truncate(line, line->len - 1);
	return buffer_error(line);
}

static enum cli_status from_file(struct cli *cli, const char *path, struct buffer *line)
{
	bool is_input = slice_equal(slice_of(path), SLICE("-"));
	FILE *file = is_input ? cli->in : fopen(path, "re");
	int error = file ? read_line(file, line) : -errno;

	if (file && !is_input)
		(void)fclose(file);
	if (error == -ENOBUFS)
		return cli_complain(cli, CLI_FAILED, "%s: a password has at most %d bytes.", path, AUTH_PASSWORD_MAX);
	if (error)
		return cli_complain(cli, CLI_FAILED, "%s: %s", path, strerror(-error));
	return CLI_DONE;
}

/* ---- From the terminal ---- */

static void take_back(struct buffer *line)
{
	/* A character of UTF-8 whole. */
	while (line->len && ((unsigned char)line->at[line->len - 1] & 0xc0) == 0x80)
		buffer_truncate(line, line->len - 1);
	if (line->len)
		buffer_truncate(line, line->len - 1);
}

/* Reads a line byte by byte. 0, -ECANCELED for Ctrl-C and Ctrl-D, -ENOBUFS. */
static int read_keys(int fd, struct buffer *line)
{
	for (;;) {
		char key;
		ssize_t got = read(fd, &key, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || key == 3 || key == 4)
			return -ECANCELED;
		if (key == '\r' || key == '\n')
			return buffer_error(line);
		if (key == 0x7f || key == '\b')
			take_back(line);
		else if (key == 21) /* Ctrl-U */
			buffer_reset(line);
		else
			buffer_put_byte(line, key);
	}
}

/*
 * Echo and signals are off meanwhile: Ctrl-C comes as a byte, so that no way out of here leaves the terminal without its
 * echo.
 */
enum cli_status cli_ask_secretly(struct cli *cli, const char *prompt, struct buffer *line)
{
	int fd = fileno(cli->in);
	struct termios before, quiet;
	int error;

	if (fd < 0 || tcgetattr(fd, &before) < 0)
		return cli_complain(
			cli, CLI_NOT_UNDERSTOOD, "There is no terminal to ask on: use --password-file or --generate.");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ISIG | ICANON);
	quiet.c_cc[VMIN] = 1;
	quiet.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSAFLUSH, &quiet) < 0)
		return cli_complain(cli, CLI_FAILED, "%s", strerror(errno));
	(void)fprintf(cli->err, "%s", prompt);
	(void)fflush(cli->err);
	error = read_keys(fd, line);
	(void)tcsetattr(fd, TCSAFLUSH, &before);
	(void)fprintf(cli->err, "\n");
	if (error == -ENOBUFS)
		return cli_complain(cli, CLI_FAILED, "A password has at most %d bytes.", AUTH_PASSWORD_MAX);
	return error ? cli_complain(cli, CLI_FAILED, "Nothing was changed.") : CLI_DONE;
}

static enum cli_status ask_twice(struct cli *cli, struct buffer *line)
{
	struct buffer again = BUFFER_INIT(AUTH_PASSWORD_MAX);
	enum cli_status status = cli_ask_secretly(cli, "New password: ", line);

	if (status == CLI_DONE && line->len == 0)
		status = cli_complain(cli, CLI_FAILED, "An empty password is none; nothing was changed.");
	if (status == CLI_DONE)
		status = cli_ask_secretly(cli, "The same again: ", &again);
	if (status == CLI_DONE && !slice_equal(buffer_slice(line), buffer_slice(&again)))
		status = cli_complain(cli, CLI_FAILED, "They differ; nothing was changed.");
	wipe(&again);
	return status;
}

bool cli_confirms(struct cli *cli)
{
	struct buffer line = BUFFER_INIT(16);
	bool yes;

	(void)fflush(cli->err);
	yes = read_line(cli->in, &line) == 0 && slice_equal_nocase(slice_trim(buffer_slice(&line)), SLICE("yes"));
	buffer_free(&line);
	if (!yes)
		(void)fprintf(cli->err, "Nothing was changed.\n");
	return yes;
}

/* ---- Into the request ---- */

static enum cli_status put_text(struct cli *cli, json_t *request, const char *name, struct slice text)
{
	if (json_object_set_new(request, name, admin_string(text)) != 0)
		return cli_complain(cli, CLI_FAILED, "A %s is text in UTF-8.", name);
	return CLI_DONE;
}

enum cli_status cli_put_secret(struct cli *cli, json_t *request, char generated[CLI_GENERATED_BYTES])
{
	struct buffer line = BUFFER_INIT(AUTH_PASSWORD_MAX);
	enum cli_status status = CLI_DONE;
	unsigned ways = 0;

	ways += cli->options[CLI_HASH] != NULL;
	ways += cli->options[CLI_GENERATE] != NULL;
	ways += cli->options[CLI_PASSWORD_FILE] != NULL;
	if (ways > 1)
		return cli_complain(cli, CLI_NOT_UNDERSTOOD, "Use one of --password-file, --hash and --generate.");
	if (cli->options[CLI_HASH])
		return put_text(cli, request, "hash", slice_of(cli->options[CLI_HASH]));
	if (cli->options[CLI_GENERATE]) {
		cli_generate(generated);
		buffer_put_text(&line, generated);
	} else if (cli->options[CLI_PASSWORD_FILE]) {
		status = from_file(cli, cli->options[CLI_PASSWORD_FILE], &line);
	} else {
		status = ask_twice(cli, &line);
	}
	if (status == CLI_DONE)
		status = put_text(cli, request, "password", buffer_slice(&line));
	wipe(&line);
	return status;
}
