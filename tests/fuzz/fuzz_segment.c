/*
 * Segments of the journal as a disk may give them back. The input is a small script: it lays out two segments with valid checksums around
 * whatever numbers, lengths and claims it likes, and then damages them. Reading must end, give numbers in ascending order
 * only, and leave a log that takes and keeps another record.
 */
#include "../store/sim_files.h"
#include "base/codec.h"
#include "base/hash.h"
#include "store/disk/disk.h"
#include "store/disk/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_BYTES = 1048576, LAID_OUT = 65536, SEED = 77 };

struct layout {
	struct reader script;
	char bytes[2][LAID_OUT];
	unsigned now; /* segment */
	size_t at;
	uint64_t seq;
};

/* Mostly what it should be. */
static uint64_t odd(struct reader *script, uint64_t usual)
{
	uint8_t how = reader_u8(script);

	return how < 240 ? usual : how < 250 ? usual + how - 245 : reader_varint(script);
}

static void put_record(struct layout *l)
{
	char payload[256];
	size_t bytes = reader_u8(&l->script);
	struct record_header header = {.kind = 1, .account = 2};

	memset(payload, (int)bytes, sizeof(payload));
	if (l->at + record_room(bytes) > LAID_OUT)
		return;
	header.payload_crc = crc32c(0, payload, bytes);
	header.bytes = (uint32_t)odd(&l->script, bytes);
	header.seq = odd(&l->script, l->seq);
	header.synced_seq = odd(&l->script, l->seq - 1);
	record_header_put(l->bytes[l->now] + l->at, SEED, &header);
	memcpy(l->bytes[l->now] + l->at + RECORD_HEADER_BYTES, payload, bytes);
	l->at += record_room(bytes);
	l->seq++;
}

static void put_header(struct layout *l)
{
	struct segment_header header = {
		l->now + 1, SEED, odd(&l->script, l->seq), odd(&l->script, l->seq ? l->seq - 1 : 0)};

	segment_header_put(l->bytes[l->now], &header);
	l->at = SEGMENT_HEADER_BYTES;
}

static void put_seal(struct layout *l)
{
	struct segment_seal seal = {odd(&l->script, l->seq - 1), (uint32_t)odd(&l->script, l->at)};

	segment_seal_put(l->bytes[l->now] + SEGMENT_SEAL_AT, SEED, &seal);
}

static void damage(struct layout *l)
{
	size_t at = reader_le16(&l->script);
	size_t len = reader_u8(&l->script);
	char with = (char)reader_u8(&l->script);

	memset(l->bytes[l->now] + at, with, MIN(len, LAID_OUT - at));
}

static void lay_out(struct layout *l)
{
	put_header(l);
	while (!l->script.error && l->script.rest.len) {
		uint8_t what = reader_u8(&l->script);

		if (what < 200) {
			put_record(l);
		} else if (what < 215) {
			put_seal(l);
		} else if (what < 225 && l->now == 0) {
			l->now = 1;
			put_header(l);
		} else if (what < 230) {
			l->at = MIN(l->at + (size_t)8 * reader_u8(&l->script), LAID_OUT);
		} else {
			damage(l);
		}
	}
}

static void on_durable(void *context, struct record *first, uint64_t seq)
{
	(void)context;
	(void)first;
	(void)seq;
}

static void on_failed(void *context, int error, const char *what)
{
	(void)context;
	(void)error;
	check_failed(what, __FILE__, __LINE__);
}

static int on_record(void *context, const struct record_read *read)
{
	uint64_t *last = context;

	CHECK(read->seq > *last && read->payload.len == read->place.bytes);
	*last = read->seq;
	return 0;
}

static int on_segment(void *context, const struct segment_info *info)
{
	struct durability *log = context;
	uint64_t last = 0;

	(void)log->ops->segment_read(log, info->id, &(struct segment_reading){on_record, NULL, &last});
	return 0;
}

/* Opened, it takes a record, and has it when it is opened again. */
static void use(struct disk_settings *settings, uint64_t from_seq, bool salvage)
{
	struct record record = {.kind = 3};
	struct slice payload = SLICE("afterwards");
	struct durability *log;
	uint64_t last = 0;

	CHECK(disk_open(settings, &log) == 0);
	if (log->ops->replay(log, from_seq, salvage, on_record, &last) == 0) {
		CHECK(log->ops->last_seq(log) >= last);
		CHECK(log->ops->append(log, &record, &payload, 1, false) == 0);
		CHECK(record.seq > last && log->ops->wait(log, record.seq) == 0);
		CHECK(log->ops->segments(log, on_segment, log) == 0);
	}
	log->ops->close(&log);
	if (!record.seq)
		return;
	last = 0;
	CHECK(disk_open(settings, &log) == 0);
	CHECK(log->ops->replay(log, record.seq, true, on_record, &last) == 0);
	CHECK(last == record.seq && log->ops->last_seq(log) == last);
	log->ops->close(&log);
}

static void put_files(const struct file_system *files, struct sim_files *sim, const struct layout *l)
{
	static const char *const paths[2] = {"data/journal/0000000000000001.seg", "data/journal/0000000000000002.seg"};
	int file;

	CHECK(files->make_dir(files->context, "data/journal") == 0);
	for (unsigned i = 0; i <= l->now; i++) {
		CHECK(files->open(files->context, paths[i], FILE_WRITE, &file) == 0);
		CHECK(files->allocate(files->context, file, SEGMENT_BYTES) == 0);
		CHECK(files->close(files->context, file) == 0);
		sim_files_patch(sim, paths[i], 0, (struct slice){l->bytes[i], LAID_OUT});
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sim_files *sim;
	static struct layout l;
	struct disk_settings settings = disk_settings_default();
	uint8_t how;

	if (!sim)
		sim = sim_files_new(1);
	sim_files_reset(sim, 1);
	memset(&l, 0, sizeof(l));
	l.script = (struct reader)READER_INIT(slice_make(data, size));
	l.seq = 1;
	how = reader_u8(&l.script);
	lay_out(&l);
	settings.dir = SLICE("data/journal");
	settings.segment_bytes = SEGMENT_BYTES;
	settings.staging_bytes_max = 65536;
	settings.spares = 1;
	settings.files = sim_files_system(sim);
	settings.events = (struct durability_events){on_durable, on_failed, NULL, NULL};
	put_files(settings.files, sim, &l);
	use(&settings, how >> 1, how & 1);
	return 0;
}
