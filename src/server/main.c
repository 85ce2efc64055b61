/* penfold: one program, its commands. */
#include <fcntl.h>
#include <unistd.h>

#include "admin/admin.h"
#include "server/server.h"

static int usage(FILE *to, int status)
{
	(void)fprintf(to, "penfold " PENFOLD_VERSION ": a mail access server (IMAP, POP3, LMTP)\n"
			  "\n"
			  "  penfold serve -c FILE                      serve mail as FILE says (penfold.conf(5))\n"
			  "  penfold demo --dir DIR [--users N] [--password P] [--base-port B]\n"
			  "                                             a throw-away server on loopback\n"
			  "  penfold domain  add|list|delete ...        the domains served here\n"
			  "  penfold account add|list|info|set|passwd|delete ...\n"
			  "  penfold alias   add|list|delete ...\n"
			  "  penfold status | reload | stop             ask the running server\n"
			  "  penfold check [--rebuild-index] [--salvage]  verify what is stored, and mend what can be\n"
			  "  penfold compact                            give back space now, rather than by and by\n"
			  "\n"
			  "Each says more with --help. Manual: penfold(1), penfold.conf(5).\n");
	return status;
}

/* Whoever starts us with a standard descriptor closed would find a socket or the log in its place. */
static int open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct slice command = slice_of(argc > 1 ? argv[1] : "");

	if (open_standard_descriptors())
		return 1;
	if (slice_equal(command, SLICE("serve")))
		return serve_main(argc - 1, argv + 1);
	if (slice_equal(command, SLICE("demo")))
		return demo_main(argc - 1, argv + 1);
	if (slice_equal(command, SLICE("--version")))
		return printf("penfold " PENFOLD_VERSION "\n") < 0;
	if (command.len == 0 || slice_equal(command, SLICE("--help")) || slice_equal(command, SLICE("help")))
		return usage(command.len ? stdout : stderr, command.len ? 0 : 2);
	if (admin_cli_knows(command))
		return command_main(argc - 1, argv + 1);
	(void)fprintf(stderr, "penfold: there is no command '%s'\n\n", argv[1]);
	return usage(stderr, 2);
}
