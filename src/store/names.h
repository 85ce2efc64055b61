/*
 * Mailbox names: their order, and sorted sets of them (subscriptions). See account.h for what a name may be.
 */
#ifndef PENFOLD_STORE_NAMES_H
#define PENFOLD_STORE_NAMES_H

#include "base/buffer.h"
#include "base/codec.h"

int name_compare(struct slice a, struct slice b); /* bytewise, '/' before everything: children follow their parent */
bool name_is_below(struct slice name, struct slice parent);
bool name_is_inbox(struct slice name); /* in any case */

struct name_set { /* owns its names; zero-initialise */
	struct slice *names;
	size_t count, room;
};
bool name_set_has(const struct name_set *set, struct slice name);
MUST_CHECK int name_set_add(struct name_set *set, struct slice name); /* 0 when it is there already */
void name_set_remove(struct name_set *set, struct slice name);
void name_set_free(struct name_set *set);
void name_set_encode(const struct name_set *set, struct buffer *out);
MUST_CHECK int name_set_decode(struct slice bytes, struct name_set *ret_set); /* -EBADMSG, -ENOMEM */

#endif
