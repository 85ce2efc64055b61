/* Stored secrets: made for a new password, taken apart, checked. */
#include <sodium.h>

#include "auth/internal.h"

const struct auth_cost auth_cost_default = {.argon2_passes = 2, .argon2_memory_kib = 65536, .scram_iterations = 4096};
const struct auth_cost auth_cost_fast = {.argon2_passes = 1, .argon2_memory_kib = 64, .scram_iterations = 4096};

enum { ARGON2_TEXT_MAX = 300, ARGON2_PASSES_MAX = 20, ARGON2_LANES_MAX = 16 };

/* ---- Items ---- */

static bool argon2_number(struct slice *rest, char separator, const char *name, uint64_t max)
{
	struct slice field = slice_split(rest, separator);
	struct slice prefix = slice_of(name);
	uint64_t value;

	return slice_starts(field, prefix) && slice_to_u64(slice_from(field, prefix.len), max, &value) == 0;
}

/* $argon2id$v=19$m=65536,t=2,p=1$salt$hash, with what it costs bounded. */
static bool argon2_is_sound(struct slice text)
{
	struct slice rest = text;
	struct slice kind;

	if (text.len > ARGON2_TEXT_MAX || slice_find_byte(text, '\0') != SIZE_MAX)
		return false;
	if (slice_split(&rest, '$').len)
		return false;
	kind = slice_split(&rest, '$');
	if (!slice_equal(kind, SLICE("argon2id")) && !slice_equal(kind, SLICE("argon2i")))
		return false;
	return argon2_number(&rest, '$', "v=", 19) && argon2_number(&rest, ',', "m=", AUTH_HASH_MEMORY_MAX_KIB) &&
	       argon2_number(&rest, ',', "t=", ARGON2_PASSES_MAX) &&
	       argon2_number(&rest, '$', "p=", ARGON2_LANES_MAX) && slice_split(&rest, '$').len && rest.len;
}

static enum auth_scheme scheme_of(struct slice name, struct slice text)
{
	struct auth_scram scram;
	bool is_sound;

	if (slice_equal_nocase(name, SLICE("SCRAM-SHA-256"))) {
		is_sound = auth_scram_parse(text, AUTH_SCRAM_SHA_256, &scram) == 0;
		return is_sound ? AUTH_SCRAM_SHA_256 : AUTH_UNKNOWN;
	}
	if (slice_equal_nocase(name, SLICE("SCRAM-SHA-1"))) {
		is_sound = auth_scram_parse(text, AUTH_SCRAM_SHA_1, &scram) == 0;
		return is_sound ? AUTH_SCRAM_SHA_1 : AUTH_UNKNOWN;
	}
	if (slice_equal_nocase(name, SLICE("ARGON2ID")) || slice_equal_nocase(name, SLICE("ARGON2I")) ||
		(name.len == 0 && slice_starts(text, SLICE("$argon2"))))
		return argon2_is_sound(text) ? AUTH_ARGON2 : AUTH_UNKNOWN;
	return auth_foreign_is_sound(name, text) ? AUTH_CRYPT : AUTH_UNKNOWN;
}

bool auth_item_next(struct slice *rest, struct auth_item *ret_item)
{
	struct slice word = {NULL, 0};
	struct slice name = {NULL, 0};

	while (word.len == 0 && rest->len)
		word = slice_split(rest, ' ');
	if (word.len == 0)
		return false;
	if (word.at[0] == '{') {
		struct slice text = slice_from(word, 1);

		name = slice_split(&text, '}');
		word = text;
	}
	*ret_item = (struct auth_item){scheme_of(name, word), word};
	return true;
}

int auth_item_find(struct slice secret, enum auth_scheme scheme, struct slice *ret_text)
{
	struct slice rest = slice_first(secret, AUTH_SECRET_MAX);
	struct auth_item item;

	while (auth_item_next(&rest, &item)) {
		if (item.scheme == scheme) {
			*ret_text = item.text;
			return 0;
		}
	}
	return -ENOENT;
}

int auth_secret_validate(struct slice secret)
{
	struct slice rest = secret;
	struct auth_item item;
	bool is_checkable = false;

	if (secret.len > AUTH_SECRET_MAX || slice_find_byte(secret, ';') != SIZE_MAX)
		return -EINVAL;
	while (auth_item_next(&rest, &item)) {
		if (item.scheme == AUTH_UNKNOWN)
			return -EINVAL;
		is_checkable = true;
	}
	return is_checkable ? 0 : -EINVAL;
}

/* ---- Making ---- */

