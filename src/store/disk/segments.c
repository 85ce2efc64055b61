#include "store/disk/internal.h"

void segment_list_put(struct segment_list *list, struct segment *segment)
{
	segment->next = NULL;
	if (list->last)
		list->last->next = segment;
	else
		list->first = segment;
	list->last = segment;
	list->count++;
}

struct segment *segment_list_take(struct segment_list *list)
{
	struct segment *segment = list->first;

	if (!segment)
		return NULL;
	list->first = segment->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	return segment;
}

struct segment *segment_new(uint64_t id)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (!segment)
		return NULL;
	segment->id = id;
	segment->file = -1;
	return segment;
}

void segment_free(struct disk *disk, struct segment **segment)
{
	if (!*segment)
		return;
	if ((*segment)->file >= 0)
		(void)disk->files->close(disk->files->context, (*segment)->file);
	free(*segment);
	*segment = NULL;
}

void segment_path_named(const struct disk *disk, uint64_t id, const char *ending, char path[DISK_PATH_MAX])
{
	int len = snprintf(path, DISK_PATH_MAX, "%s/%016llx%s", disk->dir, (unsigned long long)id, ending);

	CHECK(len > 0 && len < DISK_PATH_MAX); /* disk_open() refuses longer directories */
}

void segment_path(const struct disk *disk, const struct segment *segment, char path[DISK_PATH_MAX])
{
	segment_path_named(disk, segment->id, segment->dropped ? ".old" : ".seg", path);
}

int segments_add(struct segment_table *table, struct segment *segment)
{
	size_t at = table->count;

	if (table->count == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		struct segment **grown = realloc(table->at, room * sizeof(struct segment *));

		if (!grown)
			return -ENOMEM;
		table->at = grown;
		table->room = room;
	}
	for (; at > 0 && table->at[at - 1]->id > segment->id; at--)
		table->at[at] = table->at[at - 1];
	table->at[at] = segment;
	table->count++;
	if (segment->file >= 0)
		table->open_files++;
	return 0;
}

