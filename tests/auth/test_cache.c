#include "support.h"

#include "auth/internal.h"

/* A clock that stands where the test puts it. */
struct test_clock {
	struct clock_source source;
	int64_t now_us;
};

static int64_t test_wall_ms(void *context)
{
	return ((struct test_clock *)context)->now_us / 1000;
}

static int64_t test_monotonic_us(void *context)
{
	return ((struct test_clock *)context)->now_us;
}

static void test_random(void *context, void *bytes, size_t len)
{
	(void)context;
	memset(bytes, 0x5a, len);
}

static struct test_clock clock_at(int64_t now_us)
{
	return (struct test_clock){{test_wall_ms, test_monotonic_us, test_random, NULL}, now_us};
}

#define SECRET "$1$saltsalt$9xy1btjgzLYfb7hivXtC//" /* "secret" */

static int verify(struct auth_cache *cache, const char *user, const char *secret, const char *password)
{
	return auth_cache_verify(cache, slice_of(user), slice_of(secret), slice_of(password), &auth_cost_fast);
}

/* Costly enough that remembering shows. */
static const struct auth_cost cost = {.argon2_passes = 3, .argon2_memory_kib = 16384, .scram_iterations = 4096};

static int64_t processor_us(void)
{
	struct timespec used;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
	return used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static int64_t time_of(struct auth_cache *cache, const char *secret, const char *password)
{
	int64_t start_us = processor_us();

	assert_int_equal(auth_cache_verify(cache, SLICE("ann"), slice_of(secret), slice_of(password), &cost), 0);
	return processor_us() - start_us;
}

static void test_remembers_what_was_right_for_a_while(void **state)
{
	struct test_clock clock = clock_at(1);
	struct buffer secret = BUFFER_INIT(AUTH_SECRET_MAX);
	struct auth_cache *cache;
	int64_t first_us;

	(void)state;
	clock.source.context = &clock;
	assert_int_equal(auth_secret_make(SLICE("secret"), &cost, &secret), 0);
	assert_int_equal(auth_cache_new(100, 60000, &clock.source, &cache), 0);
	first_us = time_of(cache, buffer_text(&secret), "secret");
	assert_true(time_of(cache, buffer_text(&secret), "secret") < first_us / 4);
	clock.now_us += 59999 * 1000;
	assert_true(time_of(cache, buffer_text(&secret), "secret") < first_us / 4);
	clock.now_us += 2000;
	assert_true(time_of(cache, buffer_text(&secret), "secret") > first_us / 4);
	auth_cache_free(&cache);
	assert_null(cache);
	auth_cache_free(&cache);
	buffer_free(&secret);
}

static void test_nothing_else_matches(void **state)
{
	struct test_clock clock = clock_at(1);
	struct auth_cache *cache;

	(void)state;
	clock.source.context = &clock;
	assert_int_equal(auth_cache_new(100, 60000, &clock.source, &cache), 0);
	assert_int_equal(verify(cache, "ann", SECRET, "secret"), 0);
	assert_int_equal(verify(cache, "ann", SECRET, "secre"), -EACCES);
	assert_int_equal(verify(cache, "ann", SECRET, "wrong"), -EACCES);
	assert_int_equal(verify(cache, "ann", SECRET, "wrong"), -EACCES);
	/* The password was changed: the old one is over at once. */
	assert_int_equal(verify(cache, "ann", "$1$saltsalt$9xy1btjgzLYfb7hivXtC/.", "secret"), -EACCES);
	assert_int_equal(verify(cache, "ann", "", "secret"), -EACCES);
	/* Lengths are part of what is remembered: nothing may move from one field to the next. */
	assert_int_equal(verify(cache, "ann$1", "$saltsalt$9xy1btjgzLYfb7hivXtC//", "secret"), -EBADMSG);
	auth_cache_free(&cache);
}

static void test_is_bounded_and_may_be_missing(void **state)
{
	struct test_clock clock = clock_at(1);
	struct auth_cache *cache;
	char user[16];

	(void)state;
	clock.source.context = &clock;
	assert_int_equal(verify(NULL, "ann", SECRET, "secret"), 0);
	assert_int_equal(auth_cache_new(0, 60000, &clock.source, &cache), 0);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(user, sizeof(user), "user%d", i);
		assert_int_equal(verify(cache, user, SECRET, "secret"), 0);
		assert_int_equal(verify(cache, user, SECRET, "wrong"), -EACCES);
	}
	auth_cache_free(&cache);
}

static unsigned remembered_of(struct auth_cache *cache, unsigned users)
{
	unsigned count = 0;
	char user[16];

	for (unsigned i = 0; i < users; i++) {
		(void)snprintf(user, sizeof(user), "user%u", i);
		count += auth_cache_has(cache, slice_of(user), slice_of(SECRET), SLICE("secret"));
		assert_false(auth_cache_has(cache, slice_of(user), slice_of(SECRET), SLICE("secre")));
	}
	return count;
}

/* Nearly all of more users than it begins with are remembered, for as long as a few are; no more than the bound where that is lower. */
static void test_grows_with_its_users(void **state)
{
	enum { USERS = 5000, BOUND = 4096 };
	struct test_clock clock = clock_at(1);
	struct auth_cache *cache, *bounded;
	char user[16];

	(void)state;
	clock.source.context = &clock;
	assert_int_equal(auth_cache_new(1 << 20, 60000, &clock.source, &cache), 0);
	assert_int_equal(auth_cache_new(BOUND, 60000, &clock.source, &bounded), 0);
	for (unsigned i = 0; i < USERS; i++) {
		(void)snprintf(user, sizeof(user), "user%u", i);
		assert_int_equal(verify(cache, user, SECRET, "secret"), 0);
		assert_int_equal(verify(bounded, user, SECRET, "secret"), 0);
		clock.now_us++;
	}
	assert_true(remembered_of(cache, USERS) > USERS * 95 / 100);
	assert_in_range(remembered_of(bounded, USERS), BOUND / 2, BOUND);
	clock.now_us += (int64_t)60000 * 1000;
	assert_int_equal(remembered_of(cache, USERS), 0);
	auth_cache_free(&cache);
	auth_cache_free(&bounded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembers_what_was_right_for_a_while),
		cmocka_unit_test(test_nothing_else_matches),
		cmocka_unit_test(test_is_bounded_and_may_be_missing),
		cmocka_unit_test(test_grows_with_its_users),
	};

	return cmocka_run_group_tests_name("auth/cache", tests, NULL, NULL);
}
