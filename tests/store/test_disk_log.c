#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim_disk.h"

static int open_world(void **state)
{
	struct sim_disk *world = sim_disk_new(7);

	*state = world;
	return sim_disk_open(world);
}

static int close_world(void **state)
{
	struct sim_disk *world = *state;

	sim_disk_close(world);
	sim_files_restart(world->files);
	assert_int_equal(sim_disk_open(world), 0);
	sim_disk_close(world);
	assert_int_equal(world->wrong, 0);
	assert_int_equal(world->notices, 0);
	sim_disk_free(&world);
	return 0;
}

static void what_was_appended_can_be_read_at_once(void **state)
{
	struct sim_disk *world = *state;
	const struct durability_ops *ops = world->log->ops;
	struct record_place place;
	char to[16];

	for (uint32_t bytes = 0; bytes < 60; bytes++) {
		assert_int_equal(sim_disk_append(world, bytes), 0);
		assert_int_equal(sim_disk_read(world, world->last), 0);
	}
	place = world->records[10]->record.place;
	assert_int_equal(place.bytes, 9);
	assert_int_equal(ops->read(world->log, &place, 0, 10, to), -EBADMSG);
	assert_int_equal(ops->read(world->log, &place, 9, 0, to), 0);
	assert_int_equal(ops->read(world->log, &place, UINT32_MAX, 8, to), -EBADMSG);
	place.at = 900000; /* nothing there yet */
	assert_int_equal(ops->read(world->log, &place, 0, 9, to), -EBADMSG);
	place.segment = 99;
	assert_int_equal(ops->read(world->log, &place, 0, 9, to), -ENOENT);
	assert_int_equal(ops->wait(world->log, world->last), 0);
	assert_int_equal(ops->durable_seq(world->log), 60);
	assert_int_equal(ops->last_seq(world->log), 60);
	for (uint64_t seq = 1; seq <= 60; seq++)
		assert_int_equal(sim_disk_read(world, seq), 0);
}

static void a_record_fits_into_a_segment_or_is_refused(void **state)
{
	struct sim_disk *world = *state;
	uint64_t records, bytes, syncs;
	uint32_t most = 1048576 - 4096 - 65536 - 40;

	assert_int_equal(sim_disk_append(world, most + 1), -EMSGSIZE);
	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(sim_disk_append(world, most), 0); /* larger than a staging buffer, too */
	assert_int_equal(sim_disk_append(world, most), 0);
	assert_int_equal(sim_disk_append(world, 1), 0);
	assert_int_equal(world->log->ops->wait(world->log, 4), 0);
	assert_int_equal(world->records[3]->record.place.at, 4096 + 40);
	world->log->ops->figures(world->log, &records, &bytes, &syncs);
	assert_int_equal(records, 4);
	assert_true(bytes > 2ULL * most && syncs >= 3);
	for (uint64_t seq = 1; seq <= 4; seq++)
		assert_int_equal(sim_disk_read(world, seq), 0);
}

struct infos {
	struct segment_info at[16];
	size_t count;
};

static int add_info(void *context, const struct segment_info *info)
{
	struct infos *infos = context;

	if (infos->count < ARRAY_LEN(infos->at))
		infos->at[infos->count++] = *info;
	return 0;
}

static struct infos list(struct sim_disk *world)
{
	struct infos infos = {.count = 0};

	assert_int_equal(world->log->ops->segments(world->log, add_info, &infos), 0);
	return infos;
}

/* Until `sealed` segments are; the keeper does it soon after they are full. */
static struct infos wait_sealed(struct sim_disk *world, size_t sealed)
{
	struct infos infos;
	size_t have;

	for (unsigned i = 0; i < 5000; i++) {
		infos = list(world);
		have = 0;
		for (size_t k = 0; k < infos.count; k++)
			have += infos.at[k].sealed;
		if (have >= sealed)
			return infos;
		(void)usleep(1000);
	}
	fail_msg("not sealed");
	return infos;
}

static void fill(struct sim_disk *world, size_t segments)
{
	while (list(world).count < segments)
		assert_int_equal(sim_disk_append(world, 90000), 0);
	assert_int_equal(world->log->ops->wait(world->log, world->last), 0);
}

