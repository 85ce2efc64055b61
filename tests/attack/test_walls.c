/*
 * Every attack in a child of its own: free, in a gate's walls, in core's. What works free must not work there; what does not even work free (this
 * kernel, this user) shows nothing and is named. Built without sanitizers, with the filter as it is shipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attacks.h"
#include "gate/sandbox.h"

enum { WORKED = 10, REFUSED = 20, NO_WALLS = 30 };

struct world {
	char dir[64], data[80], outside[80], there[100], empty[100], made[100], socket[100];
	int somebody; /* listens, so that a connection would be possible */
	int daemon;   /* takes datagrams */
	struct attack_world attack;
};

/* ---- The world around ---- */

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)(void *)&name, size), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&name, &size), 0);
	*ret_port = ntohs(name.sin_port);
	return fd;
}

static int connection_to(uint16_t port)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)(void *)&name, sizeof(name)), 0);
	return fd;
}

static pid_t other_process(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	return pid;
}

static int make_daemon(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)(void *)&name, sizeof(name)), 0);
	return fd;
}

/* As it was before the last attack. */
static void lay_out(struct world *world)
{
	int fd;

	(void)unlink(world->made);
	(void)rmdir(world->made);
	(void)mkdir(world->empty, 0700);
	fd = open(world->there, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret", 6), 6);
	assert_int_equal(fchmod(fd, 0600), 0);
	(void)close(fd);
}

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	(void)snprintf(world->dir, sizeof(world->dir), "/tmp/penfold-walls-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	(void)snprintf(world->data, sizeof(world->data), "%s/data", world->dir);
	(void)snprintf(world->outside, sizeof(world->outside), "%s/outside", world->dir);
	(void)snprintf(world->there, sizeof(world->there), "%s/there", world->outside);
	(void)snprintf(world->empty, sizeof(world->empty), "%s/empty", world->outside);
	(void)snprintf(world->made, sizeof(world->made), "%s/made", world->outside);
	(void)snprintf(world->socket, sizeof(world->socket), "%s/socket", world->outside);
	assert_int_equal(mkdir(world->data, 0700), 0);
	assert_int_equal(mkdir(world->outside, 0700), 0);
	world->somebody = listen_somewhere(&world->attack.port);
	world->daemon = make_daemon(world->socket);
	world->attack.other = other_process();
	world->attack.outside = world->outside;
	world->attack.socket = world->socket;
	*state = world;
	return 0;
}

static int remove_world(void **state)
{
	struct world *world = *state;

	(void)kill(world->attack.other, SIGKILL);
	(void)waitpid(world->attack.other, NULL, 0);
	(void)close(world->somebody);
	(void)close(world->daemon);
	lay_out(world);
	(void)unlink(world->socket);
	(void)unlink(world->there);
	(void)rmdir(world->empty);
	(void)rmdir(world->outside);
	(void)rmdir(world->data);
	(void)rmdir(world->dir);
	free(world);
	return 0;
}

/* ---- One attack ---- */

static int no_walls(const struct world *world)
{
	(void)world;
	return 0;
}

static int gate_walls(const struct world *world)
{
	(void)world;
	return gate_sandbox_gate();
}

static int core_walls(const struct world *world)
{
	return gate_sandbox_core(world->data);
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* How the child ended: WORKED, REFUSED, or minus the signal that killed it. A program that it became ends with 0. */
static int attempt(struct world *world, const struct attack *attack, int (*enclose)(const struct world *world))
{
	uint16_t port;
	int status, error;
	pid_t pid;

	lay_out(world);
	world->attack.listener = listen_somewhere(&port);
	world->attack.stream = connection_to(world->attack.port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		error = enclose(world);
		if (error && (error != -EOPNOTSUPP || has_landlock()))
			_exit(NO_WALLS);
		_exit(attack->run(&world->attack) ? REFUSED : WORKED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(world->attack.listener);
	(void)close(world->attack.stream);
	(void)close(accept(world->somebody, NULL, NULL)); /* that stream's other end */
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status) == 0 ? WORKED : WEXITSTATUS(status);
}

static bool is_of_files(size_t table)
{
	return attack_tables[table] == attacks_on_files;
}

static bool is_of_others(size_t table)
{
	return !is_of_files(table);
}

static bool is_any(size_t table)
{
	(void)table;
	return true;
}

static void hold(struct world *world, unsigned who, int (*enclose)(const struct world *world),
	bool (*wanted)(size_t table), unsigned least)
{
	unsigned shown = 0;

	for (size_t i = 0; i < sizeof(attack_tables) / sizeof(attack_tables[0]); i++) {
		for (const struct attack *attack = attack_tables[i]; wanted(i) && attack->name; attack++) {
			int result;

			if (!(attack->walls & who))
				continue;
			if (attempt(world, attack, no_walls) != WORKED) {
				print_message("# %s does not work here even without walls\n", attack->name);
				continue;
			}
			shown++;
			result = attempt(world, attack, enclose);
			if (result != REFUSED && result != -SIGSYS)
				fail_msg("%s: ended with %d", attack->name, result);
		}
	}
	print_message("# %u attacks that work without walls were stopped\n", shown);
	assert_true(shown > least);
}

/* ---- Tests ---- */

static void nothing_works_in_a_gate(void **state)
{
	hold(*state, ATTACK_GATE, gate_walls, is_any, 60);
}

static void nothing_works_in_core(void **state)
{
	hold(*state, ATTACK_CORE, core_walls, is_of_others, 40);
}

static void core_gets_at_no_file_outside(void **state)
{
	if (!has_landlock()) {
		print_message("# skipped: this kernel has no Landlock\n");
		skip();
	}
	hold(*state, ATTACK_CORE, core_walls, is_of_files, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_works_in_a_gate),
		cmocka_unit_test(nothing_works_in_core),
		cmocka_unit_test(core_gets_at_no_file_outside),
	};

	return cmocka_run_group_tests(tests, make_world, remove_world);
}
