#include "mail_test.h"

struct wanted {
	enum mail_encoding encoding;
	const char *charset; /* NULL: no conversion */
	bool strict;
	const char *in, *out; /* out NULL: refused */
};

static int decode(const struct wanted *wanted, size_t piece, struct buffer *out)
{
	struct mail_decoder *decoder;
	struct slice rest = slice_of(wanted->in);
	int error = 0;

	assert_int_equal(mail_decoder_new(wanted->encoding, slice_of(wanted->charset), wanted->charset != NULL,
				 wanted->strict, &decoder),
		0);
	for (; rest.len && !error; rest = slice_from(rest, piece))
		error = mail_decoder_feed(decoder, slice_first(rest, piece), out);
	if (!error)
		error = mail_decoder_finish(decoder, out);
	mail_decoder_free(&decoder);
	assert_null(decoder);
	return error;
}

static void expect_all(const struct wanted *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t piece = 1; piece < 40; piece++) {
			struct buffer out = BUFFER_INIT(4096);
			int error = decode(&wanted[i], piece, &out);

			assert_int_equal(error, wanted[i].out ? 0 : -EBADMSG);
			if (wanted[i].out)
				expect_slice(buffer_slice(&out), wanted[i].out);
			buffer_free(&out);
		}
	}
}

static void base64(void **state UNUSED)
{
	static const struct wanted wanted[] = {
		{MAIL_BASE64, NULL, true, "SGVs\r\nbG8=\r\n", "Hello"},
		{MAIL_BASE64, NULL, true, "YQ==", "a"},
		{MAIL_BASE64, NULL, true, "", ""},
		{MAIL_BASE64, NULL, true, "YQ=!", NULL},
		{MAIL_BASE64, NULL, true, "Y", NULL},
		{MAIL_BASE64, NULL, true, "YWI", NULL},
		{MAIL_BASE64, NULL, true, "YQ==YQ==", NULL},
		{MAIL_BASE64, NULL, false, "Y!W*\0Jj", "ab"},
		{MAIL_BASE64, NULL, false, "YWI", "ab"},
		{MAIL_BASE64, NULL, false, "YQ==YQ==YWJj", "aaabc"},
		{MAIL_BASE64, NULL, false, "Y", ""},
	};

	expect_all(wanted, ARRAY_LEN(wanted) - 4);
	expect_all(wanted + 8, 3);
}

static void quoted_printable(void **state UNUSED)
{
	static const struct wanted wanted[] = {
		{MAIL_QUOTED_PRINTABLE, NULL, true, "a=3D=\r\nb c =20 \t\r\nd=e2", "a=b c  \r\nd\xe2"},
		{MAIL_QUOTED_PRINTABLE, NULL, true, "soft = \t\r\nbreak", "soft break"},
		{MAIL_QUOTED_PRINTABLE, NULL, true, "end=", "end"},
		{MAIL_QUOTED_PRINTABLE, NULL, true, "a=3x", NULL},
		{MAIL_QUOTED_PRINTABLE, NULL, true, "a=zz", NULL},
		{MAIL_QUOTED_PRINTABLE, NULL, true, "a=3", NULL},
		{MAIL_QUOTED_PRINTABLE, NULL, false, "a=3x =zz = b ==3D", "a=3x =zz = b =="},
		{MAIL_QUOTED_PRINTABLE, NULL, false, "blank \t ", "blank"},
		{MAIL_QUOTED_PRINTABLE, NULL, false, "bare \n=\nlf=3", "bare\nlf=3"},
	};

	expect_all(wanted, ARRAY_LEN(wanted));
}

