/*
 * APPEND and MULTIAPPEND (RFC 9051 §6.3.12, RFC 3502): the one command whose literals are not held in memory but streamed into the store.
 */
#ifndef PENFOLD_IMAP_APPEND_H
#define PENFOLD_IMAP_APPEND_H

#include "imap/private.h"
#include "store/email.h"

/*
 * A literal was announced at the end of the input's text. True when the command is an APPEND and it was dealt with (streamed or refused); false when
 * it is a literal like any other: of another command, or APPEND's mailbox name.
 */
bool append_literal(struct imap_session_private *p);
void append_data(struct imap_session_private *p, struct slice bytes, bool complete);
void append_line(struct imap_session_private *p); /* the end of the command, behind its last literal */
void append_free(struct imap_append **append);

/* ---- append_parse.c ---- */
bool append_at_literal(const struct imap_lexer *l); /* all that is left is the literal that was announced */
/* SP [flags SP] [date-time SP] ["UTF8 ("], up to the literal. Keywords are copied into the arena. *ret_utf8 is set where it says so. */
bool append_lex_item(struct imap_lexer *l, struct append_item *item, bool *ret_utf8);

#endif
