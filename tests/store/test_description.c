/* Descriptions in their stored form: they come back as they were, with a dictionary and without; what is damaged is refused, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "mail/mail.h"
#include "store/body.h"
#include "store/description.h"

#define DICTIONARY_ID (DICTIONARY_DESCRIPTION_ID | 7)

static const char sound[] =
	"Subject: On the way\r\nFrom: Ann Example <ann@example.org>\r\nTo: bob@example.org\r\n"
	"((\"Ann Example\" NIL \"ann\" \"example.org\")) ((\"Ann Example\" NIL \"ann\" \"example.org\")) "
	"((NIL NIL \"bob\" \"example.org\")) NIL NIL \"<1@example.org>\")";

struct stage {
	struct store *store;
	struct buffer stored;
	struct email_room room;
};

static int stage_begin(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->store = calloc(1, sizeof(*s->store));
	assert_non_null(s->store);
	dictionaries_init(s->store);
	s->stored = BUFFER_INIT(1 << 20);
	s->room = EMAIL_ROOM_INIT;
	*state = s;
	return 0;
}

static int stage_end(void **state)
{
	struct stage *s = *state;

	dictionaries_free(s->store);
	free(s->store);
	buffer_free(&s->stored);
	email_room_free(&s->room);
	free(s);
	return 0;
}

static void learn(struct stage *s)
{
	struct slice bytes = SLICE("((NIL NIL \"ann\" \"example.org\")) NIL NIL \"<>\")Subject: \r\nFrom: Ann Example "
				   "<ann@example.org>\r\nTo: ");

	assert_int_equal(dictionary_learn(s->store, DICTIONARY_ID, bytes), 0);
	atomic_store(&s->store->dictionaries.training[DICTIONARY_DESCRIPTIONS].current, s->store->dictionaries.all);
}

static size_t there_and_back(struct stage *s, struct slice packed)
{
	struct slice back;

	buffer_reset(&s->stored);
	description_put(s->store, packed, &s->stored);
	assert_int_equal(buffer_error(&s->stored), 0);
	assert_int_equal(description_read(s->store, buffer_slice(&s->stored), EMAIL_WHOLE, &s->room, &back), 0);
	assert_true(slice_equal(back, packed));
	return s->stored.len;
}

static void all_sizes_come_back(void **state)
{
	struct stage *s = *state;
	struct buffer packed = BUFFER_INIT(1 << 19);
	size_t plain = 0, described;
	uint32_t random = 1;

	for (int round = 0; round < 2; round++) {
		for (size_t len = 1; len < sizeof(sound); len++) {
			assert_true(there_and_back(s, slice_make(sound, len)) <= len);
		}
		described = there_and_back(s, slice_make(sound, sizeof(sound) - 1));
		assert_true(described < sizeof(sound) - 1);
		if (round)
			assert_true(described < plain - 40); /* the dictionary's part of it */
		plain = described;
		learn(s);
	}
	/* What does not shrink stays as it is; a long one comes back as well. */
	buffer_put_byte(&packed, 1);
	while (packed.len < 400000) {
		random = random * 1664525 + 1013904223;
		buffer_put_byte(&packed, (char)(random >> 24));
	}
	assert_int_equal(there_and_back(s, buffer_slice(&packed)), packed.len);
	memset(packed.at, 'x', packed.len);
	assert_true(there_and_back(s, buffer_slice(&packed)) < packed.len / 100);
	buffer_free(&packed);
}

static void describe(struct buffer *packed)
{
	struct mail_message message = {.bytes = 1234,
		.part_count = 1,
		.parts =
			&(struct mail_part){
				.kind = MAIL_LEAF, .parent = UINT32_MAX, .header_bytes = 234, .body_bytes = 1000},
		.envelope = SLICE("(NIL \"On the way\" ((\"Ann Example\" NIL \"ann\" \"example.org\")))"),
		.structure = SLICE("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1000 20 NIL NIL NIL NIL)"),
		.common = slice_make(sound, sizeof(sound) - 1),
		.preview = SLICE("Ann Example is on the way")};

	mail_pack(&message, packed);
	assert_int_equal(buffer_error(packed), 0);
}

