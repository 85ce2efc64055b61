#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "imap/fetch.h"

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
	p->lexer = (struct imap_lexer){
		.rest = text, .arena = p->arena, .depth_max = 50, .set_ranges_max = 20000, .utf8 = false};
	p->error = imap_command_parse(&p->lexer, &p->command, &p->problem);
}

static unsigned items_of(const char *text)
{
	struct parsed p;
	unsigned items;

	parse(&p, slice_of(text));
	assert_int_equal(p.error, 0);
	items = p.command.fetch->items;
	arena_free(&p.arena);
	return items;
}

static void macros_stand_for_their_items(void **state)
{
	(void)state;
	assert_int_equal(items_of("a FETCH 1 FAST"), FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE);
	assert_int_equal(items_of("a FETCH 1 all"), FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_ENVELOPE);
	assert_int_equal(items_of("a FETCH 1 Full"),
		FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY);
}

static void items_are_taken_alone_or_in_a_list(void **state)
{
	(void)state;
	assert_int_equal(items_of("a FETCH 1 FLAGS"), FETCH_FLAGS);
	assert_int_equal(items_of("a FETCH 1:* (uid flags MODSEQ EMAILID THREADID)"),
		FETCH_UID | FETCH_FLAGS | FETCH_MODSEQ | FETCH_EMAILID | FETCH_THREADID);
	assert_int_equal(items_of("a FETCH 1 BODYSTRUCTURE"), FETCH_BODYSTRUCTURE);
	assert_int_equal(items_of("a FETCH 1 BODY"), FETCH_BODY);
	assert_int_equal(items_of("a UID FETCH 1 FLAGS"), FETCH_UID | FETCH_FLAGS);
}

/* What the first body of the command is answered as; "" when there is none. */
static void expect_label(const char *text, const char *label, bool sets_seen)
{
	struct parsed p;
	const struct fetch_body *body;

	parse(&p, slice_of(text));
	if (p.error)
		print_error("%s: %s\n", text, p.problem);
	assert_int_equal(p.error, 0);
	body = p.command.fetch->bodies;
	assert_non_null(body);
	assert_int_equal(body->label.len, strlen(label));
	assert_memory_equal(body->label.at, label, strlen(label));
	assert_int_equal(body->sets_seen, sets_seen);
	assert_int_equal(p.command.fetch->sets_seen, sets_seen);
	arena_free(&p.arena);
}

static void sections_are_named_back(void **state)
{
	(void)state;
	expect_label("a FETCH 1 BODY[]", "BODY[]", true);
	expect_label("a FETCH 1 body.peek[]", "BODY[]", false);
	expect_label("a FETCH 1 BODY[1.2.header]", "BODY[1.2.HEADER]", true);
	expect_label("a FETCH 1 BODY[TEXT]<0.10>", "BODY[TEXT]<0>", true);
	expect_label("a FETCH 1 BODY.PEEK[3.MIME]<17.4>", "BODY[3.MIME]<17>", false);
	expect_label("a FETCH 1 (BODY.PEEK[HEADER.FIELDS (From \"X Y\" TO)])", "BODY[HEADER.FIELDS (From \"X Y\" TO)]",
		false);
	expect_label(
		"a FETCH 1 BODY.PEEK[2.HEADER.FIELDS.NOT (Received)]", "BODY[2.HEADER.FIELDS.NOT (Received)]", false);
	expect_label("a FETCH 1 BINARY[1.2]", "BINARY[1.2]", true);
	expect_label("a FETCH 1 BINARY.PEEK[1]<5.6>", "BINARY[1]<5>", false);
	expect_label("a FETCH 1 BINARY.SIZE[2]", "BINARY.SIZE[2]", false);
	expect_label("a FETCH 1 RFC822", "RFC822", true);
	expect_label("a FETCH 1 RFC822.HEADER", "RFC822.HEADER", false);
	expect_label("a FETCH 1 RFC822.TEXT", "RFC822.TEXT", true);
}

