#include "store/disk/internal.h"

#define COPY_AWAITED 0x80000000u
enum { COPY_LOOKS = 500, CROWD_RECORDS = 4, GATHER_US = 500 };

/* ---- Waking those who wait for a batch, and nobody else ---- */

static void wake_waiters(struct disk *disk, _Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	if (atomic_load(&disk->waiters))
		word_wake(disk->settings.threads, word, true);
}

void disk_wake_all(struct disk *disk)
{
	wake_waiters(disk, &disk->done[0]);
	wake_waiters(disk, &disk->done[1]);
}

/*
 * Batches become durable one after the other, so at any moment there are waiters for the one being written and for the one being
 * filled: two words to sleep on are enough to wake exactly the right ones.
 */
int disk_wait(struct durability *d, uint64_t seq)
{
	struct disk *disk = disk_of(d);
	_Atomic uint32_t *word;
	uint32_t value;

	atomic_fetch_add(&disk->waiters, 1);
	while (atomic_load(&disk->durable_seq) < seq && !atomic_load(&disk->failed)) {
		const struct batch *writing;

		lock_take(&disk->lock);
		writing = &disk->batches[(disk->filling - 1) & 1];
		word = &disk->done[(writing->last && seq <= writing->last_seq ? disk->filling - 1 : disk->filling) & 1];
		value = atomic_load(word);
		lock_give(&disk->lock);
		if (atomic_load(&disk->durable_seq) < seq && !atomic_load(&disk->failed))
			word_wait(disk->settings.threads, word, value);
	}
	atomic_fetch_sub(&disk->waiters, 1);
	return atomic_load(&disk->durable_seq) >= seq ? 0 : -EIO;
}

/* ---- Writing ---- */

/* Those who still copy their payload have the processor, or soon will: a look or two is enough, and then it is better to sleep. */
static void wait_copied(struct disk *disk, struct batch *batch)
{
	uint32_t copying;

	for (unsigned i = 0; i < COPY_LOOKS; i++)
		if (!atomic_load_explicit(&batch->copying, memory_order_acquire))
			return;
	copying = atomic_fetch_or(&batch->copying, COPY_AWAITED) | COPY_AWAITED;
	while (copying != COPY_AWAITED) {
		word_wait(disk->settings.threads, &batch->copying, copying);
		copying = atomic_load(&batch->copying);
	}
	atomic_store(&batch->copying, 0);
}

void batch_copied(struct disk *disk, struct batch *batch)
{
	if (atomic_fetch_sub(&batch->copying, 1) == (COPY_AWAITED | 1))
		word_wake(disk->settings.threads, &batch->copying, false);
}

/* What is durable by now is better known than when the records were appended: each run of bytes says so in its first one. */
static void claim(struct disk *disk, struct batch *batch)
{
	uint64_t synced = atomic_load(&disk->durable_seq);

	for (unsigned i = 0; i < batch->chunk_count; i++) {
		struct segment *segment = batch->chunks[i].segment;
		char *at = batch->staging + batch->chunks[i].start;

		if (batch->chunks[i].at == 0) {
			segment->header.synced_seq = synced;
			segment_header_put(at, &segment->header);
			at += SEGMENT_HEADER_BYTES;
		}
		record_header_claim(at, segment->header.seed, synced);
	}
}

/*
 * What a write has to be longer to end with a page: otherwise the kernel would first have to read what stands behind it in that page. The next
 * records go there anyhow.
 */
static size_t to_page_end(struct batch *batch, const struct chunk *chunk)
{
	uint64_t end = chunk->at + chunk->len;
	size_t more = (size_t)(-end & (DISK_PAGE_BYTES - 1));

	if (chunk != &batch->chunks[batch->chunk_count - 1] || more > batch->room - batch->len ||
		end + more > chunk->segment->file_bytes)
		return 0;
	memset(batch->staging + chunk->start + chunk->len, 0, more);
	return more;
}

