/*
 * Messages: RFC 5322 and MIME (RFC 2045-2049), bytes in, slices out, no I/O.
 *
 * A message is parsed once, when it arrives, by a push parser that sees every byte exactly once and holds at most the
 * current header block. The result (struct mail_message) is turned into a compact byte string (mail_pack()) that is
 * stored beside the message; everything IMAP, POP3 and JMAP ask later is answered from that string, without the message.
 *
 * The bytes fed must already be in canonical form: lines end with CRLF (mail_canon_feed() makes them so, turning bare LF
 * into CRLF and leaving everything else, bare CR, NUL and 8-bit bytes included, as it came). All offsets and sizes
 * count canonical bytes. Nothing in a message is an error: the worst input is a message with one opaque part. Only
 * memory (-ENOMEM) can fail.
 *
 * Limits: beyond `struct mail_limits` a part is kept as an opaque leaf, a header block's further fields stay part of the
 * bytes but are not looked at; a line has no limit. An envelope shows 10,000 addresses of a field, a parameter list 128
 * parameters; parts that come after 1 MiB of rendered structure are opaque leaves.
 * Threads: every object belongs to one thread at a time; the pure functions may be called from any.
 */
#ifndef PENFOLD_MAIL_MAIL_H
#define PENFOLD_MAIL_MAIL_H

#include "base/arena.h"
#include "base/buffer.h"

struct mail_limits {
	uint32_t depth_max;        /* nested parts: 100 */
	uint32_t parts_max;        /* parts in a message: 10,000 */
	uint32_t header_bytes_max; /* bytes looked at in one header block: 256 KiB */
	uint32_t fields_max;       /* header fields looked at in one block: 2,000 */
	uint32_t common_max;       /* bytes kept of common fields: 16 KiB */
};
extern const struct mail_limits mail_limits_default;

/* ---- Canonical line ends ---- */

struct mail_canon {
	bool last_was_cr; /* zero-initialise */
};
/* Appends `bytes` with every bare LF as CRLF. State carries over from call to call. */
void mail_canon_feed(struct mail_canon *canon, struct slice bytes, struct buffer *out);

/* ---- Parsing ---- */

enum mail_kind { MAIL_LEAF, MAIL_MULTIPART, MAIL_MESSAGE /* message/rfc822, message/global */ };
enum mail_encoding {
	MAIL_7BIT,
	MAIL_8BIT,
	MAIL_BINARY,
	MAIL_QUOTED_PRINTABLE,
	MAIL_BASE64,
	MAIL_UUENCODE,
	MAIL_UNKNOWN
};

/*
 * One body part. Parts stand in document order, depth first; the message itself is part 0. A multipart's children have it
 * as `parent`; a MAIL_MESSAGE part has exactly one child, the message inside it.
 */
struct mail_part {
	uint32_t parent;   /* index; UINT32_MAX for part 0 */
	uint32_t next;     /* index of the next sibling; 0 when it is the last */
	uint32_t children; /* how many direct children */
	enum mail_kind kind;
	enum mail_encoding encoding;
	uint64_t header_at,
		header_bytes; /* the part's own header (MIME header for a nested part), blank line included */
	uint64_t body_at, body_bytes;
	uint64_t body_lines, header_lines;
	struct slice type, subtype, charset; /* lower case; of Content-Type or its default */
	struct slice filename;               /* decoded to UTF-8 (RFC 2231, RFC 2047), or empty */
	bool attachment;                     /* Content-Disposition: attachment */
};

struct mail_message {
	uint64_t bytes; /* whole message */
	uint32_t part_count;
	const struct mail_part *parts;
	struct slice envelope;  /* IMAP ENVELOPE, RFC 9051 §7.5.2, "(...)" complete; 8-bit strings as literals */
	struct slice structure; /* IMAP BODYSTRUCTURE with extension data, "(...)" complete */
	struct slice common;    /* the fields of mail_common_fields[] and the blank line, as they stand in the header */
	struct slice preview;   /* first text in UTF-8, white space folded, at most 256 bytes (RFC 8970) */
	struct slice subject;   /* base subject, RFC 5256 §2.1, UTF-8; at most 1 KiB */
	struct slice message_id;        /* with angle brackets, or empty */
	const struct slice *references; /* ids of References, else In-Reply-To; oldest first; at most 200 */
	uint32_t reference_count;
	bool has_date;
	int64_t date;         /* Date field, seconds since 1970 UTC */
	int16_t date_zone;    /* its zone, minutes east */
	bool common_complete; /* `common` holds every such field: see mail_common_is_complete() */
	bool has_attachment;
	bool has_nul; /* a NUL byte somewhere: may not go out in a plain literal unasked (RFC 9051 §4.3) */
	bool has_8bit;
};

struct mail_parser;
MUST_CHECK int mail_parser_new(const struct mail_limits *limits, struct mail_parser **ret_parser);
void mail_parser_free(struct mail_parser **parser);
MUST_CHECK int mail_parser_feed(struct mail_parser *parser, struct slice bytes); /* canonical; any piece size */
/* Ready for another message, with the memory of the one before (no more than was reasonable); the result before is gone. */
MUST_CHECK int mail_parser_reset(struct mail_parser *parser);
/* The result and all its slices live until the parser is freed or reset. */
MUST_CHECK int mail_parser_finish(struct mail_parser *parser, const struct mail_message **ret_message);

/* ---- The stored form ---- */

