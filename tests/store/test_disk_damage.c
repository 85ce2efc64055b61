#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim_files.h"
#include "store/disk/disk.h"
#include "store/disk/layout.h"

static const char first_path[] = "data/journal/0000000000000001.seg";

/* ---- The layout ---- */

static void a_segment_header_is_of_one_file(void **state)
{
	struct segment_header in = {5, 0x1122334455667788, 42, 41}, out;
	struct segment_seal seal;
	char block[SEGMENT_HEADER_BYTES];
	bool sealed = true;

	(void)state;
	memset(block, 0, sizeof(block));
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_SPARE);
	segment_header_put(block, &in);
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_IN_USE);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_false(sealed);
	assert_int_equal(segment_header_get(block, 6, &out, &sealed, &seal), SEGMENT_SPARE);   /* recycled */
	assert_int_equal(segment_header_get(block, 4, &out, &sealed, &seal), SEGMENT_DAMAGED); /* from the future */

	block[20] ^= 1;
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_IN_USE);
	block[SEGMENT_COPY_AT + 20] ^= 1;
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_DAMAGED);
	memset(block, 0, SEGMENT_SECTOR_BYTES);
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_DAMAGED);
}

static void a_seal_is_of_one_use(void **state)
{
	struct segment_header header = {5, 99, 42, 41}, out;
	struct segment_seal in = {77, 5000}, seal;
	char block[SEGMENT_HEADER_BYTES];
	bool sealed = false;

	(void)state;
	segment_header_put(block, &header);
	segment_seal_put(block + SEGMENT_SEAL_AT, 98, &in);
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_IN_USE);
	assert_false(sealed);
	segment_seal_put(block + SEGMENT_SEAL_AT + SEGMENT_COPY_AT, 99, &in);
	assert_int_equal(segment_header_get(block, 5, &out, &sealed, &seal), SEGMENT_IN_USE);
	assert_true(sealed);
	assert_int_equal(seal.last_seq, 77);
	assert_int_equal(seal.used, 5000);
}

