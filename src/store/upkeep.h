/* What the housekeeping thread does. One round at a time: under upkeep.lock. */
#ifndef PENFOLD_STORE_UPKEEP_H
#define PENFOLD_STORE_UPKEEP_H

#include "store/store.h"

bool upkeep_is_stopping(struct store *store);
void upkeep_pause(struct store *store, int64_t us); /* shorter when woken */

/* Writes records that let go of everything past its retention time, and waits until they are applied. */
MUST_CHECK int retention_run(struct store *store);
/*
 * Copies what is alive out of mostly dead segments and drops them. At `once` without rate limit and everything there is to do;
 * -ECANCELED: the store closes.
 */
MUST_CHECK int compact_run(struct store *store, bool once);

#endif
