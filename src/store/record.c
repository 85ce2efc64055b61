#include "store/record.h"

#include "store/rows.h"

enum { CHANGE_VERSION = 1 };

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static uint32_t reader_u32(struct reader *r)
{
	uint64_t value = reader_varint(r);

	if (value > UINT32_MAX)
		r->error = -EBADMSG;
	return (uint32_t)value;
}

int change_split(struct slice payload, struct slice *ret_change, uint32_t *ret_bodies_at)
{
	struct reader r = READER_INIT(payload);
	uint32_t len = reader_le32(&r);
	struct slice change = reader_bytes(&r, len);

	if (reader_error(&r))
		return reader_error(&r);
	*ret_change = change;
	*ret_bodies_at = len + 4;
	return 0;
}

void change_head_read(struct reader *r, struct change_head *head)
{
	if (reader_u8(r) != CHANGE_VERSION)
		r->error = -EBADMSG;
	head->protocol = (enum store_protocol)reader_u8(r);
	head->time_ms = unzigzag(reader_varint(r));
	head->device = reader_sized(r);
	head->address = reader_sized(r);
}

struct reader op_list_reader(struct op_list list)
{
	return READER_INIT(list.bytes);
}

bool range_next(struct reader *r, uint32_t *last, struct uid_range *ret_range)
{
	uint64_t first, end;

	if (!r->rest.len || r->error)
		return false;
	first = *last + reader_varint(r);
	end = first + reader_varint(r);
	if (first <= *last || first > UINT32_MAX || end < first || end > UINT32_MAX)
		r->error = -EBADMSG;
	if (r->error)
		return false;
	*ret_range = (struct uid_range){(uint32_t)first, (uint32_t)end};
	*last = (uint32_t)end;
	return true;
}

bool frame_ref_next(struct reader *r, struct frame_ref *ret_ref)
{
	struct frame_ref ref = {0};

	if (!r->rest.len || r->error)
		return false;
	ref.place.segment = reader_varint(r);
	if (ref.place.segment) {
		ref.place.at = reader_u32(r);
		ref.place.bytes = reader_u32(r);
	}
	ref.offset = reader_u32(r);
	ref.stored_bytes = reader_u32(r);
	ref.raw_bytes = reader_u32(r);
	if (r->error)
		return false;
	*ret_ref = ref;
	return true;
}

/* A list is its count, then its things; `one` reads one of them and says whether it could. */
static struct op_list list_read(struct reader *r, bool (*one)(struct reader *r, void *state), void *state)
{
	struct op_list list = {reader_varint(r), {NULL, 0}};
	struct slice start = r->rest;

	for (uint64_t i = 0; i < list.count && !r->error; i++) {
		if (!one(r, state) && !r->error)
			r->error = -EBADMSG;
	}
	if (r->error)
		return (struct op_list){0, {NULL, 0}};
	list.bytes = slice_first(start, start.len - r->rest.len);
	return list;
}

static bool one_range(struct reader *r, void *state)
{
	struct uid_range range;

	return range_next(r, state, &range);
}

static bool one_sized(struct reader *r, void *state)
{
	(void)state;
	if (!r->rest.len)
		return false;
	(void)reader_sized(r);
	return !r->error;
}

static bool one_hash(struct reader *r, void *state)
{
	(void)state;
	(void)reader_le64(r);
	return !r->error;
}

static bool one_frame(struct reader *r, void *state)
{
	struct frame_ref ref;

	(void)state;
	return frame_ref_next(r, &ref);
}

static bool one_append(struct reader *r, void *state)
{
	struct append_entry entry;

	(void)state;
	return append_entry_next(r, &entry);
}

static bool one_copied(struct reader *r, void *state)
{
	struct entry entry;

	(void)state;
	return copied_entry_next(r, &entry);
}

static bool one_entry_row(struct reader *r, void *state)
{
	(void)state;
	(void)reader_bytes(r, ENTRY_ROW_BYTES + 4);
	return !r->error;
}

static bool one_share(struct reader *r, void *state)
{
	(void)state;
	(void)reader_bytes(r, 16);
	return !r->error;
}

static struct op_list ranges_read(struct reader *r)
{
	uint32_t last = 0;

	return list_read(r, one_range, &last);
}

static void email_read(struct reader *r, struct email_description *email)
{
	email->id = reader_varint(r);
	email->thread = reader_varint(r);
	email->bytes = reader_varint(r);
	email->frames = list_read(r, one_frame, NULL);
	email->hashes = list_read(r, one_hash, NULL);
	email->described = reader_sized(r);
	if (email->id == 0)
		r->error = -EBADMSG;
}

bool append_entry_next(struct reader *r, struct append_entry *ret_entry)
{
	struct append_entry entry;

	if (!r->rest.len || r->error)
		return false;
	entry.flags = (uint16_t)(reader_u8(r) & FLAGS_ALL);
	entry.zone = (int16_t)reader_le16(r);
	entry.keywords = reader_varint(r);
	entry.internaldate = reader_le32(r);
	email_read(r, &entry.email);
	if (r->error)
		return false;
	*ret_entry = entry;
	return true;
}

