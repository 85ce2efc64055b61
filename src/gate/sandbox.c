#include "gate/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/*
 * A sanitizer that has found something wants to say what: it looks into /proc and starts a symbolizer. It may not do that here either,
 * but it must live to tell the rest.
 */
#define FORBIDDEN (SANITIZED ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS)

/* ---- Landlock ---- */

/* Younger than the headers we may be built with; the kernel says by its version which it knows. */
enum {
	ACCESS_REFER = 1 << 13,       /* version 2 */
	ACCESS_TRUNCATE = 1 << 14,    /* 3 */
	ACCESS_IOCTL_DEV = 1 << 15,   /* 5 */
	NET_BIND_TCP = 1 << 0,        /* 4 */
	NET_CONNECT_TCP = 1 << 1,     /* 4 */
	SCOPE_ABSTRACT_UNIX = 1 << 0, /* 6 */
	SCOPE_SIGNAL = 1 << 1,        /* 6 */
};
enum { ACCESS_FIRST_VERSION = (1 << 13) - 1 };
enum { SOCKET_TYPE_MASK = 15 }; /* of socketpair(2)'s second argument; the rest are flags */

struct ruleset {
	uint64_t files, net, scoped;
};

static uint64_t file_rights(long version)
{
	uint64_t rights = ACCESS_FIRST_VERSION;

	if (version >= 2)
		rights |= ACCESS_REFER;
	if (version >= 3)
		rights |= ACCESS_TRUNCATE;
	if (version >= 5)
		rights |= ACCESS_IOCTL_DEV;
	return rights;
}

static int landlock_allow_below(int ruleset_fd, const char *dir, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	int error = 0;

	rule.parent_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		error = -errno;
	(void)close(rule.parent_fd);
	return error;
}

/* Takes away all files, but for `dir` (if any); new TCP sockets' use; signals and abstract sockets of others. */
static int landlock(const char *dir)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset = {0, 0, 0};
	size_t size = sizeof(ruleset.files);
	int error = 0;
	int fd;

	if (version < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? -EOPNOTSUPP : -errno;
	ruleset.files = file_rights(version);
	if (version >= 4) {
		ruleset.net = NET_BIND_TCP | NET_CONNECT_TCP;
		size = offsetof(struct ruleset, scoped);
	}
	if (version >= 6) {
		ruleset.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
		size = sizeof(ruleset);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return -errno;
	if (dir)
		error = landlock_allow_below(
			fd, dir, ruleset.files & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_IOCTL_DEV));
	if (!error && syscall(SYS_landlock_restrict_self, fd, 0) != 0)
		error = -errno;
	(void)close(fd);
	return error;
}

/* ---- seccomp ---- */

/* Allowed whatever the arguments. Names, because not every architecture has all of them. */
static const char *const basic_calls[] = {
	"accept4",
	"brk",
	"clock_gettime",
	"clock_nanosleep",
	"close",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"exit",
	"exit_group",
	"futex",
	"getpeername",
	"getpid",
	"getrandom",
	"getsockname",
	"getsockopt",
	"gettid",
	"gettimeofday",
	"madvise",
	"mremap",
	"munmap",
	"nanosleep",
	"read",
	"readv",
	"recvfrom",
	"recvmsg",
	"restart_syscall",
	"rseq",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sched_yield",
	"sigaltstack",
	"time",
	"write",
	"writev",
};

/*
 * Files (Landlock says which), threads, new loops, and what libraries ask in passing. Landlock does not look at modes, owners, times and
 * attributes: what changes those by path is not here.
 */
