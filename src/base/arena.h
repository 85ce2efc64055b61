/*
 * Arenas: memory that is freed all at once.
 *
 * One scratch arena lives per command, one per session. An arena has a maximum; an allocation beyond it gives NULL
 * (as does lack of memory), and the caller ends its command or session with a protocol error, never the process.
 * Memory is aligned for any type and not zeroed by arena_alloc(). Not thread safe.
 */
#ifndef PENFOLD_BASE_ARENA_H
#define PENFOLD_BASE_ARENA_H

#include "base/slice.h"

struct arena;

MUST_CHECK int arena_new(size_t bytes_max, struct arena **ret_arena);
void arena_free(struct arena **arena); /* all of it; nulls the caller's pointer */
void arena_reset(struct arena *arena); /* forgets every allocation; gives back all but the first block */
size_t arena_used(const struct arena *arena);

MUST_CHECK void *arena_alloc(struct arena *arena, size_t bytes);
MUST_CHECK void *arena_zalloc(struct arena *arena, size_t count, size_t bytes); /* count × bytes, zeroed */
/* Copies: SLICE-like results; on failure returns -ENOBUFS and leaves *ret_copy. */
MUST_CHECK int arena_copy(struct arena *arena, struct slice bytes, struct slice *ret_copy);
MUST_CHECK const char *arena_text(struct arena *arena, struct slice bytes); /* NUL-terminated copy, or NULL */

#endif
