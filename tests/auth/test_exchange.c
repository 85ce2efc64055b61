#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "support.h"

struct world {
	struct test_account accounts[5];
	struct test_lookup lookup;
	struct auth_settings settings;
	struct auth_connection plain, tls13, tls12;
	char secrets[2][AUTH_SECRET_MAX];
};

static const char *const names[] = {
	"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"};

static void make_secret(const char *password, char text[AUTH_SECRET_MAX])
{
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX);

	assert_int_equal(auth_secret_make(slice_of(password), &auth_cost_fast, &out), 0);
	memcpy(text, buffer_text(&out), out.len + 1);
	buffer_free(&out);
}

static int set_up(void **state)
{
	static struct world world;

	memset(&world, 0, sizeof(world));
	make_secret("correct horse", world.secrets[0]);
	make_secret("I\xc2\xadX", world.secrets[1]);
	world.accounts[0] = (struct test_account){"ann@example.org", world.secrets[0]};
	world.accounts[1] = (struct test_account){"zo\xc3\xab@example.org", world.secrets[1]};
	world.accounts[2] =
		(struct test_account){"old@example.org", "$6$saltsaltsaltsalt$ph0yGsyjzqdeFaon7.gJZo8eAG5/rj9/"
							 "JdzOu1Rl7dKzBYg3xgvl7T2VQ2Rt81bc5AXkdA54r0p8QvC1omD6R1"};
	world.accounts[3] = (struct test_account){"nobody@example.org", ""};
	world.lookup.accounts = world.accounts;
	world.settings = (struct auth_settings){.lookup = {test_find, &world.lookup}, .cost = auth_cost_fast};
	world.plain = (struct auth_connection){.confidential = true};
	world.tls13 =
		(struct auth_connection){.confidential = true, .tls_exporter = SLICE("exported keying \0 material")};
	world.tls12 = (struct auth_connection){.confidential = true, .tls_unique = SLICE("finished")};
	*state = &world;
	return 0;
}

static enum auth_state play(struct world *world, const struct auth_connection *connection, const char *mechanism,
	const struct test_client *client)
{
	struct auth_exchange *exchange;
	enum auth_state state;
	bool trusts;

	assert_int_equal(auth_exchange_new(&world->settings, connection, slice_of(mechanism), &exchange), 0);
	state = test_play(exchange, mechanism, client, &trusts);
	assert_true(state != AUTH_DONE || trusts);
	if (state == AUTH_DONE)
		assert_non_null(auth_exchange_identity(exchange));
	else
		assert_null(auth_exchange_identity(exchange));
	auth_exchange_free(&exchange);
	assert_null(exchange);
	return state;
}

/* The connection on which GNU SASL's client can use the mechanism, and the client's end of the channel. */
static struct auth_connection *channel_for(struct world *world, const char *mechanism, struct test_client *client)
{
	if (!slice_ends(slice_of(mechanism), SLICE("-PLUS")))
		return &world->plain;
	client->tls_exporter = world->tls13.tls_exporter;
	return &world->tls13;
}

static void test_the_right_password(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct test_client client = {.user = "ann@example.org", .password = "correct horse"};
		struct auth_connection *connection = channel_for(world, names[i], &client);

		assert_int_equal(play(world, connection, names[i], &client), AUTH_DONE);
	}
}

static void test_wrong_passwords(void **state)
{
	struct world *world = *state;
	static const char *const wrong[] = {"Correct horse", "correct horse ", "x"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (size_t j = 0; j < ARRAY_LEN(wrong); j++) {
			struct test_client client = {.user = "ann@example.org", .password = wrong[j]};
			struct auth_connection *connection = channel_for(world, names[i], &client);

			assert_int_equal(play(world, connection, names[i], &client), AUTH_FAILED);
		}
	}
}

static void test_unknown_users_and_users_without_a_secret(void **state)
{
	struct world *world = *state;
	static const char *const users[] = {"stranger@example.org", "nobody@example.org", "\x01"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (size_t j = 0; j < ARRAY_LEN(users) - (i < 4); j++) {
			struct test_client client = {.user = users[j], .password = "correct horse"};
			struct auth_connection *connection = channel_for(world, names[i], &client);

			assert_int_equal(play(world, connection, names[i], &client), AUTH_FAILED);
		}
	}
}

