/* Copying one email out of segments that are to be dropped; packing it tightly on the way. */
#ifndef PENFOLD_STORE_RELOCATE_H
#define PENFOLD_STORE_RELOCATE_H

#include "store/engine.h"
#include "store/ids.h"
#include "store/repack.h"

struct relocation {
	struct store *store;
	struct number_map emails; /* id -> 1 */
	const uint64_t *segments; /* these are to be dropped */
	size_t segment_count;
	struct repacking repacking;
};

/* Before the first email, and after the last one; the rest is the caller's. */
MUST_CHECK int relocation_begin(struct relocation *r, struct store *store);
void relocation_end(struct relocation *r);

bool email_is_in(const struct email_row *row, uint64_t segment); /* its description or a frame */
/* Does nothing when the email is gone or elsewhere. *ret_bytes: copied; *ret_seq: of the record, when there was one. */
MUST_CHECK int email_relocate(struct relocation *r, uint64_t id, uint64_t *ret_bytes, uint64_t *ret_seq);

#endif
