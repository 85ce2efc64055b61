/*
 * A small hash table from number to number (or pointer, as a number), for what is pending in memory. Keys are not 0.
 * Empty tables own no memory. One thread at a time. number_map_put() fails with -ENOMEM only.
 */
#ifndef PENFOLD_STORE_NUMBER_MAP_H
#define PENFOLD_STORE_NUMBER_MAP_H

#include "base/slice.h"

struct number_slot {
	uint64_t key, value;
};
struct number_map {
	struct number_slot *slots; /* `room` of them, a power of two; key 0 is a free one */
	size_t count, room;
};

bool number_map_get(const struct number_map *map, uint64_t key, uint64_t *ret_value);
MUST_CHECK int number_map_put(struct number_map *map, uint64_t key, uint64_t value); /* replaces */
MUST_CHECK int number_map_add(
	struct number_map *map, uint64_t key, uint64_t value); /* to what is there, or 0; nothing of key 0 */
void number_map_delete(struct number_map *map, uint64_t key);  /* the memory goes with the last key */
void number_map_free(struct number_map *map);

#endif
