#include "sim_disk.h"

static void durable(void *context, struct record *first, uint64_t seq)
{
	struct sim_disk *world = context;
	uint64_t expected = atomic_load(&world->promised);

	/* Each record comes once, in order. */
	for (; first; first = first->next)
		world->wrong += first->seq != ++expected;
	world->wrong += expected != seq;
	atomic_store(&world->promised, seq);
}

static void failed(void *context, int error, const char *what)
{
	struct sim_disk *world = context;

	world->wrong += error == 0 || !what;
	world->wrong += atomic_exchange(&world->failed, true); /* told once only */
}

static void notice(void *context, const char *event, struct slice detail)
{
	struct sim_disk *world = context;

	world->wrong += !event || !detail.len;
	world->notices += strcmp(event, "journal-damaged") == 0;
}

struct sim_disk *sim_disk_new(uint64_t seed)
{
	struct sim_disk *world = calloc(1, sizeof(*world));

	CHECK(world);
	world->files = sim_files_new(seed);
	sim_disk_reset(world, seed);
	return world;
}

static void forget(struct sim_disk *world)
{
	for (size_t i = 0; i < SIM_RECORDS_MAX; i++)
		free(world->records[i]);
}

void sim_disk_reset(struct sim_disk *world, uint64_t seed)
{
	struct sim_files *files = world->files;

	CHECK(!world->log);
	forget(world);
	sim_files_reset(files, seed);
	*world = (struct sim_disk){.files = files, .random = seed * 0xd1342543de82ef95ULL | 1, .spares = 1};
}

void sim_disk_free(struct sim_disk **world)
{
	forget(*world);
	sim_files_free(&(*world)->files);
	free(*world);
	*world = NULL;
}

uint64_t sim_disk_chance(struct sim_disk *world, uint64_t of)
{
	world->random = world->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (world->random >> 33) % of;
}

/* Eight bytes that no other place of no other record has. */
static uint64_t payload_word(const struct sim_record *record, uint32_t at)
{
	return (record->content << 20 ^ at) * 0x9e3779b97f4a7c15ULL;
}

static void make_payload(char *to, const struct sim_record *record)
{
	for (uint32_t at = 0; at < record->bytes; at += 8) {
		uint64_t word = payload_word(record, at);

		memcpy(to + at, &word, MIN(8, record->bytes - at));
	}
}

static bool is_payload(const struct sim_record *record, struct slice payload)
{
	if (payload.len != record->bytes)
		return false;
	for (uint32_t at = 0; at < record->bytes; at += 8) {
		uint64_t word = payload_word(record, at);

		if (memcmp(payload.at + at, &word, MIN(8, record->bytes - at)) != 0)
			return false;
	}
	return true;
}

static unsigned char dropped_state(const struct sim_disk *world, const struct sim_record *record)
{
	return record->content ? world->dropped[record->record.place.segment % SIM_SEGMENTS_MAX] : 0;
}

static int check_record(void *context, const struct record_read *read)
{
	struct sim_disk *world = context;
	struct sim_record *record = read->seq < SIM_RECORDS_MAX ? world->records[read->seq] : NULL;

	for (uint64_t seq = world->seen + 1; seq < read->seq && seq < SIM_RECORDS_MAX; seq++)
		world->wrong += !world->records[seq] || dropped_state(world, world->records[seq]) == 0;
	world->wrong += read->seq <= world->seen;
	world->seen = read->seq;
	if (!record || !record->content) {
		world->wrong++;
		return 0;
	}
	world->wrong += dropped_state(world, record) == 2;
	world->wrong += record->record.account != read->account || record->record.kind != read->kind;
	world->wrong += !is_payload(record, read->payload);
	record->record.place = read->place;
	return 0;
}

/* What the log ends with now is what it has promised to keep; the rest never was. */
static void settle(struct sim_disk *world)
{
	uint64_t end = world->log->ops->last_seq(world->log);

	world->wrong += end < atomic_load(&world->promised) || end > world->last || world->seen > end;
	world->wrong += world->log->ops->durable_seq(world->log) != end;
	for (uint64_t seq = world->seen + 1; seq <= end; seq++)
		world->wrong += dropped_state(world, world->records[seq]) == 0;
	for (uint64_t seq = end + 1; seq <= world->last; seq++) {
		free(world->records[seq]);
		world->records[seq] = NULL;
	}
	world->last = end;
	atomic_store(&world->promised, end);
}

