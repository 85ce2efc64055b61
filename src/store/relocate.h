/* Copying one email out of segments that are to be dropped. */
#ifndef PENFOLD_STORE_RELOCATE_H
#define PENFOLD_STORE_RELOCATE_H

#include "store/engine.h"
#include "store/ids.h"

struct relocation {
	struct store *store;
	struct number_map emails; /* id -> 1 */
	const uint64_t *segments; /* these are to be dropped */
	size_t segment_count;
};

bool email_is_in(const struct email_row *row, uint64_t segment); /* its description or a frame */
/* Does nothing when the email is gone or elsewhere. *ret_bytes: copied; *ret_seq: of the record, when there was one. */
MUST_CHECK int email_relocate(struct relocation *r, uint64_t id, uint64_t *ret_bytes, uint64_t *ret_seq);

#endif
