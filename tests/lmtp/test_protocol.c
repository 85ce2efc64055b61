#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_backend.h"
#include "transcript.h"

struct player {
	struct lmtp_limits limits;
	struct lmtp_backend backend;
	struct lmtp_protocol protocol;
	struct fake fake;
	struct buffer in, out;
	bool closed;
};

static void run(struct player *player)
{
	struct slice rest = buffer_slice(&player->in);
	enum lmtp_step step;

	while ((step = lmtp_protocol_step(&player->protocol, &rest, &player->out)) == LMTP_STEP_MORE)
		;
	player->closed = step == LMTP_STEP_CLOSED;
	buffer_consume(&player->in, player->in.len - rest.len);
}

static void player_send(void *context, struct slice bytes)
{
	struct player *player = context;

	buffer_put(&player->in, bytes);
	run(player);
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

static int setup(void **state)
{
	struct player *player = calloc(1, sizeof(*player));

	assert_non_null(player);
	player->limits = lmtp_limits_default;
	player->limits.recipients_max = 5;
	player->limits.targets_max = 100;
	player->limits.bad_max = 5;
	player->limits.line_bytes_max = 600;
	player->limits.message_bytes_max = 1000;
	player->in = BUFFER_INIT(1 << 20);
	player->out = BUFFER_INIT(1 << 20);
	player->fake.message = BUFFER_INIT(1 << 16);
	player->fake.protocol = &player->protocol;
	player->backend = fake_backend(&player->fake);
	assert_int_equal(lmtp_protocol_init(&player->protocol, &player->limits, &player->backend, SLICE("host.example"),
				 SLICE("[192.0.2.1]")),
		0);
	*state = player;
	return 0;
}

static int teardown(void **state)
{
	struct player *player = *state;

	lmtp_protocol_free(&player->protocol);
	assert_int_equal(player->fake.begun, player->fake.delivered + player->fake.abandoned);
	buffer_free(&player->fake.message);
	buffer_free(&player->in);
	buffer_free(&player->out);
	free(player);
	return 0;
}

static void play(struct player *player, const char *text)
{
	struct transcript io = {player_send, player_receive, player};

	transcript_play(&io, text);
	if (player->out.len)
		fail_msg("unexpected: '%.*s'", SLICE_ARG(buffer_slice(&player->out)));
}

static void hello(struct player *player)
{
	play(player, "C: LHLO mx.example.org\n"
		     "S: 250-host.example\n"
		     "S: 250-PIPELINING\n"
		     "S: 250-8BITMIME\n"
		     "S: 250-SMTPUTF8\n"
		     "S: 250-CHUNKING\n"
		     "S: 250-ENHANCEDSTATUSCODES\n"
		     "S: 250 SIZE 1000\n");
}

static void expect_message(struct player *player, const char *text)
{
	assert_string_equal(buffer_text(&player->fake.message), text);
}

static void test_a_message_for_one(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<sender@example.net> SIZE=500 BODY=8BITMIME\n"
		     "S: 250 2.1.0 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 2.1.5 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C: Subject: hello\n"
		     "C: \n"
		     "C: ..dots\n"
		     "C: .\n"
		     "S: 250 2.1.5 Delivered\n"
		     "C: QUIT\n"
		     "S: 221 2.0.0 host.example closes\n");
	expect_message(*state, "Return-Path: <sender@example.net>\r\n"
			       "Delivered-To: ann@example.org\r\n"
			       "Received: from mx.example.org ([192.0.2.1])\r\n"
			       "\tby host.example with LMTP id 5e551.1\r\n"
			       "\tfor <ann@example.org>;\r\n"
			       "\tSun, 01 Mar 2026 10:00:00 +0000\r\n"
			       "Subject: hello\r\n"
			       "\r\n"
			       ".dots\r\n");
	assert_true(((struct player *)*state)->closed);
}

static void test_an_answer_for_each_recipient_in_order(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<>\n"
		     "S: 250 2.1.0 *\n"
		     "C: RCPT TO:<full@example.org>\n"
		     "S: 250 2.1.5 *\n"
		     "C: RCPT TO:<nobody@example.org>\n"
		     "S: 550 5.1.1 *\n"
		     "C: RCPT TO:<ann@elsewhere.example>\n"
		     "S: 550 5.1.2 *\n"
		     "C: RCPT TO:<off@example.org>\n"
		     "S: 450 4.2.1 *\n"
		     "C: RCPT TO:<broken@example.org>\n"
		     "S: 451 4.3.0 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 2.1.5 *\n"
		     "C: RCPT TO:<disk@example.org>\n"
		     "S: 250 2.1.5 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 2.1.5 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C: hello\n"
		     "C: .\n"
		     "S: 552 5.2.2 *\n"
		     "S: 250 2.1.5 *\n"
		     "S: 452 4.3.1 *\n"
		     "S: 250 2.1.5 *\n");
	/* Several recipients learn nothing of each other. */
	expect_message(*state, "Return-Path: <>\r\n"
			       "Received: from mx.example.org ([192.0.2.1])\r\n"
			       "\tby host.example with LMTP id 5e551.1;\r\n"
			       "\tSun, 01 Mar 2026 10:00:00 +0000\r\n"
			       "hello\r\n");
	assert_int_equal(((struct player *)*state)->fake.answers, 8);
}

