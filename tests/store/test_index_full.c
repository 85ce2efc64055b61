/*
 * A disk without room for the index. LMDB writes by itself, so this program has functions of the C library's names in the way: of the index
 * file, a write comes back short, as the kernel's does when there is room for a part.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/resident.h"
#include "support.h"

static atomic_int short_writes; /* so many more come back short */
static atomic_int were_short;
static atomic_bool is_full; /* nor can any room be had */

static bool is_index(int file)
{
	static const char name[] = "/index/data.mdb";
	char link[64], path[PATH_MAX];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	len = readlink(link, path, sizeof(path));
	return len > (ssize_t)strlen(name) && memcmp(path + len - strlen(name), name, strlen(name)) == 0;
}

static bool is_short(int file)
{
	if (atomic_load(&short_writes) == 0 || !is_index(file))
		return false;
	atomic_fetch_sub(&short_writes, 1);
	atomic_fetch_add(&were_short, 1);
	return true;
}

/* By the names that LMDB's library looks for. */
__attribute__((visibility("default"))) ssize_t index_pwrite(int file, const void *bytes, size_t len, off_t at) __asm__(
	"pwrite");
__attribute__((visibility("default"))) ssize_t index_writev(int file, const struct iovec *pieces, int count) __asm__(
	"writev");

ssize_t index_pwrite(int file, const void *bytes, size_t len, off_t at)
{
	struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = is_short(file) ? len / 2 : len};

	return pwritev(file, &piece, 1, at);
}

ssize_t index_writev(int file, const struct iovec *pieces, int count)
{
	ssize_t all = 0, n;

	if (is_short(file))
		return write(file, pieces[0].iov_base, pieces[0].iov_len / 2);
	for (int i = 0; i < count; i++, all += n) {
		n = write(file, pieces[i].iov_base, pieces[i].iov_len);
		if (n != (ssize_t)pieces[i].iov_len)
			return n < 0 && !all ? n : all + MAX(n, 0);
	}
	return all;
}

int fallocate(int file, int mode, off_t at, off_t len)
{
	if (atomic_load(&is_full) && is_index(file)) {
		errno = ENOSPC;
		return -1;
	}
	if (mode & FALLOC_FL_KEEP_SIZE)
		return 0;
	errno = posix_fallocate(file, at, len);
	return errno ? -1 : 0;
}

static void world_begin(struct world *w)
{
	world_make(w);
	world_open(w);
	world_account(w);
	(void)deliver_numbered(mailbox_inbox(w->account), 1);
	world_settle(w);
	atomic_store(&were_short, 0);
}

static void wait_for_short(int count)
{
	for (int i = 0; atomic_load(&were_short) < count && i < 1000; i++)
		usleep(10000);
	assert_true(atomic_load(&were_short) >= count);
}

static void assert_holds(struct world *w, uint32_t messages)
{
	struct store_check check = {.report = NULL};

	world_settle(w);
	assert_int_equal(w->failed, 0);
	world_close(w);
	assert_int_equal(store_check(&w->settings, &check), 0);
	world_open(w);
	assert_int_equal(mailbox_inbox(w->account)->messages, messages);
	world_free(w);
}

static void a_full_disk_is_waited_for(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	atomic_store(&is_full, true);
	atomic_store(&short_writes, INT_MAX);
	(void)deliver_numbered(mailbox_inbox(w.account), 2);
	assert_int_equal(store_wait_durable(w.store, account_seq(w.account)), 0);
	wait_for_short(30); /* more than are allowed where there seems to be room */
	assert_int_equal(w.failed, 0);
	atomic_store(&short_writes, 0);
	atomic_store(&is_full, false);
	assert_holds(&w, 2);
}

static void nor_does_one_that_was_full_for_a_moment_end_it(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	atomic_store(&short_writes, 3);
	(void)deliver_numbered(mailbox_inbox(w.account), 2);
	wait_for_short(3);
	assert_holds(&w, 2);
}

static void a_disk_that_cannot_be_written_ends_it(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	atomic_store(&short_writes, INT_MAX);
	(void)deliver_numbered(mailbox_inbox(w.account), 2);
	/* A number that is durable already is none to wait for. */
	assert_int_equal(store_wait_durable(w.store, account_seq(w.account)), 0);
	assert_int_equal(store_wait_applied(w.store, store_durable_seq(w.store)), -EIO);
	assert_int_equal(w.failed, -EIO);
	atomic_store(&short_writes, 0);
	world_close(&w);
	w.failed = 0;
	world_open(&w);
	assert_int_equal(mailbox_inbox(w.account)->messages, 2);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_is_waited_for),
		cmocka_unit_test(nor_does_one_that_was_full_for_a_moment_end_it),
		cmocka_unit_test(a_disk_that_cannot_be_written_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
