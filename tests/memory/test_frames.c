/*
 * Each allocation fails in turn while a piece of a body is packed and unpacked: an error says so, or every byte comes back; what could not be packed
 * or unpacked now can be later.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing.h"
#include "stage.h"
#include "store/body.h"
#include "store/engine.h"

enum { BODY_MAX = 200000, LINES = 200, LONG_LINES = 800 /* what they stand for comes in packed, too */ };

struct frame {
	struct store *store;
	struct slice raw;
	bool whole_message;
	struct buffer packed; /* by the first run */
	struct frame_ref written;
	unsigned failed;
};

static void start(struct frame *f)
{
	/* What is kept for the next frame would be there already. */
	frame_contexts_free_all(&f->store->dictionaries);
}

static struct frame_ref frame_put(const struct frame *f, const struct buffer *stored)
{
	struct frame_ref ref = {.stored_bytes = (uint32_t)stored->len, .raw_bytes = (uint32_t)f->raw.len};

	assert_int_equal(frame_write(f->store, buffer_slice(stored), &ref), 0);
	return ref;
}

static void check_bytes(const struct frame *f, const struct buffer *stored)
{
	struct buffer out = BUFFER_INIT(BODY_MAX);
	struct frame_ref ref = frame_put(f, stored);

	assert_int_equal(frame_unpack(f->store, &ref, &out), 0);
	assert_true(slice_equal(buffer_slice(&out), f->raw));
	buffer_free(&out);
}

static void pack(void *context)
{
	struct frame *f = context;
	struct buffer out = BUFFER_INIT(2 * BODY_MAX);
	int error;

	start(f);
	error = frame_pack(f->store, f->raw, f->whole_message, &out);
	(void)failing_stop();
	if (error) {
		assert_true(failing_happened() && error == -ENOMEM);
		f->failed++;
		buffer_reset(&out);
		assert_int_equal(frame_pack(f->store, f->raw, f->whole_message, &out), 0);
	}
	check_bytes(f, &out);
	if (!failing_happened() && !f->packed.len)
		buffer_put(&f->packed, buffer_slice(&out));
	buffer_free(&out);
}

static void unpack(void *context)
{
	struct frame *f = context;
	struct buffer out = BUFFER_INIT(BODY_MAX);
	int error;

	start(f);
	error = frame_unpack(f->store, &f->written, &out);
	(void)failing_stop();
	if (error) {
		/* Not -EBADMSG: the body is sound. */
		assert_true(failing_happened() && error == -ENOMEM);
		f->failed++;
		check_bytes(f, &f->packed);
	} else {
		assert_true(slice_equal(buffer_slice(&out), f->raw));
	}
	buffer_free(&out);
}

static void one_way(struct slice raw, bool whole_message, uint64_t repack_after_s, unsigned least)
{
	struct frame f = {.store = stage_make()->store,
		.raw = raw,
		.whole_message = whole_message,
		.packed = BUFFER_INIT(2 * BODY_MAX)};

	f.store->settings.repack_after_s = repack_after_s;
	assert_true(failing_each(pack, &f) >= least);
	f.written = frame_put(&f, &f.packed);
	assert_true(failing_each(unpack, &f) >= least);
	assert_true(f.failed > 2);
	buffer_free(&f.packed);
}

/* As what comes in and is packed again later, and as what is not. */
static void each_way(struct slice raw, bool whole_message, unsigned least)
{
	one_way(raw, whole_message, 86400, least);
	one_way(raw, whole_message, STORE_REPACK_NEVER, least);
}

/* Long ones must shrink a lot: the stage has a short journal. */
static void body_with_base64(int lines, bool regular)
{
	struct buffer raw = BUFFER_INIT(BODY_MAX), bytes = BUFFER_INIT(57);
	uint32_t random = 1;

	buffer_put_text(&raw, "Content-Transfer-Encoding: base64\r\n\r\n");
	for (int i = 0; i < lines; i++) {
		buffer_reset(&bytes);
		for (int j = 0; j < 57; j++) {
			random = random * 1664525 + 1013904223;
			buffer_put_byte(&bytes, regular ? (char)j : (char)(random >> 28));
		}
		buffer_put_base64(&raw, buffer_slice(&bytes));
		buffer_put_text(&raw, "\r\n");
	}
	buffer_put_text(&raw, "YWJj\r\n--x--\r\n");
	assert_int_equal(buffer_error(&raw), 0);
	each_way(buffer_slice(&raw), false, 3);
	each_way(buffer_slice(&raw), true, 3);
	buffer_free(&raw);
	buffer_free(&bytes);
}

static void bodies_with_base64(void **state UNUSED)
{
	body_with_base64(LINES, false);
	body_with_base64(LONG_LINES, true);
}

static void bodies_of_text(void **state UNUSED)
{
	static char text[40000];

	memset(text, 'x', sizeof(text));
	each_way(slice_make(text, 8000), true, 2);
	each_way(slice_make(text, sizeof(text)), true, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_with_base64),
		cmocka_unit_test(bodies_of_text),
	};

	return cmocka_run_group_tests_name("memory: frames", tests, NULL, NULL);
}
