#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/lexer.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	return arena_new(1 << 20, &arena);
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static struct imap_lexer lexer(const char *text)
{
	return (struct imap_lexer){.rest = slice_of(text), .arena = arena, .depth_max = 5, .set_ranges_max = 4};
}

/* What a string function makes of a text, and what it leaves. NULL: it must refuse and stay where it is. */
struct string_case {
	const char *text, *value, *rest;
};

static void check_strings(
	const struct string_case *cases, size_t count, bool (*lex)(struct imap_lexer *l, struct slice *ret))
{
	for (size_t i = 0; i < count; i++) {
		struct imap_lexer l = lexer(cases[i].text);
		struct slice value = SLICE("untouched");
		bool ok = lex(&l, &value);

		if (ok != !!cases[i].value)
			fail_msg("'%s' was %s", cases[i].text, ok ? "taken" : "refused");
		if (!ok) {
			assert_non_null(l.problem);
			assert_ptr_equal(l.rest.at, cases[i].text);
			continue;
		}
		if (!slice_equal(value, slice_of(cases[i].value)) || !slice_equal(l.rest, slice_of(cases[i].rest)))
			fail_msg("'%s' gave '%.*s' and '%.*s'", cases[i].text, SLICE_ARG(value), SLICE_ARG(l.rest));
	}
}

static void atoms(void **state)
{
	static const struct string_case cases[] = {
		{"abc def", "abc", " def"},
		{"a+b&c~!#$", "a+b&c~!#$", ""},
		{"a]b", "a", "]b"},
		{"a(b", "a", "(b"},
		{"", NULL, NULL},
		{" a", NULL, NULL},
		{"*", NULL, NULL},
		{"%", NULL, NULL},
		{"\"a\"", NULL, NULL},
		{"{3}", NULL, NULL},
		{"\x7f", NULL, NULL},
		{"\xc3\xa4", NULL, NULL},
	};

	(void)state;
	check_strings(cases, ARRAY_LEN(cases), lex_atom);
}

static void astrings(void **state)
{
	static const struct string_case cases[] = {
		{"abc def", "abc", " def"},
		{"a]b", "a]b", ""},
		{"\"a b\" c", "a b", " c"},
		{"\"\"", "", ""},
		{"\"a\\\"b\\\\c\"", "a\"b\\c", ""},
		{"{3}\r\na\rb x", "a\rb", " x"},
		{"{3+}\r\nabc", "abc", ""},
		{"{0}\r\n", "", ""},
		{"~{2}\r\nab", "ab", ""},
		{"~peter", "~peter", ""},
		{"\"a\\b\"", NULL, NULL},
		{"\"a", NULL, NULL},
		{"\"a\\", NULL, NULL},
		{"\"a\r\"", NULL, NULL},
		{"{3}\r\nab", NULL, NULL},
		{"{3}ab", NULL, NULL},
		{"{3x}\r\nabc", NULL, NULL},
		{"{3} {3}\r\nabc", NULL, NULL},
		{"{99999999999999999999}\r\nabc", NULL, NULL},
		{"\"\xc3\xa4\"", "\xc3\xa4", ""},
		{"\"\xc3\"", NULL, NULL},
		{"(", NULL, NULL},
	};

	(void)state;
	check_strings(cases, ARRAY_LEN(cases), lex_astring);
}

static void nul_only_in_literal8(void **state)
{
	struct imap_lexer l = lexer("");
	struct slice value;

	(void)state;
	l.rest = SLICE("{3}\r\na\0b");
	assert_false(lex_string(&l, &value));
	l = lexer("");
	l.rest = SLICE("~{3}\r\na\0b");
	assert_true(lex_string(&l, &value));
	assert_int_equal(value.len, 3);
}

static void nil(void **state)
{
	struct imap_lexer l = lexer("NIL \"NIL\"");
	struct slice value;
	bool is_nil;

	(void)state;
	assert_true(lex_nstring(&l, &value, &is_nil));
	assert_true(is_nil);
	assert_true(lex_space(&l));
	assert_true(lex_nstring(&l, &value, &is_nil));
	assert_false(is_nil);
	assert_true(lex_end(&l));
}