/* Turned, the next record begins a new segment, and the one before gets sealed and gives back what it does not need. */
static void a_turn_ends_the_current_segment(void **state)
{
	struct sim_disk *world = *state;
	struct infos infos;

	assert_int_equal(world->log->ops->turn(world->log), 0); /* of nothing */
	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(list(world).count, 1);
	assert_int_equal(world->log->ops->turn(world->log), 0);
	assert_int_equal(world->log->ops->turn(world->log), 0); /* once is enough */
	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(world->log->ops->wait(world->log, world->last), 0);
	infos = wait_sealed(world, 1);
	assert_int_equal(infos.count, 2);
	assert_true(infos.at[0].sealed && infos.at[0].last_seq == 2);
	assert_true(!infos.at[1].sealed && infos.at[1].first_seq == 3);
	for (uint64_t seq = 1; seq <= 4; seq++)
		assert_int_equal(sim_disk_read(world, seq), 0);
}

static void segments_are_sealed_when_full(void **state)
{
	struct sim_disk *world = *state;
	struct infos infos;

	assert_int_equal(list(world).count, 0);
	fill(world, 4);
	infos = wait_sealed(world, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(infos.at[i].sealed && infos.at[i].bytes > 900000);
		assert_int_equal(infos.at[i + 1].first_seq, infos.at[i].last_seq + 1);
		assert_true(infos.at[i + 1].id > infos.at[i].id);
	}
	assert_false(infos.at[3].sealed);
	assert_int_equal(infos.at[3].last_seq, world->last);
}

static void drop(struct sim_disk *world, uint64_t id)
{
	assert_int_equal(world->log->ops->segment_drop(world->log, id), 0);
	world->dropped[id] = 2;
}

static void a_pinned_segment_is_readable_until_unpinned(void **state)
{
	struct sim_disk *world = *state;
	const struct durability_ops *ops = world->log->ops;
	struct record_place place;
	struct infos infos;
	char before[100], after[100];

	fill(world, 3);
	infos = wait_sealed(world, 2);
	place = world->records[1]->record.place;
	assert_int_equal(place.segment, infos.at[0].id);
	assert_int_equal(ops->read(world->log, &place, 0, 100, before), 0);
	assert_int_equal(ops->pin(world->log, place.segment), 0);
	assert_int_equal(ops->pin(world->log, place.segment), 0);
	drop(world, place.segment);
	assert_int_equal(ops->segment_drop(world->log, place.segment), -ENOENT);
	assert_int_equal(ops->pin(world->log, place.segment), -ENOENT);
	assert_int_equal(list(world).count, 2);
	fill(world, 4);
	ops->unpin(world->log, place.segment);
	assert_int_equal(ops->read(world->log, &place, 0, 100, after), 0);
	assert_memory_equal(before, after, 100);
	ops->unpin(world->log, place.segment);
	assert_int_equal(ops->read(world->log, &place, 0, 100, after), -ENOENT);
	assert_int_equal(ops->pin(world->log, 77), -ENOENT);
}

static void the_newest_segment_cannot_be_dropped(void **state)
{
	struct sim_disk *world = *state;
	uint64_t newest;

	fill(world, 2);
	newest = list(world).at[1].id;
	assert_int_equal(world->log->ops->segment_drop(world->log, newest), -EBUSY);
	sim_disk_close(world);
	sim_files_restart(world->files);
	assert_int_equal(sim_disk_open(world), 0);
	/* Sealed by the clean end, but it is what remembers the numbers. */
	assert_true(list(world).at[1].sealed);
	assert_int_equal(world->log->ops->segment_drop(world->log, newest), -EBUSY);
	assert_int_equal(sim_disk_append(world, 10), 0);
	assert_int_equal(world->log->ops->wait(world->log, world->last), 0);
	drop(world, newest);
}

static int count_name(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
	return 0;
}

