/* A message on its way in: canonical line ends, parsed, compressed frame by frame as it comes. */
#include "store/body.h"
#include "store/description.h"

enum {
	INGESTS_IDLE_MAX = 64,
	PIECE_BYTES = 65536,
	RAW_MAX = FRAME_RAW_BYTES + 2 * PIECE_BYTES,
	STORED_MAX = FRAME_RAW_BYTES * 2,
	KEEP_BYTES = 131072 /* an idle ingest's buffers may be that large */
};

static struct ingest *pool_take(struct ingest_pool *pool)
{
	struct ingest *ingest;

	lock_take(&pool->lock);
	ingest = pool->idle;
	if (ingest) {
		pool->idle = ingest->next_idle;
		pool->count--;
	}
	lock_give(&pool->lock);
	return ingest;
}

/* A parser is needed only while the message comes in; the next message has its memory. */
static int parser_take(struct ingest_pool *pool, struct mail_parser **ret_parser)
{
	struct mail_parser *parser = NULL;

	lock_take(&pool->lock);
	if (pool->parser_count)
		parser = pool->parsers[--pool->parser_count];
	lock_give(&pool->lock);
	if (!parser)
		return mail_parser_new(&mail_limits_default, ret_parser);
	*ret_parser = parser;
	return 0;
}

static void parser_give(struct ingest_pool *pool, struct mail_parser **parser)
{
	if (!*parser)
		return;
	if (mail_parser_reset(*parser))
		mail_parser_free(parser);
	lock_take(&pool->lock);
	if (*parser && pool->parser_count < PARSERS_IDLE_MAX) {
		pool->parsers[pool->parser_count++] = *parser;
		*parser = NULL;
	}
	lock_give(&pool->lock);
	mail_parser_free(parser);
}

static struct ingest *ingest_make(struct store *store)
{
	struct ingest *ingest = calloc(1, sizeof(*ingest));

	if (!ingest)
		return NULL;
	ingest->store = store;
	ingest->raw = BUFFER_INIT(RAW_MAX);
	ingest->stored = BUFFER_INIT(STORED_MAX);
	ingest->frames = BUFFER_INIT(1 << 26);
	ingest->packed = BUFFER_INIT(MAIL_PACKED_BYTES_MAX);
	ingest->described = BUFFER_INIT(MAIL_PACKED_BYTES_MAX);
	ingest->hashes = BUFFER_INIT(4096);
	ingest->hold = FRAMES_HOLD_INIT;
	return ingest;
}

int ingest_new(struct store *store, struct ingest **ret_ingest)
{
	struct ingest *ingest = pool_take(&store->ingests);
	int error;

	if (!ingest)
		ingest = ingest_make(store);
	if (!ingest)
		return -ENOMEM;
	error = parser_take(&store->ingests, &ingest->parser);
	if (error) {
		ingest_free(&ingest);
		return error;
	}
	*ret_ingest = ingest;
	return 0;
}

static void ingest_destroy(struct ingest *ingest)
{
	buffer_free(&ingest->raw);
	buffer_free(&ingest->stored);
	buffer_free(&ingest->frames);
	buffer_free(&ingest->packed);
	buffer_free(&ingest->described);
	buffer_free(&ingest->hashes);
	free(ingest);
}

void ingest_free(struct ingest **ingest)
{
	struct ingest *i = *ingest;
	struct ingest_pool *pool;

	if (!i)
		return;
	*ingest = NULL;
	frames_release(i->store, &i->hold);
	parser_give(&i->store->ingests, &i->parser);
	buffer_recycle(&i->raw, KEEP_BYTES);
	buffer_recycle(&i->stored, KEEP_BYTES);
	buffer_recycle(&i->frames, KEEP_BYTES);
	buffer_recycle(&i->packed, KEEP_BYTES);
	buffer_recycle(&i->described, KEEP_BYTES);
	buffer_recycle(&i->hashes, KEEP_BYTES);
	i->frame_count = i->hash_count = i->last_raw_bytes = 0;
	i->bytes = 0;
	i->canon.last_was_cr = false;
	i->finished = false;
	i->error = 0;
	pool = &i->store->ingests;
	lock_take(&pool->lock);
	if (pool->count < INGESTS_IDLE_MAX) {
		i->next_idle = pool->idle;
		pool->idle = i;
		pool->count++;
		i = NULL;
	}
	lock_give(&pool->lock);
	if (i)
		ingest_destroy(i);
}

void ingests_free(struct store *store)
{
	struct ingest *ingest;

	while ((ingest = pool_take(&store->ingests)))
		ingest_destroy(ingest);
	while (store->ingests.parser_count)
		mail_parser_free(&store->ingests.parsers[--store->ingests.parser_count]);
}

static void hold_link(struct ingest_pool *pool, struct frames_hold *hold)
{
	hold->held = true;
	hold->previous = NULL;
	hold->next = pool->holds;
	if (pool->holds)
		pool->holds->previous = hold;
	pool->holds = hold;
}

void frames_hold(struct store *store, struct frames_hold *hold)
{
	struct ingest_pool *pool = &store->ingests;

	lock_take(&pool->lock);
	if (!hold->held)
		hold_link(pool, hold);
	hold->after_seq = MIN(hold->after_seq, store->log->ops->last_seq(store->log));
	lock_give(&pool->lock);
}

