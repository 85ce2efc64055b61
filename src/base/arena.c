#include "base/arena.h"

#include <stdalign.h>

enum { FIRST_BLOCK = 4096, ALIGNMENT = alignof(max_align_t) };

struct block {
	struct block *next; /* the older one */
	size_t room, used;
	alignas(max_align_t) char bytes[];
};

struct arena {
	struct block *blocks; /* newest first */
	size_t used, max;
};

int arena_new(size_t bytes_max, struct arena **ret_arena)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return -ENOMEM;
	arena->max = bytes_max;
	*ret_arena = arena;
	return 0;
}

static void blocks_free(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

void arena_free(struct arena **arena)
{
	if (!*arena)
		return;
	blocks_free((*arena)->blocks);
	free(*arena);
	*arena = NULL;
}

void arena_reset(struct arena *arena)
{
	struct block *first = arena->blocks;

	arena->used = 0;
	if (!first)
		return;
	while (first->next) {
		struct block *next = first->next;

		free(first);
		first = next;
	}
	arena->blocks = first;
	first->used = 0;
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}

static struct block *block_add(struct arena *arena, size_t bytes)
{
	size_t room = arena->blocks ? MIN(arena->blocks->room * 2, (size_t)1 << 20) : FIRST_BLOCK;
	struct block *block;

	room = MAX(room, bytes);
	block = malloc(sizeof(*block) + room);
	if (!block)
		return NULL;
	block->room = room;
	block->used = 0;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	struct block *block = arena->blocks;
	void *taken;

	if (bytes > arena->max || bytes > SIZE_MAX - ALIGNMENT)
		return NULL;
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (bytes == 0)
		bytes = ALIGNMENT;
	if (bytes > arena->max || arena->used > arena->max - bytes)
		return NULL;
	if (!block || block->room - block->used < bytes)
		block = block_add(arena, bytes);
	if (!block)
		return NULL;
	taken = block->bytes + block->used;
	block->used += bytes;
	arena->used += bytes;
	return taken;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t bytes)
{
	void *taken;

	if (bytes && count > SIZE_MAX / bytes)
		return NULL;
	taken = arena_alloc(arena, count * bytes);
	if (taken)
		memset(taken, 0, count * bytes);
	return taken;
}

int arena_copy(struct arena *arena, struct slice bytes, struct slice *ret_copy)
{
	char *copy = arena_alloc(arena, bytes.len);

	if (!copy)
		return -ENOBUFS;
	if (bytes.len)
		memcpy(copy, bytes.at, bytes.len);
	*ret_copy = (struct slice){copy, bytes.len};
	return 0;
}

const char *arena_text(struct arena *arena, struct slice bytes)
{
	char *copy = bytes.len < SIZE_MAX ? arena_alloc(arena, bytes.len + 1) : NULL;

	if (!copy)
		return NULL;
	if (bytes.len)
		memcpy(copy, bytes.at, bytes.len);
	copy[bytes.len] = '\0';
	return copy;
}
