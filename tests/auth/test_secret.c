#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "support.h"

#include "auth/internal.h"

static int verify(const char *secret, const char *password)
{
	return auth_secret_verify(slice_of(secret), slice_of(password), &auth_cost_fast);
}

static void test_a_made_secret_verifies(void **state)
{
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX);
	struct slice items;
	struct auth_item item;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(auth_secret_make(SLICE("p\xc3\xa4ss w\xc3\xb6rd"), &auth_cost_fast, &out), 0);
	assert_int_equal(auth_secret_validate(buffer_slice(&out)), 0);
	assert_int_equal(verify(buffer_text(&out), "p\xc3\xa4ss w\xc3\xb6rd"), 0);
	assert_int_equal(verify(buffer_text(&out), "pass word"), -EACCES);
	assert_int_equal(verify(buffer_text(&out), ""), -EACCES);
	items = buffer_slice(&out);
	while (auth_item_next(&items, &item)) {
		struct buffer alone = BUFFER_INIT(AUTH_SECRET_MAX);
		static const char *const names[] = {"{ARGON2ID}", "", "{SCRAM-SHA-256}", "{SCRAM-SHA-1}"};

		assert_int_not_equal(item.scheme, AUTH_UNKNOWN);
		seen |= 1u << item.scheme;
		/* Each item alone is enough to check a password. */
		buffer_put_text(&alone, names[item.scheme]);
		buffer_put(&alone, item.text);
		assert_int_equal(verify(buffer_text(&alone), "p\xc3\xa4ss w\xc3\xb6rd"), 0);
		assert_int_equal(verify(buffer_text(&alone), "pass word"), -EACCES);
		buffer_free(&alone);
	}
	assert_int_equal(seen, 1u << AUTH_ARGON2 | 1u << AUTH_SCRAM_SHA_256 | 1u << AUTH_SCRAM_SHA_1);
	buffer_free(&out);
}

static void test_passwords_that_cannot_be_made(void **state)
{
	struct buffer out = BUFFER_INIT(AUTH_SECRET_MAX), small = BUFFER_INIT(100);
	char long_one[AUTH_PASSWORD_MAX + 1];

	(void)state;
	memset(long_one, 'a', sizeof(long_one));
	assert_int_equal(auth_secret_make(SLICE(""), &auth_cost_fast, &out), -EINVAL);
	assert_int_equal(auth_secret_make(SLICE("\xc2\xad"), &auth_cost_fast, &out), -EINVAL); /* maps to nothing */
	assert_int_equal(auth_secret_make(SLICE("a\nb"), &auth_cost_fast, &out), -EINVAL);
	assert_int_equal(auth_secret_make(SLICE("a\0b"), &auth_cost_fast, &out), -EINVAL);
	assert_int_equal(auth_secret_make(SLICE("a\xff"), &auth_cost_fast, &out), -EINVAL);
	assert_int_equal(auth_secret_make(SLICE("\xf0\x9f\x98\x80"), &auth_cost_fast, &out), -EINVAL); /* unassigned */
	assert_int_equal(auth_secret_make(slice_make(long_one, sizeof(long_one)), &auth_cost_fast, &out), -EINVAL);
	assert_int_equal(out.len, 0);
	assert_int_equal(auth_secret_make(slice_make(long_one, sizeof(long_one) - 1), &auth_cost_fast, &out), 0);
	buffer_put_text(&small, "before");
	assert_int_equal(auth_secret_make(SLICE("fine"), &auth_cost_fast, &small), -ENOBUFS);
	assert_int_equal(small.len, 6);
	buffer_free(&out);
	buffer_free(&small);
}

/* Made by openssl passwd and by libxcrypt. */
#define SHA512 \
	"$6$saltsaltsaltsalt$ph0yGsyjzqdeFaon7.gJZo8eAG5/rj9/JdzOu1Rl7dKzBYg3xgvl7T2VQ2Rt81bc5AXkdA54r0p8QvC1omD6R1"
#define SHA256   "$5$saltsaltsaltsalt$X0ra9qlY7TJaGBDgorLevriQfwysW8fXnbybcO4mF4/"
#define MD5      "$1$saltsalt$9xy1btjgzLYfb7hivXtC//"
#define BLOWFISH "$2b$05$KBCwKxOzLha2MUDgW0PjXeGy8zDyKFegpVV4y0qPBUgij10WNyKY6"
#define YESCRYPT "$y$j9T$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$h0St5STpahXaP5PeOEAlzD7.r8nVuT2/ycfr/tjHfz/"

