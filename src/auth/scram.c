/* SCRAM's stored form: iterations,salt,StoredKey,ServerKey (RFC 5803). */
#include <sodium.h>
#include <sys/auxv.h>

#include "auth/internal.h"

Gsasl_hash auth_scram_hash(enum auth_scheme scheme)
{
	return scheme == AUTH_SCRAM_SHA_1 ? GSASL_HASH_SHA1 : GSASL_HASH_SHA256;
}

/* Decodes into `bytes`; the length, or 0 when it is not base64 or does not fit. */
static size_t decode(struct slice text, char *bytes, size_t max)
{
	/* Room of its own: where memory is short, what is sound must not look as if it were not. */
	char room[AUTH_SALT_MAX];
	struct buffer decoded = {room, 0, sizeof(room), sizeof(room), 0};
	size_t len = 0;

	if (buffer_put_base64_decoded(&decoded, text) == 0 && decoded.len <= max) {
		len = decoded.len;
		if (len)
			memcpy(bytes, decoded.at, len);
	}
	return len;
}

int auth_scram_parse(struct slice text, enum auth_scheme scheme, struct auth_scram *ret_scram)
{
	struct auth_scram scram = {.key_len = gsasl_hash_length(auth_scram_hash(scheme))};
	struct slice rest = text;
	uint64_t iterations;

	if (slice_to_u64(slice_split(&rest, ','), AUTH_ITERATIONS_MAX, &iterations) != 0 || iterations == 0)
		return -EINVAL;
	scram.iterations = (unsigned)iterations;
	scram.salt_len = decode(slice_split(&rest, ','), scram.salt, AUTH_SALT_MAX);
	if (scram.salt_len == 0 || decode(slice_split(&rest, ','), scram.stored_key, scram.key_len) != scram.key_len ||
		decode(rest, scram.server_key, scram.key_len) != scram.key_len)
		return -EINVAL;
	*ret_scram = scram;
	return 0;
}

int auth_scram_derive(const struct auth_text *password, enum auth_scheme scheme, struct auth_scram *scram)
{
	char salted_password[GSASL_HASH_MAX_SIZE], client_key[GSASL_HASH_MAX_SIZE];
	int rc = gsasl_scram_secrets_from_password(auth_scram_hash(scheme), password->at, scram->iterations,
		scram->salt, scram->salt_len, salted_password, client_key, scram->server_key, scram->stored_key);

	auth_wipe(salted_password, sizeof(salted_password));
	auth_wipe(client_key, sizeof(client_key));
	scram->key_len = gsasl_hash_length(auth_scram_hash(scheme));
	if (rc == GSASL_MALLOC_ERROR)
		return -ENOMEM;
	return rc == GSASL_OK ? 0 : -EINVAL;
}

int auth_scram_verify(struct slice text, enum auth_scheme scheme, const struct auth_text *password)
{
	struct auth_scram stored, derived;
	int error = auth_scram_parse(text, scheme, &stored);

	if (error)
		return -EACCES;
	derived = stored;
	error = auth_scram_derive(password, scheme, &derived);
	if (error)
		return error == -EINVAL ? -EACCES : error;
	return sodium_memcmp(derived.stored_key, stored.stored_key, stored.key_len) == 0 ? 0 : -EACCES;
}

void auth_scram_put(const struct auth_scram *scram, struct buffer *out)
{
	buffer_put_u64(out, scram->iterations);
	buffer_put_byte(out, ',');
	buffer_put_base64(out, slice_make(scram->salt, scram->salt_len));
	buffer_put_byte(out, ',');
	buffer_put_base64(out, slice_make(scram->stored_key, scram->key_len));
	buffer_put_byte(out, ',');
	buffer_put_base64(out, slice_make(scram->server_key, scram->key_len));
}

/* Real names differ in more than case, so invented salts must not differ by case alone. */
static void hash_name(crypto_generichash_state *hash, struct slice user)
{
	for (size_t i = 0; i < user.len; i++) {
		unsigned char c = (unsigned char)byte_lower(user.at[i]);

		crypto_generichash_update(hash, &c, 1);
	}
}

void auth_scram_invent(
	struct slice key, struct slice user, enum auth_scheme scheme, unsigned iterations, struct auth_scram *ret_scram)
{
	const char *at_random = (const char *)getauxval(AT_RANDOM); /* 16 bytes the kernel gives each process */
	unsigned char label = (unsigned char)scheme;
	unsigned char bytes[64];
	crypto_generichash_state hash;

	CHECK(sizeof(bytes) <= crypto_generichash_BYTES_MAX);
	if (key.len == 0)
		key = slice_make(at_random, at_random ? 16 : 0);
	crypto_generichash_init(&hash, NULL, 0, sizeof(bytes));
	crypto_generichash_update(&hash, (const unsigned char *)key.at, key.len);
	crypto_generichash_update(&hash, &label, 1);
	hash_name(&hash, user);
	crypto_generichash_final(&hash, bytes, sizeof(bytes));
	*ret_scram = (struct auth_scram){.iterations = iterations,
		.salt_len = AUTH_SALT_NEW,
		.key_len = gsasl_hash_length(auth_scram_hash(scheme))};
	memcpy(ret_scram->salt, bytes, AUTH_SALT_NEW);
	memcpy(ret_scram->stored_key, bytes + AUTH_SALT_NEW, ret_scram->key_len);
	memcpy(ret_scram->server_key, bytes + sizeof(bytes) - ret_scram->key_len, ret_scram->key_len);
}