/* Processor time of one failing login, the least of a few. */
static int64_t cost_of(struct world *world, const char *user, const char *password)
{
	struct test_client client = {.user = user, .password = password};
	int64_t least_us = INT64_MAX;

	for (int i = 0; i < 5; i++) {
		struct timespec from, to;
		int64_t us;

		assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from), 0);
		assert_int_equal(play(world, &world->plain, "PLAIN", &client), AUTH_FAILED);
		assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to), 0);
		us = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
		least_us = MIN(least_us, us);
	}
	return least_us;
}

static void test_time_does_not_tell_who_exists(void **state)
{
	struct world *world = *state;
	static const char *const others[] = {"stranger@example.org", "nobody@example.org", "old@example.org"};
	struct buffer secret = BUFFER_INIT(AUTH_SECRET_MAX);
	char long_password[AUTH_PASSWORD_MAX + 10];
	int64_t known_us;

	world->settings.cost =
		(struct auth_cost){.argon2_passes = 3, .argon2_memory_kib = 8192, .scram_iterations = 4096};
	assert_int_equal(auth_secret_make(SLICE("correct horse"), &world->settings.cost, &secret), 0);
	world->accounts[0].secret = buffer_text(&secret);
	known_us = cost_of(world, "ann@example.org", "wrong");
	/* Wide bounds, for busy machines: leaving argon2id out would be a tenth or less. */
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		int64_t us = cost_of(world, others[i], "wrong");

		assert_true(us > known_us * 2 / 5 && us < known_us * 5 / 2);
	}
	/* Nor does a password that nobody can have. */
	memset(long_password, 'x', sizeof(long_password) - 1);
	long_password[sizeof(long_password) - 1] = '\0';
	assert_true(cost_of(world, "ann@example.org", long_password) > known_us * 2 / 5);
	assert_true(cost_of(world, "stranger@example.org", long_password) > known_us * 2 / 5);
	buffer_free(&secret);
}

static void test_a_hash_from_elsewhere_serves_plain_but_not_scram(void **state)
{
	struct world *world = *state;
	struct test_client client = {.user = "old@example.org", .password = "secret"};

	assert_int_equal(play(world, &world->plain, "PLAIN", &client), AUTH_DONE);
	assert_int_equal(play(world, &world->plain, "LOGIN", &client), AUTH_DONE);
	assert_int_equal(play(world, &world->plain, "SCRAM-SHA-256", &client), AUTH_FAILED);
}

static void test_saslprep_makes_passwords_and_names_equal(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		/* e and a combining diaeresis; IX without the soft hyphen. */
		struct test_client client = {.user = "zoe\xcc\x88@example.org", .password = "IX"};
		struct auth_connection *connection = channel_for(world, names[i], &client);

		assert_int_equal(play(world, connection, names[i], &client), AUTH_DONE);
	}
}

static void test_authzid_must_be_the_same_user(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < 5; i++) { /* LOGIN has none */
		struct test_client client = {.user = "Ann@example.org", .password = "correct horse"};
		struct auth_connection *connection = channel_for(world, names[i], &client);

		client.authzid = "ann@example.org";
		assert_int_equal(play(world, connection, names[i], &client), AUTH_DONE);
		client.authzid = "zo\xc3\xab@example.org";
		assert_int_equal(play(world, connection, names[i], &client), AUTH_FAILED);
		client.authzid = "stranger@example.org";
		assert_int_equal(play(world, connection, names[i], &client), AUTH_FAILED);
	}
}

static void test_channel_binding(void **state)
{
	struct world *world = *state;
	struct test_client client = {.user = "ann@example.org", .password = "correct horse"};

	client.tls_unique = world->tls12.tls_unique;
	assert_int_equal(play(world, &world->tls12, "SCRAM-SHA-256-PLUS", &client), AUTH_DONE);
	assert_int_equal(play(world, &world->tls12, "SCRAM-SHA-1-PLUS", &client), AUTH_DONE);
	/* Another channel ends at the server: somebody is in between. */
	client.tls_unique = SLICE("FINISHED");
	assert_int_equal(play(world, &world->tls12, "SCRAM-SHA-256-PLUS", &client), AUTH_FAILED);
	client.tls_unique = SLICE("finished and more");
	assert_int_equal(play(world, &world->tls12, "SCRAM-SHA-256-PLUS", &client), AUTH_FAILED);
	/* A type of binding that this connection does not have. */
	assert_int_equal(play(world, &world->tls13, "SCRAM-SHA-256-PLUS", &client), AUTH_FAILED);
}

