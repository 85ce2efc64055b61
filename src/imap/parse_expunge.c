#include "imap/command.h"

bool parse_uid_expunge(struct imap_lexer *l, struct imap_command *c)
{
	return lex_space(l) && lex_set(l, &c->set);
}
