#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "core_rig.h"

struct here {
	struct core_rig rig;
	uint64_t ann;
};

static int setup(void **state)
{
	struct here *here = calloc(1, sizeof(*here));

	assert_non_null(here);
	core_rig_start(&here->rig);
	here->ann = core_rig_account(&here->rig, "ann@example.org", 0);
	*state = here;
	return 0;
}

static int teardown(void **state)
{
	struct here *here = *state;

	core_rig_stop(&here->rig);
	free(here);
	return 0;
}

static void deliver(struct here *here, const char *message)
{
	core_rig_deliver(&here->rig, "ann@example.org", slice_of(message));
}

static struct transcript_socket login(struct here *here)
{
	return core_rig_pop3(&here->rig, here->ann, "phone", "");
}

/* Says it and hangs up, as soon as the server has closed. */
static void play_all(struct here *here, const char *text)
{
	struct transcript_socket s = login(here);

	core_rig_play(&s, text);
	core_rig_hang_up(&s);
	core_rig_wait_sessions(&here->rig);
}

static void read_line(struct transcript_socket *s, struct buffer *line)
{
	struct transcript io = transcript_over(s);

	buffer_reset(line);
	assert_true(io.receive(io.context, line));
}

/* A multi-line answer without its first line, dots unstuffed. */
static void read_answer(struct transcript_socket *s, struct buffer *out)
{
	struct buffer line = BUFFER_INIT(1 << 20);

	for (read_line(s, &line); !slice_equal(buffer_slice(&line), SLICE(".")); read_line(s, &line)) {
		buffer_put(out, slice_from(buffer_slice(&line), slice_starts(buffer_slice(&line), SLICE("."))));
		buffer_put(out, SLICE("\r\n"));
	}
	buffer_free(&line);
}

