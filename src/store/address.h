/*
 * Addresses "local@domain" in their one form (see directory.h), and as keys that sort by domain.
 */
#ifndef PENFOLD_STORE_ADDRESS_H
#define PENFOLD_STORE_ADDRESS_H

#include "base/buffer.h"

/* Lower case A-labels. -EINVAL: no domain name. */
MUST_CHECK int domain_normalise(struct slice domain, struct buffer *out);
/* Local part in lower case, with `strip_detail` without `+detail`, which is returned (it points into `address`). -EINVAL. */
MUST_CHECK int address_normalise(struct slice address, bool strip_detail, struct buffer *out, struct slice *ret_detail);
/* domain NUL local, of a normalised address. -EINVAL. */
MUST_CHECK int address_key(struct slice address, struct buffer *out);
void address_of_key(struct slice key, struct buffer *out);

#endif
