#include "store/disk/internal.h"

/*
 * Recovery. Segments in use stand in the order of their numbers, and each names the first record number it holds. A segment's records from
 * the first number of any later segment on are cut: a crash left them behind a gap, and the numbers were given out again.
 *
 * The log ends where the next record cannot be read and nothing claims that it was durable. What is found after that place was
 * written by a batch that never became durable as a whole, so nobody was promised any of it. From there the log goes on in a new segment,
 * never in the old one: the first number in its header, durable with its first record, cuts whatever is left in the old ones, and all
 * that happens before is only done again by a recovery that comes after another crash.
 */
struct recovery {
	struct disk *disk;
	uint64_t from_seq;
	bool salvage;
	record_reader *each;
	void *context;
	size_t start;     /* index of the first segment walked */
	size_t now;       /* index of the one being walked */
	size_t survivors; /* segments from here on hold nothing but what is cut */
	bool has_proven;
	uint64_t proven; /* highest claim found when it was looked for */
	uint64_t claimed;
	uint64_t expected;
};

static uint64_t header_claim(const struct segment *segment)
{
	return MAX(segment->header.synced_seq, segment->sealed ? segment->last_seq : 0);
}

/* Everything that follows in the log may say that a record was durable. */
static int find_proof(struct walk *walk, uint64_t *ret_seq)
{
	struct recovery *r = walk->context;
	struct segment_table *table = &r->disk->table;
	uint64_t found = 0;
	int error = 0;

	if (!r->has_proven) {
		error = segment_claims(r->disk, walk->segment, walk->at, walk->end, &found);
		r->proven = MAX(found, header_claim(walk->segment));
		for (size_t i = r->now + 1; i < table->count && !error; i++) {
			struct segment *later = table->at[i];

			found = 0;
			if (!later->sealed)
				error = segment_claims(r->disk, later, SEGMENT_HEADER_BYTES, later->file_bytes, &found);
			r->proven = MAX(r->proven, MAX(found, header_claim(later)));
		}
		if (error)
			return error;
		r->has_proven = true;
	}
	*ret_seq = MAX(r->proven, walk->claimed);
	return 0;
}

static int pass_on(void *context, const struct record_read *record)
{
	struct recovery *r = context;

	return r->each(r->context, record);
}

static int walk_segment(struct recovery *r)
{
	struct segment_table *table = &r->disk->table;
	struct segment *segment = table->at[r->now];
	struct segment *opened;
	struct walk walk = {.disk = r->disk,
		.segment = segment,
		.end = segment->sealed ? MIN(segment->used, segment->file_bytes) : segment->file_bytes,
		.expected = segment->header.first_seq,
		.bound = UINT64_MAX,
		.from_seq = r->from_seq,
		.salvage = r->salvage,
		.proven = find_proof,
		.claimed = MAX(r->claimed, header_claim(segment)),
		.each = pass_on,
		.context = r};
	int error = segment_ref(r->disk, segment->id, &opened);

	if (error)
		return error;
	if (segment->sealed)
		walk.bound = segment->last_seq + 1;
	else if (r->now + 1 < table->count)
		walk.bound = table->at[r->now + 1]->header.first_seq;
	error = segment_walk(&walk);
	segment_unref(r->disk, segment);
	if (error)
		return error;
	r->claimed = walk.claimed;
	r->expected = segment->sealed ? segment->last_seq + 1 : walk.expected;
	if (!segment->sealed) {
		segment->used = (uint32_t)walk.at;
		segment->last_seq = walk.expected - 1;
	}
	if (walk.torn)
		r->survivors = r->now + (walk.at > SEGMENT_HEADER_BYTES);
	return 0;
}

/* ---- After the walk: what was found becomes what is ---- */

/*
 * A record that was read may be in the page cache only, even marked as written if an earlier sync failed. Before anybody is told that it is durable,
 * the same bytes are written once more and synced.
 */
static int write_again(struct disk *disk, struct segment *segment, uint64_t proven)
{
	const struct file_system *files = disk->files;
	char *bytes = malloc(DISK_PIECE_BYTES);
	size_t have = 0;
	uint64_t at = 0;
	int error;

	if (!bytes)
		return -ENOMEM;
	error = segment_find(disk, segment, proven, segment->used, &at);
	if (!error &&
		at == SEGMENT_HEADER_BYTES) { /* the header came with the first record; a copy of it may be torn */
		segment_header_put(bytes, &segment->header);
		error = files->write(files->context, segment->file, 0, (struct slice){bytes, SEGMENT_HEADER_BYTES});
	}
	for (; !error && at < segment->used; at += have) {
		size_t want = (size_t)MIN((uint64_t)DISK_PIECE_BYTES, segment->used - at);

		error = files->read(files->context, segment->file, at, bytes, want, &have);
		if (!error && have == 0)
			error = -EIO;
		if (!error)
			error = files->write(files->context, segment->file, at, (struct slice){bytes, have});
	}
	free(bytes);
	return error ? error : files->sync(files->context, segment->file);
}

