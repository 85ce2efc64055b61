#include "base/hash.h"
#include "store/disk/internal.h"

/* Where an append that was let in goes. */
struct slot {
	struct batch *batch;
	char *to; /* in the staging buffer */
	bool wake_writer;
};

/* Kept in the last segment for small_reserve when no further one can be had. */
static uint64_t reserve_bytes(const struct disk *disk)
{
	return disk->settings.segment_bytes / SEGMENT_RESERVE_PART;
}

/* A short segment was made on a full disk, for nothing else. */
static bool is_for(const struct disk *disk, const struct segment *segment, bool small_reserve)
{
	return segment && (small_reserve || segment->file_bytes == disk->settings.segment_bytes);
}

static bool has_whole_spare(const struct disk *disk)
{
	return is_for(disk, disk->ready.first, false);
}

static bool segment_takes(const struct disk *disk, uint64_t room, bool small_reserve)
{
	uint64_t limit;

	if (!is_for(disk, disk->current, small_reserve) || (disk->turning && has_whole_spare(disk)))
		return false;
	limit = disk->current->file_bytes;
	if (!disk->ready.first && !small_reserve)
		limit -= reserve_bytes(disk);
	return MAX(disk->current->used, SEGMENT_HEADER_BYTES) + room <= limit;
}

/* Goes over to a segment that the keeper has made ready. */
static int next_segment(struct disk *disk)
{
	struct segment *next = disk->ready.first;
	int error;

	next->header = (struct segment_header){
		next->id, clock_random_u64(disk->settings.clock), disk->last_seq + 1, atomic_load(&disk->durable_seq)};
	next->last_seq = disk->last_seq;
	lock_take(&disk->table.lock);
	error = segments_add(&disk->table, next);
	lock_give(&disk->table.lock);
	if (error)
		return error;
	(void)segment_list_take(&disk->ready);
	if (disk->current)
		segment_list_put(&disk->unsealed, disk->current);
	disk->current = next;
	disk->turning = false;
	disk->begun_us[1] = disk->begun_us[0];
	disk->begun_us[0] = thread_now_us(disk->settings.threads);
	condition_wake(&disk->keep);
	return 0;
}

static void wait_for_spare(struct disk *disk)
{
	disk->spare_waiters++;
	condition_wake(&disk->keep);
	condition_wait(&disk->spare, &disk->lock);
	disk->spare_waiters--;
}

/* Makes the current segment one that takes `room` bytes more. 1: waited, look again. */
static int find_segment(struct disk *disk, uint64_t room, bool small_reserve)
{
	if (segment_takes(disk, room, small_reserve))
		return 0;
	if (is_for(disk, disk->ready.first, small_reserve) &&
		SEGMENT_HEADER_BYTES + room <= disk->ready.first->file_bytes)
		return next_segment(disk);
	if (disk->no_room)
		return -ENOSPC;
	wait_for_spare(disk);
	return 1;
}

/* A batch's buffer has a fixed size, as others may be copying into it; only an empty one may be changed for one large record. */
static bool batch_takes(struct disk *disk, struct batch *batch, size_t bytes)
{
	bool starts = !batch->chunk_count || batch->chunks[batch->chunk_count - 1].segment != disk->current;
	char *grown;

	if (starts && batch->chunk_count == DISK_CHUNKS_MAX)
		return false;
	if (bytes <= batch->room - batch->len)
		return true;
	if (batch->len)
		return false;
	grown = malloc(bytes);
	if (!grown)
		return false;
	free(batch->staging);
	batch->staging = grown;
	batch->room = bytes;
	return true;
}

/* Waits until the end of the log is a place for a record of `room` bytes. With disk.lock. */
static int find_place(struct disk *disk, uint64_t room, bool small_reserve)
{
	for (;;) {
		struct batch *batch = &disk->batches[disk->filling & 1];
		uint64_t header;
		int error;

		if (!disk->replayed)
			return -EINVAL;
		if (atomic_load(&disk->failed) || disk->stopping)
			return -EIO;
		error = find_segment(disk, room, small_reserve);
		if (error < 0)
			return error;
		if (error > 0)
			continue;
		header = disk->current->used ? 0 : SEGMENT_HEADER_BYTES;
		if (batch_takes(disk, batch, (size_t)(header + room)))
			return 0;
		if (!batch->len)
			return -ENOMEM;
		condition_wait(&disk->room, &disk->lock);
	}
}

/* Takes `bytes` bytes at the end of the current segment and of the batch. */
static char *stage(struct disk *disk, struct batch *batch, size_t bytes)
{
	struct chunk *chunk = batch->chunk_count ? &batch->chunks[batch->chunk_count - 1] : NULL;
	char *to = batch->staging + batch->len;
	bool was_half = segment_is_half(disk->current);

	if (!chunk || chunk->segment != disk->current) {
		chunk = &batch->chunks[batch->chunk_count++];
		*chunk = (struct chunk){disk->current, disk->current->used, batch->len, 0};
	}
	chunk->len += bytes;
	batch->len += bytes;
	disk->current->used += (uint32_t)bytes;
	if (!was_half && segment_is_half(disk->current))
		condition_wake(&disk->keep);
	return to;
}

/* Numbers the record and gives it its place. With disk.lock, after find_place(). */
static struct slot take_place(struct disk *disk, struct record *record, uint32_t bytes, uint32_t payload_crc)
{
	struct batch *batch = &disk->batches[disk->filling & 1];
	struct segment *segment = disk->current;
	struct record_header header;
	struct slot slot = {batch, NULL, disk->writer_idle};
	char *to;

