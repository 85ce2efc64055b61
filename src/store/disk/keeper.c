#include "store/disk/internal.h"

/* ---- Sealing ---- */

int segment_seal(struct disk *disk, struct segment *segment)
{
	const struct file_system *files = disk->files;
	struct segment_seal seal = {segment->last_seq, segment->used};
	char sector[SEGMENT_SECTOR_BYTES];
	struct slice bytes = {sector, sizeof(sector)};
	int error;

	segment_seal_put(sector, segment->header.seed, &seal);
	error = files->write(files->context, segment->file, SEGMENT_SEAL_AT, bytes);
	if (!error)
		error = files->write(files->context, segment->file, SEGMENT_SEAL_AT + SEGMENT_COPY_AT, bytes);
	if (!error)
		error = files->sync(files->context, segment->file);
	if (error)
		return error;
	lock_take(&disk->table.lock);
	segment->sealed = segment->seal_synced = true;
	lock_give(&disk->table.lock);
	return 0;
}

/* A file that is nearly full stays as it is: only whole ones can be recycled. */
static int segment_trim(struct disk *disk, struct segment *segment)
{
	const struct file_system *files = disk->files;
	int error;

	if (segment->used + disk->settings.segment_bytes / 4 > segment->file_bytes)
		return 0;
	error = files->truncate(files->context, segment->file, segment->used);
	if (!error)
		error = files->sync(files->context, segment->file);
	if (!error)
		segment->file_bytes = segment->used;
	return error;
}

int segment_finish(struct disk *disk, struct segment *segment)
{
	int error = segment_seal(disk, segment);

	return error ? error : segment_trim(disk, segment);
}

/* ---- Making segments ahead ---- */

static bool is_urgent(struct disk *disk)
{
	bool urgent;

	lock_take(&disk->lock);
	urgent = disk->stopping || (disk->spare_waiters && !disk->ready.first);
	lock_give(&disk->lock);
	return urgent;
}

/*
 * Overwriting written blocks syncs about twice as fast as writing allocated ones for the first time, so they are written once ahead; in
 * pieces that are synced one by one, not to hold up the log's own syncs for long. When somebody waits, the rest stays allocated only.
 */
static int write_zeros(struct disk *disk, const struct segment *segment)
{
	const struct file_system *files = disk->files;
	uint64_t end = segment->file_bytes;
	int error = 0;

	for (uint64_t at = 0; at < end && !error && !is_urgent(disk); at += DISK_PIECE_BYTES) {
		error = files->zero(files->context, segment->file, at, MIN(DISK_PIECE_BYTES, end - at));
		if (!error)
			error = files->sync(files->context, segment->file);
	}
	return error;
}

static int make_file(struct disk *disk, struct segment *segment)
{
	const struct file_system *files = disk->files;
	char path[DISK_PATH_MAX];
	int error;

	segment_path(disk, segment, path);
	error = files->open(files->context, path, FILE_WRITE, &segment->file);
	if (error) {
		segment->file = -1;
		return error;
	}
	error = files->allocate(files->context, segment->file, segment->file_bytes);
	if (!error)
		error = write_zeros(disk, segment);
	if (!error)
		error = files->sync(files->context, segment->file);
	if (!error)
		error = files->sync_dir(files->context, disk->dir);
	if (error)
		(void)files->unlink(files->context, path);
	return error;
}

/*
 * Makes a dropped segment's file the file of `segment`. -ESTALE: it is of no use. What it holds stays in it, guarded by the new seed; but it must
 * show that it is from an earlier use, or a later start could not tell it from a damaged one.
 */
static int reuse_file(struct disk *disk, const struct segment *dropped, struct segment *segment)
{
	const struct file_system *files = disk->files;
	char from[DISK_PATH_MAX], to[DISK_PATH_MAX], block[SEGMENT_HEADER_BYTES];
	struct segment_header header;
	struct segment_seal seal;
	uint64_t bytes = 0;
	size_t have = 0;
	bool sealed;
	int error;

	segment_path(disk, dropped, from);
	segment_path(disk, segment, to);
	error = files->open(files->context, from, FILE_WRITE, &segment->file);
	if (error) {
		segment->file = -1;
		return error;
	}
	error = files->size(files->context, segment->file, &bytes);
	if (!error)
		error = files->read(files->context, segment->file, 0, block, sizeof(block), &have);
	if (error)
		return error;
	if (bytes != disk->settings.segment_bytes || have != sizeof(block) ||
		segment_header_get(block, segment->id, &header, &sealed, &seal) != SEGMENT_SPARE)
		return -ESTALE;
	error = files->rename(files->context, from, to);
	if (!error)
		error = files->sync_dir(files->context, disk->dir);
	return error;
}

