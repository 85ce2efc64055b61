#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3/protocol.h"
#include "transcript.h"

static const char *const messages[] = {
	"Subject: one\r\n\r\nHello\r\n.\r\nBye\r\n",
	"Subject: two\r\n\r\nno end",
	"",
};

struct player {
	struct pop3_settings settings;
	struct pop3_backend backend;
	struct pop3_maildrop drop;
	struct pop3_protocol protocol;
	struct buffer in, out, expunged;
	const char *reading;
	unsigned opened, closings;
	int find_error, open_error, read_error, expunge_error;
	uint64_t read_error_at;
	size_t room; /* for what a step answers */
	bool closed;
};

static int fake_find(void *context, uint32_t number, struct pop3_message *ret_message)
{
	struct player *player = context;

	if (player->find_error)
		return player->find_error;
	*ret_message = (struct pop3_message){9 + number, number - 1, strlen(messages[number - 1])};
	return 0;
}

static int fake_open(void *context, uint64_t email)
{
	struct player *player = context;

	assert_null(player->reading);
	if (player->open_error)
		return player->open_error;
	player->reading = messages[email];
	player->opened++;
	return 0;
}

static int fake_append(void *context, uint64_t at, uint64_t bytes, struct buffer *out)
{
	struct player *player = context;

	assert_non_null(player->reading);
	assert_true(at + bytes <= strlen(player->reading));
	if (player->read_error && at + bytes > player->read_error_at) {
		buffer_put(out, SLICE("some"));
		return player->read_error;
	}
	buffer_put(out, slice_first(slice_from(slice_of(player->reading), at), bytes));
	return 0;
}

static void fake_close(void *context)
{
	struct player *player = context;

	assert_non_null(player->reading);
	player->reading = NULL;
	player->closings++;
}

static int fake_expunge(void *context, struct uid_set uids)
{
	struct player *player = context;

	if (player->expunge_error)
		return player->expunge_error;
	for (size_t i = 0; i < uids.count; i++)
		buffer_printf(&player->expunged, "%u:%u ", uids.ranges[i].first, uids.ranges[i].last);
	return 0;
}

/* What a step answered is taken at once. */
static void player_send(void *context, struct slice bytes)
{
	struct player *player = context;
	struct buffer some = BUFFER_INIT(player->room);
	struct slice rest;
	enum pop3_step step;

	buffer_put(&player->in, bytes);
	rest = buffer_slice(&player->in);
	do {
		step = pop3_protocol_step(&player->protocol, &rest, &some);
		buffer_put(&player->out, buffer_slice(&some));
		buffer_reset(&some);
	} while (step == POP3_STEP_MORE);
	player->closed = step == POP3_STEP_CLOSED;
	buffer_consume(&player->in, player->in.len - rest.len);
	buffer_free(&some);
}

static bool player_receive(void *context, struct buffer *ret_line)
{
	struct player *player = context;
	size_t end = slice_find(buffer_slice(&player->out), SLICE("\r\n"));

	if (end == SIZE_MAX)
		return false;
	buffer_put(ret_line, slice_first(buffer_slice(&player->out), end));
	buffer_consume(&player->out, end + 2);
	return true;
}

static void play(struct player *player, const char *text)
{
	struct transcript io = {player_send, player_receive, player};

	transcript_play(&io, text);
	if (player->out.len)
		fail_msg("unexpected: '%.*s'", SLICE_ARG(buffer_slice(&player->out)));
}

static int setup(void **state)
{
	struct player *player = calloc(1, sizeof(*player));
	uint64_t bytes = 0;

	assert_non_null(player);
	player->settings = (struct pop3_settings){100, 4, SLICE("SCRAM-SHA-256 PLAIN"), 0, -1};
	player->backend = (struct pop3_backend){fake_open, fake_append, fake_close, fake_expunge, player};
	player->in = player->out = player->expunged = BUFFER_INIT(1 << 20);
	player->room = 1 << 20;
	for (uint32_t i = 0; i < ARRAY_LEN(messages); i++)
		bytes += strlen(messages[i]);
	maildrop_init(&player->drop, ARRAY_LEN(messages), bytes, fake_find, player);
	pop3_protocol_init(&player->protocol, &player->settings, &player->backend, &player->drop);
	*state = player;
	return 0;
}

