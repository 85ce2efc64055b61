#include "store/disk/internal.h"

void disk_notice(struct disk *disk, const char *event, const char *format, ...)
{
	const struct durability_events *events = &disk->settings.events;
	struct buffer detail = BUFFER_INIT(1024);
	va_list args;

	if (!events->notice)
		return;
	va_start(args, format);
	buffer_vprintf(&detail, format, args);
	va_end(args);
	events->notice(events->context, event, buffer_slice(&detail));
	buffer_free(&detail);
}

void disk_fail(struct disk *disk, int error, const char *what)
{
	if (atomic_exchange(&disk->failed, true))
		return;
	lock_take(&disk->lock);
	condition_wake_all(&disk->room);
	condition_wake_all(&disk->spare);
	lock_give(&disk->lock);
	disk_wake_all(disk);
	disk->settings.events.failed(disk->settings.events.context, error, what);
}

int disk_start(struct disk *disk)
{
	int error = thread_start(disk->settings.threads, disk_writer_run, disk, &disk->writer);

	if (error)
		return error;
	error = thread_start(disk->settings.threads, disk_keeper_run, disk, &disk->keeper);
	if (error) {
		lock_take(&disk->lock);
		disk->stopping = true;
		condition_wake(&disk->work);
		lock_give(&disk->lock);
		thread_join(&disk->writer);
		return error;
	}
	disk->threads = true;
	return 0;
}

/* Everything accepted is durable, or never will be. */
static void stop(struct disk *disk)
{
	lock_take(&disk->lock);
	disk->stopping = true;
	condition_wake_all(&disk->work);
	condition_wake_all(&disk->keep);
	condition_wake_all(&disk->room);
	condition_wake_all(&disk->spare);
	lock_give(&disk->lock);
	thread_join(&disk->writer);
	thread_join(&disk->keeper);
}

/* A clean end leaves nothing for the next start to find out, and no doubt about what was durable. */
static void seal_rest(struct disk *disk)
{
	struct segment *segment;
	int error = 0;

	while (!error && (segment = segment_list_take(&disk->unsealed)))
		error = segment_seal(disk, segment);
	if (!error && disk->current && disk->current->used)
		error = segment_finish(disk, disk->current);
	if (error)
		disk_fail(disk, error, "seal");
	else
		disk_spares_remove(disk);
}

static void free_list(struct disk *disk, struct segment_list *list)
{
	struct segment *segment;

	while ((segment = segment_list_take(list)))
		segment_free(disk, &segment);
}

static void give_back(struct disk *disk, struct batch *batch)
{
	if (batch->first && disk->settings.events.dropped)
		disk->settings.events.dropped(disk->settings.events.context, batch->first);
	batch->first = batch->last = NULL;
}

static void disk_free(struct disk *disk)
{
	for (size_t i = 0; i < disk->table.count; i++)
		segment_free(disk, &disk->table.at[i]);
	free(disk->table.at);
	free_list(disk, &disk->ready);
	free_list(disk, &disk->damaged);
	free_list(disk, &disk->cut);
	free_list(disk, &disk->dropped);
	free(disk->batches[0].staging);
	free(disk->batches[1].staging);
	condition_free(&disk->work);
	condition_free(&disk->room);
	condition_free(&disk->spare);
	condition_free(&disk->keep);
	lock_free(&disk->lock);
	lock_free(&disk->table.lock);
	free(disk->dir);
	free(disk);
}

static void disk_close(struct durability **d)
{
	struct disk *disk;

	if (!*d)
		return;
	disk = disk_of(*d);
	*d = NULL;
	if (disk->threads) {
		stop(disk);
		if (!atomic_load(&disk->failed))
			seal_rest(disk);
		give_back(disk, &disk->batches[0]);
		give_back(disk, &disk->batches[1]);
	}
	disk_free(disk);
}

static uint64_t disk_durable_seq(struct durability *d)
{
	return atomic_load(&disk_of(d)->durable_seq);
}

static uint64_t disk_last_seq(struct durability *d)
{
	struct disk *disk = disk_of(d);
	uint64_t seq;

	lock_take(&disk->lock);
	seq = disk->last_seq;
	lock_give(&disk->lock);
	return seq;
}

static int disk_room(struct durability *d, uint64_t *ret_bytes)
{
	struct disk *disk = disk_of(d);

	return disk->files->room(disk->files->context, disk->dir, ret_bytes);
}

static void disk_figures(struct durability *d, uint64_t *ret_records, uint64_t *ret_bytes, uint64_t *ret_syncs)
{
	struct disk *disk = disk_of(d);

	lock_take(&disk->lock);
	*ret_records = disk->records;
	*ret_bytes = disk->bytes;
	*ret_syncs = disk->syncs;
	lock_give(&disk->lock);
}

static const struct durability_ops disk_ops = {
	.close = disk_close,
	.replay = disk_replay,
	.append = disk_append,
	.turn = disk_turn,
	.durable_seq = disk_durable_seq,
	.last_seq = disk_last_seq,
	.wait = disk_wait,
	.read = disk_read,
	.pin = disk_pin,
	.unpin = disk_unpin,
	.segments = disk_segments,
	.segment_read = disk_segment_read,
	.mend = disk_mend,
	.segment_drop = disk_segment_drop,
	.room = disk_room,
	.figures = disk_figures,
};

struct disk_settings disk_settings_default(void)
{
	return (struct disk_settings){
		.segment_bytes = 67108864,
		.staging_bytes_max = 33554432,
		.spares = 2,
		.files = &file_system_real,
		.clock = clock_system(),
	};
}

static int are_valid(const struct disk_settings *settings)
{
	if (settings->dir.len == 0 || settings->spares == 0 || settings->staging_bytes_max < 65536 ||
		settings->segment_bytes < DISK_SEGMENT_BYTES_MIN || settings->segment_bytes > 2147483648u ||
		settings->segment_bytes % SEGMENT_HEADER_BYTES)
		return -EINVAL;
	return settings->dir.len > DISK_PATH_MAX - DISK_NAME_ROOM ? -ENAMETOOLONG : 0;
}

static void make_locks(struct disk *disk)
{
	const struct thread_system *threads = disk->settings.threads;

	lock_init(&disk->lock, threads);
	lock_init(&disk->table.lock, threads);
	condition_init(&disk->work, threads);
	condition_init(&disk->room, threads);
	condition_init(&disk->spare, threads);
	condition_init(&disk->keep, threads);
}

int disk_open(const struct disk_settings *settings, struct durability **ret_durability)
{
	struct disk *disk;
	int error = are_valid(settings);

	if (error)
		return error;
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return -ENOMEM;
	disk->base.ops = &disk_ops;
	disk->settings = *settings;
	make_locks(disk);
	disk->files = settings->files;
	disk->next_id = 1;
	disk->begun_us[0] = disk->begun_us[1] = INT64_MIN;
	disk->dir = strndup(settings->dir.at, settings->dir.len);
	for (unsigned i = 0; i < 2; i++) {
		disk->batches[i].room = (size_t)settings->staging_bytes_max / 2;
		disk->batches[i].staging = malloc(disk->batches[i].room);
	}
	error = disk->dir && disk->batches[0].staging && disk->batches[1].staging ? 0 : -ENOMEM;
	if (!error)
		error = file_make_dir(disk->files, disk->dir);
	if (!error)
		error = disk_recover_list(disk);
	if (error) {
		disk_free(disk);
		return error;
	}
	disk->settings.dir = slice_of(disk->dir);
	*ret_durability = &disk->base;
	return 0;
}
