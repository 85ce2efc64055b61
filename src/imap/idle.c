/* IDLE: RFC 9051 §6.3.13. The command stays in flight, its tag copied, until any line comes; DONE is the one that is right. */
#include "imap/private.h"

static enum imap_run start(struct imap_session_private *p, const struct imap_command *command)
{
	buffer_reset(&p->idle_tag);
	buffer_put(&p->idle_tag, command->tag);
	if (buffer_error(&p->idle_tag) < 0) {
		session_error(&p->session, buffer_error(&p->idle_tag));
		return RUN_DONE;
	}
	p->command = (struct imap_command){.tag = buffer_slice(&p->idle_tag), .info = command->info};
	p->session.idling = true;
	/* The line is done with, so that DONE can be collected. */
	input_reset(&p->input, true);
	arena_free(&p->session.arena);
	buffer_put_text(session_out(&p->session), "+ idling\r\n");
	session_news(p, true);
	return RUN_MORE;
}

enum imap_run cmd_idle(struct imap_session *s, const struct imap_command *command)
{
	return start(s->private, command);
}

void idle_news(struct imap_session_private *p)
{
	if (p->session.idling && p->session.view && !session_is_full(&p->session))
		session_news(p, true);
}

void idle_line(struct imap_session_private *p, struct slice line)
{
	bool done = slice_equal_nocase(slice_trim(line), SLICE("DONE"));

	p->session.idling = false;
	if (done)
		session_ok(&p->session, NULL, "Idle ended");
	else
		session_bad(&p->session, NULL, "Expected DONE");
	session_command_over(p);
	buffer_free(&p->idle_tag);
}
