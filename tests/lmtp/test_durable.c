/* A 250 leaves when the message is durable in every account it stands for, not before: with the disk's syncs held, none comes (RFC 2033 §5). */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../held_sync.h"
#include "core_rig.h"

enum { ACCOUNTS = 3, POLL_US = 200, POLLS = 50000 };

struct delivery {
	const char *name;
	const char *envelope, *message; /* what the client says; the answers to the message come when it is durable */
	const char *answers;
	unsigned arrives[ACCOUNTS]; /* how many messages each account gets */
};

#define TO(who) "C: RCPT TO:<" who "@example.org>\nS: 250 2.1.5 *\n"
static const struct delivery deliveries[] = {
	{"DATA for one", TO("ann"), "C: DATA\nS: 354 *\nC: Subject: x\nC: .\n", "S: 250 2.1.5 *\n", {1}},
	{"DATA for several, on two shards", TO("ann") TO("bob") TO("cid"), "C: DATA\nS: 354 *\nC: Subject: x\nC: .\n",
		"S: 250 2.1.5 *\nS: 250 2.1.5 *\nS: 250 2.1.5 *\n", {1, 1, 1}},
	{"DATA for the other shard only", TO("cid"), "C: DATA\nS: 354 *\nC: Subject: x\nC: .\n", "S: 250 2.1.5 *\n",
		{0, 0, 1}},
	{"DATA for one who has room and one who has not", TO("ann") TO("full"),
		"C: DATA\nS: 354 *\nC: Subject: x\nC: .\n", "S: 250 2.1.5 *\nS: 552 5.2.2 *\n", {1}},
	{"BDAT", TO("ann") TO("bob"), "C| BDAT 14 LAST\\r\\nSubject: x\\r\\n\\r\\n\n",
		"S: 250 2.1.5 *\nS: 250 2.1.5 *\n", {1, 1}},
	{"BDAT in pieces", TO("bob"), "C| BDAT 12\\r\\nSubject: x\\r\\n\nS: 250 2.0.0 *\nC| BDAT 2 LAST\\r\\n\\r\\n\n",
		"S: 250 2.1.5 *\n", {0, 1}},
	{"DATA with QUIT behind it", TO("ann"), "C: DATA\nS: 354 *\nC: Subject: x\nC: .\nC: QUIT\n",
		"S: 250 2.1.5 *\nS: 221 *\nS. closed\n", {1}},
	{"DATA with the next message behind it", TO("ann"),
		"C: DATA\nS: 354 *\nC: Subject: x\nC: .\n"
		"C| MAIL FROM:<>\\r\\nRCPT TO:<bob@example.org>\\r\\nDATA\\r\\n\n",
		"S: 250 2.1.5 *\nS: 250 2.1.0 *\nS: 250 2.1.5 *\nS: 354 *\n", {1}},
};

struct test {
	struct held_sync sync;
	struct core_rig rig;
	uint64_t accounts[ACCOUNTS];
	struct transcript_socket client;
	const struct delivery *delivery;
};

/* Ann and Bob on the session's own shard, Cid on the other. */
static void make_accounts(struct test *t)
{
	static const char *const names[ACCOUNTS] = {"ann@example.org", "bob@example.org", "cid@example.org"};
	unsigned made = 0, others = 0;

	(void)core_rig_account(&t->rig, "full@example.org", 1);
	while (made < ACCOUNTS) {
		unsigned wanted = made == ACCOUNTS - 1;
		uint64_t id = core_rig_account(&t->rig, names[made], 0);

		if (store_shard_of(t->rig.store, id) == wanted) {
			t->accounts[made++] = id;
			continue;
		}
		/* Another of this name gets another number. */
		assert_true(others++ < 100);
		assert_int_equal(
			directory_account_delete(t->rig.store, slice_of(names[made]), &(struct actor){STORE_BY_ADMIN}),
			0);
	}
}

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->delivery = *state;
	t->client.fd = -1;
	held_sync_init(&t->sync);
	core_rig_start_on(&t->rig, &t->sync.files);
	make_accounts(t);
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

