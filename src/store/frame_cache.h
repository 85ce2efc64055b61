/*
 * Unpacked frames that were read more than once within a short time: by several devices, by a client that fetches a message in pieces or part by part,
 * by one that reads a folder again. A frame's place in the journal is its name: segments are numbered once, and what was appended is never
 * replaced, so a name never stands for other bytes. What is in here was verified when it was unpacked, and is not changed any more.
 *
 * Whoever reads a message once pays nothing for this: a frame is kept when it is read for the second time, and does not drive out one that was
 * read after its own first time. So reading a mailbox larger than the cache, again and again, leaves what is in here; and what nobody
 * reads any more makes room for what is read now. Messages that would fill much of it have a part of their own.
 *
 * Any thread. The memory comes with use and goes when sweeps find it unused. Where there is none, frames are just not kept.
 */
#ifndef PENFOLD_STORE_FRAME_CACHE_H
#define PENFOLD_STORE_FRAME_CACHE_H

#include "base/thread.h"
#include "store/record.h"

struct frame_cache;
struct cached_frame;
/* Whether a frame that was not found is to be kept: from frame_cache_take() for frame_cache_keep(). */
struct frame_wish {
	bool wanted;
	bool large;      /* of a message that has but a part of the cache */
	uint32_t before; /* when it was wanted last */
};

/* Keeps up to `bytes_max` bytes, not counting frames that somebody still holds when they had to go. 0: *ret_cache is NULL. */
MUST_CHECK int frame_cache_new(uint64_t bytes_max, const struct thread_system *threads, struct frame_cache **ret_cache);
void frame_cache_free(struct frame_cache **cache); /* nobody may hold a frame */

/* True: *ret_frame is held until cached_frame_release(). `message_bytes`: of the message it is of. */
bool frame_cache_take(struct frame_cache *cache, const struct frame_ref *ref, uint64_t message_bytes,
	struct cached_frame **ret_frame, struct frame_wish *ret_wish);
/* True: took over the memory of `bytes`, which is empty then, and *ret_frame is held. False: `bytes` may have moved. */
bool frame_cache_keep(struct frame_cache *cache, const struct frame_ref *ref, const struct frame_wish *wish,
	struct buffer *bytes, struct cached_frame **ret_frame);
struct slice cached_frame_bytes(const struct cached_frame *frame); /* as long as it is held */
void cached_frame_release(struct cached_frame **frame);

/* Lets go of what was not wanted since the sweep before. True: nothing is left, and there was something. */
bool frame_cache_sweep(struct frame_cache *cache);
uint64_t frame_cache_bytes(struct frame_cache *cache); /* held now */

#endif
