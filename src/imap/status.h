/*
 * STATUS data items, for STATUS and LIST ... RETURN (STATUS (...)): RFC 9051 §6.3.11, RFC 8438, RFC 7162 §3.1.7, RFC 8474 §4.3, RFC 7889 §3.
 */
#ifndef PENFOLD_IMAP_STATUS_H
#define PENFOLD_IMAP_STATUS_H

#include "imap/session.h"

enum imap_status_item {
	STATUS_MESSAGES = 1,
	STATUS_UIDNEXT = 2,
	STATUS_UIDVALIDITY = 4,
	STATUS_UNSEEN = 8,
	STATUS_DELETED = 16,
	STATUS_SIZE = 32,
	STATUS_RECENT = 64,
	STATUS_HIGHESTMODSEQ = 128,
	STATUS_MAILBOXID = 256,
	STATUS_APPENDLIMIT = 512,
};

bool lex_status_items(struct imap_lexer *l, unsigned *ret_items); /* "(" item ... ")" */
/* "* STATUS name (...)". Reads counters only. */
void put_status(struct imap_session *s, const struct mailbox *mailbox, unsigned items);

#endif
