/* Finding emails: in a pending record, or in the index. */
#include "store/body.h"
#include "store/ids.h"
#include "store/resident.h"

/* The description of an email in the pending record that has it. */
static int pending_find(const struct pending *pending, uint64_t id, struct email_row *ret_row, struct buffer *frames)
{
	struct folding record = pending_folding(pending);
	struct reader r = READER_INIT(record.change);
	struct change_head head;
	struct op op;

	change_head_read(&r, &head);
	while (op_next(&r, &op)) {
		struct reader items = op_list_reader(op.append.items);
		struct append_entry item;

		while (op.kind == OP_APPEND && append_entry_next(&items, &item)) {
			if (item.email.id != id)
				continue;
			buffer_reset(frames);
			frames_resolve(item.email.frames, &record, frames);
			*ret_row = (struct email_row){.thread = item.email.thread,
				.bytes = item.email.bytes,
				.home = record.place.segment,
				.frames = {item.email.frames.count, buffer_slice(frames)},
				.packed = item.email.packed};
			return buffer_error(frames);
		}
	}
	return -ENOENT;
}

int email_row_find(struct account *account, uint64_t id, struct email_row *ret_row, struct buffer *frames)
{
	struct slice value = {NULL, 0};
	uint64_t pending;
	int error;

	if (!id)
		return -ENOENT;
	if (number_map_get(&account->emails, id, &pending))
		return pending_find((const struct pending *)(uintptr_t)pending, id, ret_row, frames);
	if (id_account(id) != account->id)
		return -ENOENT;
	error = shard_email_row(account->shard, id, &value);
	return error ? error : email_row_read(value, ret_row);
}

int email_find(struct account *account, uint64_t id, struct email *ret_email)
{
	struct buffer frames = BUFFER_INIT(1 << 26);
	struct email_row row;
	int error = email_row_find(account, id, &row, &frames);

	buffer_free(&frames);
	if (!error)
		*ret_email = (struct email){id, row.thread, row.bytes, row.packed};
	return error;
}
