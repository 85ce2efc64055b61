#include "mail_test.h"

static void expect_header_text(const char *value, const char *wanted)
{
	struct buffer out = BUFFER_INIT(1 << 16);

	mail_header_text(slice_of(value), &out);
	expect_slice(buffer_slice(&out), wanted);
	buffer_free(&out);
}

static void encoded_words(void **state UNUSED)
{
	expect_header_text(" plain\r\n text ", "plain text");
	expect_header_text("=?ISO-8859-1?Q?gr=FCn_=3D?= b", "gr\xc3\xbcn = b");
	expect_header_text("=?utf-8?B?Z3LDvG4=?=", "gr\xc3\xbcn");
	expect_header_text("=?utf-8*en?q?a?=", "a");
	/* White space between words is no text; a character may be cut in two. */
	expect_header_text("=?utf-8?q?a=C3?= \r\n =?utf-8?Q?=BC?= x =?utf-8?q?y?=", "a\xc3\xbc x y");
	expect_header_text("=?iso-8859-1?q?=FC?= =?iso-8859-2?q?=B1?=", "\xc3\xbc\xc4\x85");
	expect_header_text("\"=?utf-8?q?quoted?=\"", "\"quoted\"");
	expect_header_text("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac");
	/* What is none stays. */
	expect_header_text("=?utf-8?x?a?= =?utf-8?q?a =?", "=?utf-8?x?a?= =?utf-8?q?a =?");
	expect_header_text("=??q?a?= =?a?q?", "=??q?a?= =?a?q?");
	expect_header_text("=?no-such-charset?q?a=FC?=", "a\xef\xbf\xbd");
	expect_header_text("raw \xc3\xbc \xfc", "raw \xc3\xbc \xef\xbf\xbd");
	expect_header_text("=?utf-8?q?=4?= =?utf-8?b?!?=", "=4");
}

static void put_address(void *context, const struct mail_address *address)
{
	buffer_printf(context, "[%.*s|%.*s|%.*s]", SLICE_ARG(address->name), SLICE_ARG(address->local),
		SLICE_ARG(address->domain));
}

static void addresses_for_people(void **state UNUSED)
{
	struct buffer out = BUFFER_INIT(4096);

	assert_int_equal(
		mail_addresses(
			SLICE("=?utf-8?q?J=C3=BCrg?= <j@example.org>, team: k@example.org;, l@b\xc3\xbc.example (L)"),
			put_address, &out),
		0);
	expect_slice(buffer_slice(&out), "[J\xc3\xbcrg|j|example.org][|k|example.org][L|l|b\xc3\xbc.example]");
	buffer_free(&out);
}

static void expect_subject(const char *subject, const char *wanted)
{
	struct buffer text = BUFFER_INIT(4096);
	struct parsed p;

	buffer_printf(&text, "Subject: %s\n\n", subject);
	parsed_open(&p, buffer_slice(&text), &mail_limits_default, SIZE_MAX);
	expect_slice(p.message->subject, wanted);
	parsed_close(&p);
	buffer_free(&text);
}

static void base_subjects(void **state UNUSED)
{
	expect_subject("Re: a   b", "a b");
	expect_subject("RE: Fwd [x]: fw : [list] re:a (fwd) (FWD)", "a");
	expect_subject("[fwd: [b] Re: c]", "c");
	expect_subject("[only a blob]", "[only a blob]");
	expect_subject("Re: [blob]", "[blob]");
	expect_subject("Regarding: x", "Regarding: x");
	expect_subject("Re:", "");
	expect_subject("=?utf-8?q?Re=3A_x?=", "x");
}

static void expect_html(const char *html, const char *wanted)
{
	struct buffer out = BUFFER_INIT(1 << 16);

	mail_html_text(slice_of(html), &out);
	expect_slice(buffer_slice(&out), wanted);
	buffer_free(&out);
}

