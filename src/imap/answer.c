#include "imap/private.h"

static void put_tagged(struct imap_session *s, const char *status, const char *code, const char *text)
{
	struct buffer *out = session_out(s);

	if (s->command && s->command->tag.len)
		buffer_put(out, s->command->tag);
	else
		buffer_put_byte(out, '*');
	buffer_put_byte(out, ' ');
	buffer_put_text(out, status);
	buffer_put_byte(out, ' ');
	if (code) {
		buffer_put_byte(out, '[');
		buffer_put_text(out, code);
		buffer_put_text(out, "] ");
	}
	buffer_put_text(out, text);
	buffer_put_text(out, "\r\n");
}

/* The selected mailbox was deleted by somebody: the client is told that nothing is selected any more. */
static void mailbox_lost(struct imap_session_private *p)
{
	session_deselect(&p->session);
	p->lost = true;
	buffer_put_text(session_out(&p->session), "* OK [CLOSED] The selected mailbox was deleted\r\n");
}

void session_news(struct imap_session_private *p, bool with_expunges)
{
	struct imap_session *s = &p->session;

	if (!s->view)
		return;
	session_sync(s, with_expunges);
	if (with_expunges && view_mailbox_is_gone(s->view) && !session_is_full(s))
		mailbox_lost(p);
}

/* RFC 9051 §7.5.1: no EXPUNGE while answering FETCH, STORE or SEARCH. */
static void news_with_answer(struct imap_session *s)
{
	const struct imap_command *command = s->command;

	session_news(
		s->private, !command || !command->info || command->uid || command->info->expunges == EXPUNGES_TOLD);
}

void session_ok(struct imap_session *s, const char *code, const char *text)
{
	s->private->bad_count = 0;
	news_with_answer(s);
	put_tagged(s, "OK", code, text);
}

void session_no(struct imap_session *s, const char *code, const char *text)
{
	s->private->bad_count = 0;
	news_with_answer(s);
	put_tagged(s, "NO", code, text);
}

void session_bad(struct imap_session *s, const char *code, const char *text)
{
	put_tagged(s, "BAD", code, text);
	if (++s->private->bad_count >= s->services->limits.bad_max)
		session_bye(s->private, "Too many invalid commands");
}

void session_ok_printf(struct imap_session *s, const char *format, ...)
{
	struct buffer *out;
	va_list args;

	s->private->bad_count = 0;
	news_with_answer(s);
	out = session_out(s);
	if (s->command)
		buffer_put(out, s->command->tag);
	buffer_put_text(out, " OK ");
	va_start(args, format);
	buffer_vprintf(out, format, args);
	va_end(args);
	buffer_put_text(out, "\r\n");
}

static const struct {
	int error;
	const char *code, *text;
} store_errors[] = {
	{ENOENT, "NONEXISTENT", "No such mailbox"},
	{EEXIST, "ALREADYEXISTS", "Mailbox already exists"},
	{EDQUOT, "OVERQUOTA", "Over quota"},
	{ENOSPC, "UNAVAILABLE", "No room on the server; try again later"},
	{ENOMEM, "UNAVAILABLE", "Out of memory; try again later"},
	{EPERM, "CANNOT", "Not possible with this mailbox"},
	{EINVAL, "CANNOT", "Not a valid name"},
	{EACCES, "NOPERM", "Not allowed"},
	{ENOBUFS, "LIMIT", "A limit is reached"},
	{E2BIG, "LIMIT", "A limit is reached"},
	{EMSGSIZE, "TOOBIG", "Message is too large"},
	{ESTALE, "EXPUNGEISSUED", "It has been removed meanwhile"},
	{EBADMSG, "SERVERBUG", "Stored data is damaged"},
};

void session_error(struct imap_session *s, int error)
{
	for (size_t i = 0; i < ARRAY_LEN(store_errors); i++) {
		if (store_errors[i].error == -error) {
			session_no(s, store_errors[i].code, store_errors[i].text);
			return;
		}
	}
	session_no(s, "UNAVAILABLE", "Temporary failure; try again later");
}

void session_deselect(struct imap_session *s)
{
	if (s->view)
		view_close(&s->view);
	s->read_only = false;
	uid_list_free(&s->saved);
	s->private->lost = false;
}
