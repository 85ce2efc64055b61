/*
 * What a store has to hold, as plainly as can be: arrays, changed by hand beside it. Of each account (and of the directory) there is how
 * it is now, how it surely is on disk, and a copy for each change in between: after a power cut, the log's last number says which of them
 * it must be. Nothing is folded, nothing is shared, nothing is clever.
 */
#ifndef PENFOLD_TESTS_PLAIN_H
#define PENFOLD_TESTS_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PLAIN_ACCOUNTS = 3,
	PLAIN_MAILBOXES = 12,
	PLAIN_MESSAGES = 40,
	PLAIN_NAMES = 16, /* subscriptions */
	PLAIN_NAME_ROOM = 48,
	PLAIN_KEYWORDS = 4,
	PLAIN_DOMAINS = 3,
	PLAIN_ALIASES = 3,
};

struct plain_message {
	uint32_t uid, number; /* `number` says what it contains; the same email, the same number */
	uint32_t date;
	uint16_t flags, keywords;
	bool gone, moved; /* expunged, and not forgotten; moved: it lives on elsewhere */
	uint64_t modseq;  /* when gone: of its expunging */
	uint64_t email;
};
struct plain_mailbox {
	bool used;
	char name[PLAIN_NAME_ROOM];
	uint64_t id, highestmodseq, history; /* history: expunges up to here are forgotten */
	uint32_t uidvalidity, uidnext;
	unsigned special_use, count;
	struct plain_message messages[PLAIN_MESSAGES]; /* by UID */
};
struct plain_account {
	bool there, disabled;
	uint64_t id, modseq, quota;
	unsigned secret; /* which */
	struct plain_mailbox mailboxes[PLAIN_MAILBOXES];
	char subscriptions[PLAIN_NAMES][PLAIN_NAME_ROOM]; /* empty: none */
};
struct plain_directory {
	bool domains[PLAIN_DOMAINS];
	unsigned aliases[PLAIN_ALIASES]; /* bits: accounts it goes to */
};

struct plain_past;
struct plain {
	struct plain_account now[PLAIN_ACCOUNTS], sure[PLAIN_ACCOUNTS];
	struct plain_directory directory_now, directory_sure;
	uint32_t uidvalidity_floor[PLAIN_ACCOUNTS]; /* the highest that anybody can have been told for that address */
	struct plain_past *first, *last, *pool;
};

enum { PLAIN_DIRECTORY = PLAIN_ACCOUNTS }; /* in place of an account's index */

struct plain *plain_new(void);
void plain_free(struct plain **plain);
void plain_reset(struct plain *plain);
/* It is now as change `seq` left it. */
void plain_changed(struct plain *plain, unsigned which, uint64_t seq);
void plain_is_sure(struct plain *plain, uint64_t seq); /* of all up to there */
/* All up to `seq` has survived, nothing after it. */
void plain_cut(struct plain *plain, uint64_t seq);

struct plain_mailbox *plain_mailbox(struct plain_account *account, const char *name);     /* NULL: none */
struct plain_mailbox *plain_mailbox_add(struct plain_account *account, const char *name); /* NULL: no room */
struct plain_mailbox *plain_mailbox_by_id(struct plain_account *account, uint64_t id);
struct plain_message *plain_deliver(struct plain_mailbox *mailbox, uint32_t number); /* there is room */
/* What was expunged by that change is forgotten. */
void plain_purge(struct plain_account *account, uint64_t mailbox, uint64_t modseq);

#endif
