#include "base/hash.h"
#include "store/disk/internal.h"

/* A piece of a segment's file in memory, moved along as needed. */
struct window {
	struct disk *disk;
	struct segment *segment;
	uint64_t end;
	char *bytes;
	size_t room, len;
	uint64_t at;
};

static int window_load(struct window *w, uint64_t at, size_t bytes)
{
	size_t want = (size_t)MIN(MAX((uint64_t)bytes, DISK_WINDOW_BYTES), w->end - at);
	int error;

	if (want > w->room) {
		free(w->bytes);
		w->bytes = malloc(want);
		w->room = w->bytes ? want : 0;
		w->len = 0;
		if (!w->bytes)
			return -ENOMEM;
	}
	w->at = at;
	w->len = 0;
	error = w->disk->files->read(w->disk->files->context, w->segment->file, at, w->bytes, want, &w->len);
	if (error)
		w->len = 0;
	return error;
}

/* What is at `at`: at least `bytes` bytes, valid until the next call. -ENODATA: the segment ends before. */
static int window_get(struct window *w, uint64_t at, uint64_t bytes, struct slice *ret_bytes)
{
	int error;

	if (at > w->end || bytes > w->end - at)
		return -ENODATA;
	if (at < w->at || at + bytes > w->at + w->len) {
		error = window_load(w, at, (size_t)bytes);
		if (error)
			return error;
		if (bytes > w->len)
			return -ENODATA;
	}
	*ret_bytes = (struct slice){w->bytes + (at - w->at), (size_t)(w->at + w->len - at)};
	return 0;
}

static bool is_error(int error)
{
	return error && error != -ENODATA && error != -EBADMSG;
}

/* -EBADMSG: no header of this segment there. */
static int get_header(struct window *w, uint64_t at, struct record_header *ret_header)
{
	struct slice bytes;
	int error = window_get(w, at, RECORD_HEADER_BYTES, &bytes);

	if (error)
		return error;
	return record_header_get(bytes.at, w->segment->header.seed, ret_header) ? 0 : -EBADMSG;
}

static int get_payload(struct window *w, uint64_t at, const struct record_header *header, struct slice *ret_payload)
{
	struct slice bytes;
	int error = window_get(w, at + RECORD_HEADER_BYTES, header->bytes, &bytes);

	if (error)
		return error;
	bytes = slice_first(bytes, header->bytes);
	if (crc32c(0, bytes.at, bytes.len) != header->payload_crc)
		return -EBADMSG;
	*ret_payload = bytes;
	return 0;
}

/* The next place from *at on with a valid header. -ENODATA: none. */
static int find_header(struct window *w, uint64_t *at, struct record_header *ret_header)
{
	uint64_t seed = w->segment->header.seed;
	struct slice bytes;
	int error;

	for (;;) {
		error = window_get(w, *at, RECORD_HEADER_BYTES, &bytes);
		if (error)
			return error;
		for (; bytes.len >= RECORD_HEADER_BYTES; bytes = slice_from(bytes, RECORD_ALIGN)) {
			if (record_header_maybe(bytes.at, seed) && record_header_get(bytes.at, seed, ret_header))
				return 0;
			*at += RECORD_ALIGN;
		}
	}
}

int segment_claims(struct disk *disk, struct segment *segment, uint64_t from, uint64_t end, uint64_t *ret_seq)
{
	struct window w = {disk, segment, end, NULL, 0, 0, 0};
	struct record_header header;
	uint64_t seq = 0;
	int error;

	while ((error = find_header(&w, &from, &header)) == 0) {
		seq = MAX(seq, header.synced_seq);
		from += record_room(header.bytes);
	}
	free(w.bytes);
	if (is_error(error))
		return error;
	*ret_seq = seq;
	return 0;
}

int segment_find(struct disk *disk, struct segment *segment, uint64_t seq, uint64_t end, uint64_t *ret_at)
{
	struct window w = {disk, segment, end, NULL, 0, 0, 0};
	struct record_header header;
	uint64_t at = SEGMENT_HEADER_BYTES;
	int error;

	while ((error = find_header(&w, &at, &header)) == 0 && header.seq <= seq)
		at += record_room(header.bytes);
	free(w.bytes);
	if (is_error(error))
		return error;
	*ret_at = error ? end : at;
	return 0;
}

