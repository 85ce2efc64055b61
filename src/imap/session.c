#include "imap/append.h"
#include "imap/private.h"

const struct imap_limits imap_limits_default = {
	.line_bytes_max = 65536,
	.literal_bytes_max = 1 << 20,
	.list_depth_max = 50,
	.set_ranges_max = 20000,
	.sessions_max = 1000,
	.bad_max = 20,
	.idle_ms = 1800000,
	.arena_bytes_max = 16 << 20,
	.append_bytes_max = 104857600,
	.append_items_max = 1000,
	.output_bytes_max = 262144,
};

static int64_t now_ms(const struct imap_session_private *p)
{
	return net_loop_now_ms(p->session.services->loop);
}

void session_post(struct imap_session_private *p)
{
	if (p->posted)
		return;
	p->posted = true;
	net_loop_post(p->session.services->loop, &p->task);
}

/* What was written in this piece of work may show changes that are not durable yet: RFC 9051 promises nothing about it, DESIGN.md does. */
static void work_over(struct imap_session_private *p)
{
	uint64_t seq = account_seq(p->session.account);

	if (seq)
		net_stream_mark(p->session.stream, seq);
}

void session_finish(struct imap_session_private *p)
{
	p->finished = true;
	work_over(p);
	net_stream_finish(p->session.stream);
}

void session_bye(struct imap_session_private *p, const char *text)
{
	if (p->finished)
		return;
	buffer_printf(session_out(&p->session), "* BYE %s\r\n", text);
	session_finish(p);
}

/* ---- Reading ---- */

static bool is_ready(const struct imap_session_private *p)
{
	return !p->cursor.step && !p->finished && !p->aborted && !session_is_full(&p->session);
}

static void pause_input(struct imap_session_private *p, bool paused)
{
	if (p->paused == paused)
		return;
	p->paused = paused;
	if (paused) {
		net_stream_pause(p->session.stream);
	} else {
		net_stream_resume(p->session.stream);
		net_stream_again(p->session.stream);
	}
}

static size_t consume(struct imap_session_private *p, struct slice bytes)
{
	size_t used = 0;

	while (used < bytes.len && is_ready(p)) {
		enum imap_input_event event;

		used += input_feed(&p->input, slice_from(bytes, used), &event);
		session_take(p, event);
	}
	if (p->finished || p->aborted)
		return bytes.len;
	return used;
}

/* Idle sessions hold no scratch memory. */
static void slim(struct imap_session_private *p)
{
	if (p->session.command || p->append || !input_is_empty(&p->input))
		return;
	arena_free(&p->session.arena);
	input_reset(&p->input, true);
}

size_t session_on_input(void *owner, struct slice bytes)
{
	struct imap_session_private *p = owner;
	size_t used;

	p->last_input_ms = now_ms(p);
	used = consume(p, bytes);
	work_over(p);
	if (!p->finished && !is_ready(p))
		pause_input(p, true);
	if (p->aborted || (p->stopping && !p->finished && !p->cursor.step))
		session_post(p);
	slim(p);
	return used;
}

/* ---- Turns ---- */

void session_command_over(struct imap_session_private *p)
{
	p->session.command = NULL;
	p->command = (struct imap_command){0};
	p->refusal = (struct imap_refusal){0};
	append_free(&p->append);
	if (p->session.arena)
		arena_reset(p->session.arena);
	input_reset(&p->input, false);
}

static void cursor_release(struct imap_session_private *p)
{
	struct imap_cursor cursor = p->cursor;

	p->cursor = (struct imap_cursor){0};
	if (cursor.step && cursor.release)
		cursor.release(cursor.state);
}

static void cursor_step(struct imap_session_private *p)
{
	if (!p->cursor.step || session_is_full(&p->session))
		return;
	if (p->cursor.step(&p->session, p->cursor.state) == RUN_DONE) {
		cursor_release(p);
		session_command_over(p);
	}
}

enum imap_run session_continue(struct imap_session *s, enum imap_run (*step)(struct imap_session *s, void *state),
	void (*release)(void *state), void *state)
{
	CHECK(!s->private->cursor.step);
	s->private->cursor = (struct imap_cursor){step, release, state};
	session_post(s->private);
	return RUN_MORE;
}

void session_abort(struct imap_session *s)
{
	s->private->aborted = true;
	session_post(s->private);
}

