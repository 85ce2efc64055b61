#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "core_rig.h"

struct here {
	struct core_rig rig;
	uint64_t ann, bob;
};

static int setup(void **state)
{
	struct here *here = calloc(1, sizeof(*here));

	assert_non_null(here);
	core_rig_start(&here->rig);
	here->ann = core_rig_account(&here->rig, "ann@example.org", 0);
	here->bob = core_rig_account(&here->rig, "bob@example.org", 0);
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

static struct transcript_socket hello(struct here *here)
{
	struct transcript_socket s = core_rig_lmtp(&here->rig, 0);

	core_rig_play(&s, "S: 220 host.example.org LMTP *\n"
			  "C: LHLO mx.example.net\n"
			  "S: 250-host.example.org\n"
			  "S: 250-PIPELINING\n"
			  "S: 250-8BITMIME\n"
			  "S: 250-SMTPUTF8\n"
			  "S: 250-CHUNKING\n"
			  "S: 250-ENHANCEDSTATUSCODES\n"
			  "S: 250 SIZE 31457280\n");
	return s;
}

static void bye(struct transcript_socket *s)
{
	core_rig_play(s, "C: QUIT\n"
			 "S: 221 2.0.0 *\n"
			 "S. closed\n");
	core_rig_hang_up(s);
}

static void expect_newest(struct here *here, uint64_t account, const char *mailbox, const char *pattern)
{
	struct buffer message = BUFFER_INIT(1 << 20);

	core_rig_newest(&here->rig, account, mailbox, &message);
	if (!transcript_matches(buffer_slice(&message), slice_of(pattern)))
		fail_msg("'%.*s' is not '%s'", SLICE_ARG(buffer_slice(&message)), pattern);
	buffer_free(&message);
}

static void test_a_message_arrives_with_its_trace(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = hello(here);

	core_rig_play(&s, "C: MAIL FROM:<sender@example.net>\n"
			  "S: 250 2.1.0 *\n"
			  "C: RCPT TO:<Ann@EXAMPLE.org>\n"
			  "S: 250 2.1.5 *\n"
			  "C: DATA\n"
			  "S: 354 *\n"
			  "C: Subject: hello\n"
			  "C: \n"
			  "C: ..\n"
			  "C| bare\\nLF\\r\\n\n"
			  "C: .\n"
			  "S: 250 2.1.5 Delivered\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	expect_newest(here, here->ann, NULL,
		"Return-Path: <sender@example.net>\r\n"
		"Delivered-To: Ann@EXAMPLE.org\r\n"
		"Received: from mx.example.net (unix)\r\n"
		"\tby host.example.org with LMTP id *.1\r\n"
		"\tfor <Ann@EXAMPLE.org>;\r\n"
		"\t*, * 20* +0000\r\n"
		"Subject: hello\r\n"
		"\r\n"
		".\r\n"
		"bare\r\nLF\r\n");
	bye(&s);
}

static void test_recipients_on_several_shards(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = hello(here);

	core_rig_play(&s, "C| MAIL FROM:<>\\r\\nRCPT TO:<bob@example.org>\\r\\nRCPT TO:<nobody@example.org>\\r\\n\n"
			  "C| RCPT TO:<ann@example.org>\\r\\nRCPT TO:<ann@example.com>\\r\\nRCPT "
			  "TO:<bob@example.org>\\r\\nDATA\\r\\n\n"
			  "C| A: b\\r\\n\\r\\nhello\\r\\n.\\r\\nNOOP\\r\\n\n"
			  "S: 250 2.1.0 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 550 5.1.1 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 550 5.1.2 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 354 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 250 2.0.0 *\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	assert_int_equal(core_rig_count(&here->rig, here->bob, NULL), 1); /* named twice, but one message */
	expect_newest(here, here->bob, NULL,
		"Return-Path: <>\r\n"
		"Received: from mx.example.net (unix)\r\n"
		"\tby host.example.org with LMTP id *.1;\r\n"
		"\t*\r\n"
		"A: b\r\n"
		"\r\n"
		"hello\r\n");
	bye(&s);
}

static void expect_folder(struct here *here, const char *detail, const char *mailbox)
{
	struct buffer recipient = BUFFER_INIT(400);
	uint32_t before = core_rig_count(&here->rig, here->ann, mailbox);

	buffer_printf(&recipient, "ann+%s@example.org", detail);
	core_rig_deliver(&here->rig, buffer_text(&recipient), SLICE("Subject: x\r\n\r\nx\r\n"));
	if (core_rig_count(&here->rig, here->ann, mailbox) != before + 1)
		fail_msg("+%s does not lead to %s", detail, mailbox ? mailbox : "INBOX");
	buffer_free(&recipient);
}

static void test_details_lead_to_folders(void **state)
{
	struct here *here = *state;

	core_rig_mailbox(&here->rig, here->ann, "Lists/Penfold");
	core_rig_mailbox(&here->rig, here->ann, "INBOX/Bills");
	core_rig_mailbox(&here->rig, here->ann, "v1.2");
	expect_folder(here, "Archive", "Archive");
	expect_folder(here, "archive", "Archive");
	expect_folder(here, "lists", "Lists");
	expect_folder(here, "Lists/Penfold", "Lists/Penfold");
	expect_folder(here, "lists.penfold", "Lists/Penfold");
	expect_folder(here, "bills", "INBOX/Bills");
	expect_folder(here, "inbox.bills", "INBOX/Bills");
	expect_folder(here, "V1.2", "v1.2");
	expect_folder(here, "inbox", NULL);
	expect_folder(here, "nowhere", NULL);
	expect_folder(here, ".", NULL);
}

static void test_one_copy_for_a_mailbox(void **state)
{
	struct here *here = *state;
	struct slice targets[] = {SLICE("ann@example.org"), SLICE("bob@example.org")};
	struct transcript_socket s;

	assert_int_equal(directory_alias_set(here->rig.store, SLICE("both@example.org"), targets, 2), 0);
	s = hello(here);
	core_rig_play(&s, "C: MAIL FROM:<>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<both@example.org>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<ann@example.org>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<ann+nowhere@example.org>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<bob+archive@example.org>\n"
			  "S: 250 *\n"
			  "C: DATA\n"
			  "S: 354 *\n"
			  "C: .\n"
			  "S: 250 *\n"
			  "S: 250 *\n"
			  "S: 250 *\n"
			  "S: 250 *\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	assert_int_equal(core_rig_count(&here->rig, here->bob, NULL), 1);
	assert_int_equal(core_rig_count(&here->rig, here->bob, "Archive"), 1);
	bye(&s);
}

static void disable(struct here *here, const char *address)
{
	const struct actor admin = {.protocol = STORE_BY_ADMIN};
	const bool disabled = true;
	const struct directory_change change = {.disabled = &disabled};

	assert_int_equal(directory_account_change(here->rig.store, slice_of(address), &change, &admin), 0);
}

static void test_refusals_have_their_codes(void **state)
{
	struct here *here = *state;
	struct transcript_socket s;

	(void)core_rig_account(&here->rig, "full@example.org", 200);
	(void)core_rig_account(&here->rig, "off@example.org", 0);
	disable(here, "off@example.org");
	s = hello(here);
	core_rig_play(&s, "C: MAIL FROM:<> SIZE=31457281\n"
			  "S: 552 5.3.4 *\n"
			  "C: MAIL FROM:<>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<off@example.org>\n"
			  "S: 450 4.2.1 *\n"
			  "C: RCPT TO:<full@example.org>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<ann@example.org>\n"
			  "S: 250 *\n"
			  "C: DATA\n"
			  "S: 354 *\n"
			  "C: This and what is put in front of it is more than two hundred octets: "
			  "..............................\n"
			  "C: .\n"
			  "S: 552 5.2.2 *\n"
			  "S: 250 2.1.5 *\n");
	bye(&s);
}

static void test_an_alias_reaches_those_who_are_not_disabled(void **state)
{
	struct here *here = *state;
	struct slice targets[] = {SLICE("ann@example.org"), SLICE("off@example.org")};

	(void)core_rig_account(&here->rig, "off@example.org", 0);
	disable(here, "off@example.org");
	assert_int_equal(directory_alias_set(here->rig.store, SLICE("both@example.org"), targets, 2), 0);
	core_rig_deliver(&here->rig, "both@example.org", SLICE("A: b\r\n"));
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
}

static void test_an_alias_that_leads_too_far(void **state)
{
	struct here *here = *state;
	struct transcript_socket s;
	char from[64], to[64] = "ann@example.org";

	for (unsigned i = 11; i > 0; i--) {
		struct slice target = slice_of(to);

		(void)snprintf(from, sizeof(from), "a%u@example.org", i);
		assert_int_equal(directory_alias_set(here->rig.store, slice_of(from), &target, 1), 0);
		memcpy(to, from, sizeof(to));
	}
	s = hello(here);
	core_rig_play(&s, "C: MAIL FROM:<>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<a1@example.org>\n"
			  "S: 451 4.3.0 *\n"
			  "C: RCPT TO:<a2@example.org>\n"
			  "S: 250 2.1.5 *\n"
			  "C: DATA\n"
			  "S: 354 *\n"
			  "C: A: b\n"
			  "C: .\n"
			  "S: 250 2.1.5 *\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	bye(&s);
}

static void fill_lines(struct buffer *message, size_t bytes)
{
	buffer_put_text(message, "Subject: long\r\n\r\n");
	for (unsigned i = 0; message->len < bytes; i++)
		buffer_printf(message, "%s%u: the quick brown fox jumps over the lazy dog\r\n", i % 3 ? "" : ".", i);
}

static void test_a_long_message(void **state)
{
	struct here *here = *state;
	struct buffer message = BUFFER_INIT(64 << 20), got = BUFFER_INIT(64 << 20);

	fill_lines(&message, 12 << 20);
	core_rig_deliver(&here->rig, "ann@example.org", buffer_slice(&message));
	core_rig_newest(&here->rig, here->ann, NULL, &got);
	assert_true(slice_ends(buffer_slice(&got), buffer_slice(&message)));
	buffer_free(&message);
	buffer_free(&got);
}

static void test_a_message_that_is_too_long(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = hello(here);
	struct transcript io = transcript_over(&s);
	struct buffer line = BUFFER_INIT(2 << 20);

	core_rig_play(&s, "C: MAIL FROM:<>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<ann@example.org>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<bob@example.org>\n"
			  "S: 250 *\n"
			  "C: DATA\n"
			  "S: 354 *\n");
	for (int i = 0; i < 1 << 20; i++)
		buffer_put_byte(&line, 'x');
	for (int i = 0; i < 31; i++)
		io.send(io.context, buffer_slice(&line));
	core_rig_play(&s, "C: \n"
			  "C: .\n"
			  "S: 552 5.3.4 *\n"
			  "S: 552 5.3.4 *\n");
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 0);
	bye(&s);
	buffer_free(&line);
}

static void test_a_thousand_recipients(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = hello(here);
	struct transcript io = transcript_over(&s);
	struct buffer text = BUFFER_INIT(1 << 20), answers = BUFFER_INIT(1 << 20);

	buffer_put_text(&text, "MAIL FROM:<>\r\n");
	buffer_put_text(&answers, "S: 250 2.1.0 *\n");
	for (int i = 0; i < 1000; i++) {
		buffer_printf(&text, "RCPT TO:<%s+box%d@example.org>\r\n", i % 2 ? "ann" : "bob", i);
		buffer_put_text(&answers, "S: 250 2.1.5 Recipient accepted\n");
	}
	buffer_put_text(&text, "DATA\r\nhello\r\n.\r\n");
	buffer_put_text(&answers, "S: 354 *\n");
	for (int i = 0; i < 1000; i++)
		buffer_put_text(&answers, "S: 250 2.1.5 Delivered\n");
	/* The client says everything before it reads anything: the session stops reading when its answers are not taken. */
	io.send(io.context, buffer_slice(&text));
	core_rig_play(&s, buffer_text(&answers));
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
	bye(&s);
	buffer_free(&text);
	buffer_free(&answers);
}

static void test_chunks_arrive(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = hello(here);

	core_rig_play(&s, "C| MAIL FROM:<>\\r\\nRCPT TO:<ann@example.org>\\r\\nBDAT 8\\r\\nA: b\\r\\n\\r\\nBDAT 5 "
			  "LAST\\r\\n.\\r\\n.x\n"
			  "S: 250 2.1.0 *\n"
			  "S: 250 2.1.5 *\n"
			  "S: 250 2.0.0 *\n"
			  "S: 250 2.1.5 *\n");
	expect_newest(here, here->ann, NULL, "Return-Path: <>*\r\nA: b\r\n\r\n.\r\n.x");
	bye(&s);
}

static void test_a_client_that_goes_away_after_the_end(void **state)
{
	struct here *here = *state;

	for (int i = 0; i < 20; i++) {
		struct transcript_socket s = hello(here);

		core_rig_play(&s, "C: MAIL FROM:<>\n"
				  "S: 250 *\n"
				  "C: RCPT TO:<ann@example.org>\n"
				  "S: 250 *\n"
				  "C| DATA\\r\\nx\\r\\n.\\r\\n\n"
				  "S: 354 *\n");
		core_rig_hang_up(&s);
	}
	core_rig_wait_sessions(&here->rig);
	/* Whoever hangs up does not know; what is sure is that sessions end and nothing is there twice. */
	assert_in_range(core_rig_count(&here->rig, here->ann, NULL), 0, 20);
}

static void test_a_client_that_goes_away_before_the_end(void **state)
{
	struct here *here = *state;
	struct transcript_socket s = hello(here);

	core_rig_play(&s, "C: MAIL FROM:<>\n"
			  "S: 250 *\n"
			  "C: RCPT TO:<ann@example.org>\n"
			  "S: 250 *\n"
			  "C| DATA\\r\\nx\\r\\n.\\r\n"
			  "S: 354 *\n");
	core_rig_hang_up(&s);
	core_rig_wait_sessions(&here->rig);
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 0);
}

static void stop(void *context)
{
	struct here *here = context;

	lmtp_sessions_stop(&here->rig.lmtp[0]);
}

static void test_stopping(void **state)
{
	struct here *here = *state;
	struct transcript_socket idle = hello(here), busy = hello(here);

	core_rig_play(&busy, "C: MAIL FROM:<>\n"
			     "S: 250 *\n"
			     "C: RCPT TO:<ann@example.org>\n"
			     "S: 250 *\n"
			     "C: DATA\n"
			     "S: 354 *\n"
			     "C: half\n");
	core_rig_call(&here->rig, 0, stop, here);
	core_rig_play(&idle, "S: 421 4.3.2 *\n"
			     "S. closed\n");
	core_rig_play(&busy, "C: and half\n"
			     "C: .\n"
			     "S: 250 2.1.5 *\n"
			     "S: 421 4.3.2 *\n"
			     "S. closed\n");
	core_rig_hang_up(&idle);
	core_rig_hang_up(&busy);
	assert_int_equal(core_rig_count(&here->rig, here->ann, NULL), 1);
}

static void make_impatient(void *context)
{
	struct here *here = context;

	here->rig.lmtp[0].limits.idle_ms = 100;
}

static void test_a_silent_client_is_closed(void **state)
{
	struct here *here = *state;
	struct transcript_socket s;

	core_rig_call(&here->rig, 0, make_impatient, here);
	s = hello(here);
	core_rig_play(&s, "S. closed\n");
	core_rig_hang_up(&s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_message_arrives_with_its_trace),
		TEST(test_recipients_on_several_shards),
		TEST(test_details_lead_to_folders),
		TEST(test_one_copy_for_a_mailbox),
		TEST(test_refusals_have_their_codes),
		TEST(test_an_alias_reaches_those_who_are_not_disabled),
		TEST(test_an_alias_that_leads_too_far),
		TEST(test_a_long_message),
		TEST(test_a_message_that_is_too_long),
		TEST(test_a_thousand_recipients),
		TEST(test_chunks_arrive),
		TEST(test_a_client_that_goes_away_after_the_end),
		TEST(test_a_client_that_goes_away_before_the_end),
		TEST(test_stopping),
		TEST(test_a_silent_client_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
