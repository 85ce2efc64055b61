/* What directory.c and directory_find.c share. */
#ifndef PENFOLD_STORE_DIRECTORY_MORE_H
#define PENFOLD_STORE_DIRECTORY_MORE_H

#include "store/index.h"

struct store;
MUST_CHECK int directory_has(struct store *store, enum index_table table, struct slice key, bool *ret_there);
MUST_CHECK int directory_domain_used(struct store *store, struct slice domain, bool *ret_used);
uint64_t directory_hash(struct slice key); /* never 0 */

#endif
