/*
 * Loaded in front of the C library by test_durable.py, into the real program: fdatasync(2) waits as long as the file "hold" is in the folder that
 * the environment names. While it waits, a file "held-INODE" tells the test for which file.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int fdatasync(int file)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	const char *dir = getenv("PENFOLD_TEST_HOLD");
	char hold[PATH_MAX], held[PATH_MAX];
	struct stat st;
	int mark;

	(void)snprintf(hold, sizeof(hold), "%s/hold", dir ? dir : "");
	if (dir && access(hold, F_OK) == 0 && fstat(file, &st) == 0) {
		(void)snprintf(held, sizeof(held), "%s/held-%llu", dir, (unsigned long long)st.st_ino);
		mark = open(held, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		while (access(hold, F_OK) == 0)
			(void)nanosleep(&nap, NULL);
		(void)unlink(held);
		if (mark >= 0)
			(void)close(mark);
	}
	return (int)syscall(SYS_fdatasync, file);
}
