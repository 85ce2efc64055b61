/* Inside gate: how many connections each client has: an IPv4 address, or an IPv6 /64, which is what one customer gets. */
#ifndef PENFOLD_GATE_ADDRESSES_H
#define PENFOLD_GATE_ADDRESSES_H

#include <sys/socket.h>

#include "base/list.h"
#include "base/slice.h"

struct address_count;
struct addresses {
	uint64_t seed; /* secret, so that nobody can choose addresses that lie together */
	size_t per_address_max;
	struct list_node *buckets[4096];
};

/* Counts one more: 0, -EDQUOT when there are enough already, -ENOMEM. NULL for what is not counted (loopback). */
MUST_CHECK int addresses_enter(
	struct addresses *addresses, const struct sockaddr_storage *peer, struct address_count **ret_count);
void addresses_leave(struct address_count *count); /* NULL: nothing */

#endif