static void list_leave(struct imap_session_private *p)
{
	struct imap_services *services = p->session.services;

	if (p->previous)
		p->previous->next = p->next;
	else
		services->sessions = p->next ? &p->next->session : NULL;
	if (p->next)
		p->next->previous = p->previous;
	services->session_count--;
}

static void session_free(struct imap_session_private *p)
{
	struct imap_session *s = &p->session;

	cursor_release(p);
	append_free(&p->append);
	session_deselect(s);
	uid_list_free(&s->saved);
	arena_free(&s->arena);
	input_free(&p->input);
	buffer_free(&p->idle_tag);
	buffer_free(&p->address);
	net_timer_free(&p->timer);
	net_stream_free(&s->stream);
	account_unlisten(s->account, &p->listener);
	account_release(&s->account);
	list_leave(p);
	p->freed = true;
	if (!p->posted)
		free(p);
}

static void end_when_asked(struct imap_session_private *p)
{
	if (p->finished || p->cursor.step)
		return;
	if (p->ended)
		session_bye(p, p->ended);
	else if (p->stopping && (!p->session.command || p->session.idling))
		session_bye(p, "[UNAVAILABLE] Server shutting down");
}

void session_turn(struct net_task *task)
{
	struct imap_session_private *p = CONTAINER_OF(task, struct imap_session_private, task);

	p->posted = false;
	if (p->freed) {
		free(p);
		return;
	}
	if (!p->finished && !p->aborted) {
		cursor_step(p);
		idle_news(p);
		end_when_asked(p);
		work_over(p);
	}
	if (p->aborted && !p->finished) {
		session_free(p);
		return;
	}
	if (is_ready(p))
		pause_input(p, false);
	else if (p->cursor.step && !session_is_full(&p->session))
		session_post(p);
	slim(p);
}

void session_on_drained(void *owner)
{
	session_post(owner);
}

static void log_end(const struct imap_session_private *p, int error)
{
	char id[17];

	(void)snprintf(id, sizeof(id), "%llx", (unsigned long long)p->session_id);
	LOG(p->session.services->log, LOG_INFO, "logout", {"proto", SLICE("imap")},
		{"account", buffer_slice(&p->address)}, {"device", slice_of(p->device)}, {"peer", slice_of(p->peer)},
		{"session", slice_of(id)}, {"error", error < 0 ? slice_of(strerrorname_np(-error)) : SLICE("")});
}

void session_on_closed(void *owner, int error)
{
	struct imap_session_private *p = owner;

	log_end(p, error);
	session_free(p);
}

void session_on_timer(void *owner)
{
	struct imap_session_private *p = owner;
	uint64_t idle_ms = p->session.services->limits.idle_ms;
	uint64_t idle = (uint64_t)(now_ms(p) - p->last_input_ms);

	if (p->finished)
		return;
	/* RFC 9051 §5.4. A command in flight is no idleness; the stream watches a client that takes no answer. */
	if (p->cursor.step || session_is_full(&p->session))
		net_timer_start(p->timer, idle_ms);
	else if (idle < idle_ms)
		net_timer_start(p->timer, idle_ms - idle);
	else
		session_bye(p, "Autologout; idle for too long");
}

void session_on_account_changed(struct account_listener *listener, struct mailbox *mailbox)
{
	(void)listener;
	(void)mailbox; /* what concerns the selected mailbox comes through its view */
}

void session_on_account_ended(struct account_listener *listener)
{
	struct imap_session_private *p = CONTAINER_OF(listener, struct imap_session_private, listener);

	p->ended = "Account is no longer available";
	session_post(p);
}

void imap_sessions_stop(struct imap_services *services)
{
	for (struct imap_session *s = services->sessions; s; s = s->private->next ? &s->private->next->session : NULL) {
		s->private->stopping = true;
		session_post(s->private);
	}
}

struct buffer *session_out(struct imap_session *s)
{
	return net_stream_out(s->stream);
}

struct arena *session_arena(struct imap_session *s)
{
	return s->arena;
}

bool session_is_full(const struct imap_session *s)
{
	return net_stream_is_full(s->stream);
}

unsigned imap_sessions_of(const struct imap_services *services, uint64_t account)
{
	unsigned count = 0;

	if (account == 0)
		return services->session_count;
	for (struct imap_session *s = services->sessions; s; s = s->private->next ? &s->private->next->session : NULL)
		count += account_id(s->account) == account;
	return count;
}
