#include "store/frame_cache.h"

#include <sys/queue.h>

/*
 * Stripes, each with a lock of its own. In each: a table of chains by name, a list in the order of use for ordinary messages and one for large ones, and
 * what was wanted lately without being here. Time is counted in frames that the stripe was asked for.
 */

enum {
	STRIPE_BYTES = 8 << 20,
	STRIPES_MAX = 64,
	CHAIN_BYTES = 8192,  /* of frames for each chain of the table */
	MISSED_BYTES = 2048, /* of frames for each that is remembered as not found */
	MISSED_WAYS = 8,     /* a cache line of them */
	LEAST_CHAINS = 16,
	LARGE_SHARE = 8,    /* an eighth of the cache is for frames of large messages, */
	LARGE_MESSAGE = 16, /* which are those of more than a sixteenth of it */
	ALLOCATION_BYTES = 32,
	SWEEP_AT_ONCE = 64,
};

struct name {
	uint64_t segment, at;
	uint32_t stored_bytes, raw_bytes;
};

TAILQ_HEAD(frame_queue, cached_frame);

struct cached_frame {
	struct name name;
	uint64_t hash;
	struct cached_frame *next; /* of its chain */
	TAILQ_ENTRY(cached_frame) link;
	uint32_t touched;
	bool large;
	_Atomic uint32_t holds; /* the cache's, while it is in there, and the readers' */
	struct buffer bytes;
};

struct use_list {
	struct frame_queue frames; /* last used first */
	uint64_t bytes, bytes_max;
};

struct missed {
	uint32_t tag; /* of the name; 0: none */
	uint32_t at;  /* when it was wanted */
};

struct stripe {
	struct lock lock;
	struct cached_frame **chains; /* NULL: nobody asked since the last sweep but one */
	struct missed *missed;
	struct use_list ordinary, large;
	uint32_t now, swept; /* `swept`: what was touched before was not wanted since the last sweep */
};

struct frame_cache {
	uint64_t large_message_bytes;
	size_t stripe_count, chain_count, missed_sets; /* powers of two */
	struct stripe stripes[];
};

/* ---- Names ---- */

/* Without a secret: the journal chooses names, no stranger does. */
static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static struct name name_of(const struct frame_ref *ref, uint64_t *ret_hash)
{
	uint64_t at = (uint64_t)ref->place.at + ref->offset;

	*ret_hash = mixed(mixed(ref->place.segment) ^ at);
	return (struct name){ref->place.segment, at, ref->stored_bytes, ref->raw_bytes};
}

static bool name_is(const struct name *a, const struct name *b)
{
	return a->segment == b->segment && a->at == b->at && a->stored_bytes == b->stored_bytes &&
	       a->raw_bytes == b->raw_bytes;
}

static struct stripe *stripe_of(struct frame_cache *cache, uint64_t hash)
{
	return &cache->stripes[hash & (cache->stripe_count - 1)];
}

static struct cached_frame **chain_of(const struct frame_cache *cache, struct stripe *stripe, uint64_t hash)
{
	return &stripe->chains[hash >> 8 & (cache->chain_count - 1)];
}

static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* ---- Making ---- */

static size_t power_of_two(uint64_t most, uint64_t least)
{
	size_t n = 1;

	while (n < least || n <= most / 2)
		n *= 2;
	return n;
}

static void list_init(struct use_list *list, uint64_t bytes_max)
{
	TAILQ_INIT(&list->frames);
	list->bytes = 0;
	list->bytes_max = bytes_max;
}

int frame_cache_new(uint64_t bytes_max, const struct thread_system *threads, struct frame_cache **ret_cache)
{
	size_t stripes = power_of_two(MIN(bytes_max / STRIPE_BYTES, (uint64_t)STRIPES_MAX), 1);
	uint64_t each = bytes_max / stripes;
	struct frame_cache *cache;

	if (!bytes_max) {
		*ret_cache = NULL;
		return 0;
	}
	cache = calloc(1, sizeof(*cache) + stripes * sizeof(cache->stripes[0]));
	if (!cache)
		return -ENOMEM;
	cache->large_message_bytes = bytes_max / LARGE_MESSAGE;
	cache->stripe_count = stripes;
	cache->chain_count = power_of_two(each / CHAIN_BYTES, LEAST_CHAINS);
	cache->missed_sets = power_of_two(each / MISSED_BYTES / MISSED_WAYS, LEAST_CHAINS);
	for (size_t i = 0; i < stripes; i++) {
		lock_init(&cache->stripes[i].lock, threads);
		list_init(&cache->stripes[i].large, each / LARGE_SHARE);
		list_init(&cache->stripes[i].ordinary, each - each / LARGE_SHARE);
	}
	*ret_cache = cache;
	return 0;
}

static void tables_free(struct stripe *stripe)
{
	free(stripe->chains);
	free(stripe->missed);
	stripe->chains = NULL;
	stripe->missed = NULL;
}

