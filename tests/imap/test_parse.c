/* Commands of the frame as values; those about messages are in test_parse_messages.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/list.h"

static struct arena *arena;
static struct imap_command command;

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

static int parse(const char *text)
{
	struct imap_lexer l = {.rest = slice_of(text), .arena = arena, .depth_max = 5, .set_ranges_max = 10};
	const char *problem = NULL;
	int error;

	arena_reset(arena);
	error = imap_command_parse(&l, &command, &problem);
	assert_true(!error == !problem);
	return error;
}

static const struct {
	const char *text;
	int error;
	const char *name; /* NULL: no command found */
} commands[] = {
	{"a NOOP", 0, "NOOP"},
	{"a noop", 0, "NOOP"},
	{"A.1]x NOOP", 0, "NOOP"},
	{"a NOOP ", 0, "NOOP"}, /* no harm in a space behind */
	{"a SELECT INBOX  ", 0, "SELECT"},
	{"a SELECT INBOX  (CONDSTORE)", -EBADMSG, "SELECT"},
	{"a NOOP x", -EBADMSG, "NOOP"},
	{"a  NOOP", -EBADMSG, NULL},
	{"a", -EBADMSG, NULL},
	{"a ", -EBADMSG, NULL},
	{"", -EBADMSG, NULL},
	{" NOOP", -EBADMSG, NULL},
	{"+ NOOP", -EBADMSG, NULL},
	{"\"a\" NOOP", -EBADMSG, NULL},
	{"a FROB", -ENOENT, NULL},
	{"a UID NOOP", -ENOENT, NULL},
	{"a UID", -EBADMSG, NULL},
	{"a UID FROB", -ENOENT, NULL},
	{"a LOGIN anything {3}\r\nabc goes", 0, "LOGIN"},
	{"a AUTHENTICATE PLAIN =", 0, "AUTHENTICATE"},
	{"a STARTTLS", 0, "STARTTLS"},
	{"a APPEND INBOX", -EBADMSG, "APPEND"},
	{"a APPEND INBOX \"x\"", -EBADMSG, "APPEND"},
	{"a APPEND INBOX (\\Seen)", -EBADMSG, "APPEND"},
	{"a SELECT", -EBADMSG, "SELECT"},
	{"a SELECT INBOX x", -EBADMSG, "SELECT"},
	{"a SELECT INBOX ()", -EBADMSG, "SELECT"},
	{"a SELECT INBOX (FROB)", -EBADMSG, "SELECT"},
	{"a SELECT INBOX (QRESYNC (1))", -EBADMSG, "SELECT"},
	{"a SELECT INBOX (QRESYNC (0 1))", -EBADMSG, "SELECT"},
	{"a SELECT INBOX (QRESYNC (1 2 1:*))", -EBADMSG, "SELECT"},
	{"a SELECT INBOX (QRESYNC (1 2 $))", -EBADMSG, "SELECT"},
	{"a CREATE x (USE)", -EBADMSG, "CREATE"},
	{"a CREATE x (USE (Sent))", -EBADMSG, "CREATE"},
	{"a CREATE x (FROB (\\Sent))", -EBADMSG, "CREATE"},
	{"a RENAME x", -EBADMSG, "RENAME"},
	{"a STATUS INBOX ()", -EBADMSG, "STATUS"},
	{"a STATUS INBOX (FROB)", -EBADMSG, "STATUS"},
	{"a STATUS INBOX MESSAGES", -EBADMSG, "STATUS"},
	{"a ID", -EBADMSG, "ID"},
	{"a ID ()", 0, "ID"},
	{"a ID (\"name\")", -EBADMSG, "ID"},
	{"a ID (\"name\" \"x\" )", 0, "ID"}, /* no harm in a space more */
	{"a ENABLE", -EBADMSG, "ENABLE"},
	{"a LIST \"\"", -EBADMSG, "LIST"},
	{"a LIST \"\" (", -EBADMSG, "LIST"},
	{"a LIST (RECURSIVEMATCH) \"\" *", -EBADMSG, "LIST"},
	{"a LIST (REMOTE RECURSIVEMATCH) \"\" *", -EBADMSG, "LIST"},
	{"a LIST (FROB) \"\" *", -EBADMSG, "LIST"},
	{"a LIST \"\" * RETURN (FROB)", -EBADMSG, "LIST"},
	{"a LIST \"\" * FROB", -EBADMSG, "LIST"},
	{"a LIST \"\" * RETURN (STATUS)", -EBADMSG, "LIST"},
	{"a LSUB \"\" * RETURN (CHILDREN)", -EBADMSG, "LSUB"},
};

static void every_command_has_its_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		int error = parse(commands[i].text);

		if (error != commands[i].error)
			fail_msg("'%s': %d", commands[i].text, error);
		if (!command.info != !commands[i].name ||
			(command.info && !slice_equal(slice_of(command.info->name), slice_of(commands[i].name))))
			fail_msg("'%s': taken for another command", commands[i].text);
	}
}

static void the_tag_is_known_when_the_rest_is_not(void **state)
{
	(void)state;
	assert_int_equal(parse("tag7 FROB"), -ENOENT);
	assert_true(slice_equal(command.tag, SLICE("tag7")));
	assert_int_equal(parse("tag7 SELECT"), -EBADMSG);
	assert_true(slice_equal(command.tag, SLICE("tag7")));
}

