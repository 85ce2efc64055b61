/*
 * LMTP command lines: bytes in, a command out. Pure; every slice points into the line.
 *
 * Stricter than RFC 5321 nowhere, more lenient where clients are: space after the colon, dots anywhere in a local part, addresses without a
 * domain (of this host). Control characters are nowhere accepted, so what is parsed may go into a header field.
 */
#ifndef PENFOLD_LMTP_PARSE_H
#define PENFOLD_LMTP_PARSE_H

#include "base/buffer.h"

enum { LMTP_PATH_MAX = 512, LMTP_NAME_MAX = 255 };

enum lmtp_verb {
	LMTP_LHLO,
	LMTP_HELO, /* EHLO, too: never accepted (RFC 2033 §4.1) */
	LMTP_MAIL,
	LMTP_RCPT,
	LMTP_DATA,
	LMTP_BDAT,
	LMTP_RSET,
	LMTP_NOOP,
	LMTP_VRFY,
	LMTP_EXPN,
	LMTP_HELP,
	LMTP_QUIT,
};

/* What stands between < and >, without a source route (RFC 5321 §4.1.2; routes are ignored, Appendix C). */
struct lmtp_path {
	struct slice text;   /* all of it; empty for <> */
	struct slice local;  /* as it stands, quoted or not */
	struct slice domain; /* empty when there is none */
	bool is_ascii;
};

struct lmtp_command {
	enum lmtp_verb verb;
	struct slice name;     /* LHLO */
	struct lmtp_path path; /* MAIL, RCPT */
	bool has_size;
	uint64_t size;        /* MAIL: SIZE= (RFC 1870) */
	bool smtputf8;        /* MAIL (RFC 6531 §3.4) */
	uint64_t chunk_bytes; /* BDAT (RFC 3030 §2) */
	bool chunk_is_last;
};

enum lmtp_syntax {
	LMTP_SYNTAX_OK,
	LMTP_SYNTAX_VERB,       /* no such command */
	LMTP_SYNTAX_ARGUMENT,   /* missing, superfluous or wrong */
	LMTP_SYNTAX_SENDER,     /* no path where one must be */
	LMTP_SYNTAX_RECIPIENT,  /* the same for RCPT */
	LMTP_SYNTAX_PARAMETER,  /* a parameter's form or value */
	LMTP_SYNTAX_UNKNOWN,    /* a parameter nobody offered */
	LMTP_SYNTAX_NEEDS_UTF8, /* a sender with UTF-8 without SMTPUTF8 */
	LMTP_SYNTAX_CHUNK,      /* BDAT whose length cannot be known: the session is out of step */
};
/* `line` is without its end. *ret_command is touched only when it is LMTP_SYNTAX_OK. */
MUST_CHECK enum lmtp_syntax lmtp_command_parse(struct slice line, struct lmtp_command *ret_command);

/* Takes "<path>" off *rest. -EBADMSG. */
MUST_CHECK int lmtp_path_parse(struct slice *rest, struct lmtp_path *ret_path);
/* The address a path names: local part without its quotes (RFC 5321 §4.1.2), '@', domain or `default_domain`. */
void lmtp_path_address(const struct lmtp_path *path, struct slice default_domain, struct buffer *out);

#endif
