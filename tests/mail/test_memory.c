/* Each allocation fails in turn: the parser says -ENOMEM or gives the whole result, never one that lacks something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "mail/mail.h"

static struct {
	size_t count, fail_at; /* fail_at 0: none */
} allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static bool fails(void)
{
	return ++allocations.count == allocations.fail_at;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

static const char text[] =
	"MIME-Version: 1.0\r\nFrom: =?utf-8?q?J=C3=BCrg?= (\"x\") <j@example.org>\r\nTo: team: a@example.org (A),\r\n"
	" <@r.example:b@example.org>;\r\nSubject: Re:  =?iso-8859-2?q?=B1?= =?utf-8?b?Yg==?=\r\nReferences: <1@a> "
	"<2@b>\r\n"
	"Message-ID: <3@c>\r\nDate: Mon, 1 Jan 2024 12:00:00 +0100\r\nContent-Type: multipart/mixed; "
	"boundary=\"x\"\r\n\r\n"
	"--x\r\nContent-Type: text/html; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	"<p>caf=E9 &amp; more\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n"
	"--x\r\nContent-Disposition: attachment; filename*0*=iso-8859-1''a%FC; filename*1=b\r\n\r\ntext\r\n--x--\r\n";

static int parse_and_pack(struct buffer *out)
{
	const struct mail_message *message;
	struct mail_parser *parser = NULL;
	struct slice rest = slice_of(text);
	int error = mail_parser_new(&mail_limits_default, &parser);

	for (; !error && rest.len; rest = slice_from(rest, 50))
		error = mail_parser_feed(parser, slice_first(rest, 50));
	if (!error)
		error = mail_parser_finish(parser, &message);
	if (!error) {
		mail_pack(message, out);
		error = buffer_error(out);
	}
	mail_parser_free(&parser);
	return error;
}

static void each_allocation_fails_in_turn(void **state UNUSED)
{
	struct buffer whole = BUFFER_INIT(1 << 20);
	size_t failed = 0, count;

	assert_int_equal(parse_and_pack(&whole), 0);
	allocations.count = 0;
	allocations.fail_at = 0;
	buffer_reset(&whole);
	assert_int_equal(parse_and_pack(&whole), 0);
	count = allocations.count;
	assert_true(count > 20);
	for (size_t i = 1; i <= count; i++) {
		struct buffer out = BUFFER_INIT(1 << 20);
		int error;

		allocations.count = 0;
		allocations.fail_at = i;
		error = parse_and_pack(&out);
		allocations.fail_at = 0;
		assert_true(error == 0 || error == -ENOMEM);
		if (error == 0)
			assert_true(slice_equal(buffer_slice(&out), buffer_slice(&whole)));
		failed += error != 0;
		buffer_free(&out);
	}
	assert_true(failed > 20);
	buffer_free(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