/* With disk.lock, which it lets go meanwhile. */
static int make_spare(struct disk *disk, const struct segment *dropped, uint64_t bytes)
{
	struct segment *segment = segment_new(disk->next_id++);
	int error;

	if (!segment)
		return -ENOMEM;
	segment->file_bytes = bytes;
	lock_give(&disk->lock);
	error = dropped ? reuse_file(disk, dropped, segment) : make_file(disk, segment);
	if (error)
		segment_free(disk, &segment);
	lock_take(&disk->lock);
	if (error)
		return error;
	segment_list_put(&disk->ready, segment);
	if (bytes == disk->settings.segment_bytes)
		disk->no_room = 0;
	condition_wake_all(&disk->spare);
	return 0;
}

/* ---- How many ---- */

static bool is_busy(const struct disk *disk)
{
	return disk->begun_us[1] != INT64_MIN &&
	       thread_now_us(disk->settings.threads) - disk->begun_us[1] < DISK_BUSY_MS * INT64_C(1000);
}

/*
 * Space that nobody needs yet is not taken from others: while few records come, a segment is made when the current one is half full. With
 * disk.lock.
 */
static unsigned spares_wanted(const struct disk *disk)
{
	if (is_busy(disk))
		return disk->settings.spares;
	return !disk->current || disk->turning || disk->spare_waiters || disk->no_room ||
	       segment_is_half(disk->current);
}

/* A short one is to give way to a whole one, so it does not count. */
static unsigned spares_ready(const struct disk *disk)
{
	const struct segment *first = disk->ready.first;

	return disk->ready.count - (first && first->file_bytes != disk->settings.segment_bytes);
}

/* ---- The keeper's thread ---- */

/* Each of these does one thing if there is something to do. With disk.lock, which they let go meanwhile. */

static bool seal_one(struct disk *disk)
{
	struct segment *segment = disk->unsealed.first;
	int error;

	if (!segment || segment->last_seq > atomic_load(&disk->durable_seq) || atomic_load(&disk->failed))
		return false;
	(void)segment_list_take(&disk->unsealed);
	lock_give(&disk->lock);
	/* Once it is sealed its file is one of those that may be closed; and what it does not need may as well stay. */
	lock_take(&disk->table.lock);
	segment->refs++;
	lock_give(&disk->table.lock);
	error = segment_seal(disk, segment);
	if (error)
		disk_fail(disk, error, "seal");
	else if (segment_trim(disk, segment))
		disk_notice(disk, "journal-not-trimmed", "segment %016llx keeps space that it does not need",
			(unsigned long long)segment->id);
	segment_unref(disk, segment);
	lock_take(&disk->lock);
	return true;
}

static bool recycle_one(struct disk *disk)
{
	struct segment *dropped = segment_list_take(&disk->dropped);
	char path[DISK_PATH_MAX];

	if (!dropped)
		return false;
	if (spares_ready(disk) >= spares_wanted(disk) || make_spare(disk, dropped, disk->settings.segment_bytes) != 0) {
		lock_give(&disk->lock);
		segment_path(disk, dropped, path);
		(void)disk->files->unlink(disk->files->context, path); /* what stays is found at the next start */
		lock_take(&disk->lock);
	}
	lock_give(&disk->lock);
	segment_free(disk, &dropped);
	lock_take(&disk->lock);
	return true;
}

/* What a full segment's file has behind its end: first of all the reserve of the last run. Without the lock. */
static void trim_newest(struct disk *disk)
{
	const struct file_system *files = disk->files;
	struct segment *newest = NULL;
	char path[DISK_PATH_MAX];
	int file;

	lock_take(&disk->table.lock);
	if (disk->table.count)
		newest = disk->table.at[disk->table.count - 1];
	if (newest && newest->sealed && !newest->dropped && newest->used < newest->file_bytes)
		newest->refs++;
	else
		newest = NULL;
	lock_give(&disk->table.lock);
	if (!newest)
		return;
	segment_path(disk, newest, path);
	if (files->open(files->context, path, FILE_WRITE, &file) == 0) {
		if (files->truncate(files->context, file, newest->used) == 0 && files->sync(files->context, file) == 0)
			newest->file_bytes = newest->used;
		(void)files->close(files->context, file);
	}
	segment_unref(disk, newest);
}