bool copied_entry_next(struct reader *r, struct entry *ret_entry)
{
	struct entry entry = {0};

	if (!r->rest.len || r->error)
		return false;
	entry.flags = reader_le16(r) & (FLAGS_ALL | ENTRY_SHARED);
	entry.zone = (int16_t)reader_le16(r);
	entry.keywords = reader_varint(r);
	entry.internaldate = reader_le32(r);
	entry.email = reader_varint(r);
	entry.bytes = reader_varint(r);
	if (entry.email == 0)
		r->error = -EBADMSG;
	if (r->error)
		return false;
	*ret_entry = entry;
	return true;
}

static void account_read(struct reader *r, struct op_account *op)
{
	op->address = reader_sized(r);
	op->secret = reader_sized(r);
	op->quota_bytes = reader_varint(r);
	op->allowed = reader_u8(r);
	op->disabled = reader_u8(r) != 0;
	op->created_ms = unzigzag(reader_varint(r));
}

static void mailbox_read(struct reader *r, struct op_mailbox *op)
{
	op->id = reader_varint(r);
	op->modseq = reader_varint(r);
	op->uidvalidity = reader_u32(r);
	op->special_use = reader_u32(r);
	op->name = reader_sized(r);
	if (op->id == 0)
		r->error = -EBADMSG;
}

static void append_read(struct reader *r, struct op_append *op)
{
	op->mailbox = reader_varint(r);
	op->modseq = reader_varint(r);
	op->first_uid = reader_u32(r);
	op->keywords = list_read(r, one_sized, NULL);
	op->items = list_read(r, one_append, NULL);
	if (op->first_uid == 0 || op->items.count > UINT32_MAX - op->first_uid)
		r->error = -EBADMSG;
}

static void flags_read(struct reader *r, struct op_flags *op)
{
	unsigned mode = reader_u8(r);

	op->mailbox = reader_varint(r);
	op->modseq = reader_varint(r);
	op->flags = reader_u8(r) & FLAGS_ALL;
	op->keywords = reader_varint(r);
	op->new_keywords = list_read(r, one_sized, NULL);
	op->ranges = ranges_read(r);
	if (mode > FLAGS_REMOVE)
		r->error = -EBADMSG;
	op->mode = (enum flags_mode)mode;
}

static void copy_read(struct reader *r, struct op_copy *op)
{
	op->move = reader_u8(r) != 0;
	op->mailbox = reader_varint(r);
	op->target = reader_varint(r);
	op->modseq = reader_varint(r);
	op->first_uid = reader_u32(r);
	op->new_keywords = list_read(r, one_sized, NULL);
	op->ranges = ranges_read(r);
	op->entries = list_read(r, one_copied, NULL);
	if (op->first_uid == 0 || op->entries.count > UINT32_MAX - op->first_uid)
		r->error = -EBADMSG;
}

static void state_read(struct reader *r, struct op *op)
{
	op->state.mailbox = reader_varint(r);
	op->state.modseq = reader_varint(r);
	op->state.head = reader_sized(r);
	op->state.list = list_read(r, op->kind == OP_STATE_SHARES ? one_share : one_entry_row, NULL);
}

static void directory_op_read(struct reader *r, struct op *op)
{
	switch (op->kind) {
	case OP_ACCOUNT_SET:
		account_read(r, &op->account);
		break;
	case OP_DOMAIN:
	case OP_SUBSCRIBE:
		op->name.on = reader_u8(r) != 0;
		op->name.name = reader_sized(r);
		break;
	case OP_ALIAS:
		op->alias.address = reader_sized(r);
		op->alias.targets = list_read(r, one_sized, NULL);
		break;
	case OP_STATE_ACCOUNT:
	case OP_STATE_MAILBOX:
		op->row = reader_sized(r);
		break;
	default: /* ACCOUNT_DELETE, ACCOUNT_PURGE, NEXT_ACCOUNT, STATE_UIDVALIDITY */
		op->number = reader_varint(r);
		break;
	}
}

static void op_read(struct reader *r, struct op *op)
{
	switch (op->kind) {
	case OP_MAILBOX_CREATE:
	case OP_MAILBOX_RENAME:
	case OP_MAILBOX_DELETE:
		mailbox_read(r, &op->mailbox);
		break;
	case OP_APPEND:
		append_read(r, &op->append);
		break;
	case OP_FLAGS:
		flags_read(r, &op->flags);
		break;
	case OP_EXPUNGE:
		op->expunge.mailbox = reader_varint(r);
		op->expunge.modseq = reader_varint(r);
		op->expunge.ranges = ranges_read(r);
		break;
	case OP_COPY:
		copy_read(r, &op->copy);
		break;
	case OP_PURGE:
		op->purge.mailbox = reader_varint(r);
		op->purge.modseq = reader_varint(r);
		op->purge.when_ms = unzigzag(reader_varint(r));
		break;
	case OP_RELOCATE:
		email_read(r, &op->relocate);
		break;
	case OP_STATE_ENTRIES:
	case OP_STATE_EXPUNGED:
	case OP_STATE_SHARES:
		state_read(r, op);
		break;
	default:
		directory_op_read(r, op);
		break;
	}
}

bool op_next(struct reader *r, struct op *op)
{
	unsigned kind;

	if (!r->rest.len || r->error)
		return false;
	kind = reader_u8(r);
	if (kind == 0 || kind >= OP_KINDS) {
		r->error = -EBADMSG;
		return false;
	}
	op->kind = (enum op_kind)kind;
	op_read(r, op);
	return !r->error;
}