static void test_hashes_from_elsewhere(void **state)
{
	static const char *const good[] = {"{SHA512-CRYPT}" SHA512, "{SHA256-CRYPT}" SHA256, "{MD5-CRYPT}" MD5,
		"{BLF-CRYPT}" BLOWFISH, "{YESCRYPT}" YESCRYPT, "{CRYPT}" SHA512, "{crypt}" BLOWFISH,
		"{CRYPT}kl.bVxHBAClgE", "{DES-CRYPT}kl.bVxHBAClgE", SHA512, YESCRYPT, BLOWFISH, MD5};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(auth_secret_validate(slice_of(good[i])), 0);
		assert_int_equal(verify(good[i], "secret"), 0);
		assert_int_equal(verify(good[i], "Secret"), -EACCES);
		assert_int_equal(verify(good[i], ""), -EACCES);
	}
}

static void test_a_foreign_password_need_not_be_unicode(void **state)
{
	(void)state;
	/* crypt(3) of "caf\xe9" in Latin-1, and of "\xf0\x9f\x98\x80". */
	assert_int_equal(verify("$1$saltsalt$.skb4qjhPTNlUaJ0wfohO.", "caf\xe9"), 0);
	assert_int_equal(verify("$1$saltsalt$Zr6Yh2jzJCwvBy0HEMTJy1", "\xf0\x9f\x98\x80"), 0);
}

static void test_secrets_that_are_refused(void **state)
{
	static const char *const bad[] = {"", " ", "secret", "{PLAIN}secret", "{SHA512-CRYPT}" MD5,
		"{MD5-CRYPT}" SHA512, "{SHA512-CRYPT}$6$salt$short",
		"{BLF-CRYPT}$2b$16$KBCwKxOzLha2MUDgW0PjXeGy8zDyKFegpVV4y0qPBUgij10WNyKY6",
		"{BLF-CRYPT}$2b$0x$KBCwKxOzLha2MUDgW0PjXeGy8zDyKFegpVV4y0qPBUgij10WNyKY6",
		"$6$rounds=999999999$saltsaltsaltsalt$ph0yGsyjzqdeFaon7.gJZo8eAG5/rj9/"
		"JdzOu1Rl7dKzBYg3xgvl7T2VQ2Rt81bc5AXkdA54r"
		"0p8QvC1omD6R1",
		"$y$jFT$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$h0St5STpahXaP5PeOEAlzD7.r8nVuT2/ycfr/tjHfz/",
		"$y$jzzzz$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$h0St5STpahXaP5PeOEAlzD7.r8nVuT2/ycfr/tjHfz/",
		"$7$SU..../....k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$mF9yVQvZyzmMxek.nkd88NglE89ib0rT92RboA8XpY9",
		"$7$CU.....1...k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$mF9yVQvZyzmMxek.nkd88NglE89ib0rT92RboA8XpY9",
		"$3$$878d8014606cda29677a44efa1353fc7", "kl.bVxHBAClgE", "{ARGON2ID}",
		"{ARGON2ID}$argon2id$v=19$m=65536,t=2", "{ARGON2ID}$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
		"{ARGON2ID}$argon2id$v=19$m=64,t=4000000,p=1$c2FsdHNhbHQ$aGFzaA",
		"{SCRAM-SHA-256}4096,QSXCR+Q6sek8bf92,x,y",
		"{SCRAM-SHA-1}0,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
		"{SCRAM-SHA-1}99999999,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
		"{SCRAM-SHA-256}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=", "{",
		"{}", "{}x", SHA512 " {PLAIN}x", SHA512 ";"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(auth_secret_validate(slice_of(bad[i])), -EINVAL);
		if (!strstr(bad[i], SHA512))
			assert_int_not_equal(verify(bad[i], "secret"), 0);
	}
	assert_int_equal(verify("", "secret"), -EACCES);
	assert_int_equal(verify("{PLAIN}secret", "secret"), -EBADMSG);
}

static void test_secrets_and_passwords_of_any_size(void **state)
{
	char *big = malloc(100000);

	(void)state;
	assert_non_null(big);
	memset(big, 'a', 100000);
	assert_int_equal(auth_secret_validate(slice_make(big, 100000)), -EINVAL);
	assert_int_equal(auth_secret_verify(slice_make(big, 100000), SLICE("x"), &auth_cost_fast), -EBADMSG);
	assert_int_equal(auth_secret_verify(SLICE(SHA512), slice_make(big, 100000), &auth_cost_fast), -EACCES);
	assert_int_equal(auth_secret_verify(SLICE(SHA512), SLICE("secret\0"), &auth_cost_fast), -EACCES);
	free(big);
}

