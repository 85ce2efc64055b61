#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attacks.h"

enum { PAGE = 4096 };

char attack_secret[16] = "a secret place";

/* ---- Parts of the kernel that are better not reached ---- */

static int io_uring(const struct attack_world *world)
{
	struct io_uring_params parameters = {0};

	(void)world;
	return attack_result(syscall(SYS_io_uring_setup, 4, &parameters));
}

static int userfaultfd(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_userfaultfd, 0));
}

static int bpf(const struct attack_world *world)
{
	union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	(void)world;
	return attack_result(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)));
}

static int keyring(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static int perf(const struct attack_world *world)
{
	struct perf_event_attr what = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(what), .config = PERF_COUNT_SW_DUMMY};

	(void)world;
	return attack_result(syscall(SYS_perf_event_open, &what, 0, -1, -1, 0UL));
}

static int shared_memory(const struct attack_world *world)
{
	int id = (int)syscall(SYS_shmget, IPC_PRIVATE, (size_t)PAGE, 0600);

	(void)world;
	if (id < 0)
		return errno;
	return attack_result(syscall(SYS_shmctl, id, IPC_RMID, NULL));
}

static int message_queue(const struct attack_world *world)
{
	int id = (int)syscall(SYS_msgget, IPC_PRIVATE, 0600);

	(void)world;
	if (id < 0)
		return errno;
	return attack_result(syscall(SYS_msgctl, id, IPC_RMID, NULL));
}

static int dumpable(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_prctl, PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL));
}

static int other_ioctl(const struct attack_world *world)
{
	int mark;

	return attack_result(syscall(SYS_ioctl, world->stream, SIOCATMARK, &mark));
}

/* ---- Memory that can be run ---- */

static int map_code(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(
		SYS_mmap, 0UL, (size_t)PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0UL));
}

static void *page(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int turn_to_code(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_mprotect, page(), (size_t)PAGE, PROT_READ | PROT_EXEC));
}

static int turn_to_code_by_key(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_pkey_mprotect, page(), (size_t)PAGE, PROT_READ | PROT_EXEC, -1));
}

static int reading_means_running(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(SYS_personality, (unsigned long)READ_IMPLIES_EXEC));
}

static int overwrite_code(const struct attack_world *world)
{
	unsigned long start = (unsigned long)(void *)attack_find & ~(unsigned long)(PAGE - 1);

	(void)world;
	return attack_result(syscall(SYS_mprotect, start, (size_t)PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
}

/* ---- Other doors of the kernel, whose numbers mean other calls ---- */

#ifdef __x86_64__
static int by_interrupt(const struct attack_world *world)
{
	long result;

	(void)world;
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(20L /* getpid there */) : "memory");
	errno = result < 0 ? (int)-result : 0;
	return result > 0 ? 0 : errno;
}

static int by_x32(const struct attack_world *world)
{
	(void)world;
	return attack_result(syscall(0x40000000L | SYS_getpid));
}
#endif

const struct attack attacks_on_kernel[] = {
	{"io-uring", ATTACK_BOTH, io_uring},
	{"userfaultfd", ATTACK_BOTH, userfaultfd},
	{"bpf", ATTACK_BOTH, bpf},
	{"keyring", ATTACK_BOTH, keyring},
	{"perf", ATTACK_BOTH, perf},
	{"shared-memory", ATTACK_BOTH, shared_memory},
	{"message-queue", ATTACK_BOTH, message_queue},
	{"dumpable", ATTACK_BOTH, dumpable},
	{"other-ioctl", ATTACK_BOTH, other_ioctl},
	{"map-code", ATTACK_BOTH, map_code},
	{"turn-to-code", ATTACK_BOTH, turn_to_code},
	{"turn-to-code-by-key", ATTACK_BOTH, turn_to_code_by_key},
	{"reading-means-running", ATTACK_BOTH, reading_means_running},
	{"overwrite-code", ATTACK_BOTH, overwrite_code},
#ifdef __x86_64__
	{"by-interrupt", ATTACK_BOTH, by_interrupt},
	{"by-x32", ATTACK_BOTH, by_x32},
#endif
	{NULL, 0, NULL},
};

const struct attack *const attack_tables[4] = {
	attacks_on_files, attacks_on_sockets, attacks_on_processes, attacks_on_kernel};

const struct attack *attack_find(const char *name)
{
	for (size_t i = 0; i < sizeof(attack_tables) / sizeof(attack_tables[0]); i++)
		for (const struct attack *attack = attack_tables[i]; attack->name; attack++)
			if (strcmp(attack->name, name) == 0)
				return attack;
	return NULL;
}

int attack_result(long returned)
{
	return returned < 0 ? errno : 0;
}
