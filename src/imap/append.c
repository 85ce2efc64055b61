#include "imap/append.h"

/* A message that is in but not added yet may be held in memory up to one body frame. */
enum { FRAME_BYTES = 256 << 10, HELD_BYTES_MAX = 64 << 20, FIRST_ROOM = 4 };

struct imap_append {
	struct slice mailbox; /* in the arena of the command, which lasts as long */
	struct append_item *items;
	size_t count, room;
	size_t held_bytes;
	bool utf8; /* a parenthesis has to be closed behind the literal */
};

void append_free(struct imap_append **append)
{
	struct imap_append *a = *append;

	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++)
		ingest_free(&a->items[i].ingest);
	free(a->items);
	free(a);
	*append = NULL;
}

static struct imap_refusal refusal_of(int error)
{
	switch (-error) {
	case EMSGSIZE:
		return (struct imap_refusal){false, "TOOBIG", "Message is too large"};
	case EDQUOT:
		return (struct imap_refusal){false, "OVERQUOTA", "Over quota"};
	case ENOSPC:
		return (struct imap_refusal){false, "UNAVAILABLE", "No room on the server; try again later"};
	case ENOBUFS:
		return (struct imap_refusal){false, "LIMIT", "Too many messages at once"};
	case ENOENT:
		return (struct imap_refusal){false, "TRYCREATE", "No such mailbox"};
	case EINVAL:
		return (struct imap_refusal){false, "CANNOT", "Not a valid mailbox name"};
	case ENODATA: /* RFC 3502 §6.3.11: that is how an APPEND is cancelled */
		return (struct imap_refusal){false, NULL, "Empty message"};
	default:
		return (struct imap_refusal){false, "UNAVAILABLE", "Temporary failure; try again later"};
	}
}

/* Everything that speaks against a literal of this size, before the client is asked to send it. */
static int append_check(const struct imap_session_private *p, uint64_t bytes)
{
	const struct imap_limits *limits = &p->session.services->limits;
	struct account_quota quota = account_quota(p->session.account);
	const struct imap_append *a = p->append;

	if (!mailbox_find(p->session.account, a->mailbox))
		return mailbox_name_validate(a->mailbox) < 0 ? -EINVAL : -ENOENT;
	if (!bytes)
		return -ENODATA;
	if (bytes > limits->append_bytes_max)
		return -EMSGSIZE;
	if (quota.limit_bytes && (quota.used_bytes > quota.limit_bytes || bytes > quota.limit_bytes - quota.used_bytes))
		return -EDQUOT;
	if (a->count >= limits->append_items_max || a->held_bytes > HELD_BYTES_MAX)
		return -ENOBUFS;
	return 0;
}

