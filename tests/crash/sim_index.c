#include "sim_index.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/hash.h"

enum { PATH_ROOM = 128, PIECES_BYTES_MAX = 1 << 22 };
/* How LMDB writes a page. */
enum { PAGE_BYTES = 4096, PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_POINTER_AT = 48 };

/* The one in use, and the one made anew, until it takes its place or what it says has been taken over. */
enum { PLACE_INDEX, PLACE_NEW, PLACES, WAITS_MAX = 1 << 20, WAIT_US = 50 };
static const char *const place_names[] = {"index", "index.new"};

struct place {
	char dir[PATH_ROOM + 16], data[PATH_ROOM + 32], lock[PATH_ROOM + 32];
	ino_t inode; /* of the real file that `file` stands for */
	int file;    /* the simulated disk's; -1: none */
};

struct sim_index {
	struct file_system system; /* the simulated one, with what follows done to real names */
	struct sim_files *files;
	const struct file_system *inner;
	char dir[PATH_ROOM];
	struct place places[PLACES];
	struct sim_threads *threads;
	dev_t device;
	uint64_t recycled;
	uint64_t trace; /* a hash over every operation */
};

static struct sim_index *active; /* for the calls that are caught */

/*
 * LMDB keeps pages that it no longer needs in a list whose pointers stand in the pages (NEXT_LOOSE_PAGE). One that is used again keeps what
 * was its pointer, as long as nothing takes that place between the page's lower and upper bound: an address, and those differ.
 */
static void forget_pointer(char page[PAGE_BYTES])
{
	uint16_t flags, lower, upper;

	memcpy(&flags, page + 10, sizeof(flags));
	memcpy(&lower, page + 12, sizeof(lower));
	memcpy(&upper, page + 14, sizeof(upper));
	if (!(flags & (PAGE_BRANCH | PAGE_LEAF)))
		return;
	for (size_t i = MAX(lower, PAGE_POINTER_AT); i < MIN(upper, PAGE_POINTER_AT + sizeof(void *)); i++)
		page[i] = 0;
}

static uint64_t hash_pages(struct slice bytes)
{
	uint64_t hash = 0;

	while (bytes.len >= PAGE_BYTES) {
		char page[PAGE_BYTES];

		memcpy(page, bytes.at, PAGE_BYTES);
		forget_pointer(page);
		hash = hash64(slice_make(page, PAGE_BYTES), hash);
		bytes = slice_from(bytes, PAGE_BYTES);
	}
	return hash64(bytes, hash);
}

static void trace(struct sim_index *index, const char *what, uint64_t at, uint64_t hash, int error)
{
	const uint64_t numbers[] = {(uint64_t)sim_threads_now_us(index->threads), at, hash, (uint64_t)(int64_t)error};

	index->trace = hash64(slice_of(what), index->trace);
	index->trace = hash64(slice_make((const char *)numbers, sizeof(numbers)), index->trace);
}

/* ---- Calls that are caught ---- */

static void place_close(struct sim_index *index, struct place *place)
{
	if (place->file >= 0)
		(void)index->inner->close(index->inner->context, place->file);
	place->file = -1;
}

/* The simulated file behind a descriptor; -1: it is none of ours, or the error is in errno. */
static bool is_ours(int fd, struct stat *status)
{
	return active && fstat(fd, status) == 0 && status->st_dev == active->device && S_ISREG(status->st_mode);
}

static int file_of(const struct stat *status, struct place **ret_place)
{
	struct place *place = &active->places[PLACE_INDEX];
	struct stat other;
	int error = 0;

	sim_threads_point(active->threads);
	if (stat(active->places[PLACE_NEW].data, &other) == 0 && other.st_ino == status->st_ino)
		place = &active->places[PLACE_NEW];
	if (place->file >= 0 && place->inode != status->st_ino)
		place_close(active, place);
	if (place->file < 0)
		error = active->inner->open(active->inner->context, place->data, FILE_WRITE, &place->file);
	if (error)
		place->file = -1;
	place->inode = status->st_ino;
	*ret_place = place;
	return error;
}

/* Whatever became of it in the simulation, the map shows. */
static void mirror(int fd, const struct place *place, uint64_t at, size_t len)
{
	struct slice all;

	if (!sim_files_get(active->files, place->data, &all))
		return;
	all = slice_first(slice_from(all, (size_t)at), len);
	while (all.len) {
		long n = syscall(SYS_pwrite64, fd, all.at, all.len, at);

		CHECK(n > 0);
		at += (uint64_t)n;
		all = slice_from(all, (size_t)n);
	}
}

