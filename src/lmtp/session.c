#include "lmtp/session.h"

#include <unistd.h>

enum { INPUT_MAX = 65536 };

/* ---- Life ---- */

static void session_free(struct lmtp_session *s)
{
	CHECK(!s->busy);
	list_remove(&s->node);
	s->services->session_count--;
	net_stream_free(&s->stream);
	lmtp_protocol_free(&s->protocol);
	ingest_free(&s->ingest);
	buffer_free(&s->address);
	buffer_free(&s->literal);
	free(s);
}

/* Does what can be done with `bytes` and what is pending; returns how many it took. */
static size_t advance(struct lmtp_session *s, struct slice bytes)
{
	struct slice rest = bytes;
	enum lmtp_step step = LMTP_STEP_MORE;

	while (step == LMTP_STEP_MORE && !net_stream_is_full(s->stream)) {
		if (s->stopping && lmtp_protocol_is_between(&s->protocol))
			lmtp_protocol_stop(&s->protocol, net_stream_out(s->stream));
		step = lmtp_protocol_step(&s->protocol, &rest, net_stream_out(s->stream));
	}
	net_stream_mark(s->stream, s->seq);
	if (step == LMTP_STEP_CLOSED)
		net_stream_finish(s->stream);
	else if (step == LMTP_STEP_NEEDS_INPUT)
		net_stream_resume(s->stream);
	else
		net_stream_pause(s->stream); /* until the delivery or the output queue lets us go on */
	return bytes.len - rest.len;
}

static size_t on_input(void *owner, struct slice bytes)
{
	return advance(owner, bytes);
}

static void on_drained(void *owner)
{
	struct lmtp_session *s = owner;

	if (!s->busy)
		(void)advance(s, (struct slice){NULL, 0});
}

static void on_closed(void *owner, int error UNUSED)
{
	struct lmtp_session *s = owner;

	net_stream_free(&s->stream);
	/* A delivery in flight is finished in any case: the client will not hear of it and try again (RFC 1047). */
	if (!s->busy)
		session_free(s);
}

void lmtp_session_delivered(struct lmtp_session *s)
{
	s->busy = false;
	s->seq = MAX(s->seq, s->delivered_seq);
	ingest_free(&s->ingest);
	lmtp_protocol_delivered(&s->protocol);
	if (s->stream)
		(void)advance(s, (struct slice){NULL, 0});
	else
		session_free(s);
}

/* ---- What the protocol asks for ---- */

struct resolving {
	struct lmtp_envelope *envelope;
	unsigned found, disabled;
	int error;
};

static void add_target(void *context, const struct directory_account *account, struct slice detail)
{
	struct resolving *r = context;

	r->found++;
	if (account->disabled)
		r->disabled++;
	else if (r->error == 0)
		r->error = lmtp_envelope_target(r->envelope, account->id, detail);
}

static int resolve(void *context, struct slice address, struct lmtp_envelope *envelope)
{
	struct lmtp_session *s = context;
	struct resolving r = {.envelope = envelope};
	int error;

	if (address.len > DIRECTORY_ADDRESS_MAX)
		return -ENOENT;
	error = directory_resolve(s->services->store, address, add_target, &r);
	if (error == -ENOBUFS)
		return -EIO; /* aliases in a circle: somebody here has to mend it, no sender can */
	if (error == 0)
		error = r.error;
	/* Members of an alias that are disabled do not keep the mail from the others. */
	if (error == 0 && r.found == r.disabled)
		error = r.found ? -EPERM : -ENOENT;
	return error;
}

static int begin(void *context)
{
	struct lmtp_session *s = context;

	s->messages++;
	s->bytes = 0;
	return ingest_new(s->services->store, &s->ingest);
}

static int write_bytes(void *context, struct slice bytes)
{
	struct lmtp_session *s = context;

	return ingest_write(s->ingest, bytes);
}

static void abandon(void *context)
{
	struct lmtp_session *s = context;

	ingest_free(&s->ingest);
}

static void deliver(void *context)
{
	struct lmtp_session *s = context;
	struct lmtp_envelope *envelope = &s->protocol.envelope;
	int error = ingest_finish(s->ingest);

	if (error) {
		for (uint32_t i = 0; i < envelope->target_count; i++)
			envelope->targets[i].error = error;
		ingest_free(&s->ingest);
		lmtp_protocol_delivered(&s->protocol);
		return;
	}
	s->bytes = ingest_bytes(s->ingest);
	s->busy = true;
	lmtp_deliver(s);
}

static void put_id(void *context, struct buffer *out)
{
	const struct lmtp_session *s = context;

	buffer_printf(out, "%llx.%u", (unsigned long long)s->id, s->messages);
}