static void test_an_alias_is_as_good_as_its_worst_target(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<both@example.org>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<half@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C: .\n"
		     "S: 250 2.1.5 *\n"
		     "S: 552 5.2.2 *\n");
}

static void test_what_may_pass_comes_before_what_lasts(void **state UNUSED)
{
	struct lmtp_envelope e;

	assert_int_equal(lmtp_envelope_init(&e, 10, 10), 0);
	assert_int_equal(lmtp_envelope_recipient(&e, SLICE("list@example.org")), 0);
	for (uint64_t account = 0; account < 4; account++)
		assert_int_equal(lmtp_envelope_target(&e, account, SLICE("")), 0);
	e.targets[1].error = -EDQUOT;
	assert_int_equal(lmtp_envelope_result(&e, 0), -EDQUOT);
	e.targets[2].error = -EIO;
	e.targets[3].error = -ENOENT;
	assert_int_equal(lmtp_envelope_result(&e, 0), -EIO);
	lmtp_envelope_free(&e);
}

static void test_commands_out_of_order(void **state)
{
	play(*state, "C: MAIL FROM:<>\n"
		     "S: 503 5.5.1 *\n"
		     "C: EHLO mx.example.org\n"
		     "S: 500 5.5.1 *\n"
		     "C: HELO mx.example.org\n"
		     "S: 500 5.5.1 *\n");
	hello(*state);
	play(*state, "C: RCPT TO:<ann@example.org>\n"
		     "S: 503 5.5.1 *\n"
		     "C: DATA\n"
		     "S: 503 5.5.1 *\n"
		     "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: MAIL FROM:<>\n"
		     "S: 503 5.5.1 *\n"
		     "C: DATA\n"
		     "S: 503 5.5.1 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: RSET\n"
		     "S: 250 2.0.0 *\n"
		     "C: DATA\n"
		     "S: 503 5.5.1 *\n"
		     "C: VRFY ann\n"
		     "S: 252 2.5.0 *\n"
		     "C: EXPN list\n"
		     "S: 502 5.5.1 *\n"
		     "C: HELP\n"
		     "S: 214 2.0.0 *\n"
		     "C: NOOP x\n"
		     "S: 250 2.0.0 *\n");
}

static void test_parameters_and_addresses_are_judged(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<a@example.net> SIZE=1001\n"
		     "S: 552 5.3.4 *\n"
		     "C: MAIL FROM:<a@example.net> FUTURERELEASE=5\n"
		     "S: 555 5.5.4 *\n"
		     "C: MAIL FROM:<a@example.net> BODY=BINARYMIME\n"
		     "S: 501 5.5.4 *\n"
		     "C: MAIL FROM:a@example.net\n"
		     "S: 501 5.1.7 *\n"
		     "C: MAIL FROM:<\xc3\xb6@example.net>\n"
		     "S: 553 5.6.7 *\n"
		     "C: MAIL FROM:<a@example.net> RET=FULL ENVID=x SIZE=1000\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<\xc3\xb6@example.org>\n"
		     "S: 553 5.6.7 *\n"
		     "C: RCPT TO:<\n"
		     "S: 501 5.1.3 *\n"
		     "C: RCPT TO:<@relay.example:\"ann\"@example.org> NOTIFY=NEVER ORCPT=rfc822;ann@example.org\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<Postmaster>\n"
		     "S: 550 5.1.1 *\n"
		     "C: RCPT TO:<postmaster>\n"
		     "S: 250 *\n");
}

static void test_smtputf8_is_named_in_received(void **state)
{
	struct player *player = *state;

	hello(player);
	play(player, "C: MAIL FROM:<j\xc3\xb6rg@example.net> SMTPUTF8\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C: .\n"
		     "S: 250 *\n");
	assert_int_equal(
		slice_find(buffer_slice(&player->fake.message), SLICE("Return-Path: <j\xc3\xb6rg@example.net>\r\n")),
		0);
	assert_true(slice_find(buffer_slice(&player->fake.message), SLICE(" with UTF8LMTP id ")) != SIZE_MAX);
}

