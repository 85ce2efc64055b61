/*
 * Remembering what was verified: a table of keyed hashes, in sets of eight, the oldest of a set making room. It begins small, and doubles when what is
 * not over yet would have to go from a table that is half full: so its size is that of those who log in, up to the bound.
 */
#include <pthread.h>
#include <sodium.h>

#include "auth/internal.h"

enum { TAG_BYTES = 32, SET_ENTRIES = 8, SETS_FIRST = 1024 };

struct entry {
	unsigned char tag[TAG_BYTES];
	int64_t until_us; /* 0: empty */
};

struct auth_cache {
	pthread_mutex_t lock;
	const struct clock_source *clock;
	int64_t keep_us;
	unsigned char key[crypto_generichash_KEYBYTES];
	size_t sets, sets_max;
	size_t used; /* entries that are not empty */
	struct entry *entries;
};

int auth_cache_new(
	size_t entries_max, uint64_t keep_ms, const struct clock_source *clock, struct auth_cache **ret_cache)
{
	struct auth_cache *cache;

	CHECK(keep_ms < INT64_MAX / 1000);
	if (sodium_init() < 0)
		return -EIO;
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	cache->sets_max = MAX(entries_max / SET_ENTRIES, 1);
	cache->sets = MIN(cache->sets_max, (size_t)SETS_FIRST);
	cache->entries = calloc(cache->sets * SET_ENTRIES, sizeof(*cache->entries));
	if (!cache->entries || pthread_mutex_init(&cache->lock, NULL) != 0) {
		free(cache->entries);
		free(cache);
		return -ENOMEM;
	}
	cache->clock = clock;
	cache->keep_us = (int64_t)keep_ms * 1000;
	clock_random(clock, cache->key, sizeof(cache->key));
	*ret_cache = cache;
	return 0;
}

void auth_cache_free(struct auth_cache **cache)
{
	if (!*cache)
		return;
	sodium_memzero((*cache)->key, sizeof((*cache)->key));
	pthread_mutex_destroy(&(*cache)->lock);
	free((*cache)->entries);
	free(*cache);
	*cache = NULL;
}

static void hash_sized(crypto_generichash_state *hash, struct slice bytes)
{
	uint64_t len = bytes.len;

	crypto_generichash_update(hash, (const unsigned char *)&len, sizeof(len));
	crypto_generichash_update(hash, (const unsigned char *)bytes.at, bytes.len);
}

static void make_tag(const struct auth_cache *cache, struct slice user, struct slice secret, struct slice password,
	unsigned char tag[TAG_BYTES])
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, cache->key, sizeof(cache->key), TAG_BYTES);
	hash_sized(&hash, user);
	hash_sized(&hash, secret);
	hash_sized(&hash, password);
	crypto_generichash_final(&hash, tag, TAG_BYTES);
	sodium_memzero(&hash, sizeof(hash));
}

static struct entry *set_of(struct entry *entries, size_t sets, const unsigned char tag[TAG_BYTES])
{
	uint64_t number;

	memcpy(&number, tag, sizeof(number));
	return entries + (number % sets) * SET_ENTRIES;
}

static struct entry *oldest_of(struct entry *set)
{
	struct entry *oldest = set;

	for (size_t i = 1; i < SET_ENTRIES; i++)
		oldest = set[i].until_us < oldest->until_us ? &set[i] : oldest;
	return oldest;
}

static bool is_remembered(struct auth_cache *cache, const unsigned char tag[TAG_BYTES])
{
	int64_t now_us = clock_monotonic_us(cache->clock);
	struct entry *set;
	bool found = false;

	pthread_mutex_lock(&cache->lock);
	set = set_of(cache->entries, cache->sets, tag);
	for (size_t i = 0; i < SET_ENTRIES; i++)
		found |= set[i].until_us > now_us && sodium_memcmp(set[i].tag, tag, TAG_BYTES) == 0;
	pthread_mutex_unlock(&cache->lock);
	return found;
}

/* Without memory it stays as it is. */
static void grow(struct auth_cache *cache, int64_t now_us)
{
	size_t sets = MIN(cache->sets * 2, cache->sets_max), used = 0;
	struct entry *entries = calloc(sets * SET_ENTRIES, sizeof(*entries));

	if (!entries)
		return;
	for (size_t i = 0; i < cache->sets * SET_ENTRIES; i++) {
		struct entry *to;

		if (cache->entries[i].until_us <= now_us)
			continue;
		to = oldest_of(set_of(entries, sets, cache->entries[i].tag));
		used += to->until_us == 0;
		*to = cache->entries[i];
	}
	free(cache->entries);
	cache->entries = entries;
	cache->sets = sets;
	cache->used = used;
}

static void remember(struct auth_cache *cache, const unsigned char tag[TAG_BYTES])
{
	int64_t now_us = clock_monotonic_us(cache->clock);
	struct entry *oldest;

	pthread_mutex_lock(&cache->lock);
	oldest = oldest_of(set_of(cache->entries, cache->sets, tag));
	if (oldest->until_us > now_us && cache->sets < cache->sets_max && cache->used > cache->sets * SET_ENTRIES / 2) {
		grow(cache, now_us);
		oldest = oldest_of(set_of(cache->entries, cache->sets, tag));
	}
	cache->used += oldest->until_us == 0;
	memcpy(oldest->tag, tag, TAG_BYTES);
	oldest->until_us = now_us + cache->keep_us;
	pthread_mutex_unlock(&cache->lock);
}

bool auth_cache_has(struct auth_cache *cache, struct slice user, struct slice secret, struct slice password)
{
	unsigned char tag[TAG_BYTES];

	if (!cache || secret.len == 0)
		return false;
	make_tag(cache, user, secret, password, tag);
	return is_remembered(cache, tag);
}

int auth_cache_verify(struct auth_cache *cache, struct slice user, struct slice secret, struct slice password,
	const struct auth_cost *cost)
{
	unsigned char tag[TAG_BYTES];
	int error;

	/* Without a secret there is nothing to remember; the time is spent all the same. */
	if (!cache || secret.len == 0)
		return auth_secret_verify(secret, password, cost);
	make_tag(cache, user, secret, password, tag);
	if (is_remembered(cache, tag))
		return 0;
	error = auth_secret_verify(secret, password, cost);
	if (!error)
		remember(cache, tag);
	return error;
}