static void mailboxes(void **state)
{
	static const struct string_case cases[] = {
		{"inbox x", "INBOX", " x"},
		{"INBOX/sub", "INBOX/sub", ""},
		{"\"a b\"", "a b", ""},
		{"foo/", "foo", ""},
		{"Entw&APw-rfe", "Entw\xc3\xbcrfe", ""},
		{"R&-D", "R&D", ""},
		{"R&D", NULL, NULL},
		/* No mailbox has such a name, but that is not a question of syntax. */
		{"a//b", "a//b", ""},
		{"\"a*\"", "a*", ""},
		{"\"\"", "", ""},
		{"a*", "a", "*"},
	};

	(void)state;
	check_strings(cases, ARRAY_LEN(cases), lex_mailbox);
}

static void list_mailboxes(void **state)
{
	static const struct string_case cases[] = {
		{"%", "%", ""},
		{"a/*]% x", "a/*]%", " x"},
		{"\"*\"", "*", ""},
		{"\"\" x", "", " x"},
		{"&APw-*", "\xc3\xbc*", ""},
		{"&*", NULL, NULL},
		{"(a)", NULL, NULL},
	};

	(void)state;
	check_strings(cases, ARRAY_LEN(cases), lex_list_mailbox);
}

static void numbers(void **state)
{
	struct imap_lexer l = lexer("4294967295 4294967296 0 x");
	uint64_t value;

	(void)state;
	assert_true(lex_number(&l, UINT32_MAX, &value));
	assert_int_equal(value, UINT32_MAX);
	assert_true(lex_space(&l));
	assert_false(lex_number(&l, UINT32_MAX, &value));
	assert_true(lex_number(&l, UINT64_MAX, &value));
	assert_true(lex_space(&l));
	assert_false(lex_nz_number(&l, UINT64_MAX, &value));
	assert_true(lex_number(&l, UINT64_MAX, &value));
	assert_true(lex_space(&l));
	assert_false(lex_number(&l, UINT64_MAX, &value));
}

static void keywords_end_where_atoms_do(void **state)
{
	struct imap_lexer l = lexer("flags.silent (x)");

	(void)state;
	assert_false(lex_keyword(&l, SLICE("FLAGS")));
	assert_true(lex_keyword(&l, SLICE("FLAGS.SILENT")));
	assert_null(l.problem);
	assert_true(lex_space(&l));
	assert_true(lex_byte(&l, '('));
	assert_true(lex_keyword(&l, SLICE("X")));
}

static const struct {
	const char *text, *ranges; /* NULL: refused */
} sets[] = {
	{"1", "1:1"}, {"1,3", "1:1 3:3"}, {"1:3", "1:3"}, {"3:1", "1:3"}, {"*", "0:0"}, {"5:*", "0:5"}, {"*:5", "0:5"},
	{"*:*", "0:0"}, {"4294967295", "4294967295:4294967295"}, {"2,1:4", "2:2 1:4"}, {"1,2,3,4", "1:1 2:2 3:3 4:4"},
	{"$", "saved"}, {"1,2,3,4,5", NULL}, {"0", NULL}, {"1:0", NULL}, {"1,", NULL}, {",1", NULL}, {"1:", NULL},
	{":1", NULL}, {"", NULL}, {"x", NULL}, {"4294967296", NULL},
	{"1:2:3", "1:2"}, /* the rest is somebody else's problem */
};

static void sequence_sets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		struct buffer trace = BUFFER_INIT(1000);
		struct imap_lexer l = lexer(sets[i].text);
		struct imap_set set = {0};

		if (!lex_set(&l, &set)) {
			if (sets[i].ranges)
				fail_msg("'%s' was refused", sets[i].text);
			assert_ptr_equal(l.rest.at, sets[i].text);
			continue;
		}
		for (size_t j = 0; j < set.count; j++)
			buffer_printf(&trace, "%s%u:%u", j ? " " : "", set.ranges[j].first, set.ranges[j].last);
		if (set.saved)
			buffer_put_text(&trace, "saved");
		assert_string_equal(buffer_text(&trace), sets[i].ranges ? sets[i].ranges : "refused");
		buffer_free(&trace);
	}
}

static void too_many_ranges_are_a_limit(void **state)
{
	struct imap_lexer l = lexer("1,2,3,4,5");
	struct imap_set set;

	(void)state;
	assert_false(lex_set(&l, &set));
	assert_true(l.too_big);
}

