/* Adding messages to a mailbox: one record with everything about all of them, their last frames behind it. */
#include "store/body.h"
#include "store/ids.h"
#include "store/resident.h"

struct adding {
	struct mailbox *mailbox;
	const struct append_item *items;
	size_t count;
	struct buffer *change, *list; /* the record; the encoded items */
	struct buffer fresh;          /* keywords */
	struct buffer frames, hashes; /* of the item at hand */
	uint64_t fresh_count, bytes, threads_new;
	uint32_t bodies_len; /* so far */
	struct frames_hold hold;
	bool frames_apart; /* together too large for one record: each last frame gets one of its own */
};

static int adding_check(struct adding *a)
{
	const struct account_row *row = &a->mailbox->account->row;
	uint64_t inline_bytes = 0;

	if (a->mailbox->deleted)
		return -ESTALE;
	if (!a->count)
		return -EINVAL;
	if (a->count >= UINT32_MAX - a->mailbox->uidnext || row->next_id + 2 * a->count > UINT32_MAX)
		return -ENOBUFS;
	for (size_t i = 0; i < a->count; i++) {
		if (!a->items[i].ingest->finished)
			return -EINVAL;
		a->bytes += a->items[i].ingest->bytes;
		inline_bytes += a->items[i].ingest->stored.len;
	}
	if ((row->quota_bytes && row->used_bytes + a->bytes > row->quota_bytes) ||
		account_is_full(a->mailbox->account, a->count))
		return -EDQUOT;
	a->frames_apart = a->count > 1 && inline_bytes > a->mailbox->account->shard->store->settings.segment_bytes / 4;
	return 0;
}

static uint32_t clamp_date(int64_t seconds)
{
	return seconds < 0 ? 0 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static int put_frames(struct adding *a, const struct ingest *ingest)
{
	struct frame_ref ref = {.offset = a->bodies_len,
		.stored_bytes = (uint32_t)ingest->stored.len,
		.raw_bytes = ingest->last_raw_bytes};

	buffer_reset(&a->frames);
	buffer_put(&a->frames, buffer_slice(&ingest->frames));
	if (!ingest->stored.len)
		return buffer_error(&a->frames);
	if (a->frames_apart) {
		int error;

		frames_hold(ingest->store, &a->hold);
		error = frame_write(ingest->store, buffer_slice(&ingest->stored), &ref);
		if (!error)
			error = frames_hold_place(ingest->store, &a->hold, &ref.place);
		if (error)
			return error;
	} else {
		a->bodies_len += ref.stored_bytes;
	}
	frame_ref_put(&a->frames, &ref);
	/* A list that says more than it holds would make a record that nobody can read. */
	return buffer_error(&a->frames);
}

static int put_item(struct adding *a, size_t i)
{
	const struct append_item *item = &a->items[i];
	const struct ingest *ingest = item->ingest;
	struct account *account = a->mailbox->account;
	struct append_entry entry = {.flags = (uint16_t)(item->flags.flags & FLAGS_ALL), .zone = item->zone};
	uint64_t fresh_hashes = 0;
	int error = keywords_bits(a->mailbox, item->flags.keywords, item->flags.keyword_count, &a->fresh,
		&a->fresh_count, &entry.keywords);

	if (!error)
		error = put_frames(a, ingest);
	buffer_reset(&a->hashes);
	if (!error)
		error = thread_find(
			account, buffer_slice(&ingest->hashes), &entry.email.thread, &a->hashes, &fresh_hashes);
	if (!error)
		error = buffer_error(&a->hashes);
	if (error)
		return error;
	if (!entry.email.thread)
		entry.email.thread = account_new_id(account, a->count + a->threads_new++);
	entry.internaldate =
		clamp_date(item->internaldate == INT64_MIN ? clock_wall_ms(account->shard->store->settings.clock) / 1000
							   : item->internaldate);
	entry.email.id = account_new_id(account, i);
	entry.email.bytes = ingest->bytes;
	entry.email.frames = (struct op_list){ingest->frame_count + (ingest->stored.len > 0), buffer_slice(&a->frames)};
	entry.email.hashes = (struct op_list){fresh_hashes, buffer_slice(&a->hashes)};
	entry.email.described = buffer_slice(&ingest->described);
	append_entry_put(a->list, &entry);
	return 0;
}

static int adding_commit(struct adding *a)
{
	struct account *account = a->mailbox->account;
	struct op_append op = {.mailbox = a->mailbox->id,
		.modseq = account->row.modseq + 1,
		.first_uid = a->mailbox->uidnext,
		.keywords = {a->fresh_count, buffer_slice(&a->fresh)},
		.items = {a->count, buffer_slice(a->list)}};
	struct slice few[4], *bodies = few;
	size_t bodies_count = a->frames_apart ? 0 : a->count;
	int error;

	if (bodies_count > ARRAY_LEN(few))
		bodies = malloc(bodies_count * sizeof(*bodies));
	if (!bodies)
		return -ENOMEM;
	for (size_t i = 0; i < bodies_count; i++)
		bodies[i] = buffer_slice(&a->items[i].ingest->stored);
	op_put_append(a->change, &op);
	buffer_put(a->change, op.items.bytes);
	error = change_commit(account, bodies, bodies_count, CHANGE_LARGE, NULL, a->mailbox, NULL);
	if (bodies != few)
		free(bodies);
	return error;
}

int mailbox_append(struct mailbox *mailbox, const struct append_item *items, size_t count, const struct actor *actor,
	uint32_t *ret_first_uid)
{
	struct adding a = {.mailbox = mailbox,
		.items = items,
		.count = count,
		.list = &mailbox->account->shard->list,
		.fresh = BUFFER_INIT(STORE_KEYWORDS_MAX * (STORE_KEYWORD_NAME_MAX + 2)),
		.frames = BUFFER_INIT(1 << 26),
		.hashes = BUFFER_INIT(1 << 16),
		.hold = FRAMES_HOLD_INIT};
	uint32_t first_uid = mailbox->uidnext;
	int error = change_start(mailbox->account, actor, &a.change);

	if (!error)
		error = adding_check(&a);
	for (size_t i = 0; !error && i < count; i++)
		error = put_item(&a, i);
	if (!error)
		error = buffer_error(a.list);
	if (!error)
		error = adding_commit(&a);
	frames_release(mailbox->account->shard->store, &a.hold);
	buffer_free(&a.fresh);
	buffer_free(&a.frames);
	buffer_free(&a.hashes);
	if (!error)
		*ret_first_uid = first_uid;
	return error;
}