static bool has_arrived(struct test *t)
{
	for (unsigned i = 0; i < ACCOUNTS; i++)
		if (core_rig_count(&t->rig, t->accounts[i], NULL) != t->delivery->arrives[i])
			return false;
	return true;
}

static struct transcript_socket *say_hello(struct test *t)
{
	t->client = core_rig_lmtp(&t->rig, 0);
	core_rig_play(&t->client,
		"S: 220 *\nC: LHLO mx.example.net\nS: 250-host.example.org\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\n"
		"S: 250-*\nS: 250 *\nC: MAIL FROM:<sender@example.net>\nS: 250 *\n");
	return &t->client;
}

static void a_message_is_answered_for_when_it_is_durable(void **state)
{
	struct test *t = *state;
	struct transcript_socket *s = say_hello(t);

	core_rig_play(s, t->delivery->envelope);
	held_sync_hold(&t->sync);
	/* As long as nothing has changed, answers come. */
	core_rig_play(s, "C: NOOP\nS: 250 *\n");
	core_rig_play(s, t->delivery->message);
	for (int polls = 0; polls < POLLS && !has_arrived(t); polls++)
		(void)usleep(POLL_US);
	assert_true(has_arrived(t));
	core_rig_settle(&t->rig);
	assert_true(transcript_is_quiet(s));
	held_sync_release(&t->sync);
	core_rig_play(s, t->delivery->answers);
}

/* ---- Recipients whose records are durable one after the other ---- */

struct standstill {
	struct net_task task;
	sem_t over;
};

static void stand_still(struct net_task *task)
{
	struct standstill *s = CONTAINER_OF(task, struct standstill, task);

	while (sem_wait(&s->over) < 0)
		;
}

struct seeing {
	struct test *test;
	bool durable;
};

static void see_first(void *context)
{
	struct seeing *s = context;
	struct account *account;

	assert_int_equal(account_open(store_shard(s->test->rig.store, 0), s->test->accounts[0], &account), 0);
	s->durable = mailbox_inbox(account)->messages == 1 && account_seq(account) == 0;
	account_release(&account);
}

static void wait_until_first_is_durable(struct test *t)
{
	struct seeing s = {t, false};

	for (int polls = 0; polls < POLLS && !s.durable; polls++) {
		core_rig_call(&t->rig, 0, see_first, &s);
		(void)usleep(POLL_US);
	}
	assert_true(s.durable);
}

/* All answers wait for the last account, also where those before it are durable long since. */
static void the_last_account_counts(void **state)
{
	static const struct delivery delivery = {.arrives = {1, 0, 1}};
	struct standstill other = {.task.run = stand_still};
	struct test *t = *state;
	struct transcript_socket *s = say_hello(t);

	t->delivery = &delivery;
	core_rig_play(s, TO("ann") TO("cid") "C: DATA\nS: 354 *\n");
	(void)sem_init(&other.over, 0, 0);
	net_loop_post(t->rig.loops[1], &other.task);
	core_rig_play(s, "C: Subject: x\nC: .\n");
	wait_until_first_is_durable(t);
	held_sync_hold(&t->sync);
	(void)sem_post(&other.over);
	for (int polls = 0; polls < POLLS && !has_arrived(t); polls++)
		(void)usleep(POLL_US);
	core_rig_settle(&t->rig);
	(void)sem_destroy(&other.over);
	assert_true(has_arrived(t));
	assert_true(transcript_is_quiet(s));
	held_sync_release(&t->sync);
	core_rig_play(s, "S: 250 2.1.5 *\nS: 250 2.1.5 *\n");
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(deliveries) + 1];

	for (size_t i = 0; i < ARRAY_LEN(deliveries); i++) {
		union {
			const struct delivery *read;
			void *given;
		} delivery = {&deliveries[i]};

		tests[i] = (struct CMUnitTest){deliveries[i].name, a_message_is_answered_for_when_it_is_durable, setup,
			teardown, delivery.given};
	}
	tests[ARRAY_LEN(deliveries)] =
		(struct CMUnitTest)cmocka_unit_test_setup_teardown(the_last_account_counts, setup, teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