/* ---- Walking ---- */

/* `at`: the wrong byte. `header` NULL: unknown. */
static void tell_damage(const struct walk *walk, enum log_damage_part part, uint64_t at,
	const struct record_header *header, bool mended)
{
	struct log_damage damage = {
		.part = part, .segment = walk->segment->id, .at = at, .seq = walk->expected, .mended = mended};

	if (header) {
		damage.has_header = true;
		damage.kind = header->kind;
		damage.account = header->account;
		damage.place = (struct record_place){
			walk->segment->id, (uint32_t)(walk->at + RECORD_HEADER_BYTES), header->bytes};
	}
	if (walk->damaged)
		walk->damaged(walk->context, &damage);
	else
		disk_notice(walk->disk, mended ? "journal-bit-mended" : "journal-damaged",
			"segment %016llx offset %llu record %llu: %s", (unsigned long long)walk->segment->id,
			(unsigned long long)walk->at, (unsigned long long)walk->expected,
			part == LOG_RECORD_HEADER ? "header" : "payload");
}

static int deliver(struct walk *walk, const struct record_header *header, struct slice payload)
{
	struct record_read record = {header->account, header->seq, header->kind,
		{walk->segment->id, (uint32_t)(walk->at + RECORD_HEADER_BYTES), header->bytes}, payload};

	return header->seq >= walk->from_seq ? walk->each(walk->context, &record) : 0;
}

static void step(struct walk *walk, const struct record_header *header)
{
	walk->claimed = MAX(walk->claimed, header->synced_seq);
	walk->at += record_room(header->bytes);
	walk->expected = header->seq + 1;
}

static bool fits(const struct window *w, uint64_t at, const struct record_header *header)
{
	return header->bytes <= w->end - at && record_room(header->bytes) <= w->end - at;
}

/*
 * The header of record `expected` cannot be read: goes on with the next one that can. The walk is over when there is none, or only such as
 * stand behind a gap in what nobody was promised.
 */
static int resync(struct walk *walk, struct window *w, uint64_t proven)
{
	struct record_header header;
	uint64_t at = walk->at;
	int error;

	while ((error = find_header(w, &at, &header)) == 0) {
		if (header.seq >= walk->expected && header.seq < walk->bound && fits(w, at, &header))
			break;
		at += RECORD_ALIGN;
	}
	if (is_error(error))
		return error;
	if (error || header.seq - 1 > proven) {
		walk->over = true;
		return 0;
	}
	walk->at = at;
	walk->expected = header.seq;
	return 0;
}

/* Is it the record expected here, but for one bit? Then it is delivered as it was meant. 1: it is not. */
static int mend_record(struct walk *walk, struct window *w, bool has_header, const struct record_header *found)
{
	struct record_header header = *found;
	struct slice bytes;
	size_t bit = 0;
	char *record;
	int error = window_get(w, walk->at, RECORD_HEADER_BYTES, &bytes);

	if (error)
		return is_error(error) ? error : 1;
	if (!has_header) {
		char mended[RECORD_HEADER_BYTES];

		memcpy(mended, bytes.at, sizeof(mended));
		if (!record_header_mend(mended, w->segment->header.seed) ||
			!record_header_get(mended, w->segment->header.seed, &header) || header.seq != walk->expected ||
			!fits(w, walk->at, &header))
			return 1;
	}
	error = window_get(w, walk->at, RECORD_HEADER_BYTES + (uint64_t)header.bytes, &bytes);
	if (error)
		return is_error(error) ? error : 1;
	record = w->bytes + (walk->at - w->at);
	if (has_header ? !payload_mend(record + RECORD_HEADER_BYTES, &header, &bit)
		       : crc32c(0, record + RECORD_HEADER_BYTES, header.bytes) != header.payload_crc)
		return 1;
	tell_damage(walk, has_header ? LOG_RECORD_PAYLOAD : LOG_RECORD_HEADER,
		walk->at + (has_header ? RECORD_HEADER_BYTES + bit / 8 : 0), &header, true);
	error = deliver(walk, &header, (struct slice){record + RECORD_HEADER_BYTES, header.bytes});
	if (!error)
		step(walk, &header);
	return error;
}