static void test_too_many_recipients(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<>\n"
		     "S: 250 *\n");
	for (int i = 0; i < 5; i++)
		play(*state, "C: RCPT TO:<ann@example.org>\n"
			     "S: 250 *\n");
	play(*state, "C: RCPT TO:<bob@example.org>\n"
		     "S: 452 4.5.3 *\n"
		     "C: RSET\n"
		     "S: 250 *\n"
		     "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<many@example.org>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<many@example.org>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<many@example.org>\n"
		     "S: 452 4.5.3 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n");
	assert_int_equal(((struct player *)*state)->protocol.envelope.target_count, 81);
}

static void test_pipelining(void **state)
{
	hello(*state);
	play(*state, "C| MAIL FROM:<>\\r\\nRCPT TO:<ann@example.org>\\r\\nRCPT "
		     "TO:<nobody@example.org>\\r\\nDATA\\r\\nhi\\r\\n.\\r\\nMAIL "
		     "FROM:<>\\r\\nRC\n"
		     "S: 250 2.1.0 *\n"
		     "S: 250 2.1.5 *\n"
		     "S: 550 5.1.1 *\n"
		     "S: 354 *\n"
		     "S: 250 2.1.5 *\n"
		     "S: 250 2.1.0 *\n"
		     "C| PT TO:<bob@example.org>\\r\\nDATA\\r\\n\n"
		     "S: 250 2.1.5 *\n"
		     "S: 354 *\n");
}

static void test_commands_in_a_message_are_text(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C| hi\n"
		     "C: \n"
		     "C: RSET\n"
		     "C: MAIL FROM:<>\n"
		     "S. nothing\n"
		     "C: .\n"
		     "S: 250 2.1.5 *\n");
}

static void test_a_message_that_cannot_be_taken(void **state)
{
	struct player *player = *state;

	hello(player);
	player->fake.begin_error = -ENOSPC;
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 452 4.3.1 *\n");
	player->fake.begin_error = 0;
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<bob@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C: one\n");
	player->fake.write_error = -EMSGSIZE;
	play(player, "C: two\n"
		     "C: three\n"
		     "C: .\n"
		     "S: 552 5.3.4 *\n"
		     "S: 552 5.3.4 *\n");
	assert_int_equal(player->fake.delivered, 0);
	assert_int_equal(player->fake.abandoned, 1);
}

static void test_a_loop_is_cut(void **state)
{
	struct player *player = *state;

	player->limits.hops_max = 3;
	hello(player);
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C: Received: 1\n"
		     "C: Received: 2\n"
		     "C: received: 3\n"
		     "C: Received: 4\n"
		     "C: .\n"
		     "S: 554 5.4.6 *\n");
}

static void test_chunks(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<a@example.net> BODY=8BITMIME\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<full@example.org>\n"
		     "S: 250 *\n"
		     "C| BDAT 10\\r\\nA: b\\r\\n.\\r\\nx\n"
		     "S: 250 2.0.0 *\n"
		     "C: RCPT TO:<bob@example.org>\n"
		     "S: 503 5.5.1 *\n"
		     "C: DATA\n"
		     "S: 503 5.5.1 *\n"
		     "C| BDAT 3\\r\\nyz\n"
		     "S. nothing\n"
		     "C| !\n"
		     "S: 250 2.0.0 *\n"
		     "C: BDAT 0 LAST\n"
		     "S: 250 2.1.5 *\n"
		     "S: 552 5.2.2 *\n"
		     "C| BDAT 4 LAST\\r\\nQUIT\n"
		     "S: 503 5.5.1 *\n"
		     "C: NOOP\n"
		     "S: 250 *\n");
	assert_true(slice_ends(
		buffer_slice(&((struct player *)*state)->fake.message), SLICE(" +0000\r\nA: b\r\n.\r\nxyz!")));
}

static void test_refused_chunks_are_swallowed(void **state)
{
	struct player *player = *state;

	hello(player);
	/* No successful RCPT: one answer for each chunk, none for the last (RFC 2033 §4.3). */
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<nobody@example.org>\n"
		     "S: 550 *\n"
		     "C| BDAT 6\\r\\nQUIT\\r\\nBDAT 6 LAST\\r\\nQUIT\\r\\nNOOP\\r\\n\n"
		     "S: 503 5.5.1 *\n"
		     "S: 250 2.0.0 Here\n");
	/* A chunk fails: so do those behind it, and each recipient of the last. */
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<bob@example.org>\n"
		     "S: 250 *\n");
	player->fake.begin_error = -ENOSPC;
	play(player, "C| BDAT 2\\r\\nab\n"
		     "S: 452 4.3.1 *\n");
	player->fake.begin_error = 0;
	play(player, "C| BDAT 2\\r\\nabBDAT 2 LAST\\r\\nef\n"
		     "S: 452 4.3.1 *\n"
		     "S: 452 4.3.1 *\n"
		     "S: 452 4.3.1 *\n"
		     "C: NOOP\n"
		     "S: 250 *\n");
	assert_int_equal(player->fake.begun, 0);
}