static int teardown(void **state)
{
	struct player *player = *state;

	pop3_protocol_free(&player->protocol);
	assert_int_equal(player->opened, player->closings);
	maildrop_free(&player->drop);
	buffer_free(&player->in);
	buffer_free(&player->out);
	buffer_free(&player->expunged);
	free(player);
	return 0;
}

static void test_listing(void **state)
{
	play(*state, "C: STAT\n"
		     "S: +OK 3 53\n"
		     "C: LIST\n"
		     "S: +OK 3 messages (53 octets)\n"
		     "S: 1 31\n"
		     "S: 2 22\n"
		     "S: 3 0\n"
		     "S: .\n"
		     "C: LIST 2\n"
		     "S: +OK 2 22\n"
		     "C: UIDL\n"
		     "S: +OK *\n"
		     "S: 1 0000000000000000.a\n"
		     "S: 2 0000000000000001.b\n"
		     "S: 3 0000000000000002.c\n"
		     "S: .\n"
		     "C: UIDL 3\n"
		     "S: +OK 3 0000000000000002.c\n"
		     "C: LIST 4\n"
		     "S: -ERR No such message\n"
		     "C: UIDL 0\n"
		     "S: -ERR No such message\n");
}

static const char retrieving[] = "C: RETR 1\n"
				 "S: +OK 31 octets\n"
				 "S: Subject: one\n"
				 "S: \n"
				 "S: Hello\n"
				 "S: ..\n"
				 "S: Bye\n"
				 "S: .\n"
				 "C: RETR 2\n"
				 "S: +OK 22 octets\n"
				 "S: Subject: two\n"
				 "S: \n"
				 "S: no end\n"
				 "S: .\n"
				 "C: RETR 3\n"
				 "S: +OK 0 octets\n"
				 "S: .\n"
				 "C: TOP 1 2\n"
				 "S: +OK *\n"
				 "S: Subject: one\n"
				 "S: \n"
				 "S: Hello\n"
				 "S: ..\n"
				 "S: .\n"
				 "C: TOP 1 0\n"
				 "S: +OK *\n"
				 "S: Subject: one\n"
				 "S: \n"
				 "S: .\n"
				 "C: TOP 1 9\n"
				 "S: +OK *\n"
				 "S: Subject: one\n"
				 "S: \n"
				 "S: Hello\n"
				 "S: ..\n"
				 "S: Bye\n"
				 "S: .\n"
				 "C: RETR 9\n"
				 "S: -ERR No such message\n";

static void test_retrieving(void **state)
{
	play(*state, retrieving);
	assert_int_equal(((struct player *)*state)->protocol.retrieved, 3);
}

/* Whatever room there is for a piece of an answer, all of it comes. */
static void test_retrieving_in_pieces(void **state)
{
	struct player *player = *state;

	for (player->room = 40; player->room < 120; player->room++)
		play(player, retrieving);
}

static void test_deleting_is_for_quit(void **state)
{
	struct player *player = *state;

	play(player, "C: DELE 1\n"
		     "S: +OK *\n"
		     "C: DELE 1\n"
		     "S: -ERR Message 1 is marked as deleted\n"
		     "C: RETR 1\n"
		     "S: -ERR Message 1 is marked as deleted\n"
		     "C: STAT\n"
		     "S: +OK 2 22\n"
		     "C: LIST\n"
		     "S: +OK 2 messages (22 octets)\n"
		     "S: 2 22\n"
		     "S: 3 0\n"
		     "S: .\n"
		     "C: RSET\n"
		     "S: +OK 3 messages (53 octets)\n"
		     "C: DELE 1\n"
		     "S: +OK *\n"
		     "C: DELE 2\n"
		     "S: +OK *\n");
	assert_int_equal(player->expunged.len, 0);
	play(player, "C: QUIT\n"
		     "S: +OK 2 messages deleted\n");
	assert_string_equal(buffer_text(&player->expunged), "10:11 ");
	assert_true(player->closed);
	assert_true(player->protocol.updated);
}

