#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "imap/search.h"

struct parsed {
	struct arena *arena;
	struct imap_lexer lexer;
	struct imap_command command;
	const char *problem;
	int error;
};

static void parse(struct parsed *p, struct slice text)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(arena_new(1 << 20, &p->arena), 0);
	p->lexer = (struct imap_lexer){.rest = text, .arena = p->arena, .depth_max = 50, .set_ranges_max = 20000};
	p->error = imap_command_parse(&p->lexer, &p->command, &p->problem);
}

/* The tree in words, for comparing. */
static void describe(struct buffer *b, const struct search_criterion *criterion)
{
	static const char *const names[] = {
		[SEARCH_ALL] = "all",
		[SEARCH_AND] = "and",
		[SEARCH_OR] = "or",
		[SEARCH_NOT] = "not",
		[SEARCH_UIDS] = "uids",
		[SEARCH_FLAGS] = "flags",
		[SEARCH_KEYWORD] = "keyword",
		[SEARCH_BEFORE] = "before",
		[SEARCH_ON] = "on",
		[SEARCH_SINCE] = "since",
		[SEARCH_SENTBEFORE] = "sentbefore",
		[SEARCH_SENTON] = "senton",
		[SEARCH_SENTSINCE] = "sentsince",
		[SEARCH_LARGER] = "larger",
		[SEARCH_SMALLER] = "smaller",
		[SEARCH_MODSEQ] = "modseq",
		[SEARCH_EMAILID] = "emailid",
		[SEARCH_THREADID] = "threadid",
		[SEARCH_HEADER] = "header",
		[SEARCH_BODY] = "body",
		[SEARCH_TEXT] = "text",
	};

	buffer_put_text(b, names[criterion->kind]);
	if (criterion->number)
		buffer_printf(b, ":%llu", (unsigned long long)criterion->number);
	if (criterion->name.len)
		buffer_printf(b, ":%.*s", SLICE_ARG(criterion->name));
	if (criterion->text.len)
		buffer_printf(b, "=%.*s", SLICE_ARG(criterion->text));
	if (!criterion->children)
		return;
	buffer_put_byte(b, '(');
	for (const struct search_criterion *child = criterion->children; child; child = child->next) {
		describe(b, child);
		if (child->next)
			buffer_put_byte(b, ' ');
	}
	buffer_put_byte(b, ')');
}

static void expect(const char *text, const char *tree)
{
	struct parsed p;
	struct buffer b = BUFFER_INIT(1 << 16);

	parse(&p, slice_of(text));
	if (p.error)
		print_error("%s: %s\n", text, p.problem);
	assert_int_equal(p.error, 0);
	describe(&b, p.command.search->criteria);
	assert_string_equal(buffer_text(&b), tree);
	buffer_free(&b);
	arena_free(&p.arena);
}

static void keys_become_criteria(void **state)
{
	(void)state;
	expect("a SEARCH ALL", "and(all)");
	expect("a SEARCH seen UNSEEN", "and(flags:1 not(flags:1))");
	expect("a SEARCH ANSWERED FLAGGED DELETED DRAFT", "and(flags:2 flags:4 flags:8 flags:16)");
	expect("a SEARCH UNANSWERED UNFLAGGED UNDELETED UNDRAFT",
		"and(not(flags:2) not(flags:4) not(flags:8) not(flags:16))");
	expect("a SEARCH KEYWORD $Junk UNKEYWORD Work", "and(keyword=$Junk not(keyword=Work))");
	expect("a SEARCH FROM smith TO \"a b\" CC c BCC d SUBJECT {3}\r\nx)y",
		"and(header:from=smith header:to=a b header:cc=c header:bcc=d header:subject=x)y)");
	expect("a SEARCH HEADER X-Spam \"\" BODY b TEXT t", "and(header:X-Spam body=b text=t)");
	expect("a SEARCH BEFORE 2-Jan-1970 ON \"1-Feb-1994\" SINCE 3-Jan-1970", "and(before:1 on:8797 since:2)");
	expect("a SEARCH SENTBEFORE 2-Jan-1970 SENTON 3-Jan-1970 SENTSINCE 4-Jan-1970",
		"and(sentbefore:1 senton:2 sentsince:3)");
	expect("a SEARCH LARGER 4294967296 SMALLER 10", "and(larger:4294967296 smaller:10)");
	expect("a SEARCH MODSEQ 12 MODSEQ \"/flags/\\\\draft\" all 620162338", "and(modseq:12 modseq:620162338)");
	expect("a SEARCH EMAILID E000000000000002a THREADID nonsense", "and(emailid:42 threadid:18446744073709551615)");
	expect("a SEARCH NEW", "and(not(all))");
	expect("a SEARCH RECENT OLD", "and(not(all) all)");
}

