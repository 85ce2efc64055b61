/*
 * Who is it? SASL exchanges, password hashes, guessing slowed down. No I/O, no store: credentials come through a callback.
 *
 * Exchanges and hashing may be used from any thread, one thread per object at a time; `struct auth_throttle` and
 * `struct auth_cache` lock inside and may be shared. Verifying an argon2id or crypt(3) hash costs tens of milliseconds and
 * megabytes on purpose: core runs exchanges on its worker threads, never on a loop.
 */
#ifndef PENFOLD_AUTH_AUTH_H
#define PENFOLD_AUTH_AUTH_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"

enum {
	AUTH_PASSWORD_MAX = 1024, /* bytes */
	AUTH_USER_MAX = 320,      /* bytes: local part, @, domain */
	AUTH_STEP_MAX = 12288,    /* bytes of one decoded SASL message */
	AUTH_SECRET_MAX = 4096,   /* bytes of a stored secret */
};

/* ---- Stored secrets ----
 *
 * What the store keeps per credential is one text, the "secret": `;`-free items separated by spaces:
 *   {ARGON2ID}$argon2id$v=19$...          our own password hash (libsodium's form)
 *   {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey   (base64; RFC 5803's fields)
 *   {SCRAM-SHA-1}...
 *   {SHA512-CRYPT}$6$...  {SHA256-CRYPT}  {BLF-CRYPT}  {MD5-CRYPT}  {YESCRYPT}  {CRYPT}   brought from elsewhere
 *   {GOST-YESCRYPT}  {SCRYPT}  {DES-CRYPT}
 * A text that begins with `$` is taken for crypt(3)'s own form, or argon2's. Each item says what checking it costs; items that
 * would cost more than some seconds or 256 MiB are not sound and never checked. The best item is the one that counts.
 */
struct auth_cost {
	unsigned argon2_passes;     /* 2 */
	unsigned argon2_memory_kib; /* 65,536; the demo uses less */
	unsigned scram_iterations;  /* 4,096 at least, RFC 7677 §4 */
};
extern const struct auth_cost auth_cost_default, auth_cost_fast; /* fast: for demo and tests */

/* A new secret for a password: argon2id and both SCRAM forms. -EINVAL: empty, too long, or forbidden by SASLprep. */
MUST_CHECK int auth_secret_make(struct slice password, const struct auth_cost *cost, struct buffer *out);
/* Is this text (given by an admin, brought from elsewhere) a secret that can be checked? 0 or -EINVAL. */
MUST_CHECK int auth_secret_validate(struct slice secret);
/*
 * 0: right; -EACCES: wrong; -EBADMSG: no item that can be checked; -ENOMEM: could not be checked now. Takes the same time for an
 * empty secret as for a real one of ours; for a hash brought from elsewhere its own time longer.
 */
MUST_CHECK int auth_secret_verify(struct slice secret, struct slice password, const struct auth_cost *cost);

/* ---- Remembering what was verified ----
 * Keeps a keyed hash (random key of this process) of user, secret and password for `keep_ms`, so that a client that
 * connects every minute does not cost an argon2id each time. A changed secret never matches. Grows with those who log in, up to entries_max. */
struct auth_cache;
MUST_CHECK int auth_cache_new(
	size_t entries_max, uint64_t keep_ms, const struct clock_source *clock, struct auth_cache **ret_cache);
void auth_cache_free(struct auth_cache **cache);
/* auth_secret_verify() through the cache. `cache` may be NULL. */
MUST_CHECK int auth_cache_verify(struct auth_cache *cache, struct slice user, struct slice secret,
	struct slice password, const struct auth_cost *cost);

/* ---- SASL exchanges: PLAIN, LOGIN, SCRAM-SHA-1(-PLUS), SCRAM-SHA-256(-PLUS) by GNU SASL ---- */

