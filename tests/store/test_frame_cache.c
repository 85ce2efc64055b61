/* Unpacked frames that are kept: always the right bytes, never more than allowed, never in the way of those who are read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/frame_cache.h"

enum { CACHE_BYTES = 1 << 20, FRAME_BYTES = 4096, FITS = 150, THREADS = 4, READS = 20000 };

static struct frame_cache *cache_new(uint64_t bytes_max)
{
	struct frame_cache *cache = NULL;

	assert_int_equal(frame_cache_new(bytes_max, NULL, &cache), 0);
	return cache;
}

static struct frame_ref ref_of(uint64_t segment, uint32_t at, uint32_t bytes)
{
	return (struct frame_ref){{segment, at, 1 << 20}, 100, bytes / 2, bytes};
}

/* What lies at a place follows from the place. */
static char byte_of(const struct frame_ref *ref, size_t i)
{
	return (char)(ref->place.segment * 31 + ref->place.at * 7 + i);
}

static void unpacked(const struct frame_ref *ref, struct buffer *out)
{
	*out = BUFFER_INIT(1 << 20);
	for (size_t i = 0; i < ref->raw_bytes; i++)
		buffer_put_byte(out, byte_of(ref, i));
	CHECK(buffer_error(out) == 0);
}

static bool is_right(const struct frame_ref *ref, struct slice bytes)
{
	bool right = bytes.len == ref->raw_bytes;

	for (size_t i = 0; right && i < bytes.len; i += 97)
		right = bytes.at[i] == byte_of(ref, i);
	return right;
}

/* As a reader does. True: it was there. */
static bool read_one(struct frame_cache *cache, const struct frame_ref *ref, uint64_t message_bytes)
{
	struct cached_frame *frame = NULL;
	struct frame_wish wish;
	struct buffer bytes;
	bool found = frame_cache_take(cache, ref, message_bytes, &frame, &wish);

	if (!found) {
		unpacked(ref, &bytes);
		if (!frame_cache_keep(cache, ref, &wish, &bytes, &frame))
			CHECK(is_right(ref, buffer_slice(&bytes)));
		buffer_free(&bytes);
	}
	if (frame)
		CHECK(is_right(ref, cached_frame_bytes(frame)));
	cached_frame_release(&frame);
	return found;
}

/* Reads frames `first` to `last`, each of a message of its own; returns how many were there. */
static unsigned read_all(struct frame_cache *cache, unsigned first, unsigned last)
{
	unsigned found = 0;

	for (unsigned i = first; i <= last; i++) {
		struct frame_ref ref = ref_of(1 + i % 5, i * 8192, FRAME_BYTES);

		found += read_one(cache, &ref, FRAME_BYTES);
	}
	return found;
}

static void kept_at_the_second_reading(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);

	(void)state;
	assert_int_equal(read_all(cache, 1, FITS), 0);
	assert_int_equal(frame_cache_bytes(cache), 0);
	assert_int_equal(read_all(cache, 1, FITS), 0);
	assert_true(frame_cache_bytes(cache) >= FITS * FRAME_BYTES);
	assert_int_equal(read_all(cache, 1, FITS), FITS);
	frame_cache_free(&cache);
	assert_null(cache);
}

static void another_place_is_another_frame(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);
	struct frame_ref ref = ref_of(7, 4096, 1000), others[] = {ref, ref, ref, ref, ref};

	(void)state;
	others[0].place.segment = 8;
	others[1].place.at++;
	others[2].offset++;
	others[3].stored_bytes++;
	others[4].raw_bytes++;
	(void)read_one(cache, &ref, 1000);
	(void)read_one(cache, &ref, 1000);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct cached_frame *frame;
		struct frame_wish wish;

		assert_false(frame_cache_take(cache, &others[i], 1000, &frame, &wish));
	}
	assert_true(read_one(cache, &ref, 1000));
	frame_cache_free(&cache);
}

static void never_more_than_allowed(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);
	uint32_t random = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct frame_ref ref;

		random = random * 1664525 + 1013904223;
		ref = ref_of(1, random >> 24, 1 + (random >> 24) * 251);
		(void)read_one(cache, &ref, ref.raw_bytes * (1 + i % 3));
		assert_true(frame_cache_bytes(cache) <= CACHE_BYTES);
	}
	assert_true(frame_cache_bytes(cache) > CACHE_BYTES / 2);
	frame_cache_free(&cache);
}

static void long_scans_leave_what_is_read_again(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);

	(void)state;
	(void)read_all(cache, 1, FITS);
	(void)read_all(cache, 1, FITS);
	for (unsigned round = 0; round < 10; round++) {
		/* A folder of four times the cache, and those who read theirs again meanwhile. */
		for (unsigned i = 0; i < 8; i++) {
			(void)read_all(cache, 1000 + i * 100, 1099 + i * 100);
			assert_int_equal(read_all(cache, 1, FITS), FITS);
		}
	}
	frame_cache_free(&cache);
}

