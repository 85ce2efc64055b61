#include "pop3/protocol.h"

enum { LINES_PER_STEP = 200 };

void pop3_protocol_init(struct pop3_protocol *p, const struct pop3_settings *settings,
	const struct pop3_backend *backend, struct pop3_maildrop *drop)
{
	*p = (struct pop3_protocol){
		.settings = settings,
		.backend = backend,
		.drop = drop,
		.phase = POP3_COMMANDS,
		.lines = {.line_bytes_max = settings->line_bytes_max},
	};
}

void pop3_protocol_free(struct pop3_protocol *p)
{
	if (p->phase == POP3_BODY)
		p->backend->close(p->backend->context);
	p->phase = POP3_CLOSED;
}

bool pop3_protocol_is_between(const struct pop3_protocol *p)
{
	return p->phase == POP3_COMMANDS || p->phase == POP3_CLOSED;
}

static void answer(struct buffer *out, const char *text)
{
	buffer_put_text(out, text);
	buffer_put(out, SLICE("\r\n"));
}

static void put_totals(const struct pop3_protocol *p, struct buffer *out)
{
	buffer_printf(out, "+OK %u message%s (%llu octets)\r\n", p->drop->live, p->drop->live == 1 ? "" : "s",
		(unsigned long long)p->drop->live_bytes);
}

void pop3_protocol_greet(struct pop3_protocol *p, struct buffer *out)
{
	put_totals(p, out);
}

static bool is_there(const struct pop3_protocol *p, uint32_t number, struct buffer *out)
{
	if (maildrop_has(p->drop, number))
		return true;
	if (maildrop_is_marked(p->drop, number))
		buffer_printf(out, "-ERR Message %u is marked as deleted\r\n", number);
	else
		answer(out, "-ERR No such message");
	return false;
}

bool pop3_message_find(struct pop3_protocol *p, uint32_t number, struct buffer *out, struct pop3_message *ret_message)
{
	int error;

	if (!is_there(p, number, out))
		return false;
	error = maildrop_message(p->drop, number, ret_message);
	if (error)
		pop3_cannot_read(number, error, out);
	return !error;
}

/* ---- One command each ---- */

static void run_capa(struct pop3_protocol *p, const struct pop3_command *command UNUSED, struct buffer *out)
{
	const struct pop3_settings *s = p->settings;

	/* What can only be said before login is listed nevertheless: the tags are the same in both states (RFC 2449 §6). */
	answer(out, "+OK Capabilities follow\r\nTOP\r\nUSER\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING");
	if (s->mechanisms.len)
		buffer_printf(out, "SASL %.*s\r\n", SLICE_ARG(s->mechanisms));
	if (s->login_delay_s)
		buffer_printf(out, "LOGIN-DELAY %u\r\n", s->login_delay_s);
	if (s->expire_days < 0)
		answer(out, "EXPIRE NEVER");
	else
		buffer_printf(out, "EXPIRE %d\r\n", s->expire_days);
	answer(out, "UTF8 USER\r\nLANG\r\nIMPLEMENTATION Penfold\r\n.");
}

static void run_dele(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out)
{
	int error;

	if (!is_there(p, command->number, out))
		return;
	error = maildrop_mark(p->drop, command->number);
	if (error) {
		pop3_cannot_read(command->number, error, out);
		return;
	}
	buffer_put(out, SLICE("+OK Message "));
	buffer_put_u64(out, command->number);
	buffer_put(out, SLICE(" will be deleted\r\n"));
}

static void run_lang(struct pop3_protocol *p UNUSED, const struct pop3_command *command, struct buffer *out)
{
	/* RFC 6856 §3.2: there is one language. */
	if (command->word.len == 0)
		answer(out, "+OK Languages follow\r\nen English\r\n.");
	else if (slice_equal_nocase(command->word, SLICE("en")) || slice_equal(command->word, SLICE("*")))
		answer(out, "+OK en This is English");
	else
		answer(out, "-ERR This language is not spoken here");
}

static void run_list(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out)
{
	struct pop3_message message;

	if (!command->has_number) {
		put_totals(p, out);
		p->phase = POP3_LISTING;
		p->listed = 0;
	} else if (pop3_message_find(p, command->number, out, &message)) {
		buffer_printf(out, "+OK %u %llu\r\n", command->number, (unsigned long long)message.bytes);
	}
}

static void run_login(struct pop3_protocol *p UNUSED, const struct pop3_command *command UNUSED, struct buffer *out)
{
	answer(out, "-ERR Already logged in");
}

static void run_noop(struct pop3_protocol *p UNUSED, const struct pop3_command *command UNUSED, struct buffer *out)
{
	answer(out, "+OK Here");
}

/* The UPDATE state (RFC 1939 §6): removes all that are marked, or none. */
static int update(struct pop3_protocol *p)
{
	struct uid_list marked = UID_LIST_INIT(p->drop->count);
	int error = maildrop_marked(p->drop, &marked);

	if (error == 0)
		error = p->backend->expunge(p->backend->context, uid_list_set(&marked));
	uid_list_free(&marked);
	return error;
}