static void dropped_segments_are_used_again(void **state)
{
	struct sim_disk *world = *state;
	const struct file_system *files = sim_files_system(world->files);
	uint64_t next = 0;
	unsigned count = 0;
	struct infos infos;

	for (unsigned i = 0; i < 20; i++) {
		fill(world, 3);
		infos = wait_sealed(world, 2);
		drop(world, infos.at[0].id);
		assert_true(infos.at[0].id > next);
		next = infos.at[0].id;
	}
	assert_int_equal(files->list(files->context, "data/journal", count_name, &count), 0);
	assert_in_range(count, 2, 5);
}

static void a_full_disk_refuses_and_goes_on_later(void **state)
{
	struct sim_disk *world = *state;
	const struct durability_ops *ops = world->log->ops;
	int error = 0;

	sim_files_room(world->files, 3 * 1048576);
	while (!error)
		error = sim_disk_append(world, 10000);
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(sim_disk_append(world, 10000), -ENOSPC);
	assert_in_range(world->last, 280, 310);
	assert_int_equal(ops->wait(world->log, world->last), 0);

	/* What lets people clean up finds some room. */
	world->small_reserve = true;
	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(ops->wait(world->log, world->last), 0);
	world->small_reserve = false;
	assert_int_equal(sim_disk_append(world, 10000), -ENOSPC);

	sim_files_room(world->files, UINT64_MAX);
	for (unsigned i = 0; i < 5000 && error; i++) {
		error = sim_disk_append(world, 10000);
		(void)usleep(1000);
	}
	assert_int_equal(error, 0);
}

static void a_failed_sync_ends_it(void **state)
{
	struct sim_disk *world = *state;
	const struct durability_ops *ops = world->log->ops;
	uint64_t durable;
	int error = 0;

	assert_int_equal(sim_disk_append(world, 100), 0);
	assert_int_equal(ops->wait(world->log, 1), 0);
	for (unsigned i = 0; i < 20 && !error; i++) {
		sim_files_fail_at(world->files, 2, -EIO); /* write, then sync; or one of the keeper's */
		error = sim_disk_append(world, 100);
		if (!error)
			error = ops->wait(world->log, world->last);
	}
	assert_int_equal(error, -EIO);
	for (unsigned i = 0; i < 5000 && !atomic_load(&world->failed); i++)
		(void)usleep(1000);
	assert_true(atomic_load(&world->failed));
	durable = ops->durable_seq(world->log);
	assert_true(durable < world->last);
	assert_int_equal(sim_disk_append(world, 100), -EIO);
	assert_int_equal(ops->wait(world->log, world->last), -EIO);
	assert_int_equal(ops->wait(world->log, durable), 0);
}

static void settings_are_checked(void **state)
{
	struct disk_settings settings = disk_settings_default();
	struct durability *log = NULL;

	(void)state;
	assert_int_equal(disk_open(&settings, &log), -EINVAL);
	settings.dir = SLICE("data/journal");
	settings.segment_bytes = 1000000;
	assert_int_equal(disk_open(&settings, &log), -EINVAL);
	settings.segment_bytes = 4294967296;
	assert_int_equal(disk_open(&settings, &log), -EINVAL);
	assert_null(log);
}

/* ---- Many threads ---- */

enum { THREADS = 8, EACH = 150 };

struct appender {
	pthread_t id;
	struct durability *log;
	unsigned number, wrong;
	struct record records[EACH];
};

static void *append_and_check(void *arg)
{
	struct appender *t = arg;
	const struct durability_ops *ops = t->log->ops;
	char payload[5000], back[5000];

	for (unsigned i = 0; i < EACH; i++) {
		struct slice part = {payload, 100 + (size_t)(i * 31 + t->number * 7) % 4800};

		memset(payload, (int)(t->number * 16 + i % 16), sizeof(payload));
		t->records[i] = (struct record){.account = t->number, .kind = (uint8_t)i};
		t->wrong += ops->append(t->log, &t->records[i], &part, 1, false) != 0;
		t->wrong += i && t->records[i].seq <= t->records[i - 1].seq;
		if (i % 3 == 0)
			t->wrong += ops->wait(t->log, t->records[i].seq) != 0 ||
				    ops->durable_seq(t->log) < t->records[i].seq;
		t->wrong += ops->read(t->log, &t->records[i].place, 0, (uint32_t)part.len, back) != 0;
		t->wrong += memcmp(payload, back, part.len) != 0;
	}
	return NULL;
}

