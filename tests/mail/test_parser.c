#include "mail_test.h"

static void plain_message(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "From: ann@example.org\nSubject: Hello\n\nFirst line\nsecond\n");
	assert_int_equal(p.message->part_count, 1);
	expect_slice(part_header(&p, 0), "From: ann@example.org\r\nSubject: Hello\r\n\r\n");
	expect_slice(part_body(&p, 0), "First line\r\nsecond\r\n");
	assert_int_equal(p.message->parts[0].header_lines, 3);
	assert_int_equal(p.message->parts[0].body_lines, 2);
	expect_slice(p.message->parts[0].type, "text");
	expect_slice(p.message->parts[0].subtype, "plain");
	expect_slice(p.message->parts[0].charset, "us-ascii");
	expect_slice(p.message->preview, "First line second");
	assert_false(p.message->has_attachment || p.message->has_nul || p.message->has_8bit || p.message->has_date);
	parsed_close(&p);
}

static const char nested[] = "MIME-Version: 1.0\n"
			     "Content-Type: multipart/mixed; boundary=outer\n"
			     "\n"
			     "preamble\n"
			     "--outer\n"
			     "Content-Type: multipart/alternative; boundary=\"in ner\"\n"
			     "\n"
			     "--in ner\n"
			     "\n"
			     "plain\n"
			     "--in ner  \n"
			     "Content-Type: TEXT/HTML; charset=UTF-8\n"
			     "\n"
			     "<b>html</b>\n"
			     "--in ner--\n"
			     "--outer\n"
			     "Content-Type: message/rfc822\n"
			     "\n"
			     "Subject: inside\n"
			     "\n"
			     "of it\n"
			     "--outer\n"
			     "Content-Type: application/pdf; name=\"a b.pdf\"\n"
			     "Content-Transfer-Encoding: base64\n"
			     "Content-Disposition: attachment\n"
			     "\n"
			     "AAAA\n"
			     "\n"
			     "--outer--\n"
			     "epilogue\n";

static void expect_nested(const struct parsed *p)
{
	const struct mail_part *parts = p->message->parts;

	assert_int_equal(p->message->part_count, 7);
	assert_int_equal(parts[0].children, 3);
	assert_int_equal(parts[1].children, 2);
	assert_int_equal(parts[1].next, 4);
	assert_int_equal(parts[4].next, 6);
	assert_int_equal(parts[6].next, 0);
	assert_int_equal(parts[5].parent, 4);
	assert_int_equal(parts[4].kind, MAIL_MESSAGE);
	expect_slice(part_body(p, 1),
		"--in ner\r\n\r\nplain\r\n--in ner  \r\nContent-Type: TEXT/HTML; charset=UTF-8\r\n\r\n"
		"<b>html</b>\r\n--in ner--");
	expect_slice(part_body(p, 2), "plain");
	expect_slice(part_body(p, 3), "<b>html</b>");
	expect_slice(part_body(p, 4), "Subject: inside\r\n\r\nof it");
	expect_slice(part_header(p, 5), "Subject: inside\r\n\r\n");
	expect_slice(part_body(p, 5), "of it");
	expect_slice(part_body(p, 6), "AAAA\r\n");
	expect_slice(parts[3].subtype, "html");
	expect_slice(parts[6].filename, "a b.pdf");
	assert_int_equal(parts[6].encoding, MAIL_BASE64);
	assert_true(parts[6].attachment && p->message->has_attachment);
	assert_int_equal(parts[2].body_lines, 0);
	assert_int_equal(parts[6].body_lines, 1);
	expect_slice(p->message->preview, "plain");
}

static void nested_parts_whatever_the_piece_size(void **state UNUSED)
{
	for (size_t piece = 1; piece < sizeof(nested); piece++) {
		struct parsed p;

		parsed_open(&p, slice_of(nested), &mail_limits_default, piece);
		expect_nested(&p);
		parsed_close(&p);
	}
}

