#include "base/arena.h"
#include "mail_test.h"

static const char text[] =
	"Subject: outer\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\nContent-Type: message/rfc822\n\n"
	"Subject: inner\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\ntwo.one\n--y\n\ntwo.two\n--y--\n"
	"--x\nContent-Type: message/rfc822\n\nSubject: leaf\n\nthree\n--x--\n";

static void expect_section(const struct parsed *p, const char *numbers, enum mail_section_kind kind, const char *wanted)
{
	uint32_t path[8];
	struct mail_section section = {path, 0, kind};
	const struct mail_part *part;
	uint64_t at = 1, bytes = 2;

	for (; *numbers; numbers++)
		if (*numbers != '.')
			path[section.path_len++] = (uint32_t)(*numbers - '0');
	if (!wanted) {
		assert_int_equal(mail_section_find(p->message, &section, &at, &bytes, &part), -ENOENT);
		assert_true(at == 1 && bytes == 2);
		return;
	}
	assert_int_equal(mail_section_find(p->message, &section, &at, &bytes, &part), 0);
	expect_slice(slice_first(slice_from(buffer_slice(&p->canonical), at), bytes), wanted);
	assert_true((part != NULL) == (kind == MAIL_SECTION_ALL && section.path_len));
}

static void expect_all_sections(const struct parsed *p)
{
	expect_section(p, "1", MAIL_SECTION_ALL, "one");
	expect_section(p, "1", MAIL_SECTION_MIME, "\r\n");
	expect_section(p, "1", MAIL_SECTION_HEADER, NULL);
	expect_section(p, "1", MAIL_SECTION_TEXT, NULL);
	expect_section(p, "1.1", MAIL_SECTION_ALL, NULL);
	expect_section(p, "2", MAIL_SECTION_MIME, "Content-Type: message/rfc822\r\n\r\n");
	expect_section(
		p, "2", MAIL_SECTION_HEADER, "Subject: inner\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n");
	expect_section(p, "2", MAIL_SECTION_TEXT, "--y\r\n\r\ntwo.one\r\n--y\r\n\r\ntwo.two\r\n--y--");
	expect_section(p, "2.1", MAIL_SECTION_ALL, "two.one");
	expect_section(p, "2.2", MAIL_SECTION_ALL, "two.two");
	expect_section(p, "2.3", MAIL_SECTION_ALL, NULL);
	expect_section(p, "2.0", MAIL_SECTION_ALL, NULL);
	expect_section(p, "3", MAIL_SECTION_ALL, "Subject: leaf\r\n\r\nthree");
	expect_section(p, "3.1", MAIL_SECTION_ALL, "three");
	expect_section(p, "3.1", MAIL_SECTION_MIME, "Subject: leaf\r\n\r\n");
	expect_section(p, "3.2", MAIL_SECTION_ALL, NULL);
	expect_section(p, "3.1.1", MAIL_SECTION_ALL, NULL);
	expect_section(p, "4", MAIL_SECTION_ALL, NULL);
	expect_section(
		p, "", MAIL_SECTION_HEADER, "Subject: outer\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n");
}

static void every_section(void **state UNUSED)
{
	struct parsed p;

	parse(&p, text);
	expect_all_sections(&p);
	parsed_close(&p);
	parse(&p, "Subject: s\n\nbody\n");
	expect_section(&p, "", MAIL_SECTION_ALL, "Subject: s\r\n\r\nbody\r\n");
	expect_section(&p, "", MAIL_SECTION_TEXT, "body\r\n");
	expect_section(&p, "1", MAIL_SECTION_ALL, "body\r\n");
	expect_section(&p, "2", MAIL_SECTION_ALL, NULL);
	parsed_close(&p);
}

/* BODYSTRUCTURE shows an empty text there, which a client may ask for. */
static void a_multipart_without_parts_has_an_empty_one(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\nno part\n");
	expect_section(&p, "1", MAIL_SECTION_ALL, "");
	expect_section(&p, "1", MAIL_SECTION_MIME, "");
	expect_section(&p, "1", MAIL_SECTION_TEXT, NULL);
	expect_section(&p, "1.1", MAIL_SECTION_ALL, NULL);
	expect_section(&p, "2", MAIL_SECTION_ALL, NULL);
	parsed_close(&p);
}