static void test_quit_without_deletions_changes_nothing(void **state)
{
	struct player *player = *state;

	player->expunge_error = -EIO;
	play(player, "C: DELE 1\n"
		     "S: +OK *\n"
		     "C: RSET\n"
		     "S: +OK *\n"
		     "C: QUIT\n"
		     "S: +OK Bye\n");
	assert_true(player->protocol.updated);
}

static void test_a_failed_update_says_so(void **state)
{
	struct player *player = *state;

	player->expunge_error = -ENOSPC;
	play(player, "C: DELE 1\n"
		     "S: +OK *\n"
		     "C: QUIT\n"
		     "S: -ERR [SYS/TEMP] *\n");
	assert_true(player->closed);
	assert_int_equal(player->protocol.deleted, 0);
	assert_false(player->protocol.updated);
}

static void test_messages_that_cannot_be_read(void **state)
{
	struct player *player = *state;

	player->open_error = -ENOENT;
	play(player, "C: RETR 1\n"
		     "S: -ERR Message 1 has been removed by another device\n");
	player->open_error = -EIO;
	play(player, "C: TOP 1 5\n"
		     "S: -ERR [SYS/TEMP] *\n");
	player->open_error = 0;
	player->read_error = -EBADMSG;
	play(player, "C: RETR 1\n"
		     "S: -ERR [SYS/TEMP] *\n"
		     "C: NOOP\n"
		     "S: +OK *\n");
	/* In the middle there is no way to say so: the answer has no end. */
	player->read_error_at = 14;
	player->room = 44;
	play(player, "C: RETR 1\n"
		     "S: +OK 31 octets\n"
		     "S: Subject: one\n");
	assert_true(player->closed);
}

static void test_messages_that_cannot_be_looked_up(void **state)
{
	struct player *player = *state;

	/* The totals are known all the same. */
	player->find_error = -EIO;
	play(player, "C: STAT\n"
		     "S: +OK 3 53\n"
		     "C: LIST 1\n"
		     "S: -ERR [SYS/TEMP] *\n"
		     "C: UIDL 1\n"
		     "S: -ERR [SYS/TEMP] *\n"
		     "C: RETR 1\n"
		     "S: -ERR [SYS/TEMP] *\n"
		     "C: DELE 1\n"
		     "S: -ERR [SYS/TEMP] *\n"
		     "C: STAT\n"
		     "S: +OK 3 53\n");
	player->find_error = 0;
	play(player, "C: DELE 1\n"
		     "S: +OK *\n");
	player->find_error = -EIO;
	play(player, "C: LIST\n"
		     "S: +OK 2 *\n");
	assert_true(player->closed);
	assert_int_equal(player->protocol.deleted, 0);
}

static void test_an_update_without_its_uids_says_so(void **state)
{
	struct player *player = *state;

	play(player, "C: DELE 1\n"
		     "S: +OK *\n");
	player->find_error = -EIO;
	play(player, "C: QUIT\n"
		     "S: -ERR [SYS/TEMP] *\n");
	assert_true(player->closed);
	assert_int_equal(player->expunged.len, 0);
	assert_false(player->protocol.updated);
}

