/* POP3 command lines: bytes in, a command out (RFC 1939 §3, RFC 2449 §3). Pure; slices point into the line. */
#ifndef PENFOLD_POP3_COMMAND_H
#define PENFOLD_POP3_COMMAND_H

#include "base/slice.h"

enum pop3_verb {
	POP3_CAPA,
	POP3_DELE,
	POP3_LANG,
	POP3_LIST,
	POP3_LOGIN, /* USER, PASS, APOP, AUTH, STLS, UTF8: over once one is logged in */
	POP3_NOOP,
	POP3_QUIT,
	POP3_RETR,
	POP3_RSET,
	POP3_STAT,
	POP3_TOP,
	POP3_UIDL,
};

struct pop3_command {
	enum pop3_verb verb;
	bool has_number;
	uint32_t number; /* of a message, from 1; 0 and what is beyond 32 bits name none */
	uint32_t lines;  /* TOP; at most UINT32_MAX */
	struct slice word;
};

enum pop3_syntax { POP3_SYNTAX_OK, POP3_SYNTAX_VERB, POP3_SYNTAX_ARGUMENT };
/* `line` is without its end. *ret_command is touched only when it is POP3_SYNTAX_OK. */
MUST_CHECK enum pop3_syntax pop3_command_parse(struct slice line, struct pop3_command *ret_command);

#endif