struct auth_identity {
	uint64_t account;     /* whose mail */
	struct slice address; /* its address, canonical */
	struct slice device;  /* name of the app password used; empty for the main one */
	struct slice
		secret; /* what is stored; empty: unknown user (the exchange goes on and fails as a wrong password does) */
};
struct auth_lookup {
	/*
	 * Finds the account that `user` (as typed, SASLprepped) names. Fills ret_identity from `arena`. 0, -ENOENT (unknown or
	 * disabled), or another -errno: a temporary failure. Called on the exchange's thread.
	 */
	int (*find)(void *context, struct slice user, struct arena *arena, struct auth_identity *ret_identity);
	void *context;
};
struct auth_settings {
	struct auth_lookup lookup;
	struct auth_cache *cache; /* or NULL */
	struct auth_cost cost;
	struct slice hostname;
	/*
	 * Secret bytes that invent the SCRAM salts which unknown users are shown; best kept with the data, so that they
	 * stay the same from start to start. Empty: a secret of this process.
	 */
	struct slice fake_salt_key;
};
struct auth_connection {
	bool confidential;         /* TLS, or loopback: plaintext mechanisms allowed */
	struct slice tls_exporter; /* RFC 9266 channel binding, raw bytes; empty without TLS 1.3 */
	struct slice tls_unique;   /* RFC 5929 channel binding; empty without TLS 1.2 */
};
enum auth_state { AUTH_CONTINUE, AUTH_DONE, AUTH_FAILED, AUTH_UNAVAILABLE };

struct auth_exchange;
/* Mechanism names this connection may use, space separated, strongest first ("SCRAM-SHA-256-PLUS SCRAM-SHA-256 ... PLAIN LOGIN"). */
void auth_mechanisms(const struct auth_connection *connection, struct buffer *out);
/* -ENOENT: no such mechanism or not allowed on this connection. `settings` must outlive the exchange. */
MUST_CHECK int auth_exchange_new(const struct auth_settings *settings, const struct auth_connection *connection,
	struct slice mechanism, struct auth_exchange **ret_exchange);
void auth_exchange_free(struct auth_exchange **exchange);
/*
 * One step: `in` is what the client sent (decoded; its initial response, or empty where the server speaks first); `out` gets
 * what to send (also with AUTH_DONE: SCRAM's server-final-message, which the protocol sends as one more challenge or as
 * additional data). After AUTH_DONE auth_exchange_identity() says who; nothing else may be trusted.
 */
MUST_CHECK enum auth_state auth_exchange_step(struct auth_exchange *exchange, struct slice in, struct buffer *out);
const struct auth_identity *auth_exchange_identity(const struct auth_exchange *exchange);
struct slice auth_exchange_user(
	const struct auth_exchange *exchange); /* the name as typed, for log and throttle; may be empty */

/*
 * A PLAIN message whose password was verified for that user not long ago: 0, and who it is, from `arena`, as an exchange would say. -ENOENT: not
 * remembered, or nothing to decide here; then an exchange decides. Takes microseconds whatever the message is, so that a loop may ask before it
 * gives the exchange to a worker; -ENOENT says nothing about whether there is such a user.
 */
MUST_CHECK int auth_plain_remembered(const struct auth_settings *settings, const struct auth_connection *connection,
	struct slice message, struct arena *arena, struct auth_identity *ret_identity);

/* ---- Slowing down guesses ----
 * Failures are counted per account name and per network (IPv4 /24, IPv6 /64) and fade with time. The delay grows with the
 * failures of the network, or with those of the account if more, unless this network has logged in to this account before: so the
 * owner at home is not locked out by a stranger: there only failures on this account from this network count. Loopback (and
 * "unix") is exempt when told so. Bounded memory. */
struct auth_throttle;
struct auth_throttle_settings {
	bool exempt_loopback;
	uint64_t delay_first_ms; /* after the second failure: 1,000; doubles */
	uint64_t delay_max_ms;   /* 30,000 */
	uint64_t forget_ms;      /* a failure counts half after this: 600,000 */
	size_t entries_max;      /* 65,536 */
};
MUST_CHECK int auth_throttle_new(const struct auth_throttle_settings *settings, const struct clock_source *clock,
	struct auth_throttle **ret_throttle);
void auth_throttle_free(struct auth_throttle **throttle);
/* `address` is a textual IP address without port. How long to wait before looking at this attempt; 0: not at all. */
uint64_t auth_throttle_delay_ms(struct auth_throttle *throttle, struct slice user, struct slice address);
void auth_throttle_failed(struct auth_throttle *throttle, struct slice user, struct slice address);
void auth_throttle_succeeded(struct auth_throttle *throttle, struct slice user, struct slice address);

#endif