static const char *const core_calls[] = {
	"access",
	"accept",
	"capget",
	"chdir",
	"clock_getres",
	"copy_file_range",
	"dup",
	"dup2",
	"dup3",
	"epoll_create",
	"epoll_create1",
	"eventfd",
	"eventfd2",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fallocate",
	"fchdir",
	"fchmod",
	"fchown",
	"fdatasync",
	"fgetxattr",
	"flock",
	"fstat",
	"fstatfs",
	"fsync",
	"ftruncate",
	"futex_waitv",
	"get_robust_list",
	"getcpu",
	"getcwd",
	"getdents",
	"getdents64",
	"getegid",
	"geteuid",
	"getgid",
	"getgroups",
	"getpgrp",
	"getppid",
	"getresgid",
	"getresuid",
	"getrlimit",
	"getrusage",
	"getuid",
	"link",
	"linkat",
	"lseek",
	"lstat",
	"membarrier",
	"memfd_create",
	"mincore",
	"mkdir",
	"mkdirat",
	"mlock",
	"mlock2",
	"msync",
	"munlock",
	"newfstatat",
	"open",
	"openat",
	"openat2",
	"pipe",
	"pipe2",
	"poll",
	"ppoll",
	"pread64",
	"preadv",
	"preadv2",
	"pselect6",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"readahead",
	"readlink",
	"readlinkat",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"select",
	"sendfile",
	"set_robust_list",
	"set_tid_address",
	"signalfd4",
	"splice",
	"stat",
	"statfs",
	"statx",
	"symlink",
	"symlinkat",
	"sync_file_range",
	"sysinfo",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_settime",
	"umask",
	"uname",
	"unlink",
	"unlinkat",
};

/* Asked by libraries in passing: told no, and left alive. Landlock would say the same of the files. */
static const char *const refused_calls[] = {"access", "faccessat", "faccessat2", "fstat", "getrlimit", "lstat",
	"newfstatat", "open", "openat", "openat2", "prlimit64", "readlink", "readlinkat", "rt_sigaction", "stat",
	"statx", "sysinfo", "uname"};

/* What only a program gone wrong would try in core; the rest that is not allowed there is told no. */
static const char *const deadly_calls[] = {"bind", "bpf", "chroot", "connect", "execve", "execveat", "finit_module",
	"fork", "init_module", "io_uring_setup", "kexec_load", "listen", "mount", "open_by_handle_at",
	"perf_event_open", "pidfd_getfd", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "setns",
	"setuid", "socket", "umount2", "unshare", "userfaultfd", "vfork"};

static int add_call(scmp_filter_ctx filter, uint32_t action, const char *name)
{
	int call = seccomp_syscall_resolve_name(name);
	int error = 0;

	if (call != __NR_SCMP_ERROR) /* known to this libseccomp */
		error = seccomp_rule_add(filter, action, call, 0);
	/* -EDOM: not on this architecture. -EACCES: that is the default anyway. */
	return error == -EDOM || error == -EACCES ? 0 : error;
}

static int add_calls(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = add_call(filter, action, names[i]);
	return error;
}

/* Memory that can be run is never made: neither mapped nor turned into it. */
static int add_memory_calls(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp not_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_exec);

	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_exec);
	return error;
}

static int add_ioctls(scmp_filter_ctx filter)
{
	static const unsigned long requests[] = {FIONBIO, FIONREAD, FIOCLEX};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(requests) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, requests[i]));
	return error;
}

static int add_fcntls(scmp_filter_ctx filter, const int *commands, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	return error;
}

/* Those that the program sets. Others reach far, and a listening socket is shared: a filter on it would deafen all who come after. */
static int add_socket_options(scmp_filter_ctx filter)
{
	static const struct {
		int level, name;
	} options[] = {{SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_KEEPIDLE},
		{IPPROTO_TCP, TCP_KEEPINTVL}};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(options) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)options[i].level),
			SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)options[i].name));
	return error;
}

/*
 * MSG_FASTOPEN connects a socket without connect(2), past Landlock, too; and shutting down the reading side of a listening socket makes
 * it one that can be connected, and deafens every process that shares it.
 */
