#include "store/rows.h"

enum { ROW_DELETED = 1, ROW_DISABLED = 2, EMAIL_OVERHEAD = 64 };

void account_row_put(struct buffer *b, const struct account_row *row)
{
	buffer_put_byte(b, (char)((row->deleted ? ROW_DELETED : 0) | (row->disabled ? ROW_DISABLED : 0)));
	buffer_put_varint(b, row->modseq);
	buffer_put_varint(b, row->next_id);
	buffer_put_varint(b, row->used_bytes);
	buffer_put_varint(b, row->used_messages);
	buffer_put_varint(b, row->quota_bytes);
	buffer_put_varint(b, row->snapshot_seq);
	buffer_put_varint(b, row->uidvalidity);
	buffer_put_varint(b, (uint64_t)row->deleted_ms);
}

int account_row_read(struct slice bytes, struct account_row *ret_row)
{
	struct reader r = READER_INIT(bytes);
	struct account_row row;
	unsigned bits = reader_u8(&r);

	row.deleted = bits & ROW_DELETED;
	row.disabled = bits & ROW_DISABLED;
	row.modseq = reader_varint(&r);
	row.next_id = reader_varint(&r);
	row.used_bytes = reader_varint(&r);
	row.used_messages = reader_varint(&r);
	row.quota_bytes = reader_varint(&r);
	row.snapshot_seq = reader_varint(&r);
	row.uidvalidity = (uint32_t)reader_varint(&r);
	row.deleted_ms = (int64_t)reader_varint(&r);
	if (reader_finish(&r))
		return -EBADMSG;
	*ret_row = row;
	return 0;
}

/* A copy that the row owns; NULL: no memory. */
static char *text_copy(struct slice text)
{
	char *copy = malloc(text.len + 1);

	if (!copy)
		return NULL;
	if (text.len)
		memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	return copy;
}

static void text_free(struct slice *text)
{
	union {
		const char *read;
		char *owned;
	} bytes = {text->at};

	free(bytes.owned);
	*text = (struct slice){NULL, 0};
}

int mailbox_row_set_name(struct mailbox_row *row, struct slice name)
{
	char *copy = text_copy(name);

	if (!copy)
		return -ENOMEM;
	text_free(&row->pub.name);
	row->pub.name = (struct slice){copy, name.len};
	return 0;
}

bool mailbox_row_keyword(const struct mailbox *mailbox, struct slice name, unsigned *ret_bit)
{
	for (unsigned i = 0; i < mailbox->keyword_count; i++) {
		if (slice_equal_nocase(mailbox->keywords[i], name)) {
			*ret_bit = i;
			return true;
		}
	}
	return false;
}

