#include "store/number_map.h"

enum { FIRST_ROOM = 8 };

static size_t slot_of(const struct number_map *map, uint64_t key)
{
	return (size_t)((key * 0x9E3779B97F4A7C15u) >> 20) & (map->room - 1);
}

/* The slot with the key, or the free one where it would go. */
static struct number_slot *slot_find(const struct number_map *map, uint64_t key)
{
	size_t at = slot_of(map, key);

	while (map->slots[at].key && map->slots[at].key != key)
		at = (at + 1) & (map->room - 1);
	return &map->slots[at];
}

bool number_map_get(const struct number_map *map, uint64_t key, uint64_t *ret_value)
{
	const struct number_slot *slot;

	if (!map->count)
		return false;
	slot = slot_find(map, key);
	if (!slot->key)
		return false;
	*ret_value = slot->value;
	return true;
}

static int number_map_grow(struct number_map *map)
{
	struct number_map grown = {NULL, map->count, map->room ? map->room * 2 : FIRST_ROOM};

	grown.slots = calloc(grown.room, sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->room; i++) {
		if (map->slots[i].key)
			*slot_find(&grown, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	*map = grown;
	return 0;
}

int number_map_put(struct number_map *map, uint64_t key, uint64_t value)
{
	struct number_slot *slot;
	int error = 0;

	CHECK(key != 0);
	if ((map->count + 1) * 4 > map->room * 3)
		error = number_map_grow(map);
	if (error)
		return error;
	slot = slot_find(map, key);
	map->count += !slot->key;
	*slot = (struct number_slot){key, value};
	return 0;
}

int number_map_add(struct number_map *map, uint64_t key, uint64_t value)
{
	uint64_t so_far = 0;

	if (!key)
		return 0;
	(void)number_map_get(map, key, &so_far);
	return number_map_put(map, key, so_far + value);
}

void number_map_delete(struct number_map *map, uint64_t key)
{
	struct number_slot *hole;
	size_t at;

	if (!map->count)
		return;
	hole = slot_find(map, key);
	if (!hole->key)
		return;
	hole->key = 0;
	if (--map->count == 0) {
		number_map_free(map);
		return;
	}
	/* Those behind it in the same run may have been pushed there by it: put each again. */
	for (at = ((size_t)(hole - map->slots) + 1) & (map->room - 1); map->slots[at].key;
		at = (at + 1) & (map->room - 1)) {
		struct number_slot moved = map->slots[at];

		map->slots[at].key = 0;
		*slot_find(map, moved.key) = moved;
	}
}

void number_map_free(struct number_map *map)
{
	free(map->slots);
	*map = (struct number_map){NULL, 0, 0};
}
