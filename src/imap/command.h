/*
 * Commands as values, and the table of all of them. imap_command_parse() does no I/O and knows no session: it is what the fuzzer feeds.
 *
 * To add a command: its arguments in the union below (or a struct of its own, made in the arena), a parse function, a file cmd_NAME.c with
 * its run function, and one line in the table of commands.c.
 */
#ifndef PENFOLD_IMAP_COMMAND_H
#define PENFOLD_IMAP_COMMAND_H

#include "imap/lexer.h"
#include "store/mailbox.h"

struct imap_session;
struct imap_command;
struct imap_fetch;  /* imap/fetch.h */
struct imap_search; /* imap/search.h */
struct imap_list;   /* imap/list.h */

enum imap_when { /* in which states a command is allowed */
	WHEN_AUTHENTICATED = 1,
	WHEN_SELECTED = 2,
	WHEN_ANY = 3,
};
enum imap_expunges { EXPUNGES_TOLD, EXPUNGES_KEPT_BACK /* FETCH, STORE, SEARCH without UID: RFC 9051 §7.5.1 */ };

/*
 * RUN_DONE: the tagged answer is written (session_ok() and kin). RUN_MORE: the command installed a cursor (session_continue()) that is called
 * again until it says RUN_DONE; until then no further command is read.
 */
enum imap_run { RUN_DONE, RUN_MORE };

struct imap_command_info {
	const char *name; /* upper case; after "UID" for has_uid forms */
	unsigned when;
	bool has_uid;                /* UID form exists */
	enum imap_expunges expunges; /* of the form without UID; the UID form tells them */
	bool (*parse)(struct imap_lexer *l,
		struct imap_command *command); /* everything behind the name; NULL: no arguments */
	enum imap_run (*run)(struct imap_session *s, const struct imap_command *command);
};

struct imap_select_args {
	struct slice mailbox;
	bool condstore, qresync;
	uint32_t uidvalidity;
	uint64_t modseq;
	struct imap_set known_uids;             /* count 0: none given */
	struct imap_set match_seqs, match_uids; /* RFC 7162 §3.2.5.2 */
};
struct imap_store_args {
	struct imap_set set;
	enum flags_mode mode;
	bool silent;
	uint64_t unchanged_since; /* UINT64_MAX: not given */
	struct flag_set flags;
};
struct imap_copy_args {
	struct imap_set set;
	struct slice mailbox;
};
struct imap_status_args {
	struct slice mailbox;
	unsigned items; /* STATUS_ bits, imap/status.h */
};
struct imap_create_args {
	struct slice mailbox;
	struct slice given;   /* as the client wrote it, in UTF-8: for OLDNAME */
	unsigned special_use; /* CREATE-SPECIAL-USE */
	bool unknown_use;     /* a use we do not know or that no mailbox can be made for: NO [USEATTR] */
};
struct imap_rename_args {
	struct slice from, to;
};
struct imap_id_args {
	struct slice name, version; /* what of ID is logged */
};

struct imap_command {
	struct slice tag;
	const struct imap_command_info *info;
	bool uid;
	union {
		struct imap_select_args select; /* SELECT, EXAMINE */
		struct imap_store_args store;
		struct imap_copy_args copy; /* COPY, MOVE */
		struct imap_status_args status;
		struct imap_create_args create;
		struct imap_rename_args rename;
		struct imap_id_args id;
		struct slice mailbox; /* DELETE, SUBSCRIBE, UNSUBSCRIBE */
		struct imap_set set;  /* UID EXPUNGE */
		struct imap_fetch *fetch;
		struct imap_search *search;
		struct imap_list *list; /* LIST, LSUB */
		unsigned enable;        /* ENABLED_ bits, imap/session.h */
	};
};

extern const struct imap_command_info imap_commands[];
extern const size_t imap_command_count;

/*
 * Parses one complete command (without its final CRLF). 0; -EBADMSG: BAD with *ret_problem (ret_command->tag is set when there was one);
 * -ENOBUFS: a limit (NO [LIMIT] with *ret_problem). -ENOENT: no such command. The tag and, once it is known, `info` are set in every case.
 * APPEND with its literal is handled by the session, which streams it (imap/append.h); here it is a command that lacks one.
 */
MUST_CHECK int imap_command_parse(struct imap_lexer *lexer, struct imap_command *ret_command, const char **ret_problem);
/* Its beginning only: tag, name; *ret_command must be zeroed. -EBADMSG, -ENOENT as above. */
MUST_CHECK int imap_command_name(struct imap_lexer *lexer, struct imap_command *ret_command);

/* The parse functions, one per family: parse_*.c. */
bool parse_select(struct imap_lexer *l, struct imap_command *c);
bool parse_store(struct imap_lexer *l, struct imap_command *c);
bool parse_copy(struct imap_lexer *l, struct imap_command *c);
bool parse_status(struct imap_lexer *l, struct imap_command *c);
bool parse_create(struct imap_lexer *l, struct imap_command *c);
bool parse_rename(struct imap_lexer *l, struct imap_command *c);
bool parse_mailbox(struct imap_lexer *l, struct imap_command *c);
bool parse_id(struct imap_lexer *l, struct imap_command *c);
bool parse_enable(struct imap_lexer *l, struct imap_command *c);
bool parse_list(struct imap_lexer *l, struct imap_command *c);
bool parse_lsub(struct imap_lexer *l, struct imap_command *c);
bool parse_fetch(struct imap_lexer *l, struct imap_command *c);
bool parse_search(struct imap_lexer *l, struct imap_command *c);
bool parse_ignored(struct imap_lexer *l, struct imap_command *c); /* LOGIN, AUTHENTICATE: any arguments */
bool parse_append(struct imap_lexer *l, struct imap_command *c);  /* without a literal: always a problem */
bool parse_uid_expunge(struct imap_lexer *l, struct imap_command *c);

/* The run functions: cmd_*.c. */
#define IMAP_RUN(name) enum imap_run cmd_##name(struct imap_session *s, const struct imap_command *command)
IMAP_RUN(capability);
IMAP_RUN(noop); /* also CHECK */
IMAP_RUN(logout);
IMAP_RUN(idle);
IMAP_RUN(too_late); /* LOGIN, AUTHENTICATE, STARTTLS */
IMAP_RUN(id);
IMAP_RUN(enable);
IMAP_RUN(namespace);
IMAP_RUN(select); /* also EXAMINE */
IMAP_RUN(close);
IMAP_RUN(unselect);
IMAP_RUN(create);
IMAP_RUN(delete);
IMAP_RUN(rename);
IMAP_RUN(subscribe); /* also UNSUBSCRIBE */
IMAP_RUN(list);      /* also LSUB */
IMAP_RUN(status);
IMAP_RUN(fetch);
IMAP_RUN(store);
IMAP_RUN(copy); /* also MOVE */
IMAP_RUN(expunge);
IMAP_RUN(search);

#endif
