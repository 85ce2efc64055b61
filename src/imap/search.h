/*
 * SEARCH as a value (RFC 9051 §6.4.4): what parse_search() makes of the client's words, in the command's arena. Sequence sets can only be resolved
 * with the view, when the command runs: they are listed, each with the criterion that waits for it.
 */
#ifndef PENFOLD_IMAP_SEARCH_H
#define PENFOLD_IMAP_SEARCH_H

#include "imap/command.h"
#include "store/search.h"

enum search_return {
	RETURN_MIN = 1,
	RETURN_MAX = 2,
	RETURN_ALL = 4,
	RETURN_COUNT = 8,
	RETURN_SAVE = 16, /* RFC 9051 §6.4.4.1 */
};

struct search_set {
	struct imap_set set;
	bool uid;
	struct search_criterion *criterion;
	struct uid_list uids; /* what it was resolved to */
	struct search_set *next;
};

struct imap_search {
	bool extended; /* RETURN (...) was given */
	unsigned returns;
	bool has_charset, bad_charset;
	bool has_modseq; /* RFC 7162 §3.1.5: the answer tells the highest MODSEQ found */
	struct slice charset;
	struct search_criterion *criteria;
	struct search_set *sets;
};

#endif
