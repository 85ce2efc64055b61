#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3/command.h"

static struct pop3_command parse(const char *line)
{
	struct pop3_command command = {0};

	assert_int_equal(pop3_command_parse(slice_of(line), &command), POP3_SYNTAX_OK);
	return command;
}

static void expect_syntax(const char *line, enum pop3_syntax syntax)
{
	struct pop3_command command = {.number = 77};

	if (pop3_command_parse(slice_of(line), &command) != syntax)
		fail_msg("'%s' is not refused as %d", line, (int)syntax);
	assert_int_equal(command.number, 77);
}

static void test_commands(void **state UNUSED)
{
	assert_int_equal(parse("stat").verb, POP3_STAT);
	assert_int_equal(parse("Quit ").verb, POP3_QUIT);
	assert_int_equal(parse("CAPA").verb, POP3_CAPA);
	assert_int_equal(parse("PASS a b c").verb, POP3_LOGIN);
	assert_int_equal(parse("UTF8").verb, POP3_LOGIN);
	assert_false(parse("LIST").has_number);
	assert_true(parse("LIST 3").has_number);
	assert_int_equal(parse("retr  12").number, 12);
	assert_int_equal(parse("TOP 1 0").lines, 0);
	assert_int_equal(parse("TOP 4294967295 10").number, UINT32_MAX);
	assert_int_equal(parse("LANG").word.len, 0);
	assert_int_equal(parse("LANG en").word.len, 2);
	expect_syntax("", POP3_SYNTAX_VERB);
	expect_syntax("XTND XMIT", POP3_SYNTAX_VERB);
	expect_syntax("STA", POP3_SYNTAX_VERB);
}

static void test_numbers_that_name_nothing_are_still_numbers(void **state UNUSED)
{
	assert_int_equal(parse("RETR 0").number, 0);
	assert_int_equal(parse("RETR 4294967296").number, 0);
	assert_int_equal(parse("RETR 99999999999999999999999").number, 0);
	assert_int_equal(parse("TOP 1 99999999999999999999999").lines, UINT32_MAX);
}

static void test_wrong_arguments(void **state UNUSED)
{
	static const char *const wrong[] = {"RETR", "RETR x", "RETR -1", "RETR 1x", "RETR 1 2", "DELE", "DELE 1 1",
		"TOP", "TOP 1", "TOP 1 -1", "TOP 1 2 3", "TOP x 1", "LIST x", "LIST 1 2", "UIDL -", "STAT 1",
		"QUIT now", "RSET 1", "NOOP 1", "CAPA 1", "LANG en de"};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		expect_syntax(wrong[i], POP3_SYNTAX_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_numbers_that_name_nothing_are_still_numbers),
		cmocka_unit_test(test_wrong_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