static int put_argon2(const struct auth_text *password, const struct auth_cost *cost, struct buffer *out)
{
	char text[crypto_pwhash_STRBYTES];

	if (crypto_pwhash_str_alg(text, password->at, password->len, cost->argon2_passes,
		    (size_t)cost->argon2_memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return -ENOMEM;
	buffer_put_text(out, "{ARGON2ID}");
	buffer_put_text(out, text);
	return 0;
}

static int put_scram(const struct auth_text *password, enum auth_scheme scheme, const struct auth_cost *cost,
	const char *name, struct buffer *out)
{
	struct auth_scram scram = {.iterations = cost->scram_iterations, .salt_len = AUTH_SALT_NEW};
	int error;

	randombytes_buf(scram.salt, AUTH_SALT_NEW);
	error = auth_scram_derive(password, scheme, &scram);
	if (error)
		return error;
	buffer_put_text(out, name);
	auth_scram_put(&scram, out);
	return 0;
}

int auth_secret_make(struct slice password, const struct auth_cost *cost, struct buffer *out)
{
	struct auth_text prepared;
	size_t start = out->len;
	int error;

	if (sodium_init() < 0)
		return -EIO;
	error = auth_prepare(password, true, &prepared);
	if (error)
		return error;
	error = put_argon2(&prepared, cost, out);
	if (error)
		goto out;
	error = put_scram(&prepared, AUTH_SCRAM_SHA_256, cost, " {SCRAM-SHA-256}", out);
	if (error)
		goto out;
	error = put_scram(&prepared, AUTH_SCRAM_SHA_1, cost, " {SCRAM-SHA-1}", out);
	if (error)
		goto out;
	error = buffer_error(out);
out:
	auth_wipe(&prepared, sizeof(prepared));
	if (error)
		buffer_truncate(out, start);
	return error;
}

/* ---- Checking ---- */

static int argon2_verify(struct slice text, const struct auth_text *password)
{
	char copy[ARGON2_TEXT_MAX + 1];

	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	errno = 0;
	if (crypto_pwhash_str_verify(copy, password->at, password->len) == 0)
		return 0;
	return errno == ENOMEM ? -ENOMEM : -EACCES;
}

/* As long as checking one of our own hashes takes, so that the time does not tell who exists. */
static void argon2_waste(const struct auth_cost *cost)
{
	static const unsigned char salt[crypto_pwhash_SALTBYTES] = "no such account";
	unsigned char hash[32];
	int unused = crypto_pwhash(hash, sizeof(hash), "", 0, salt, cost->argon2_passes,
		(size_t)cost->argon2_memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13);

	(void)unused;
}

/* Elsewhere the password may have been hashed as it was typed; unlike our own hashes. */
static int foreign_verify(struct slice hash, struct slice password, const struct auth_text *prepared)
{
	int error = auth_foreign_verify(hash, password);
	struct slice text = slice_make(prepared->at, prepared->len);

	if (error == -EACCES && prepared->len && !slice_equal(password, text))
		error = auth_foreign_verify(hash, text);
	return error;
}

static struct auth_item best_item(struct slice secret)
{
	struct auth_item item = {AUTH_UNKNOWN, {NULL, 0}};

	if (secret.len > AUTH_SECRET_MAX)
		return item;
	for (int scheme = 0; scheme < AUTH_SCHEME_COUNT; scheme++) {
		if (auth_item_find(secret, (enum auth_scheme)scheme, &item.text) == 0) {
			item.scheme = (enum auth_scheme)scheme;
			break;
		}
	}
	return item;
}

static int item_verify(
	const struct auth_item *item, struct slice password, const struct auth_text *prepared, bool *ret_argon2_done)
{
	if (item->scheme == AUTH_CRYPT)
		return foreign_verify(item->text, password, prepared);
	if (prepared->len == 0)
		return -EACCES;
	if (item->scheme == AUTH_ARGON2) {
		*ret_argon2_done = true;
		return argon2_verify(item->text, prepared);
	}
	return auth_scram_verify(item->text, item->scheme, prepared);
}

int auth_secret_verify(struct slice secret, struct slice password, const struct auth_cost *cost)
{
	struct auth_text prepared = {.len = 0};
	struct auth_item item;
	bool argon2_done = false;
	int error;

	if (sodium_init() < 0)
		return -EIO;
	item = best_item(secret);
	error = auth_prepare(password, false, &prepared);
	if (error == -ENOMEM)
		return error;
	if (error)
		prepared.len = 0;
	if (item.scheme == AUTH_UNKNOWN)
		error = secret.len ? -EBADMSG : -EACCES;
	else
		error = item_verify(&item, password, &prepared, &argon2_done);
	if (error && !argon2_done)
		argon2_waste(cost);
	auth_wipe(&prepared, sizeof(prepared));
	return error;
}
