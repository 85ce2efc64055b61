#include "mail_test.h"

static void expect_structure(const char *text, const char *structure, const char *body)
{
	struct buffer brief = BUFFER_INIT(1 << 20);
	struct parsed p;

	parse(&p, text);
	expect_slice(p.message->structure, structure);
	assert_int_equal(mail_structure_brief(p.message->structure, &brief), 0);
	expect_slice(buffer_slice(&brief), body);
	buffer_free(&brief);
	parsed_close(&p);
}

static void expect_envelope(const char *text, const char *envelope)
{
	struct parsed p;

	parse(&p, text);
	expect_slice(p.message->envelope, envelope);
	parsed_close(&p);
}

static void text_and_binary(void **state UNUSED)
{
	expect_structure("\n1\n2\n",
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 6 2 NIL NIL NIL NIL)",
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 6 2)");
	expect_structure("Content-Type: IMAGE/png (of a cat); name=\"q\\\"x\"\nContent-ID: <1@example.org>\n"
			 "Content-Description: A\n  cat\nContent-Transfer-Encoding: base64\nContent-MD5: Q2hlY2s=\n"
			 "Content-Disposition: inline; filename=\"a b\"\nContent-Language: de, "
			 "fr-CA\nContent-Location: x/y\n\nAAAA",
		"(\"IMAGE\" \"png\" (\"name\" \"q\\\"x\") \"<1@example.org>\" \"A  cat\" \"base64\" 4 \"Q2hlY2s=\" "
		"(\"inline\" (\"filename\" \"a b\")) (\"de\" \"fr-CA\") \"x/y\")",
		"(\"IMAGE\" \"png\" (\"name\" \"q\\\"x\") \"<1@example.org>\" \"A  cat\" \"base64\" 4)");
}

static void multipart_with_a_message(void **state UNUSED)
{
	expect_structure("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n"
			 "Subject: (\xe9\n\nin\n--x\nContent-Type: a/b\n\n--x--",
		"((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 (NIL {2}\r\n(\xe9 NIL NIL NIL NIL NIL NIL NIL NIL) "
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0 NIL NIL NIL NIL) 2 NIL NIL NIL "
		"NIL)"
		"(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)",
		"((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 (NIL {2}\r\n(\xe9 NIL NIL NIL NIL NIL NIL NIL NIL) "
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0) 2)"
		"(\"a\" \"b\" NIL NIL NIL \"7bit\" 0) \"mixed\")");
}

static void continued_parameters(void **state UNUSED)
{
	expect_structure("Content-Type: a/b; x*1=\" two\"; y=z; x*0=one\n\n",
		"(\"a\" \"b\" (\"x\" \"one two\" \"y\" \"z\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)",
		"(\"a\" \"b\" (\"x\" \"one two\" \"y\" \"z\") NIL NIL \"7bit\" 0)");
	expect_structure("Content-Type: a/b; x*0*=utf-8''%C3%BC; x*1=\"a b\"; v*0=1; v*2=3\n\n",
		"(\"a\" \"b\" (\"x*\" \"utf-8''%C3%BCa%20b\" \"v*0\" \"1\" \"v*2\" \"3\") NIL NIL \"7bit\" 0 NIL NIL "
		"NIL NIL)",
		"(\"a\" \"b\" (\"x*\" \"utf-8''%C3%BCa%20b\" \"v*0\" \"1\" \"v*2\" \"3\") NIL NIL \"7bit\" 0)");
}

static void expect_filename(const char *fields, const char *filename)
{
	struct buffer text = BUFFER_INIT(4096);
	struct parsed p;

	buffer_printf(&text, "MIME-Version: 1.0\n%s\n\n", fields);
	parsed_open(&p, buffer_slice(&text), &mail_limits_default, SIZE_MAX);
	expect_slice(p.message->parts[0].filename, filename);
	parsed_close(&p);
	buffer_free(&text);
}

