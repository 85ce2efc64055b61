#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>

#include "base/arena.h"

static struct arena *arena_of(size_t max)
{
	struct arena *arena;

	assert_int_equal(arena_new(max, &arena), 0);
	return arena;
}

static void test_memory_is_aligned_and_apart(void **state UNUSED)
{
	struct arena *arena = arena_of(1 << 20);
	char *last = NULL;

	for (size_t bytes = 0; bytes < 300; bytes++) {
		char *at = arena_alloc(arena, bytes);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % alignof(max_align_t), 0);
		assert_ptr_not_equal(at, last);
		memset(at, (int)bytes, bytes);
		last = at;
	}
	arena_free(&arena);
	assert_null(arena);
	arena_free(&arena);
}

static void test_the_maximum_holds(void **state UNUSED)
{
	struct arena *arena = arena_of(10000);
	size_t taken = 0;

	while (arena_alloc(arena, 100))
		taken += 100;
	assert_true(taken <= 10000 && taken > 8000);
	assert_true(arena_used(arena) <= 10000);
	assert_null(arena_alloc(arena, SIZE_MAX));
	assert_null(arena_alloc(arena, SIZE_MAX - 8));
	assert_null(arena_zalloc(arena, SIZE_MAX, 2));
	assert_null(arena_zalloc(arena, SIZE_MAX / 2 + 2, 2));
	arena_reset(arena);
	assert_int_equal(arena_used(arena), 0);
	assert_non_null(arena_alloc(arena, 9000));
	arena_free(&arena);
}

static void test_reset_makes_room_again(void **state UNUSED)
{
	struct arena *arena = arena_of(1 << 20);

	arena_reset(arena); /* an unused one */
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 1000; i++) {
			char *at = arena_alloc(arena, 1000);

			assert_non_null(at);
			memset(at, i, 1000);
		}
		arena_reset(arena);
	}
	arena_free(&arena);
}

static void test_zeroed_even_after_reset(void **state UNUSED)
{
	struct arena *arena = arena_of(10000);
	unsigned char *at = arena_alloc(arena, 1000);

	assert_non_null(at);
	memset(at, 0xff, 1000);
	arena_reset(arena);
	at = arena_zalloc(arena, 10, 100);
	assert_non_null(at);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(at[i], 0);
	assert_non_null(arena_zalloc(arena, 0, 100));
	arena_free(&arena);
}

static void test_copies(void **state UNUSED)
{
	struct arena *arena = arena_of(200);
	char source[] = "abc";
	struct slice copy = SLICE("kept");
	const char *text;

	assert_int_equal(arena_copy(arena, slice_of(source), &copy), 0);
	text = arena_text(arena, slice_of(source));
	source[0] = 'x';
	assert_true(slice_equal(copy, SLICE("abc")));
	assert_string_equal(text, "abc");
	assert_string_equal(arena_text(arena, (struct slice){NULL, 0}), "");
	assert_int_equal(arena_copy(arena, (struct slice){NULL, 0}, &copy), 0);
	assert_int_equal(copy.len, 0);
	copy = SLICE("kept");
	assert_int_equal(arena_copy(arena, (struct slice){source, 1000}, &copy), -ENOBUFS);
	assert_true(slice_equal(copy, SLICE("kept")));
	assert_null(arena_text(arena, (struct slice){source, 1000}));
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_aligned_and_apart),
		cmocka_unit_test(test_the_maximum_holds),
		cmocka_unit_test(test_reset_makes_room_again),
		cmocka_unit_test(test_zeroed_even_after_reset),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