static int add_item(struct imap_session_private *p, const struct append_item *item)
{
	struct imap_append *a = p->append;
	struct ingest *ingest;
	int error;

	if (a->count == a->room) {
		size_t room = a->room ? a->room * 2 : FIRST_ROOM;
		struct append_item *items = reallocarray(a->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		a->items = items;
		a->room = room;
	}
	error = ingest_new(account_store(p->session.account), &ingest);
	if (error < 0)
		return error;
	a->items[a->count] = *item;
	a->items[a->count++].ingest = ingest;
	a->held_bytes += (size_t)MIN(p->input.literal.bytes, (uint64_t)FRAME_BYTES);
	return 0;
}

/* The item is understood: ask for its literal, or refuse it. */
static void take_item(struct imap_session_private *p, const struct append_item *item)
{
	struct imap_refusal refusal;
	int error = append_check(p, p->input.literal.bytes);

	if (!error)
		error = add_item(p, item);
	if (error < 0) {
		refusal = refusal_of(error);
		session_refuse(p, true, &refusal);
		return;
	}
	session_continue_request(p);
	input_stream(&p->input);
}

static void refuse_syntax(struct imap_session_private *p, bool announced, const struct imap_lexer *l)
{
	const struct imap_refusal refusal = {!l->too_big, l->too_big ? "LIMIT" : NULL, l->problem};

	session_refuse(p, announced, &refusal);
}

/* Behind a literal: [")"] and either another message or the end. */
static bool lex_behind(struct imap_session_private *p, struct imap_lexer *l)
{
	bool ok = !p->append->utf8 || lex_byte(l, ')');

	p->append->utf8 = false;
	return ok;
}

/* Names and mailbox as copies: the line goes when the literal comes. */
static int append_begin(struct imap_session_private *p, const struct imap_command *command, struct slice mailbox)
{
	struct imap_append *a = calloc(1, sizeof(*a));
	int error;

	if (!a)
		return -ENOMEM;
	p->append = a;
	p->command = *command;
	p->session.command = &p->command;
	error = arena_copy(p->session.arena, command->tag, &p->command.tag);
	if (error < 0) {
		p->command.tag = (struct slice){NULL, 0};
		return error;
	}
	return arena_copy(p->session.arena, mailbox, &a->mailbox);
}

static bool first_literal(struct imap_session_private *p)
{
	struct imap_lexer l = session_lexer(p, buffer_slice(&p->input.text));
	struct imap_command command = {0};
	struct append_item item = {0};
	struct slice mailbox;
	bool utf8 = false;
	int error;

	if (imap_command_name(&l, &command) < 0 || command.info->run || !lex_space(&l) || append_at_literal(&l))
		return false;
	if (!lex_mailbox(&l, &mailbox) || !append_lex_item(&l, &item, &utf8)) {
		refuse_syntax(p, true, &l);
		return true;
	}
	error = append_begin(p, &command, mailbox);
	if (error < 0) {
		struct imap_refusal refusal = refusal_of(error);

		session_refuse(p, true, &refusal);
		return true;
	}
	p->append->utf8 = utf8;
	take_item(p, &item);
	return true;
}

bool append_literal(struct imap_session_private *p)
{
	struct imap_lexer l;
	struct append_item item = {0};

	if (!p->append)
		return first_literal(p);
	l = session_lexer(p, buffer_slice(&p->input.text));
	if (lex_behind(p, &l) && append_lex_item(&l, &item, &p->append->utf8))
		take_item(p, &item);
	else
		refuse_syntax(p, true, &l);
	return true;
}

void append_data(struct imap_session_private *p, struct slice bytes, bool complete)
{
	struct ingest *ingest = p->append->items[p->append->count - 1].ingest;
	int error = ingest_write(ingest, bytes);

	if (!error && complete)
		error = ingest_finish(ingest);
	if (!error)
		return;
	p->refusal = refusal_of(error);
	if (complete)
		input_skip_line(&p->input);
	else
		(void)input_skip(&p->input, false);
}

static void append_finish(struct imap_session_private *p)
{
	struct imap_session *s = &p->session;
	struct imap_append *a = p->append;
	struct mailbox *mailbox = mailbox_find(s->account, a->mailbox);
	uint32_t uid;
	int error;

	if (!mailbox) {
		session_no(s, "TRYCREATE", "No such mailbox");
		return;
	}
	error = mailbox_append(mailbox, a->items, a->count, &s->actor, &uid);
	if (error < 0)
		session_error(s, error);
	else if (a->count == 1)
		session_ok_printf(s, "[APPENDUID %u %u] Append completed", mailbox->uidvalidity, uid);
	else
		session_ok_printf(s, "[APPENDUID %u %u:%u] Append completed", mailbox->uidvalidity, uid,
			uid + (uint32_t)a->count - 1);
}

void append_line(struct imap_session_private *p)
{
	struct imap_lexer l = session_lexer(p, buffer_slice(&p->input.text));

	if (!lex_behind(p, &l) || !lex_end(&l)) {
		refuse_syntax(p, false, &l);
		return;
	}
	append_finish(p);
	session_command_over(p);
}
