#include "pop3/session.h"

#include <unistd.h>

enum { INPUT_MAX = 16384 };

const struct pop3_limits pop3_limits_default = {
	.line_bytes_max = 512,
	.bad_max = 20,
	.idle_ms = 600000,
	.stalled_ms = 300000,
	.output_bytes_max = 262144,
};

/* ---- Life ---- */

void pop3_session_log(struct pop3_session *s, enum log_level level, const char *event)
{
	const struct pop3_protocol *p = &s->protocol;
	struct buffer text = BUFFER_INIT(200);
	struct slice rest, session, messages, retrieved, topped, deleted, bytes;

	buffer_printf(&text, "%llx %u %u %u %u %llu", (unsigned long long)s->id, s->drop.count, p->retrieved, p->topped,
		p->deleted, (unsigned long long)p->sent_bytes);
	rest = buffer_slice(&text);
	session = slice_split(&rest, ' ');
	messages = slice_split(&rest, ' ');
	retrieved = slice_split(&rest, ' ');
	topped = slice_split(&rest, ' ');
	deleted = slice_split(&rest, ' ');
	bytes = slice_split(&rest, ' ');
	LOG(s->services->log, level, event, {"proto", SLICE("pop3")}, {"account", s->address}, {"device", s->device},
		{"peer", s->peer}, {"session", session}, {"tls", s->tls ? SLICE("yes") : SLICE("no")},
		{"messages", messages}, {"retrieved", retrieved}, {"topped", topped}, {"deleted", deleted},
		{"bytes", bytes}, {"reason", slice_of(s->reason)});
	buffer_free(&text);
}

void pop3_session_free(struct pop3_session *s)
{
	pop3_session_log(s, LOG_INFO, s->ready ? "logout" : "login-refused");
	list_remove(&s->node);
	s->services->session_count--;
	net_stream_free(&s->stream);
	if (s->ready)
		pop3_protocol_free(&s->protocol);
	maildrop_free(&s->drop);
	view_close(&s->view);
	if (s->holding)
		account_maildrop_release(s->account);
	if (s->listening)
		account_unlisten(s->account, &s->listener);
	if (s->account)
		account_release(&s->account);
	buffer_free(&s->names);
	free(s);
}

void pop3_session_end(struct pop3_session *s, const char *reason)
{
	if (!s->reason)
		s->reason = reason;
	s->ending = true;
	if (s->stream)
		net_stream_finish(s->stream);
}

/* Does what can be done with `bytes` and what is pending; returns how many it took. */
static size_t advance(struct pop3_session *s, struct slice bytes)
{
	struct slice rest = bytes;
	enum pop3_step step = POP3_STEP_MORE;

	if (s->ending || !s->ready)
		return 0;
	while (step == POP3_STEP_MORE && !s->ending && !net_stream_is_full(s->stream)) {
		step = pop3_protocol_step(&s->protocol, &rest, net_stream_out(s->stream));
		if (s->stopping && pop3_protocol_is_between(&s->protocol))
			pop3_session_end(s, "shutdown");
	}
	/* What was read may be of changes that are not durable yet, and the answer to QUIT is about one. */
	net_stream_mark(s->stream, account_seq(s->account));
	if (step == POP3_STEP_CLOSED)
		pop3_session_end(s, s->protocol.updated ? "quit" : "error");
	else if (step == POP3_STEP_NEEDS_INPUT)
		net_stream_resume(s->stream);
	else if (!s->ending)
		net_stream_pause(s->stream); /* until the client has taken some of the answer */
	return bytes.len - rest.len;
}

static size_t on_input(void *owner, struct slice bytes)
{
	return advance(owner, bytes);
}

static void on_drained(void *owner)
{
	(void)advance(owner, (struct slice){NULL, 0});
}

static void on_closed(void *owner, int error)
{
	struct pop3_session *s = owner;

	if (!s->reason)
		s->reason = error == -ETIMEDOUT ? "timeout" : error ? "connection lost" : "closed by client";
	s->ending = true;
	pop3_session_free(s);
}

void pop3_session_ready(struct pop3_session *s)
{
	s->ready = true;
	pop3_protocol_init(&s->protocol, &s->settings, &s->backend, &s->drop);
	pop3_protocol_greet(&s->protocol, net_stream_out(s->stream));
	pop3_session_log(s, LOG_INFO, "login");
	(void)advance(s, (struct slice){NULL, 0});
}

/* ---- What the protocol asks for ---- */

