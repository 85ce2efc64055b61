#include "store/record.h"

enum { CHANGE_VERSION = 1, ACTOR_TEXT_MAX = 64 };

static void put_zigzag(struct buffer *b, int64_t value)
{
	buffer_put_varint(b, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_kind(struct buffer *b, enum op_kind kind)
{
	buffer_put_byte(b, (char)kind);
}

static void put_list(struct buffer *b, struct op_list list)
{
	buffer_put_varint(b, list.count);
	buffer_put(b, list.bytes);
}

void change_begin(struct buffer *b, const struct actor *actor, int64_t time_ms)
{
	static const struct actor server = {STORE_BY_SERVER, {NULL, 0}, {NULL, 0}};

	if (!actor)
		actor = &server;
	buffer_put_le32(b, 0);
	buffer_put_byte(b, CHANGE_VERSION);
	buffer_put_byte(b, (char)actor->protocol);
	put_zigzag(b, time_ms);
	buffer_put_sized(b, slice_first(actor->device, ACTOR_TEXT_MAX));
	buffer_put_sized(b, slice_first(actor->address, ACTOR_TEXT_MAX));
}

void change_finish(struct buffer *b)
{
	uint32_t len;

	if (b->error)
		return;
	CHECK(b->len >= 4 && b->len - 4 <= UINT32_MAX);
	len = (uint32_t)(b->len - 4);
	for (int i = 0; i < 4; i++)
		b->at[i] = (char)(len >> (8 * i));
}

void op_put_account(struct buffer *b, const struct op_account *op)
{
	put_kind(b, OP_ACCOUNT_SET);
	buffer_put_sized(b, op->address);
	buffer_put_sized(b, op->secret);
	buffer_put_varint(b, op->quota_bytes);
	buffer_put_byte(b, (char)op->allowed);
	buffer_put_byte(b, op->disabled);
	put_zigzag(b, op->created_ms);
}

void op_put_mailbox(struct buffer *b, enum op_kind kind, const struct op_mailbox *op)
{
	put_kind(b, kind);
	buffer_put_varint(b, op->id);
	buffer_put_varint(b, op->modseq);
	buffer_put_varint(b, op->uidvalidity);
	buffer_put_varint(b, op->special_use);
	buffer_put_sized(b, op->name);
}

void op_put_name(struct buffer *b, enum op_kind kind, bool on, struct slice name)
{
	put_kind(b, kind);
	buffer_put_byte(b, on);
	buffer_put_sized(b, name);
}

void op_put_number(struct buffer *b, enum op_kind kind, uint64_t number)
{
	put_kind(b, kind);
	buffer_put_varint(b, number);
}

static void put_email(struct buffer *b, const struct email_description *email)
{
	buffer_put_varint(b, email->id);
	buffer_put_varint(b, email->thread);
	buffer_put_varint(b, email->bytes);
	put_list(b, email->frames);
	put_list(b, email->hashes);
	buffer_put_sized(b, email->described);
}

void op_put_append(struct buffer *b, const struct op_append *op)
{
	put_kind(b, OP_APPEND);
	buffer_put_varint(b, op->mailbox);
	buffer_put_varint(b, op->modseq);
	buffer_put_varint(b, op->first_uid);
	put_list(b, op->keywords);
	buffer_put_varint(b, op->items.count);
}

void append_entry_put(struct buffer *b, const struct append_entry *entry)
{
	buffer_put_byte(b, (char)(entry->flags & FLAGS_ALL));
	buffer_put_le16(b, (uint16_t)entry->zone);
	buffer_put_varint(b, entry->keywords);
	buffer_put_le32(b, entry->internaldate);
	put_email(b, &entry->email);
}

void op_put_flags(struct buffer *b, const struct op_flags *op)
{
	put_kind(b, OP_FLAGS);
	buffer_put_byte(b, (char)op->mode);
	buffer_put_varint(b, op->mailbox);
	buffer_put_varint(b, op->modseq);
	buffer_put_byte(b, (char)op->flags);
	buffer_put_varint(b, op->keywords);
	put_list(b, op->new_keywords);
	put_list(b, op->ranges);
}

void op_put_expunge(struct buffer *b, const struct op_expunge *op)
{
	put_kind(b, OP_EXPUNGE);
	buffer_put_varint(b, op->mailbox);
	buffer_put_varint(b, op->modseq);
	put_list(b, op->ranges);
}

void op_put_copy(struct buffer *b, const struct op_copy *op)
{
	put_kind(b, OP_COPY);
	buffer_put_byte(b, op->move);
	buffer_put_varint(b, op->mailbox);
	buffer_put_varint(b, op->target);
	buffer_put_varint(b, op->modseq);
	buffer_put_varint(b, op->first_uid);
	put_list(b, op->new_keywords);
	put_list(b, op->ranges);
	put_list(b, op->entries);
}

void copied_entry_put(struct buffer *b, const struct entry *entry)
{
	buffer_put_le16(b, entry->flags);
	buffer_put_le16(b, (uint16_t)entry->zone);
	buffer_put_varint(b, entry->keywords);
	buffer_put_le32(b, entry->internaldate);
	buffer_put_varint(b, entry->email);
	buffer_put_varint(b, entry->bytes);
}

void op_put_purge(struct buffer *b, const struct op_purge *op)
{
	put_kind(b, OP_PURGE);
	buffer_put_varint(b, op->mailbox);
	buffer_put_varint(b, op->modseq);
	put_zigzag(b, op->when_ms);
}

void op_put_relocate(struct buffer *b, const struct email_description *email)
{
	put_kind(b, OP_RELOCATE);
	put_email(b, email);
}

void op_put_alias(struct buffer *b, struct slice address, const struct slice *targets, size_t count)
{
	put_kind(b, OP_ALIAS);
	buffer_put_sized(b, address);
	buffer_put_varint(b, count);
	for (size_t i = 0; i < count; i++)
		buffer_put_sized(b, targets[i]);
}

void op_put_row(struct buffer *b, enum op_kind kind, struct slice row)
{
	put_kind(b, kind);
	buffer_put_sized(b, row);
}

void op_put_state(
	struct buffer *b, enum op_kind kind, uint64_t mailbox, uint64_t modseq, struct slice head, struct op_list list)
{
	put_kind(b, kind);
	buffer_put_varint(b, mailbox);
	buffer_put_varint(b, modseq);
	buffer_put_sized(b, head);
	put_list(b, list);
}

void range_put(struct buffer *b, uint32_t *last, struct uid_range range)
{
	buffer_put_varint(b, range.first - *last);
	buffer_put_varint(b, range.last - range.first);
	*last = range.last;
}

void frame_ref_put(struct buffer *b, const struct frame_ref *ref)
{
	buffer_put_varint(b, ref->place.segment);
	if (ref->place.segment) {
		buffer_put_varint(b, ref->place.at);
		buffer_put_varint(b, ref->place.bytes);
	}
	buffer_put_varint(b, ref->offset);
	buffer_put_varint(b, ref->stored_bytes);
	buffer_put_varint(b, ref->raw_bytes);
}
