/*
 * A FETCH under way: what cmd_fetch.c (which messages), fetch_items.c (what the description answers), fetch_body.c and fetch_binary.c (what needs the
 * body) share.
 *
 * A message is written in steps: its small items first, all at once; then the stored texts and the bodies, one after the other. What is long leaves through a
 * flow, a piece at a time, while the output queue has room. Nothing that the store lends out is kept from one turn of the loop to the next.
 */
#ifndef PENFOLD_IMAP_FETCH_RUN_H
#define PENFOLD_IMAP_FETCH_RUN_H

#include "imap/fetch.h"
#include "imap/sync.h"
#include "store/email.h"

enum {
	FETCH_HEADER_BYTES_MAX = 1 << 20,   /* of a header are looked at for HEADER.FIELDS */
	FETCH_SCRATCH_BYTES_MAX = 64 << 20, /* a stored BODYSTRUCTURE is far smaller */
	FETCH_DECODE_AT_ONCE_BYTES = 256 << 10,
	FETCH_PARTS_BYTES_MAX = 32 << 20,
};

enum fetch_flow {
	FLOW_NONE,
	FLOW_SCRATCH, /* `scratch` from `at` on */
	FLOW_RAW,     /* `left` bytes of the message from `at` on */
	FLOW_COUNT,   /* a part is decoded only to learn how long it is */
	FLOW_DECODE,  /* and once more, to be written */
};

struct fetch_decoding { /* of one BINARY item: fetch_binary.c */
	struct mail_decoder *decoder;
	bool text; /* line ends are made CRLF: RFC 9051 §7.5.2 */
	struct mail_canon canon;
	struct buffer piece, canonical;
	uint64_t begin, at, left; /* of the part, encoded */
	uint64_t total;           /* decoded bytes so far */
	bool has_nul;
	enum mail_encoding encoding;
	uint64_t skip, wanted; /* decoded bytes still to pass over and to write */
};

struct fetch_run {
	struct imap_session *session;
	const struct imap_fetch *args;
	size_t piece_bytes; /* of a flow, at a time */
	struct uid_list uids, vanished;
	uint32_t vanished_from; /* VANISHED (EARLIER) is written up to here */
	struct sync_walk walk;
	bool sets_seen;
	uint32_t seen_through;     /* UID up to which \Seen is seen to */
	struct uid_list made_seen; /* whose flags that changed */

	/* the message being written */
	bool in_message;
	uint32_t seq;
	struct entry entry;
	bool first;           /* nothing is written between its parentheses yet */
	unsigned stored_left; /* FETCH_ bits of the stored texts still to be written */
	bool in_bodies;       /* `body` is being written or is done; else it is the next */
	const struct fetch_body *body;

	/* what was read of it; `found` and `unpacked` hold for this turn only */
	bool found, unpacked;
	struct email_room room;
	struct email email;
	struct mail_message brief, message;
	struct arena *parts;
	struct body_reader *reader;

	enum fetch_flow flow;
	uint64_t at, left;
	struct buffer scratch;
	struct fetch_decoding decoding;

	bool aborted;     /* a literal could not be completed: nothing more is written */
	bool damaged;     /* something could not be read */
	bool gone;        /* a message is not there any more */
	bool unknown_cte; /* RFC 9051 §7.1 */
};

/* fetch_items.c */
bool fetch_find(struct fetch_run *run);   /* the email and its description; false when it cannot be read */
bool fetch_unpack(struct fetch_run *run); /* with parts */
void fetch_put_items(struct fetch_run *run);
void fetch_put_stored(struct fetch_run *run); /* the next of stored_left */

/* fetch_body.c */
void fetch_body_begin(struct fetch_run *run);                  /* writes run->body, or begins a flow of it */
void fetch_flow_step(struct fetch_run *run);                   /* the next piece */
void fetch_put_name(struct fetch_run *run, struct slice name); /* with the spaces it needs */
void fetch_put_nil(struct fetch_run *run, const struct fetch_body *body);
void fetch_put_literal(struct fetch_run *run, uint64_t bytes, bool binary);
bool fetch_open_reader(struct fetch_run *run);
/* Where `bytes` of content are cut by a partial fetch: moves *at and gives how many are left. */
uint64_t fetch_partial(const struct fetch_body *body, uint64_t bytes, uint64_t *at);

/* fetch_binary.c */
void fetch_binary_begin(struct fetch_run *run, const struct mail_part *part, uint64_t at, uint64_t bytes);
void fetch_count_step(struct fetch_run *run);
void fetch_decode_step(struct fetch_run *run);
void fetch_decoding_free(struct fetch_run *run);

#endif
