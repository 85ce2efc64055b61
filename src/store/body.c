/*
 * Reading bodies: one unpacked frame at a time, the reader's own or one that it shares with others (frame_cache.h). What is wanted whole is unpacked
 * to where it is wanted.
 */
#include "store/body.h"

#include "base/base64.h"
#include "store/frame_cache.h"
#include "store/resident.h"

enum { PIN_TRIES = 4 };

struct body_reader {
	struct store *store;
	uint64_t bytes;
	struct frame_ref *frames;
	size_t count, pinned;
	size_t current; /* the frame in `frame`; SIZE_MAX: none */
	struct slice frame;
	bool from_disk; /* and from nowhere else */
	struct buffer raw;
	struct cached_frame *shared; /* where `frame` is, unless it is in `raw` */
};

static int frames_copy(struct body_reader *reader, const struct email_row *row)
{
	struct reader r = op_list_reader(row->frames);
	struct frame_ref ref;

	free(reader->frames);
	reader->bytes = row->bytes;
	reader->count = 0;
	if (row->frames.count > row->frames.bytes.len)
		return -EBADMSG;
	reader->frames = malloc((size_t)(row->frames.count + 1) * sizeof(*reader->frames));
	if (!reader->frames)
		return -ENOMEM;
	while (reader->count < row->frames.count && frame_ref_next(&r, &ref))
		reader->frames[reader->count++] = ref;
	return reader->count == row->frames.count ? reader_error(&r) : -EBADMSG;
}

static void frames_unpin(struct body_reader *reader)
{
	struct durability *log = reader->store->log;

	while (reader->pinned)
		log->ops->unpin(log, reader->frames[--reader->pinned].place.segment);
}

static int frames_pin(struct body_reader *reader)
{
	struct durability *log = reader->store->log;

	while (reader->pinned < reader->count) {
		int error = log->ops->pin(log, reader->frames[reader->pinned].place.segment);

		if (error) {
			frames_unpin(reader);
			return error;
		}
		reader->pinned++;
	}
	return 0;
}

static int reader_for_row(
	struct store *store, const struct email_row *row, bool from_disk, struct body_reader **ret_reader)
{
	struct body_reader *reader = calloc(1, sizeof(*reader));
	int error;

	if (!reader)
		return -ENOMEM;
	reader->store = store;
	reader->from_disk = from_disk || !store->frame_cache;
	reader->current = SIZE_MAX;
	reader->raw = BUFFER_INIT(FRAME_RAW_BYTES + BASE64_SLACK);
	error = frames_copy(reader, row);
	if (!error)
		error = frames_pin(reader);
	if (error) {
		body_reader_free(&reader);
		return error;
	}
	*ret_reader = reader;
	return 0;
}

int body_reader_for_row(struct store *store, const struct email_row *row, struct body_reader **ret_reader)
{
	return reader_for_row(store, row, true, ret_reader);
}

int email_row_use(struct store *store, uint64_t email_id,
	int (*use)(struct store *store, const struct email_row *row, void *context), void *context)
{
	struct index_key key = key_of(email_id);
	struct email_row row;
	struct slice value;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_get(store->index, txn, TABLE_EMAILS, key_slice(&key), &value);
	if (!error)
		error = email_row_read(value, &row);
	if (!error) {
		error = use(store, &row, context);
		if (error == -ENOENT)
			error = -EAGAIN;
	}
	mdb_txn_abort(txn);
	return error;
}

static int reader_take(struct store *store, const struct email_row *row, void *context)
{
	return reader_for_row(store, row, false, context);
}

/*
 * Its segment went since the shard's snapshot of the index was taken, or, of a pending record, since that is in the index: this moment's
 * says where it is now. The shard's is left as it is, as callers hold what it gave them.
 */
static int reader_for_now(struct store *store, uint64_t email_id, struct body_reader **ret_reader)
{
	return email_row_use(store, email_id, reader_take, ret_reader);
}

int body_reader_new(struct account *account, uint64_t email_id, struct body_reader **ret_reader)
{
	struct buffer frames = BUFFER_INIT(1 << 26);
	struct store *store = account->shard->store;
	struct email_row row;
	int error = email_row_find(account, email_id, &row, &frames);

	if (!error) {
		error = reader_for_row(store, &row, false, ret_reader);
		error = error == -ENOENT ? -EAGAIN : error;
	}
	for (int i = 0; i < PIN_TRIES && error == -EAGAIN; i++)
		error = reader_for_now(store, email_id, ret_reader);
	buffer_free(&frames);
	return error == -EAGAIN ? -EBADMSG : error;
}

