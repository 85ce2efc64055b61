/*
 * Dictionaries: what many small texts have in common is kept once. There are those of small messages, for zstd, and those of descriptions,
 * of which LZ4 uses the content. Each is trained once, from the first samples that a store sees, and never freed before it is closed.
 */
#ifndef PENFOLD_STORE_DICTIONARY_H
#define PENFOLD_STORE_DICTIONARY_H

#include <lz4.h>
#include <zstd.h>

#include "base/slice.h"
#include "base/thread.h"

struct frame_contexts;
struct store;

#define DICTIONARY_DESCRIPTION_ID UINT32_C(0x80000000) /* set in the ids of those of descriptions */

enum dictionary_kind { DICTIONARY_MESSAGES, DICTIONARY_DESCRIPTIONS, DICTIONARY_KINDS };
struct dictionary {
	struct dictionary *next; /* an older one, of either kind */
	uint32_t id;
	ZSTD_CDict *pack; /* of messages */
	ZSTD_DDict *unpack;
	LZ4_stream_t *describe; /* of descriptions: the state behind the content */
	char *bytes;
	size_t len;
	size_t head; /* bytes that are zstd's own tables; the content is behind them */
};

struct dictionary_training {
	_Atomic(struct dictionary *) current;
	char *samples; /* to train from; NULL when none are wanted */
	size_t *sample_bytes;
	size_t sample_count, samples_len;
	atomic_bool wanted; /* take samples */
	bool ready;         /* enough of them: the upkeep thread trains */
};
enum { CONTEXTS_MAX = 16 };
struct dictionaries {
	struct lock lock;
	struct dictionary *all; /* newest first; never freed before the store is closed */
	struct dictionary_training training[DICTIONARY_KINDS];
	struct frame_contexts *idle[CONTEXTS_MAX];
	unsigned idle_count;
};

enum dictionary_kind dictionary_kind(uint32_t id);
const struct dictionary *dictionary_find(struct store *store, uint32_t id); /* NULL: unknown */
/* What new ones are packed with; NULL: there is none yet. */
const struct dictionary *dictionary_current(struct store *store, enum dictionary_kind kind);
struct slice dictionary_content(const struct dictionary *dictionary);

void dictionaries_init(struct store *store);
MUST_CHECK int dictionaries_load(struct store *store);
void dictionaries_free(struct store *store);
MUST_CHECK int dictionary_learn(struct store *store, uint32_t id, struct slice bytes); /* from the index or a record */
/* Something to learn from, as long as that is wanted. */
void dictionary_sample(struct store *store, enum dictionary_kind kind, struct slice sample);
bool dictionary_is_due(struct store *store);
MUST_CHECK int dictionary_train(struct store *store); /* those that are due; upkeep thread */
/* Writes it again, at the end of the journal. */
MUST_CHECK int dictionary_rewrite(struct store *store, uint32_t id, uint64_t *ret_seq);

#endif
