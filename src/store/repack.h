/* Packing frames again: what came in was hardly packed (frame.c); what stays is packed tightly, once, when it is copied. One thread. */
#ifndef PENFOLD_STORE_REPACK_H
#define PENFOLD_STORE_REPACK_H

#include "store/body.h"

struct repacking {
	struct store *store;
	bool wanted; /* by the settings */
	struct frame_packing packing;
	ZSTD_CDict *dictionary;
	struct buffer raw, packed, again;
};
MUST_CHECK int repacking_begin(struct repacking *r, struct store *store);
void repacking_end(struct repacking *r);
/*
 * `stored`, what stands at `ref`, becomes the same frame tightly packed, and `ref` says its length. It stays as it is when it was so before, or
 * when that would not make it shorter. -EBADMSG: it is damaged.
 */
MUST_CHECK int frame_repack(struct repacking *r, bool whole_message, struct frame_ref *ref, struct buffer *stored);

#endif
