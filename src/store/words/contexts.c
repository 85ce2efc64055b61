/* Making a context of zstd takes longer than unpacking a block with it. */
#include "store/words/internal.h"

enum { CONTEXTS_KEPT = 8 }; /* some 95 KiB each */

struct words_contexts {
	struct lock lock;
	ZSTD_DCtx *idle[CONTEXTS_KEPT];
	size_t count;
};

int words_contexts_new(const struct thread_system *threads, struct words_contexts **ret_contexts)
{
	struct words_contexts *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, threads);
	*ret_contexts = c;
	return 0;
}

void words_contexts_free(struct words_contexts **contexts)
{
	struct words_contexts *c = *contexts;

	if (!c)
		return;
	while (c->count)
		ZSTD_freeDCtx(c->idle[--c->count]);
	lock_free(&c->lock);
	free(c);
	*contexts = NULL;
}

ZSTD_DCtx *words_context_take(struct words_contexts *c)
{
	ZSTD_DCtx *context = NULL;

	if (c) {
		lock_take(&c->lock);
		if (c->count)
			context = c->idle[--c->count];
		lock_give(&c->lock);
	}
	return context ? context : ZSTD_createDCtx();
}

void words_context_give(struct words_contexts *c, ZSTD_DCtx *context)
{
	if (c && context) {
		lock_take(&c->lock);
		if (c->count < CONTEXTS_KEPT) {
			c->idle[c->count++] = context;
			context = NULL;
		}
		lock_give(&c->lock);
	}
	ZSTD_freeDCtx(context);
}
