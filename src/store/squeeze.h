/*
 * Compression of the pieces that frames are made of (frame.c): how one is kept, and what it was. No state but contexts that are used again. Any
 * thread, each with contexts of its own.
 */
#ifndef PENFOLD_STORE_SQUEEZE_H
#define PENFOLD_STORE_SQUEEZE_H

#include <zstd.h>

#include "base/buffer.h"

/* What a piece is kept as. */
enum squeezed {
	SQUEEZED_NOT, /* as it is */
	SQUEEZED_ZSTD,
	SQUEEZED_LZ4,
};

struct squeeze_contexts {
	ZSTD_CCtx *pack;
	/* Two, as one that comes from something else takes a dictionary for cold, and reads slower for fetching it ahead. */
	ZSTD_DCtx *unpack, *unpack_with; /* a dictionary */
};
MUST_CHECK int squeeze_contexts_make(struct squeeze_contexts *c);
void squeeze_contexts_free(struct squeeze_contexts *c);

/* How a piece is to be compressed. */
struct squeeze_how {
	size_t lz4_least;             /* by LZ4, if it is at least as long, else not at all; 0: by zstd */
	int level;                    /* without a dictionary */
	const ZSTD_CDict *dictionary; /* NULL: none; its level is its own */
};

size_t squeeze_room(size_t raw); /* that squeeze() needs */
/* Compresses `raw` to `to`, or copies it there when it does not shrink. Returns the bytes stored. */
size_t squeeze(struct squeeze_contexts *c, const struct squeeze_how *how, struct slice raw, char *to,
	enum squeezed *ret_squeezed);
/* Unpacks a piece that was compressed to `room`, exactly `raw` bytes. `dictionary` NULL: none. -EBADMSG: that does not fit. */
MUST_CHECK int expand(struct squeeze_contexts *c, enum squeezed squeezed, const ZSTD_DDict *dictionary,
	struct slice stored, char *room, size_t raw);
/* Whether bytes are compressed already: pictures, packed documents. */
bool squeeze_is_vain(struct slice bytes);

#endif