static void html(void **state UNUSED)
{
	expect_html("<p>one</p> <p>two <b>three</b>", "one\ntwo three");
	expect_html("a<br/>b<td>c<!-- <p>no --> d", "a\nb c d");
	expect_html("<style>x</style>a<script type='x'>if (a<b) </SCRIPT>b", "ab");
	expect_html("&lt;&auml;&#228;&#xE4;&#150;&hearts;&nosuch;&amp &",
		"<\xc3\xa4\xc3\xa4\xc3\xa4\xe2\x80\x93\xe2\x99\xa5&nosuch;& &");
	expect_html("a&nbsp;b", "a b");
	expect_html("<a title=\"x>y\">z</a> 1 < 2 <", "z 1 < 2 <");
	expect_html("<a title=\"no end>text", "text");
	expect_html("<!-- no end>text", "text");
	expect_html("<head>text", "text");
	expect_html("a<script>no end", "a");
	expect_html("&#0;&#x110000;&#99999999999;", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
						    "999;");
}

static void expect_date(const char *value, int64_t seconds, int zone)
{
	int64_t got = -1;
	int16_t got_zone = -1;

	if (mail_date_parse(slice_of(value), &got, &got_zone) != 0 || got != seconds || got_zone != zone)
		fail_msg("%s gave %lld %d", value, (long long)got, got_zone);
}

static void dates(void **state UNUSED)
{
	static const char *const none[] = {"", "tomorrow", "Mon, 31 Feb 2024 00:00:00 +0000", "1 Jan 2024",
		"1 Jan 2024 24:00", "1 Jan 2024 00:60", "Jan 2024 00:00:00", "1 Jan 2024 000:00", "0 Jan 2024 00:00",
		"1 Jan 10000 00:00:00"};
	int64_t seconds;
	int16_t zone;

	expect_date("Thu, 1 Jan 1970 00:00:00 +0000", 0, 0);
	expect_date("Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360);
	expect_date(" 21 Nov 97 09(comment):55  :  06 -0600 (still)", 880127706, -360);
	expect_date("Thu, 29 Feb 2024 23:59:60 +1400", 1709200800, 840);
	expect_date("21 Nov 97 10:55 EST", 880127700, -300);
	expect_date("1 Jan 20 00:00 Z", 1577836800, 0);
	expect_date("1 Jan 120 00:00 A", 1577836800, 0);
	expect_date("Wed Jan  1 00:00:00 2020", 1577836800, 0);
	expect_date("01-Jan-2020 00:00:00 +0100", 1577833200, 60);
	expect_date("31 Dec 1969 23:59:59 GMT", -1, 0);
	expect_date("1 Mar 0001 00:00:00 +0000", -62130499200, 0);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_int_equal(mail_date_parse(slice_of(none[i]), &seconds, &zone), -EBADMSG);
}

static void expect_fold(const char *a, const char *b, bool same)
{
	struct buffer x = BUFFER_INIT(4096), y = BUFFER_INIT(4096);

	mail_text_fold(slice_of(a), &x);
	mail_text_fold(slice_of(b), &y);
	assert_true(slice_equal(buffer_slice(&x), buffer_slice(&y)) == same);
	buffer_free(&x);
	buffer_free(&y);
}

static void folding(void **state UNUSED)
{
	expect_fold("Hello", "hELLO", true);
	expect_fold("\xc3\x84pfel", "\xc3\xa4PFEL", true);
	expect_fold("\xc3\xa4", "a\xcc\x88", true);        /* decomposed */
	expect_fold("\xef\xac\x81", "\xef\xac\x81", true); /* a ligature has no titlecase form of its own */
	expect_fold("\xcf\x83", "\xce\xa3", true);         /* sigma */
	expect_fold("a", "\xc3\xa4", false);
	expect_fold("\xff", "\xfe", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded_words),
		cmocka_unit_test(addresses_for_people),
		cmocka_unit_test(base_subjects),
		cmocka_unit_test(html),
		cmocka_unit_test(dates),
		cmocka_unit_test(folding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