static void test_a_chunk_of_unknown_size_ends_the_session(void **state)
{
	hello(*state);
	play(*state, "C| BDAT many\\r\\nNOOP\\r\\n\n"
		     "S: 501 5.5.4 *\n");
	assert_true(((struct player *)*state)->closed);
}

static void test_reset_between_chunks(void **state)
{
	hello(*state);
	play(*state, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C| BDAT 1\\r\\nx\n"
		     "S: 250 *\n"
		     "C: RSET\n"
		     "S: 250 *\n"
		     "C: MAIL FROM:<>\n"
		     "S: 250 *\n");
	assert_int_equal(((struct player *)*state)->fake.abandoned, 1);
}

static void test_strangers_are_shown_the_door(void **state)
{
	play(*state, "C: GET / HTTP/1.1\n"
		     "S: 500 5.5.1 *\n"
		     "C: Host: localhost\n"
		     "S: 500 5.5.1 *\n"
		     "C: \n"
		     "S: 500 5.5.1 *\n"
		     "C: LHLO\n"
		     "S: 501 5.5.4 *\n"
		     "C: x\n"
		     "S: 500 5.5.1 *\n"
		     "S: 421 4.7.0 *\n");
	assert_true(((struct player *)*state)->closed);
}

static void test_a_line_that_is_too_long(void **state)
{
	struct player *player = *state;
	struct buffer line = BUFFER_INIT(10000);

	for (int i = 0; i < 3000; i++)
		buffer_put_byte(&line, 'x');
	player_send(player, buffer_slice(&line));
	play(player, "S: 500 5.5.2 *\n"
		     "C: \n"
		     "C: NOOP\n"
		     "S: 250 *\n");
	buffer_free(&line);
}

static void test_nothing_happens_while_delivering(void **state)
{
	struct player *player = *state;

	hello(player);
	player->fake.slow = true;
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C: DATA\n"
		     "S: 354 *\n"
		     "C| .\\r\\nQUIT\\r\\n\n"
		     "S. nothing\n");
	assert_false(lmtp_protocol_is_between(&player->protocol));
	assert_int_equal(player->protocol.phase, LMTP_DELIVERING);
	fake_deliver_now(&player->fake);
	run(player);
	play(player, "S: 250 2.1.5 *\n"
		     "S: 221 2.0.0 *\n");
}

static void test_stopping_waits_for_what_is_in_flight(void **state)
{
	struct player *player = *state;

	hello(player);
	assert_true(lmtp_protocol_is_between(&player->protocol));
	play(player, "C: MAIL FROM:<>\n"
		     "S: 250 *\n"
		     "C: RCPT TO:<ann@example.org>\n"
		     "S: 250 *\n"
		     "C| BDAT 1\\r\\nx\n"
		     "S: 250 *\n");
	assert_false(lmtp_protocol_is_between(&player->protocol));
	play(player, "C: BDAT 0 LAST\n"
		     "S: 250 *\n");
	assert_true(lmtp_protocol_is_between(&player->protocol));
	lmtp_protocol_stop(&player->protocol, &player->out);
	play(player, "S: 421 4.3.2 *\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_message_for_one),
		TEST(test_an_answer_for_each_recipient_in_order),
		TEST(test_an_alias_is_as_good_as_its_worst_target),
		TEST(test_what_may_pass_comes_before_what_lasts),
		TEST(test_commands_out_of_order),
		TEST(test_parameters_and_addresses_are_judged),
		TEST(test_smtputf8_is_named_in_received),
		TEST(test_too_many_recipients),
		TEST(test_pipelining),
		TEST(test_commands_in_a_message_are_text),
		TEST(test_a_message_that_cannot_be_taken),
		TEST(test_a_loop_is_cut),
		TEST(test_chunks),
		TEST(test_refused_chunks_are_swallowed),
		TEST(test_a_chunk_of_unknown_size_ends_the_session),
		TEST(test_reset_between_chunks),
		TEST(test_strangers_are_shown_the_door),
		TEST(test_a_line_that_is_too_long),
		TEST(test_nothing_happens_while_delivering),
		TEST(test_stopping_waits_for_what_is_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