static bool tables_make(const struct frame_cache *cache, struct stripe *stripe)
{
	if (stripe->chains)
		return true;
	stripe->chains = calloc(cache->chain_count, sizeof(stripe->chains[0]));
	stripe->missed = calloc(cache->missed_sets * MISSED_WAYS, sizeof(stripe->missed[0]));
	if (stripe->chains && stripe->missed)
		return true;
	tables_free(stripe);
	return false;
}

/* ---- Frames of a stripe: under its lock ---- */

static struct use_list *list_of(struct stripe *stripe, bool large)
{
	return large ? &stripe->large : &stripe->ordinary;
}

static uint64_t cost_of(const struct cached_frame *frame)
{
	return sizeof(*frame) + frame->bytes.room + ALLOCATION_BYTES;
}

static struct cached_frame *find(
	const struct frame_cache *cache, struct stripe *stripe, const struct name *name, uint64_t hash)
{
	struct cached_frame *frame = *chain_of(cache, stripe, hash);

	while (frame && !name_is(&frame->name, name))
		frame = frame->next;
	return frame;
}

/* The cache's hold goes on to the caller. */
static void take_out(struct frame_cache *cache, struct stripe *stripe, struct cached_frame *frame)
{
	struct cached_frame **at = chain_of(cache, stripe, frame->hash);
	struct use_list *list = list_of(stripe, frame->large);

	while (*at != frame)
		at = &(*at)->next;
	*at = frame->next;
	TAILQ_REMOVE(&list->frames, frame, link);
	list->bytes -= cost_of(frame);
}

/* When it was asked for before and not found, if that is remembered; from now on, this time is. */
static bool note_missed(struct frame_cache *cache, struct stripe *stripe, uint64_t hash, uint32_t *ret_before)
{
	struct missed *set = &stripe->missed[(hash >> 20 & (cache->missed_sets - 1)) * MISSED_WAYS], *oldest = set;
	uint32_t tag = (uint32_t)(hash >> 32) | 1;
	bool known;

	for (size_t i = 0; i < MISSED_WAYS && oldest->tag != tag; i++) {
		if (set[i].tag == tag || is_before(set[i].at, oldest->at))
			oldest = &set[i];
	}
	known = oldest->tag == tag;
	if (known)
		*ret_before = oldest->at;
	*oldest = (struct missed){tag, stripe->now};
	return known;
}

/* Moves to `out` what was used last before `before`, if that makes room enough. */
static bool make_room(struct frame_cache *cache, struct stripe *stripe, struct use_list *list, uint64_t bytes,
	uint32_t before, struct frame_queue *out)
{
	uint64_t left = list->bytes;
	struct cached_frame *frame, *newer;

	if (bytes > list->bytes_max)
		return false;
	TAILQ_FOREACH_REVERSE(frame, &list->frames, frame_queue, link)
	{
		if (left + bytes <= list->bytes_max || !is_before(frame->touched, before))
			break;
		left -= cost_of(frame);
	}
	if (left + bytes > list->bytes_max)
		return false;
	for (frame = TAILQ_LAST(&list->frames, frame_queue); list->bytes > left; frame = newer) {
		newer = TAILQ_PREV(frame, frame_queue, link);
		take_out(cache, stripe, frame);
		TAILQ_INSERT_TAIL(out, frame, link);
	}
	return true;
}

/* ---- For readers ---- */

bool frame_cache_take(struct frame_cache *cache, const struct frame_ref *ref, uint64_t message_bytes,
	struct cached_frame **ret_frame, struct frame_wish *ret_wish)
{
	struct frame_wish wish = {.large = message_bytes > cache->large_message_bytes};
	struct cached_frame *frame = NULL;
	uint64_t hash;
	struct name name = name_of(ref, &hash);
	struct stripe *stripe = stripe_of(cache, hash);

	lock_take(&stripe->lock);
	if (tables_make(cache, stripe)) {
		stripe->now++;
		frame = find(cache, stripe, &name, hash);
		if (frame) {
			struct use_list *list = list_of(stripe, frame->large);

			TAILQ_REMOVE(&list->frames, frame, link);
			TAILQ_INSERT_HEAD(&list->frames, frame, link);
			frame->touched = stripe->now;
			frame->holds++;
		} else {
			wish.wanted = note_missed(cache, stripe, hash, &wish.before);
		}
	}
	lock_give(&stripe->lock);
	if (frame)
		*ret_frame = frame;
	else
		*ret_wish = wish;
	return frame != NULL;
}

static struct cached_frame *frame_new(const struct frame_ref *ref, bool large, struct buffer *bytes)
{
	struct cached_frame *frame = calloc(1, sizeof(*frame));
	char *fitting;

