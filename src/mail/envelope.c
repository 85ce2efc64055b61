#include "mail/internal.h"

struct address_list {
	struct buffer *out;
	const struct address_scratch *scratch;
	size_t count;
};

/* An address cut short by lack of memory must not be stored for good. */
static bool lacks_memory(const struct address_scratch *scratch)
{
	return scratch->name.error == -ENOMEM || scratch->route.error == -ENOMEM || scratch->local.error == -ENOMEM ||
	       scratch->domain.error == -ENOMEM || scratch->comment.error == -ENOMEM;
}

static void put_address(void *context, const struct address *address)
{
	struct address_list *list = context;
	struct buffer *out = list->out;
	struct address fixed = *address;

	if (lacks_memory(list->scratch) && !out->error)
		out->error = -ENOMEM;
	/* A mailbox must have both parts, or it would read as a group marker (RFC 9051 §7.5.2). */
	if (fixed.kind == ADDRESS_MAILBOX && !fixed.local.at)
		fixed.local = SLICE("MISSING_MAILBOX");
	if (fixed.kind == ADDRESS_MAILBOX && fixed.domain.len == 0)
		fixed.domain = SLICE("MISSING_DOMAIN");
	buffer_put(out, list->count++ ? SLICE("(") : SLICE("(("));
	imap_put_compact(out, fixed.name.len ? fixed.name : slice_make(NULL, 0));
	buffer_put_byte(out, ' ');
	imap_put_nstring(out, fixed.route);
	buffer_put_byte(out, ' ');
	imap_put_nstring(out, fixed.local);
	buffer_put_byte(out, ' ');
	imap_put_nstring(out, fixed.domain);
	buffer_put_byte(out, ')');
}

/*
 * All fields of that name as one list: somebody who puts two From fields into a message must not be able to have
 * one of them checked and the other one shown.
 */
static struct span put_addresses(
	const struct header *header, enum field_id id, struct address_scratch *scratch, struct buffer *out)
{
	struct address_list list = {out, scratch, 0};
	size_t start = out->len;

	for (size_t i = 0; i < header->count && list.count < ADDRESSES_MAX; i++)
		if (header->fields[i].id == id)
			addresses_read(header->fields[i].value, scratch, put_address, &list);
	if (list.count)
		buffer_put_byte(out, ')');
	return span_since(out, start);
}

static void put_again(struct buffer *out, struct span span)
{
	char *room = buffer_room(out, span.len);

	if (!room)
		return;
	memcpy(room, out->at + span.at, span.len);
	buffer_added(out, span.len);
}

static void put_address_fields(const struct header *header, struct address_scratch *scratch, struct buffer *out)
{
	static const enum field_id fields[] = {FIELD_FROM, FIELD_SENDER, FIELD_REPLY_TO, FIELD_TO, FIELD_CC, FIELD_BCC};
	struct span from = {0, 0};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		bool from_is_default = fields[i] == FIELD_SENDER || fields[i] == FIELD_REPLY_TO;
		struct span span;

		buffer_put_byte(out, ' ');
		span = put_addresses(header, fields[i], scratch, out);
		if (fields[i] == FIELD_FROM)
			from = span;
		if (span.len == 0 && from_is_default && from.len)
			put_again(out, from);
		else if (span.len == 0)
			buffer_put(out, SLICE("NIL"));
	}
}

void envelope_put(const struct header *header, struct address_scratch *scratch, struct buffer *out)
{
	buffer_put_byte(out, '(');
	imap_put_unfolded(out, header_last(header, FIELD_DATE));
	buffer_put_byte(out, ' ');
	imap_put_compact(out, header_last(header, FIELD_SUBJECT));
	put_address_fields(header, scratch, out);
	buffer_put_byte(out, ' ');
	imap_put_unfolded(out, header_last(header, FIELD_IN_REPLY_TO));
	buffer_put_byte(out, ' ');
	imap_put_unfolded(out, header_last(header, FIELD_MESSAGE_ID));
	buffer_put_byte(out, ')');
}

void envelope_put_empty(struct buffer *out)
{
	buffer_put(out, SLICE("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
}