int sim_disk_open(struct sim_disk *world)
{
	struct disk_settings settings = disk_settings_default();
	int error;

	settings.dir = SLICE("data/journal");
	settings.segment_bytes = 1048576;
	settings.staging_bytes_max = 262144;
	settings.spares = world->spares;
	settings.files = sim_files_system(world->files);
	settings.events = (struct durability_events){durable, failed, notice, world};
	atomic_store(&world->failed, false);
	world->seen = 0;
	error = disk_open(&settings, &world->log);
	if (error)
		return error;
	error = world->log->ops->replay(world->log, 0, false, check_record, world);
	if (error)
		world->log->ops->close(&world->log);
	else
		settle(world);
	return error;
}

void sim_disk_close(struct sim_disk *world)
{
	if (world->log)
		world->log->ops->close(&world->log);
}

int sim_disk_append(struct sim_disk *world, uint32_t bytes)
{
	struct sim_record *record = calloc(1, sizeof(*record));
	struct slice parts[3];
	char *payload = malloc(bytes + 1);
	int error;

	CHECK(record && payload);
	record->bytes = bytes;
	record->content = ++world->contents;
	record->record.account = record->content % 7;
	record->record.kind = (uint8_t)(record->content % 250);
	make_payload(payload, record);
	parts[0] = slice_first((struct slice){payload, bytes}, bytes / 3);
	parts[1] = (struct slice){NULL, 0};
	parts[2] = slice_from((struct slice){payload, bytes}, bytes / 3);
	error = world->log->ops->append(world->log, &record->record, parts, 3, world->small_reserve);
	free(payload);
	if (error) {
		free(record);
		return error;
	}
	world->wrong += record->record.seq != world->last + 1;
	world->last = record->record.seq;
	CHECK(world->last < SIM_RECORDS_MAX && !world->records[world->last]);
	world->records[world->last] = record;
	return 0;
}

int sim_disk_read(struct sim_disk *world, uint64_t seq)
{
	struct sim_record *record = world->records[seq];
	char *payload;
	uint32_t from;
	int error;

	if (!record || dropped_state(world, record))
		return 0;
	payload = calloc(1, record->bytes + 1);
	CHECK(payload);
	from = (uint32_t)sim_disk_chance(world, record->bytes + 1);
	error = world->log->ops->read(world->log, &record->record.place, 0, from, payload);
	if (!error)
		error = world->log->ops->read(
			world->log, &record->record.place, from, record->bytes - from, payload + from);
	if (!error)
		world->wrong += !is_payload(record, (struct slice){payload, record->bytes});
	free(payload);
	return error;
}

static int pick_sealed(void *context, const struct segment_info *info)
{
	uint64_t *pick = context;

	if (info->sealed && !*pick)
		*pick = info->id;
	return 0;
}

static int look_at_record(void *context, const struct record_read *read)
{
	struct sim_disk *world = context;

	world->wrong += !is_payload(world->records[read->seq], read->payload);
	return 0;
}

static int drop_one(struct sim_disk *world)
{
	const struct durability_ops *ops = world->log->ops;
	uint64_t id = 0;
	int error = ops->segments(world->log, pick_sealed, &id);

	if (error || !id)
		return error;
	error = ops->segment_read(world->log, id, &(struct segment_reading){look_at_record, NULL, world});
	if (error)
		return error;
	error = ops->pin(world->log, id);
	if (error)
		return error;
	error = ops->segment_drop(world->log, id);
	if (error != -EBUSY)
		world->dropped[id % SIM_SEGMENTS_MAX] = error ? 1 : 2;
	ops->unpin(world->log, id);
	return error == -EBUSY ? 0 : error;
}

int sim_disk_work(struct sim_disk *world, unsigned steps)
{
	int error = 0;

	for (unsigned i = 0; i < steps && !error; i++) {
		uint64_t dice = sim_disk_chance(world, 100);

		if (dice < 55)
			error = sim_disk_append(world, (uint32_t)sim_disk_chance(world, 400));
		else if (dice < 75)
			error = sim_disk_append(world, (uint32_t)sim_disk_chance(world, 120000));
		else if (dice < 85)
			error = world->log->ops->wait(world->log, world->last);
		else if (dice < 97 && world->last)
			error = sim_disk_read(world, 1 + sim_disk_chance(world, world->last));
		else
			error = drop_one(world);
	}
	return error;
}