	if (!segment->used)
		segment_header_put(stage(disk, batch, SEGMENT_HEADER_BYTES), &segment->header);
	record->seq = ++disk->last_seq;
	record->place = (struct record_place){segment->id, segment->used + RECORD_HEADER_BYTES, bytes};
	record->next = NULL;
	header = (struct record_header){
		payload_crc, bytes, record->kind, record->seq, record->account, atomic_load(&disk->durable_seq)};
	to = stage(disk, batch, (size_t)record_room(bytes));
	record_header_put(to, segment->header.seed, &header);
	slot.to = to + RECORD_HEADER_BYTES;
	segment->last_seq = record->seq;

	if (batch->last)
		batch->last->next = record;
	else
		batch->first = record;
	batch->last = record;
	batch->last_seq = record->seq;
	atomic_fetch_add_explicit(&batch->copying, 1, memory_order_relaxed);
	disk->writer_idle = false;
	disk->records++;
	if (disk->awaited && disk->records >= disk->awaited)
		slot.wake_writer = true;
	disk->bytes += record_room(bytes);
	return slot;
}

/* Without the lock: the writer waits for `copying` to fall to zero. */
static void fill(struct disk *disk, struct slot *slot, const struct slice *parts, size_t part_count, uint32_t bytes)
{
	char *to = slot->to;

	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].len)
			memcpy(to, parts[i].at, parts[i].len);
		to += parts[i].len;
	}
	memset(to, 0, (size_t)record_room(bytes) - RECORD_HEADER_BYTES - bytes);
	batch_copied(disk, slot->batch);
	if (slot->wake_writer)
		condition_wake(&disk->work);
}

int disk_append(
	struct durability *d, struct record *record, const struct slice *parts, size_t part_count, bool small_reserve)
{
	struct disk *disk = disk_of(d);
	uint64_t room_max = disk->settings.segment_bytes - SEGMENT_HEADER_BYTES - reserve_bytes(disk);
	uint64_t bytes = 0;
	uint32_t crc = 0;
	struct slot slot;
	int error;

	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].len > room_max || (bytes += parts[i].len) > room_max)
			return -EMSGSIZE;
		crc = crc32c(crc, parts[i].at, parts[i].len);
	}
	if (record_room(bytes) > room_max)
		return -EMSGSIZE;
	lock_take(&disk->lock);
	error = find_place(disk, record_room(bytes), small_reserve);
	if (!error)
		slot = take_place(disk, record, (uint32_t)bytes, crc);
	lock_give(&disk->lock);
	if (error)
		return error;
	fill(disk, &slot, parts, part_count, (uint32_t)bytes);
	return 0;
}

int disk_turn(struct durability *d)
{
	struct disk *disk = disk_of(d);
	int error = 0;

	lock_take(&disk->lock);
	disk->turning = disk->current && disk->current->used;
	while (!error && disk->turning && !has_whole_spare(disk)) {
		if (atomic_load(&disk->failed) || disk->stopping)
			error = -EIO;
		else if (disk->no_room)
			error = -ENOSPC;
		else
			wait_for_spare(disk);
	}
	if (error)
		disk->turning = false;
	lock_give(&disk->lock);
	return error;
}

/* Copies from a batch that is not written yet. With disk.lock. */
static bool read_staged(struct batch *batch, uint64_t segment, uint64_t at, uint32_t bytes, char *to)
{
	for (unsigned i = 0; i < batch->chunk_count; i++) {
		const struct chunk *chunk = &batch->chunks[i];

		if (chunk->segment->id != segment || at < chunk->at || at + bytes > chunk->at + chunk->len)
			continue;
		memcpy(to, batch->staging + chunk->start + (at - chunk->at), bytes);
		return true;
	}
	return false;
}

static int read_file(struct disk *disk, struct segment *segment, uint64_t at, uint32_t bytes, char *to)
{
	size_t have = 0;
	int error = disk->files->read(disk->files->context, segment->file, at, to, bytes, &have);

	if (error)
		return error;
	return have == bytes ? 0 : -EBADMSG;
}

static int read_segment(struct disk *disk, struct segment *segment, uint64_t at, uint32_t bytes, char *to)
{
	bool staged = false;
	bool written;

	if (at + bytes <= atomic_load(&segment->written))
		return read_file(disk, segment, at, bytes, to);
	lock_take(&disk->lock);
	for (unsigned i = 0; i < 2 && !staged; i++)
		staged = read_staged(&disk->batches[i], segment->id, at, bytes, to);
	written = at + bytes <= atomic_load(&segment->written);
	lock_give(&disk->lock);
	if (staged)
		return 0;
	return written ? read_file(disk, segment, at, bytes, to) : -EBADMSG;
}

int disk_read(struct durability *d, const struct record_place *place, uint32_t offset, uint32_t bytes, char *to)
{
	struct disk *disk = disk_of(d);
	struct segment *segment;
	int error;

	if ((uint64_t)offset + bytes > place->bytes)
		return -EBADMSG;
	error = segment_ref(disk, place->segment, &segment);
	if (error)
		return error;
	if (bytes)
		error = read_segment(disk, segment, (uint64_t)place->at + offset, bytes, to);
	segment_unref(disk, segment);
	return error;
}