static int open_message(void *context, uint64_t email)
{
	struct pop3_session *s = context;

	return body_reader_new(s->account, email, &s->reader);
}

static int append(void *context, uint64_t at, uint64_t bytes, struct buffer *out)
{
	struct pop3_session *s = context;

	return body_reader_read(s->reader, at, bytes, out);
}

static void close_message(void *context)
{
	struct pop3_session *s = context;

	body_reader_free(&s->reader);
}

static int expunge(void *context, struct uid_set uids)
{
	struct pop3_session *s = context;
	struct uid_list expunged = UID_LIST_INIT(s->drop.count);
	int error;

	view_close(&s->view); /* nothing is read any more: what goes now need not be kept readable */
	error = entries_expunge(mailbox_inbox(s->account), uids, false, &s->actor, &expunged);

	uid_list_free(&expunged);
	return error;
}

/* ---- The outside ---- */

static struct slice keep(struct pop3_session *s, struct slice text)
{
	size_t at = s->names.len;

	buffer_put(&s->names, text);
	return slice_from(buffer_slice(&s->names), at);
}

/* `names` gets its room first, so that it does not move under the slices into it. */
static int keep_names(struct pop3_session *s, const struct pop3_start *start)
{
	size_t bytes = start->address.len + start->peer.len + start->device.len;

	s->names = BUFFER_INIT(bytes);
	if (bytes && !buffer_room(&s->names, bytes))
		return -ENOMEM;
	s->address = keep(s, start->address);
	s->peer = keep(s, start->peer);
	s->device = keep(s, start->device);
	s->actor = (struct actor){.protocol = STORE_BY_POP3, .device = s->device, .address = s->peer};
	return 0;
}

static void keep_settings(struct pop3_session *s, const struct pop3_start *start)
{
	const struct pop3_services *services = s->services;

	s->id = start->session_id;
	s->tls = start->tls;
	s->settings = (struct pop3_settings){
		.line_bytes_max = services->limits.line_bytes_max,
		.bad_max = services->limits.bad_max,
		.mechanisms = services->mechanisms,
		.login_delay_s = services->login_delay_s,
		.expire_days = services->expire_days,
	};
	s->backend = (struct pop3_backend){open_message, append, close_message, expunge, s};
}

static const struct net_stream_events session_events = {on_input, on_drained, on_closed};

static int start_stream(struct pop3_session *s, int fd, struct slice pipelined)
{
	const struct pop3_limits *limits = &s->services->limits;
	const struct net_stream_limits stream_limits = {
		.input_max = MAX((size_t)INPUT_MAX, limits->line_bytes_max + 2),
		.output_max = limits->output_bytes_max,
		.idle_ms = limits->idle_ms,
		.stalled_ms = limits->stalled_ms,
	};
	int error = net_stream_new(s->services->loop, fd, &session_events, &stream_limits, s, &s->stream);

	if (error) {
		(void)close(fd);
		return error;
	}
	net_stream_pause(s->stream); /* until the maildrop is open */
	return net_stream_preload(s->stream, pipelined);
}

int pop3_session_new(struct pop3_services *services, int fd, const struct pop3_start *start)
{
	struct pop3_session *s = calloc(1, sizeof(*s));
	int error = -ENOMEM;

	if (!s) {
		(void)close(fd);
		return error;
	}
	s->services = services;
	keep_settings(s, start);
	error = start_stream(s, fd, start->pipelined);
	if (error == 0)
		error = keep_names(s, start);
	if (error) {
		net_stream_free(&s->stream);
		buffer_free(&s->names);
		free(s);
		return error;
	}
	list_add(&services->sessions, &s->node);
	services->session_count++;
	pop3_session_open(s, start->account_id);
	return 0;
}

void pop3_sessions_stop(struct pop3_services *services)
{
	for (struct list_node *node = services->sessions; node; node = node->next) {
		struct pop3_session *s = CONTAINER_OF(node, struct pop3_session, node);

		s->stopping = true;
		if (!s->ready || pop3_protocol_is_between(&s->protocol))
			pop3_session_end(s, "shutdown");
	}
}

unsigned pop3_sessions_of(const struct pop3_services *services, uint64_t account)
{
	unsigned count = 0;

	if (account == 0)
		return services->session_count;
	for (struct list_node *node = services->sessions; node; node = node->next) {
		const struct pop3_session *s = CONTAINER_OF(node, struct pop3_session, node);

		count += s->account && account_id(s->account) == account;
	}
	return count;
}