static enum auth_state step(struct auth_exchange *exchange, struct slice in, struct buffer *out)
{
	buffer_reset(out);
	return auth_exchange_step(exchange, in, out);
}

/*
 * A client of our own for SCRAM-SHA-256, because GNU SASL's never says `y`: first message with this header, then the final one
 * with `binding` as what it was bound to. The server's signature is checked.
 */
static enum auth_state play_scram(struct world *world, const struct auth_connection *connection, const char *mechanism,
	struct slice header, struct slice binding)
{
	struct buffer first = BUFFER_INIT(1024), out = BUFFER_INIT(AUTH_STEP_MAX), text = BUFFER_INIT(4096);
	struct buffer salt = BUFFER_INIT(64), final = BUFFER_INIT(1024), bound = BUFFER_INIT(512),
		      proof = BUFFER_INIT(512);
	unsigned char salted[32], client_key[32], stored_key[32], server_key[32], signature[32];
	struct auth_exchange *exchange;
	struct slice rest, nonce;
	enum auth_state state;

	assert_int_equal(auth_exchange_new(&world->settings, connection, slice_of(mechanism), &exchange), 0);
	buffer_put(&first, header);
	buffer_put_text(&first, "n=ann@example.org,r=clientnonce");
	state = step(exchange, buffer_slice(&first), &out);
	if (state != AUTH_CONTINUE)
		goto out;
	rest = buffer_slice(&out);
	nonce = slice_from(slice_split(&rest, ','), 2);
	assert_int_equal(buffer_put_base64_decoded(&salt, slice_from(slice_split(&rest, ','), 2)), 0);
	assert_int_equal(PKCS5_PBKDF2_HMAC("correct horse", 13, (const unsigned char *)salt.at, (int)salt.len, 4096,
				 EVP_sha256(), sizeof(salted), salted),
		1);
	HMAC(EVP_sha256(), salted, 32, (const unsigned char *)"Client Key", 10, client_key, NULL);
	HMAC(EVP_sha256(), salted, 32, (const unsigned char *)"Server Key", 10, server_key, NULL);
	assert_int_equal(EVP_Digest(client_key, 32, stored_key, NULL, EVP_sha256(), NULL), 1);
	buffer_put(&bound, header);
	buffer_put(&bound, binding);
	buffer_put_text(&final, "c=");
	buffer_put_base64(&final, buffer_slice(&bound));
	buffer_printf(&final, ",r=%.*s", SLICE_ARG(nonce));
	buffer_put(&text, slice_from(buffer_slice(&first), header.len));
	buffer_printf(&text, ",%.*s,%.*s", (int)out.len, out.at, (int) final.len, final.at);
	HMAC(EVP_sha256(), stored_key, 32, (const unsigned char *)text.at, text.len, signature, NULL);
	for (size_t i = 0; i < sizeof(signature); i++)
		client_key[i] ^= signature[i];
	buffer_put_text(&final, ",p=");
	buffer_put_base64(&final, slice_make(client_key, sizeof(client_key)));
	state = step(exchange, buffer_slice(&final), &out);
	if (state == AUTH_DONE) {
		HMAC(EVP_sha256(), server_key, 32, (const unsigned char *)text.at, text.len, signature, NULL);
		buffer_put_text(&proof, "v=");
		buffer_put_base64(&proof, slice_make(signature, sizeof(signature)));
		assert_true(slice_equal(buffer_slice(&out), buffer_slice(&proof)));
	}
out:
	auth_exchange_free(&exchange);
	buffer_free(&first);
	buffer_free(&out);
	buffer_free(&text);
	buffer_free(&salt);
	buffer_free(&final);
	buffer_free(&bound);
	buffer_free(&proof);
	return state;
}