static void test_capabilities(void **state)
{
	struct player *player = *state;

	play(player, "C: CAPA\n"
		     "S: +OK *\n"
		     "S: TOP\n"
		     "S: USER\n"
		     "S: UIDL\n"
		     "S: RESP-CODES\n"
		     "S: AUTH-RESP-CODE\n"
		     "S: PIPELINING\n"
		     "S: SASL SCRAM-SHA-256 PLAIN\n"
		     "S: EXPIRE NEVER\n"
		     "S: UTF8 USER\n"
		     "S: LANG\n"
		     "S: IMPLEMENTATION Penfold\n"
		     "S: .\n");
	player->settings.login_delay_s = 60;
	player->settings.expire_days = 30;
	player->settings.mechanisms = (struct slice){NULL, 0};
	play(player, "C: CAPA\n"
		     "S: +OK *\n"
		     "S: TOP\n"
		     "S: USER\n"
		     "S: UIDL\n"
		     "S: RESP-CODES\n"
		     "S: AUTH-RESP-CODE\n"
		     "S: PIPELINING\n"
		     "S: LOGIN-DELAY 60\n"
		     "S: EXPIRE 30\n"
		     "S: UTF8 USER\n"
		     "S: LANG\n"
		     "S: IMPLEMENTATION Penfold\n"
		     "S: .\n");
}

static void test_language(void **state)
{
	play(*state, "C: LANG\n"
		     "S: +OK *\n"
		     "S: en English\n"
		     "S: .\n"
		     "C: LANG *\n"
		     "S: +OK en *\n"
		     "C: LANG EN\n"
		     "S: +OK en *\n"
		     "C: LANG tlh\n"
		     "S: -ERR *\n");
}

static void test_logging_in_is_over(void **state)
{
	play(*state, "C: USER ann\n"
		     "S: -ERR Already logged in\n"
		     "C: AUTH PLAIN xyz\n"
		     "S: -ERR Already logged in\n"
		     "C: STLS\n"
		     "S: -ERR Already logged in\n"
		     "C: UTF8\n"
		     "S: -ERR Already logged in\n");
	assert_int_equal(((struct player *)*state)->protocol.bad, 0);
}

static void test_pipelining(void **state)
{
	play(*state, "C| STAT\\r\\nRETR 3\\r\\nDELE 3\\r\\nLIST\\r\\nQU\n"
		     "S: +OK 3 53\n"
		     "S: +OK 0 octets\n"
		     "S: .\n"
		     "S: +OK *\n"
		     "S: +OK 2 messages *\n"
		     "S: 1 31\n"
		     "S: 2 22\n"
		     "S: .\n"
		     "C: IT\n"
		     "S: +OK 1 message deleted\n");
}

static void test_bad_commands_are_limited(void **state)
{
	struct player *player = *state;
	struct buffer line = BUFFER_INIT(1000);

	play(player, "C: DELE 1\n"
		     "S: +OK *\n"
		     "C: XYZZY\n"
		     "S: -ERR Unknown command\n"
		     "C: RETR\n"
		     "S: -ERR Wrong arguments\n");
	for (int i = 0; i < 500; i++)
		buffer_put_byte(&line, 'x');
	player_send(player, buffer_slice(&line));
	play(player, "S: -ERR Line too long\n"
		     "C: \n"
		     "C: \n"
		     "S: -ERR Unknown command\n"
		     "S: -ERR Too many errors\n");
	assert_true(player->closed);
	assert_int_equal(player->expunged.len, 0);
	buffer_free(&line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_listing),
		TEST(test_retrieving),
		TEST(test_retrieving_in_pieces),
		TEST(test_deleting_is_for_quit),
		TEST(test_quit_without_deletions_changes_nothing),
		TEST(test_a_failed_update_says_so),
		TEST(test_messages_that_cannot_be_read),
		TEST(test_messages_that_cannot_be_looked_up),
		TEST(test_an_update_without_its_uids_says_so),
		TEST(test_capabilities),
		TEST(test_language),
		TEST(test_logging_in_is_over),
		TEST(test_pipelining),
		TEST(test_bad_commands_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
