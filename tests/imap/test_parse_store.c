#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "imap/command.h"

struct parsed {
	struct arena *arena;
	struct imap_lexer lexer;
	struct imap_command command;
	const char *problem;
	int error;
};

static void parse(struct parsed *p, const char *text)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(arena_new(1 << 20, &p->arena), 0);
	p->lexer = (struct imap_lexer){
		.rest = slice_of(text), .arena = p->arena, .depth_max = 50, .set_ranges_max = 20000};
	p->error = imap_command_parse(&p->lexer, &p->command, &p->problem);
}

static void store_tells_how_flags_change(void **state)
{
	static const struct {
		const char *text;
		enum flags_mode mode;
		bool silent;
		unsigned flags;
		size_t keywords;
	} cases[] = {
		{"a STORE 1 FLAGS (\\Seen)", FLAGS_REPLACE, false, FLAG_SEEN, 0},
		{"a STORE 1 flags ()", FLAGS_REPLACE, false, 0, 0},
		{"a STORE 1 +FLAGS \\Deleted", FLAGS_ADD, false, FLAG_DELETED, 0},
		{"a STORE 1 +Flags.Silent (\\Deleted $Junk)", FLAGS_ADD, true, FLAG_DELETED, 1},
		{"a STORE 1 -FLAGS.SILENT \\Seen \\Flagged work", FLAGS_REMOVE, true, FLAG_SEEN | FLAG_FLAGGED, 1},
		{"a UID STORE 1:* -FLAGS (a b c)", FLAGS_REMOVE, false, 0, 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p;

		parse(&p, cases[i].text);
		if (p.error)
			print_error("%s: %s\n", cases[i].text, p.problem);
		assert_int_equal(p.error, 0);
		assert_int_equal(p.command.store.mode, cases[i].mode);
		assert_int_equal(p.command.store.silent, cases[i].silent);
		assert_int_equal(p.command.store.flags.flags, cases[i].flags);
		assert_int_equal(p.command.store.flags.keyword_count, cases[i].keywords);
		assert_true(p.command.store.unchanged_since == UINT64_MAX);
		arena_free(&p.arena);
	}
}

static void store_takes_a_condition(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "a STORE 7,5 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)");
	assert_int_equal(p.error, 0);
	assert_int_equal(p.command.store.unchanged_since, 320162338);
	assert_int_equal(p.command.store.set.count, 2);
	arena_free(&p.arena);
}

static void copy_and_expunge_take_sets(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "a UID MOVE 3:* inbox");
	assert_int_equal(p.error, 0);
	assert_true(slice_equal(p.command.copy.mailbox, SLICE("INBOX")));
	arena_free(&p.arena);
	parse(&p, "a UID EXPUNGE 3:4");
	assert_int_equal(p.error, 0);
	assert_int_equal(p.command.set.ranges[0].last, 4);
	arena_free(&p.arena);
	parse(&p, "a EXPUNGE");
	assert_int_equal(p.error, 0);
	arena_free(&p.arena);
}

static void what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {
		"a STORE 1 FLAGS",
		"a STORE 1 FLAGS ",
		"a STORE 1 (\\Seen)",
		"a STORE 1 *FLAGS (\\Seen)",
		"a STORE 1 FLAGS (\\Seen",
		"a STORE 1 FLAGS (\\Unheard)",
		"a STORE 1 FLAGS.LOUD (\\Seen)",
		"a STORE 1 (UNCHANGEDSINCE) FLAGS (\\Seen)",
		"a STORE 1 (CHANGEDSINCE 4) FLAGS (\\Seen)",
		"a STORE 1 (UNCHANGEDSINCE 1)FLAGS (\\Seen)",
		"a COPY 1",
		"a COPY 1 a b",
		"a COPY x a",
		"a EXPUNGE 1",
		"a UID EXPUNGE",
		"a UID EXPUNGE 0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct parsed p;

		parse(&p, wrong[i]);
		if (p.error != -EBADMSG)
			print_error("taken: %s\n", wrong[i]);
		assert_int_equal(p.error, -EBADMSG);
		arena_free(&p.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(store_tells_how_flags_change),
		cmocka_unit_test(store_takes_a_condition),
		cmocka_unit_test(copy_and_expunge_take_sets),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests_name("imap: STORE, COPY and EXPUNGE as values", tests, NULL, NULL);
}
