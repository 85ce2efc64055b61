#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attacks.h"

/* The folder outside holds a file `there` and an empty folder `empty`, both the user's own. */
struct path {
	char text[512];
};

static struct path outside(const struct attack_world *world, const char *name)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "%s/%s", world->outside, name);
	return path;
}

static int try_open(const char *path, int flags)
{
	return attack_result(syscall(SYS_openat, AT_FDCWD, path, flags, 0600));
}

static int open_absolute(const struct attack_world *world)
{
	return try_open(outside(world, "there").text, O_RDONLY);
}

static int open_for_writing(const struct attack_world *world)
{
	return try_open(outside(world, "there").text, O_WRONLY | O_APPEND);
}

static int open_truncating(const struct attack_world *world)
{
	return try_open(outside(world, "there").text, O_RDWR | O_TRUNC);
}

static int open_new(const struct attack_world *world)
{
	return try_open(outside(world, "made").text, O_WRONLY | O_CREAT);
}

static int open_unnamed(const struct attack_world *world)
{
	return try_open(world->outside, O_RDWR | O_TMPFILE);
}

static int open_relative(const struct attack_world *world)
{
	struct path up = {"../../../../../../../../../../.."};

	(void)snprintf(up.text + strlen(up.text), sizeof(up.text) - strlen(up.text), "%s/there", world->outside);
	return try_open(up.text, O_RDONLY);
}

/* A legacy call of its own, where there is one. */
static int open_the_old_way(const struct attack_world *world)
{
#ifdef SYS_open
	return attack_result(syscall(SYS_open, outside(world, "there").text, O_RDONLY));
#else
	return open_absolute(world);
#endif
}

static int open_the_new_way(const struct attack_world *world)
{
	const uint64_t how[3] = {O_RDONLY, 0, 0};

	return attack_result(syscall(SYS_openat2, AT_FDCWD, outside(world, "there").text, how, sizeof(how)));
}

static int open_own_descriptor(const struct attack_world *world)
{
	(void)world;
	return try_open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
}

static int open_own_maps(const struct attack_world *world)
{
	(void)world;
	return try_open("/proc/self/maps", O_RDONLY);
}

static int open_own_memory(const struct attack_world *world)
{
	(void)world;
	return try_open("/proc/self/mem", O_RDWR);
}

static int open_memory_of(const struct attack_world *world)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/%d/mem", (int)world->other);
	return try_open(path.text, O_RDWR);
}

static int open_descriptor_of(const struct attack_world *world)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/%d/fd", (int)world->other);
	return try_open(path.text, O_RDONLY | O_DIRECTORY);
}

static int list_folder(const struct attack_world *world)
{
	char entries[1024];
	int fd = open(world->outside, O_RDONLY | O_DIRECTORY);
	int result;

	if (fd < 0)
		return errno;
	result = attack_result(syscall(SYS_getdents64, fd, entries, sizeof(entries)));
	(void)close(fd);
	return result;
}

static int watch_folder(const struct attack_world *world)
{
	int fd = inotify_init1(0);

	return fd < 0 ? errno : attack_result(inotify_add_watch(fd, world->outside, IN_ALL_EVENTS));
}

static int truncate_file(const struct attack_world *world)
{
	return attack_result(truncate(outside(world, "there").text, 1));
}

static int remove_file(const struct attack_world *world)
{
	return attack_result(unlink(outside(world, "there").text));
}

static int remove_folder(const struct attack_world *world)
{
	return attack_result(rmdir(outside(world, "empty").text));
}

static int make_folder(const struct attack_world *world)
{
	return attack_result(mkdir(outside(world, "made").text, 0700));
}

static int rename_file(const struct attack_world *world)
{
	return attack_result(rename(outside(world, "there").text, outside(world, "made").text));
}

static int link_file(const struct attack_world *world)
{
	return attack_result(link(outside(world, "there").text, outside(world, "made").text));
}

static int link_by_name(const struct attack_world *world)
{
	return attack_result(symlink("/etc/passwd", outside(world, "made").text));
}

static int make_pipe_in_folder(const struct attack_world *world)
{
	return attack_result(mknod(outside(world, "made").text, S_IFIFO | 0600, 0));
}

static int change_mode(const struct attack_world *world)
{
	return attack_result(chmod(outside(world, "there").text, 0666));
}

static int change_mode_at(const struct attack_world *world)
{
	return attack_result(syscall(SYS_fchmodat, AT_FDCWD, outside(world, "there").text, 0666));
}

static int change_owner(const struct attack_world *world)
{
	return attack_result(chown(outside(world, "there").text, getuid(), getgid()));
}

static int change_times(const struct attack_world *world)
{
	return attack_result(syscall(SYS_utimensat, AT_FDCWD, outside(world, "there").text, NULL, 0));
}

static int set_attribute(const struct attack_world *world)
{
	return attack_result(
		syscall(SYS_setxattr, outside(world, "there").text, "security.penfold", "x", (size_t)1, 0));
}

static int change_root(const struct attack_world *world)
{
	return attack_result(chroot(world->outside));
}

const struct attack attacks_on_files[] = {
	{"open-absolute", ATTACK_BOTH, open_absolute},
	{"open-for-writing", ATTACK_BOTH, open_for_writing},
	{"open-truncating", ATTACK_BOTH, open_truncating},
	{"open-new", ATTACK_BOTH, open_new},
	{"open-unnamed", ATTACK_BOTH, open_unnamed},
	{"open-relative", ATTACK_BOTH, open_relative},
	{"open-the-old-way", ATTACK_BOTH, open_the_old_way},
	{"open-the-new-way", ATTACK_BOTH, open_the_new_way},
	{"open-own-descriptors", ATTACK_BOTH, open_own_descriptor},
	{"open-own-maps", ATTACK_BOTH, open_own_maps},
	{"open-own-memory", ATTACK_BOTH, open_own_memory},
	{"open-memory-of-another", ATTACK_BOTH, open_memory_of},
	{"open-descriptors-of-another", ATTACK_BOTH, open_descriptor_of},
	{"list-folder", ATTACK_BOTH, list_folder},
	{"watch-folder", ATTACK_BOTH, watch_folder},
	{"truncate", ATTACK_BOTH, truncate_file},
	{"remove-file", ATTACK_BOTH, remove_file},
	{"remove-folder", ATTACK_BOTH, remove_folder},
	{"make-folder", ATTACK_BOTH, make_folder},
	{"rename", ATTACK_BOTH, rename_file},
	{"link", ATTACK_BOTH, link_file},
	{"link-by-name", ATTACK_BOTH, link_by_name},
	{"make-pipe-in-folder", ATTACK_BOTH, make_pipe_in_folder},
	{"change-mode", ATTACK_BOTH, change_mode},
	{"change-mode-at", ATTACK_BOTH, change_mode_at},
	{"change-owner", ATTACK_BOTH, change_owner},
	{"change-times", ATTACK_BOTH, change_times},
	{"set-attribute", ATTACK_BOTH, set_attribute},
	{"change-root", ATTACK_BOTH, change_root},
	{NULL, 0, NULL},
};
