/* Checking the journal, and saying in words what is wrong with it. */
#include "store/check.h"
#include "store/ids.h"

/* Places of records in different segments seldom share a key; a wrong guess only words a line differently. */
static uint64_t place_key(uint64_t segment, uint32_t at)
{
	return (segment << 32 ^ segment >> 32 ^ at) | 1ull << 63;
}

bool check_is_damaged(const struct checking *c, const struct record_place *place)
{
	uint64_t there;

	return number_map_get(&c->damaged, place_key(place->segment, place->at), &there);
}

static const char *kind_words(uint8_t kind)
{
	switch ((enum record_kind)kind) {
	case RECORD_FRAME:
		return "a piece of a message";
	case RECORD_CHANGE:
		return "a change";
	case RECORD_DICTIONARY:
		return "a dictionary for compressed messages";
	case RECORD_SNAPSHOT_BEGIN:
	case RECORD_SNAPSHOT_PART:
	case RECORD_SNAPSHOT_END:
		return "a snapshot";
	}
	return "a record of unknown kind";
}

static const char *part_words(enum log_damage_part part)
{
	switch (part) {
	case LOG_SEGMENT_HEADER:
		return "the header of the file";
	case LOG_RECORD_HEADER:
		return "the header of a record";
	case LOG_RECORD_PADDING:
		return "the space behind a record";
	case LOG_RECORD_PAYLOAD:
		break;
	}
	return "the content of a record";
}

static void put_record(struct checking *c, const struct log_damage *damage, struct buffer *out)
{
	if (damage->seq)
		buffer_printf(out, " (record %llu", (unsigned long long)damage->seq);
	if (damage->seq && damage->has_header) {
		buffer_printf(out, ", %s", kind_words(damage->kind));
		if (damage->account) {
			buffer_put_text(out, " of ");
			check_account_name(c, damage->account, out);
		}
	}
	if (damage->seq)
		buffer_put_byte(out, ')');
}

static const char *outcome(struct checking *c, const struct log_damage *damage)
{
	struct durability *log = c->store->log;

	if (!damage->mended)
		return "it is damaged beyond a single bit, and what only it says is lost";
	if (log->ops->mend(log, damage) == 0)
		return "a bit was wrong; it has been put right";
	return "a bit is wrong; nothing is lost"; /* the segment is still being written */
}

static void on_damage(void *context, const struct log_damage *damage)
{
	struct checking *c = context;
	struct buffer record = BUFFER_INIT(1024);
	const char *how = outcome(c, damage);

	put_record(c, damage, &record);
	check_report(c, "journal segment %016llx, offset %llu: %s%s: %s", (unsigned long long)damage->segment,
		(unsigned long long)damage->at, part_words(damage->part), buffer_text(&record), how);
	if (damage->part == LOG_RECORD_PAYLOAD &&
		number_map_put(&c->damaged, place_key(damage->segment, damage->place.at), 1))
		check_report(c, "there is no memory to say which message that is");
	buffer_free(&record);
}

static int on_record(void *context, const struct record_read *record)
{
	(void)record;
	((struct checking *)context)->records++;
	return 0;
}

static int on_segment(void *context, const struct segment_info *info)
{
	struct checking *c = context;
	const struct segment_reading reading = {on_record, on_damage, c};
	int error = c->store->log->ops->segment_read(c->store->log, info->id, &reading);

	if (error == -EIO) {
		check_report(
			c, "journal segment %016llx: the disk does not give it back", (unsigned long long)info->id);
		return 0;
	}
	return error == -ENOENT ? 0 : error; /* freed since it was listed */
}

int check_journal(struct checking *c)
{
	return c->store->log->ops->segments(c->store->log, on_segment, c);
}
