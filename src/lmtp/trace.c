#include "base/clock.h"
#include "lmtp/protocol.h"

/* Every delivery comes by here: no printf(), which takes longer than all the rest of it. */
static void put_between(struct buffer *out, struct slice before, struct slice value, struct slice after)
{
	buffer_put(out, before);
	buffer_put(out, value);
	buffer_put(out, after);
}

void lmtp_trace_put(const struct lmtp_trace *trace, struct buffer *out)
{
	put_between(out, SLICE("Return-Path: <"), trace->sender, SLICE(">\r\n"));
	if (trace->recipient.len)
		put_between(out, SLICE("Delivered-To: "), trace->recipient, SLICE("\r\n"));
	put_between(out, SLICE("Received: from "), trace->client, SLICE(""));
	if (trace->peer.len)
		put_between(out, SLICE(" ("), trace->peer, SLICE(")"));
	/* The keywords are of RFC 3848 §3 and RFC 6531 §4.3. */
	put_between(out, SLICE("\r\n\tby "), trace->hostname, SLICE(" with "));
	buffer_put(out, trace->smtputf8 ? SLICE("UTF8LMTP") : SLICE("LMTP"));
	put_between(out, SLICE(" id "), trace->id, SLICE(""));
	if (trace->recipient.len)
		put_between(out, SLICE("\r\n\tfor <"), trace->recipient, SLICE(">"));
	buffer_put(out, SLICE(";\r\n\t"));
	buffer_put_date(out, trace->now_s, 0);
	buffer_put(out, SLICE("\r\n"));
}
