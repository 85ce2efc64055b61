#include "store/relocate.h"
#include "store/body.h"
#include "store/description.h"

enum { UNPACK_BYTES_MAX = 1 << 26 };

bool email_is_in(const struct email_row *row, uint64_t segment)
{
	struct reader r = op_list_reader(row->frames);
	struct frame_ref ref;

	if (row->home == segment)
		return true;
	while (frame_ref_next(&r, &ref)) {
		if (ref.place.segment == segment)
			return true;
	}
	return false;
}

static bool goes_away(const struct relocation *r, uint64_t segment)
{
	for (size_t i = 0; i < r->segment_count; i++) {
		if (r->segments[i] == segment)
			return true;
	}
	return false;
}

static bool email_goes_away(const struct relocation *r, const struct email_row *row)
{
	for (size_t i = 0; i < r->segment_count; i++) {
		if (email_is_in(row, r->segments[i]))
			return true;
	}
	return false;
}

/* The email's row, copied: it outlives the transaction. */
static int row_copy(struct store *store, uint64_t id, struct buffer *bytes, struct email_row *ret_row)
{
	struct index_key key = key_of(id);
	struct slice value;
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_get(store->index, txn, TABLE_EMAILS, key_slice(&key), &value);
	if (!error) {
		buffer_put(bytes, value);
		error = buffer_error(bytes);
	}
	mdb_txn_abort(txn);
	return error ? error : email_row_read(buffer_slice(bytes), ret_row);
}

int relocation_begin(struct relocation *r, struct store *store)
{
	r->store = store;
	return repacking_begin(&r->repacking, store);
}

void relocation_end(struct relocation *r)
{
	repacking_end(&r->repacking);
}

static int frame_read(struct store *store, const struct frame_ref *ref, struct buffer *body)
{
	struct durability *log = store->log;
	char *room = buffer_room(body, ref->stored_bytes);
	int error = room ? log->ops->read(log, &ref->place, ref->offset, ref->stored_bytes, room) : buffer_error(body);

	if (!error)
		buffer_added(body, ref->stored_bytes);
	return error;
}

/* Whether all that is to be copied can be: else a part of it would have been, for nothing, and again each time. */
static int frames_check(struct relocation *r, const struct email_row *row, struct buffer *body)
{
	struct reader list = op_list_reader(row->frames);
	struct frame_ref ref;
	int error = 0;

	while (!error && row->frames.count > 1 && frame_ref_next(&list, &ref)) {
		buffer_reset(body);
		if (goes_away(r, ref.place.segment))
			error = frame_unpack(r->store, &ref, body);
	}
	buffer_reset(body);
	return error;
}

/* Frames of a large message get records of their own again; a small one's goes into the email's record. */
static int frames_move(
	struct relocation *r, const struct email_row *row, struct buffer *frames, struct buffer *body, uint64_t *bytes)
{
	struct reader list = op_list_reader(row->frames);
	struct frame_ref ref;
	int error = 0;

	while (!error && frame_ref_next(&list, &ref)) {
		if (goes_away(r, ref.place.segment)) {
			buffer_reset(body);
			error = frame_read(r->store, &ref, body);
			*bytes += ref.stored_bytes;
			if (!error)
				error = frame_repack(&r->repacking, row->frames.count == 1, &ref, body);
			if (!error && row->frames.count > 1)
				error = frame_write(r->store, buffer_slice(body), &ref);
			else
				ref = (struct frame_ref){.stored_bytes = ref.stored_bytes, .raw_bytes = ref.raw_bytes};
		}
		frame_ref_put(frames, &ref);
	}
	if (row->frames.count > 1)
		buffer_reset(body);
	return error ? error : buffer_error(frames);
}

static int hashes_of(struct store *store, struct slice described, struct buffer *hashes)
{
	struct email_room room = EMAIL_ROOM_INIT;
	struct slice packed;
	struct mail_message message;
	struct arena *arena = NULL;
	int error = arena_new(UNPACK_BYTES_MAX, &arena);

	if (!error)
		error = description_read(store, described, EMAIL_WHOLE, &room, &packed);
	if (!error)
		error = mail_unpack(packed, arena, &message);
	if (!error)
		(void)thread_hashes(&message, hashes);
	arena_free(&arena);
	email_room_free(&room);
	return error ? error : buffer_error(hashes);
}

/* Those that belong to the email's thread: it may refer to other threads, too, which keep theirs. */
static int hashes_find(
	struct store *store, uint64_t id, const struct email_row *row, struct buffer *hashes, uint64_t *ret_count)
{
	struct buffer all = BUFFER_INIT(4096);
	struct reader r;
	uint64_t count = 0, thread;
	MDB_txn *txn = NULL;
	int error = hashes_of(store, row->described, &all);

	if (!error)
		error = index_begin(store->index, false, &txn);
	for (r = READER_INIT(buffer_slice(&all)); !error && r.rest.len;) {
		uint64_t hash = reader_le64(&r);
		struct index_key key = key_pair(id_account(id), hash);

		error = index_get_number(store->index, txn, TABLE_THREADS, key_slice(&key), &thread);
		if (!error && thread == row->thread) {
			buffer_put_le64(hashes, hash);
			count++;
		}
		if (error == -ENOENT)
			error = 0;
	}
	if (txn)
		mdb_txn_abort(txn);
	buffer_free(&all);
	if (!error)
		*ret_count = count;
	return error ? error : buffer_error(hashes);
}

static int relocation_write(struct relocation *r, uint64_t id, const struct email_row *row, struct buffer *frames,
	struct buffer *body, uint64_t *ret_seq)
{
	struct buffer change = BUFFER_INIT(UINT32_MAX), hashes = BUFFER_INIT(4096);
	struct email_description email = {.id = id,
		.thread = row->thread,
		.bytes = row->bytes,
		.frames = {row->frames.count, buffer_slice(frames)},
		.described = row->described};
	struct slice bodies = buffer_slice(body);
	struct appending what = {.account = id_account(id), .kind = RECORD_CHANGE, .bodies = &bodies, .body_count = 1};
	int error = hashes_find(r->store, id, row, &hashes, &email.hashes.count);

	if (!error) {
		email.hashes.bytes = buffer_slice(&hashes);
		change_begin(&change, NULL, clock_wall_ms(r->store->settings.clock));
		op_put_relocate(&change, &email);
		change_finish(&change);
		what.change = buffer_slice(&change);
		error = buffer_error(&change);
	}
	if (!error)
		error = store_append(r->store, &what, NULL, ret_seq);
	buffer_free(&change);
	buffer_free(&hashes);
	return error;
}

int email_relocate(struct relocation *r, uint64_t id, uint64_t *ret_bytes, uint64_t *ret_seq)
{
	struct buffer stored = BUFFER_INIT(UINT32_MAX), frames = BUFFER_INIT(1 << 26), body = BUFFER_INIT(UINT32_MAX);
	struct email_row row;
	uint64_t bytes = 0;
	int error = row_copy(r->store, id, &stored, &row);

	if (!error && !email_goes_away(r, &row))
		error = -ENOENT;
	if (!error)
		error = frames_check(r, &row, &body);
	if (!error)
		error = frames_move(r, &row, &frames, &body, &bytes);
	if (!error)
		error = relocation_write(r, id, &row, &frames, &body, ret_seq);
	buffer_free(&stored);
	buffer_free(&frames);
	buffer_free(&body);
	if (!error)
		*ret_bytes = bytes + row.described.len;
	return error == -ENOENT ? 0 : error;
}
