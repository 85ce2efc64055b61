#include "mail/mail.h"

/* What BODYSTRUCTURE tells as part 1 of a multipart without parts. */
static const struct mail_part empty_text = {
	.kind = MAIL_LEAF,
	.encoding = MAIL_7BIT,
	.type = {"text", 4},
	.subtype = {"plain", 5},
	.charset = {"us-ascii", 8},
};

/* The part with these numbers; NULL when there is none (RFC 9051 §6.4.5.1). */
static const struct mail_part *part_find(const struct mail_message *message, const struct mail_section *section)
{
	const struct mail_part *part = &message->parts[0];

	for (uint32_t i = 0; i < section->path_len; i++) {
		/* Numbers after a message's own count inside the message in it. */
		if (i > 0 && part->kind == MAIL_MESSAGE)
			part = &message->parts[part - message->parts + 1];
		else if (i > 0 && part->kind == MAIL_LEAF)
			return NULL;
		if (part->kind != MAIL_MULTIPART) {
			/* Every message has at least one part number: 1 is its body. */
			if (section->path[i] != 1)
				return NULL;
			continue;
		}
		if (part->children == 0)
			return section->path[i] == 1 && i + 1 == section->path_len ? &empty_text : NULL;
		if (section->path[i] == 0 || section->path[i] > part->children)
			return NULL;
		part = &message->parts[part - message->parts + 1];
		for (uint32_t n = 1; n < section->path[i]; n++)
			part = &message->parts[part->next];
	}
	return part;
}

/* HEADER and TEXT with a part number are for messages inside a message only. */
static const struct mail_part *message_find(const struct mail_message *message, const struct mail_section *section)
{
	const struct mail_part *part;

	if (section->path_len == 0)
		return &message->parts[0];
	part = part_find(message, section);
	if (!part || part->kind != MAIL_MESSAGE)
		return NULL;
	return &message->parts[part - message->parts + 1];
}

int mail_section_find(const struct mail_message *message, const struct mail_section *section, uint64_t *ret_at,
	uint64_t *ret_bytes, const struct mail_part **ret_part)
{
	const struct mail_part *part, *body_of = NULL;
	uint64_t at, bytes;
	bool is_header = section->kind == MAIL_SECTION_HEADER || section->kind == MAIL_SECTION_MIME;

	if (message->part_count == 0)
		return -ENOENT;
	if (section->kind == MAIL_SECTION_ALL && section->path_len == 0) {
		at = 0;
		bytes = message->bytes;
	} else {
		if (section->kind == MAIL_SECTION_HEADER || section->kind == MAIL_SECTION_TEXT)
			part = message_find(message, section);
		else
			part = part_find(message, section);
		if (!part)
			return -ENOENT;
		at = is_header ? part->header_at : part->body_at;
		bytes = is_header ? part->header_bytes : part->body_bytes;
		if (section->kind == MAIL_SECTION_ALL)
			body_of = part;
	}
	*ret_at = at;
	*ret_bytes = bytes;
	if (ret_part)
		*ret_part = body_of;
	return 0;
}
