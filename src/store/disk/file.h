/*
 * Every file operation of the store but the index's own reading and writing (LMDB's), replaceable: so that a test can fail, tear,
 * reorder or forget any of them.
 * All return 0 or a negative errno. Descriptors are the implementation's own numbers. Any thread.
 */
#ifndef PENFOLD_STORE_DISK_FILE_H
#define PENFOLD_STORE_DISK_FILE_H

#include "base/slice.h"

enum file_mode { FILE_READ, FILE_WRITE /* made when it is not there */ };

struct file_system {
	int (*open)(void *context, const char *path, enum file_mode mode, int *ret_file);
	int (*close)(void *context, int file);
	int (*read)(void *context, int file, uint64_t at, char *to, size_t bytes,
		size_t *ret_bytes);                                             /* fewer only at the end */
	int (*write)(void *context, int file, uint64_t at, struct slice bytes); /* all or an error */
	/* Zeros from `at` on, past the page cache where that can be; multiples of 4 KiB. */
	int (*zero)(void *context, int file, uint64_t at, uint64_t bytes);
	int (*sync)(void *context, int file);                     /* fdatasync(2) */
	int (*allocate)(void *context, int file, uint64_t bytes); /* room for so many bytes, for good: fallocate(2) */
	int (*size)(void *context, int file, uint64_t *ret_bytes);
	int (*truncate)(void *context, int file, uint64_t bytes);
	int (*rename)(void *context, const char *from, const char *to);
	int (*unlink)(void *context, const char *path);
	int (*make_dir)(void *context, const char *path); /* 0 when it is there already */
	int (*sync_dir)(void *context, const char *path); /* makes names in it durable */
	int (*list)(void *context, const char *path, int (*each)(void *arg, const char *name), void *arg);
	int (*room)(void *context, const char *path,
		uint64_t *ret_bytes); /* that can still be had where `path`, a directory, is */
	void *context;
};

extern const struct file_system file_system_real;

/* Makes a directory when it is not there, and makes its own name durable, too. */
MUST_CHECK int file_make_dir(const struct file_system *files, const char *path);

#endif