	if (!frame)
		return NULL;
	frame->name = name_of(ref, &frame->hash);
	frame->large = large;
	atomic_init(&frame->holds, 2);
	/* Buffers grow by doubling: what is behind the bytes would be kept for nothing. */
	fitting = realloc(bytes->at, MAX(bytes->len, 1));
	if (fitting) {
		bytes->at = fitting;
		bytes->room = MAX(bytes->len, 1);
	}
	frame->bytes = *bytes;
	return frame;
}

static void let_go(struct frame_queue *frames)
{
	struct cached_frame *frame;

	while ((frame = TAILQ_FIRST(frames))) {
		TAILQ_REMOVE(frames, frame, link);
		cached_frame_release(&frame);
	}
}

bool frame_cache_keep(struct frame_cache *cache, const struct frame_ref *ref, const struct frame_wish *wish,
	struct buffer *bytes, struct cached_frame **ret_frame)
{
	struct frame_queue out = TAILQ_HEAD_INITIALIZER(out);
	struct cached_frame *frame = wish->wanted ? frame_new(ref, wish->large, bytes) : NULL;
	struct cached_frame **chain;
	struct stripe *stripe;
	struct use_list *list;
	bool kept;

	if (!frame)
		return false;
	stripe = stripe_of(cache, frame->hash);
	list = list_of(stripe, wish->large);
	lock_take(&stripe->lock);
	/* A sweep may have taken the tables meanwhile, another thread may have been faster. */
	kept = stripe->chains && !find(cache, stripe, &frame->name, frame->hash) &&
	       make_room(cache, stripe, list, cost_of(frame), wish->before, &out);
	if (kept) {
		chain = chain_of(cache, stripe, frame->hash);
		frame->next = *chain;
		*chain = frame;
		frame->touched = stripe->now;
		TAILQ_INSERT_HEAD(&list->frames, frame, link);
		list->bytes += cost_of(frame);
	}
	lock_give(&stripe->lock);
	let_go(&out);
	if (!kept) {
		free(frame);
		return false;
	}
	*bytes = BUFFER_INIT(bytes->max);
	*ret_frame = frame;
	return true;
}

struct slice cached_frame_bytes(const struct cached_frame *frame)
{
	return buffer_slice(&frame->bytes);
}

void cached_frame_release(struct cached_frame **frame)
{
	struct cached_frame *f = *frame;

	*frame = NULL;
	if (!f || --f->holds)
		return;
	buffer_free(&f->bytes);
	free(f);
}

/* ---- Giving back ---- */

/* Moves up to SWEEP_AT_ONCE of those not used since the last sweep to `out`. */
static void sweep_list(struct frame_cache *cache, struct stripe *stripe, struct use_list *list, struct frame_queue *out)
{
	struct cached_frame *frame;

	for (int i = 0; i < SWEEP_AT_ONCE && (frame = TAILQ_LAST(&list->frames, frame_queue)); i++) {
		if (!is_before(frame->touched, stripe->swept))
			break;
		take_out(cache, stripe, frame);
		TAILQ_INSERT_TAIL(out, frame, link);
	}
}

/* A few at a time, as readers wait for the lock. */
static void sweep_stripe(struct frame_cache *cache, struct stripe *stripe)
{
	bool more = true;

	while (more) {
		struct frame_queue out = TAILQ_HEAD_INITIALIZER(out);

		lock_take(&stripe->lock);
		sweep_list(cache, stripe, &stripe->ordinary, &out);
		sweep_list(cache, stripe, &stripe->large, &out);
		more = !TAILQ_EMPTY(&out);
		if (!more) {
			if (stripe->swept == stripe->now + 1 && !stripe->ordinary.bytes && !stripe->large.bytes)
				tables_free(stripe);
			stripe->swept = stripe->now + 1;
		}
		lock_give(&stripe->lock);
		let_go(&out);
	}
}

uint64_t frame_cache_bytes(struct frame_cache *cache)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < cache->stripe_count; i++) {
		struct stripe *stripe = &cache->stripes[i];

		lock_take(&stripe->lock);
		bytes += stripe->ordinary.bytes + stripe->large.bytes;
		lock_give(&stripe->lock);
	}
	return bytes;
}

bool frame_cache_sweep(struct frame_cache *cache)
{
	uint64_t before = frame_cache_bytes(cache);

	for (size_t i = 0; i < cache->stripe_count; i++)
		sweep_stripe(cache, &cache->stripes[i]);
	return before && !frame_cache_bytes(cache);
}

void frame_cache_free(struct frame_cache **cache_at)
{
	struct frame_cache *cache = *cache_at;

	*cache_at = NULL;
	if (!cache)
		return;
	for (size_t i = 0; i < cache->stripe_count; i++) {
		struct stripe *stripe = &cache->stripes[i];

		let_go(&stripe->ordinary.frames);
		let_go(&stripe->large.frames);
		tables_free(stripe);
		lock_free(&stripe->lock);
	}
	free(cache);
}
