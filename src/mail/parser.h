/* The state of the push parser, shared by parser.c (lines and boundaries) and result.c (what comes out at the end). */
#ifndef PENFOLD_MAIL_PARSER_H
#define PENFOLD_MAIL_PARSER_H

#include "mail/internal.h"

enum { PART_NONE = UINT32_MAX };

/* What the parser knows about a part beside its struct mail_part, at the same index. */
struct node {
	struct content content;
	struct span envelope;   /* of a message: part 0, or inside message/rfc822 */
	uint32_t last_child;    /* PART_NONE without children */
	uint32_t depth;         /* 0 for the message itself */
	uint64_t lines_before;  /* line ends before its header, later before its body */
	bool delimited, closed; /* has a boundary; its end delimiter was seen */
};

enum parser_state {
	IN_HEADER,
	IN_BODY,
	IN_DELIMITER, /* the rest of a boundary line */
};

/* A place between two bytes: its offset, and how many line ends are before it. */
struct place {
	uint64_t at, lines;
};

struct mail_parser {
	struct mail_limits limits;
	enum parser_state state;
	struct place here;       /* end of what was fed */
	uint64_t line_at;        /* where the current line begins */
	uint32_t line_end_bytes; /* of the line end before it: 0 at the start, 2 for CRLF */
	char last_byte;
	bool undecided; /* the current line may be a boundary or the blank line: see `held` */
	bool has_nul, has_8bit;
	struct buffer held;  /* beginning of an undecided line that came in pieces */
	uint32_t delimiters; /* open parts that have a boundary which is not closed */
	uint32_t current;    /* innermost open part */

	struct mail_part *parts;
	struct node *nodes;
	uint32_t count, room;

	struct buffer header; /* the header block being read */
	bool header_cut, common_cut;
	struct buffer fields; /* struct header_field of the block just read */
	struct buffer text;   /* everything spans point to */
	struct buffer common;
	struct params params;
	struct address_scratch addresses;

	struct span subject, message_id;
	struct buffer references; /* the identifiers, each a span: struct span, in `text` */
	bool has_date;
	int64_t date;
	int16_t date_zone;

	/* The beginning of the first plain text and of the first HTML text, still encoded. */
	struct buffer plain, html;
	uint32_t plain_part, html_part;

	struct buffer structure, preview;
	struct slice *reference_slices;
	struct mail_message message;
};

int parser_result(struct mail_parser *parser);
void structure_put(const struct mail_parser *parser, struct buffer *out);
/* What only the message's own header says: date, subject, identifiers. */
void parser_message_fields(struct mail_parser *parser, const struct header *header);

#endif