/*
 * What stands at walk->at is not the record expected there. Nothing is mended that may be a torn end: what is damaged at random has the checksum of
 * a flipped bit now and then.
 */
static int bad_record(struct walk *walk, struct window *w, bool has_header, const struct record_header *header)
{
	uint64_t proven;
	int error = walk->proven(walk, &proven);

	if (error)
		return error;
	if (walk->expected <= proven || walk->expected < walk->from_seq) {
		error = mend_record(walk, w, has_header, header);
		if (error <= 0)
			return error;
	}
	if (walk->expected > proven) {
		walk->torn = walk->over = true;
		return 0;
	}
	tell_damage(
		walk, has_header ? LOG_RECORD_PAYLOAD : LOG_RECORD_HEADER, walk->at, has_header ? header : NULL, false);
	/* A body that nobody asked for does not keep the log from being opened; whoever reads it finds out by its own checksum. */
	if (has_header && (walk->salvage || walk->expected < walk->from_seq)) {
		step(walk, header);
		return 0;
	}
	if (!walk->salvage && walk->expected >= walk->from_seq)
		return -EBADMSG;
	error = resync(walk, w, proven);
	if (!error && !walk->salvage && (walk->over ? proven >= walk->from_seq : walk->expected > walk->from_seq))
		return -EBADMSG; /* somebody asked for one of those that were passed over */
	return error;
}

/* The zeros behind a record are not in its checksum. */
static int check_padding(struct walk *walk, struct window *w, const struct record_header *header)
{
	uint64_t bytes = RECORD_HEADER_BYTES + (uint64_t)header->bytes, room = record_room(header->bytes);
	struct slice all;
	int error = window_get(w, walk->at, room, &all);

	if (error)
		return is_error(error) ? error : 0;
	for (uint64_t i = bytes; i < room; i++) {
		if (all.at[i]) {
			tell_damage(walk, LOG_RECORD_PADDING, walk->at + i, header, true);
			break;
		}
	}
	return 0;
}

static int walk_record(struct walk *walk, struct window *w)
{
	struct record_header header;
	struct slice payload;
	bool has_header;
	int error = get_header(w, walk->at, &header);

	if (is_error(error))
		return error;
	has_header = !error && header.seq == walk->expected && fits(w, walk->at, &header);
	if (has_header)
		error = get_payload(w, walk->at, &header, &payload);
	if (is_error(error))
		return error;
	if (error || !has_header)
		return bad_record(walk, w, has_header, &header);
	error = deliver(walk, &header, payload);
	if (!error && walk->damaged)
		error = check_padding(walk, w, &header);
	if (!error)
		step(walk, &header);
	return error;
}

int segment_walk(struct walk *walk)
{
	struct window w = {walk->disk, walk->segment, walk->end, NULL, 0, 0, 0};
	int error = 0;

	walk->at = SEGMENT_HEADER_BYTES;
	walk->torn = walk->over = false;
	while (!error && !walk->over && walk->expected < walk->bound)
		error = walk_record(walk, &w);
	free(w.bytes);
	return error;
}

/* ---- Reading one segment ---- */

static int all_proven(struct walk *walk, uint64_t *ret_seq)
{
	(void)walk;
	*ret_seq = UINT64_MAX;
	return 0;
}

int disk_segment_read(struct durability *d, uint64_t id, const struct segment_reading *reading)
{
	struct disk *disk = disk_of(d);
	struct segment *segment;
	struct walk walk;
	int error = segment_ref(disk, id, &segment);

	if (error)
		return error;
	lock_take(&disk->lock);
	walk = (struct walk){.disk = disk,
		.segment = segment,
		.end = atomic_load(&segment->written),
		.expected = segment->header.first_seq,
		.bound = MIN(segment->last_seq, atomic_load(&disk->durable_seq)) + 1,
		.salvage = reading->damaged != NULL,
		.damaged = reading->damaged,
		.proven = all_proven,
		.each = reading->each,
		.context = reading->context};
	lock_give(&disk->lock);
	if (reading->damaged)
		error = segment_block_check(&walk);
	if (!error)
		error = segment_walk(&walk);
	segment_unref(disk, segment);
	return error;
}