static void answered(void *context, struct slice recipient, int error)
{
	struct lmtp_session *s = context;
	struct buffer id = BUFFER_INIT(64), bytes = BUFFER_INIT(32);

	put_id(s, &id);
	if (s->protocol.phase == LMTP_ANSWERS && s->bytes)
		buffer_put_u64(&bytes, s->bytes);
	LOG(s->services->log, error && !lmtp_error_lasts(error) ? LOG_WARN : LOG_INFO, error ? "refused" : "delivered",
		{"proto", SLICE("lmtp")}, {"to", recipient}, {"from", s->protocol.envelope.sender},
		{"bytes", buffer_slice(&bytes)}, {"client", buffer_slice(&s->protocol.client)},
		{"peer", buffer_slice(&s->address)}, {"session", buffer_slice(&id)},
		{"answer", slice_of(lmtp_error_answer(error))},
		{"error", error ? slice_of(strerrorname_np(-error)) : (struct slice){NULL, 0}});
	buffer_free(&id);
	buffer_free(&bytes);
}

static int64_t now_s(void *context)
{
	const struct lmtp_session *s = context;

	return clock_wall_ms(store_clock(s->services->store)) / 1000;
}

/* ---- The outside ---- */

/* "192.0.2.1:24" as "[192.0.2.1]", "[2001:db8::1]:24" as "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3), "unix" as it is. */
static void put_literal(struct slice address, struct buffer *out)
{
	size_t colon = slice_find_last_byte(address, ':');
	struct slice host = colon == SIZE_MAX ? address : slice_first(address, colon);

	if (colon == SIZE_MAX)
		buffer_put(out, host);
	else if (host.len && host.at[0] == '[')
		buffer_printf(out, "[IPv6:%.*s", SLICE_ARG(slice_from(host, 1)));
	else
		buffer_printf(out, "[%.*s]", SLICE_ARG(host));
}

static int start_protocol(struct lmtp_session *s, const struct sockaddr_storage *peer)
{
	net_address_text(peer, &s->address);
	put_literal(buffer_slice(&s->address), &s->literal);
	if (buffer_error(&s->address) || buffer_error(&s->literal))
		return -ENOMEM;
	s->backend = (struct lmtp_backend){resolve, begin, write_bytes, deliver, abandon, put_id, answered, now_s, s};
	return lmtp_protocol_init(
		&s->protocol, &s->services->limits, &s->backend, s->services->hostname, buffer_slice(&s->literal));
}

static const struct net_stream_events session_events = {on_input, on_drained, on_closed};

static int start_stream(struct lmtp_session *s, int fd)
{
	const struct net_stream_limits limits = {
		.input_max = MAX((size_t)INPUT_MAX, s->services->limits.line_bytes_max + 2),
		.output_max = s->services->limits.output_bytes_max,
		.idle_ms = s->services->limits.idle_ms,
		.stalled_ms = s->services->limits.idle_ms,
	};

	return net_stream_new(s->services->loop, fd, &session_events, &limits, s, &s->stream);
}

int lmtp_session_new(struct lmtp_services *services, int fd, const struct sockaddr_storage *peer)
{
	struct lmtp_session *s = calloc(1, sizeof(*s));
	int error = -ENOMEM;

	if (!s)
		goto out;
	s->services = services;
	s->id = clock_random_u64(store_clock(services->store)) >> 16;
	s->address = BUFFER_INIT(LMTP_PEER_MAX);
	s->literal = BUFFER_INIT(LMTP_PEER_MAX);
	error = start_protocol(s, peer);
	if (error)
		goto out;
	error = start_stream(s, fd);
	if (error) {
		lmtp_protocol_free(&s->protocol);
		goto out;
	}
	list_add(&services->sessions, &s->node);
	services->session_count++;
	lmtp_protocol_greet(&s->protocol, net_stream_out(s->stream));
	return 0;
out:
	if (s) {
		buffer_free(&s->address);
		buffer_free(&s->literal);
		free(s);
	}
	(void)close(fd);
	return error;
}

void lmtp_sessions_stop(struct lmtp_services *services)
{
	for (struct list_node *node = services->sessions; node; node = node->next) {
		struct lmtp_session *s = CONTAINER_OF(node, struct lmtp_session, node);

		s->stopping = true;
		if (!s->stream || s->busy || !lmtp_protocol_is_between(&s->protocol))
			continue;
		lmtp_protocol_stop(&s->protocol, net_stream_out(s->stream));
		net_stream_finish(s->stream);
	}
}
