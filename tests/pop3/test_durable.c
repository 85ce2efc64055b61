/*
 * No answer tells of a change before it is durable: with the disk's syncs held, QUIT is not answered where it deletes (RFC 1939 §6), and
 * nothing is told of what others have just changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../held_sync.h"
#include "core_rig.h"

enum { POLL_US = 200, POLLS = 50000 };

struct test {
	struct held_sync sync;
	struct core_rig rig;
	uint64_t ann;
	struct transcript_socket client;
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->client.fd = -1;
	held_sync_init(&t->sync);
	core_rig_start_on(&t->rig, &t->sync.files);
	t->ann = core_rig_account(&t->rig, "ann@example.org", 0);
	for (int i = 0; i < 3; i++)
		core_rig_deliver(&t->rig, "ann@example.org", SLICE("Subject: x\r\n\r\none of three\r\n"));
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	held_sync_release(&t->sync); /* a test that failed did not */
	if (t->client.fd >= 0)
		core_rig_hang_up(&t->client);
	core_rig_stop(&t->rig);
	free(t);
	return 0;
}

static void wait_for_count(struct test *t, uint32_t count)
{
	for (int polls = 0; polls < POLLS && core_rig_count(&t->rig, t->ann, NULL) != count; polls++)
		(void)usleep(POLL_US);
	assert_int_equal(core_rig_count(&t->rig, t->ann, NULL), count);
	core_rig_settle(&t->rig);
}

static void log_in(struct test *t, const char *pipelined)
{
	t->client = core_rig_pop3(&t->rig, t->ann, "phone", pipelined);
}

/* Deletes by `commands`, which end the session; `answers` must come when that is durable. */
static void delete_and_quit(struct test *t, const char *commands, uint32_t left, const char *answers)
{
	log_in(t, "");
	core_rig_play(&t->client, "S: +OK 3 messages *\nC: DELE 1\nS: +OK *\nC: DELE 3\nS: +OK *\n");
	held_sync_hold(&t->sync);
	/* As long as nothing has changed, answers come. */
	core_rig_play(&t->client, "C: NOOP\nS: +OK *\n");
	core_rig_play(&t->client, commands);
	wait_for_count(t, left);
	assert_true(transcript_is_quiet(&t->client));
	held_sync_release(&t->sync);
	core_rig_play(&t->client, answers);
}

static void a_deletion_is_told_when_it_is_durable(void **state)
{
	delete_and_quit(*state, "C: QUIT\n", 1, "S: +OK 2 messages deleted\nS. closed\n");
}

static void a_deletion_behind_other_commands_is_told_when_it_is_durable(void **state)
{
	delete_and_quit(*state, "C| STAT\\r\\nDELE 2\\r\\nQUIT\\r\\n\n", 0,
		"S: +OK 1 *\nS: +OK *\nS: +OK 3 messages deleted\nS. closed\n");
}

static void a_quit_that_deletes_nothing_waits_for_nothing(void **state)
{
	struct test *t = *state;

	log_in(t, "");
	core_rig_play(&t->client, "S: +OK 3 messages *\nC: DELE 1\nS: +OK *\nC: RSET\nS: +OK *\n");
	held_sync_hold(&t->sync);
	core_rig_play(&t->client, "C: QUIT\nS: +OK *\nS. closed\n");
}

/* Under a hold something has changed: who logs in now, with commands right behind, hears of it when that is durable. */
static void log_in_and_wait(struct test *t, const char *commands, const char *answers)
{
	log_in(t, commands);
	core_rig_settle(&t->rig);
	assert_true(transcript_is_quiet(&t->client));
	held_sync_release(&t->sync);
	core_rig_play(&t->client, answers);
}

static void what_has_just_arrived_is_told_when_it_is_durable(void **state)
{
	struct test *t = *state;

	held_sync_hold(&t->sync);
	core_rig_fill(&t->rig, t->ann, 1);
	log_in_and_wait(
		t, "STAT\r\nRETR 4\r\n", "S: +OK 4 messages *\nS: +OK 4 *\nS: +OK *\nS: Subject: one of many\n");
}

static void what_has_just_gone_is_told_when_it_is_durable(void **state)
{
	struct test *t = *state;

	held_sync_hold(&t->sync);
	core_rig_expunge(&t->rig, t->ann, 2);
	log_in_and_wait(t, "UIDL\r\n", "S: +OK 2 messages *\nS: +OK *\nS: 1 *\nS: 2 *\nS: .\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_deletion_is_told_when_it_is_durable),
		TEST(a_deletion_behind_other_commands_is_told_when_it_is_durable),
		TEST(a_quit_that_deletes_nothing_waits_for_nothing),
		TEST(what_has_just_arrived_is_told_when_it_is_durable),
		TEST(what_has_just_gone_is_told_when_it_is_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