/* The first with an id of at least `id`. */
static size_t table_index(const struct segment_table *table, uint64_t id)
{
	size_t low = 0;
	size_t high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->at[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct segment *table_find(const struct segment_table *table, uint64_t id)
{
	size_t at = table_index(table, id);

	return at < table->count && table->at[at]->id == id ? table->at[at] : NULL;
}

void segments_remove(struct segment_table *table, struct segment *segment)
{
	size_t at = table_index(table, segment->id);

	CHECK(at < table->count && table->at[at] == segment);
	table->count--;
	memmove(table->at + at, table->at + at + 1, (table->count - at) * sizeof(struct segment *));
	if (segment->file >= 0)
		table->open_files--;
}

/* Closes the file that nobody has used for the longest time. */
static void close_oldest(struct disk *disk)
{
	struct segment *oldest = NULL;

	for (size_t i = 0; i < disk->table.count; i++) {
		struct segment *s = disk->table.at[i];

		if (s->file >= 0 && s->sealed && s->refs == 0 && (!oldest || s->touched < oldest->touched))
			oldest = s;
	}
	if (!oldest)
		return;
	(void)disk->files->close(disk->files->context, oldest->file);
	oldest->file = -1;
	disk->table.open_files--;
}

static int file_open(struct disk *disk, struct segment *segment)
{
	char path[DISK_PATH_MAX];
	int file, error;

	segment->touched = ++disk->table.tick;
	if (segment->file >= 0)
		return 0;
	if (disk->table.open_files >= DISK_FILES_MAX)
		close_oldest(disk);
	segment_path(disk, segment, path);
	error = disk->files->open(disk->files->context, path, segment->sealed ? FILE_READ : FILE_WRITE, &file);
	if (error)
		return error;
	segment->file = file;
	disk->table.open_files++;
	return 0;
}

int segment_ref(struct disk *disk, uint64_t id, struct segment **ret_segment)
{
	struct segment *segment;
	int error;

	lock_take(&disk->table.lock);
	segment = table_find(&disk->table, id);
	error = segment ? file_open(disk, segment) : -ENOENT;
	if (!error) {
		segment->refs++;
		*ret_segment = segment;
	}
	lock_give(&disk->table.lock);
	return error;
}

/* Nobody can reach it any more: the keeper may have its file. */
static void give_to_keeper(struct disk *disk, struct segment *segment)
{
	lock_take(&disk->lock);
	segment_list_put(&disk->dropped, segment);
	condition_wake(&disk->keep);
	lock_give(&disk->lock);
}

/* Under table.lock: was this the last use of a dropped segment? */
static bool is_over(struct disk *disk, struct segment *segment)
{
	if (!segment->dropped || segment->refs || segment->pins)
		return false;
	segments_remove(&disk->table, segment);
	return true;
}

void segment_unref(struct disk *disk, struct segment *segment)
{
	bool over;

	lock_take(&disk->table.lock);
	CHECK(segment->refs > 0);
	segment->refs--;
	over = is_over(disk, segment);
	lock_give(&disk->table.lock);
	if (over)
		give_to_keeper(disk, segment);
}

int disk_pin(struct durability *d, uint64_t id)
{
	struct disk *disk = disk_of(d);
	struct segment *segment;

	lock_take(&disk->table.lock);
	segment = table_find(&disk->table, id);
	if (segment && segment->dropped)
		segment = NULL;
	if (segment)
		segment->pins++;
	lock_give(&disk->table.lock);
	return segment ? 0 : -ENOENT;
}

void disk_unpin(struct durability *d, uint64_t id)
{
	struct disk *disk = disk_of(d);
	struct segment *segment;
	bool over;

	lock_take(&disk->table.lock);
	segment = table_find(&disk->table, id);
	CHECK(segment && segment->pins > 0);
	segment->pins--;
	over = is_over(disk, segment);
	lock_give(&disk->table.lock);
	if (over)
		give_to_keeper(disk, segment);
}

/*
 * The newest segment stays: it is what remembers how far the numbers have come. So a later one must have durable records.
 */
static int may_drop(struct disk *disk, const struct segment *segment)
{
	size_t at = table_index(&disk->table, segment->id);

	if (!segment->sealed)
		return -EBUSY;
	for (at++; at < disk->table.count; at++)
		if (!disk->table.at[at]->dropped &&
			disk->table.at[at]->header.first_seq <= atomic_load(&disk->durable_seq))
			return 0;
	return -EBUSY;
}

/*
 * Without its seal a segment ends where the one after it begins; once that is dropped, only the seal tells its end from damage. One that a
 * start found may never have been synced by the run that wrote it.
 */
static int seal_before(struct disk *disk, uint64_t id)
{
	struct segment *before = NULL;
	bool synced = true;
	int error = 0;

	lock_take(&disk->table.lock);
	for (size_t at = table_index(&disk->table, id); at > 0 && !before; at--)
		if (!disk->table.at[at - 1]->dropped)
			before = disk->table.at[at - 1];
	if (before && !before->sealed)
		error = -EBUSY;
	else if (before)
		synced = before->seal_synced;
	if (!synced)
		before->refs++;
	lock_give(&disk->table.lock);
	if (synced)
		return error;
	error = segment_block_write(disk, before);
	lock_take(&disk->table.lock);
	before->seal_synced = !error;
	lock_give(&disk->table.lock);
	segment_unref(disk, before);
	return error;
}

/*
 * Renamed at once, so that drops are durable in their order and a crash does not bring back a segment that was dropped before another;
 * whoever has it pinned reads on through the open file.
 */
int disk_segment_drop(struct durability *d, uint64_t id)
{
	struct disk *disk = disk_of(d);
	char from[DISK_PATH_MAX], to[DISK_PATH_MAX];
	struct segment *segment;
	int error = seal_before(disk, id);

	if (error)
		return error;
	lock_take(&disk->table.lock);
	segment = table_find(&disk->table, id);
	error = !segment || segment->dropped ? -ENOENT : may_drop(disk, segment);
	if (!error) {
		segment_path_named(disk, id, ".seg", from);
		segment_path_named(disk, id, ".old", to);
		error = disk->files->rename(disk->files->context, from, to);
	}
	if (!error) {
		segment->dropped = true;
		segment->refs++;
	}
	lock_give(&disk->table.lock);
	if (error)
		return error;
	error = disk->files->sync_dir(disk->files->context, disk->dir);
	segment_unref(disk, segment);
	return error;
}

int disk_segments(struct durability *d, int (*each)(void *context, const struct segment_info *info), void *context)
{
	struct disk *disk = disk_of(d);
	struct segment_info *infos;
	size_t count = 0;
	int error = 0;

	lock_take(&disk->lock);
	lock_take(&disk->table.lock);
	infos = calloc(disk->table.count + 1, sizeof(*infos));
	for (size_t i = 0; infos && i < disk->table.count; i++) {
		const struct segment *s = disk->table.at[i];

		if (!s->dropped)
			infos[count++] =
				(struct segment_info){s->id, s->header.first_seq, s->last_seq, s->used, s->sealed};
	}
	lock_give(&disk->table.lock);
	lock_give(&disk->lock);
	if (!infos)
		return -ENOMEM;
	for (size_t i = 0; i < count && !error; i++)
		error = each(context, &infos[i]);
	free(infos);
	return error;
}
