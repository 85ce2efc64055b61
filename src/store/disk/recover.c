#include "store/disk/internal.h"

/* ---- What is in the directory ---- */

struct names {
	struct disk *disk;
	struct {
		uint64_t id;
		bool old;
	} * at;
	size_t count, room;
};

static bool parse_name(struct slice name, uint64_t *ret_id, bool *ret_old)
{
	uint64_t id = 0;

	if (name.len != 20 || !(slice_ends(name, SLICE(".seg")) || slice_ends(name, SLICE(".old"))))
		return false;
	for (size_t i = 0; i < 16; i++) {
		char c = name.at[i];

		if (!byte_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		id = id << 4 | (uint64_t)(byte_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret_id = id;
	*ret_old = slice_ends(name, SLICE(".old"));
	return id > 0 && id < UINT64_MAX / 2;
}

static int add_name(void *arg, const char *text)
{
	struct names *names = arg;
	uint64_t id;
	bool old;

	if (!parse_name(slice_of(text), &id, &old))
		return 0;
	if (names->count == names->room) {
		size_t room = names->room ? names->room * 2 : 64;
		void *grown = realloc(names->at, room * sizeof(*names->at));

		if (!grown)
			return -ENOMEM;
		names->at = grown;
		names->room = room;
	}
	names->at[names->count].id = id;
	names->at[names->count++].old = old;
	names->disk->next_id = MAX(names->disk->next_id, id + 1);
	return 0;
}

int segment_set_aside(struct disk *disk, struct segment *segment)
{
	char from[DISK_PATH_MAX], to[DISK_PATH_MAX];
	int error;

	segment_path_named(disk, segment->id, ".seg", from);
	segment_path_named(disk, segment->id, ".old", to);
	error = disk->files->rename(disk->files->context, from, to);
	if (error)
		return error;
	segment->dropped = true;
	if (segment->file >= 0)
		(void)disk->files->close(disk->files->context, segment->file);
	segment->file = -1;
	segment_list_put(&disk->dropped, segment);
	return 0;
}

/* A spare is used under its number if it is whole; it may never have been synced. */
static int add_spare(struct disk *disk, struct segment *segment)
{
	int error;

	if (segment->file_bytes != disk->settings.segment_bytes)
		return segment_set_aside(disk, segment);
	error = disk->files->sync(disk->files->context, segment->file);
	if (!error)
		segment_list_put(&disk->ready, segment);
	return error;
}

static int look_at(struct disk *disk, struct segment *segment)
{
	const struct file_system *files = disk->files;
	char path[DISK_PATH_MAX], block[SEGMENT_HEADER_BYTES];
	struct segment_seal seal;
	size_t have = 0;
	int error;

	segment_path(disk, segment, path);
	error = files->open(files->context, path, FILE_WRITE, &segment->file);
	if (error) {
		segment->file = -1;
		return error;
	}
	error = files->size(files->context, segment->file, &segment->file_bytes);
	if (!error)
		error = files->read(files->context, segment->file, 0, block, sizeof(block), &have);
	if (error)
		return error;
	if (have < sizeof(block)) /* its making was cut short */
		return segment_set_aside(disk, segment);
	switch (segment_header_get(block, segment->id, &segment->header, &segment->sealed, &seal)) {
	case SEGMENT_SPARE:
		return add_spare(disk, segment);
	case SEGMENT_DAMAGED:
		segment_list_put(&disk->damaged, segment);
		return 0;
	case SEGMENT_IN_USE:
		break;
	}
	segment->file_bytes = MIN(segment->file_bytes, UINT32_MAX / 2 + 1U);
	segment->used = segment->sealed ? seal.used : 0;
	segment->last_seq = segment->sealed ? seal.last_seq : segment->header.first_seq - 1;
	atomic_store(&segment->written, (uint32_t)segment->file_bytes);
	return segments_add(&disk->table, segment);
}

static int add_file(struct disk *disk, uint64_t id, bool old)
{
	struct segment *segment = segment_new(id);
	size_t before = disk->table.count;
	int error = 0;

	if (!segment)
		return -ENOMEM;
	segment->dropped = old;
	if (old) {
		segment_list_put(&disk->dropped, segment);
		return 0;
	}
	error = look_at(disk, segment);
	if (error) {
		segment_free(disk, &segment);
		return error;
	}
	/* Thousands of segments need not all stay open. */
	if (disk->table.count > before && segment->sealed && disk->table.open_files > DISK_FILES_MAX / 2) {
		(void)disk->files->close(disk->files->context, segment->file);
		segment->file = -1;
		disk->table.open_files--;
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Spares come after every segment in use, and are used in the order of their numbers. */
static int order_spares(struct disk *disk)
{
	uint64_t newest = disk->table.count ? disk->table.at[disk->table.count - 1]->id : 0;
	struct segment_list spares = disk->ready;
	struct segment *segment;
	int error = 0;

	disk->ready = (struct segment_list){NULL, NULL, 0};
	while ((segment = segment_list_take(&spares))) {
		/* After an error the rest goes back as it is: whoever frees the disk finds it there. */
		if (!error && segment->id <= newest) {
			error = segment_set_aside(disk, segment);
			if (!error)
				continue;
		}
		segment_list_put(&disk->ready, segment);
	}
	return error;
}

int disk_recover_list(struct disk *disk)
{
	struct names names = {disk, NULL, 0, 0};
	int error = disk->files->list(disk->files->context, disk->dir, add_name, &names);

	if (names.count)
		qsort(names.at, names.count, sizeof(*names.at), by_id);
	for (size_t i = 0; i < names.count && !error; i++)
		error = add_file(disk, names.at[i].id, names.at[i].old);
	free(names.at);
	if (!error)
		error = order_spares(disk);
	if (!error)
		error = disk->files->sync_dir(disk->files->context, disk->dir);
	return error;
}
