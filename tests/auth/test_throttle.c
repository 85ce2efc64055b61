#include "support.h"

struct test_clock {
	struct clock_source source;
	int64_t now_ms;
};

static int64_t test_wall_ms(void *context)
{
	return ((struct test_clock *)context)->now_ms;
}

static int64_t test_monotonic_us(void *context)
{
	return ((struct test_clock *)context)->now_ms * 1000;
}

static void test_random(void *context, void *bytes, size_t len)
{
	(void)context;
	memset(bytes, 7, len);
}

static struct test_clock the_clock;
static struct auth_throttle *throttle;
static const struct auth_throttle_settings settings = {.exempt_loopback = true,
	.delay_first_ms = 1000,
	.delay_max_ms = 30000,
	.forget_ms = 600000,
	.entries_max = 1024};

static int set_up(void **state)
{
	(void)state;
	the_clock = (struct test_clock){{test_wall_ms, test_monotonic_us, test_random, &the_clock}, 1000000};
	return auth_throttle_new(&settings, &the_clock.source, &throttle);
}

static int tear_down(void **state)
{
	(void)state;
	auth_throttle_free(&throttle);
	auth_throttle_free(&throttle);
	return 0;
}

static uint64_t delay(const char *user, const char *address)
{
	return auth_throttle_delay_ms(throttle, slice_of(user), slice_of(address));
}

static void failed(const char *user, const char *address, unsigned times)
{
	while (times--)
		auth_throttle_failed(throttle, slice_of(user), slice_of(address));
}

static void succeed(const char *user, const char *address)
{
	auth_throttle_succeeded(throttle, slice_of(user), slice_of(address));
}

static void test_delay_doubles_to_its_maximum(void **state)
{
	static const uint64_t expected[] = {0, 0, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(delay("ann@example.org", "192.0.2.1"), expected[i]);
		failed("ann@example.org", "192.0.2.1", 1);
	}
	failed("ann@example.org", "192.0.2.1", 5000);
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 30000);
}

static void test_counts_by_network_and_by_account(void **state)
{
	(void)state;
	failed("ann@example.org", "192.0.2.1", 3);
	assert_int_equal(delay("bob@example.org", "192.0.2.200"), 2000);      /* same /24 */
	assert_int_equal(delay("bob@example.org", "::ffff:192.0.2.7"), 2000); /* the same, mapped */
	assert_int_equal(delay("ANN@example.org", "198.51.100.1"), 2000);     /* same account */
	assert_int_equal(delay("bob@example.org", "198.51.100.1"), 0);
	failed("eve@example.org", "2001:db8:1:2::1", 2);
	assert_int_equal(delay("bob@example.org", "2001:db8:1:2:ffff::9"), 1000); /* same /64 */
	assert_int_equal(delay("bob@example.org", "2001:db8:1:3::1"), 0);
	failed("", "203.0.113.1", 2);
	assert_int_equal(delay("", "203.0.113.9"), 1000);
	assert_int_equal(delay("", "203.0.114.9"), 0);
}

static void test_the_owner_at_home_is_not_delayed_by_strangers(void **state)
{
	(void)state;
	succeed("ann@example.org", "192.0.2.1");
	failed("ann@example.org", "198.51.100.1", 100);
	assert_int_equal(delay("ann@example.org", "198.51.100.1"), 30000);
	assert_int_equal(delay("ann@example.org", "203.0.113.1"), 30000);
	assert_int_equal(delay("ann@example.org", "192.0.2.99"), 0);
	/* Nor by a neighbour's failures on other accounts. */
	failed("bob@example.org", "192.0.2.50", 100);
	assert_int_equal(delay("ann@example.org", "192.0.2.99"), 0);
	assert_int_equal(delay("bob@example.org", "192.0.2.99"), 30000);
	/* But guessing at her account from her network is slowed down, too, until she gets it right. */
	failed("ann@example.org", "192.0.2.50", 3);
	assert_int_equal(delay("ann@example.org", "192.0.2.99"), 2000);
	succeed("ann@example.org", "192.0.2.99");
	assert_int_equal(delay("ann@example.org", "192.0.2.99"), 0);
}

static void test_success_gives_guessers_no_fresh_start(void **state)
{
	(void)state;
	failed("ann@example.org", "198.51.100.1", 10);
	succeed("eve@example.org", "198.51.100.1");
	assert_int_equal(delay("ann@example.org", "198.51.100.1"), 30000);
	succeed("ann@example.org", "192.0.2.1");
	assert_int_equal(delay("ann@example.org", "203.0.113.1"), 30000);
}

static void test_failures_fade(void **state)
{
	(void)state;
	failed("ann@example.org", "192.0.2.1", 8);
	the_clock.now_ms += 600000;
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 4000); /* 4 left */
	the_clock.now_ms += 300000;
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 2000); /* 3 */
	the_clock.now_ms += 300000;
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 1000); /* 2 */
	the_clock.now_ms += 600000;
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 0);
	the_clock.now_ms += (int64_t)1000 * 86400 * 365;
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 0);
}

static void test_loopback_is_exempt_when_told(void **state)
{
	static const char *const local[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix", ""};
	struct auth_throttle_settings strict = settings;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		failed("ann@example.org", local[i], 10);
		assert_int_equal(delay("ann@example.org", local[i]), 0);
	}
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 0);
	auth_throttle_free(&throttle);
	strict.exempt_loopback = false;
	assert_int_equal(auth_throttle_new(&strict, &the_clock.source, &throttle), 0);
	failed("ann@example.org", "127.0.0.1", 2);
	assert_int_equal(delay("ann@example.org", "127.0.0.1"), 1000);
}

static void test_memory_is_bounded_and_the_owner_stays_known(void **state)
{
	char user[400], address[40];

	(void)state;
	succeed("ann@example.org", "192.0.2.1");
	failed("ann@example.org", "198.51.100.7", 100);
	for (unsigned i = 0; i < 20000; i++) {
		(void)snprintf(user, sizeof(user), "guess%u", i);
		(void)snprintf(address, sizeof(address), "10.%u.%u.1", i / 256 % 256, i % 256);
		failed(user, address, 1);
	}
	/* A flood of small counts pushes out neither the big one nor who is known. */
	assert_int_equal(delay("ann@example.org", "203.0.113.1"), 30000);
	assert_int_equal(delay("ann@example.org", "192.0.2.1"), 0);
}

static void test_names_and_addresses_of_any_size(void **state)
{
	char *big = malloc(100000);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', 100000);
	for (int i = 0; i < 2; i++)
		auth_throttle_failed(throttle, slice_make(big, 100000), slice_make(big, 100000));
	assert_int_equal(auth_throttle_delay_ms(throttle, slice_make(big, 100000), SLICE("192.0.2.1")), 1000);
	assert_int_equal(auth_throttle_delay_ms(throttle, SLICE("y"), slice_make(big, 100000)), 1000);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_delay_doubles_to_its_maximum, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_counts_by_network_and_by_account, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_owner_at_home_is_not_delayed_by_strangers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_success_gives_guessers_no_fresh_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures_fade, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_loopback_is_exempt_when_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_is_bounded_and_the_owner_stays_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_and_addresses_of_any_size, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("auth/throttle", tests, NULL, NULL);
}