static void a_record_header_is_of_one_use(void **state)
{
	struct record_header in = {0xdeadbeef, 1000, 7, 42, 9, 41}, out;
	char bytes[RECORD_HEADER_BYTES];

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	assert_false(record_header_get(bytes, 0, &out));
	record_header_put(bytes, 99, &in);
	assert_true(record_header_get(bytes, 99, &out));
	assert_int_equal(out.payload_crc, in.payload_crc);
	assert_true(out.bytes == 1000 && out.kind == 7 && out.seq == 42 && out.account == 9 && out.synced_seq == 41);
	assert_false(record_header_get(bytes, 98, &out));
	assert_false(record_header_get(bytes, 99 + (1ULL << 40), &out));
	for (unsigned bit = 0; bit < 8 * RECORD_HEADER_BYTES; bit++) {
		bytes[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(record_header_get(bytes, 99, &out));
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	record_header_claim(bytes, 99, 40);
	assert_true(record_header_get(bytes, 99, &out));
	assert_int_equal(out.synced_seq, 40);
	assert_int_equal(record_room(0), 40);
	assert_int_equal(record_room(1), 48);
	assert_int_equal(record_room(8), 48);
}

/* ---- A log and what is done to it ---- */

struct fixture {
	struct sim_files *files;
	struct durability *log;
	struct record records[64];
	unsigned count;
	uint64_t heard[64]; /* numbers that replay gave */
	unsigned heard_count, notices, failed;
};

static void on_durable(void *context, struct record *first, uint64_t seq)
{
	(void)context;
	(void)first;
	(void)seq;
}

static void on_failed(void *context, int error, const char *what)
{
	(void)error;
	(void)what;
	((struct fixture *)context)->failed++;
}

static void on_notice(void *context, const char *event, struct slice detail)
{
	struct fixture *f = context;

	f->notices +=
		strcmp(event, "journal-damaged") == 0 && slice_find(detail, SLICE("segment 0000000000000001")) == 0;
}

/* Record n is n bytes of n, and one more for its number. */
static int on_record(void *context, const struct record_read *read)
{
	struct fixture *f = context;

	for (size_t i = 0; i < read->payload.len; i++)
		assert_int_equal((unsigned char)read->payload.at[i], read->kind);
	assert_int_equal(read->payload.len, 50 + read->kind);
	f->heard[f->heard_count++ % 64] = read->seq;
	return 0;
}

static void on_damage(void *context, const struct log_damage *damage)
{
	struct fixture *f = context;

	f->notices += damage->segment == 1;
}

static int reopen(struct fixture *f, uint64_t from_seq, bool salvage)
{
	struct disk_settings settings = disk_settings_default();
	int error;

	settings.dir = SLICE("data/journal");
	settings.segment_bytes = 1048576;
	settings.staging_bytes_max = 65536;
	settings.files = sim_files_system(f->files);
	settings.events = (struct durability_events){on_durable, on_failed, on_notice, f};
	f->heard_count = f->notices = 0;
	f->count = 0;
	error = disk_open(&settings, &f->log);
	if (error)
		return error;
	error = f->log->ops->replay(f->log, from_seq, salvage, on_record, f);
	if (error)
		f->log->ops->close(&f->log);
	return error;
}

static uint64_t append(struct fixture *f, unsigned kind)
{
	struct record *record = &f->records[f->count++];
	char payload[512];
	struct slice part = {payload, 50 + kind};

	memset(payload, (int)kind, sizeof(payload));
	*record = (struct record){.kind = (uint8_t)kind};
	assert_int_equal(f->log->ops->append(f->log, record, &part, 1, false), 0);
	return record->seq;
}

static void append_synced(struct fixture *f, unsigned kind)
{
	uint64_t seq = append(f, kind);

	assert_int_equal(f->log->ops->wait(f->log, seq), 0);
}

/* The end of the process without a clean end of the log. */
static void stop(struct fixture *f)
{
	const struct file_system *files = sim_files_system(f->files);

	sim_files_stop_at(f->files, 1);
	assert_int_equal(files->make_dir(files->context, "data"), -EIO); /* the one that may be done in part */
	f->log->ops->close(&f->log);
	sim_files_restart(f->files);
}

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->files = sim_files_new(1);
	*state = f;
	return reopen(f, 0, false);
}

static int clean(void **state)
{
	struct fixture *f = *state;

	if (f->log)
		f->log->ops->close(&f->log);
	sim_files_free(&f->files);
	free(f);
	return 0;
}

static void patch(struct fixture *f, uint64_t at, size_t bytes, int with)
{
	char patch[4096];

	memset(patch, with, sizeof(patch));
	sim_files_patch(f->files, first_path, at, (struct slice){patch, bytes});
}

static struct slice copy_of_segment(struct fixture *f)
{
	struct slice bytes;
	char *copy;

	assert_true(sim_files_get(f->files, first_path, &bytes));
	copy = malloc(bytes.len);
	assert_non_null(copy);
	memcpy(copy, bytes.at, bytes.len);
	return (struct slice){copy, bytes.len};
}

/* All that is there is that one segment, with these bytes. */
static void put_segment(struct fixture *f, struct slice bytes)
{
	const struct file_system *files;
	int file;

	sim_files_free(&f->files);
	f->files = sim_files_new(2);
	files = sim_files_system(f->files);
	assert_int_equal(files->make_dir(files->context, "data/journal"), 0);
	assert_int_equal(files->open(files->context, first_path, FILE_WRITE, &file), 0);
	assert_int_equal(files->close(files->context, file), 0);
	sim_files_patch(f->files, first_path, 0, bytes);
}

static void expect(struct fixture *f, unsigned count, const uint64_t *seqs)
{
	assert_int_equal(f->heard_count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(f->heard[i], seqs[i]);
}

/* ---- A torn end ---- */

static void torn_at(struct fixture *f, struct slice whole, uint64_t at, uint64_t end, int with)
{
	bool same = true;

	for (uint64_t i = at; i < end; i++)
		same = same && whole.at[i] == (char)with;
	put_segment(f, whole);
	patch(f, at, (size_t)(end - at), with);
	assert_int_equal(reopen(f, 0, false), 0);
	expect(f, same ? 3 : 2, (const uint64_t[]){1, 2, 3});
	assert_int_equal(f->notices, 0);
	if (!same)
		assert_int_equal(append(f, 9), 3);
	assert_int_equal(f->log->ops->wait(f->log, 3), 0);
	stop(f);
	/* And what comes after it is found in the next segment. */
	assert_int_equal(reopen(f, 0, false), 0);
	expect(f, 3, (const uint64_t[]){1, 2, 3});
	stop(f);
}

static void a_torn_end_is_cut_at_every_byte(void **state)
{
	struct fixture *f = *state;
	struct slice whole;
	uint64_t from, end;

	append_synced(f, 1);
	append_synced(f, 2);
	append_synced(f, 3);
	from = f->records[2].place.at - RECORD_HEADER_BYTES;
	end = f->records[2].place.at + f->records[2].place.bytes;
	stop(f);
	whole = copy_of_segment(f);
	for (uint64_t at = from; at < end; at++) {
		torn_at(f, whole, at, end, 0);
		torn_at(f, whole, at, end, 0xa5);
		torn_at(f, whole, from, at + 1, 0);
	}
	free((char *)(uintptr_t)whole.at);
}

/* Makes a record say that only `synced_seq` was durable when it was written: as if it had been in one batch with those before. */
static void claim(struct fixture *f, const struct record *record, uint64_t synced_seq)
{
	uint64_t at = record->place.at - RECORD_HEADER_BYTES;
	struct segment_header header;
	struct segment_seal seal;
	struct slice bytes;
	char patch[RECORD_HEADER_BYTES];
	bool sealed;

	assert_true(sim_files_get(f->files, first_path, &bytes));
	assert_int_equal(segment_header_get(bytes.at, 1, &header, &sealed, &seal), SEGMENT_IN_USE);
	memcpy(patch, bytes.at + at, sizeof(patch));
	record_header_claim(patch, header.seed, synced_seq);
	sim_files_patch(f->files, first_path, at, (struct slice){patch, sizeof(patch)});
}

/* The first of three records of one batch is missing: the others, though whole, were not promised either. */
static void nothing_behind_a_gap_comes_back(void **state)
{
	struct fixture *f = *state;
	struct slice bytes;

	for (unsigned i = 1; i <= 5; i++)
		append_synced(f, i);
	stop(f);
	for (unsigned i = 2; i < 5; i++)
		claim(f, &f->records[i], 2);
	patch(f, f->records[2].place.at, 8, 0x77);
	assert_int_equal(reopen(f, 0, false), 0);
	expect(f, 2, (const uint64_t[]){1, 2});
	assert_int_equal(append(f, 3), 3); /* as long as what was there */
	assert_int_equal(append(f, 44), 4);
	assert_int_equal(f->log->ops->wait(f->log, 4), 0);
	stop(f);
	assert_int_equal(reopen(f, 0, false), 0);
	expect(f, 4, (const uint64_t[]){1, 2, 3, 4});
	assert_int_equal(f->notices, 0);
	assert_true(sim_files_get(f->files, first_path, &bytes));
	assert_true(bytes.len < 1048576); /* its room was given back */
}

/* ---- Rot ---- */

static void rot(struct fixture *f, uint64_t at, size_t bytes, unsigned left, const uint64_t *seqs)
{
	patch(f, at, bytes, 0x5a);
	assert_int_equal(reopen(f, 0, false), -EBADMSG);
	assert_int_equal(f->notices, 1);
	assert_int_equal(reopen(f, 0, true), 0);
	assert_true(f->notices >= 1);
	expect(f, left, seqs);
	assert_int_equal(f->log->ops->last_seq(f->log), 4); /* a lost number is not given out again */
	assert_int_equal(append(f, 20), 5);
	assert_int_equal(f->log->ops->wait(f->log, 5), 0);
}

static void four_records(struct fixture *f)
{
	for (unsigned i = 1; i <= 4; i++)
		append_synced(f, i);
	stop(f);
}

static void a_rotten_payload_is_told_from_a_torn_one(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	rot(f, f->records[1].place.at + 3, 1, 3, (const uint64_t[]){1, 3, 4});
}

static void a_rotten_header_is_stepped_over(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	rot(f, f->records[1].place.at - RECORD_HEADER_BYTES, RECORD_HEADER_BYTES, 3, (const uint64_t[]){1, 3, 4});
}

static void the_first_record_may_rot(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	rot(f, SEGMENT_HEADER_BYTES, 100, 2, (const uint64_t[]){3, 4});
}

static void many_records_may_rot(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	rot(f, f->records[0].place.at, (size_t)(f->records[2].place.at - f->records[0].place.at), 1,
		(const uint64_t[]){4});
}

static void after_a_clean_end_the_last_record_is_known(void **state)
{
	struct fixture *f = *state;
	struct slice bytes;

	for (unsigned i = 1; i <= 4; i++)
		(void)append(f, i);
	f->log->ops->close(&f->log);
	assert_true(sim_files_get(f->files, first_path, &bytes));
	assert_true(bytes.len < 8192);
	rot(f, f->records[3].place.at, 1, 3, (const uint64_t[]){1, 2, 3});
}

static void without_a_claim_the_last_one_is_torn(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	patch(f, f->records[3].place.at, 1, 0x5a);
	assert_int_equal(reopen(f, 0, false), 0);
	expect(f, 3, (const uint64_t[]){1, 2, 3});
	assert_int_equal(f->notices, 0);
}

static void what_is_applied_may_rot_without_harm(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	patch(f, f->records[1].place.at, 1, 0x5a);
	assert_int_equal(reopen(f, 4, false), 0);
	expect(f, 1, (const uint64_t[]){4});
	assert_int_equal(f->notices, 1);
	/* Asked for this very segment, it says so again. */
	f->heard_count = 0;
	assert_int_equal(f->log->ops->segment_read(f->log, 1, &(struct segment_reading){on_record, NULL, f}), -EBADMSG);
	assert_int_equal(f->log->ops->segment_read(f->log, 1, &(struct segment_reading){on_record, on_damage, f}), 0);
	expect(f, 4, (const uint64_t[]){1, 1, 3, 4});
}

static void a_segment_header_may_rot_once(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	patch(f, 0, 64, 0x5a);
	assert_int_equal(reopen(f, 0, false), 0);
	expect(f, 4, (const uint64_t[]){1, 2, 3, 4});
}

static void a_segment_without_a_header_is_no_spare(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	assert_int_equal(reopen(f, 0, false), 0);
	append_synced(f, 5);
	stop(f);
	patch(f, 0, 4096, 0x5a);
	assert_int_equal(reopen(f, 0, false), -EBADMSG);
	assert_int_equal(f->notices, 1);
	assert_int_equal(reopen(f, 0, true), 0);
	expect(f, 1, (const uint64_t[]){5});
	assert_int_equal(append(f, 20), 6);
	stop(f);
	assert_int_equal(reopen(f, 0, false), -EBADMSG); /* it is still there for whoever can make sense of it */
}

/* Spares whose numbers are below that of a segment in use, as seed 237901 of the simulation came by them. */
static void spares_in_the_wrong_order(struct fixture *f)
{
	const struct file_system *files = sim_files_system(f->files);
	struct segment_header header = {9, 77, 1, 0};
	char path[sizeof(first_path)] = "data/journal/000000000000000?.seg", block[SEGMENT_HEADER_BYTES];
	int file;

	segment_header_put(block, &header);
	for (unsigned id = 5; id <= 9; id++) {
		path[28] = (char)('0' + id);
		assert_int_equal(files->open(files->context, path, FILE_WRITE, &file), 0);
		assert_int_equal(files->zero(files->context, file, 0, 1048576), 0);
		if (id == 9)
			assert_int_equal(
				files->write(files->context, file, 0, (struct slice){block, sizeof(block)}), 0);
		assert_int_equal(files->close(files->context, file), 0);
	}
}

static void a_start_that_fails_holds_no_file(void **state)
{
	struct fixture *f = *state;
	unsigned failed = 0;
	int error;

	four_records(f);
	do {
		spares_in_the_wrong_order(f);
		sim_files_fail_change_at(f->files, failed + 1, -EIO);
		error = reopen(f, 0, false);
		if (error) {
			assert_int_equal(error, -EIO);
			failed++;
			sim_files_restart(f->files); /* it would find what is still open */
		}
	} while (error && failed < 100);
	assert_in_range(failed, 5, 99);
	sim_files_fail_change_at(f->files, 0, 0);
}

/* ---- Where to begin, seeds ---- */

static void reading_begins_where_it_is_told(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i <= 9; i++) {
		append_synced(f, i);
		f->log->ops->close(&f->log);
		assert_int_equal(reopen(f, 1000, false), 0);
		assert_int_equal(f->heard_count, 0);
		assert_int_equal(f->log->ops->last_seq(f->log), i);
		f->count = 0;
	}
	f->log->ops->close(&f->log);
	assert_int_equal(reopen(f, 8, false), 0);
	expect(f, 2, (const uint64_t[]){8, 9});
	assert_int_equal(f->log->ops->replay(f->log, 8, false, on_record, f), -EINVAL);
}

static int stop_reading(void *context, const struct record_read *read)
{
	(void)context;
	return read->seq == 2 ? 77 : 0;
}

static void a_reader_may_stop_it(void **state)
{
	struct fixture *f = *state;

	four_records(f);
	assert_int_equal(reopen(f, 0, false), 0);
	assert_int_equal(f->log->ops->segment_read(f->log, 1, &(struct segment_reading){stop_reading, NULL, f}), 77);
	assert_int_equal(
		f->log->ops->segment_read(f->log, 9, &(struct segment_reading){stop_reading, NULL, f}), -ENOENT);
}

static void each_use_has_its_own_seed(void **state)
{
	struct fixture *f = *state;
	struct segment_header headers[2];
	struct segment_seal seal;
	struct slice bytes;
	bool sealed;

	append_synced(f, 1);
	stop(f);
	assert_true(sim_files_get(f->files, first_path, &bytes));
	assert_int_equal(segment_header_get(bytes.at, 1, &headers[0], &sealed, &seal), SEGMENT_IN_USE);
	assert_int_equal(reopen(f, 0, false), 0);
	append_synced(f, 2);
	f->log->ops->close(&f->log);
	assert_true(sim_files_get(f->files, "data/journal/0000000000000002.seg", &bytes) ||
		    sim_files_get(f->files, "data/journal/0000000000000003.seg", &bytes));
	if (segment_header_get(bytes.at, 2, &headers[1], &sealed, &seal) != SEGMENT_IN_USE)
		assert_int_equal(segment_header_get(bytes.at, 3, &headers[1], &sealed, &seal), SEGMENT_IN_USE);
	assert_true(sealed);
	assert_int_equal(seal.last_seq, 2);
	assert_true(headers[0].seed != headers[1].seed);
	assert_true(headers[0].seed != 0 && headers[1].seed != 0);
}

#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, make, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_header_is_of_one_file),
		cmocka_unit_test(a_seal_is_of_one_use),
		cmocka_unit_test(a_record_header_is_of_one_use),
		WITH_LOG(a_torn_end_is_cut_at_every_byte),
		WITH_LOG(nothing_behind_a_gap_comes_back),
		WITH_LOG(a_rotten_payload_is_told_from_a_torn_one),
		WITH_LOG(a_rotten_header_is_stepped_over),
		WITH_LOG(the_first_record_may_rot),
		WITH_LOG(many_records_may_rot),
		WITH_LOG(after_a_clean_end_the_last_record_is_known),
		WITH_LOG(without_a_claim_the_last_one_is_torn),
		WITH_LOG(what_is_applied_may_rot_without_harm),
		WITH_LOG(a_segment_header_may_rot_once),
		WITH_LOG(a_segment_without_a_header_is_no_spare),
		WITH_LOG(a_start_that_fails_holds_no_file),
		WITH_LOG(reading_begins_where_it_is_told),
		WITH_LOG(a_reader_may_stop_it),
		WITH_LOG(each_use_has_its_own_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
