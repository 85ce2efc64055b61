#include "support.h"

struct world {
	struct test_account accounts[4];
	struct test_lookup lookup;
	struct auth_settings settings;
	struct auth_connection connection;
	struct arena *arena;
	char secret[AUTH_SECRET_MAX];
};

static int set_up(void **state)
{
	static struct world world;
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX);

	memset(&world, 0, sizeof(world));
	assert_int_equal(auth_secret_make(SLICE("correct horse"), &auth_cost_fast, &out), 0);
	memcpy(world.secret, buffer_text(&out), out.len + 1);
	buffer_free(&out);
	world.accounts[0] = (struct test_account){"ann@example.org", world.secret};
	world.accounts[1] = (struct test_account){"ben@example.org", world.secret};
	world.accounts[2] = (struct test_account){"nobody@example.org", ""};
	world.lookup.accounts = world.accounts;
	world.settings = (struct auth_settings){.lookup = {test_find, &world.lookup}, .cost = auth_cost_fast};
	world.connection = (struct auth_connection){.confidential = true};
	assert_int_equal(auth_cache_new(100, 60000, clock_system(), &world.settings.cache), 0);
	assert_int_equal(arena_new(1 << 20, &world.arena), 0);
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	auth_cache_free(&world->settings.cache);
	arena_free(&world->arena);
	return 0;
}

static int ask(struct world *world, struct slice message, struct auth_identity *ret_identity)
{
	return auth_plain_remembered(&world->settings, &world->connection, message, world->arena, ret_identity);
}

static int ask_who(struct world *world, struct slice message)
{
	struct auth_identity identity = {.account = 0};
	int error = ask(world, message, &identity);

	/* Untouched where there is no answer. */
	assert_int_equal(error == 0, identity.account != 0);
	return error;
}

static void log_in(struct world *world, const char *user)
{
	struct test_client client = {.user = user, .password = "correct horse"};
	struct auth_exchange *exchange;

	assert_int_equal(auth_exchange_new(&world->settings, &world->connection, SLICE("PLAIN"), &exchange), 0);
	assert_int_equal(test_play(exchange, "PLAIN", &client, NULL), AUTH_DONE);
	auth_exchange_free(&exchange);
}

static void test_a_login_is_remembered(void **state)
{
	struct world *world = *state;
	struct auth_identity identity;

	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0correct horse")), -ENOENT);
	log_in(world, "ann@example.org");
	assert_int_equal(ask(world, SLICE("\0ann@example.org\0correct horse"), &identity), 0);
	assert_int_equal(identity.account, 1);
	assert_true(slice_equal(identity.address, SLICE("ann@example.org")));
	assert_int_equal(ask_who(world, SLICE("\0ANN@example.org\0correct horse")), 0);
	assert_int_equal(ask_who(world, SLICE("Ann@example.org\0ann@example.org\0correct horse")), 0);
}

static void test_nothing_else_is(void **state)
{
	struct world *world = *state;
	static const struct slice others[] = {SLICE("\0ann@example.org\0correct horsf"),
		SLICE("\0ben@example.org\0correct horse"), SLICE("\0nobody@example.org\0correct horse"),
		SLICE("\0stranger@example.org\0correct horse"),
		SLICE("ben@example.org\0ann@example.org\0correct horse"), SLICE("\0ann@example.org\0correct horse\0"),
		SLICE("\0ann@example.org\0"), SLICE("\0ann@example.org"), SLICE("ann@example.org"),
		SLICE("\0\0correct horse"), SLICE("\0\0"), SLICE("")};

	log_in(world, "ann@example.org");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(ask_who(world, others[i]), -ENOENT);
	world->connection.confidential = false;
	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0correct horse")), -ENOENT);
}

static void test_what_must_be_prepared_goes_to_an_exchange(void **state)
{
	struct world *world = *state;

	/* U+00AD is mapped to nothing (RFC 4013 §2.1), so both are right; only the first needs no preparation. */
	log_in(world, "ann@example.org");
	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0correct horse")), 0);
	assert_int_equal(ask_who(world, SLICE("\0a\xc2\xadnn@example.org\0correct horse")), -ENOENT);
	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0correct\x07horse")), -ENOENT);
}

static void test_a_changed_password_and_lookups_that_fail(void **state)
{
	struct world *world = *state;
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX);

	log_in(world, "ann@example.org");
	world->lookup.error = -EIO;
	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0correct horse")), -ENOENT);
	world->lookup.error = 0;
	assert_int_equal(auth_secret_make(SLICE("another"), &auth_cost_fast, &out), 0);
	memcpy(world->secret, buffer_text(&out), out.len + 1);
	buffer_free(&out);
	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0correct horse")), -ENOENT);
	assert_int_equal(ask_who(world, SLICE("\0ann@example.org\0another")), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_login_is_remembered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_else_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_must_be_prepared_goes_to_an_exchange, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_changed_password_and_lookups_that_fail, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("auth/remembered", tests, NULL, NULL);
}
