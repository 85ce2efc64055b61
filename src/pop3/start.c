/* From login to the maildrop: who may have it, and what is in it (RFC 1939 §4, RFC 2449 §8.1). */
#include "pop3/session.h"

void pop3_put_clean(struct slice text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++)
		buffer_put_byte(out, text.at[i] >= ' ' && text.at[i] < 0x7f ? text.at[i] : '?');
}

static void refuse(struct pop3_session *s, const char *reason, struct slice answer)
{
	net_stream_write(s->stream, answer);
	net_stream_write(s->stream, SLICE("\r\n"));
	pop3_session_end(s, reason);
}

/* Where there is no memory for all of it, `brief` says what the client must know. */
static void refuse_with(struct pop3_session *s, const char *reason, const struct buffer *answer, struct slice brief)
{
	refuse(s, reason, buffer_error(answer) ? brief : buffer_slice(answer));
}

static int64_t now_ms(const struct pop3_session *s)
{
	return clock_wall_ms(store_clock(account_store(s->account)));
}

static void refuse_in_use(struct pop3_session *s, const struct maildrop_holder *holder)
{
	struct civil_time since = civil_of(holder->since_ms / 1000, 0);
	struct buffer text = BUFFER_INIT(400);

	buffer_printf(&text,
		"-ERR [IN-USE] The maildrop is in use since %04d-%02d-%02d %02d:%02d:%02d UTC (%lld minutes) from ",
		since.year, since.month, since.day, since.hour, since.minute, since.second,
		(long long)MAX(0, (now_ms(s) - holder->since_ms) / 60000));
	pop3_put_clean(slice_of(holder->address), &text);
	if (holder->device[0]) {
		buffer_put(&text, SLICE(", device "));
		pop3_put_clean(slice_of(holder->device), &text);
	}
	refuse_with(s, "in use", &text, SLICE("-ERR [IN-USE] The maildrop is in use"));
	buffer_free(&text);
}

/* Is it too early for another session? What was refused for that does not count as a session. */
static bool refuse_early(struct pop3_session *s)
{
	int64_t last = account_maildrop_last_ms(s->account);
	int64_t left = last + (int64_t)s->services->login_delay_s * 1000 - now_ms(s);
	struct buffer text = BUFFER_INIT(200);

	if (last == 0 || s->services->login_delay_s == 0 || left <= 0)
		return false;
	buffer_printf(&text, "-ERR [LOGIN-DELAY] Log in again in %lld seconds at the earliest",
		(long long)((left + 999) / 1000));
	refuse_with(s, "login delay", &text, SLICE("-ERR [LOGIN-DELAY] Log in again later"));
	buffer_free(&text);
	return true;
}

static bool hold(struct pop3_session *s)
{
	struct maildrop_holder holder = {.since_ms = 0};
	int error = account_maildrop_hold(s->account, &s->actor, &holder);

	if (error == -EBUSY)
		refuse_in_use(s, &holder);
	else if (error)
		refuse(s, "cannot hold", SLICE("-ERR [SYS/TEMP] The maildrop cannot be opened now"));
	s->holding = error == 0;
	return s->holding;
}

static void on_changed(struct account_listener *listener UNUSED, struct mailbox *mailbox UNUSED)
{
	/* The maildrop is what it was at login. */
}

static void on_ended(struct account_listener *listener)
{
	pop3_session_end(CONTAINER_OF(listener, struct pop3_session, listener), "account ended");
}

static void cannot_load(struct pop3_session *s)
{
	refuse(s, "cannot load", SLICE("-ERR [SYS/TEMP] The maildrop cannot be read now"));
}

static int find_message(void *context, uint32_t number, struct pop3_message *ret_message)
{
	struct pop3_session *s = context;
	struct entry entry;
	int error = view_entry(s->view, number, &entry);

	if (!error)
		*ret_message = (struct pop3_message){entry.uid, entry.email, entry.bytes};
	return error;
}

/* What is in it is looked at when the client asks: most only want to know whether there is something new. */
static void open_maildrop(struct pop3_session *s)
{
	struct mailbox *inbox = mailbox_inbox(s->account);

	if (view_open(inbox, NULL, NULL, &s->view)) {
		cannot_load(s);
		return;
	}
	maildrop_init(&s->drop, view_count(s->view), inbox->bytes, find_message, s);
	pop3_session_ready(s);
}

void pop3_session_open(struct pop3_session *s, uint64_t account_id)
{
	int error = account_open(s->services->shard, account_id, &s->account);

	if (error) {
		refuse(s, "no account",
			error == -ENOENT ? SLICE("-ERR [SYS/PERM] The account is gone")
					 : SLICE("-ERR [SYS/TEMP] The account cannot be opened now"));
		return;
	}
	s->listener = (struct account_listener){.changed = on_changed, .ended = on_ended};
	account_listen(s->account, &s->listener);
	s->listening = true;
	if (!refuse_early(s) && hold(s))
		open_maildrop(s);
}