static void test_downgrade_is_noticed(void **state)
{
	struct world *world = *state;
	struct slice none = {NULL, 0};

	/* The client could bind and was told that the server cannot: it says `y` (RFC 5802 §6). */
	assert_int_equal(play_scram(world, &world->tls13, "SCRAM-SHA-256", SLICE("y,,"), none), AUTH_FAILED);
	assert_int_equal(play_scram(world, &world->tls12, "SCRAM-SHA-256", SLICE("y,,"), none), AUTH_FAILED);
	/* It is right where the server cannot bind; and a client that cannot bind says `n`. */
	assert_int_equal(play_scram(world, &world->plain, "SCRAM-SHA-256", SLICE("y,,"), none), AUTH_DONE);
	assert_int_equal(play_scram(world, &world->tls13, "SCRAM-SHA-256", SLICE("n,,"), none), AUTH_DONE);
	/* Neither flag helps where binding was chosen. */
	assert_int_equal(play_scram(world, &world->tls13, "SCRAM-SHA-256-PLUS", SLICE("y,,"), none), AUTH_FAILED);
	assert_int_equal(play_scram(world, &world->tls13, "SCRAM-SHA-256-PLUS", SLICE("n,,"), none), AUTH_FAILED);
}

static void test_what_was_bound_is_compared(void **state)
{
	struct world *world = *state;
	struct slice right = world->tls13.tls_exporter;
	struct slice header = SLICE("p=tls-exporter,,");
	const char *plus = "SCRAM-SHA-256-PLUS";

	assert_int_equal(play_scram(world, &world->tls13, plus, header, right), AUTH_DONE);
	assert_int_equal(
		play_scram(world, &world->tls13, plus, header, slice_first(right, right.len - 1)), AUTH_FAILED);
	assert_int_equal(play_scram(world, &world->tls13, plus, header, (struct slice){NULL, 0}), AUTH_FAILED);
	assert_int_equal(play_scram(world, &world->tls13, plus, SLICE("p=tls-unique,,"), right), AUTH_FAILED);
	assert_int_equal(play_scram(world, &world->tls13, plus, SLICE("p=tls-server-end-point,,"), right), AUTH_FAILED);
	assert_int_equal(play_scram(world, &world->tls13, "SCRAM-SHA-256", header, right), AUTH_FAILED);
	assert_int_equal(
		play_scram(world, &world->tls13, "SCRAM-SHA-256", header, (struct slice){NULL, 0}), AUTH_FAILED);
	/* An extension that must be understood and is not (RFC 5802 §5.1). */
	assert_int_equal(play_scram(world, &world->plain, "SCRAM-SHA-256", SLICE("n,,m=x,"), (struct slice){NULL, 0}),
		AUTH_FAILED);
}

static void test_flag_p_needs_a_plus_mechanism(void **state)
{
	struct world *world = *state;
	struct buffer out = BUFFER_INIT(AUTH_STEP_MAX);
	struct auth_exchange *exchange;

	assert_int_equal(auth_exchange_new(&world->settings, &world->tls12, SLICE("SCRAM-SHA-1"), &exchange), 0);
	assert_int_equal(step(exchange, SLICE("p=tls-unique,,n=ann@example.org,r=abcdef"), &out), AUTH_FAILED);
	auth_exchange_free(&exchange);
	assert_int_equal(auth_exchange_new(&world->settings, &world->tls12, SLICE("SCRAM-SHA-1-PLUS"), &exchange), 0);
	assert_int_equal(step(exchange, SLICE("n,,n=ann@example.org,r=abcdef"), &out), AUTH_FAILED);
	auth_exchange_free(&exchange);
	buffer_free(&out);
}

static void test_invented_salts_stay_the_same(void **state)
{
	struct world *world = *state;
	static const char *const first[] = {"n,,n=stranger@example.org,r=abc", "n,,n=Stranger@Example.org,r=abc",
		"n,,n=stranger@example.org,r=abc", "n,,n=stronger@example.org,r=abc", "n,,n=old@example.org,r=abc"};
	struct slice salts[ARRAY_LEN(first)];
	struct buffer outs[ARRAY_LEN(first)];

	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		struct auth_exchange *exchange;
		struct slice rest;

		outs[i] = BUFFER_INIT(AUTH_STEP_MAX);
		assert_int_equal(
			auth_exchange_new(&world->settings, &world->plain, SLICE("scram-sha-256"), &exchange), 0);
		assert_int_equal(step(exchange, slice_of(first[i]), &outs[i]), AUTH_CONTINUE);
		rest = buffer_slice(&outs[i]);
		assert_true(slice_starts(slice_split(&rest, ','), SLICE("r=abc")));
		salts[i] = slice_split(&rest, ',');
		assert_int_equal(salts[i].len, 2 + 24); /* 16 bytes, as real ones */
		assert_true(slice_equal(rest, SLICE("i=4096")));
		auth_exchange_free(&exchange);
	}
	assert_true(slice_equal(salts[0], salts[1]));
	assert_true(slice_equal(salts[0], salts[2]));
	assert_false(slice_equal(salts[0], salts[3]));
	assert_false(slice_equal(salts[0], salts[4]));
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		buffer_free(&outs[i]);
}