static int mend_segment(struct recovery *r, struct segment *segment, uint64_t last_seq)
{
	struct segment *opened;
	int error = segment_ref(r->disk, segment->id, &opened);

	if (error)
		return error;
	segment->last_seq = last_seq;
	error = write_again(r->disk, segment, r->claimed);
	if (!error)
		error = segment_finish(r->disk, segment);
	segment_unref(r->disk, segment);
	return error;
}

/*
 * First goes what is cut: as soon as the segment before it had a seal, nothing would show any more that records are missing in between.
 */
static int set_cut_aside(struct recovery *r)
{
	struct disk *disk = r->disk;
	struct segment_table *table = &disk->table;
	struct segment *segment;
	int error = 0;

	while (table->count > r->survivors) {
		segment = table->at[table->count - 1];
		segments_remove(table, segment);
		segment_list_put(&disk->cut, segment);
	}
	while (!error && (segment = segment_list_take(&disk->cut))) {
		error = segment_set_aside(disk, segment);
		if (error)
			segment_list_put(&disk->cut, segment);
	}
	return error ? error : disk->files->sync_dir(disk->files->context, disk->dir);
}

static int mend(struct recovery *r)
{
	struct segment_table *table = &r->disk->table;
	int error = set_cut_aside(r);

	for (size_t i = r->start; i < r->survivors && !error; i++) {
		uint64_t last_seq = r->expected - 1;

		if (i + 1 < r->survivors)
			last_seq = table->at[i + 1]->header.first_seq - 1;
		if (!table->at[i]->sealed)
			error = mend_segment(r, table->at[i], last_seq);
	}
	return error;
}

/* ---- Before the walk ---- */

/* Takes out what a later segment cuts altogether. */
static void find_cut(struct disk *disk)
{
	struct segment_table *table = &disk->table;
	uint64_t bound = UINT64_MAX;

	for (size_t i = table->count; i > 0; i--) {
		struct segment *segment = table->at[i - 1];

		if (segment->header.first_seq < bound) {
			bound = segment->header.first_seq;
			continue;
		}
		segments_remove(table, segment);
		segment_list_put(&disk->cut, segment);
	}
}

/*
 * Where reading must begin: at the segment with from_seq, but early enough to see whatever is not proven to be durable, and the end
 * of each segment that was not sealed.
 */
static size_t find_start(const struct disk *disk, uint64_t from_seq)
{
	const struct segment_table *table = &disk->table;
	size_t start = 0;
	size_t unsealed = 0;

	if (table->count == 0)
		return 0;
	from_seq = MIN(from_seq, header_claim(table->at[table->count - 1]) + 1);
	while (start + 1 < table->count && table->at[start + 1]->header.first_seq <= from_seq)
		start++;
	while (unsealed < start && table->at[unsealed]->sealed)
		unsealed++;
	return unsealed;
}

static int check_headers(struct disk *disk, bool salvage)
{
	for (const struct segment *s = disk->damaged.first; s; s = s->next)
		disk_notice(disk, "journal-damaged", "segment %016llx: header", (unsigned long long)s->id);
	return disk->damaged.first && !salvage ? -EBADMSG : 0;
}

int disk_replay(struct durability *d, uint64_t from_seq, bool salvage, record_reader *each, void *context)
{
	struct disk *disk = disk_of(d);
	struct recovery r = {.disk = disk,
		.from_seq = from_seq,
		.salvage = salvage,
		.each = each,
		.context = context,
		.expected = 1};
	int error = disk->replayed ? -EINVAL : check_headers(disk, salvage);

	if (error)
		return error;
	find_cut(disk);
	r.start = r.now = find_start(disk, from_seq);
	r.survivors = disk->table.count;
	for (; r.now < r.survivors && !error; r.now++)
		error = walk_segment(&r);
	if (error)
		return error;
	r.expected = MAX(r.expected, r.proven + 1); /* lost numbers are not given out again */
	error = mend(&r);
	if (error)
		return error;
	disk->last_seq = r.expected - 1;
	atomic_store(&disk->durable_seq, disk->last_seq);
	disk->replayed = true;
	return disk_start(disk);
}