static void test_mail_comes_and_goes(void **state)
{
	struct here *here = *state;

	deliver(here, "Subject: one\r\n\r\n.dot\r\n..\r\n");
	deliver(here, "Subject: two\r\n\r\nHello\r\nworld\r\n");
	play_all(here, "S: +OK 2 messages (* octets)\n"
		       "C: CAPA\n"
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
		       "S: .\n"
		       "C: RETR 1\n"
		       "S: +OK * octets\n"
		       "S: Return-Path: <sender@example.net>\n"
		       "S: Delivered-To: ann@example.org\n"
		       "S: Received: *\n"
		       "S: *\n"
		       "S: *\n"
		       "S: *\n"
		       "S: Subject: one\n"
		       "S: \n"
		       "S: ..dot\n"
		       "S: ...\n"
		       "S: .\n"
		       "C: TOP 2 1\n"
		       "S: +OK *\n"
		       "S: Return-Path: <sender@example.net>\n"
		       "S: Delivered-To: ann@example.org\n"
		       "S: Received: *\n"
		       "S: *\n"
		       "S: *\n"
		       "S: *\n"
		       "S: Subject: two\n"
		       "S: \n"
		       "S: Hello\n"
		       "S: .\n"
		       "C: DELE 1\n"
		       "S: +OK *\n"
		       "C: QUIT\n"
		       "S: +OK 1 message deleted\n"
		       "S. closed\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	play_all(here, "S: +OK 1 message (*\n"
		       "C: QUIT\n"
		       "S: +OK Bye\n"
		       "S. closed\n");
}

static void test_an_empty_maildrop(void **state)
{
	play_all(*state, "S: +OK 0 messages (0 octets)\n"
			 "C: STAT\n"
			 "S: +OK 0 0\n"
			 "C: LIST\n"
			 "S: +OK 0 messages (0 octets)\n"
			 "S: .\n"
			 "C: UIDL\n"
			 "S: +OK *\n"
			 "S: .\n"
			 "C: RETR 1\n"
			 "S: -ERR No such message\n"
			 "C: QUIT\n"
			 "S: +OK Bye\n"
			 "S. closed\n");
}

static void test_sizes_are_exact(void **state)
{
	struct here *here = *state;
	struct transcript_socket s;
	struct buffer line = BUFFER_INIT(1000), body = BUFFER_INIT(1 << 20);
	struct slice rest;
	uint64_t bytes = 0;

	deliver(here, "Subject: one\r\n\r\n.\r\n..\r\nbare LF\nhere\r\n");
	s = login(here);
	core_rig_play(&s, "S: +OK *\n"
			  "C: LIST 1\n");
	read_line(&s, &line);
	rest = slice_from(buffer_slice(&line), strlen("+OK 1 "));
	assert_int_equal(slice_to_u64(rest, UINT64_MAX, &bytes), 0);
	core_rig_play(&s, "C: RETR 1\n"
			  "S: +OK * octets\n");
	read_answer(&s, &body);
	assert_int_equal(body.len, bytes);
	core_rig_hang_up(&s);
	buffer_free(&line);
	buffer_free(&body);
}

static void test_one_session_at_a_time(void **state)
{
	struct here *here = *state;
	struct transcript_socket first = core_rig_pop3(&here->rig, here->ann, "old \x01phone", "");
	struct transcript_socket second;

	core_rig_play(&first, "S: +OK 0 messages *\n");
	second = login(here);
	core_rig_play(&second,
		"S: -ERR [IN-USE] The maildrop is in use since 20*-*-* *:*:* UTC (0 minutes) from 192.0.2.1, device "
		"old ?phone\n"
		"S. closed\n");
	core_rig_hang_up(&second);
	core_rig_play(&first, "C: QUIT\n"
			      "S: +OK *\n"
			      "S. closed\n");
	core_rig_hang_up(&first);
	core_rig_wait_sessions(&here->rig);
	play_all(here, "S: +OK 0 messages *\n");
	play_all(here, "S: +OK 0 messages *\n");
}

static void test_a_session_that_dies_deletes_nothing(void **state)
{
	struct here *here = *state;

	deliver(here, "Subject: one\r\n\r\n");
	play_all(here, "S: +OK 1 message *\n"
		       "C: DELE 1\n"
		       "S: +OK *\n"
		       "C| QUI\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	play_all(here, "S: +OK 1 message *\n"
		       "C: RETR 1\n"
		       "S: +OK *\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
}

static void make_impatient(void *context)
{
	struct here *here = context;

	for (unsigned i = 0; i < RIG_SHARDS; i++)
		here->rig.pop3[i].limits.idle_ms = 100;
}

static void test_autologout_deletes_nothing(void **state)
{
	struct here *here = *state;

	deliver(here, "Subject: one\r\n\r\n");
	core_rig_call(&here->rig, store_shard_of(here->rig.store, here->ann), make_impatient, here);
	play_all(here, "S: +OK 1 message *\n"
		       "C: DELE 1\n"
		       "S: +OK *\n"
		       "S. closed\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
}

static void read_uidls(struct here *here, struct buffer *out)
{
	struct transcript_socket s = login(here);

	core_rig_play(&s, "S: +OK *\n"
			  "C: UIDL\n"
			  "S: +OK *\n");
	read_answer(&s, out);
	core_rig_play(&s, "C: QUIT\n"
			  "S: +OK *\n"
			  "S. closed\n");
	core_rig_hang_up(&s);
	core_rig_wait_sessions(&here->rig);
}

static void test_unique_ids_stay(void **state)
{
	struct here *here = *state;
	struct buffer before = BUFFER_INIT(1000), after = BUFFER_INIT(1000);
	struct slice second, newest;

	deliver(here, "Subject: one\r\n\r\n");
	deliver(here, "Subject: two\r\n\r\n");
	deliver(here, "Subject: three\r\n\r\n");
	read_uidls(here, &before);
	core_rig_expunge(&here->rig, here->ann, 1);
	deliver(here, "Subject: four\r\n\r\n");
	read_uidls(here, &after);
	second = slice_from(buffer_slice(&before), slice_find(buffer_slice(&before), SLICE("\r\n2 ")) + 4);
	assert_true(slice_starts(slice_from(buffer_slice(&after), 2), slice_first(second, 18)));
	/* The new message has one that was never there. */
	newest = slice_from(buffer_slice(&after), slice_find(buffer_slice(&after), SLICE("\r\n3 ")) + 4);
	assert_int_equal(newest.len, 20);
	assert_true(slice_find(buffer_slice(&before), newest) == SIZE_MAX);
	buffer_free(&before);
	buffer_free(&after);
}

static void test_the_maildrop_is_a_snapshot(void **state)
{
	struct here *here = *state;
	struct transcript_socket s;

	deliver(here, "Subject: one\r\n\r\nfirst\r\n");
	deliver(here, "Subject: two\r\n\r\n");
	s = login(here);
	core_rig_play(&s, "S: +OK 2 messages *\n");
	deliver(here, "Subject: three\r\n\r\n");
	core_rig_expunge(&here->rig, here->ann, 1);
	/* What IMAP expunged is still kept, and so it is still served. */
	core_rig_play(&s, "C: STAT\n"
			  "S: +OK 2 *\n"
			  "C: TOP 1 1\n"
			  "S: +OK *\n"
			  "S: Return-Path: *\n"
			  "S: Delivered-To: *\n"
			  "S: Received: *\n"
			  "S: *\n"
			  "S: *\n"
			  "S: *\n"
			  "S: Subject: one\n"
			  "S: \n"
			  "S: first\n"
			  "S: .\n"
			  "C: RETR 3\n"
			  "S: -ERR No such message\n"
			  "C: DELE 1\n"
			  "S: +OK *\n"
			  "C: DELE 2\n"
			  "S: +OK *\n"
			  "C: QUIT\n"
			  "S: +OK 2 messages deleted\n"
			  "S. closed\n");
	core_rig_hang_up(&s);
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
}

static void test_commands_pipelined_behind_the_password(void **state)
{
	struct here *here = *state;
	struct transcript_socket s;

	deliver(here, "Subject: one\r\n\r\n");
	s = core_rig_pop3(&here->rig, here->ann, "", "STAT\r\nDELE 1\r\nNO");
	core_rig_play(&s, "S: +OK 1 message *\n"
			  "S: +OK 1 *\n"
			  "S: +OK *\n"
			  "C| OP\\r\\nRSET\\r\\nSTAT\\r\\nQUIT\\r\\nSTAT\\r\\n\n"
			  "S: +OK Here\n"
			  "S: +OK 1 message *\n"
			  "S: +OK 1 *\n"
			  "S: +OK Bye\n"
			  "S. closed\n");
	core_rig_hang_up(&s);
}

static void delay_logins(void *context)
{
	struct here *here = context;

	for (unsigned i = 0; i < RIG_SHARDS; i++)
		here->rig.pop3[i].login_delay_s = 60;
}

static void test_a_login_that_comes_too_early(void **state)
{
	struct here *here = *state;

	core_rig_call(&here->rig, store_shard_of(here->rig.store, here->ann), delay_logins, here);
	play_all(here, "S: +OK *\n"
		       "C: QUIT\n"
		       "S: +OK *\n"
		       "S. closed\n");
	for (int i = 0; i < 2; i++)
		play_all(here, "S: -ERR [LOGIN-DELAY] *\n"
			       "S. closed\n");
}

static void test_an_account_that_is_not_there(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = core_rig_pop3(&here->rig, here->ann + 1000000, "", "QUIT\r\n");

	core_rig_play(&s, "S: -ERR [SYS/PERM] *\n"
			  "S. closed\n");
	core_rig_hang_up(&s);
}

static void test_an_account_that_is_deleted(void **state)
{
	struct here *here = *state;
	const struct actor admin = {.protocol = STORE_BY_ADMIN};
	struct transcript_socket s = login(here);

	core_rig_play(&s, "S: +OK *\n");
	assert_int_equal(directory_account_delete(here->rig.store, SLICE("ann@example.org"), &admin), 0);
	core_rig_play(&s, "S. closed\n");
	core_rig_hang_up(&s);
}

static void fill_lines(struct buffer *message, size_t bytes)
{
	buffer_put_text(message, "Subject: long\r\n\r\n");
	for (unsigned i = 0; message->len < bytes; i++)
		buffer_printf(message, "%s%u: the quick brown fox jumps over the lazy dog\r\n", i % 3 ? "" : ".", i);
}

static void test_a_client_that_reads_slowly(void **state)
{
	struct here *here = *state;
	struct buffer message = BUFFER_INIT(16 << 20), got = BUFFER_INIT(16 << 20);
	struct transcript_socket s;

	fill_lines(&message, 3 << 20);
	core_rig_deliver(&here->rig, "ann@example.org", buffer_slice(&message));
	s = login(here);
	core_rig_play(&s, "S: +OK 1 message *\n"
			  "C| RETR 1\\r\\nRETR 1\\r\\nNOOP\\r\\n\n");
	(void)usleep(200000);
	for (int i = 0; i < 2; i++) {
		core_rig_play(&s, "S: +OK * octets\n");
		buffer_reset(&got);
		read_answer(&s, &got);
		assert_true(slice_ends(buffer_slice(&got), buffer_slice(&message)));
	}
	core_rig_play(&s, "S: +OK Here\n"
			  "C: QUIT\n"
			  "S: +OK *\n"
			  "S. closed\n");
	core_rig_hang_up(&s);
	buffer_free(&message);
	buffer_free(&got);
}

static void test_a_client_that_leaves_during_an_answer(void **state)
{
	struct here *here = *state;
	struct buffer message = BUFFER_INIT(16 << 20);

	fill_lines(&message, 3 << 20);
	core_rig_deliver(&here->rig, "ann@example.org", buffer_slice(&message));
	play_all(here, "S: +OK 1 message *\n"
		       "C: DELE 1\n"
		       "S: +OK *\n"
		       "C: RSET\n"
		       "S: +OK *\n"
		       "C: RETR 1\n"
		       "S: +OK * octets\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	buffer_free(&message);
}

static void test_twenty_thousand_messages(void **state)
{
	struct here *here = *state;
	struct buffer list = BUFFER_INIT(4 << 20), dele = BUFFER_INIT(4 << 20);
	struct transcript_socket s;
	struct transcript io;

	core_rig_fill(&here->rig, here->ann, 20000);
	s = login(here);
	io = transcript_over(&s);
	core_rig_play(&s, "S: +OK 20000 messages (620000 octets)\n"
			  "C| LIST\\r\\nUIDL\\r\\n\n"
			  "S: +OK 20000 messages (620000 octets)\n");
	read_answer(&s, &list);
	assert_true(slice_ends(buffer_slice(&list), SLICE("\r\n20000 31\r\n")));
	core_rig_play(&s, "S: +OK *\n");
	buffer_reset(&list);
	read_answer(&s, &list);
	assert_true(slice_ends(buffer_slice(&list), SLICE(".4e20\r\n")));
	for (int i = 1; i <= 20000; i += 2)
		buffer_printf(&dele, "DELE %d\r\n", i);
	/* The answers fit into the session's queue and the kernel's, or this client would wait for ever, as RFC 2449 §6.6 warns. */
	for (size_t at = 0; at < dele.len; at += 20000) {
		io.send(io.context, slice_first(slice_from(buffer_slice(&dele), at), 20000));
	}
	for (int i = 1; i <= 20000; i += 2)
		core_rig_play(&s, "S: +OK *\n");
	core_rig_play(&s, "C: QUIT\n"
			  "S: +OK 10000 messages deleted\n"
			  "S. closed\n");
	core_rig_hang_up(&s);
	core_rig_wait_sessions(&here->rig);
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 10000);
	play_all(here, "S: +OK 10000 messages (310000 octets)\n");
	buffer_free(&list);
	buffer_free(&dele);
}

static void test_a_client_that_leaves_before_all_is_loaded(void **state)
{
	struct here *here = *state;

	core_rig_fill(&here->rig, here->ann, 20000);
	play_all(here, "C: QUIT\n");
	play_all(here, "S: +OK 20000 messages *\n");
}

static void stop(void *context)
{
	struct here *here = context;

	for (unsigned i = 0; i < RIG_SHARDS; i++)
		pop3_sessions_stop(&here->rig.pop3[i]);
}

static void test_stopping(void **state)
{
	struct here *here = *state;
	struct buffer message = BUFFER_INIT(16 << 20), got = BUFFER_INIT(16 << 20);
	unsigned shard = store_shard_of(here->rig.store, here->ann);
	struct transcript_socket s;

	fill_lines(&message, 3 << 20);
	core_rig_deliver(&here->rig, "ann@example.org", buffer_slice(&message));
	s = login(here);
	core_rig_play(&s, "S: +OK 1 message *\n"
			  "C: DELE 1\n"
			  "S: +OK *\n");
	core_rig_call(&here->rig, shard, stop, here);
	core_rig_play(&s, "S. closed\n");
	core_rig_hang_up(&s);
	core_rig_wait_sessions(&here->rig);
	/* An answer on its way is finished; what was asked behind it is not. */
	s = login(here);
	core_rig_play(&s, "S: +OK 1 message *\n"
			  "C| RETR 1\\r\\nNOOP\\r\\n\n"
			  "S: +OK *\n");
	core_rig_call(&here->rig, shard, stop, here);
	read_answer(&s, &got);
	assert_true(slice_ends(buffer_slice(&got), buffer_slice(&message)));
	core_rig_play(&s, "S. closed\n");
	core_rig_hang_up(&s);
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	buffer_free(&message);
	buffer_free(&got);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_mail_comes_and_goes),
		TEST(test_an_empty_maildrop),
		TEST(test_sizes_are_exact),
		TEST(test_one_session_at_a_time),
		TEST(test_a_session_that_dies_deletes_nothing),
		TEST(test_autologout_deletes_nothing),
		TEST(test_unique_ids_stay),
		TEST(test_the_maildrop_is_a_snapshot),
		TEST(test_commands_pipelined_behind_the_password),
		TEST(test_a_login_that_comes_too_early),
		TEST(test_an_account_that_is_not_there),
		TEST(test_an_account_that_is_deleted),
		TEST(test_a_client_that_reads_slowly),
		TEST(test_a_client_that_leaves_during_an_answer),
		TEST(test_twenty_thousand_messages),
		TEST(test_a_client_that_leaves_before_all_is_loaded),
		TEST(test_stopping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
