#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lmtp/parse.h"

static struct lmtp_command parse(const char *line)
{
	struct lmtp_command command = {0};

	assert_int_equal(lmtp_command_parse(slice_of(line), &command), LMTP_SYNTAX_OK);
	return command;
}

static void expect_syntax(const char *line, enum lmtp_syntax syntax)
{
	struct lmtp_command command = {.size = 77};

	if (lmtp_command_parse(slice_of(line), &command) != syntax)
		fail_msg("'%s' is not refused as %d", line, (int)syntax);
	assert_int_equal(command.size, 77);
}

static void expect_slice(struct slice got, const char *text)
{
	if (!slice_equal(got, slice_of(text)))
		fail_msg("'%.*s' is not '%s'", SLICE_ARG(got), text);
}

static void test_verbs_are_known_in_any_case(void **state UNUSED)
{
	assert_int_equal(parse("lhlo mx.example.org").verb, LMTP_LHLO);
	assert_int_equal(parse("EhLo mx.example.org").verb, LMTP_HELO);
	assert_int_equal(parse("DATA").verb, LMTP_DATA);
	assert_int_equal(parse("quit  ").verb, LMTP_QUIT);
	assert_int_equal(parse("NOOP whatever").verb, LMTP_NOOP);
	assert_int_equal(parse("VRFY ann").verb, LMTP_VRFY);
	expect_syntax("", LMTP_SYNTAX_VERB);
	expect_syntax("DAT", LMTP_SYNTAX_VERB);
	expect_syntax("DATAX", LMTP_SYNTAX_VERB);
	expect_syntax("DATA now", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("VRFY", LMTP_SYNTAX_ARGUMENT);
}

static void test_names_are_domains_or_literals(void **state UNUSED)
{
	expect_slice(parse("LHLO mx-1.example.org").name, "mx-1.example.org");
	expect_slice(parse("LHLO [127.0.0.1]").name, "[127.0.0.1]");
	expect_slice(parse("LHLO [IPv6:2001:db8::1] ").name, "[IPv6:2001:db8::1]");
	expect_syntax("LHLO", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("LHLO  ", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("LHLO two words", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("LHLO a\rb", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("LHLO a(b)", LMTP_SYNTAX_ARGUMENT);
}

static void test_paths(void **state UNUSED)
{
	struct lmtp_path path = parse("MAIL FROM:<ann.b+tag@example.org>").path;

	expect_slice(path.text, "ann.b+tag@example.org");
	expect_slice(path.local, "ann.b+tag");
	expect_slice(path.domain, "example.org");
	expect_slice(parse("MAIL FROM:<>").path.text, "");
	expect_slice(parse("mail from: <ann@example.org>").path.local, "ann");
	expect_slice(parse("RCPT TO:<@one.example,@two.example:ann@example.org>").path.text, "ann@example.org");
	expect_slice(parse("RCPT TO:<Postmaster>").path.local, "Postmaster");
	expect_slice(parse("RCPT TO:<ann@[192.0.2.1]>").path.domain, "[192.0.2.1]");
	expect_slice(parse("RCPT TO:<\"a> b\\\"@c\"@example.org>").path.local, "\"a> b\\\"@c\"");
	expect_slice(parse("RCPT TO:<a..b.@example.org>").path.local, "a..b.");
}

static void test_wrong_paths_are_refused(void **state UNUSED)
{
	static const char *const wrong[] = {
		"RCPT TO:",
		"RCPT TO:ann@example.org",
		"RCPT TO:<>",
		"RCPT TO:<ann@example.org",
		"RCPT TO:<ann@>",
		"RCPT TO:<@example.org>",
		"RCPT TO:<@one.example:>",
		"RCPT TO:<@one..example:ann@example.org>",
		"RCPT TO:<ann@example..org>",
		"RCPT TO:<ann@.example.org>",
		"RCPT TO:<ann@example.org.>",
		"RCPT TO:<ann@exa mple.org>",
		"RCPT TO:<an n@example.org>",
		"RCPT TO:<ann@[192.0.2.1>",
		"RCPT TO:<\"ann@example.org>",
		"RCPT TO:<\"ann\"x@example.org>",
		"RCPT TO:<\"a\nnn\"@example.org>",
		"RCPT TO:<ann\xff@example.org>",
		"RCPT TO:<ann@example.org\r>",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		expect_syntax(wrong[i], LMTP_SYNTAX_RECIPIENT);
	expect_syntax("MAIL FROM:ann@example.org", LMTP_SYNTAX_SENDER);
	expect_syntax("MAIL FROM", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("RCPT FROM:<ann@example.org>", LMTP_SYNTAX_ARGUMENT);
	expect_syntax("MAIL FROM:<ann@example.org>SIZE=1", LMTP_SYNTAX_ARGUMENT);
}

static void test_a_path_has_a_longest_length(void **state UNUSED)
{
	struct buffer line = BUFFER_INIT(2000);

	buffer_put_text(&line, "RCPT TO:<");
	for (int i = 0; i < 600; i++)
		buffer_put_byte(&line, 'a');
	buffer_put_text(&line, "@example.org>");
	expect_syntax(buffer_text(&line), LMTP_SYNTAX_RECIPIENT);
	buffer_free(&line);
}

static void test_utf8_needs_smtputf8(void **state UNUSED)
{
	assert_true(parse("MAIL FROM:<j\xc3\xb6rg@example.org> SMTPUTF8").smtputf8);
	expect_syntax("MAIL FROM:<j\xc3\xb6rg@example.org>", LMTP_SYNTAX_NEEDS_UTF8);
	assert_false(parse("RCPT TO:<j\xc3\xb6rg@example.org>").path.is_ascii);
	assert_true(parse("RCPT TO:<jorg@example.org>").path.is_ascii);
}

static void test_parameters(void **state UNUSED)
{
	struct lmtp_command c = parse("MAIL FROM:<> SIZE=1234 BODY=8BITMIME  RET=hdrs ENVID=QQ314159");

	assert_true(c.has_size);
	assert_int_equal(c.size, 1234);
	assert_true(parse("MAIL FROM:<> SIZE=99999999999999999999").size == UINT64_MAX);
	parse("RCPT TO:<ann@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Ann+2Bx@example.org");
	parse("RCPT TO:<ann@example.org> NOTIFY=NEVER ORCPT=utf-8;\xc3\xb6@example.org");
	expect_syntax("MAIL FROM:<> SIZE=", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> SIZE", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> SIZE=12a", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> SIZE=999999999999999999999", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> SIZE=1 SIZE=1", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> BODY=BINARYMIME", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> SMTPUTF8=yes", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> ENVID=a+2", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> =x", LMTP_SYNTAX_PARAMETER);
	expect_syntax("MAIL FROM:<> AUTH=<>", LMTP_SYNTAX_UNKNOWN);
	expect_syntax("MAIL FROM:<> NOTIFY=NEVER", LMTP_SYNTAX_UNKNOWN);
	expect_syntax("RCPT TO:<ann@example.org> SIZE=1", LMTP_SYNTAX_UNKNOWN);
	expect_syntax("RCPT TO:<ann@example.org> NOTIFY=SUCCESS,NEVER", LMTP_SYNTAX_PARAMETER);
	expect_syntax("RCPT TO:<ann@example.org> ORCPT=ann@example.org", LMTP_SYNTAX_PARAMETER);
}

static void test_chunks(void **state UNUSED)
{
	struct lmtp_command c = parse("BDAT 86 last");

	assert_int_equal(c.chunk_bytes, 86);
	assert_true(c.chunk_is_last);
	assert_false(parse("BDAT 0").chunk_is_last);
	expect_syntax("BDAT", LMTP_SYNTAX_CHUNK);
	expect_syntax("BDAT -1", LMTP_SYNTAX_CHUNK);
	expect_syntax("BDAT 1 FIRST", LMTP_SYNTAX_CHUNK);
	expect_syntax("BDAT 99999999999999999999 LAST", LMTP_SYNTAX_CHUNK);
}

static void expect_address(const char *line, const char *address)
{
	struct buffer out = BUFFER_INIT(1000);
	struct lmtp_path path = parse(line).path;

	lmtp_path_address(&path, SLICE("host.example"), &out);
	assert_string_equal(buffer_text(&out), address);
	buffer_free(&out);
}

static void test_addresses_lose_their_quotes(void **state UNUSED)
{
	expect_address("RCPT TO:<ann@example.org>", "ann@example.org");
	expect_address("RCPT TO:<\"ann\"@example.org>", "ann@example.org");
	expect_address("RCPT TO:<\"a \\\"b\\\\\"@example.org>", "a \"b\\@example.org");
	expect_address("RCPT TO:<\"\"@example.org>", "@example.org");
	expect_address("RCPT TO:<postmaster>", "postmaster@host.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs_are_known_in_any_case),
		cmocka_unit_test(test_names_are_domains_or_literals),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_wrong_paths_are_refused),
		cmocka_unit_test(test_a_path_has_a_longest_length),
		cmocka_unit_test(test_utf8_needs_smtputf8),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_addresses_lose_their_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
