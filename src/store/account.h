/*
 * Accounts and their mailboxes. On the account's shard only (see store.h).
 *
 * Mailbox names are UTF-8 (Net-Unicode, NFC), levels separated by '/', without empty levels, control characters, '%' or '*';
 * mailbox_name_validate() says so in advance. "INBOX" stands for itself in any case and is always there. A name below a mailbox that does not exist is
 * possible (its parent was deleted).
 */
#ifndef PENFOLD_STORE_ACCOUNT_H
#define PENFOLD_STORE_ACCOUNT_H

#include "store/store.h"

struct account;

enum special_use { /* RFC 6154; a bit set */
	SPECIAL_ALL = 1,
	SPECIAL_ARCHIVE = 2,
	SPECIAL_DRAFTS = 4,
	SPECIAL_FLAGGED = 8,
	SPECIAL_JUNK = 16,
	SPECIAL_SENT = 32,
	SPECIAL_TRASH = 64,
	SPECIAL_IMPORTANT = 128,
};

/*
 * What a mailbox is now; read only. The pointer stays good until account_release() or, after the mailbox was deleted
 * (`deleted` is then true and it is in no list), until the last view on it is closed.
 */
struct mailbox {
	uint64_t id; /* RFC 8474 MAILBOXID, as a number */
	struct slice name;
	uint32_t uidvalidity, uidnext;
	uint64_t highestmodseq;
	uint32_t messages, unseen, flagged_deleted; /* unseen: without \Seen; flagged_deleted: with \Deleted */
	uint64_t bytes;                             /* of its messages, each copy counted (RFC 8438 STATUS=SIZE) */
	unsigned special_use;
	bool deleted;
	const struct slice *keywords; /* names, in the order of entry.keywords' bits */
	unsigned keyword_count;
	struct account *account;
};

/*
 * -ENOENT: no such account; -EBUSY: it is being loaded anew, try in a second. Every open needs one release; the account stays in memory a
 * while after the last.
 */
MUST_CHECK int account_open(struct shard *shard, uint64_t account_id, struct account **ret_account);
void account_release(struct account **account);
uint64_t account_id(const struct account *account);
unsigned account_users(const struct account *account); /* how many have it open */
struct shard *account_shard(const struct account *account);
struct store *account_store(const struct account *account);
/*
 * Sequence number of its newest change, of those that are waited for: what answers must be marked with (net_stream_mark). 0 when it is surely
 * durable.
 */
uint64_t account_seq(const struct account *account);
uint64_t account_highestmodseq(const struct account *account); /* one counter for the whole account */

struct account_quota {
	uint64_t used_bytes, limit_bytes; /* limit 0: none. Used: each email once, however many mailboxes show it. */
	uint64_t used_messages;
};
struct account_quota account_quota(const struct account *account);

/* Somebody listens to changes of the account: mailboxes made, renamed, deleted, counters. For IDLE, NOTIFY, push. */
struct account_listener {
	void (*changed)(struct account_listener *listener,
		struct mailbox *mailbox); /* after each change, same turn; no store calls inside */
	/* The account is being deleted or disabled: end the session. Called at most once. */
	void (*ended)(struct account_listener *listener);
	struct account_listener *next; /* the store's */
};
void account_listen(struct account *account, struct account_listener *listener);
void account_unlisten(struct account *account, struct account_listener *listener);

/*
 * The POP3 maildrop of an account has one holder at a time (RFC 1939 §4). 0, or -EBUSY and who holds it since when.
 */
struct maildrop_holder {
	char address[65], device[65];
	int64_t since_ms; /* wall clock */
};
MUST_CHECK int account_maildrop_hold(
	struct account *account, const struct actor *actor, struct maildrop_holder *ret_holder);
void account_maildrop_release(struct account *account);
/* POP3's LOGIN-DELAY: wall clock milliseconds of the last maildrop session's end; 0 when none since the start. */
int64_t account_maildrop_last_ms(const struct account *account);

/* ---- Mailboxes ---- */

MUST_CHECK int mailbox_name_validate(struct slice name);
/* NFC only (RFC 5198 §3): for what is no whole name, as a LIST pattern. -EINVAL: not UTF-8. */
MUST_CHECK int mailbox_name_compose(struct slice text, struct buffer *out);
/* NFC, "inbox" in any case at the first level as INBOX. -EINVAL as mailbox_name_validate(). */
MUST_CHECK int mailbox_name_normalise(struct slice name, struct buffer *out);

struct mailbox *mailbox_find(struct account *account, struct slice name); /* NULL: none */
struct mailbox *mailbox_by_id(struct account *account, uint64_t id);
struct mailbox *mailbox_inbox(struct account *account);
/* All of them in the order of their names (bytewise, '/' first of all): NULL after the last. Not across changes. */
struct mailbox *mailbox_next(struct account *account, struct mailbox *after);

/* Makes missing parents, too. -EEXIST, -EINVAL, -ENOBUFS. A special use another mailbox has: -EEXIST for use != 0 (RFC 6154 §5.3 USEATTR). */
MUST_CHECK int mailbox_create(struct account *account, struct slice name, unsigned special_use,
	const struct actor *actor, struct mailbox **ret_mailbox);
/* Its messages are expunged (and kept for the retention time); children stay. -EPERM for INBOX. */
MUST_CHECK int mailbox_delete(struct account *account, struct mailbox *mailbox, const struct actor *actor);
/* With its children. INBOX: its messages move to the new mailbox, INBOX stays, empty (RFC 9051 §6.3.6). -EEXIST, -EINVAL. */
MUST_CHECK int mailbox_rename(
	struct account *account, struct mailbox *mailbox, struct slice new_name, const struct actor *actor);

/* Subscriptions are names, of mailboxes or not (RFC 9051 §6.3.7). Both idempotent. */
MUST_CHECK int account_subscribe(
	struct account *account, struct slice name, bool subscribed, const struct actor *actor);
bool account_is_subscribed(struct account *account, struct slice name);
/* Sorted; valid until the next change of subscriptions. */
const struct slice *account_subscriptions(struct account *account, size_t *ret_count);

#endif