static void file_names(void **state UNUSED)
{
	expect_filename("Content-Type: a/b; name=from-type\nContent-Disposition: attachment; filename=from-disposition",
		"from-disposition");
	expect_filename("Content-Type: a/b; name=from-type\nContent-Disposition: attachment", "from-type");
	expect_filename("Content-Disposition: attachment; filename*=iso-8859-1'de'gr%FCn.txt", "gr\xc3\xbcn.txt");
	expect_filename("Content-Disposition: attachment; filename*0*=utf-8''gr%C3%BC; filename*1=\"n .txt\"",
		"gr\xc3\xbcn .txt");
	expect_filename("Content-Disposition: attachment; filename=\"=?utf-8?B?Z3LDvG4=?=\"", "gr\xc3\xbcn");
	expect_filename("Content-Disposition: attachment; filename==?utf-8?q?gr=C3=BCn?=", "gr\xc3\xbcn");
	expect_filename("Content-Disposition: attachment; filename=\"not closed", "not closed");
	expect_filename("Content-Disposition: attachment; filename*=utf-8''%4", "%4");
	expect_filename("Content-Disposition: attachment; rubbish; = ; filename=x;;", "x");
}

static void addresses(void **state UNUSED)
{
	expect_envelope(
		"From: \"Ann \\\"A\\\" Lee\" <ann@example.org>\nTo: bob@example.org (Bob), c . d @ example . org\n"
		"Cc: Team: e@example.org, F G <f@[127.0.0.1]>;, undisclosed:;\nBcc: "
		"<@a.example,@b.example:h@example.org>\n"
		"Reply-To: \"odd local\"@example.org\n\n",
		"(NIL NIL ((\"Ann \\\"A\\\" Lee\" NIL \"ann\" \"example.org\")) ((\"Ann \\\"A\\\" Lee\" NIL \"ann\" "
		"\"example.org\")) "
		"((NIL NIL \"odd local\" \"example.org\")) ((\"Bob\" NIL \"bob\" \"example.org\")(NIL NIL \"c.d\" "
		"\"example.org\")) "
		"((NIL NIL \"Team\" NIL)(NIL NIL \"e\" \"example.org\")(\"F G\" NIL \"f\" \"[127.0.0.1]\")(NIL NIL NIL "
		"NIL)"
		"(NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) ((NIL \"@a.example,@b.example\" \"h\" "
		"\"example.org\")) NIL NIL)");
	expect_envelope("From: ann\nTo: Some Body, x@, <y, \"\" <z@example.org>\nCc: <>\nTo: second@example.org\n\n",
		"(NIL NIL ((NIL NIL \"ann\" \"MISSING_DOMAIN\")) ((NIL NIL \"ann\" \"MISSING_DOMAIN\")) "
		"((NIL NIL \"ann\" \"MISSING_DOMAIN\")) ((\"Some Body\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")"
		"(NIL NIL \"x\" \"MISSING_DOMAIN\")(NIL NIL \"y\" \"SYNTAX_ERROR\")(NIL NIL \"z\" \"example.org\")"
		"(NIL NIL \"second\" \"example.org\")) ((NIL NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")) NIL NIL "
		"NIL)");
}

static void other_envelope_fields(void **state UNUSED)
{
	expect_envelope("Date: Mon,\n 1 Jan 2024\nSubject:  a \t b\n c \nIn-Reply-To:\n <1@example.org>\nMessage-ID: "
			"<2@example.org>\n\n",
		"(\"Mon, 1 Jan 2024\" \"a b c\" NIL NIL NIL NIL NIL NIL \"<1@example.org>\" \"<2@example.org>\")");
	expect_envelope("Subject:\nFrom: \n\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
	expect_envelope("Subject: \xc3\xbc\n\n", "(NIL {2}\r\n\xc3\xbc NIL NIL NIL NIL NIL NIL NIL NIL)");
}

/* Not from the parser: must be refused, not read beyond. */
static void damaged_structures(void **state UNUSED)
{
	static const char *const damaged[] = {"", "(", "()", "(\"a\" \"b\"", "((", "({9}\r\nx",
		"(\"a\" \"b\" NIL NIL NIL \"7bit\" 1 NIL", "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 1 NIL NIL)",
		"(\"a\" \"b\" NIL NIL NIL \"7bit\" 1)x", "(NIL NIL NIL NIL NIL NIL 1) "};
	struct buffer out = BUFFER_INIT(4096);

	for (size_t i = 0; i < ARRAY_LEN(damaged); i++)
		assert_int_equal(mail_structure_brief(slice_of(damaged[i]), &out), -EBADMSG);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_binary),
		cmocka_unit_test(multipart_with_a_message),
		cmocka_unit_test(continued_parameters),
		cmocka_unit_test(file_names),
		cmocka_unit_test(addresses),
		cmocka_unit_test(other_envelope_fields),
		cmocka_unit_test(damaged_structures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
