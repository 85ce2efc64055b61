#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim_disk.h"
#include "store/disk/layout.h"

enum { WORLDS = 24, ROUNDS = 50, STEPS = 60 };

/* The process or the machine is gone. */
static void crash(struct sim_disk *world)
{
	sim_disk_close(world);
	if (sim_disk_chance(world, 4) == 0)
		sim_files_restart(world->files);
	else
		sim_files_power_cut(world->files);
}

/*
 * Work, interrupted at some operation, wherever it falls: in appending, recovering, sealing, recycling, making segments. What was
 * promised is there after every one of them.
 */
static void nothing_promised_is_lost(void **state)
{
	struct sim_disk *world = *state;

	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		unsigned opened = 0;

		sim_disk_reset(world, seed);
		world->spares = 1 + (unsigned)(seed % 2);
		for (unsigned round = 0; round < ROUNDS; round++) {
			if (sim_disk_chance(world, 8))
				sim_files_stop_at(world->files, 1 + sim_disk_chance(world, round % 3 ? 300 : 30));
			if (sim_disk_open(world) == 0) {
				opened++;
				(void)sim_disk_work(world, STEPS);
			}
			crash(world);
			assert_int_equal(world->wrong, 0);
		}
		assert_int_equal(sim_disk_open(world), 0);
		assert_int_equal(sim_disk_work(world, STEPS), 0);
		sim_disk_close(world);
		assert_int_equal(sim_disk_open(world), 0);
		sim_disk_close(world);
		assert_int_equal(world->wrong, 0);
		assert_int_equal(world->notices, 0); /* a crash is not damage */
		assert_true(opened > ROUNDS / 4);
	}
}

/* A short life with everything in it, in which one operation fails. False: it ended before that operation came. */
static bool live(struct sim_disk *world, uint64_t n, int error)
{
	uint64_t before;

	assert_int_equal(sim_disk_open(world), 0);
	(void)sim_disk_work(world, 80);
	crash(world);
	before = sim_files_count(world->files);
	sim_files_fail_at(world->files, n, error);
	if (sim_disk_open(world) == 0)
		(void)sim_disk_work(world, 80);
	sim_disk_close(world);
	return sim_files_count(world->files) - before >= n;
}

static void every_operation_may_fail(void **state)
{
	static const int errors[] = {-EIO, -ENOSPC};
	struct sim_disk *world = *state;

	for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
		for (uint64_t n = 1, ended = 0; ended < 3; n++) {
			sim_disk_reset(world, 1000 + n);
			ended += !live(world, n, errors[i]);
			crash(world);
			assert_int_equal(sim_disk_open(world), 0);
			assert_int_equal(sim_disk_work(world, 20), 0);
			crash(world);
			assert_int_equal(sim_disk_open(world), 0);
			sim_disk_close(world);
			assert_int_equal(world->wrong, 0);
			assert_int_equal(world->notices, 0);
		}
	}
}

/* Is what was written before, but not synced, dealt with? */
static void recovery_is_interrupted(struct sim_disk *world, uint64_t seed, uint64_t n, unsigned times)
{
	sim_disk_reset(world, seed);
	assert_int_equal(sim_disk_open(world), 0);
	sim_files_stop_at(world->files, 30 + sim_disk_chance(world, 60));
	(void)sim_disk_work(world, 100);
	sim_disk_close(world);
	sim_files_restart(world->files);
	for (unsigned i = 0; i < times; i++) {
		sim_files_stop_at(world->files, n + i);
		(void)sim_disk_open(world);
		sim_disk_close(world);
		sim_files_power_cut(world->files);
	}
	assert_int_equal(sim_disk_open(world), 0);
	assert_int_equal(sim_disk_work(world, 10), 0);
	sim_disk_close(world);
	assert_int_equal(world->wrong, 0);
	assert_int_equal(world->notices, 0);
}

static void recovery_may_be_interrupted_anywhere(void **state)
{
	struct sim_disk *world = *state;

	for (uint64_t n = 1; n <= 40; n++)
		for (uint64_t seed = 1; seed <= 10; seed++)
			recovery_is_interrupted(world, seed * 100 + n, n, 1);
	for (uint64_t seed = 1; seed <= 20; seed++)
		recovery_is_interrupted(world, seed, 1, 40);
}

/* Ten records fill a segment, the eleventh is the first of the next one. */
static void patch_claims(struct sim_files *files)
{
	static const char first[] = "data/journal/0000000000000001.seg", next[] = "data/journal/0000000000000002.seg";
	static const char zeros[SEGMENT_SECTOR_BYTES];
	char block[SEGMENT_HEADER_BYTES], record[RECORD_HEADER_BYTES];
	struct segment_header header;
	struct segment_seal seal;
	struct slice bytes;
	bool sealed;

	assert_true(sim_files_get(files, next, &bytes));
	assert_int_equal(segment_header_get(bytes.at, 2, &header, &sealed, &seal), SEGMENT_IN_USE);
	assert_int_equal(header.first_seq, 11);
	memcpy(record, bytes.at + SEGMENT_HEADER_BYTES, sizeof(record));
	record_header_claim(record, header.seed, 9);
	header.synced_seq = 9;
	segment_header_put(block, &header);
	sim_files_patch(files, next, 0, (struct slice){block, sizeof(block)});
	sim_files_patch(files, next, SEGMENT_HEADER_BYTES, (struct slice){record, sizeof(record)});
	for (unsigned i = 0; i < 2; i++)
		sim_files_patch(
			files, first, SEGMENT_SEAL_AT + i * SEGMENT_COPY_AT, (struct slice){zeros, sizeof(zeros)});
	sim_files_patch(files, first, SEGMENT_HEADER_BYTES + 9 * record_room(100000),
		(struct slice){zeros, RECORD_HEADER_BYTES});
}

/* Of a batch that lay in two segments, a power cut left only what is in the second. That must not look like all there was, ever. */
static void half_a_batch_stays_cut(void **state)
{
	struct sim_disk *world = *state;
	bool whole = false;

	for (uint64_t n = 1; !whole; n++) {
		sim_disk_reset(world, n);
		assert_int_equal(sim_disk_open(world), 0);
		for (unsigned i = 0; i < 11; i++)
			assert_int_equal(sim_disk_append(world, 100000), 0);
		assert_int_equal(world->log->ops->wait(world->log, 11), 0);
		sim_files_stop_at(world->files, 1);
		sim_disk_close(world);
		sim_files_restart(world->files);
		patch_claims(world->files);
		atomic_store(&world->promised, 9);
		sim_files_stop_at(world->files, n);
		whole = sim_disk_open(world) == 0;
		sim_disk_close(world);
		sim_files_restart(world->files);
		assert_int_equal(sim_disk_open(world), 0);
		assert_int_equal(world->last, 9);
		sim_disk_close(world);
		assert_int_equal(world->wrong, 0);
	}
}

static int make_world(void **state)
{
	*state = sim_disk_new(0);
	return 0;
}

static int free_world(void **state)
{
	struct sim_disk *world = *state;

	sim_disk_free(&world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_promised_is_lost),
		cmocka_unit_test(every_operation_may_fail),
		cmocka_unit_test(recovery_may_be_interrupted_anywhere),
		cmocka_unit_test(half_a_batch_stays_cut),
	};

	return cmocka_run_group_tests(tests, make_world, free_world);
}
