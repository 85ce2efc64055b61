/*
 * What follows DATA: dot-unstuffing, the end of the message, and the hops it made. Pure.
 *
 * The end is CRLF . CRLF and nothing else. Bare LF and bare CR are kept and never make a line for this purpose, so that what one
 * server takes for text the next cannot take for an end and a new command ("SMTP smuggling").
 */
#ifndef PENFOLD_LMTP_DATA_H
#define PENFOLD_LMTP_DATA_H

#include "base/slice.h"

struct lmtp_data { /* zero-initialised: at the start of a message */
	enum { LMTP_AT_LINE, LMTP_AFTER_DOT, LMTP_AFTER_DOT_CR, LMTP_IN_TEXT, LMTP_AFTER_CR } state;
};
enum lmtp_data_event { LMTP_DATA_MORE, LMTP_DATA_PIECE, LMTP_DATA_END };
/*
 * Takes the next piece of the message's text off *rest (RFC 5321 §4.5.2). MORE: *rest is used up. END: the message is over and *rest stands
 * behind it.
 */
MUST_CHECK enum lmtp_data_event lmtp_data_next(struct lmtp_data *data, struct slice *rest, struct slice *ret_piece);

/* Counts Received fields in the header of a message that comes in pieces (RFC 5321 §6.3). */
struct lmtp_hops { /* zero-initialised */
	unsigned count;
	bool in_body;
	bool in_line;   /* the rest of this line does not matter */
	size_t matched; /* bytes of "received:" the line began with */
	size_t bytes;   /* of this line, a CR at its start counted */
};
void lmtp_hops_feed(struct lmtp_hops *hops, struct slice piece);

#endif