static void run_quit(struct pop3_protocol *p, const struct pop3_command *command UNUSED, struct buffer *out)
{
	uint32_t marked = p->drop->count - p->drop->live;

	p->phase = POP3_CLOSED;
	if (marked == 0) {
		p->updated = true;
		answer(out, "+OK Bye");
	} else if (update(p)) {
		answer(out, "-ERR [SYS/TEMP] The messages could not be deleted, all are still there");
	} else {
		p->updated = true;
		p->deleted = marked;
		buffer_printf(out, "+OK %u message%s deleted\r\n", marked, marked == 1 ? "" : "s");
	}
}

static void run_rset(struct pop3_protocol *p, const struct pop3_command *command UNUSED, struct buffer *out)
{
	maildrop_unmark_all(p->drop);
	put_totals(p, out);
}

static void run_stat(struct pop3_protocol *p, const struct pop3_command *command UNUSED, struct buffer *out)
{
	buffer_printf(out, "+OK %u %llu\r\n", p->drop->live, (unsigned long long)p->drop->live_bytes);
}

static void put_uidl_line(uint32_t number, const struct pop3_message *message, struct buffer *out)
{
	buffer_printf(out, "%u ", number);
	maildrop_put_uidl(message, out);
	buffer_put(out, SLICE("\r\n"));
}

static void run_uidl(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out)
{
	struct pop3_message message;

	if (!command->has_number) {
		answer(out, "+OK Unique-ids follow");
		p->phase = POP3_UIDS;
		p->listed = 0;
	} else if (pop3_message_find(p, command->number, out, &message)) {
		buffer_put(out, SLICE("+OK "));
		put_uidl_line(command->number, &message, out);
	}
}

static void (*const runs[])(struct pop3_protocol *p, const struct pop3_command *command, struct buffer *out) = {
	[POP3_CAPA] = run_capa,
	[POP3_DELE] = run_dele,
	[POP3_LANG] = run_lang,
	[POP3_LIST] = run_list,
	[POP3_LOGIN] = run_login,
	[POP3_NOOP] = run_noop,
	[POP3_QUIT] = run_quit,
	[POP3_RETR] = pop3_retrieve,
	[POP3_RSET] = run_rset,
	[POP3_STAT] = run_stat,
	[POP3_TOP] = pop3_retrieve,
	[POP3_UIDL] = run_uidl,
};

/* ---- The machine ---- */

static void refuse(struct pop3_protocol *p, const char *text, struct buffer *out)
{
	answer(out, text);
	if (++p->bad < p->settings->bad_max)
		return;
	answer(out, "-ERR Too many errors");
	p->phase = POP3_CLOSED;
}

static void run_line(struct pop3_protocol *p, struct slice line, struct buffer *out)
{
	struct pop3_command command;

	switch (pop3_command_parse(line, &command)) {
	case POP3_SYNTAX_OK:
		runs[command.verb](p, &command, out);
		break;
	case POP3_SYNTAX_VERB:
		refuse(p, "-ERR Unknown command", out);
		break;
	case POP3_SYNTAX_ARGUMENT:
		refuse(p, "-ERR Wrong arguments", out);
		break;
	}
}

static enum pop3_step step_command(struct pop3_protocol *p, struct slice *input, struct buffer *out)
{
	struct slice line;

	switch (lines_next(&p->lines, input, &line)) {
	case LINE_NONE:
		return POP3_STEP_NEEDS_INPUT;
	case LINE_TOO_LONG:
		refuse(p, "-ERR Line too long", out);
		break;
	case LINE_READY:
		run_line(p, line, out);
		break;
	}
	return POP3_STEP_MORE;
}

static void list_more(struct pop3_protocol *p, struct buffer *out)
{
	for (int i = 0; i < LINES_PER_STEP; i++) {
		struct pop3_message message;

		p->listed = maildrop_next(p->drop, p->listed);
		if (p->listed == 0) {
			p->phase = POP3_COMMANDS;
			answer(out, ".");
			return;
		}
		if (maildrop_message(p->drop, p->listed, &message)) {
			/* No end of the answer: the client must not take what it has for the whole. */
			p->phase = POP3_CLOSED;
			return;
		}
		if (p->phase == POP3_UIDS)
			put_uidl_line(p->listed, &message, out);
		else
			buffer_printf(out, "%u %llu\r\n", p->listed, (unsigned long long)message.bytes);
	}
}

enum pop3_step pop3_protocol_step(struct pop3_protocol *p, struct slice *input, struct buffer *out)
{
	switch (p->phase) {
	case POP3_COMMANDS:
		return step_command(p, input, out);
	case POP3_LISTING:
	case POP3_UIDS:
		list_more(p, out);
		return POP3_STEP_MORE;
	case POP3_BODY:
		pop3_retrieve_more(p, out);
		return POP3_STEP_MORE;
	case POP3_CLOSED:
		break;
	}
	return POP3_STEP_CLOSED;
}
