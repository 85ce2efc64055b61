/* What check.c and check_accounts.c share. */
#ifndef PENFOLD_STORE_CHECK_H
#define PENFOLD_STORE_CHECK_H

#include "store/engine.h"

struct checking {
	struct store *store;
	const struct store_check *check;
	MDB_txn *txn;
	uint64_t records, findings;
	struct number_map live; /* segment -> bytes, counted anew */
};

void check_report(struct checking *c, const char *format, ...) PRINTF_LIKE(2, 3);
MUST_CHECK int check_live(struct checking *c, const struct email_row *row); /* counts it */
MUST_CHECK int check_live_bytes(struct checking *c);                        /* compares */
/* Every account's counters, entries, shares and history. */
MUST_CHECK int check_accounts(struct checking *c);

#endif
