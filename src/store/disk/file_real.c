#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/disk/file.h"

static int real_open(void *context, const char *path, enum file_mode mode, int *ret_file)
{
	int flags = mode == FILE_READ ? O_RDONLY : O_RDWR | O_CREAT;
	int file = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

	(void)context;
	if (file < 0)
		return -errno;
	*ret_file = file;
	return 0;
}

static int real_close(void *context, int file)
{
	(void)context;
	return close(file) < 0 ? -errno : 0;
}

static int real_read(void *context, int file, uint64_t at, char *to, size_t bytes, size_t *ret_bytes)
{
	size_t have = 0;

	(void)context;
	while (have < bytes) {
		ssize_t n = pread(file, to + have, bytes - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*ret_bytes = have;
	return 0;
}

static int real_write(void *context, int file, uint64_t at, struct slice bytes)
{
	(void)context;
	while (bytes.len) {
		ssize_t n = pwrite(file, bytes.at, bytes.len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += (uint64_t)n;
		bytes = slice_from(bytes, (size_t)n);
	}
	return 0;
}

enum { ZEROS_BYTES = 65536, ZEROS_PIECES = 16 };

/* Up to a mebibyte of zeros, all from one place in memory that nobody has to fill. */
static int write_zeros(int file, uint64_t at, uint64_t bytes, uint64_t *ret_written)
{
	static const char zeros[ZEROS_BYTES] __attribute__((aligned(4096)));
	union {
		const char *read;
		void *given;
	} from = {zeros};
	struct iovec pieces[ZEROS_PIECES];
	int count = 0;
	ssize_t n;

	for (; bytes && count < ZEROS_PIECES; count++) {
		pieces[count] = (struct iovec){from.given, (size_t)MIN(bytes, (uint64_t)ZEROS_BYTES)};
		bytes -= pieces[count].iov_len;
	}
	do
		n = pwritev(file, pieces, count, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	*ret_written = (uint64_t)n;
	return 0;
}

/* The processor need not touch what the disk is to hold. Where the file system knows no direct writing, it is done the usual way. */
static int real_zero(void *context, int file, uint64_t at, uint64_t bytes)
{
	int flags = fcntl(file, F_GETFL);
	bool direct = flags >= 0 && fcntl(file, F_SETFL, flags | O_DIRECT) == 0;
	uint64_t written = 0;
	int error = 0;

	(void)context;
	while (bytes && !error) {
		error = write_zeros(file, at, bytes, &written);
		if (error == -EINVAL && direct) {
			direct = false;
			error = fcntl(file, F_SETFL, flags) < 0 ? -errno : 0;
			continue;
		}
		if (error)
			break;
		at += written;
		bytes -= written;
	}
	if (direct && fcntl(file, F_SETFL, flags) < 0 && !error)
		error = -errno;
	return error;
}

static int real_sync(void *context, int file)
{
	(void)context;
	return fdatasync(file) < 0 ? -errno : 0;
}

static int real_allocate(void *context, int file, uint64_t bytes)
{
	(void)context;
	if (fallocate(file, 0, 0, (off_t)bytes) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EINTR)
		return -errno;
	return -posix_fallocate(file, 0, (off_t)bytes);
}

static int real_size(void *context, int file, uint64_t *ret_bytes)
{
	struct stat st;

	(void)context;
	if (fstat(file, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

static int real_truncate(void *context, int file, uint64_t bytes)
{
	(void)context;
	return ftruncate(file, (off_t)bytes) < 0 ? -errno : 0;
}

static int real_rename(void *context, const char *from, const char *to)
{
	(void)context;
	return rename(from, to) < 0 ? -errno : 0;
}

static int real_unlink(void *context, const char *path)
{
	(void)context;
	return unlink(path) < 0 ? -errno : 0;
}

static int real_make_dir(void *context, const char *path)
{
	(void)context;
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int real_sync_dir(void *context, const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = 0;

	(void)context;
	if (dir < 0)
		return -errno;
	if (fsync(dir) < 0)
		error = -errno;
	(void)close(dir);
	return error;
}

static int real_list(void *context, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int error = 0;

	(void)context;
	if (!dir)
		return -errno;
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			error = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		error = each(arg, entry->d_name);
		if (error)
			break;
	}
	(void)closedir(dir);
	return error;
}

static int real_room(void *context, const char *path, uint64_t *ret_bytes)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statvfs fs;
	int error = 0;

	(void)context;
	if (dir < 0)
		return -errno;
	if (fstatvfs(dir, &fs) < 0)
		error = -errno;
	else
		*ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	(void)close(dir);
	return error;
}

const struct file_system file_system_real = {
	.open = real_open,
	.close = real_close,
	.read = real_read,
	.write = real_write,
	.zero = real_zero,
	.sync = real_sync,
	.allocate = real_allocate,
	.size = real_size,
	.truncate = real_truncate,
	.rename = real_rename,
	.unlink = real_unlink,
	.make_dir = real_make_dir,
	.sync_dir = real_sync_dir,
	.list = real_list,
	.room = real_room,
};