static void a_section_is_read_whole(void **state)
{
	struct parsed p;
	const struct fetch_body *body;

	(void)state;
	parse(&p, SLICE("a FETCH 2:4,9 (BODY.PEEK[4.2.1.HEADER.FIELDS (subject {4}\r\nDate x-odd)]<100.20> UID "
			"BODY[1])"));
	assert_int_equal(p.error, 0);
	assert_int_equal(p.command.fetch->set.count, 2);
	body = p.command.fetch->bodies;
	assert_int_equal(body->section.path_len, 3);
	assert_int_equal(body->section.path[0], 4);
	assert_int_equal(body->section.path[2], 1);
	assert_int_equal(body->section.kind, MAIL_SECTION_HEADER);
	assert_int_equal(body->fields, FIELDS_NAMED);
	assert_int_equal(body->name_count, 3);
	assert_true(slice_equal(body->names[1], SLICE("Date")));
	assert_false(body->names_are_common);
	assert_true(body->partial);
	assert_int_equal(body->offset, 100);
	assert_int_equal(body->count, 20);
	assert_non_null(body->next);
	assert_null(body->next->next);
	assert_true(p.command.fetch->sets_seen);
	arena_free(&p.arena);
}

static void modifiers_are_read(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, SLICE("a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)"));
	assert_int_equal(p.error, 0);
	assert_true(p.command.fetch->has_changed_since);
	assert_true(p.command.fetch->vanished);
	assert_int_equal(p.command.fetch->changed_since, 12345);
	assert_true(p.command.fetch->items & FETCH_MODSEQ);
	arena_free(&p.arena);
}

static void many_field_names_are_kept(void **state)
{
	struct buffer text = BUFFER_INIT(1 << 16);
	struct parsed p;

	(void)state;
	buffer_put_text(&text, "a FETCH 1 BODY[HEADER.FIELDS (f0");
	for (int i = 1; i < 1000; i++)
		buffer_printf(&text, " f%d", i);
	buffer_put_text(&text, ")]");
	parse(&p, buffer_slice(&text));
	assert_int_equal(p.error, 0);
	assert_int_equal(p.command.fetch->bodies->name_count, 1000);
	assert_true(slice_equal(p.command.fetch->bodies->names[999], SLICE("f999")));
	arena_free(&p.arena);
	buffer_free(&text);
}

static void what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {
		"a FETCH",
		"a FETCH 1",
		"a FETCH 1 ",
		"a FETCH 1 ()",
		"a FETCH 0 FLAGS",
		"a FETCH x FLAGS",
		"a FETCH 1 FLAG",
		"a FETCH 1 (FLAGS",
		"a FETCH 1 (FLAGS UID))",
		"a FETCH 1 (ALL)",
		"a FETCH 1 (FLAGS  UID)",
		"a FETCH 1 BODY[",
		"a FETCH 1 BODY[1",
		"a FETCH 1 BODY[0]",
		"a FETCH 1 BODY[1.]",
		"a FETCH 1 BODY[.1]",
		"a FETCH 1 BODY[1.0]",
		"a FETCH 1 BODY[MIME]",
		"a FETCH 1 BODY[HEAD]",
		"a FETCH 1 BODY[HEADER.FIELDS]",
		"a FETCH 1 BODY[HEADER.FIELDS ()]",
		"a FETCH 1 BODY[HEADER.FIELDS (a]",
		"a FETCH 1 BODY[]<>",
		"a FETCH 1 BODY[]<0>",
		"a FETCH 1 BODY[]<0.0>",
		"a FETCH 1 BODY[]<1.2",
		"a FETCH 1 BODY[]<-1.2>",
		"a FETCH 1 BODY[4294967296]",
		"a FETCH 1 BINARY[HEADER]",
		"a FETCH 1 BINARY[1.MIME]",
		"a FETCH 1 BINARY.SIZE[1]<0.1>",
		"a FETCH 1 BODYSTRUCTURE[]",
		"a FETCH 1 FLAGS (CHANGEDSINCE)",
		"a FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
		"a FETCH 1 FLAGS (SOMETHING 1)",
		"a FETCH 1 FLAGS ()",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct parsed p;

		parse(&p, slice_of(wrong[i]));
		if (p.error != -EBADMSG)
			print_error("taken: %s\n", wrong[i]);
		assert_int_equal(p.error, -EBADMSG);
		assert_non_null(p.problem);
		arena_free(&p.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macros_stand_for_their_items),
		cmocka_unit_test(items_are_taken_alone_or_in_a_list),
		cmocka_unit_test(sections_are_named_back),
		cmocka_unit_test(a_section_is_read_whole),
		cmocka_unit_test(modifiers_are_read),
		cmocka_unit_test(many_field_names_are_kept),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests_name("imap: FETCH as a value", tests, NULL, NULL);
}