/*
 * A start on a full disk finds the reserve of the last run in a segment that is sealed now. What that gives back, or whatever else is there, becomes
 * a short segment, in which people can clean up. With disk.lock, which it lets go meanwhile.
 */
static void make_short(struct disk *disk)
{
	uint64_t bytes = disk->settings.segment_bytes / SEGMENT_RESERVE_PART;
	int error = -ENOSPC;

	lock_give(&disk->lock);
	trim_newest(disk);
	lock_take(&disk->lock);
	while (error && bytes >= SEGMENT_SHORT_BYTES && !disk->stopping) {
		error = make_spare(disk, NULL, bytes / DISK_PAGE_BYTES * DISK_PAGE_BYTES);
		bytes /= 2;
	}
}

/* A short one that nobody has begun is in the way of a whole one. */
static bool drop_short(struct disk *disk)
{
	struct segment *first = disk->ready.first;
	int error;

	if (disk->ready.count < 2 || first->file_bytes == disk->settings.segment_bytes)
		return false;
	(void)segment_list_take(&disk->ready);
	error = segment_set_aside(disk, first);
	if (error)
		segment_free(disk, &first); /* found at the next start */
	condition_wake_all(&disk->spare);
	return true;
}

static void spare_remove(struct disk *disk, struct segment **spare)
{
	char path[DISK_PATH_MAX];

	segment_path(disk, *spare, path);
	(void)disk->files->unlink(disk->files->context, path); /* one that stays is a spare again at the next start */
	segment_free(disk, spare);
}

void disk_spares_remove(struct disk *disk)
{
	struct segment *spare;

	while ((spare = segment_list_take(&disk->ready)))
		spare_remove(disk, &spare);
}

static bool drop_needless(struct disk *disk)
{
	struct segment *spare;

	if (disk->no_room || disk->ready.count <= spares_wanted(disk))
		return false;
	spare = segment_list_take(&disk->ready);
	lock_give(&disk->lock);
	spare_remove(disk, &spare);
	lock_take(&disk->lock);
	return true;
}

static bool make_one(struct disk *disk, int64_t *retry_us)
{
	const struct thread_system *threads = disk->settings.threads;
	int error;

	if (spares_ready(disk) >= spares_wanted(disk))
		return false;
	if (disk->no_room && thread_now_us(threads) < *retry_us)
		return false;
	error = make_spare(disk, NULL, disk->settings.segment_bytes);
	if (error) {
		if (!disk->current && !disk->ready.first)
			make_short(disk);
		disk->no_room = error;
		condition_wake_all(&disk->spare);
		*retry_us = thread_now_us(threads) + DISK_RETRY_MS * 1000;
	}
	return true;
}

/* Tells the admin when room ran out and when it came back. */
static bool tell(struct disk *disk, bool *told)
{
	int error = disk->no_room;

	if (*told == !!error)
		return false;
	*told = !!error;
	lock_give(&disk->lock);
	if (error)
		disk_notice(disk, "journal-no-room", "no new segment: %s", strerror(-error));
	else
		disk_notice(disk, "journal-room-again", "segments can be made again");
	lock_take(&disk->lock);
	return true;
}

void *disk_keeper_run(void *arg)
{
	struct disk *disk = arg;
	int64_t retry_us = 0;
	bool told = false;

	lock_take(&disk->lock);
	while (!disk->stopping) {
		if (tell(disk, &told) || seal_one(disk) || recycle_one(disk) || drop_short(disk) ||
			drop_needless(disk) || make_one(disk, &retry_us))
			continue;
		if (spares_ready(disk) < spares_wanted(disk))
			condition_wait_until(&disk->keep, &disk->lock, retry_us);
		else if (is_busy(disk))
			condition_wait_until(
				&disk->keep, &disk->lock, disk->begun_us[1] + DISK_BUSY_MS * INT64_C(1000));
		else
			condition_wait(&disk->keep, &disk->lock);
	}
	lock_give(&disk->lock);
	return NULL;
}