int mailbox_row_add_keyword(struct mailbox_row *row, struct slice name, unsigned *ret_bit)
{
	char *copy;

	if (mailbox_row_keyword(&row->pub, name, ret_bit))
		return 0;
	if (row->pub.keyword_count == STORE_KEYWORDS_MAX)
		return -ENOBUFS;
	if (row->pub.keyword_count == row->keyword_room) {
		unsigned room = MAX(row->keyword_room * 2, 4);
		struct slice *grown = realloc(row->keywords, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		row->keywords = grown;
		row->keyword_room = room;
		row->pub.keywords = grown;
	}
	copy = text_copy(name);
	if (!copy)
		return -ENOMEM;
	*ret_bit = row->pub.keyword_count;
	row->keywords[row->pub.keyword_count++] = (struct slice){copy, name.len};
	return 0;
}

void mailbox_row_clear(struct mailbox_row *row)
{
	text_free(&row->pub.name);
	for (unsigned i = 0; i < row->pub.keyword_count; i++)
		text_free(&row->keywords[i]);
	free(row->keywords);
	row->keywords = NULL;
	row->pub.keywords = NULL;
	row->pub.keyword_count = row->keyword_room = 0;
}

void mailbox_row_put(struct buffer *b, const struct mailbox_row *row)
{
	const struct mailbox *m = &row->pub;

	buffer_put_byte(b, m->deleted);
	buffer_put_sized(b, m->name);
	buffer_put_varint(b, m->uidvalidity);
	buffer_put_varint(b, m->uidnext);
	buffer_put_varint(b, m->highestmodseq);
	buffer_put_varint(b, m->messages);
	buffer_put_varint(b, m->unseen);
	buffer_put_varint(b, m->flagged_deleted);
	buffer_put_varint(b, m->bytes);
	buffer_put_varint(b, m->special_use);
	buffer_put_varint(b, row->history_modseq);
	for (unsigned i = 0; i < m->keyword_count; i++)
		buffer_put_sized(b, m->keywords[i]);
}

int mailbox_row_read(struct slice bytes, struct mailbox_row *ret_row)
{
	struct reader r = READER_INIT(bytes);
	struct mailbox *m = &ret_row->pub;
	unsigned bit;
	int error;

	m->deleted = reader_u8(&r) != 0;
	error = mailbox_row_set_name(ret_row, reader_sized(&r));
	m->uidvalidity = (uint32_t)reader_varint(&r);
	m->uidnext = (uint32_t)reader_varint(&r);
	m->highestmodseq = reader_varint(&r);
	m->messages = (uint32_t)reader_varint(&r);
	m->unseen = (uint32_t)reader_varint(&r);
	m->flagged_deleted = (uint32_t)reader_varint(&r);
	m->bytes = reader_varint(&r);
	m->special_use = (unsigned)reader_varint(&r);
	ret_row->history_modseq = reader_varint(&r);
	while (!error && !r.error && r.rest.len) {
		struct slice keyword = reader_sized(&r);

		error = r.error ? r.error : mailbox_row_add_keyword(ret_row, keyword, &bit);
	}
	if (!error)
		error = reader_error(&r);
	if (error)
		mailbox_row_clear(ret_row);
	return error;
}

static char *put_number(char *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (char)(value >> (8 * i));
	return at + bytes;
}

static uint64_t get_number(const char **at, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = bytes; i > 0; i--)
		value = value << 8 | (unsigned char)(*at)[i - 1];
	*at += bytes;
	return value;
}

void entry_row_put(char row[ENTRY_ROW_BYTES], const struct entry *entry)
{
	char *at = row;

	at = put_number(at, entry->modseq, 8);
	at = put_number(at, entry->email, 8);
	at = put_number(at, entry->keywords, 8);
	at = put_number(at, entry->bytes, 8);
	at = put_number(at, entry->internaldate, 4);
	at = put_number(at, entry->savedate, 4);
	at = put_number(at, entry->flags, 2);
	(void)put_number(at, (uint16_t)entry->zone, 2);
}

void entry_row_read(const char row[ENTRY_ROW_BYTES], uint32_t uid, struct entry *ret_entry)
{
	const char *at = row;

	ret_entry->uid = uid;
	ret_entry->modseq = get_number(&at, 8);
	ret_entry->email = get_number(&at, 8);
	ret_entry->keywords = get_number(&at, 8);
	ret_entry->bytes = get_number(&at, 8);
	ret_entry->internaldate = (uint32_t)get_number(&at, 4);
	ret_entry->savedate = (uint32_t)get_number(&at, 4);
	ret_entry->flags = (uint16_t)get_number(&at, 2);
	ret_entry->zone = (int16_t)(uint16_t)get_number(&at, 2);
}

void email_row_put(struct buffer *b, const struct email_row *row)
{
	buffer_put_varint(b, row->thread);
	buffer_put_varint(b, row->bytes);
	buffer_put_varint(b, row->home);
	buffer_put_varint(b, row->frames.count);
	buffer_put_sized(b, row->frames.bytes);
	buffer_put(b, row->described);
}

int email_row_read(struct slice bytes, struct email_row *ret_row)
{
	struct reader r = READER_INIT(bytes);
	struct email_row row;

	row.thread = reader_varint(&r);
	row.bytes = reader_varint(&r);
	row.home = reader_varint(&r);
	row.frames.count = reader_varint(&r);
	row.frames.bytes = reader_sized(&r);
	row.described = r.rest;
	if (reader_error(&r))
		return -EBADMSG;
	*ret_row = row;
	return 0;
}

uint64_t email_row_home_bytes(const struct email_row *row)
{
	return row->described.len + EMAIL_OVERHEAD;
}

void frames_resolve(struct op_list frames, const struct folding *record, struct buffer *out)
{
	struct reader r = op_list_reader(frames);
	struct frame_ref ref;

	while (frame_ref_next(&r, &ref)) {
		if (!ref.place.segment) {
			ref.place = record->place;
			ref.offset += record->bodies_at;
		}
		frame_ref_put(out, &ref);
	}
}
