#include "store/search_internal.h"

enum { ROOM_KEPT_BYTES = 64 << 10 }; /* from message to message */

bool search_text_has(struct slice haystack, struct slice needle)
{
	return slice_find(haystack, needle) != SIZE_MAX;
}

void search_message_done(struct search *search)
{
	search_scan_stop(search);
	body_reader_free(&search->reader);
	email_room_recycle(&search->room, ROOM_KEPT_BYTES);
	search->described = search->unpacked = search->unreadable = false;
}

bool search_describe(struct search *search)
{
	struct email email;

	if (search->described)
		return !search->unreadable;
	search->described = true;
	search->unreadable =
		email_find(search->mailbox->account, search->entry.email, EMAIL_WHOLE, &search->room, &email) ||
		mail_unpack_brief(email.packed, &search->brief);
	if (!search->unreadable) {
		search->thread = email.thread;
		search->packed = email.packed;
	}
	return !search->unreadable;
}

/* It lives on when the loop turns. */
bool search_unpack(struct search *search)
{
	if (search->unpacked)
		return true;
	if (!search_describe(search))
		return false;
	arena_reset(search->parts);
	search->unpacked = !mail_unpack(search->packed, search->parts, &search->message) && search->message.part_count;
	search->unreadable = !search->unpacked;
	return search->unpacked;
}

bool search_open_reader(struct search *search)
{
	if (!search->reader && body_reader_new(search->mailbox->account, search->entry.email, &search->reader))
		search->unreadable = true;
	return search->reader != NULL;
}

static struct slice main_header(struct search *search)
{
	if (!search_open_reader(search))
		return (struct slice){NULL, 0};
	return search_header_read(search->reader, &search->message.parts[0], &search->header);
}

static bool field_has(struct search *search, struct slice value, struct slice needle)
{
	return search_text_has(search_value_fold(value, &search->text, &search->folded), needle);
}

static enum search_verdict header_has(struct search *search, struct slice header, const struct search_node *node)
{
	struct mail_field field;

	while (mail_field_next(&header, &field))
		if (slice_equal_nocase(field.name, node->name) && field_has(search, field.value, node->text))
			return VERDICT_YES;
	return VERDICT_NO;
}

enum search_verdict search_leaf_header(struct search *search, const struct search_node *node, enum search_stage stage)
{
	if (!search_describe(search))
		return VERDICT_NO;
	if (node->stage == STAGE_DESCRIPTION && mail_common_is_complete(&search->brief))
		return header_has(search, search->brief.common, node);
	if (stage < STAGE_HEADER)
		return VERDICT_OPEN;
	if (!search_unpack(search))
		return VERDICT_NO;
	return header_has(search, main_header(search), node);
}