static void test_invented_salts_follow_the_key(void **state)
{
	struct world *world = *state;
	struct buffer a = BUFFER_INIT(AUTH_STEP_MAX), b = BUFFER_INIT(AUTH_STEP_MAX);
	struct auth_exchange *exchange;

	for (int i = 0; i < 2; i++) {
		world->settings.fake_salt_key = i ? SLICE("one key") : SLICE("another key");
		assert_int_equal(
			auth_exchange_new(&world->settings, &world->plain, SLICE("SCRAM-SHA-1"), &exchange), 0);
		assert_int_equal(step(exchange, SLICE("n,,n=stranger,r=abc"), i ? &a : &b), AUTH_CONTINUE);
		auth_exchange_free(&exchange);
	}
	assert_false(slice_equal(slice_from(buffer_slice(&a), slice_find(buffer_slice(&a), SLICE(",s="))),
		slice_from(buffer_slice(&b), slice_find(buffer_slice(&b), SLICE(",s=")))));
	buffer_free(&a);
	buffer_free(&b);
}

static void test_plain_on_the_wire(void **state)
{
	struct world *world = *state;
	struct buffer out = BUFFER_INIT(AUTH_STEP_MAX);
	struct auth_exchange *exchange;

	/* Without an initial response the server sends an empty challenge (RFC 4616 §2). */
	assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE("plain"), &exchange), 0);
	assert_int_equal(step(exchange, SLICE(""), &out), AUTH_CONTINUE);
	assert_int_equal(out.len, 0);
	assert_int_equal(step(exchange, SLICE("\0ann@example.org\0correct horse"), &out), AUTH_DONE);
	assert_int_equal(auth_exchange_identity(exchange)->account, 1);
	assert_true(slice_equal(auth_exchange_identity(exchange)->address, SLICE("ann@example.org")));
	assert_true(slice_equal(auth_exchange_user(exchange), SLICE("ann@example.org")));
	assert_int_equal(step(exchange, SLICE("\0ann@example.org\0correct horse"), &out), AUTH_FAILED);
	auth_exchange_free(&exchange);

	static const struct slice bad[] = {{"x", 1}, {"\0\0", 2}, {"\0a", 2}, {"\0a\0", 3}, {"\0\0b", 3},
		{"\0ann@example.org\0correct horse\0", 31}, {"\0ann@example.org\0correct\xff", 25},
		{"\xff\0\xff\0\xff", 5}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE("PLAIN"), &exchange), 0);
		assert_int_equal(step(exchange, bad[i], &out), AUTH_FAILED);
		assert_int_equal(out.len, 0);
		auth_exchange_free(&exchange);
	}
	buffer_free(&out);
}

static void test_login_on_the_wire(void **state)
{
	struct world *world = *state;
	struct buffer out = BUFFER_INIT(AUTH_STEP_MAX);
	struct auth_exchange *exchange;

	assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE("LOGIN"), &exchange), 0);
	assert_int_equal(step(exchange, SLICE(""), &out), AUTH_CONTINUE);
	assert_true(slice_equal(buffer_slice(&out), SLICE("Username:")));
	assert_int_equal(step(exchange, SLICE("ann@example.org"), &out), AUTH_CONTINUE);
	assert_true(slice_equal(buffer_slice(&out), SLICE("Password:")));
	assert_int_equal(step(exchange, SLICE("correct horse"), &out), AUTH_DONE);
	auth_exchange_free(&exchange);

	/* A name as initial response. */
	assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE("LOGIN"), &exchange), 0);
	assert_int_equal(step(exchange, SLICE("ann@example.org"), &out), AUTH_CONTINUE);
	assert_true(slice_equal(buffer_slice(&out), SLICE("Password:")));
	assert_int_equal(step(exchange, SLICE("correct horse"), &out), AUTH_DONE);
	auth_exchange_free(&exchange);

	assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE("LOGIN"), &exchange), 0);
	assert_int_equal(step(exchange, SLICE("ann\0x"), &out), AUTH_FAILED);
	auth_exchange_free(&exchange);
	buffer_free(&out);
}