static int write_chunks(struct disk *disk, struct batch *batch)
{
	const struct file_system *files = disk->files;
	int error = 0;

	for (unsigned i = 0; i < batch->chunk_count && !error; i++) {
		struct chunk *chunk = &batch->chunks[i];
		struct slice bytes = {batch->staging + chunk->start, chunk->len + to_page_end(batch, chunk)};

		error = files->write(files->context, chunk->segment->file, chunk->at, bytes);
		if (!error)
			atomic_store(&chunk->segment->written, (uint32_t)(chunk->at + chunk->len));
	}
	if (error) {
		disk_fail(disk, error, "write");
		return error;
	}
	for (unsigned i = 0; i < batch->chunk_count && !error; i++)
		error = files->sync(files->context, batch->chunks[i].segment->file);
	if (error)
		disk_fail(disk, error, "sync");
	return error;
}

/*
 * Where many append at the same time, the writer would be up again for the first one or two of them, take a processor from those who are about
 * to, and sync far too often. So after a batch of several records it gives as many a moment to come. One alone who waits for his answer
 * is served at once. With disk.lock.
 */
static void gather(struct disk *disk)
{
	const struct thread_system *threads = disk->settings.threads;
	int64_t until;

	if (disk->last_batch < CROWD_RECORDS)
		return;
	until = thread_now_us(threads) + GATHER_US;
	disk->awaited = disk->taken + disk->last_batch;
	while (disk->records < disk->awaited && !disk->stopping && thread_now_us(threads) < until)
		condition_wait_until(&disk->work, &disk->lock, until);
	disk->awaited = 0;
}

/* Takes everything that waits; NULL: the log is being closed and nothing is left. With disk.lock. */
static struct batch *take_batch(struct disk *disk)
{
	struct batch *batch = &disk->batches[disk->filling & 1];

	gather(disk);
	while (!batch->last) {
		if (disk->stopping)
			return NULL;
		disk->writer_idle = true;
		condition_wait(&disk->work, &disk->lock);
	}
	disk->writer_idle = false;
	disk->last_batch = disk->records - disk->taken;
	disk->taken = disk->records;
	disk->filling++;
	condition_wake_all(&disk->room);
	return batch;
}

/* An oversized buffer was for one record only. */
static void batch_clear(struct disk *disk, struct batch *batch)
{
	size_t room = (size_t)disk->settings.staging_bytes_max / 2;

	if (batch->room > room) {
		char *smaller = malloc(room);

		if (smaller) {
			free(batch->staging);
			batch->staging = smaller;
			batch->room = room;
		}
	}
	batch->len = 0;
	batch->chunk_count = 0;
	batch->first = batch->last = NULL;
}

/* With disk.lock; returns with it. */
static int write_batch(struct disk *disk, struct batch *batch)
{
	struct record *first = batch->first;
	uint64_t number = disk->filling - 1;
	uint64_t seq = batch->last_seq;
	unsigned syncs = batch->chunk_count;
	int error;

	lock_give(&disk->lock);
	wait_copied(disk, batch);
	claim(disk, batch);
	error = write_chunks(disk, batch);
	lock_take(&disk->lock);
	if (error)
		return error;
	batch_clear(disk, batch);
	disk->syncs += syncs;
	atomic_store(&disk->durable_seq, seq);
	if (disk->unsealed.first)
		condition_wake(&disk->keep);
	lock_give(&disk->lock);
	disk->settings.events.durable(disk->settings.events.context, first, seq);
	wake_waiters(disk, &disk->done[number & 1]);
	lock_take(&disk->lock);
	return 0;
}

void *disk_writer_run(void *arg)
{
	struct disk *disk = arg;
	struct batch *batch;

	lock_take(&disk->lock);
	disk->taken = disk->records;
	while ((batch = take_batch(disk)) && write_batch(disk, batch) == 0)
		continue;
	disk->writer_ended = true;
	condition_wake(&disk->keep);
	lock_give(&disk->lock);
	return NULL;
}
