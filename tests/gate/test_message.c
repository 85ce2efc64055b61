#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate/message.h"

static const struct gate_message start = {
	.kind = GATE_AUTH_START,
	.id = 1ULL << 60,
	.flags = GATE_FLAG_INITIAL | GATE_FLAG_TLS | GATE_FLAG_CONFIDENTIAL,
	.number = GATE_POP3,
	.mechanism = {"PLAIN", 5},
	.sasl = {"\0ann\0secret", 11},
	.peer = {"192.0.2.1:1234", 14},
	.local = {"[2001:db8::1]:995", 17},
	.tls_text = {"TLSv1.3 TLS_AES_256_GCM_SHA384", 30},
	.tls_exporter = {"0123456789abcdef0123456789abcdef", 32},
	.client = {"Thunderbird 128", 15},
};

/* Through bytes and back; `buffer` keeps what the slices point to. */
static struct gate_message through(const struct gate_message *message, bool to_core, struct buffer *buffer)
{
	struct gate_message got;

	buffer_reset(buffer);
	gate_message_encode(message, buffer);
	assert_int_equal(buffer_error(buffer), 0);
	assert_int_equal(gate_message_decode(buffer_slice(buffer), to_core, &got), 0);
	assert_int_equal(gate_message_decode(buffer_slice(buffer), !to_core, &got), -EBADMSG);
	assert_int_equal(gate_message_decode(buffer_slice(buffer), to_core, &got), 0);
	assert_int_equal(got.kind, message->kind);
	assert_true(got.id == message->id);
	assert_int_equal(got.flags, message->flags);
	assert_int_equal(got.number, message->number);
	return got;
}

static void what_goes_to_core_arrives(void **state)
{
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	const struct gate_message step = {.kind = GATE_AUTH_STEP, .id = 7, .sasl = {"x", 1}};
	const struct gate_message cancel = {.kind = GATE_AUTH_CANCEL, .id = 7};
	const struct gate_message handover = {.kind = GATE_HANDOVER,
		.id = 7,
		.flags = GATE_FLAG_UTF8,
		.tag = {"a1", 2},
		.pipelined = {"a2 NOOP\r\n", 9}};
	struct gate_message got = through(&start, true, &bytes);

	(void)state;
	assert_true(slice_equal(got.mechanism, start.mechanism));
	assert_true(slice_equal(got.sasl, start.sasl));
	assert_true(slice_equal(got.peer, start.peer));
	assert_true(slice_equal(got.local, start.local));
	assert_true(slice_equal(got.tls_text, start.tls_text));
	assert_true(slice_equal(got.tls_exporter, start.tls_exporter));
	assert_int_equal(got.tls_unique.len, 0);
	assert_true(slice_equal(got.client, start.client));
	got = through(&step, true, &bytes);
	assert_true(slice_equal(got.sasl, step.sasl));
	(void)through(&cancel, true, &bytes);
	got = through(&handover, true, &bytes);
	assert_true(slice_equal(got.tag, handover.tag));
	assert_true(slice_equal(got.pipelined, handover.pipelined));
	buffer_free(&bytes);
}

static void what_comes_from_core_arrives(void **state)
{
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	const struct gate_message hello = {
		.kind = GATE_HELLO, .mechanisms = {{"A", 1}, {"B C", 3}, {"D", 1}, {NULL, 0}}};
	const struct gate_message challenge = {.kind = GATE_CHALLENGE, .id = 7, .sasl = {"r=", 2}};
	const struct gate_message ok = {.kind = GATE_OK, .id = 7, .sasl = {"v=", 2}};
	const struct gate_message failed = {
		.kind = GATE_FAILED, .id = 7, .number = GATE_THROTTLED, .text = {"slower", 6}};
	struct gate_message got = through(&hello, false, &bytes);

	(void)state;
	assert_true(slice_equal(got.mechanisms.loopback, SLICE("B C")));
	assert_int_equal(got.mechanisms.tls_unique.len, 0);
	got = through(&challenge, false, &bytes);
	assert_true(slice_equal(got.sasl, challenge.sasl));
	(void)through(&ok, false, &bytes);
	got = through(&failed, false, &bytes);
	assert_true(slice_equal(got.text, failed.text));
	buffer_free(&bytes);
}

static void the_largest_message_fits(void **state)
{
	static char bytes_of[GATE_PIPELINED_MAX];
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	struct gate_message handover = {
		.kind = GATE_HANDOVER, .tag = {bytes_of, GATE_TAG_MAX}, .pipelined = {bytes_of, GATE_PIPELINED_MAX}};
	struct gate_message big = start;

	(void)state;
	big.sasl = slice_make(bytes_of, GATE_SASL_MAX);
	big.client = slice_make(bytes_of, GATE_CLIENT_MAX);
	(void)through(&handover, true, &bytes);
	(void)through(&big, true, &bytes);
	buffer_free(&bytes);
}

static void every_cut_and_every_tail_is_refused(void **state)
{
	struct buffer bytes = BUFFER_INIT(GATE_MESSAGE_BYTES_MAX);
	struct gate_message got;

	(void)state;
	gate_message_encode(&start, &bytes);
	for (size_t len = 0; len < bytes.len; len++)
		assert_int_equal(gate_message_decode(slice_make(bytes.at, len), true, &got), -EBADMSG);
	buffer_put_byte(&bytes, 'x');
	assert_int_equal(gate_message_decode(buffer_slice(&bytes), true, &got), -EBADMSG);
	buffer_free(&bytes);
}

/* kind, id, flags, number, then texts */
static int decode(const char *bytes, size_t len)
{
	struct gate_message got;

	return gate_message_decode(slice_make(bytes, len), true, &got);
}

static void what_the_form_does_not_allow_is_refused(void **state)
{
	static const char long_mechanism[] = "\x01\x01\x00\x00\x21"
					     "012345678901234567890123456789012"
					     "\x00\x00\x00\x00\x00\x00\x00";

	(void)state;
	assert_int_equal(decode("\x03\x01\x00\x00", 4), 0);
	assert_int_equal(decode("\x03\x01\x01\x00", 4), -EBADMSG); /* a cancel has no flags */
	assert_int_equal(decode("\x03\x01\x00\x01", 4), -EBADMSG); /* and no number */
	assert_int_equal(decode("\x00\x01\x00\x00", 4), -EBADMSG);
	assert_int_equal(decode("\x05\x01\x00\x00", 4), -EBADMSG);
	assert_int_equal(decode("\xff\x01\x00\x00", 4), -EBADMSG);
	assert_int_equal(
		decode("\x01\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", 12), -EBADMSG); /* no such protocol */
	assert_int_equal(decode("\x01\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12), -EBADMSG); /* no such flag */
	assert_int_equal(decode("\x01\x01\x07\x01\x00\x00\x00\x00\x00\x00\x00\x00", 12), 0);
	assert_int_equal(decode(long_mechanism, sizeof(long_mechanism) - 1), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_to_core_arrives),
		cmocka_unit_test(what_comes_from_core_arrives),
		cmocka_unit_test(the_largest_message_fits),
		cmocka_unit_test(every_cut_and_every_tail_is_refused),
		cmocka_unit_test(what_the_form_does_not_allow_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