static int add_socket_calls(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp sends_to = SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0);
	const struct scmp_arg_cmp sends_message = SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0);
	const struct scmp_arg_cmp of_writing = SCMP_A1(SCMP_CMP_EQ, SHUT_WR);
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, sends_to);

	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 1, sends_message);
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(shutdown), 1, of_writing);
	if (!error)
		error = add_socket_options(filter);
	return error;
}

static int add_basics(scmp_filter_ctx filter)
{
	int error = add_calls(filter, SCMP_ACT_ALLOW, basic_calls, ARRAY_LEN(basic_calls));

	if (!error)
		error = add_memory_calls(filter);
	if (!error)
		error = add_ioctls(filter);
	if (!error)
		error = add_socket_calls(filter);
	/* abort(3) signals its own process; no other may be signalled. */
	if (!error)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return error;
}

static int add_gate_calls(scmp_filter_ctx filter)
{
	static const int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL};
	int error = add_basics(filter);

	if (!error)
		error = add_fcntls(filter, commands, ARRAY_LEN(commands));
	if (!error && FORBIDDEN == SCMP_ACT_KILL_PROCESS)
		error = add_calls(filter, SCMP_ACT_ERRNO(EACCES), refused_calls, ARRAY_LEN(refused_calls));
	return error;
}

/* Other threads of core are given way to; other processes are not touched: 0 is the calling thread. */
static int add_scheduling_calls(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp itself = SCMP_A0(SCMP_CMP_EQ, 0);
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setpriority), 2,
		SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS), SCMP_A1(SCMP_CMP_EQ, 0));
	/* Its own limits are looked at, not changed. */
	if (!error)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, itself, SCMP_A2(SCMP_CMP_EQ, 0));
	return error;
}

/* Threads, but no processes; connected pairs, but no other sockets: a datagram socket could be pointed at any daemon's. */
static int add_core_calls(scmp_filter_ctx filter)
{
	/* Without F_SETOWN, with which the kernel signals whatever process one likes. */
	static const int commands[] = {
		F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW};
	const struct scmp_arg_cmp is_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
	const struct scmp_arg_cmp is_local = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);
	const struct scmp_arg_cmp is_stream = SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_STREAM);
	const struct scmp_arg_cmp is_name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME);
	int error = add_basics(filter);

	if (!error)
		error = add_calls(filter, SCMP_ACT_ALLOW, core_calls, ARRAY_LEN(core_calls));
	if (!error)
		error = add_calls(filter, FORBIDDEN, deadly_calls, ARRAY_LEN(deadly_calls));
	if (!error)
		error = add_fcntls(filter, commands, ARRAY_LEN(commands));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, is_thread);
	/* Its flags lie in memory, where no filter sees them; libc then takes clone(2). */
	if (!error)
		error = add_call(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3");
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2, is_local, is_stream);
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, is_name);
	if (!error)
		error = add_scheduling_calls(filter);
	return error;
}

static int filter_calls(uint32_t otherwise, int (*add)(scmp_filter_ctx filter))
{
	scmp_filter_ctx filter;
	int error;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return -EOPNOTSUPP;
	filter = seccomp_init(otherwise);
	if (!filter)
		return -ENOMEM;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: dozens of calls are allowed */
	/* Usually only the thread that came by another door would be killed, and the rest go on without it. */
	error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!error)
		error = add(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

/* ---- Both ---- */

static int shut_in(const char *dir, uint32_t otherwise, int (*add)(scmp_filter_ctx filter))
{
	int files_error, calls_error;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	files_error = landlock(dir);
	if (files_error && files_error != -EOPNOTSUPP)
		return files_error;
	calls_error = filter_calls(otherwise, add);
	return calls_error ? calls_error : files_error;
}

int gate_sandbox_gate(void)
{
	return shut_in(NULL, FORBIDDEN, add_gate_calls);
}

int gate_sandbox_core(const char *data_dir)
{
	return shut_in(data_dir, SCMP_ACT_ERRNO(EPERM), add_core_calls);
}
