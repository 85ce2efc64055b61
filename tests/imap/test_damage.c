/*
 * Stored bytes that went bad under a running server: a message that cannot be read is NIL and the command fails; when the bad bytes come after the
 * literal was announced, the connection ends rather than anything else standing in for them.
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

enum { LARGE_BYTES = 900000, ANSWER_MAX = 4 << 20, STRIDE = 4096 };

struct test {
	struct rig rig;
	uint64_t account;
	int fd;
	struct buffer answer;
};

static int setup(void **state)
{
	static struct test t;

	t = (struct test){.answer = BUFFER_INIT(ANSWER_MAX)};
	assert_int_equal(rig_start(&t.rig), 0);
	assert_int_equal(rig_account(&t.rig, 0, &t.account), 0);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	buffer_free(&t->answer);
	rig_stop(&t->rig);
	return 0;
}

/* Flips bits of the journal's files from the place `damage_from` of each on. nftw() has no context to pass. */
static off_t damage_from;

static int damage_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	char byte;
	int fd;

	(void)where;
	if (kind != FTW_F || slice_ends(slice_of(path), SLICE(".mdb")) || info->st_size < LARGE_BYTES)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = damage_from; at < info->st_size; at += STRIDE) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x5a;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	return close(fd);
}

static void damage(struct test *t, off_t from)
{
	damage_from = from;
	assert_int_equal(nftw(t->rig.dir, damage_one, 16, FTW_PHYS), 0);
}

static void connect_client(struct test *t)
{
	assert_int_equal(rig_connect(&t->rig, t->account, SLICE(""), &t->fd), 0);
	buffer_reset(&t->answer);
}

/* Reads until the answer has `until` in it; false when the connection ends first. */
static bool exchange(struct test *t, const char *command, const char *until)
{
	assert_int_equal(send(t->fd, command, strlen(command), 0), (ssize_t)strlen(command));
	while (slice_find(buffer_slice(&t->answer), slice_of(until)) == SIZE_MAX) {
		char *room = buffer_room(&t->answer, 65536);
		ssize_t got = room ? recv(t->fd, room, 65536, 0) : -1;

		if (got <= 0)
			return false;
		buffer_added(&t->answer, (size_t)got);
	}
	return true;
}

/* A large message of digits that hardly compress. */
static void deliver_large(struct test *t)
{
	struct buffer b = BUFFER_INIT(2 * LARGE_BYTES);
	uint64_t random = 521288629;

	buffer_put_text(&b, "Subject: large\n\n");
	while (b.len < LARGE_BYTES) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		buffer_printf(&b, "%016llx%s", (unsigned long long)random, b.len % 4 ? "" : "\n");
	}
	assert_int_equal(rig_deliver(&t->rig, t->account, SLICE("INBOX"), buffer_slice(&b)), 0);
	buffer_free(&b);
}

static void a_literal_that_breaks_off_ends_the_connection(void **state)
{
	struct test *t = *state;
	size_t at;

	deliver_large(t);
	connect_client(t);
	assert_true(exchange(t, "a SELECT INBOX\r\n", "a OK"));
	damage(t, 300000);
	assert_false(exchange(t, "b FETCH 1 BODY.PEEK[]\r\n", "b OK"));
	at = slice_find(buffer_slice(&t->answer), SLICE("BODY[] {"));
	assert_true(at != SIZE_MAX);
	assert_true(t->answer.len - at < LARGE_BYTES);
	(void)close(t->fd);
}

static void what_cannot_be_read_is_nil(void **state)
{
	struct test *t = *state;

	assert_int_equal(rig_deliver(&t->rig, t->account, SLICE("INBOX"), SLICE("Subject: small\n\nfine\n")), 0);
	damage(t, 1000);
	connect_client(t);
	assert_true(exchange(t, "a SELECT INBOX\r\n", "a OK"));
	/* What is kept with the index is still there. */
	assert_true(exchange(t, "b FETCH 1 (RFC822.SIZE BODY.PEEK[HEADER.FIELDS (Subject)])\r\n", "b OK"));
	assert_true(exchange(t, "c FETCH 1 (UID BODY.PEEK[] FLAGS)\r\n", "c NO [CORRUPTION]"));
	assert_true(
		slice_find(buffer_slice(&t->answer), SLICE("* 1 FETCH (UID 1 FLAGS () BODY[] NIL)\r\n")) != SIZE_MAX);
	(void)close(t->fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_literal_that_breaks_off_ends_the_connection),
		cmocka_unit_test(what_cannot_be_read_is_nil),
	};

	return cmocka_run_group_tests_name("imap: damaged messages", tests, setup, teardown);
}
