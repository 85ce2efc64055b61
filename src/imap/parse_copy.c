#include "imap/command.h"

bool parse_copy(struct imap_lexer *l, struct imap_command *c)
{
	return lex_space(l) && lex_set(l, &c->copy.set) && lex_space(l) && lex_mailbox(l, &c->copy.mailbox);
}
