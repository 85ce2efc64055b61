/*
 * Arbitrary client messages for each SASL mechanism. The first byte chooses the mechanism, the second the connection; the rest
 * is the messages, each ended by 0xFF; 0xFE in one stands for the nonce that the server gave, so that SCRAM's final messages can
 * get past its comparison. (Neither byte is in UTF-8.) A PLAIN message that a remembered password answers is one that an exchange accepts.
 */
#include "auth/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int find(void *context, struct slice user, struct arena *arena, struct auth_identity *ret_identity)
{
	(void)context;
	(void)arena;
	if (!slice_equal(user, SLICE("user")))
		return -ENOENT;
	/* The password is "pencil"; a few iterations are enough here. */
	*ret_identity = (struct auth_identity){.account = 1,
		.address = SLICE("user"),
		.secret = SLICE(
			"{SCRAM-SHA-1}4,QSXCR+Q6sek8bf92,OUm1RZQho4379MjWt5gBSMUFNtc=,ryKNl+tZ7mM0ibih6bZJMfP8rc8= "
			"{SCRAM-SHA-256}4,W22ZaJ0SNY7soEsUEjb6gQ==,+B2XdVkrv5U4a2is5HvKvscAT/xR5JpcBGjOvLvF9XM=,"
			"aiq1xONHwoPOIWvSeeve2Nx6MsrVzBci/bYQxItnoaw=")};
	return 0;
}

static void put_message(struct slice message, struct slice challenge, struct buffer *out)
{
	struct slice nonce = slice_from(slice_split(&challenge, ','), 2);

	buffer_reset(out);
	for (size_t i = 0; i < message.len; i++) {
		if (message.at[i] == '\xfe')
			buffer_put(out, nonce);
		else
			buffer_put_byte(out, message.at[i]);
	}
}

/* With the one user's password remembered: is the message taken at once? */
static bool is_remembered(const struct auth_settings *settings, struct slice message)
{
	const struct auth_connection connection = {.confidential = true};
	struct auth_settings remembering = *settings;
	struct auth_identity user = {0}, identity = {0};
	struct arena *arena;
	int error;

	CHECK(arena_new(65536, &arena) == 0);
	CHECK(auth_cache_new(4, 60000, clock_system(), &remembering.cache) == 0);
	CHECK(find(NULL, SLICE("user"), arena, &user) == 0);
	CHECK(auth_cache_verify(remembering.cache, user.address, user.secret, SLICE("pencil"), &settings->cost) == 0);
	error = auth_plain_remembered(&remembering, &connection, message, arena, &identity);
	CHECK(error == -ENOENT || (!error && identity.account == 1));
	auth_cache_free(&remembering.cache);
	arena_free(&arena);
	return !error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"};
	const struct auth_settings settings = {
		.lookup = {find, NULL}, .cost = {.argon2_passes = 1, .argon2_memory_kib = 8, .scram_iterations = 1}};
	struct auth_connection connection = {.confidential = true};
	struct buffer out = BUFFER_INIT(AUTH_STEP_MAX * 2), in = BUFFER_INIT(AUTH_STEP_MAX * 2);
	struct slice rest = slice_make(data, size);
	enum auth_state state = AUTH_CONTINUE;
	struct auth_exchange *exchange;
	bool remembered = false;

	if (size < 2)
		return 0;
	connection.tls_exporter = data[1] & 1 ? SLICE("exported") : SLICE("");
	connection.tls_unique = data[1] & 2 ? SLICE("unique") : SLICE("");
	rest = slice_from(rest, 2);
	if (auth_exchange_new(&settings, &connection, slice_of(names[data[0] % ARRAY_LEN(names)]), &exchange) != 0)
		return 0;
	for (int step = 0; state == AUTH_CONTINUE && step < 10; step++) {
		put_message(slice_split(&rest, '\xff'), buffer_slice(&out), &in);
		/* With the command or after the empty challenge; an exchange that goes on beyond them ends. */
		if (data[0] % ARRAY_LEN(names) == 0 && step <= 1)
			remembered = is_remembered(&settings, buffer_slice(&in));
		buffer_reset(&out);
		state = auth_exchange_step(exchange, buffer_slice(&in), &out);
		CHECK(buffer_error(&out) == 0);
		CHECK(state == AUTH_CONTINUE || state == AUTH_DONE || out.len == 0);
	}
	/* Every exchange ends, and only the one user can be its end. */
	CHECK(state != AUTH_CONTINUE);
	CHECK((state == AUTH_DONE) == (auth_exchange_identity(exchange) != NULL));
	CHECK(!remembered || state == AUTH_DONE);
	CHECK(state != AUTH_DONE || auth_exchange_identity(exchange)->account == 1);
	auth_exchange_free(&exchange);
	buffer_free(&out);
	buffer_free(&in);
	return 0;
}
