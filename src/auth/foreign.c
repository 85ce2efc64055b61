/*
 * crypt(3) hashes brought from elsewhere, checked by libxcrypt. Such a hash says itself what checking it costs, and whoever
 * imports accounts may not have looked: so only forms whose cost can be read and is bounded are accepted.
 */
#include <crypt.h>
#include <sodium.h>

#include "auth/internal.h"

enum {
	ROUNDS_MAX = 1000000, /* of $5$ and $6$: about half a second */
	BCRYPT_COST_MAX = 15, /* about two seconds */
	BCRYPT_REST = 53,     /* salt and hash behind $2b$12$ */
	YESCRYPT_HASH = 43,
	DES_HASH = 13,
};

static bool is_crypt64(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (!byte_is_alpha(c) && !byte_is_digit(c) && c != '.' && c != '/')
			return false;
	}
	return true;
}

/* Value of a digit of crypt(3)'s base64; 64 when it is none. */
static unsigned crypt64_value(char c)
{
	if (c == '.' || c == '/')
		return (unsigned)(c - '.');
	if (byte_is_digit(c))
		return (unsigned)(c - '0') + 2;
	if (!byte_is_alpha(c))
		return 64;
	return c <= 'Z' ? (unsigned)(c - 'A') + 12 : (unsigned)(c - 'a') + 38;
}

static bool is_salt_and_hash(struct slice rest, size_t hash_len)
{
	struct slice salt = slice_split(&rest, '$');

	return is_crypt64(salt) && rest.len == hash_len && is_crypt64(rest);
}

static bool sha_is_sound(struct slice rest, size_t hash_len)
{
	if (slice_starts(rest, SLICE("rounds="))) {
		struct slice rounds = slice_from(slice_split(&rest, '$'), sizeof("rounds=") - 1);
		uint64_t count;

		if (slice_to_u64(rounds, ROUNDS_MAX, &count) != 0)
			return false;
	}
	return is_salt_and_hash(rest, hash_len);
}

static bool sha512_is_sound(struct slice rest)
{
	return sha_is_sound(rest, 86);
}

static bool sha256_is_sound(struct slice rest)
{
	return sha_is_sound(rest, 43);
}

static bool md5_is_sound(struct slice rest)
{
	return is_salt_and_hash(rest, 22);
}

static bool bcrypt_is_sound(struct slice rest)
{
	uint64_t cost;

	return slice_to_u64(slice_split(&rest, '$'), BCRYPT_COST_MAX, &cost) == 0 && rest.len == BCRYPT_REST &&
	       is_crypt64(rest);
}

/* 128 × r × N bytes, with N a power of two. */
static bool is_memory_bounded(unsigned n_log2, unsigned r)
{
	return n_log2 <= 24 && r > 0 && ((uint64_t)r << n_log2) / 8 <= AUTH_HASH_MEMORY_MAX_KIB;
}

/* "j9T": flavour, log2(N) - 1, r - 1; longer forms of these numbers are beyond the bound. */
static bool yescrypt_is_sound(struct slice rest)
{
	struct slice parameters = slice_split(&rest, '$');
	unsigned n_log2, r;

	if (parameters.len != 3 || parameters.at[0] != 'j')
		return false;
	n_log2 = crypt64_value(parameters.at[1]);
	r = crypt64_value(parameters.at[2]);
	return n_log2 < 48 && r < 48 && is_memory_bounded(n_log2 + 1, r + 1) && is_salt_and_hash(rest, YESCRYPT_HASH);
}

/* scrypt: log2(N) in one digit, r and p in five each, least significant first; then the salt. */
static bool scrypt_is_sound(struct slice rest)
{
	struct slice salt = slice_split(&rest, '$');

	if (salt.len < 12 || !is_crypt64(salt) || !slice_equal(slice_first(slice_from(salt, 2), 4), SLICE("....")) ||
		!slice_equal(slice_first(slice_from(salt, 6), 5), SLICE("/....")))
		return false;
	return is_memory_bounded(crypt64_value(salt.at[0]), crypt64_value(salt.at[1])) && rest.len == YESCRYPT_HASH &&
	       is_crypt64(rest);
}

static bool des_is_sound(struct slice rest)
{
	return rest.len == DES_HASH && is_crypt64(rest);
}

static const struct form {
	struct slice prefix, scheme;
	bool (*is_sound)(struct slice rest);
} forms[] = {
	{{"$6$", 3}, {"SHA512-CRYPT", 12}, sha512_is_sound},
	{{"$5$", 3}, {"SHA256-CRYPT", 12}, sha256_is_sound},
	{{"$2a$", 4}, {"BLF-CRYPT", 9}, bcrypt_is_sound},
	{{"$2b$", 4}, {"BLF-CRYPT", 9}, bcrypt_is_sound},
	{{"$2x$", 4}, {"BLF-CRYPT", 9}, bcrypt_is_sound},
	{{"$2y$", 4}, {"BLF-CRYPT", 9}, bcrypt_is_sound},
	{{"$1$", 3}, {"MD5-CRYPT", 9}, md5_is_sound},
	{{"$y$", 3}, {"YESCRYPT", 8}, yescrypt_is_sound},
	{{"$gy$", 4}, {"GOST-YESCRYPT", 13}, yescrypt_is_sound},
	{{"$7$", 3}, {"SCRYPT", 6}, scrypt_is_sound},
};

bool auth_foreign_is_sound(struct slice scheme, struct slice hash)
{
	bool any = scheme.len == 0 || slice_equal_nocase(scheme, SLICE("CRYPT"));

	if (hash.len >= CRYPT_OUTPUT_SIZE)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (slice_starts(hash, forms[i].prefix))
			return (any || slice_equal_nocase(scheme, forms[i].scheme)) &&
			       forms[i].is_sound(slice_from(hash, forms[i].prefix.len));
	}
	/* The form without a prefix must be named, or any word of 13 letters would be a secret. */
	if (slice_equal_nocase(scheme, SLICE("CRYPT")) || slice_equal_nocase(scheme, SLICE("DES-CRYPT")))
		return des_is_sound(hash);
	return false;
}

int auth_foreign_verify(struct slice hash, struct slice password)
{
	struct crypt_data *data;
	const char *found;
	int error = -EACCES;

	if (password.len >= CRYPT_MAX_PASSPHRASE_SIZE || slice_find_byte(password, '\0') != SIZE_MAX)
		return -EACCES;
	data = calloc(1, sizeof(*data));
	if (!data)
		return -ENOMEM;
	memcpy(data->setting, hash.at, hash.len);
	if (password.len)
		memcpy(data->input, password.at, password.len);
	errno = 0;
	found = crypt_rn(data->input, data->setting, data, sizeof(*data));
	if (!found)
		error = errno == ENOMEM ? -ENOMEM : -EACCES;
	else if (strlen(found) == hash.len && sodium_memcmp(found, hash.at, hash.len) == 0)
		error = 0;
	auth_wipe(data, sizeof(*data));
	free(data);
	return error;
}