enum { MAIL_PACKED_BYTES_MAX = 1 << 26 };
void mail_pack(const struct mail_message *message, struct buffer *out);
/* Every slice points into `packed`; the parts and references are made in `arena`. -EBADMSG: damaged; -ENOBUFS: the arena is full. */
MUST_CHECK int mail_unpack(struct slice packed, struct arena *arena, struct mail_message *ret_message);
/* The same without parts and references, for answers that need neither: no allocation. */
MUST_CHECK int mail_unpack_brief(struct slice packed, struct mail_message *ret_message);
/* The same again with no more than the size, the date, flags, ENVELOPE and BODYSTRUCTURE; the first mail_packed_front_bytes() are enough for it. */
MUST_CHECK int mail_unpack_front(struct slice front, struct mail_message *ret_message);
size_t mail_packed_front_bytes(struct slice packed); /* 0: it is damaged */

/* BODY from BODYSTRUCTURE: drops the extension data. Reads only what mail_parser made; -EBADMSG otherwise. */
MUST_CHECK int mail_structure_brief(struct slice structure, struct buffer *out);

/* ---- Sections: RFC 9051 §6.4.5.1 ---- */

enum mail_section_kind {
	MAIL_SECTION_ALL,    /* BODY[], BODY[1.2] */
	MAIL_SECTION_HEADER, /* BODY[HEADER], BODY[1.HEADER]; also for HEADER.FIELDS, filtered by mail_fields_select() */
	MAIL_SECTION_TEXT,   /* BODY[TEXT], BODY[1.TEXT] */
	MAIL_SECTION_MIME,   /* BODY[1.MIME] */
};
struct mail_section {
	const uint32_t *path; /* part numbers, 1-based */
	uint32_t path_len;
	enum mail_section_kind kind;
};
/*
 * Where the section lies in the message. -ENOENT when there is no such part (an empty string for IMAP). ret_part (may be
 * NULL) is the part whose body it is, for BINARY; NULL where the section is no single part's body.
 */
MUST_CHECK int mail_section_find(const struct mail_message *message, const struct mail_section *section,
	uint64_t *ret_at, uint64_t *ret_bytes, const struct mail_part **ret_part);

/* ---- Header fields ---- */

/* Walks a header block: the next field of *rest, name without colon, value unfolded not at all; false at the end. */
struct mail_field {
	struct slice whole; /* with its line end */
	struct slice name;
	struct slice value; /* after the colon, folding kept, without the last line end */
};
bool mail_field_next(struct slice *rest, struct mail_field *ret_field);

/* The fields (not) named, as they stand, and the blank line that ends them (RFC 9051 §6.4.5.1). */
void mail_fields_select(struct slice header, const struct slice *names, size_t count, bool except, struct buffer *out);

/* Names kept in mail_message.common, NULL-terminated, lower case. mail_field_is_common() tells whether one is among them. */
extern const char *const mail_common_fields[];
bool mail_field_is_common(struct slice name);
/* True when no common field was cut off by common_max, so that an answer from `common` is complete. */
bool mail_common_is_complete(const struct mail_message *message);

/* ---- Text ---- */

/* A header value as people read it: unfolded, RFC 2047 words decoded, UTF-8 (bad bytes as U+FFFD). */
void mail_header_text(struct slice value, struct buffer *out);
/* Addresses of a value such as From, To: calls back with display name (UTF-8), local part and domain of each. */
struct mail_address {
	struct slice name, local, domain;
};
MUST_CHECK int mail_addresses(
	struct slice value, void (*each)(void *context, const struct mail_address *address), void *context);

/*
 * Decodes a part's body: transfer encoding, then (for text when to_utf8) charset to UTF-8. Push: feed the body in pieces
 * of any size; output is appended to `out` as it comes. Bad encoding never fails in the lenient decoder: what cannot be
 * decoded comes out as it is; with `strict`, -EBADMSG (for BINARY: UNKNOWN-CTE).
 */
struct mail_decoder;
MUST_CHECK int mail_decoder_new(enum mail_encoding encoding, struct slice charset, bool to_utf8, bool strict,
	struct mail_decoder **ret_decoder);
MUST_CHECK int mail_decoder_feed(struct mail_decoder *decoder, struct slice bytes, struct buffer *out);
MUST_CHECK int mail_decoder_finish(struct mail_decoder *decoder, struct buffer *out);
void mail_decoder_free(struct mail_decoder **decoder);

/* Text of one charset to UTF-8, whole. -ENOENT when the charset is unknown (out then holds the ASCII part, rest U+FFFD). */
MUST_CHECK int mail_charset_to_utf8(struct slice charset, struct slice bytes, struct buffer *out);
bool mail_charset_is_known(struct slice charset);
/* Loads every converter the process may need, before a sandbox closes the file system. Returns how many are there. */
int mail_charsets_preload(void);

/*
 * Folds UTF-8 for comparison without regard to case (i;unicode-casemap, RFC 5051: titlecase and decomposition), as SEARCH
 * compares. Bytes that are not UTF-8 are kept.
 */
void mail_text_fold(struct slice utf8, struct buffer *out);
/* HTML to readable text for search and previews: tags and scripts dropped, entities decoded. */
void mail_html_text(struct slice html, struct buffer *out);

/* ---- Dates ---- */

/* RFC 5322 §3.3 with the obsolete forms of §4.3. -EBADMSG when there is none. */
MUST_CHECK int mail_date_parse(struct slice value, int64_t *ret_seconds, int16_t *ret_zone);

#endif
