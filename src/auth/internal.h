/*
 * The inside of auth: stored secrets taken apart, passwords prepared. Only src/auth and its tests include this.
 */
#ifndef PENFOLD_AUTH_INTERNAL_H
#define PENFOLD_AUTH_INTERNAL_H

#include <gsasl.h>

#include "auth/auth.h"

enum {
	AUTH_SALT_MAX = 64,
	AUTH_SALT_NEW = 16,
	AUTH_ITERATIONS_MAX = 1000000, /* about half a second */
	AUTH_HASH_MEMORY_MAX_KIB = 262144,
};

/* ---- Text prepared by SASLprep (RFC 4013) ---- */

struct auth_text {
	char at[AUTH_PASSWORD_MAX + 1]; /* NUL-terminated */
	size_t len;
};
/*
 * -EINVAL: empty, too long, not UTF-8, a NUL or something SASLprep forbids. `stored`: code points that Unicode 3.2 did not
 * assign are forbidden, too (RFC 4013 §2.5). The caller wipes the result where it is a password.
 */
MUST_CHECK int auth_prepare(struct slice text, bool stored, struct auth_text *ret_text);
/*
 * Printable ASCII only: SASLprep leaves it as it is. RFC 4013 §2.1 maps nothing of it, nor does NFKC (§2.2); of ASCII only the controls are
 * prohibited (§2.3); §2.4 asks nothing of a text without characters that are written from right to left; and all of it is assigned (§2.5).
 */
bool auth_is_printable(struct slice text);
void auth_wipe(void *at, size_t len);

/* ---- What was verified ---- */

/* Was this password verified for this user and secret not long ago? */
bool auth_cache_has(struct auth_cache *cache, struct slice user, struct slice secret, struct slice password);

/* ---- Items of a secret ---- */

/* In the order of preference for checking a password. */
enum auth_scheme { AUTH_ARGON2, AUTH_CRYPT, AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_1, AUTH_SCHEME_COUNT, AUTH_UNKNOWN };
struct auth_item {
	enum auth_scheme scheme;
	struct slice text; /* without its {SCHEME} */
};
/* Takes the next item off *rest; false at the end. An item that is not sound has the scheme AUTH_UNKNOWN. */
bool auth_item_next(struct slice *rest, struct auth_item *ret_item);
MUST_CHECK int auth_item_find(struct slice secret, enum auth_scheme scheme, struct slice *ret_text); /* -ENOENT */

/* ---- SCRAM (RFC 5802, RFC 7677) ---- */

struct auth_scram {
	unsigned iterations;
	size_t salt_len, key_len;
	char salt[AUTH_SALT_MAX];
	char stored_key[GSASL_HASH_MAX_SIZE], server_key[GSASL_HASH_MAX_SIZE];
};
Gsasl_hash auth_scram_hash(enum auth_scheme scheme);
MUST_CHECK int auth_scram_parse(struct slice text, enum auth_scheme scheme, struct auth_scram *ret_scram); /* -EINVAL */
/* The keys of a prepared password with the salt and iterations that `scram` has. -EINVAL, -ENOMEM. */
MUST_CHECK int auth_scram_derive(const struct auth_text *password, enum auth_scheme scheme, struct auth_scram *scram);
MUST_CHECK int auth_scram_verify(struct slice text, enum auth_scheme scheme, const struct auth_text *password);
void auth_scram_put(const struct auth_scram *scram, struct buffer *out);
/*
 * What a user that does not exist, or has no SCRAM item, is shown: a salt that stays the same for the name, so that nobody
 * learns from asking who exists (RFC 5802 §9). `key` empty: a secret of this process.
 */
void auth_scram_invent(struct slice key, struct slice user, enum auth_scheme scheme, unsigned iterations,
	struct auth_scram *ret_scram);

/* ---- crypt(3) hashes brought from elsewhere ---- */

/* Is it a form libxcrypt checks, within bounds of cost? `scheme` is the name in braces, empty when there was none. */
bool auth_foreign_is_sound(struct slice scheme, struct slice hash);
/* 0, -EACCES, -ENOMEM. The hash must be sound. */
MUST_CHECK int auth_foreign_verify(struct slice hash, struct slice password);

#endif
