#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/lexer.h"

static const struct {
	const char *utf7, *utf8;
} pairs[] = {
	{"", ""},
	{"INBOX", "INBOX"},
	{"R&-D", "R&D"},
	{"&-&-", "&&"},
	{"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
	{"&ZeVnLIqe-", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	{"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	{"&2D3eAA-", "\xf0\x9f\x98\x80"},
	{"&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-",
		"\xd0\x9e\xd1\x82\xd0\xbf\xd1\x80\xd0\xb0\xd0\xb2\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xbd\xd1\x8b\xd0\xb5"},
};

static const char *const bad[] = {
	"&",          /* not closed */
	"&ZeVnLIqe",  /* not closed */
	"R&D",        /* an ampersand must be &- */
	"&AGE-",      /* 'a' needs no shift */
	"&ZeVnLI-",   /* bits left over */
	"&ZeW-",      /* ... */
	"&Z-",        /* less than a character */
	"&2D0-",      /* half a surrogate pair */
	"&3gA-",      /* the other half alone */
	"&2D0AZQ-",   /* high surrogate, then something else */
	"&ZeV!nLI-",  /* no base64 */
	"&ZeU-&Zyw-", /* two shifts where one would do */
	"\xc3\xbc",   /* 8-bit */
	"a\tb",
};

static void decodes_what_an_encoder_makes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct buffer out = BUFFER_INIT(1000);

		assert_int_equal(imap_utf7_decode(slice_of(pairs[i].utf7), &out), 0);
		assert_string_equal(buffer_text(&out), pairs[i].utf8);
		buffer_reset(&out);
		imap_utf7_encode(slice_of(pairs[i].utf8), &out);
		assert_string_equal(buffer_text(&out), pairs[i].utf7);
		buffer_free(&out);
	}
}

static void refuses_what_no_encoder_makes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buffer out = BUFFER_INIT(1000);

		if (imap_utf7_decode(slice_of(bad[i]), &out) != -EBADMSG)
			fail_msg("'%s' was decoded", bad[i]);
		buffer_free(&out);
	}
}

static void a_name_that_is_no_utf8_is_encoded_all_the_same(void **state)
{
	struct buffer out = BUFFER_INIT(1000);

	(void)state;
	imap_utf7_encode(SLICE("a\xff"), &out);
	assert_string_equal(buffer_text(&out), "a&,,0-");
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_what_an_encoder_makes),
		cmocka_unit_test(refuses_what_no_encoder_makes),
		cmocka_unit_test(a_name_that_is_no_utf8_is_encoded_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
