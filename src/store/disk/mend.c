/* One flipped bit: found by the checksum that it spoiled, and written right. And what of a segment no checksum guards. */
#include "base/hash.h"
#include "store/disk/internal.h"

bool payload_mend(char *payload, const struct record_header *header, size_t *ret_bit)
{
	uint32_t difference = crc32c(0, payload, header->bytes) ^ header->payload_crc;
	size_t bit;

	if (header->bytes > DISK_MEND_BYTES_MAX || !crc32c_find_bit(difference, header->bytes, &bit))
		return false;
	payload[bit / 8] = (char)(payload[bit / 8] ^ 1 << bit % 8);
	*ret_bit = bit;
	return true;
}

int segment_block_check(const struct walk *walk)
{
	const struct segment *segment = walk->segment;
	const struct file_system *files = walk->disk->files;
	struct segment_seal seal = {segment->last_seq, segment->used};
	struct log_damage damage = {.part = LOG_SEGMENT_HEADER, .segment = segment->id, .mended = true};
	char block[SEGMENT_HEADER_BYTES];
	size_t have = 0;
	bool sealed;
	int error;

	lock_take(&walk->disk->table.lock);
	sealed = segment->sealed;
	lock_give(&walk->disk->table.lock);
	if (walk->end < SEGMENT_HEADER_BYTES) /* nothing of it is written yet */
		return 0;
	error = files->read(files->context, segment->file, 0, block, sizeof(block), &have);
	if (error)
		return error;
	if (have == sizeof(block))
		damage.at = segment_block_fault(block, &segment->header, sealed ? &seal : NULL);
	if (damage.at < sizeof(block))
		walk->damaged(walk->context, &damage);
	return 0;
}

/* ---- Writing right ---- */

static int segment_write(struct disk *disk, const struct segment *segment, uint64_t at, struct slice bytes)
{
	const struct file_system *files = disk->files;
	char path[DISK_PATH_MAX];
	int file, error, closed;
	bool sealed;

	lock_take(&disk->table.lock);
	sealed = segment->sealed && !segment->dropped;
	lock_give(&disk->table.lock);
	if (!sealed) /* the writer is at work there */
		return -EBUSY;
	segment_path(disk, segment, path); /* its own file is open for reading only */
	error = files->open(files->context, path, FILE_WRITE, &file);
	if (error)
		return error;
	error = files->write(files->context, file, at, bytes);
	if (!error)
		error = files->sync(files->context, file);
	closed = files->close(files->context, file);
	return error ? error : closed;
}

int segment_block_write(struct disk *disk, const struct segment *segment)
{
	struct segment_seal seal = {segment->last_seq, segment->used};
	char block[SEGMENT_HEADER_BYTES];

	segment_header_put(block, &segment->header);
	segment_seal_put(block + SEGMENT_SEAL_AT, segment->header.seed, &seal);
	segment_seal_put(block + SEGMENT_SEAL_AT + SEGMENT_COPY_AT, segment->header.seed, &seal);
	return segment_write(disk, segment, 0, (struct slice){block, sizeof(block)});
}

static int mend_bytes(struct disk *disk, const struct segment *segment, const struct log_damage *damage, char *record)
{
	const struct file_system *files = disk->files;
	uint64_t at = damage->place.at - RECORD_HEADER_BYTES, room = record_room(damage->place.bytes);
	uint64_t bytes = RECORD_HEADER_BYTES + (uint64_t)damage->place.bytes;
	struct record_header header;
	bool padded = true, header_sound;
	size_t have = 0, bit;
	int error = files->read(files->context, segment->file, at, record, (size_t)room, &have);

	if (error)
		return error;
	if (have != room)
		return -EBADMSG;
	for (uint64_t i = bytes; i < room; i++)
		padded = padded && !record[i];
	header_sound = record_header_get(record, segment->header.seed, &header);
	if (!header_sound && (!record_header_mend(record, segment->header.seed) ||
				     !record_header_get(record, segment->header.seed, &header)))
		return -EBADMSG;
	if (header.bytes != damage->place.bytes)
		return -EBADMSG;
	if (crc32c(0, record + RECORD_HEADER_BYTES, header.bytes) != header.payload_crc) {
		if (!payload_mend(record + RECORD_HEADER_BYTES, &header, &bit))
			return -EBADMSG;
	} else if (header_sound && padded) {
		return -EALREADY;
	}
	memset(record + bytes, 0, (size_t)(room - bytes));
	return segment_write(disk, segment, at, (struct slice){record, (size_t)room});
}

int disk_mend(struct durability *d, const struct log_damage *damage)
{
	struct disk *disk = disk_of(d);
	struct segment *segment;
	char *record = NULL;
	int error;

	if (!damage->mended || (damage->part != LOG_SEGMENT_HEADER && damage->place.at < RECORD_HEADER_BYTES))
		return -EINVAL;
	error = segment_ref(disk, damage->segment, &segment);
	if (error)
		return error;
	if (damage->part == LOG_SEGMENT_HEADER) {
		error = segment_block_write(disk, segment);
	} else {
		record = malloc((size_t)record_room(damage->place.bytes));
		error = record ? mend_bytes(disk, segment, damage, record) : -ENOMEM;
	}
	free(record);
	segment_unref(disk, segment);
	return error;
}