struct heard {
	uint64_t seq, wrong;
	unsigned of_account[THREADS];
};

static void hear_durable(void *context, struct record *first, uint64_t seq)
{
	struct heard *heard = context;

	for (; first; first = first->next)
		heard->wrong += first->seq != ++heard->seq;
	heard->wrong += heard->seq != seq;
}

static void hear_failed(void *context, int error, const char *what)
{
	(void)error;
	(void)what;
	((struct heard *)context)->wrong++;
}

static int hear_record(void *context, const struct record_read *read)
{
	struct heard *heard = context;

	heard->wrong += read->seq != ++heard->seq || read->account >= THREADS ||
			read->kind != heard->of_account[read->account % THREADS]++;
	for (size_t i = 0; i < read->payload.len; i++)
		heard->wrong += (unsigned char)read->payload.at[i] != read->account * 16 + read->kind % 16;
	return 0;
}

static void run_threads(struct disk_settings *settings)
{
	struct heard heard = {0, 0, {0}};
	struct durability *log;
	struct appender *threads = calloc(THREADS, sizeof(*threads));

	assert_non_null(threads);
	settings->events = (struct durability_events){hear_durable, hear_failed, NULL, &heard};
	assert_int_equal(disk_open(settings, &log), 0);
	assert_int_equal(log->ops->replay(log, 1, false, hear_record, &heard), 0);
	assert_int_equal(heard.seq, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].log = log;
		threads[i].number = i;
		assert_int_equal(pthread_create(&threads[i].id, NULL, append_and_check, &threads[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i].id, NULL), 0);
		assert_int_equal(threads[i].wrong, 0);
	}
	log->ops->close(&log);
	assert_null(log);
	assert_int_equal(heard.seq, THREADS * EACH);
	free(threads);

	heard.seq = 0;
	assert_int_equal(disk_open(settings, &log), 0);
	assert_int_equal(log->ops->replay(log, 0, false, hear_record, &heard), 0);
	assert_int_equal(heard.seq, THREADS * EACH);
	assert_int_equal(heard.wrong, 0);
	log->ops->close(&log);
}

static void many_threads_append_at_once(void **state)
{
	struct disk_settings settings = disk_settings_default();
	struct sim_files *files = sim_files_new(3);

	(void)state;
	settings.dir = SLICE("data/journal");
	settings.segment_bytes = 1048576;
	settings.staging_bytes_max = 65536;
	settings.files = sim_files_system(files);
	run_threads(&settings);
	sim_files_free(&files);
}

static int remove_file(void *arg, const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	return file_system_real.unlink(file_system_real.context, path);
}

static void real_files_do_as_well(void **state)
{
	struct disk_settings settings = disk_settings_default();
	char dir[] = "/tmp/penfold-disk-XXXXXX";
	char journal[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	settings.dir = slice_of(journal);
	settings.segment_bytes = 1048576;
	run_threads(&settings);
	assert_int_equal(file_system_real.list(file_system_real.context, journal, remove_file, journal), 0);
	assert_int_equal(rmdir(journal), 0);
	assert_int_equal(rmdir(dir), 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(what_was_appended_can_be_read_at_once),
		IN_WORLD(a_record_fits_into_a_segment_or_is_refused),
		IN_WORLD(a_turn_ends_the_current_segment),
		IN_WORLD(segments_are_sealed_when_full),
		IN_WORLD(a_pinned_segment_is_readable_until_unpinned),
		IN_WORLD(the_newest_segment_cannot_be_dropped),
		IN_WORLD(dropped_segments_are_used_again),
		IN_WORLD(a_full_disk_refuses_and_goes_on_later),
		IN_WORLD(a_failed_sync_ends_it),
		cmocka_unit_test(settings_are_checked),
		cmocka_unit_test(many_threads_append_at_once),
		cmocka_unit_test(real_files_do_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