void body_reader_free(struct body_reader **reader)
{
	struct body_reader *r = *reader;

	if (!r)
		return;
	frames_unpin(r);
	cached_frame_release(&r->shared);
	free(r->frames);
	buffer_free(&r->raw);
	free(r);
	*reader = NULL;
}

/* One flipped bit in the record is put right on the disk. */
static int frame_mend(struct body_reader *reader, const struct frame_ref *ref)
{
	const struct log_damage damage = {
		LOG_RECORD_PAYLOAD, .segment = ref->place.segment, .mended = true, .place = ref->place};
	struct durability *log = reader->store->log;

	if (log->ops->mend(log, &damage))
		return -EBADMSG;
	store_notice(reader->store, "journal-bit-mended", "segment %016llx record at %llu",
		(unsigned long long)ref->place.segment, (unsigned long long)ref->place.at);
	return 0;
}

static int frame_read_or_mend(struct body_reader *reader, const struct frame_ref *ref, struct buffer *out)
{
	size_t before = out->len;
	int error = frame_unpack(reader->store, ref, out);

	if (error != -EBADMSG)
		return error;
	buffer_truncate(out, before);
	error = frame_mend(reader, ref);
	return error ? error : frame_unpack(reader->store, ref, out);
}

/*
 * Makes a frame the current one. Where nobody has it or wants it kept, it is appended to `all`, unless that is NULL, and no frame is the
 * current one.
 */
static int frame_load(struct body_reader *reader, size_t i, struct buffer *all)
{
	const struct frame_ref *ref = &reader->frames[i];
	struct frame_cache *cache = reader->from_disk ? NULL : reader->store->frame_cache;
	struct frame_wish wish = {0};
	int error;

	if (reader->current == i)
		return 0;
	reader->current = SIZE_MAX;
	cached_frame_release(&reader->shared);
	if (!cache || !frame_cache_take(cache, ref, reader->bytes, &reader->shared, &wish)) {
		if (all && !wish.wanted)
			return frame_read_or_mend(reader, ref, all);
		buffer_reset(&reader->raw);
		error = frame_read_or_mend(reader, ref, &reader->raw);
		if (error)
			return error;
		if (cache)
			(void)frame_cache_keep(cache, ref, &wish, &reader->raw, &reader->shared);
	}
	reader->frame = reader->shared ? cached_frame_bytes(reader->shared) : buffer_slice(&reader->raw);
	reader->current = i;
	return 0;
}

int body_reader_peek(struct body_reader *reader, uint64_t at, struct slice *ret_bytes)
{
	size_t i = (size_t)(at / FRAME_RAW_BYTES), within = (size_t)(at % FRAME_RAW_BYTES);
	int error;

	if (at >= reader->bytes)
		return -ENOENT;
	if (i >= reader->count)
		return -EBADMSG;
	error = frame_load(reader, i, NULL);
	if (error)
		return error;
	if (within >= reader->frame.len)
		return -EBADMSG;
	*ret_bytes = slice_from(reader->frame, within);
	return 0;
}

/* Whether all of the frame that begins at `at` is wanted, and there is room for unpacking it. */
static bool is_whole_frame(const struct body_reader *reader, uint64_t at, uint64_t bytes, const struct buffer *out)
{
	size_t i = (size_t)(at / FRAME_RAW_BYTES);

	return at % FRAME_RAW_BYTES == 0 && i < reader->count && reader->frames[i].raw_bytes <= bytes &&
	       reader->frames[i].raw_bytes + BASE64_SLACK <= out->max - out->len;
}

/* Appends at least one byte, at most to the end of the frame. */
static int piece_append(struct body_reader *reader, uint64_t at, uint64_t bytes, struct buffer *out)
{
	size_t before = out->len;
	struct slice piece;
	int error = 0;

	if (is_whole_frame(reader, at, bytes, out))
		error = frame_load(reader, (size_t)(at / FRAME_RAW_BYTES), out);
	if (error || out->len > before)
		return error;
	error = body_reader_peek(reader, at, &piece);
	if (error)
		return error;
	buffer_put(out, slice_first(piece, (size_t)MIN(bytes, SIZE_MAX)));
	return buffer_error(out);
}

int body_reader_read(struct body_reader *reader, uint64_t at, uint64_t bytes, struct buffer *out)
{
	while (bytes && at < reader->bytes) {
		size_t before = out->len;
		int error = piece_append(reader, at, bytes, out);

		if (error)
			return error;
		at += out->len - before;
		bytes -= out->len - before;
	}
	return buffer_error(out);
}
