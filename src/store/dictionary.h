/* Dictionaries of small messages: what they all have in common is kept once. */
#ifndef PENFOLD_STORE_DICTIONARY_H
#define PENFOLD_STORE_DICTIONARY_H

#include <zstd.h>

#include "store/engine.h"

struct dictionary {
	struct dictionary *next; /* an older one */
	uint32_t id;
	ZSTD_CDict *pack;
	ZSTD_DDict *unpack;
	char *bytes;
	size_t len;
};
const struct dictionary *dictionary_find(struct store *store, uint32_t id); /* NULL: unknown */

#endif
