/* A store in a temporary directory, for the tests of the engine. One thread: the test's is the shard's. */
#ifndef PENFOLD_TESTS_STORE_SUPPORT_H
#define PENFOLD_TESTS_STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/mail.h"
#include "store/directory.h"
#include "store/email.h"

struct world {
	char dir[64];
	struct store *store;
	struct shard *shard;
	struct account *account; /* ann@example.org, when world_account() made it */
	uint64_t account_id;
	struct store_settings settings;
	uint64_t apply_delay_ms; /* of the store that is open; the settings may be another one's already */
	int64_t now_ms;          /* the clock's, when settings.clock is its own */
	struct clock_source clock;
	int failed; /* what settings.failed said */
};

void world_make(struct world *w); /* small segments, a clock the test moves, no search index */
void world_open(struct world *w);
void world_account(struct world *w);
void world_reopen(struct world *w);          /* clean */
void world_kill_and_reopen(struct world *w); /* as if the process had died: another copy of the directory is opened */
void world_forget_index(struct world *w);    /* while closed */
void world_close(struct world *w);
void world_free(struct world *w); /* closes and removes */
/* Runs a program with up to three arguments (NULL: fewer), which must succeed. */
void world_run(const char *program, const char *a, const char *b, const char *c);
/* Delivers to INBOX over LMTP: 0 or what the store answers. */
int world_try_deliver(struct world *w, const char *text);
void world_settle(struct world *w); /* waits until everything is in the index, and ticks */

extern const struct actor actor_imap, actor_lmtp, actor_pop3;

struct ingest *ingest_of(struct world *w, const char *text);
uint32_t deliver(struct mailbox *mailbox, const char *text); /* returns the UID */
/* A small message whose body says which it is. */
/* email_find(), for all but the description. */
int email_look(struct account *account, uint64_t id, struct email *ret_email);
uint32_t deliver_numbered(struct mailbox *mailbox, unsigned number);
char *body_of(struct account *account, uint64_t email, size_t *ret_len); /* whole, NUL-terminated; free() it */
struct mailbox *mailbox_named(struct account *account, const char *name);
uint32_t flag(struct mailbox *mailbox, uint32_t first, uint32_t last, enum flags_mode mode, unsigned flags);
uint32_t expunge(struct mailbox *mailbox, uint32_t first, uint32_t last); /* how many */
struct entry entry_of(struct mailbox *mailbox, uint32_t uid);
bool has_uid(struct mailbox *mailbox, uint32_t uid);

#endif