static bool hold_has(const struct frames_hold *hold, uint64_t segment)
{
	for (size_t i = hold->count; i > 0; i--) {
		if (hold->segments[i - 1] == segment)
			return true;
	}
	return false;
}

static int hold_add(struct frames_hold *hold, uint64_t segment)
{
	if (hold_has(hold, segment))
		return 0;
	if (hold->count == hold->room) {
		size_t room = MAX(hold->room * 2, 4);
		uint64_t *grown = realloc(hold->segments, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		hold->segments = grown;
		hold->room = room;
	}
	hold->segments[hold->count++] = segment;
	return 0;
}

int frames_hold_place(struct store *store, struct frames_hold *hold, const struct record_place *place)
{
	struct ingest_pool *pool = &store->ingests;
	int error;

	lock_take(&pool->lock);
	error = hold_add(hold, place->segment);
	if (!error)
		hold->after_seq = UINT64_MAX;
	lock_give(&pool->lock);
	return error;
}

void frames_release(struct store *store, struct frames_hold *hold)
{
	struct ingest_pool *pool = &store->ingests;

	if (!hold->held)
		return;
	lock_take(&pool->lock);
	*(hold->previous ? &hold->previous->next : &pool->holds) = hold->next;
	if (hold->next)
		hold->next->previous = hold->previous;
	lock_give(&pool->lock);
	free(hold->segments);
	*hold = FRAMES_HOLD_INIT;
}

bool frames_are_held(struct store *store, const struct segment_info *segment)
{
	struct ingest_pool *pool = &store->ingests;
	const struct frames_hold *hold;

	lock_take(&pool->lock);
	hold = pool->holds;
	while (hold && hold->after_seq >= segment->last_seq && !hold_has(hold, segment->id))
		hold = hold->next;
	lock_give(&pool->lock);
	return hold != NULL;
}

/* The raw buffer's first frame, which is not the last one, goes to the journal. */
static int frame_spill(struct ingest *ingest)
{
	struct frame_ref ref = {.raw_bytes = FRAME_RAW_BYTES};
	int error;

	buffer_reset(&ingest->stored);
	error = frame_pack(
		ingest->store, slice_first(buffer_slice(&ingest->raw), FRAME_RAW_BYTES), false, &ingest->stored);
	if (error)
		return error;
	ref.stored_bytes = (uint32_t)ingest->stored.len;
	frames_hold(ingest->store, &ingest->hold);
	error = frame_write(ingest->store, buffer_slice(&ingest->stored), &ref);
	if (!error)
		error = frames_hold_place(ingest->store, &ingest->hold, &ref.place);
	if (error)
		return error;
	frame_ref_put(&ingest->frames, &ref);
	ingest->frame_count++;
	buffer_reset(&ingest->stored);
	buffer_consume(&ingest->raw, FRAME_RAW_BYTES);
	return buffer_error(&ingest->frames);
}

static int piece_write(struct ingest *ingest, struct slice piece)
{
	size_t before = ingest->raw.len;
	struct slice canonical;
	int error;

	mail_canon_feed(&ingest->canon, piece, &ingest->raw);
	error = buffer_error(&ingest->raw);
	if (error)
		return error;
	canonical = slice_from(buffer_slice(&ingest->raw), before);
	ingest->bytes += canonical.len;
	if (ingest->bytes > ingest->store->settings.message_bytes_max)
		return -EMSGSIZE;
	error = mail_parser_feed(ingest->parser, canonical);
	while (!error && ingest->raw.len > FRAME_RAW_BYTES)
		error = frame_spill(ingest);
	return error;
}

int ingest_write(struct ingest *ingest, struct slice bytes)
{
	CHECK(!ingest->finished);
	while (!ingest->error && bytes.len) {
		ingest->error = piece_write(ingest, slice_first(bytes, PIECE_BYTES));
		bytes = slice_from(bytes, PIECE_BYTES);
	}
	return ingest->error;
}

static int description_make(struct ingest *ingest)
{
	const struct mail_message *message;
	int error = mail_parser_finish(ingest->parser, &message);

	if (error)
		return error;
	mail_pack(message, &ingest->packed);
	ingest->hash_count = thread_hashes(message, &ingest->hashes);
	error = buffer_error(&ingest->packed);
	if (!error) {
		description_put(ingest->store, buffer_slice(&ingest->packed), &ingest->described);
		error = buffer_error(&ingest->described);
	}
	parser_give(&ingest->store->ingests, &ingest->parser);
	return error ? error : buffer_error(&ingest->hashes);
}

int ingest_finish(struct ingest *ingest)
{
	struct slice raw = buffer_slice(&ingest->raw);
	bool whole = ingest->frame_count == 0;

	if (ingest->error || ingest->finished)
		return ingest->error;
	ingest->error = description_make(ingest);
	if (!ingest->error && raw.len)
		ingest->error = frame_pack(ingest->store, raw, whole, &ingest->stored);
	if (ingest->error)
		return ingest->error;
	ingest->last_raw_bytes = (uint32_t)raw.len;
	buffer_recycle(&ingest->raw, KEEP_BYTES);
	ingest->finished = true;
	return 0;
}

uint64_t ingest_bytes(const struct ingest *ingest)
{
	return ingest->bytes;
}
