#include "imap/append.h"
#include "imap/private.h"

int session_need_arena(struct imap_session_private *p)
{
	return p->session.arena ? 0 : arena_new(p->session.services->limits.arena_bytes_max, &p->session.arena);
}

struct imap_lexer session_lexer(struct imap_session_private *p, struct slice text)
{
	const struct imap_limits *limits = &p->session.services->limits;

	return (struct imap_lexer){
		.rest = text,
		.arena = p->session.arena,
		.utf8 = p->session.enabled & (ENABLED_UTF8 | ENABLED_REV2),
		.depth_max = limits->list_depth_max,
		.set_ranges_max = limits->set_ranges_max,
	};
}

void session_continue_request(struct imap_session_private *p)
{
	if (p->input.literal.synchronising)
		buffer_put_text(session_out(&p->session), "+ OK\r\n");
}

static void no_memory(struct imap_session_private *p)
{
	session_bye(p, "[UNAVAILABLE] Out of memory");
}

static void answer_refusal(struct imap_session_private *p)
{
	const struct imap_refusal refusal = p->refusal;

	if (p->session.idling)
		p->session.idling = false;
	if (refusal.bad)
		session_bad(&p->session, refusal.code, refusal.text);
	else
		session_no(&p->session, refusal.code, refusal.text);
	session_command_over(p);
}

/* The tag of a command that is not looked at any further. While idling or appending it is known already. */
static void find_tag(struct imap_session_private *p)
{
	struct imap_lexer l;

	if (p->session.command)
		return;
	p->session.command = &p->command;
	if (session_need_arena(p) < 0)
		return;
	l = session_lexer(p, buffer_slice(&p->input.text));
	if (imap_command_name(&l, &p->command) < 0)
		p->command.info = NULL; /* what there is of a tag is set */
}

void session_refuse(struct imap_session_private *p, bool announced, const struct imap_refusal *refusal)
{
	find_tag(p);
	p->refusal = *refusal;
	if (announced && !p->input.literal.synchronising && p->input.literal.bytes > INPUT_SKIP_BYTES_MAX)
		session_bye(p, "[TOOBIG] Literal is too large");
	else if (!input_skip(&p->input, announced))
		answer_refusal(p);
}

static void literal_announced(struct imap_session_private *p)
{
	static const struct imap_refusal too_big = {false, "TOOBIG", "Literal is too large"};
	static const struct imap_refusal no_idle = {true, NULL, "Expected DONE"};

	if (session_need_arena(p) < 0) {
		no_memory(p);
	} else if (p->session.idling) {
		session_refuse(p, true, &no_idle);
	} else if (!append_literal(p)) {
		if (input_accept(&p->input))
			session_continue_request(p);
		else
			session_refuse(p, true, &too_big);
	}
}

static void run(struct imap_session_private *p)
{
	struct imap_session *s = &p->session;
	const struct imap_command_info *info = p->command.info;

	if (info->when == WHEN_SELECTED && !s->view) {
		if (p->lost)
			session_no(s, "NONEXISTENT", "The selected mailbox was deleted");
		else
			session_bad(s, NULL, "No mailbox is selected");
		session_command_over(p);
	} else if (info->run(s, &p->command) == RUN_DONE) {
		session_command_over(p);
	}
}

static void command_complete(struct imap_session_private *p)
{
	struct imap_lexer l;
	const char *problem = "";
	int error;

	if (session_need_arena(p) < 0) {
		no_memory(p);
		return;
	}
	l = session_lexer(p, buffer_slice(&p->input.text));
	error = imap_command_parse(&l, &p->command, &problem);
	p->session.command = &p->command;
	if (!error) {
		run(p);
		return;
	}
	if (error == -ENOBUFS)
		session_no(&p->session, "LIMIT", problem);
	else
		session_bad(&p->session, NULL, problem);
	session_command_over(p);
}

static void skipped(struct imap_session_private *p)
{
	static const struct imap_refusal too_long = {true, "TOOBIG", "Command line is too long"};

	find_tag(p);
	if (p->input.too_long && !p->refusal.text)
		p->refusal = too_long;
	answer_refusal(p);
}

void session_take(struct imap_session_private *p, enum imap_input_event event)
{
	switch (event) {
	case INPUT_NONE:
		break;
	case INPUT_COMMAND:
		if (p->session.idling)
			idle_line(p, buffer_slice(&p->input.text));
		else if (p->append)
			append_line(p);
		else
			command_complete(p);
		break;
	case INPUT_LITERAL:
		literal_announced(p);
		break;
	case INPUT_DATA:
	case INPUT_DATA_END:
		append_data(p, p->input.data, event == INPUT_DATA_END);
		break;
	case INPUT_SKIPPED:
		skipped(p);
		break;
	case INPUT_HOPELESS:
		session_bye(p, "[TOOBIG] Literal is too large");
		break;
	}
}