static void a_part_of_what_does_not_fit_is_kept(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);
	unsigned found = 0;

	(void)state;
	for (unsigned round = 0; round < 6; round++)
		found = read_all(cache, 1, 3 * FITS);
	assert_true(found > FITS);
	frame_cache_free(&cache);
}

static void what_nobody_reads_makes_room(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);

	(void)state;
	for (unsigned round = 0; round < 3; round++)
		(void)read_all(cache, 1, FITS);
	for (unsigned round = 0; round < 2; round++)
		(void)read_all(cache, 1001, 1000 + FITS);
	assert_int_equal(read_all(cache, 1001, 1000 + FITS), FITS);
	frame_cache_free(&cache);
}

static void large_messages_have_their_part(void **state)
{
	struct frame_cache *cache = cache_new(16 << 20);
	const uint64_t message_bytes = 100 << 20;
	unsigned found = 0;

	(void)state;
	(void)read_all(cache, 1, FITS);
	(void)read_all(cache, 1, FITS);
	for (unsigned i = 0; i < 400; i++) {
		struct frame_ref ref = ref_of(99, i * 262144, 262144);

		/* In pieces, one after the other. */
		for (unsigned piece = 0; piece < 4; piece++)
			found += read_one(cache, &ref, message_bytes);
	}
	assert_int_equal(found, 2 * 400);
	assert_true(frame_cache_bytes(cache) <= (2 << 20) + 2 * FITS * FRAME_BYTES);
	assert_int_equal(read_all(cache, 1, FITS), FITS);
	frame_cache_free(&cache);
}

static void sweeps_give_back(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES);
	struct frame_ref ref = ref_of(2, 8192, FRAME_BYTES);
	struct cached_frame *held = NULL;
	struct frame_wish wish;

	(void)state;
	assert_false(frame_cache_sweep(cache));
	(void)read_all(cache, 1, FITS);
	(void)read_all(cache, 1, FITS);
	assert_false(frame_cache_sweep(cache));
	assert_int_equal(read_all(cache, 1, 10), 10);
	assert_true(frame_cache_take(cache, &ref, FRAME_BYTES, &held, &wish));
	assert_false(frame_cache_sweep(cache));
	assert_true(frame_cache_bytes(cache) < 11 * 2 * FRAME_BYTES);
	assert_true(frame_cache_sweep(cache));
	assert_int_equal(frame_cache_bytes(cache), 0);
	assert_false(frame_cache_sweep(cache));
	/* Who holds one goes on reading. */
	assert_true(is_right(&ref, cached_frame_bytes(held)));
	cached_frame_release(&held);
	/* Unused, it has forgotten everything; used, it works as before. */
	assert_int_equal(read_all(cache, 1, FITS), 0);
	assert_int_equal(read_all(cache, 1, FITS), 0);
	assert_int_equal(read_all(cache, 1, FITS), FITS);
	frame_cache_free(&cache);
}

static void the_smallest_ones_work(void **state)
{
	(void)state;
	for (uint64_t bytes_max = 1; bytes_max < 300000; bytes_max = bytes_max * 3 + 1) {
		struct frame_cache *cache = cache_new(bytes_max);

		for (unsigned round = 0; round < 3; round++)
			(void)read_all(cache, 1, FITS);
		assert_true(frame_cache_bytes(cache) <= bytes_max);
		frame_cache_free(&cache);
	}
}

static void *read_at_random(void *context)
{
	struct frame_cache *cache = context;
	uint32_t random = (uint32_t)(uintptr_t)&random;

	for (unsigned i = 0; i < READS; i++) {
		struct frame_ref ref;

		random = random * 1664525 + 1013904223;
		ref = ref_of(1, random >> 25, FRAME_BYTES + (random >> 25));
		(void)read_one(cache, &ref, FRAME_BYTES);
		if (i % 1000 == 0)
			(void)frame_cache_sweep(cache);
	}
	return NULL;
}

static void many_threads_read_at_once(void **state)
{
	struct frame_cache *cache = cache_new(CACHE_BYTES / 4);
	struct thread threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(thread_start(NULL, read_at_random, cache, &threads[i]), 0);
	for (int i = 0; i < THREADS; i++)
		thread_join(&threads[i]);
	assert_true(frame_cache_bytes(cache) <= CACHE_BYTES / 4);
	frame_cache_free(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_at_the_second_reading),
		cmocka_unit_test(another_place_is_another_frame),
		cmocka_unit_test(never_more_than_allowed),
		cmocka_unit_test(long_scans_leave_what_is_read_again),
		cmocka_unit_test(a_part_of_what_does_not_fit_is_kept),
		cmocka_unit_test(what_nobody_reads_makes_room),
		cmocka_unit_test(large_messages_have_their_part),
		cmocka_unit_test(sweeps_give_back),
		cmocka_unit_test(the_smallest_ones_work),
		cmocka_unit_test(many_threads_read_at_once),
	};

	return cmocka_run_group_tests_name("store-frame-cache", tests, NULL, NULL);
}