static void uuencode(void **state UNUSED)
{
	static const struct wanted wanted[] = {
		{MAIL_UUENCODE, NULL, true, "\r\nbegin 644 x.txt\r\n%2&5L;&\\ \r\n`\r\nend\r\n", "Hello"},
		{MAIL_UUENCODE, NULL, true, "begin 644 x.txt\r\n%2&5L;&\\\r\nend", "Hello"},
		{MAIL_UUENCODE, NULL, true, "no beginning\r\n", NULL},
		{MAIL_UUENCODE, NULL, true, "begin 644 x\r\n%2&5L;&\\\r\n", NULL},
		{MAIL_UUENCODE, NULL, false, "text\r\nbegin 644 x\r\n%2&5L;&\\\r\nend\r\nafter", "text\r\nHello"},
	};

	expect_all(wanted, ARRAY_LEN(wanted));
}

static void charsets(void **state UNUSED)
{
	static const struct wanted wanted[] = {
		{MAIL_8BIT, "iso-8859-1", false, "\xfc", "\xc3\xbc"},
		{MAIL_8BIT, "us-ascii", false, "a\xc3\xbc\xfc", "a\xc3\xbc\xef\xbf\xbd"},
		{MAIL_8BIT, "UTF8", false, "\xf0\x9f\x99\x82\xe2\x82", "\xf0\x9f\x99\x82\xef\xbf\xbd\xef\xbf\xbd"},
		{MAIL_8BIT, "Windows-1252", false, "\x80\x81", "\xe2\x82\xac\xef\xbf\xbd"},
		{MAIL_8BIT, "x-sjis", false, "\x93\xfa\x96{!", "\xe6\x97\xa5\xe6\x9c\xac!"},
		{MAIL_8BIT, "gb2312", false, "\xd6\xd0\xce\xc4", "\xe4\xb8\xad\xe6\x96\x87"},
		{MAIL_8BIT, "ks_c_5601-1987", false, "\xc7\xd1", "\xed\x95\x9c"},
		{MAIL_8BIT, "unicode-1-1-utf-7", false, "a+APw-b",
			"a\xc3\xbc"
			"b"},
		{MAIL_8BIT, "utf-7", false, "1 +- 1 +2D3eAA- +2D0.+3gA-+AGE",
			"1 + 1 \xf0\x9f\x98\x80 \xef\xbf\xbd.\xef\xbf\xbd"
			"a"},
		{MAIL_8BIT, "iso-2022-jp", false, "\x1b$BF|K\\\x1b(B!", "\xe6\x97\xa5\xe6\x9c\xac!"},
		{MAIL_8BIT, "big5", false, "\xa4\xa4\xff.", "\xe4\xb8\xad\xef\xbf\xbd."},
		{MAIL_8BIT, "cp-850", false, "\x81", "\xc3\xbc"},
		{MAIL_8BIT, "no-such", false, "a\xfc", "a\xef\xbf\xbd"},
		{MAIL_UNKNOWN, NULL, false, "as it is", "as it is"},
		{MAIL_UNKNOWN, NULL, true, "as it is", NULL},
	};

	expect_all(wanted, ARRAY_LEN(wanted));
}

static void charset_names(void **state UNUSED)
{
	struct buffer out = BUFFER_INIT(64);

	assert_true(mail_charset_is_known(SLICE("ISO_8859-15")) && mail_charset_is_known(SLICE("")));
	assert_false(mail_charset_is_known(SLICE("../../etc/passwd")) || mail_charset_is_known(SLICE("x")));
	assert_int_equal(mail_charset_to_utf8(SLICE("UTF-8//TRANSLIT-NONE"), SLICE("a\xff"), &out), -ENOENT);
	expect_slice(buffer_slice(&out), "a\xef\xbf\xbd");
	buffer_free(&out);
}

/* Also proves that the table of names is sorted, and that this machine has every converter. */
static void every_charset_is_there(void **state UNUSED)
{
	assert_true(mail_charsets_preload() > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64),
		cmocka_unit_test(quoted_printable),
		cmocka_unit_test(uuencode),
		cmocka_unit_test(charsets),
		cmocka_unit_test(charset_names),
		cmocka_unit_test(every_charset_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