static void the_stored_form_answers_the_same(void **state UNUSED)
{
	struct buffer packed = BUFFER_INIT(1 << 20), again = BUFFER_INIT(1 << 20);
	struct mail_message message, brief;
	struct arena *arena;
	struct parsed p;

	parse(&p, text);
	mail_pack(p.message, &packed);
	assert_int_equal(arena_new(1 << 20, &arena), 0);
	assert_int_equal(mail_unpack(buffer_slice(&packed), arena, &message), 0);
	p.message = &message;
	expect_all_sections(&p);
	mail_pack(&message, &again);
	assert_true(slice_equal(buffer_slice(&packed), buffer_slice(&again)));
	assert_int_equal(mail_unpack_brief(buffer_slice(&packed), &brief), 0);
	assert_true(slice_equal(brief.envelope, message.envelope));
	assert_true(brief.part_count == 0 && brief.parts == NULL);
	assert_int_equal(
		mail_unpack_front(
			slice_first(buffer_slice(&packed), mail_packed_front_bytes(buffer_slice(&packed))), &brief),
		0);
	assert_true(slice_equal(brief.envelope, message.envelope) && slice_equal(brief.structure, message.structure));
	for (size_t len = 0; len < packed.len; len++) {
		arena_reset(arena);
		assert_int_equal(mail_unpack(slice_first(buffer_slice(&packed), len), arena, &message), -EBADMSG);
	}
	arena_free(&arena);
	assert_int_equal(arena_new(64, &arena), 0);
	assert_int_equal(mail_unpack(buffer_slice(&packed), arena, &message), -ENOBUFS);
	arena_free(&arena);
	buffer_free(&packed);
	buffer_free(&again);
	parsed_close(&p);
}

static void fields(void **state UNUSED)
{
	static const struct slice names[] = {{"TO", 2}, {"x-long", 6}};
	struct slice header = SLICE("From: a\r\nTo : b\r\nno colon\r\nX-Long: c\r\n\td\r\n : e\r\nto:\r\n\r\n");
	struct buffer out = BUFFER_INIT(4096);
	struct mail_field field;
	struct slice rest = header;

	mail_fields_select(header, names, 2, false, &out);
	expect_slice(buffer_slice(&out), "To : b\r\nX-Long: c\r\n\td\r\n : e\r\nto:\r\n\r\n");
	buffer_reset(&out);
	mail_fields_select(header, names, 2, true, &out);
	expect_slice(buffer_slice(&out), "From: a\r\nno colon\r\n\r\n");
	buffer_reset(&out);
	mail_fields_select(SLICE("From: a\r\n"), names, 2, false, &out);
	expect_slice(buffer_slice(&out), "");
	assert_true(mail_field_next(&rest, &field) && mail_field_next(&rest, &field));
	expect_slice(field.name, "To");
	expect_slice(field.value, " b");
	assert_true(mail_field_next(&rest, &field) && field.name.len == 0);
	assert_true(mail_field_next(&rest, &field));
	expect_slice(field.value, " c\r\n\td\r\n : e");
	assert_true(mail_field_next(&rest, &field) && !mail_field_next(&rest, &field));
	expect_slice(rest, "\r\n");
	buffer_free(&out);
}

static void common_fields_are_kept(void **state UNUSED)
{
	struct mail_limits limits = mail_limits_default;
	struct parsed p;

	for (size_t i = 0; mail_common_fields[i]; i++)
		assert_true(mail_field_is_common(slice_of(mail_common_fields[i])));
	assert_true(mail_field_is_common(SLICE("SUBJECT")) && !mail_field_is_common(SLICE("received")));
	limits.common_max = 24;
	parsed_open(&p, SLICE("Received: x\nTo: b@example.org\n\n"), &limits, SIZE_MAX);
	expect_slice(p.message->common, "To: b@example.org\r\n\r\n");
	assert_true(mail_common_is_complete(p.message));
	parsed_close(&p);
	parsed_open(&p, SLICE("To: b@example.org\nCc: c@example.org\n\n"), &limits, SIZE_MAX);
	assert_false(mail_common_is_complete(p.message));
	parsed_close(&p);
}

static void canonical_line_ends(void **state UNUSED)
{
	struct slice raw = SLICE("a\nb\r\nc\rd\r\r\n\n");

	for (size_t piece = 1; piece <= raw.len; piece++) {
		struct buffer out = BUFFER_INIT(64);
		struct mail_canon canon = {0};

		for (struct slice rest = raw; rest.len; rest = slice_from(rest, piece))
			mail_canon_feed(&canon, slice_first(rest, piece), &out);
		expect_slice(buffer_slice(&out), "a\r\nb\r\nc\rd\r\r\n\r\n");
		buffer_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_section),
		cmocka_unit_test(a_multipart_without_parts_has_an_empty_one),
		cmocka_unit_test(the_stored_form_answers_the_same),
		cmocka_unit_test(fields),
		cmocka_unit_test(common_fields_are_kept),
		cmocka_unit_test(canonical_line_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