static void empty_message_and_header_only(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "");
	assert_int_equal(p.message->part_count, 1);
	assert_int_equal(p.message->bytes, 0);
	expect_slice(p.message->envelope, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	parsed_close(&p);
	parse(&p, "Subject: no blank line\n");
	expect_slice(part_header(&p, 0), "Subject: no blank line\r\n");
	expect_slice(part_body(&p, 0), "");
	parsed_close(&p);
	parse(&p, "\nbody only");
	expect_slice(part_header(&p, 0), "\r\n");
	expect_slice(part_body(&p, 0), "body only");
	assert_int_equal(p.message->parts[0].body_lines, 0);
	parsed_close(&p);
}

static void a_boundary_may_begin_with_another(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=xy\n\n"
		  "--xy\n\none\n--xy\n\ntwo\n--xy--\n--x\n\nthree\n--x--\n");
	assert_int_equal(p.message->part_count, 5);
	expect_slice(part_body(&p, 2), "one");
	expect_slice(part_body(&p, 3), "two");
	expect_slice(part_body(&p, 4), "three");
	parsed_close(&p);
}

static void missing_boundaries(void **state UNUSED)
{
	struct parsed p;

	/* No end: the last part reaches to the end of the message. */
	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\n\ntwo\n");
	assert_int_equal(p.message->part_count, 3);
	expect_slice(part_body(&p, 2), "two\r\n");
	parsed_close(&p);
	/* The inner one never ends: the outer one ends it. */
	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n"
		  "--y\n\none\n--x\n\ntwo\n--x--\n");
	assert_int_equal(p.message->part_count, 4);
	expect_slice(part_body(&p, 2), "one");
	expect_slice(part_body(&p, 3), "two");
	parsed_close(&p);
	/* No boundary parameter: plain text. */
	parse(&p, "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--x\n\none\n");
	assert_int_equal(p.message->part_count, 1);
	assert_int_equal(p.message->parts[0].kind, MAIL_LEAF);
	expect_slice(p.message->parts[0].type, "text");
	parsed_close(&p);
	/* It never comes. */
	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\nnothing\n");
	assert_int_equal(p.message->part_count, 1);
	assert_int_equal(p.message->parts[0].kind, MAIL_MULTIPART);
	expect_slice(p.message->structure,
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"
		" \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)");
	parsed_close(&p);
}

static void a_boundary_may_cut_a_header(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n--x\nSubject: "
		  "s\n\n--x\n--x--\n");
	assert_int_equal(p.message->part_count, 5);
	expect_slice(part_header(&p, 1), "Content-Type: message/rfc822");
	assert_int_equal(p.message->parts[1].kind, MAIL_MESSAGE);
	assert_int_equal(p.message->parts[2].parent, 1);
	expect_slice(part_header(&p, 2), "");
	/* The line end after the header belongs to the boundary that follows at once (RFC 2046 §5.1.1). */
	expect_slice(part_header(&p, 3), "Subject: s\r\n");
	expect_slice(part_header(&p, 4), "");
	parsed_close(&p);
}

static void an_empty_message_inside(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n--x--\n");
	assert_int_equal(p.message->part_count, 3);
	expect_slice(part_header(&p, 1), "Content-Type: message/rfc822\r\n");
	assert_int_equal(p.message->parts[1].body_bytes, 0);
	assert_int_equal(p.message->parts[2].header_at, p.message->parts[1].body_at);
	parsed_close(&p);
}

static void a_digest_is_of_messages(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: one\n\nbody\n--x\nContent-Type: "
		  "text/plain\n\n"
		  "two\n--x--\n");
	assert_int_equal(p.message->part_count, 4);
	assert_int_equal(p.message->parts[1].kind, MAIL_MESSAGE);
	expect_slice(p.message->parts[1].subtype, "rfc822");
	expect_slice(part_body(&p, 2), "body");
	assert_int_equal(p.message->parts[3].kind, MAIL_LEAF);
	parsed_close(&p);
}

static void strange_bytes_survive(void **state UNUSED)
{
	static const char text[] = "From foo@example.org Mon Jan  1 00:00:00 2024\n"
				   "no colon here\n"
				   "Subject: a\0b\n"
				   "X-\xff: \xfe\n"
				   "\n"
				   "\0\r bare \xe9\r\n--\n";
	struct parsed p;

	parsed_open(&p, slice_make(text, sizeof(text) - 1), &mail_limits_default, SIZE_MAX);
	assert_true(p.message->has_nul && p.message->has_8bit);
	assert_int_equal(part_body(&p, 0).len, sizeof("\0\r bare \xe9\r\n--\r\n") - 1);
	expect_slice(slice_first(p.message->envelope, 13), "(NIL {5}\r\na\xef\xbf");
	parsed_close(&p);
}

