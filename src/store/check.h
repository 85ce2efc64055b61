/* What check.c, check_journal.c, check_accounts.c and check_search.c share. */
#ifndef PENFOLD_STORE_CHECK_H
#define PENFOLD_STORE_CHECK_H

#include "store/engine.h"

struct checking {
	struct store *store;
	const struct store_check *check;
	MDB_txn *txn;
	uint64_t records, findings;
	struct number_map live;       /* segment -> bytes, counted anew */
	struct number_map damaged;    /* place_key() of a damaged record -> 1 */
	struct number_map unreadable; /* email -> CHECK_..., until an entry names it */
	struct buffer notices;        /* what was said of the journal while it was opened; a line each */
};
enum { CHECK_UNREADABLE = 1, CHECK_IN_DAMAGED_RECORD };

void check_report(struct checking *c, const char *format, ...) PRINTF_LIKE(2, 3);
/* "ann@example.org", or "account 7" where the index does not know it. */
void check_account_name(struct checking *c, uint64_t account, struct buffer *out);
/* Every segment: its records, what guards them, what lies between them. */
MUST_CHECK int check_journal(struct checking *c);
bool check_is_damaged(const struct checking *c, const struct record_place *place);
MUST_CHECK int check_live(struct checking *c, const struct email_row *row); /* counts it */
MUST_CHECK int check_live_bytes(struct checking *c);                        /* compares */
/* The bodies of all emails with an id from `first` on and below `end`. */
MUST_CHECK int check_emails(struct checking *c, uint64_t first, uint64_t end);
/* Counters, entries, shares and history: of all accounts, or of one. */
MUST_CHECK int check_accounts(struct checking *c);
MUST_CHECK int check_account(struct checking *c, uint64_t id);
/* The account's files of words. */
MUST_CHECK int check_search(struct checking *c, uint64_t account);
/* Unreadable emails that no entry has named. */
void check_rest(struct checking *c);
void check_free(struct checking *c);

#endif
