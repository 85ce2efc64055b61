/*
 * A message's text, as SEARCH sees it, piece by piece: for whoever looks for strings in it, and for whoever makes an index of it. Both see the same, as
 * both get it from here.
 *
 * What counts (RFC 9051 §6.4.4): every header, MIME headers too, and all text parts, for TEXT; the text parts and the headers of messages
 * inside the message, which are part of its body, for BODY. Text is decoded (transfer encoding, charset, RFC 2047) and folded. HTML is walked as it
 * is written, tags included, as other servers do.
 */
#ifndef PENFOLD_STORE_SEARCH_WALK_H
#define PENFOLD_STORE_SEARCH_WALK_H

#include "mail/mail.h"
#include "store/email.h"

enum {
	SEARCH_HEADER_BYTES_MAX = 1 << 20, /* of a header block are looked at */
	SEARCH_TEXT_BYTES_MAX = 32 << 20,  /* of decoded text at a time: a header's, or a piece's */
	SEARCH_PIECE_BYTES = 64 << 10,     /* of a body in one step */
};

struct search_listener {
	/* "NAME: VALUE" of a field; in_body: of the header of a message inside the message. */
	void (*field)(void *context, bool in_body, struct slice folded);
	/* Of a text part. What is left in `folded` is in front of the next piece; pieces end between characters. `last`: the part ends. */
	void (*text)(void *context, struct buffer *folded, bool last);
	void *context;
};
struct search_walk {
	const struct search_listener *listener;
	const struct mail_message *message;
	struct body_reader *reader;
	bool in_body, incomplete; /* incomplete: something could not be read, or not be decoded */
	uint32_t part;
	uint64_t at, left; /* of the part's body */
	struct mail_decoder *decoder;
	struct buffer header, value, decoded, folded;
};
void search_walk_init(struct search_walk *walk);
void search_walk_free(struct search_walk *walk);
/* `message` and `reader` must live until the end or search_walk_stop(); without a reader there is no text. */
void search_walk_start(struct search_walk *walk, const struct search_listener *listener,
	const struct mail_message *message, struct body_reader *reader);
void search_walk_stop(struct search_walk *walk);
/* One header, or one piece of a body. -ENOMEM. */
MUST_CHECK int search_walk_step(struct search_walk *walk, bool *ret_done);

/* A part's header, as much of it as is looked at; empty when it cannot be read. Valid until `out` changes. */
struct slice search_header_read(struct body_reader *reader, const struct mail_part *part, struct buffer *out);
/* A field's value, decoded and folded. Valid until the buffers change. */
struct slice search_value_fold(struct slice value, struct buffer *decoded, struct buffer *folded);

#endif
