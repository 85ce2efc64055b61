#include "gate/addresses.h"

#include <netinet/in.h>

#include "base/hash.h"
#include "net/net.h"

struct address_count {
	struct list_node node;
	char key[8];
	size_t connections;
};

/* The first 8 bytes of the IPv6 address; of an IPv4 one, its 4 behind a prefix that no IPv6 network has. */
static void key_of(const struct sockaddr_storage *peer, char key[8])
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	memset(key, 0, 8);
	if (peer->ss_family == AF_INET) {
		memcpy(&in, peer, sizeof(in));
		memcpy(key + 4, &in.sin_addr, 4);
	} else if (peer->ss_family == AF_INET6) {
		memcpy(&in6, peer, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			memcpy(key + 4, in6.sin6_addr.s6_addr + 12, 4);
		else
			memcpy(key, in6.sin6_addr.s6_addr, 8);
	}
}

int addresses_enter(struct addresses *addresses, const struct sockaddr_storage *peer, struct address_count **ret_count)
{
	char key[8];
	struct list_node **bucket;
	struct address_count *count;

	if (net_address_is_loopback(peer)) {
		*ret_count = NULL;
		return 0;
	}
	key_of(peer, key);
	bucket = &addresses->buckets[hash64(slice_make(key, sizeof(key)), addresses->seed) %
				     ARRAY_LEN(addresses->buckets)];
	for (struct list_node *node = *bucket; node; node = node->next) {
		count = CONTAINER_OF(node, struct address_count, node);
		if (memcmp(count->key, key, sizeof(key)) != 0)
			continue;
		if (count->connections >= addresses->per_address_max)
			return -EDQUOT;
		count->connections++;
		*ret_count = count;
		return 0;
	}
	if (addresses->per_address_max == 0)
		return -EDQUOT;
	count = calloc(1, sizeof(*count));
	if (!count)
		return -ENOMEM;
	memcpy(count->key, key, sizeof(key));
	count->connections = 1;
	list_add(bucket, &count->node);
	*ret_count = count;
	return 0;
}

void addresses_leave(struct address_count *count)
{
	if (!count || --count->connections)
		return;
	list_remove(&count->node);
	free(count);
}