static ssize_t caught_write(int fd, const struct stat *status, struct slice bytes, uint64_t at)
{
	struct place *place;
	int error = file_of(status, &place);

	if (!error) {
		error = active->inner->write(active->inner->context, place->file, at, bytes);
		mirror(fd, place, at, bytes.len);
	}
	trace(active, "index write", at, at % PAGE_BYTES ? hash64(bytes, 0) : hash_pages(bytes), error);
	if (!error && (fcntl(fd, F_GETFL) & O_DSYNC))
		error = sim_files_sync_range(active->files, place->file, at, bytes.len);
	if (!error)
		return (ssize_t)bytes.len;
	errno = -error;
	return -1;
}

static int caught_sync(const struct stat *status)
{
	struct place *place;
	int error = file_of(status, &place);

	if (!error)
		error = active->inner->sync(active->inner->context, place->file);
	trace(active, "index sync", 0, 0, error);
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

/* By the names that the library calls, whatever the headers make of them. */
#define CAUGHT(name) __asm__(name) __attribute__((visibility("default")))

ssize_t catch_pwrite(int fd, const void *bytes, size_t len, off_t at) CAUGHT("pwrite");
ssize_t catch_writev(int fd, const struct iovec *pieces, int count) CAUGHT("writev");
int catch_fdatasync(int fd) CAUGHT("fdatasync");
int catch_mutex_lock(pthread_mutex_t *mutex) CAUGHT("pthread_mutex_lock");

ssize_t catch_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	struct stat status;

	if (is_ours(fd, &status))
		return caught_write(fd, &status, slice_make(bytes, len), (uint64_t)at);
	return syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t catch_writev(int fd, const struct iovec *pieces, int count)
{
	struct buffer all = BUFFER_INIT(PIECES_BYTES_MAX);
	struct stat status;
	ssize_t n;
	off_t at;

	if (!is_ours(fd, &status))
		return syscall(SYS_writev, fd, pieces, count);
	at = lseek(fd, 0, SEEK_CUR);
	for (int i = 0; i < count; i++)
		buffer_put(&all, slice_make(pieces[i].iov_base, pieces[i].iov_len));
	CHECK(at >= 0 && !buffer_error(&all));
	n = caught_write(fd, &status, buffer_slice(&all), (uint64_t)at);
	if (n > 0)
		CHECK(lseek(fd, n, SEEK_CUR) == at + n);
	buffer_free(&all);
	return n;
}

int catch_fdatasync(int fd)
{
	struct stat status;

	return is_ours(fd, &status) ? caught_sync(&status) : (int)syscall(SYS_fdatasync, fd);
}

/* Who holds it is another simulated thread, of one that writes to the same index: to wait for it for real would be to wait for oneself. */
int catch_mutex_lock(pthread_mutex_t *mutex)
{
	int error = pthread_mutex_trylock(mutex);

	for (unsigned i = 0; error == EBUSY; i++) {
		CHECK(active && i < WAITS_MAX);
		sim_threads_pause(active->threads, WAIT_US);
		error = pthread_mutex_trylock(mutex);
	}
	return error;
}

/* ---- Names ---- */

static bool is_of_index(const struct sim_index *index, const char *path)
{
	size_t len = strlen(index->dir);

	return strncmp(path, index->dir, len) == 0 && strncmp(path + len, "/index", 6) == 0;
}

static int index_make_dir(void *context, const char *path)
{
	struct sim_index *index = context;
	int error;

	sim_threads_point(index->threads);
	error = index->inner->make_dir(index->inner->context, path);
	trace(index, "make_dir", 0, 0, error);
	if (!error && is_of_index(index, path) && mkdir(path, 0700) < 0)
		CHECK(errno == EEXIST);
	return error;
}

static int index_unlink(void *context, const char *path)
{
	struct sim_index *index = context;
	bool of_index = false;
	int error;

	sim_threads_point(index->threads);
	for (size_t i = 0; i < PLACES; i++) {
		if (strcmp(path, index->places[i].lock) == 0) /* lives as long as a machine runs, and is made anew */
			return unlink(path) < 0 ? -errno : 0;
		of_index |= strcmp(path, index->places[i].data) == 0;
	}
	error = index->inner->unlink(index->inner->context, path);
	trace(index, "unlink", 0, 0, error);
	if (error || !of_index)
		return error;
	sim_index_close(index);
	CHECK(unlink(path) == 0);
	return 0;
}

/* ---- Others are passed on ---- */

#define INNER index->inner->context
#define PASS_TRACED(name, parameters, arguments, at, hash) \
	static int index_##name parameters                 \
	{                                                  \
		struct sim_index *index = context;         \
		int error;                                 \
                                                           \
		sim_threads_point(index->threads);         \
		error = index->inner->name arguments;      \
		trace(index, #name, at, hash, error);      \
		return error;                              \
	}
#define PASS(name, parameters, arguments) PASS_TRACED(name, parameters, arguments, 0, 0)

PASS(open, (void *context, const char *path, enum file_mode mode, int *ret_file), (INNER, path, mode, ret_file))
PASS(close, (void *context, int file), (INNER, file))
PASS_TRACED(read, (void *context, int file, uint64_t at, char *to, size_t bytes, size_t *ret_bytes),
	(INNER, file, at, to, bytes, ret_bytes), at, error ? 0 : hash64(slice_make(to, *ret_bytes), 0))
PASS_TRACED(write, (void *context, int file, uint64_t at, struct slice bytes), (INNER, file, at, bytes), at,
	hash64(bytes, 0))
PASS(zero, (void *context, int file, uint64_t at, uint64_t bytes), (INNER, file, at, bytes))
PASS(sync, (void *context, int file), (INNER, file))
PASS(allocate, (void *context, int file, uint64_t bytes), (INNER, file, bytes))
PASS(size, (void *context, int file, uint64_t *ret_bytes), (INNER, file, ret_bytes))
PASS(truncate, (void *context, int file, uint64_t bytes), (INNER, file, bytes))
PASS(sync_dir, (void *context, const char *path), (INNER, path))
PASS(list, (void *context, const char *path, int (*each)(void *arg, const char *name), void *arg),
	(INNER, path, each, arg))

/* Errors of the simulation say when there is none. */
static int index_room(void *context, const char *path, uint64_t *ret_bytes)
{
	(void)context;
	(void)path;
	*ret_bytes = UINT64_MAX;
	return 0;
}

static int index_rename(void *context, const char *from, const char *to)
{
	struct sim_index *index = context;
	int error;

	sim_threads_point(index->threads);
	error = index->inner->rename(INNER, from, to);
	trace(index, "rename", 0, 0, error);
	if (!error && is_of_index(index, from)) {
		sim_index_close(index);
		CHECK(rename(from, to) == 0);
	}
	index->recycled += !error && slice_ends(slice_of(to), SLICE(".seg"));
	return error;
}

/* ---- The simulation's side ---- */

struct sim_index *sim_index_new(struct sim_files *files, const char *dir, struct sim_threads *threads)
{
	struct sim_index *index = calloc(1, sizeof(*index));
	struct stat status;

	CHECK(index && !active && strlen(dir) < PATH_ROOM && stat(dir, &status) == 0);
	(void)snprintf(index->dir, sizeof(index->dir), "%s", dir);
	for (size_t i = 0; i < PLACES; i++) {
		struct place *place = &index->places[i];

		(void)snprintf(place->dir, sizeof(place->dir), "%s/%s", dir, place_names[i]);
		(void)snprintf(place->data, sizeof(place->data), "%s/%s/data.mdb", dir, place_names[i]);
		(void)snprintf(place->lock, sizeof(place->lock), "%s/%s/lock.mdb", dir, place_names[i]);
		place->file = -1;
	}
	index->files = files;
	index->inner = sim_files_system(files);
	index->system = (struct file_system){index_open, index_close, index_read, index_write, index_zero, index_sync,
		index_allocate, index_size, index_truncate, index_rename, index_unlink, index_make_dir, index_sync_dir,
		index_list, index_room, index};
	index->threads = threads;
	index->device = status.st_dev;
	active = index;
	return index;
}

void sim_index_free(struct sim_index **index)
{
	active = NULL;
	free(*index);
	*index = NULL;
}

const struct file_system *sim_index_system(struct sim_index *index)
{
	return &index->system;
}

void sim_index_close(struct sim_index *index)
{
	for (size_t i = 0; i < PLACES; i++)
		place_close(index, &index->places[i]);
}

static void settle(struct sim_index *index, const struct place *place)
{
	struct slice bytes;
	int fd;

	(void)unlink(place->lock);
	if (!sim_files_get(index->files, place->data, &bytes)) {
		(void)unlink(place->data);
		(void)rmdir(place->dir);
		return;
	}
	trace(index, "index settled", 0, hash_pages(bytes), 0);
	(void)mkdir(place->dir, 0700);
	fd = open(place->data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes.len) == 0);
	mirror(fd, place, 0, bytes.len);
	CHECK(close(fd) == 0);
}

void sim_index_settle(struct sim_index *index)
{
	for (size_t i = 0; i < PLACES; i++)
		settle(index, &index->places[i]);
}

uint64_t sim_index_trace(struct sim_index *index)
{
	uint64_t hash = index->trace;

	index->trace = 0;
	return hash;
}

uint64_t sim_index_recycled(struct sim_index *index)
{
	uint64_t recycled = index->recycled;

	index->recycled = 0;
	return recycled;
}

void sim_index_lose(struct sim_index *index)
{
	struct slice bytes;

	for (size_t i = 0; i < PLACES; i++)
		if (sim_files_get(index->files, index->places[i].data, &bytes))
			(void)index->inner->unlink(index->inner->context, index->places[i].data);
	sim_index_settle(index);
}