static void test_endless_and_oversized_exchanges_end(void **state)
{
	struct world *world = *state;
	struct buffer out = BUFFER_INIT(AUTH_STEP_MAX);
	char *big = calloc(1, AUTH_STEP_MAX + 1);

	assert_non_null(big);
	memset(big, 'n', AUTH_STEP_MAX + 1);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct auth_exchange *exchange;
		unsigned steps = 0;

		assert_int_equal(auth_exchange_new(&world->settings, &world->tls13, slice_of(names[i]), &exchange), 0);
		while (step(exchange, SLICE(""), &out) == AUTH_CONTINUE)
			assert_true(++steps < 10);
		auth_exchange_free(&exchange);
		assert_int_equal(auth_exchange_new(&world->settings, &world->tls13, slice_of(names[i]), &exchange), 0);
		assert_int_equal(step(exchange, slice_make(big, AUTH_STEP_MAX + 1), &out), AUTH_FAILED);
		auth_exchange_free(&exchange);
	}
	free(big);
	buffer_free(&out);
}

static void test_a_store_that_fails_is_no_wrong_password(void **state)
{
	struct world *world = *state;

	world->lookup.error = -EIO;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct test_client client = {.user = "ann@example.org", .password = "correct horse"};
		struct auth_connection *connection = channel_for(world, names[i], &client);

		assert_int_equal(play(world, connection, names[i], &client), AUTH_UNAVAILABLE);
	}
}

static void test_which_mechanisms_are_offered(void **state)
{
	struct world *world = *state;
	struct auth_connection open = {.confidential = false};
	struct buffer out = BUFFER_INIT(256);
	struct auth_exchange *exchange;

	auth_mechanisms(&open, &out);
	assert_string_equal(buffer_text(&out), "SCRAM-SHA-256 SCRAM-SHA-1");
	buffer_reset(&out);
	auth_mechanisms(&world->plain, &out);
	assert_string_equal(buffer_text(&out), "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
	buffer_reset(&out);
	auth_mechanisms(&world->tls12, &out);
	assert_string_equal(
		buffer_text(&out), "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
	assert_int_equal(auth_exchange_new(&world->settings, &open, SLICE("PLAIN"), &exchange), -ENOENT);
	assert_int_equal(
		auth_exchange_new(&world->settings, &world->plain, SLICE("SCRAM-SHA-1-PLUS"), &exchange), -ENOENT);
	assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE("GSSAPI"), &exchange), -ENOENT);
	assert_int_equal(auth_exchange_new(&world->settings, &world->plain, SLICE(""), &exchange), -ENOENT);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_right_password, set_up),
		cmocka_unit_test_setup(test_wrong_passwords, set_up),
		cmocka_unit_test_setup(test_unknown_users_and_users_without_a_secret, set_up),
		cmocka_unit_test_setup(test_time_does_not_tell_who_exists, set_up),
		cmocka_unit_test_setup(test_a_hash_from_elsewhere_serves_plain_but_not_scram, set_up),
		cmocka_unit_test_setup(test_saslprep_makes_passwords_and_names_equal, set_up),
		cmocka_unit_test_setup(test_authzid_must_be_the_same_user, set_up),
		cmocka_unit_test_setup(test_channel_binding, set_up),
		cmocka_unit_test_setup(test_downgrade_is_noticed, set_up),
		cmocka_unit_test_setup(test_what_was_bound_is_compared, set_up),
		cmocka_unit_test_setup(test_flag_p_needs_a_plus_mechanism, set_up),
		cmocka_unit_test_setup(test_invented_salts_stay_the_same, set_up),
		cmocka_unit_test_setup(test_invented_salts_follow_the_key, set_up),
		cmocka_unit_test_setup(test_plain_on_the_wire, set_up),
		cmocka_unit_test_setup(test_login_on_the_wire, set_up),
		cmocka_unit_test_setup(test_endless_and_oversized_exchanges_end, set_up),
		cmocka_unit_test_setup(test_a_store_that_fails_is_no_wrong_password, set_up),
		cmocka_unit_test_setup(test_which_mechanisms_are_offered, set_up),
	};

	return cmocka_run_group_tests_name("auth/exchange", tests, NULL, NULL);
}
