/*
 * Searching a mailbox: a tree of criteria, evaluated a piece at a time so that a long search does not hold its shard. On the account's shard.
 *
 * Text is compared as substrings of the decoded text, both folded by mail_text_fold(). Criteria that need only entries are decided first; those that
 * need the packed description next; bodies are opened last, and only where still undecided.
 */
#ifndef PENFOLD_STORE_SEARCH_H
#define PENFOLD_STORE_SEARCH_H

#include "store/email.h"

enum search_kind {
	SEARCH_ALL,
	SEARCH_AND,
	SEARCH_OR,
	SEARCH_NOT,
	SEARCH_UIDS,    /* set */
	SEARCH_FLAGS,   /* all of `number`'s FLAG_ bits set */
	SEARCH_KEYWORD, /* text: the keyword's name */
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE, /* number: day as days since 1970, of INTERNALDATE in its own zone */
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE, /* the same of the Date field */
	SEARCH_SAVEDBEFORE,
	SEARCH_SAVEDON,
	SEARCH_SAVEDSINCE, /* RFC 8514 */
	SEARCH_OLDER,
	SEARCH_YOUNGER, /* number: seconds (RFC 5032) */
	SEARCH_LARGER,
	SEARCH_SMALLER, /* number: bytes */
	SEARCH_MODSEQ,  /* number: at least (RFC 7162 §3.1.5) */
	SEARCH_EMAILID,
	SEARCH_THREADID, /* number */
	SEARCH_HEADER, /* name, text: a field so named whose decoded value has the text ("": any value); From, Subject, ... too */
	SEARCH_BODY,
	SEARCH_TEXT, /* text: in the body's text parts; the same or in any header */
};
struct search_criterion {
	enum search_kind kind;
	uint64_t number;
	struct slice text; /* UTF-8, as given; folded by search_new() */
	struct slice name;
	struct uid_set uids;
	struct search_criterion *children, *next; /* AND, OR (two or more), NOT (one) */
};

struct search;
/* The criteria and what they point to must outlive the search, and so must the view, whose session's messages are searched. -EINVAL, -ENOMEM. */
MUST_CHECK int search_new(struct view *view, const struct search_criterion *criteria, struct search **ret_search);
void search_free(struct search **search);
/*
 * Looks at messages for at most `budget_us` microseconds; matches are appended to `uids`. *ret_done when all are looked at.
 */
MUST_CHECK int search_step(struct search *search, int64_t budget_us, struct uid_list *uids, bool *ret_done);

#endif