static void a_line_of_a_megabyte(void **state UNUSED)
{
	struct buffer text = BUFFER_INIT(8 << 20);
	struct parsed p;

	buffer_put_text(&text, "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n--");
	for (size_t i = 0; i < 1 << 20; i++)
		buffer_put_byte(&text, 'y');
	buffer_put_text(&text, "\n--x--\n");
	for (size_t piece = 700; piece < 3 << 20; piece *= 37) {
		parsed_open(&p, buffer_slice(&text), &mail_limits_default, piece);
		assert_int_equal(p.message->part_count, 2);
		assert_int_equal(p.message->parts[1].body_bytes, (1 << 20) + 2);
		parsed_close(&p);
	}
	buffer_free(&text);
}

static void deep_nesting_ends_in_a_leaf(void **state UNUSED)
{
	struct buffer text = BUFFER_INIT(1 << 20), brief = BUFFER_INIT(1 << 20);
	const struct mail_part *last;
	struct parsed p;

	for (int i = 0; i < 1000; i++)
		buffer_printf(&text, "Content-Type: multipart/mixed; boundary=b%d.\n\n--b%d.\n", i, i);
	buffer_put_text(&text, "\nend\n");
	parsed_open(&p, buffer_slice(&text), &mail_limits_default, 4096);
	assert_int_equal(p.message->part_count, mail_limits_default.depth_max + 1);
	last = &p.message->parts[mail_limits_default.depth_max];
	assert_int_equal(last->kind, MAIL_LEAF);
	expect_slice(last->subtype, "octet-stream");
	assert_int_equal(last->body_at + last->body_bytes, p.message->bytes);
	assert_int_equal(mail_structure_brief(p.message->structure, &brief), 0);
	parsed_close(&p);
	buffer_reset(&text);
	for (int i = 0; i < 1000; i++)
		buffer_put_text(&text, "Content-Type: message/rfc822\n\n");
	parsed_open(&p, buffer_slice(&text), &mail_limits_default, 4096);
	assert_int_equal(p.message->part_count, mail_limits_default.depth_max + 1);
	parsed_close(&p);
	buffer_free(&text);
	buffer_free(&brief);
}

static void limits_on_parts_and_headers(void **state UNUSED)
{
	struct mail_limits limits = mail_limits_default;
	struct parsed p;

	limits.parts_max = 3;
	parsed_open(&p,
		SLICE("Content-Type: multipart/mixed; "
		      "boundary=x\n\n--x\n\none\n--x\n\ntwo\n--x\n\nthree\n--x--\nend\n"),
		&limits, SIZE_MAX);
	assert_int_equal(p.message->part_count, 3);
	expect_slice(part_body(&p, 2), "two\r\n--x\r\n\r\nthree");
	parsed_close(&p);
	limits = mail_limits_default;
	limits.header_bytes_max = 30;
	parsed_open(&p, SLICE("From: ann@example.org\nSubject: beyond the limit\n\nbody\n"), &limits, SIZE_MAX);
	expect_slice(part_body(&p, 0), "body\r\n");
	assert_false(mail_common_is_complete(p.message));
	parsed_close(&p);
	limits = mail_limits_default;
	limits.fields_max = 1;
	parsed_open(&p, SLICE("From: ann@example.org\nSubject: beyond the limit\n\nbody\n"), &limits, SIZE_MAX);
	expect_slice(p.message->common, "From: ann@example.org\r\n\r\n");
	assert_false(mail_common_is_complete(p.message));
	parsed_close(&p);
}

static void without_mime_the_content_fields_mean_nothing(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Content-Transfer-Encoding: base64\n\nYQ==\n");
	assert_int_equal(p.message->parts[0].encoding, MAIL_7BIT);
	parsed_close(&p);
	parse(&p, "Mime-Version: 1.0\nContent-Transfer-Encoding: Base64\n\nYQ==\n");
	assert_int_equal(p.message->parts[0].encoding, MAIL_BASE64);
	expect_slice(p.message->preview, "a");
	parsed_close(&p);
	parse(&p, "Content-Type: application-x-gzip\nContent-Transfer-Encoding: x-odd\n\nYQ==\n");
	expect_slice(p.message->parts[0].type, "text");
	assert_int_equal(p.message->parts[0].encoding, MAIL_UNKNOWN);
	parsed_close(&p);
}

