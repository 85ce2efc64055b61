/* Each attempt runs in a child of its own that shuts itself in first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "gate/sandbox.h"

enum { WORKED = 10, REFUSED = 20, NO_SANDBOX = 30 };

static char data_dir[] = "/tmp/penfold-sandbox-XXXXXX";

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* How the child ended: WORKED, REFUSED, or minus the signal that killed it. */
static int in_child(int (*enclose)(void), int (*attempt)(void))
{
	int status, error;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_DUMPABLE, 0);
		error = enclose();
		if (error && (error != -EOPNOTSUPP || has_landlock()))
			_exit(NO_SANDBOX);
		_exit(attempt() ? REFUSED : WORKED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int gate(void)
{
	return gate_sandbox_gate();
}

static int core(void)
{
	return gate_sandbox_core(data_dir);
}

#define assert_works(enclose, attempt) assert_int_equal(in_child(enclose, attempt), WORKED)

static void assert_stopped(int (*enclose)(void), int (*attempt)(void), const char *what)
{
	int result = in_child(enclose, attempt);

	if (result != REFUSED && result != -SIGSYS)
		fail_msg("%s: ended with %d", what, result);
}
#define assert_refused(enclose, attempt) assert_stopped(enclose, attempt, #attempt)

/* ---- Attempts: 0 when they succeed ---- */

static int read_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0;
}

static int write_a_file(void)
{
	return open("/tmp/penfold-must-not-be", O_WRONLY | O_CREAT, 0600) < 0;
}

static int make_a_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int make_a_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0;
}

static int run_a_program(void)
{
	char *const arguments[] = {NULL};

	return execve("/bin/true", arguments, arguments) < 0;
}

static int signal_the_parent(void)
{
	return kill(getppid(), 0) < 0;
}

static int signal_by_thread(void)
{
	return syscall(SYS_tgkill, syscall(SYS_getppid), syscall(SYS_getppid), 0) < 0;
}

static int trace_itself(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
}

static int make_a_process(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0;
}

static int make_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int turn_data_into_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED || mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0;
}

static int use_memory(void)
{
	char *bytes = malloc(1 << 20);

	if (!bytes)
		return 1;
	memset(bytes, 1, 1 << 20);
	free(bytes);
	return 0;
}

static int write_below_data(void)
{
	struct buffer path = BUFFER_INIT(200);
	int fd;

	buffer_printf(&path, "%s/sub", data_dir);
	if (mkdir(buffer_text(&path), 0700) != 0)
		return 1;
	buffer_put_text(&path, "/file");
	fd = open(buffer_text(&path), O_RDWR | O_CREAT, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) != 0 || unlink(buffer_text(&path)) != 0)
		return 1;
	buffer_truncate(&path, path.len - 5);
	return rmdir(buffer_text(&path)) != 0;
}

static int climb_out_of_data(void)
{
	struct buffer path = BUFFER_INIT(200);

	buffer_printf(&path, "%s/../../etc/passwd", data_dir);
	return open(buffer_text(&path), O_RDONLY) < 0;
}

static void *nothing(void *argument)
{
	return argument;
}

static int make_a_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0;
}

/* ---- Tests ---- */

static void a_gate_can_do_its_work(void **state)
{
	(void)state;
	assert_works(gate, use_memory);
}

static void a_gate_reaches_nothing(void **state)
{
	(void)state;
	assert_refused(gate, read_a_file);
	assert_refused(gate, write_a_file);
	assert_refused(gate, make_a_socket);
	assert_refused(gate, make_a_pair);
	assert_refused(gate, run_a_program);
	assert_refused(gate, signal_the_parent);
	assert_refused(gate, signal_by_thread);
	assert_refused(gate, trace_itself);
	assert_refused(gate, make_a_process);
	assert_refused(gate, make_code);
	assert_refused(gate, turn_data_into_code);
	assert_int_equal(access("/tmp/penfold-must-not-be", F_OK), -1);
}

static void core_can_do_its_work(void **state)
{
	(void)state;
	assert_works(core, use_memory);
	assert_works(core, write_below_data);
	assert_works(core, make_a_pair);
	assert_works(core, make_a_thread);
}

static void core_reaches_no_files_but_its_data(void **state)
{
	(void)state;
	if (!has_landlock()) {
		print_message("# skipped: this kernel has no Landlock\n");
		skip();
	}
	assert_refused(core, read_a_file);
	assert_refused(core, write_a_file);
	assert_refused(core, climb_out_of_data);
}

static void core_reaches_nothing_else(void **state)
{
	(void)state;
	assert_refused(core, make_a_socket);
	assert_refused(core, run_a_program);
	assert_refused(core, signal_the_parent);
	assert_refused(core, signal_by_thread);
	assert_refused(core, trace_itself);
	assert_refused(core, make_a_process);
	assert_refused(core, make_code);
	assert_refused(core, turn_data_into_code);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(data_dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(data_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gate_can_do_its_work),
		cmocka_unit_test(a_gate_reaches_nothing),
		cmocka_unit_test(core_can_do_its_work),
		cmocka_unit_test(core_reaches_no_files_but_its_data),
		cmocka_unit_test(core_reaches_nothing_else),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
