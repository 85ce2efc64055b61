/*
 * The tokens of IMAP (RFC 9051 §9), from one complete command held in memory: its line, with every literal inline as the client
 * sent it ("{5}\r\nhello"). No I/O. Every lex_ function returns true and moves on, or returns false, sets lexer->problem (once: a
 * constant English text that goes into the BAD answer) and stays where it is. Slices point into the command or the arena.
 */
#ifndef PENFOLD_IMAP_LEXER_H
#define PENFOLD_IMAP_LEXER_H

#include "base/arena.h"
#include "store/mailbox.h"

struct imap_lexer {
	struct slice rest;
	struct arena *arena;
	const char *problem;
	bool utf8; /* UTF8=ACCEPT or IMAP4rev2 enabled: mailbox names are UTF-8 */
	unsigned depth, depth_max;
	size_t set_ranges_max;
	bool too_big; /* the problem is a limit: NO [LIMIT] or BAD [TOOBIG] instead of BAD */
};

/* A sequence set as written; `*` is 0, which no message has; `$` (RFC 5182) sets `saved`. Ranges may be unordered and overlap. */
struct imap_set {
	struct uid_range *ranges; /* first <= last; with `*`: first = 0 */
	size_t count;
	bool saved;
};

/* A limit is reached, or memory is short: never mistaken for a fault of the client's. Returns false. */
bool lex_fail_limit(struct imap_lexer *l, const char *problem);
bool lex_end(struct imap_lexer *l);        /* nothing is left but spaces */
bool lex_more(const struct imap_lexer *l); /* a space and something behind it: another argument; sets no problem */
bool lex_space(struct imap_lexer *l);
bool lex_byte(struct imap_lexer *l, char byte);
bool lex_peek(const struct imap_lexer *l, char byte); /* sets no problem */
bool lex_keyword(struct imap_lexer *l,
	struct slice word); /* that atom, in any case, followed by no atom char; sets no problem */
bool lex_atom(struct imap_lexer *l, struct slice *ret);
bool lex_astring(struct imap_lexer *l, struct slice *ret);
bool lex_string(struct imap_lexer *l, struct slice *ret); /* quoted, literal or literal8 */
bool lex_nstring(struct imap_lexer *l, struct slice *ret, bool *ret_nil);
bool lex_number(struct imap_lexer *l, uint64_t max, uint64_t *ret);
bool lex_nz_number(struct imap_lexer *l, uint64_t max, uint64_t *ret);
bool lex_set(struct imap_lexer *l, struct imap_set *ret);
bool lex_mailbox(
	struct imap_lexer *l, struct slice *ret); /* to UTF-8, normalised (INBOX); modified UTF-7 unless utf8 */
bool lex_mailbox_given(struct imap_lexer *l, struct slice *ret, struct slice *ret_given); /* ... and as written */
bool lex_list_mailbox(struct imap_lexer *l, struct slice *ret);                           /* a LIST pattern, to UTF-8 */
bool lex_flag(struct imap_lexer *l, unsigned *flags,
	struct slice *ret_keyword);                     /* system flag: its bit is set, keyword empty */
bool lex_date(struct imap_lexer *l, int64_t *ret_days); /* "1-Feb-1994", quoted or not: days since 1970 */
bool lex_date_time(struct imap_lexer *l, int64_t *ret_seconds, int16_t *ret_zone);

/* Modified UTF-7 (RFC 3501 §5.1.3). Decoding: -EBADMSG on what no encoder would make. */
MUST_CHECK int imap_utf7_decode(struct slice name, struct buffer *out);
void imap_utf7_encode(struct slice utf8, struct buffer *out);

#endif
