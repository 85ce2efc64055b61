#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/list.h"

static const struct {
	const char *pattern, *name;
	bool matches;
} cases[] = {
	{"", "", true},
	{"", "a", false},
	{"a", "a", true},
	{"a", "b", false},
	{"*", "", true},
	{"*", "a/b/c", true},
	{"%", "a", true},
	{"%", "a/b", false},
	{"%", "", true},
	{"a/%", "a/b", true},
	{"a/%", "a/b/c", false},
	{"a/%", "a", false},
	{"a/*", "a/b/c", true},
	{"a*", "a", true},
	{"a*", "ab/c", true},
	{"a%", "ab/c", false},
	{"*b", "a/b", true},
	{"%b", "a/b", false},
	{"%/%", "a/b", true},
	{"%/%", "a/b/c", false},
	{"%/b/%", "a/b/c", true},
	{"*a*b*c", "xaxbxbxc", true},
	{"*a*b*c", "xaxcxb", false},
	{"*%", "a/b", true},
	{"%*", "a/b", true},
	{"%*%", "a/b/c", true},
	{"*/%b", "a/cb/b", true},
	{"%a%b", "xaxab", true},
	{"%a/%b", "xaa/xb", true},
	{"*%a/b", "q/xa/b", true},
	{"*a%c", "a/abc", true},
	{"*a%c", "a/ab/c", false},
	{"a**b", "axxb", true},
	{"A", "a", false},
};

static void patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (list_match(slice_of(cases[i].pattern), slice_of(cases[i].name)) != cases[i].matches)
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].name);
	}
}

/* The plain definition, exponential and obviously right, to hold the fast one against. */
static bool matches_slowly(struct slice pattern, struct slice name)
{
	if (!pattern.len)
		return !name.len;
	if (pattern.at[0] == '*' || pattern.at[0] == '%') {
		if (matches_slowly(slice_from(pattern, 1), name))
			return true;
		return name.len && (pattern.at[0] == '*' || name.at[0] != '/') &&
		       matches_slowly(pattern, slice_from(name, 1));
	}
	return name.len && pattern.at[0] == name.at[0] && matches_slowly(slice_from(pattern, 1), slice_from(name, 1));
}

static struct slice word_number(unsigned number, const char *alphabet, unsigned letters, char *room)
{
	size_t len = 0;

	for (; number; number /= letters + 1) {
		unsigned digit = number % (letters + 1);

		if (digit)
			room[len++] = alphabet[digit - 1];
	}
	return (struct slice){room, len};
}

static void the_fast_match_is_the_plain_one(void **state)
{
	char pattern_room[16], name_room[16];

	(void)state;
	for (unsigned p = 0; p < 3125; p++) {
		struct slice pattern = word_number(p, "a/*%", 4, pattern_room);

		for (unsigned n = 0; n < 729; n++) {
			struct slice name = word_number(n, "a/", 2, name_room);

			if (list_match(pattern, name) != matches_slowly(pattern, name))
				fail_msg("'%.*s' and '%.*s'", SLICE_ARG(pattern), SLICE_ARG(name));
		}
	}
}

static void a_hostile_pattern_takes_no_time(void **state)
{
	struct buffer pattern = BUFFER_INIT(4096), name = BUFFER_INIT(4096);

	(void)state;
	for (int i = 0; i < 500; i++) {
		buffer_put_text(&pattern, i % 2 ? "*a" : "%a");
		buffer_put_text(&name, "aa");
	}
	buffer_put_byte(&pattern, 'b');
	assert_false(list_match(buffer_slice(&pattern), buffer_slice(&name)));
	buffer_free(&pattern);
	buffer_free(&name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(the_fast_match_is_the_plain_one),
		cmocka_unit_test(a_hostile_pattern_takes_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