static void what_threads_are_made_of(void **state UNUSED)
{
	struct parsed p;

	parse(&p, "Message-ID: (c) <1@example.org>\nIn-Reply-To: <9@example.org>\n"
		  "References: <a@example.org>\n <b@\n example.org> junk <> <c\nSubject: Re: [list] "
		  "=?utf-8?q?gr=C3=BCn?= (fwd)\n"
		  "Date: Mon, 1 Jan 2024 12:00:00 +0130\n\n");
	expect_slice(p.message->message_id, "<1@example.org>");
	assert_int_equal(p.message->reference_count, 2);
	expect_slice(p.message->references[0], "<a@example.org>");
	expect_slice(p.message->references[1], "<b@example.org>");
	expect_slice(p.message->subject, "gr\xc3\xbcn");
	assert_true(p.message->has_date);
	assert_int_equal(p.message->date, 1704105000);
	assert_int_equal(p.message->date_zone, 90);
	parsed_close(&p);
	parse(&p, "In-Reply-To: Your message of <x@example.org> <y@example.org>\n\n");
	assert_int_equal(p.message->reference_count, 1);
	expect_slice(p.message->references[0], "<x@example.org>");
	parsed_close(&p);
}

static void many_references_keep_both_ends(void **state UNUSED)
{
	struct buffer text = BUFFER_INIT(1 << 20);
	struct parsed p;

	buffer_put_text(&text, "References:");
	for (int i = 0; i < 1000; i++)
		buffer_printf(&text, " <%d@example.org>\n", i);
	buffer_put_text(&text, "\n");
	parsed_open(&p, buffer_slice(&text), &mail_limits_default, SIZE_MAX);
	assert_int_equal(p.message->reference_count, 200);
	expect_slice(p.message->references[0], "<0@example.org>");
	expect_slice(p.message->references[1], "<801@example.org>");
	expect_slice(p.message->references[199], "<999@example.org>");
	parsed_close(&p);
	buffer_free(&text);
}

static void the_preview_is_what_a_person_reads(void **state UNUSED)
{
	struct parsed p;

	parse(&p,
		"Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
		"<html><head><title>no</title><style>p {}</style></head><p>gr=FCn &amp;\n  =\nblau<script>x</script>");
	expect_slice(p.message->preview, "gr\xc3\xbcn & blau");
	parsed_close(&p);
	parse(&p, "\n> quoted\n\nanswer\n");
	expect_slice(p.message->preview, "answer");
	parsed_close(&p);
	parse(&p, "\n> only quoted\n");
	expect_slice(p.message->preview, "> only quoted");
	parsed_close(&p);
	/* HTML first, then plain text: the plain text is meant; an attachment is not. */
	parse(&p, "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html\n\n<p>html\n--x\n"
		  "Content-Disposition: attachment\n\nattached\n--x\n\nplain\n--x--\n");
	expect_slice(p.message->preview, "plain");
	parsed_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_message),
		cmocka_unit_test(nested_parts_whatever_the_piece_size),
		cmocka_unit_test(empty_message_and_header_only),
		cmocka_unit_test(a_boundary_may_begin_with_another),
		cmocka_unit_test(missing_boundaries),
		cmocka_unit_test(a_boundary_may_cut_a_header),
		cmocka_unit_test(an_empty_message_inside),
		cmocka_unit_test(a_digest_is_of_messages),
		cmocka_unit_test(strange_bytes_survive),
		cmocka_unit_test(a_line_of_a_megabyte),
		cmocka_unit_test(deep_nesting_ends_in_a_leaf),
		cmocka_unit_test(limits_on_parts_and_headers),
		cmocka_unit_test(without_mime_the_content_fields_mean_nothing),
		cmocka_unit_test(what_threads_are_made_of),
		cmocka_unit_test(many_references_keep_both_ends),
		cmocka_unit_test(the_preview_is_what_a_person_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