static void flags(void **state)
{
	struct imap_lexer l = lexer("\\sEEN $Forwarded \\Recent \\Deleted");
	unsigned bits = 0;
	struct slice keyword;

	(void)state;
	assert_true(lex_flag(&l, &bits, &keyword));
	assert_int_equal(bits, FLAG_SEEN);
	assert_int_equal(keyword.len, 0);
	assert_true(lex_space(&l));
	assert_true(lex_flag(&l, &bits, &keyword));
	assert_true(slice_equal(keyword, SLICE("$Forwarded")));
	assert_true(lex_space(&l));
	assert_true(lex_flag(&l, &bits, &keyword));
	assert_int_equal(bits, FLAG_SEEN);
	assert_true(lex_space(&l));
	assert_true(lex_flag(&l, &bits, &keyword));
	assert_int_equal(bits, FLAG_SEEN | FLAG_DELETED);
	l = lexer("\\Own");
	assert_false(lex_flag(&l, &bits, &keyword));
	l = lexer("\\");
	assert_false(lex_flag(&l, &bits, &keyword));
}

static const struct {
	const char *text;
	int64_t days; /* INT64_MIN: refused */
} dates[] = {
	{"1-Jan-1970", 0},
	{"01-jan-1970", 0},
	{"\"2-JAN-1970\"", 1},
	{"31-Dec-1969", -1},
	{"29-Feb-2000", 11016},
	{"1-Feb-1994", 8797},
	{"29-Feb-1900", INT64_MIN},
	{"31-Apr-2000", INT64_MIN},
	{"0-Jan-2000", INT64_MIN},
	{"1-Foo-2000", INT64_MIN},
	{"1-Jan-200", INT64_MIN},
	{"\"1-Jan-2000", INT64_MIN},
	{"1 Jan 2000", INT64_MIN},
	{"", INT64_MIN},
	{"1-Jan-0000", INT64_MIN},
};

static void days(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		struct imap_lexer l = lexer(dates[i].text);
		int64_t value = INT64_MIN;

		(void)lex_date(&l, &value);
		if (value != dates[i].days)
			fail_msg("'%s' is day %lld", dates[i].text, (long long)value);
	}
}

static const struct {
	const char *text;
	int64_t seconds;
	int16_t zone;
} times[] = {
	{"\"17-Jul-1996 02:44:25 -0700\"", 837596665, -420},
	{"\" 1-Jan-1970 00:00:00 +0000\"", 0, 0},
	{"\"1-Jan-1970 00:00:00 +0000\"", 0, 0},
	{"\"01-Jan-1970 05:30:00 +0530\"", 0, 330},
	{"\"31-Dec-1969 23:59:59 -0000\"", -1, 0},
	{"\"30-Jun-2015 23:59:60 +0000\"", 1435708800, 0},
	{"\"17-Jul-1996 24:44:25 -0700\"", INT64_MIN, 0},
	{"\"17-Jul-1996 02:60:25 -0700\"", INT64_MIN, 0},
	{"\"17-Jul-1996 02:44:25 -0760\"", INT64_MIN, 0},
	{"\"17-Jul-1996 02:44:25 +9900\"", INT64_MIN, 0},
	{"\"17-Jul-1996 02:44:25\"", INT64_MIN, 0},
	{"17-Jul-1996 02:44:25 -0700", INT64_MIN, 0},
	{"\"17-Jul-1996 02:44:25 -0700", INT64_MIN, 0},
};

static void points_in_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct imap_lexer l = lexer(times[i].text);
		int64_t seconds = INT64_MIN;
		int16_t zone = 0;

		(void)lex_date_time(&l, &seconds, &zone);
		if (seconds != times[i].seconds || zone != times[i].zone)
			fail_msg("%s is %lld", times[i].text, (long long)seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(atoms),
		cmocka_unit_test(astrings),
		cmocka_unit_test(nul_only_in_literal8),
		cmocka_unit_test(nil),
		cmocka_unit_test(mailboxes),
		cmocka_unit_test(list_mailboxes),
		cmocka_unit_test(numbers),
		cmocka_unit_test(keywords_end_where_atoms_do),
		cmocka_unit_test(sequence_sets),
		cmocka_unit_test(too_many_ranges_are_a_limit),
		cmocka_unit_test(flags),
		cmocka_unit_test(days),
		cmocka_unit_test(points_in_time),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