/* What ENVELOPE and BODYSTRUCTURE need is unpacked alone, and is the same. */
static void the_front_is_enough(void **state)
{
	struct stage *s = *state;
	struct buffer packed = BUFFER_INIT(1 << 16);
	struct mail_message message;
	struct slice front;
	size_t bytes;

	describe(&packed);
	bytes = mail_packed_front_bytes(buffer_slice(&packed));
	assert_true(bytes && bytes < packed.len - sizeof(sound));
	for (int round = 0; round < 2; round++) {
		(void)there_and_back(s, buffer_slice(&packed));
		assert_int_equal(
			description_read(s->store, buffer_slice(&s->stored), EMAIL_FRONT, &s->room, &front), 0);
		assert_int_equal(front.len, bytes);
		assert_memory_equal(front.at, packed.at, bytes);
		assert_int_equal(mail_unpack_front(front, &message), 0);
		assert_true(message.bytes == 1234 && slice_starts(message.envelope, SLICE("(NIL \"On the way\"")));
		assert_true(slice_starts(message.structure, SLICE("(\"text\" \"plain\"")) && !message.common.len);
		assert_int_equal(mail_unpack_front(slice_first(front, bytes - 1), &message), -EBADMSG);
		learn(s);
	}
	/* Where it is not known how much is needed, all of it comes. */
	(void)there_and_back(s, slice_make(sound, sizeof(sound) - 1));
	assert_int_equal(description_read(s->store, buffer_slice(&s->stored), EMAIL_FRONT, &s->room, &front), 0);
	assert_int_equal(front.len, sizeof(sound) - 1);
	buffer_free(&packed);
}

/* As stores of before have them: the packed description itself; compressed, but without a word about its front. */
static void old_ones_are_read(void **state)
{
	struct stage *s = *state;
	struct slice packed = slice_make("\1\2\3", 3), back;
	struct buffer old = BUFFER_INIT(1 << 16);

	learn(s);
	(void)there_and_back(s, slice_make(sound, sizeof(sound) - 1));
	assert_true(s->stored.at[1] == (DICTIONARY_ID & 0x7f) && s->stored.at[4] == 0);
	buffer_put_byte(&old, 0);
	buffer_put(&old, slice_make(s->stored.at + 1, 3)); /* the dictionary's byte and the size's two */
	buffer_put(&old, slice_make(s->stored.at + 5, s->stored.len - 5));
	for (int extent = EMAIL_WHOLE; extent <= EMAIL_FRONT; extent++) {
		assert_int_equal(description_read(s->store, buffer_slice(&old), extent, &s->room, &back), 0);
		assert_true(slice_equal(back, slice_make(sound, sizeof(sound) - 1)));
	}
	buffer_free(&old);

	assert_int_equal(description_read(s->store, packed, EMAIL_WHOLE, &s->room, &back), 0);
	assert_true(slice_equal(back, packed));
}

/* Whatever a byte becomes, what comes out is an error or has the size that was said; never more is read than there is. */
static void damage_stays_within_bounds(void **state)
{
	struct stage *s = *state;
	struct buffer damaged = BUFFER_INIT(1 << 16), packed = BUFFER_INIT(1 << 16);
	unsigned refused = 0;
	struct slice back;

	describe(&packed);
	learn(s);
	(void)there_and_back(s, buffer_slice(&packed));
	for (size_t len = 0; len < s->stored.len; len++) {
		char *exact = malloc(len + 1); /* so that a read behind it is seen */
		int error;

		assert_non_null(exact);
		memcpy(exact, s->stored.at, len);
		error = description_read(s->store, slice_make(exact, len), EMAIL_WHOLE, &s->room, &back);
		if (len)
			assert_int_equal(error, -EBADMSG);
		free(exact);
	}
	for (size_t at = 0; at < s->stored.len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			int error;

			buffer_reset(&damaged);
			buffer_put(&damaged, buffer_slice(&s->stored));
			damaged.at[at] = (char)(damaged.at[at] ^ 1 << bit);
			error = description_read(s->store, buffer_slice(&damaged), EMAIL_WHOLE, &s->room, &back);
			assert_true(error == 0 || error == -EBADMSG || error == -ENOBUFS);
			refused += error != 0;
			error = description_read(s->store, buffer_slice(&damaged), EMAIL_FRONT, &s->room, &back);
			assert_true(error == 0 || error == -EBADMSG || error == -ENOBUFS);
		}
	}
	assert_true(refused > s->stored.len);
	buffer_free(&damaged);
	buffer_free(&packed);
}

static void sizes_and_dictionaries_are_checked(void **state)
{
	static const uint64_t cases[][3] = {{0, (uint64_t)MAIL_PACKED_BYTES_MAX + 1, 0}, {0, UINT64_MAX, 0},
		{UINT64_MAX, 5, 0}, {99, 5, 0}, {DICTIONARY_DESCRIPTION_ID, 5, 0}, {0, 5, 6}, {0, 5, UINT64_MAX}};
	struct stage *s = *state;
	struct slice back;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buffer_reset(&s->stored);
		buffer_put_byte(&s->stored, 2);
		buffer_put_varint(&s->stored, cases[i][0]);
		buffer_put_varint(&s->stored, cases[i][1]);
		buffer_put_varint(&s->stored, cases[i][2]);
		buffer_put_text(&s->stored, "\x50 hello");
		assert_int_equal(
			description_read(s->store, buffer_slice(&s->stored), EMAIL_WHOLE, &s->room, &back), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_sizes_come_back, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(the_front_is_enough, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(old_ones_are_read, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(damage_stays_within_bounds, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(sizes_and_dictionaries_are_checked, stage_begin, stage_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
