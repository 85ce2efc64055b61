#include "imap/command.h"

/* RFC 4315 §2.1: UID EXPUNGE takes a set; EXPUNGE itself takes nothing. */
bool parse_uid_expunge(struct imap_lexer *l, struct imap_command *c)
{
	return !c->uid || (lex_space(l) && lex_set(l, &c->set));
}
