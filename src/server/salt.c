/*
 * The key that invents SCRAM salts for users who do not exist. It lies beside the data, because a salt that changes with every start would
 * tell a stranger that nobody is behind it.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/core.h"

static int write_whole(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t done = write(fd, bytes, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		bytes += done;
		len -= (size_t)done;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return error;
}

/* Whole or not at all, whenever the power goes. */
static int key_make(const char *dir, const char *path, const char *fresh_path, const char *key)
{
	int fd = open(fresh_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return -errno;
	error = write_whole(fd, key, CORE_SALT_KEY_BYTES);
	(void)close(fd);
	if (!error && rename(fresh_path, path) < 0)
		error = -errno;
	return error ? error : sync_directory(dir);
}

int core_salt_key(struct slice data_dir, char *key)
{
	struct buffer dir = BUFFER_INIT(4096), path = BUFFER_INIT(4096), fresh_path = BUFFER_INIT(4096),
		      bytes = BUFFER_INIT(8192);
	int error;

	clock_random(clock_system(), key, CORE_SALT_KEY_BYTES);
	buffer_put(&dir, data_dir);
	buffer_printf(&path, "%.*s/salt-key", SLICE_ARG(data_dir));
	buffer_printf(&fresh_path, "%.*s/salt-key.new", SLICE_ARG(data_dir));
	error = file_read_whole(buffer_text(&path), &bytes);
	if (!error && bytes.len == CORE_SALT_KEY_BYTES)
		memcpy(key, bytes.at, CORE_SALT_KEY_BYTES);
	else if (!error || error == -ENOENT || error == -EFBIG)
		error = key_make(buffer_text(&dir), buffer_text(&path), buffer_text(&fresh_path), key);
	buffer_free(&dir);
	buffer_free(&path);
	buffer_free(&fresh_path);
	buffer_free(&bytes);
	return error;
}