static void keys_nest(void **state)
{
	(void)state;
	expect("a SEARCH OR SEEN NOT (FLAGGED DRAFT)", "and(or(flags:1 not(and(flags:4 flags:16))))");
	expect("a SEARCH (OR (SEEN) DRAFT) 1:3", "and(and(or(and(flags:1) flags:16)) uids)");
	expect("a SEARCH NOT NOT SEEN", "and(not(not(flags:1)))");
}

static void sets_wait_for_the_view(void **state)
{
	struct parsed p;
	const struct search_set *set;

	(void)state;
	parse(&p, SLICE("a SEARCH 2,4:* UID 7 $"));
	assert_int_equal(p.error, 0);
	set = p.command.search->sets;
	assert_true(set->set.saved);
	assert_true(set->next->uid);
	assert_int_equal(set->next->set.ranges[0].first, 7);
	assert_int_equal(set->next->next->set.count, 2);
	assert_null(set->next->next->next);
	arena_free(&p.arena);
}

static void return_options_are_read(void **state)
{
	static const struct {
		const char *text;
		bool extended;
		unsigned returns;
	} cases[] = {
		{"a SEARCH ALL", false, RETURN_ALL},
		{"a SEARCH RETURN () ALL", true, RETURN_ALL},
		{"a SEARCH RETURN (MIN max) ALL", true, RETURN_MIN | RETURN_MAX},
		{"a SEARCH return (COUNT) ALL", true, RETURN_COUNT},
		{"a UID SEARCH RETURN (SAVE) CHARSET UTF-8 ALL", true, RETURN_SAVE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p;

		parse(&p, slice_of(cases[i].text));
		assert_int_equal(p.error, 0);
		assert_int_equal(p.command.search->extended, cases[i].extended);
		assert_int_equal(p.command.search->returns, cases[i].returns);
		arena_free(&p.arena);
	}
}

static void strings_come_in_the_charset_given(void **state)
{
	struct parsed p;

	(void)state;
	expect("a SEARCH CHARSET iso-8859-1 SUBJECT {4}\r\nc\xe4t!", "and(header:subject=c\xc3\xa4t!)");
	expect("a SEARCH CHARSET utf-8 SUBJECT {4}\r\nc\xc3\xa4t", "and(header:subject=c\xc3\xa4t)");
	parse(&p, SLICE("a SEARCH CHARSET x-klingon SUBJECT {2}\r\n\xe4\xe4"));
	assert_int_equal(p.error, 0);
	assert_true(p.command.search->bad_charset);
	arena_free(&p.arena);
}

static void nesting_has_a_limit(void **state)
{
	struct buffer text = BUFFER_INIT(1 << 16);
	struct parsed p;

	(void)state;
	buffer_put_text(&text, "a SEARCH ");
	for (int i = 0; i < 20000; i++)
		buffer_put_byte(&text, '(');
	parse(&p, buffer_slice(&text));
	assert_int_equal(p.error, -ENOBUFS);
	arena_free(&p.arena);
	buffer_reset(&text);
	buffer_put_text(&text, "a SEARCH ");
	for (int i = 0; i < 10000; i++)
		buffer_put_text(&text, "NOT ");
	parse(&p, buffer_slice(&text));
	assert_int_equal(p.error, -ENOBUFS);
	arena_free(&p.arena);
	buffer_free(&text);
}

static void what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {
		"a SEARCH",
		"a SEARCH ",
		"a SEARCH ()",
		"a SEARCH (SEEN",
		"a SEARCH SEEN)",
		"a SEARCH SEEN  DRAFT",
		"a SEARCH FROM",
		"a SEARCH HEADER x",
		"a SEARCH OR SEEN",
		"a SEARCH NOT",
		"a SEARCH BEFORE yesterday",
		"a SEARCH BEFORE 31-Foo-2020",
		"a SEARCH LARGER big",
		"a SEARCH KEYWORD \\Seen",
		"a SEARCH UID",
		"a SEARCH 0",
		"a SEARCH RETURN (FOO) ALL",
		"a SEARCH RETURN ALL",
		"a SEARCH RETURN (MIN",
		"a SEARCH CHARSET",
		"a SEARCH CHARSET UTF-8",
		"a SEARCH MODSEQ \"/flags/x\" 5",
		"a SEARCH MODSEQ \"/flags/x\" some 5",
		"a SEARCH FUZZY SUBJECT x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct parsed p;

		parse(&p, slice_of(wrong[i]));
		if (p.error != -EBADMSG)
			print_error("taken: %s\n", wrong[i]);
		assert_int_equal(p.error, -EBADMSG);
		arena_free(&p.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_criteria),
		cmocka_unit_test(keys_nest),
		cmocka_unit_test(sets_wait_for_the_view),
		cmocka_unit_test(return_options_are_read),
		cmocka_unit_test(strings_come_in_the_charset_given),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests_name("imap: SEARCH as a value", tests, NULL, NULL);
}
