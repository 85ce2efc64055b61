/* Arguments of the commands about mailboxes, but LIST and STATUS. */
#include "imap/session.h"

bool parse_mailbox(struct imap_lexer *l, struct imap_command *c)
{
	return lex_space(l) && lex_mailbox(l, &c->mailbox);
}

bool parse_rename(struct imap_lexer *l, struct imap_command *c)
{
	return lex_space(l) && lex_mailbox(l, &c->rename.from) && lex_space(l) && lex_mailbox(l, &c->rename.to);
}

/* Uses a mailbox can be made for (RFC 6154 §3); \All and \Flagged would be views over others. */
static const struct {
	struct slice name;
	enum special_use use;
} uses[] = {
	{{"\\Archive", 8}, SPECIAL_ARCHIVE},
	{{"\\Drafts", 7}, SPECIAL_DRAFTS},
	{{"\\Junk", 5}, SPECIAL_JUNK},
	{{"\\Sent", 5}, SPECIAL_SENT},
	{{"\\Trash", 6}, SPECIAL_TRASH},
};

static bool lex_use(struct imap_lexer *l, struct imap_create_args *args)
{
	struct slice name, rest = l->rest;

	if (!lex_byte(l, '\\') || !lex_atom(l, &name))
		return false;
	name = slice_first(rest, name.len + 1);
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (slice_equal_nocase(name, uses[i].name)) {
			args->special_use |= uses[i].use;
			return true;
		}
	}
	args->unknown_use = true;
	return true;
}

/* RFC 6154 §6: create-param =/ "USE" SP "(" [use-attr *(SP use-attr)] ")". */
static bool lex_create_params(struct imap_lexer *l, struct imap_create_args *args)
{
	if (!lex_byte(l, '('))
		return false;
	if (!lex_keyword(l, SLICE("USE"))) {
		l->problem = l->problem ? l->problem : "Unknown CREATE parameter";
		return false;
	}
	if (!lex_space(l) || !lex_byte(l, '('))
		return false;
	while (!lex_peek(l, ')')) {
		if (!lex_use(l, args) || (!lex_peek(l, ')') && !lex_space(l)))
			return false;
	}
	return lex_byte(l, ')') && lex_byte(l, ')');
}

bool parse_create(struct imap_lexer *l, struct imap_command *c)
{
	return lex_space(l) && lex_mailbox_given(l, &c->create.mailbox, &c->create.given) &&
	       (!lex_more(l) || (lex_space(l) && lex_create_params(l, &c->create)));
}
