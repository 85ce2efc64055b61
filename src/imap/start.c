/* How a session comes to life: right behind the LOGIN or AUTHENTICATE that the gate saw. */
#include <sys/socket.h>
#include <unistd.h>

#include "imap/private.h"

enum { INPUT_BYTES_MAX = 65536 };

static const struct net_stream_events stream_events = {
	.input = session_on_input,
	.drained = session_on_drained,
	.closed = session_on_closed,
};

static void copy_text(char *to, size_t room, struct slice from)
{
	from = slice_first(from, room - 1);
	if (from.len)
		memcpy(to, from.at, from.len);
	to[from.len] = '\0';
}

static int private_new(
	struct imap_services *services, const struct imap_start *start, struct imap_session_private **ret_private)
{
	struct imap_session_private *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->session.services = services;
	p->session.private = p;
	p->session.saved = UID_LIST_INIT(services->limits.set_ranges_max);
	p->session_id = start->session_id;
	copy_text(p->peer, sizeof(p->peer), start->peer);
	copy_text(p->device, sizeof(p->device), start->device);
	p->session.actor = (struct actor){STORE_BY_IMAP, slice_of(p->device), slice_of(p->peer)};
	p->task.run = session_turn;
	p->listener.changed = session_on_account_changed;
	p->listener.ended = session_on_account_ended;
	p->idle_tag = BUFFER_INIT(services->limits.line_bytes_max);
	p->address = BUFFER_INIT(start->address.len);
	buffer_put(&p->address, start->address);
	input_init(&p->input, services->limits.line_bytes_max, services->limits.literal_bytes_max);
	if (buffer_error(&p->address) < 0) {
		free(p);
		return -ENOMEM;
	}
	*ret_private = p;
	return 0;
}

/* Owns `fd` in every case. */
static int stream_start(struct imap_session_private *p, int fd, struct slice pipelined)
{
	const struct imap_limits *limits = &p->session.services->limits;
	const struct net_stream_limits stream_limits = {
		.input_max = INPUT_BYTES_MAX,
		.output_max = limits->output_bytes_max,
		.stalled_ms = limits->idle_ms,
	};
	int error =
		net_stream_new(p->session.services->loop, fd, &stream_events, &stream_limits, p, &p->session.stream);

	if (error < 0)
		(void)close(fd);
	else
		error = net_stream_preload(p->session.stream, pipelined);
	return error;
}

static void list_add_first(struct imap_services *services, struct imap_session_private *p)
{
	struct imap_session *first = services->sessions;

	p->next = first ? first->private : NULL;
	if (p->next)
		p->next->previous = p;
	services->sessions = &p->session;
	services->session_count++;
}

/* The gate speaks to strangers: what it passes on is looked at again before it goes into an answer. */
static struct slice safe_tag(struct slice tag)
{
	for (size_t i = 0; i < tag.len; i++) {
		if (tag.at[i] <= ' ' || tag.at[i] == 0x7f)
			return SLICE("*");
	}
	return tag.len ? tag : SLICE("*");
}

static void greet(struct imap_session_private *p, struct slice tag)
{
	struct buffer *out = session_out(&p->session);

	buffer_put(out, safe_tag(tag));
	buffer_put_text(out, " OK [CAPABILITY ");
	imap_capabilities(p->session.services, true, out);
	buffer_put_text(out, "] Logged in\r\n");
}

/* There is no session yet that could say it, and a few bytes always fit into a fresh connection. */
static void turn_away(int fd, struct slice tag)
{
	struct buffer text = BUFFER_INIT(1024);

	buffer_put_text(&text, "* BYE [LIMIT] Too many sessions of this account\r\n");
	buffer_put(&text, safe_tag(tag));
	buffer_put_text(&text, " NO [LIMIT] Too many sessions of this account\r\n");
	if (buffer_error(&text) == 0)
		(void)send(fd, text.at, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	buffer_free(&text);
}

int imap_session_new(struct imap_services *services, int fd, const struct imap_start *start)
{
	struct imap_session_private *p = NULL;
	struct imap_session *s;
	int error = private_new(services, start, &p);

	if (error < 0)
		goto fail;
	s = &p->session;
	error = account_open(services->shard, start->account_id, &s->account);
	if (error < 0)
		goto fail;
	if (account_users(s->account) > services->limits.sessions_max) {
		turn_away(fd, start->tag);
		error = -EUSERS;
		goto fail;
	}
	error = net_timer_new(services->loop, session_on_timer, p, &p->timer);
	if (error < 0)
		goto fail;
	error = stream_start(p, fd, start->pipelined);
	if (error < 0)
		goto fail_streamed;
	account_listen(s->account, &p->listener);
	list_add_first(services, p);
	p->last_input_ms = net_loop_now_ms(services->loop);
	net_timer_start(p->timer, services->limits.idle_ms);
	greet(p, start->tag);
	return 0;
fail:
	(void)close(fd);
fail_streamed:
	if (p) {
		net_stream_free(&p->session.stream);
		net_timer_free(&p->timer);
		if (p->session.account)
			account_release(&p->session.account);
		buffer_free(&p->address);
		free(p);
	}
	return error;
}