/* The messages of the examples in RFC 5802 §5 and RFC 7677 §3: our keys must give their proof and their verifier. */
struct example {
	enum auth_scheme scheme;
	const char *secret; /* RFC's salt; its keys computed independently */
	const char *auth_message, *proof, *verifier;
};
static const struct example examples[] = {
	{AUTH_SCRAM_SHA_1, "4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
		"n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i="
		"4096,"
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
		"v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="},
	{AUTH_SCRAM_SHA_256,
		"4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static void test_rfc_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const struct example *example = &examples[i];
		const EVP_MD *md = example->scheme == AUTH_SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
		struct auth_text password = {.at = "pencil", .len = 6};
		struct auth_scram stored, derived;
		struct buffer proof = BUFFER_INIT(64), verifier = BUFFER_INIT(64);
		unsigned char signature[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE];

		assert_int_equal(auth_scram_parse(slice_of(example->secret), example->scheme, &stored), 0);
		derived = stored;
		assert_int_equal(auth_scram_derive(&password, example->scheme, &derived), 0);
		assert_memory_equal(derived.stored_key, stored.stored_key, stored.key_len);
		assert_memory_equal(derived.server_key, stored.server_key, stored.key_len);
		/* v = HMAC(ServerKey, AuthMessage) */
		HMAC(md, derived.server_key, (int)derived.key_len, (const unsigned char *)example->auth_message,
			strlen(example->auth_message), signature, NULL);
		assert_int_equal(buffer_put_base64_decoded(&verifier, slice_of(example->verifier)), 0);
		assert_memory_equal(verifier.at, signature, derived.key_len);
		/* H(proof XOR HMAC(StoredKey, AuthMessage)) = StoredKey */
		HMAC(md, derived.stored_key, (int)derived.key_len, (const unsigned char *)example->auth_message,
			strlen(example->auth_message), signature, NULL);
		assert_int_equal(buffer_put_base64_decoded(&proof, slice_of(example->proof)), 0);
		for (size_t j = 0; j < derived.key_len; j++)
			signature[j] ^= (unsigned char)proof.at[j];
		assert_int_equal(EVP_Digest(signature, derived.key_len, key, NULL, md, NULL), 1);
		assert_memory_equal(key, stored.stored_key, stored.key_len);
		buffer_free(&proof);
		buffer_free(&verifier);
	}
}

static void test_scram_text_goes_round(void **state)
{
	struct buffer out = BUFFER_INIT(512);
	struct auth_scram scram;

	(void)state;
	assert_int_equal(auth_scram_parse(slice_of(examples[1].secret), AUTH_SCRAM_SHA_256, &scram), 0);
	auth_scram_put(&scram, &out);
	assert_string_equal(buffer_text(&out), examples[1].secret);
	buffer_free(&out);
}

/* RFC 4013 §2: what is not worth asking the library for, it would give back as it is. */
static void assert_prepared_as_is(const char *text)
{
	struct auth_text prepared;
	char *by_library = NULL;

	assert_int_equal(gsasl_saslprep(text, 0, &by_library, NULL), GSASL_OK);
	assert_string_equal(by_library, text);
	gsasl_free(by_library);
	assert_int_equal(gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &by_library, NULL), GSASL_OK);
	assert_string_equal(by_library, text);
	gsasl_free(by_library);
	assert_int_equal(auth_prepare(slice_of(text), true, &prepared), 0);
	assert_string_equal(prepared.at, text);
	assert_int_equal(prepared.len, strlen(text));
}

static void test_printable_ascii_is_prepared_already(void **state)
{
	char text[128];
	struct auth_text prepared;

	(void)state;
	for (char a = ' '; a <= '~'; a++) {
		for (char b = ' '; b <= '~'; b++) {
			(void)snprintf(text, sizeof(text), "%c%c", a, b);
			assert_prepared_as_is(text);
		}
	}
	for (size_t i = 0; i < '~' - ' ' + 1; i++)
		text[i] = (char)(' ' + i);
	text['~' - ' ' + 1] = '\0';
	assert_prepared_as_is(text);
	for (int control = 1; control < 128; control = control == ' ' - 1 ? 127 : control + 1) {
		(void)snprintf(text, sizeof(text), "a%cb", control);
		assert_int_equal(auth_prepare(slice_of(text), false, &prepared), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_made_secret_verifies),
		cmocka_unit_test(test_passwords_that_cannot_be_made),
		cmocka_unit_test(test_hashes_from_elsewhere),
		cmocka_unit_test(test_a_foreign_password_need_not_be_unicode),
		cmocka_unit_test(test_secrets_that_are_refused),
		cmocka_unit_test(test_secrets_and_passwords_of_any_size),
		cmocka_unit_test(test_rfc_examples),
		cmocka_unit_test(test_scram_text_goes_round),
		cmocka_unit_test(test_printable_ascii_is_prepared_already),
	};

	return cmocka_run_group_tests_name("auth/secret", tests, NULL, NULL);
}
