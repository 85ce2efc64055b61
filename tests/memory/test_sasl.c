/*
 * Each allocation fails in turn while somebody logs in. Who has the right password is let in or told that it cannot be looked at now, never that the
 * password is wrong; who has a wrong one is never let in.
 */
#include "../auth/support.h"
#include "failing.h"

#define LOOKED_UP "ann@example.org"

static const char *const mechanisms[] = {
	"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"};

static const struct slice channel = {"exported keying material", 24};

struct login {
	const char *mechanism, *password;
	struct test_lookup lookup;
	struct auth_settings settings;
	unsigned through, unavailable;
};

static char secret[AUTH_SECRET_MAX];
/* The same in SCRAM's form only, so that a password sent in clear is checked by that. */
static const char *scram_secret;

static void step(struct login *login, struct auth_exchange *exchange)
{
	bool bound = slice_ends(slice_of(login->mechanism), SLICE("-PLUS"));
	const struct test_client client = {
		.user = LOOKED_UP, .password = login->password, .tls_exporter = bound ? channel : SLICE("")};
	bool right = slice_equal(slice_of(login->password), SLICE("correct horse")), trusts;
	enum auth_state state = test_play(exchange, login->mechanism, &client, &trusts);

	assert_int_equal(state == AUTH_DONE, auth_exchange_identity(exchange) != NULL);
	if (failing_happened() && state == AUTH_UNAVAILABLE)
		login->unavailable++;
	else
		assert_int_equal(state, right ? AUTH_DONE : AUTH_FAILED);
	login->through += state == AUTH_DONE;
}

static void log_in(void *context)
{
	const struct auth_connection connection = {.confidential = true, .tls_exporter = channel};
	struct login *login = context;
	struct auth_exchange *exchange;
	int error = auth_exchange_new(&login->settings, &connection, slice_of(login->mechanism), &exchange);

	if (error) {
		assert_int_equal(error, -ENOMEM);
		assert_true(failing_happened());
		return;
	}
	step(login, exchange);
	auth_exchange_free(&exchange);
}

static void log_in_with(const char *kept, const char *password)
{
	const struct test_account accounts[] = {{LOOKED_UP, kept}, {NULL, NULL}};

	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		struct login login = {
			.mechanism = mechanisms[i], .password = password, .lookup = {.accounts = accounts}};

		login.settings = (struct auth_settings){.lookup = {test_find, &login.lookup}, .cost = auth_cost_fast};
		assert_true(failing_each(log_in, &login) >= 4);
		assert_true(login.unavailable > 0);
	}
}

static void the_right_password_is_never_called_wrong(void **state UNUSED)
{
	log_in_with(secret, "correct horse");
	log_in_with(scram_secret, "correct horse");
}

static void the_wrong_password_is_never_taken(void **state UNUSED)
{
	log_in_with(secret, "wrong horse");
	log_in_with(scram_secret, "wrong horse");
}

static void make(void *context UNUSED)
{
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX);
	int error = auth_secret_make(SLICE("correct horse"), &auth_cost_fast, &out);

	if (error) {
		assert_int_equal(error, -ENOMEM);
		assert_true(failing_happened());
		assert_int_equal(out.len, 0);
	} else {
		assert_int_equal(auth_secret_validate(buffer_slice(&out)), 0);
		assert_non_null(strstr(buffer_text(&out), "{SCRAM-SHA-1}"));
	}
	buffer_free(&out);
}

static void a_new_secret_is_whole(void **state UNUSED)
{
	assert_true(failing_each(make, NULL) >= 2);
}

static int set_up(void **state UNUSED)
{
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX);
	int error = auth_secret_make(SLICE("correct horse"), &auth_cost_fast, &out);

	if (error)
		return error;
	memcpy(secret, buffer_text(&out), out.len + 1);
	scram_secret = strstr(secret, "{SCRAM-SHA-256}");
	buffer_free(&out);
	return scram_secret ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_password_is_never_called_wrong),
		cmocka_unit_test(the_wrong_password_is_never_taken),
		cmocka_unit_test(a_new_secret_is_whole),
	};

	return cmocka_run_group_tests_name("memory: SASL", tests, set_up, NULL);
}
