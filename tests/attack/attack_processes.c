#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attacks.h"

/* ---- Seeing and signalling others ---- */

static int signal_by_kill(const struct attack_world *world)
{
	return attack_result(syscall(SYS_kill, world->other, 0));
}

static int signal_all(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_kill, -1, 0));
}

static int signal_by_tkill(const struct attack_world *world)
{
	return attack_result(syscall(SYS_tkill, world->other, 0));
}

static int signal_by_tgkill(const struct attack_world *world)
{
	return attack_result(syscall(SYS_tgkill, world->other, world->other, 0));
}

static int signal_by_queue(const struct attack_world *world)
{
	siginfo_t info = {.si_signo = SIGURG, .si_code = SI_QUEUE};

	return attack_result(syscall(SYS_rt_sigqueueinfo, world->other, SIGURG, &info));
}

/* The kernel signals the owner of a descriptor when it becomes ready: any signal, to any process of the same user. */
static int signal_by_owner(const struct attack_world *world)
{
	return attack_result(syscall(SYS_fcntl, world->stream, F_SETOWN, world->other));
}

static int signal_by_timer(const struct attack_world *world)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
	int timer;

	(void)world;
	return attack_result(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
}

static int open_process(const struct attack_world *world)
{
	return attack_result(syscall(SYS_pidfd_open, world->other, 0));
}

static int take_descriptor(const struct attack_world *world)
{
	int process = (int)syscall(SYS_pidfd_open, world->other, 0);

	return attack_result(syscall(SYS_pidfd_getfd, process, 0, 0));
}

static int trace(const struct attack_world *world)
{
	int error = attack_result(ptrace(PTRACE_SEIZE, world->other, NULL, NULL));

	if (!error)
		(void)ptrace(PTRACE_DETACH, world->other, NULL, NULL);
	return error;
}

static int be_traced(const struct attack_world *world)
{
	(void)world;
	return attack_result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_memory(const struct attack_world *world)
{
	char copy[sizeof(attack_secret)] = "";
	struct iovec here = {copy, sizeof(copy)}, there = {attack_secret, sizeof(attack_secret)};

	return attack_result(syscall(SYS_process_vm_readv, world->other, &here, 1UL, &there, 1UL, 0UL));
}

static int write_memory(const struct attack_world *world)
{
	char copy[sizeof(attack_secret)] = "overwritten";
	struct iovec here = {copy, sizeof(copy)}, there = {attack_secret, sizeof(attack_secret)};

	return attack_result(syscall(SYS_process_vm_writev, world->other, &here, 1UL, &there, 1UL, 0UL));
}

static int compare(const struct attack_world *world)
{
	return attack_result(syscall(SYS_kcmp, getpid(), world->other, KCMP_VM, 0, 0));
}

static int move_to_other_processor(const struct attack_world *world)
{
	unsigned long mask[16] = {1};

	return attack_result(syscall(SYS_sched_setaffinity, world->other, sizeof(mask), mask));
}

static int slow_down(const struct attack_world *world)
{
	return attack_result(syscall(SYS_setpriority, PRIO_PROCESS, world->other, 1));
}

static int schedule(const struct attack_world *world)
{
	struct sched_param none = {0};

	return attack_result(syscall(SYS_sched_setscheduler, world->other, SCHED_BATCH, &none));
}

static int look_at_limits(const struct attack_world *world)
{
	struct rlimit64 limit;

	return attack_result(syscall(SYS_prlimit64, world->other, RLIMIT_NOFILE, NULL, &limit));
}

static int set_own_limits(const struct attack_world *world)
{
	struct rlimit64 limit = {64, 64};

	(void)world;
	return attack_result(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL));
}

static int move_to_group(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_setpgid, 0, 0));
}

/* ---- Starting something ---- */

static int execute(const struct attack_world *world)
{
	char *const arguments[] = {(char[]){"true"}, NULL};

	(void)world;
	return attack_result(syscall(SYS_execve, "/bin/true", arguments, arguments));
}

/* Opened by nobody, written by us: no path that Landlock could look at. */
static int execute_memory(const struct attack_world *world)
{
	static const char script[] = "#!/bin/true\n";
	char *const arguments[] = {(char[]){"true"}, NULL};
	int fd = (int)syscall(SYS_memfd_create, "x", 0);

	(void)world;
	if (fd < 0)
		return errno;
	if (write(fd, script, sizeof(script) - 1) < 0)
		return errno;
	return attack_result(syscall(SYS_execveat, fd, "", arguments, arguments, AT_EMPTY_PATH));
}

static int ends_soon(long pid)
{
	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(0);
	(void)waitpid((pid_t)pid, NULL, __WALL);
	return 0;
}

static int clone_process(const struct attack_world *world)
{
	(void)world;
	return ends_soon(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int clone_the_new_way(const struct attack_world *world)
{
	uint64_t arguments[8] = {[4] = SIGCHLD};

	(void)world;
	return ends_soon(syscall(SYS_clone3, arguments, sizeof(arguments)));
}

static int fork_the_old_way(const struct attack_world *world)
{
	(void)world;
#ifdef SYS_fork
	return ends_soon(syscall(SYS_fork));
#else
	return clone_process(world);
#endif
}

static int leave_namespaces(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_unshare, CLONE_NEWNS));
}

static int join_namespace(const struct attack_world *world)
{
	int process = (int)syscall(SYS_pidfd_open, world->other, 0);

	return attack_result(syscall(SYS_setns, process, CLONE_NEWNET));
}

static int become_somebody(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_setuid, getuid()));
}

const struct attack attacks_on_processes[] = {
	{"signal-by-kill", ATTACK_BOTH, signal_by_kill},
	{"signal-all", ATTACK_BOTH, signal_all},
	{"signal-by-tkill", ATTACK_BOTH, signal_by_tkill},
	{"signal-by-tgkill", ATTACK_BOTH, signal_by_tgkill},
	{"signal-by-queue", ATTACK_BOTH, signal_by_queue},
	{"signal-by-owner", ATTACK_BOTH, signal_by_owner},
	{"signal-by-timer", ATTACK_BOTH, signal_by_timer},
	{"open-process", ATTACK_BOTH, open_process},
	{"take-descriptor", ATTACK_BOTH, take_descriptor},
	{"trace", ATTACK_BOTH, trace},
	{"be-traced", ATTACK_BOTH, be_traced},
	{"read-memory", ATTACK_BOTH, read_memory},
	{"write-memory", ATTACK_BOTH, write_memory},
	{"compare", ATTACK_BOTH, compare},
	{"move-to-other-processor", ATTACK_BOTH, move_to_other_processor},
	{"slow-down", ATTACK_BOTH, slow_down},
	{"schedule", ATTACK_BOTH, schedule},
	{"look-at-limits", ATTACK_BOTH, look_at_limits},
	{"set-own-limits", ATTACK_BOTH, set_own_limits},
	{"move-to-group", ATTACK_BOTH, move_to_group},
	{"execute", ATTACK_BOTH, execute},
	{"execute-memory", ATTACK_BOTH, execute_memory},
	{"clone", ATTACK_BOTH, clone_process},
	{"clone-the-new-way", ATTACK_BOTH, clone_the_new_way},
	{"fork-the-old-way", ATTACK_BOTH, fork_the_old_way},
	{"leave-namespaces", ATTACK_BOTH, leave_namespaces},
	{"join-namespace", ATTACK_BOTH, join_namespace},
	{"become-somebody", ATTACK_BOTH, become_somebody},
	{NULL, 0, NULL},
};