static void select_with_what_the_client_knows(void **state)
{
	const struct imap_select_args *args = &command.select;

	(void)state;
	assert_int_equal(parse("a SELECT inbox (CONDSTORE)"), 0);
	assert_true(slice_equal(args->mailbox, SLICE("INBOX")));
	assert_true(args->condstore);
	assert_false(args->qresync);
	assert_int_equal(parse("a EXAMINE x (QRESYNC (7 99 1:5,9 (1,5 2:3)) CONDSTORE)"), 0);
	assert_true(args->condstore && args->qresync);
	assert_int_equal(args->uidvalidity, 7);
	assert_int_equal(args->modseq, 99);
	assert_int_equal(args->known_uids.count, 2);
	assert_int_equal(args->match_seqs.count, 2);
	assert_int_equal(args->match_uids.count, 1);
	assert_int_equal(parse("a SELECT x (QRESYNC (7 99))"), 0);
	assert_int_equal(args->known_uids.count, 0);
	assert_int_equal(parse("a SELECT x (QRESYNC (7 99 (1 2)))"), 0);
	assert_int_equal(args->known_uids.count, 0);
	assert_int_equal(args->match_uids.count, 1);
}

static void create_for_a_use(void **state)
{
	(void)state;
	assert_int_equal(parse("a CREATE \"x y\" (USE (\\sent \\Drafts))"), 0);
	assert_int_equal(command.create.special_use, SPECIAL_SENT | SPECIAL_DRAFTS);
	assert_false(command.create.unknown_use);
	assert_int_equal(parse("a CREATE x (USE (\\All))"), 0);
	assert_true(command.create.unknown_use);
	assert_int_equal(parse("a CREATE x (USE ())"), 0);
	assert_int_equal(command.create.special_use, 0);
}

static void enable_knows_what_it_knows(void **state)
{
	(void)state;
	assert_int_equal(parse("a ENABLE X-FROB condstore"), 0);
	assert_int_equal(command.enable, ENABLED_CONDSTORE);
	assert_int_equal(parse("a ENABLE QRESYNC UTF8=ACCEPT IMAP4rev2"), 0);
	assert_int_equal(command.enable, ENABLED_CONDSTORE | ENABLED_QRESYNC | ENABLED_UTF8 | ENABLED_REV2);
}

static void id_names_the_client(void **state)
{
	(void)state;
	assert_int_equal(parse("a ID (\"Name\" \"Mutt\" \"version\" \"2\" \"os\" NIL)"), 0);
	assert_true(slice_equal(command.id.name, SLICE("Mutt")));
	assert_true(slice_equal(command.id.version, SLICE("2")));
	assert_int_equal(parse("a ID NIL"), 0);
	assert_int_equal(command.id.name.len, 0);
}

static void status_items(void **state)
{
	(void)state;
	assert_int_equal(parse("a STATUS INBOX (messages SIZE MAILBOXID)"), 0);
	assert_int_equal(command.status.items, STATUS_MESSAGES | STATUS_SIZE | STATUS_MAILBOXID);
}

static void plain_list(void **state)
{
	(void)state;
	assert_int_equal(parse("a LIST \"\" \"\""), 0);
	assert_true(command.list->root);
	assert_int_equal(parse("a LIST a/ %"), 0);
	assert_false(command.list->root || command.list->extended);
	assert_int_equal(command.list->pattern_count, 1);
	assert_true(slice_equal(command.list->patterns[0], SLICE("a/%")));
	assert_int_equal(parse("a LIST \"\" inbox*"), 0);
	assert_true(slice_equal(command.list->patterns[0], SLICE("INBOX*")));
	assert_int_equal(parse("a LIST \"\" inboxes"), 0);
	assert_true(slice_equal(command.list->patterns[0], SLICE("inboxes")));
}

static void extended_list(void **state)
{
	const struct imap_list *list;

	(void)state;
	assert_int_equal(parse("a LIST (SUBSCRIBED REMOTE RECURSIVEMATCH) \"\" (\"\" a \"b*\") RETURN (CHILDREN STATUS "
			       "(UNSEEN) SPECIAL-USE)"),
		0);
	list = command.list;
	assert_true(list->extended && list->select_subscribed && list->recursive_match && list->return_subscribed);
	assert_false(list->root || list->select_special_use);
	assert_int_equal(list->pattern_count, 2);
	assert_int_equal(list->status_items, STATUS_UNSEEN);
	assert_int_equal(parse("a LIST () \"\" \"\""), 0);
	assert_false(command.list->root);
	assert_int_equal(command.list->pattern_count, 0);
	assert_int_equal(parse("a LIST (SPECIAL-USE) \"\" * RETURN ()"), 0);
	assert_true(command.list->select_special_use);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_has_its_form),
		cmocka_unit_test(the_tag_is_known_when_the_rest_is_not),
		cmocka_unit_test(select_with_what_the_client_knows),
		cmocka_unit_test(create_for_a_use),
		cmocka_unit_test(enable_knows_what_it_knows),
		cmocka_unit_test(id_names_the_client),
		cmocka_unit_test(status_items),
		cmocka_unit_test(plain_list),
		cmocka_unit_test(extended_list),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
