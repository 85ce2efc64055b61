/*
 * The directory: domains, accounts, aliases and their credentials. Looking up is possible from any thread; changes go
 * through the journal like everything else and are durable and visible everywhere when the call returns (they wait for the
 * disk: not on a shard that serves, but on a worker or the command line's thread).
 *
 * Addresses are "local@domain": domain in lower case A-label form (the caller gives either, IDNA by libidn2 is done here),
 * local part compared without regard to ASCII case. A `+detail` at the end of the local part is not part of the
 * account's name.
 */
#ifndef PENFOLD_STORE_DIRECTORY_H
#define PENFOLD_STORE_DIRECTORY_H

#include "store/store.h"

enum { DIRECTORY_ADDRESS_MAX = 320, DIRECTORY_SECRET_MAX = 4096, DIRECTORY_ALIAS_TARGETS_MAX = 100 };

enum directory_protocol { ALLOW_IMAP = 1, ALLOW_POP3 = 2, ALLOW_JMAP = 4, ALLOW_SMTP = 8, ALLOW_ALL = 15 };

struct directory_account {
	uint64_t id;
	struct slice address;
	struct slice secret;  /* see auth.h; empty: nobody can log in */
	uint64_t quota_bytes; /* 0: none */
	unsigned allowed;     /* ALLOW_ bits */
	bool disabled;        /* no login; mail is refused for now (4.2.1) */
	int64_t created_ms;
};

MUST_CHECK int directory_domain_add(struct store *store, struct slice domain); /* -EEXIST, -EINVAL */
MUST_CHECK int directory_domain_delete(
	struct store *store, struct slice domain); /* -ENOENT, -EBUSY: it has accounts or aliases */

/* Makes INBOX, Drafts, Sent, Junk, Trash, Archive, with their special uses, subscribed. -EEXIST, -EINVAL, -ENOENT: no such domain. */
MUST_CHECK int directory_account_add(struct store *store, struct slice address, struct slice secret,
	uint64_t quota_bytes, const struct actor *actor, uint64_t *ret_id);
/* The same for many at once, one sync: for the demo, imports and tests. Stops at the first error; ret_added says how many are in. */
MUST_CHECK int directory_accounts_add(struct store *store, const struct directory_account *accounts, size_t count,
	const struct actor *actor, size_t *ret_added);
struct directory_change { /* what is not to change: NULL */
	const struct slice *secret;
	const uint64_t *quota_bytes;
	const unsigned *allowed;
	const bool *disabled;
};
MUST_CHECK int directory_account_change(
	struct store *store, struct slice address, const struct directory_change *change, const struct actor *actor);
/* Its mail stays on disk for the retention time, but nobody can log in and nothing is delivered. */
MUST_CHECK int directory_account_delete(struct store *store, struct slice address, const struct actor *actor);

MUST_CHECK int directory_alias_set(
	struct store *store, struct slice address, const struct slice *targets, size_t count); /* 0 targets: deletes */

/* ---- Looking up; slices are copied into `arena` ---- */

MUST_CHECK int directory_account_find(struct store *store, struct slice address, struct arena *arena,
	struct directory_account *ret_account); /* by its own address only: -ENOENT for aliases */
MUST_CHECK int directory_account_by_id(
	struct store *store, uint64_t id, struct arena *arena, struct directory_account *ret_account);

/*
 * Where mail for an address goes: account, alias (followed, loops cut), `+detail` split off. Calls back for each target
 * account, once. -ENOENT: no such user here; -EXDEV: not our domain; -ENOBUFS: alias too deep.
 */
MUST_CHECK int directory_resolve(struct store *store, struct slice address,
	void (*target)(void *context, const struct directory_account *account, struct slice detail), void *context);

/* Walks in the order of names: calls back until it returns false. `domain` empty: all. */
MUST_CHECK int directory_domains(struct store *store, bool (*each)(void *context, struct slice domain), void *context);
MUST_CHECK int directory_accounts(struct store *store, struct slice domain,
	bool (*each)(void *context, const struct directory_account *account), void *context);
MUST_CHECK int directory_aliases(struct store *store, struct slice domain,
	bool (*each)(void *context, struct slice address, const struct slice *targets, size_t count), void *context);

#endif
