/* penfold serve -c FILE: the real thing. */
#include <getopt.h>
#include <unistd.h>

#include "server/server.h"

static int usage(void)
{
	(void)fprintf(stderr, "usage: penfold serve [-c FILE]      FILE: " CONFIG_DEFAULT_PATH " unless given\n"
			      "       penfold serve -c FILE --test  only says whether the file is good\n");
	return 2;
}

static int complain(struct buffer *problem, int error)
{
	(void)fprintf(stderr, "penfold: %s\n", problem->len ? buffer_text(problem) : strerror(-error));
	return 1;
}

static int serve(struct server *server, bool only_test)
{
	struct buffer problem = BUFFER_INIT(4096);
	int status = 0;
	int error = arena_new(SERVER_ARENA_MAX, &server->arena);

	if (!error)
		error = server_read(server, &problem);
	if (!error && only_test) {
		(void)printf("%s is good\n", server->config_path);
		goto out;
	}
	if (!error)
		error = log_new(server->log_fd, server->config.log_level, &server->log);
	if (!error)
		error = server_bind(server, &problem);
	if (!error)
		error = server_drop_rights(server, &problem);
	if (!error)
		status = supervisor_run(server);
out:
	if (error)
		status = complain(&problem, error);
	buffer_free(&problem);
	log_free(&server->log);
	arena_free(&server->arena);
	return status;
}

int serve_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	struct server *server = calloc(1, sizeof(*server));
	bool only_test = false;
	int option, status;

	if (!server)
		return 1;
	server->config_path = CONFIG_DEFAULT_PATH;
	server->control_listener = -1;
	server->log_fd = STDERR_FILENO;
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (option == 'c') {
			server->config_path = optarg;
		} else if (option == 't') {
			only_test = true;
		} else {
			free(server);
			return usage();
		}
	}
	status = optind < argc ? usage() : serve(server, only_test);
	free(server);
	return status;
}
