/* Finding emails: in a pending record, or in the index. */
#include "store/body.h"
#include "store/description.h"
#include "store/ids.h"
#include "store/resident.h"

/* The email among those that the reader still has. */
static bool item_find(struct reader *items, uint64_t id, struct append_entry *ret_item)
{
	while (append_entry_next(items, ret_item)) {
		if (ret_item->email.id == id)
			return true;
	}
	return false;
}

/* `items` is left behind the one that is found. */
static bool record_find(struct slice change, uint64_t id, struct reader *items, struct append_entry *ret_item)
{
	struct reader r = READER_INIT(change);
	struct change_head head;
	struct op op;

	change_head_read(&r, &head);
	while (op_next(&r, &op)) {
		if (op.kind != OP_APPEND)
			continue;
		*items = op_list_reader(op.append.items);
		if (item_find(items, id, ret_item))
			return true;
	}
	return false;
}

/*
 * The description of an email in the pending record that has it. Large records are read email by email: then the next one is right
 * behind the last.
 */
static int pending_find(struct shard *shard, const struct pending *pending, uint64_t id, struct email_row *ret_row,
	struct buffer *frames)
{
	struct folding record = pending_folding(pending);
	struct email_trail *trail = &shard->trail;
	struct append_entry item;

	if (trail->seq != record.seq || !item_find(&trail->items, id, &item)) {
		trail->seq = 0;
		if (!record_find(record.change, id, &trail->items, &item))
			return -ENOENT;
	}
	trail->seq = record.seq;
	buffer_reset(frames);
	frames_resolve(item.email.frames, &record, frames);
	*ret_row = (struct email_row){.thread = item.email.thread,
		.bytes = item.email.bytes,
		.home = record.place.segment,
		.frames = {item.email.frames.count, buffer_slice(frames)},
		.described = item.email.described};
	return buffer_error(frames);
}

int email_row_find(struct account *account, uint64_t id, struct email_row *ret_row, struct buffer *frames)
{
	struct slice value = {NULL, 0};
	uint64_t pending;
	int error;

	if (!id)
		return -ENOENT;
	if (number_map_get(&account->emails, id, &pending))
		return pending_find(account->shard, (const struct pending *)(uintptr_t)pending, id, ret_row, frames);
	if (id_account(id) != account->id)
		return -ENOENT;
	error = shard_email_row(account->shard, id, &value);
	return error ? error : email_row_read(value, ret_row);
}

int email_find(struct account *account, uint64_t id, enum email_extent extent, struct email_room *room,
	struct email *ret_email)
{
	struct buffer frames = BUFFER_INIT(1 << 26);
	struct email_row row;
	struct slice packed;
	int error = email_row_find(account, id, &row, &frames);

	buffer_free(&frames);
	if (!error)
		error = description_read(account->shard->store, row.described, extent, room, &packed);
	if (!error)
		*ret_email = (struct email){id, row.thread, row.bytes, packed};
	return error;
}
