#include "base/clock.h"
#include "lmtp/protocol.h"

void lmtp_trace_put(const struct lmtp_trace *trace, struct buffer *out)
{
	buffer_printf(out, "Return-Path: <%.*s>\r\n", SLICE_ARG(trace->sender));
	if (trace->recipient.len)
		buffer_printf(out, "Delivered-To: %.*s\r\n", SLICE_ARG(trace->recipient));
	buffer_printf(out, "Received: from %.*s", SLICE_ARG(trace->client));
	if (trace->peer.len)
		buffer_printf(out, " (%.*s)", SLICE_ARG(trace->peer));
	/* The keywords are of RFC 3848 §3 and RFC 6531 §4.3. */
	buffer_printf(out, "\r\n\tby %.*s with %s id %.*s", SLICE_ARG(trace->hostname),
		trace->smtputf8 ? "UTF8LMTP" : "LMTP", SLICE_ARG(trace->id));
	if (trace->recipient.len)
		buffer_printf(out, "\r\n\tfor <%.*s>", SLICE_ARG(trace->recipient));
	buffer_put(out, SLICE(";\r\n\t"));
	buffer_put_date(out, trace->now_s, 0);
	buffer_put(out, SLICE("\r\n"));
}
