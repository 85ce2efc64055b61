/*
 * Inside store search: the compiled criteria, and the message being looked at.
 *
 * A message passes through stages, each dearer than the one before, until the criteria are decided. What the files of words (store/words) know decides
 * leaves of all later stages in the first one: search_index.c.
 */
#ifndef PENFOLD_STORE_SEARCH_INTERNAL_H
#define PENFOLD_STORE_SEARCH_INTERNAL_H

#include "store/search.h"
#include "store/search_walk.h"

enum search_verdict { VERDICT_OPEN, VERDICT_NO, VERDICT_YES };
enum search_stage {
	STAGE_ENTRY,       /* the mailbox entry */
	STAGE_DESCRIPTION, /* the packed description */
	STAGE_HEADER,      /* the message's header, read from its body */
	STAGE_BODY,        /* the whole message */
};

struct search_node {
	enum search_kind kind;
	enum search_stage stage; /* of a leaf: the first in which it may be decided */
	enum search_verdict verdict;
	uint64_t number;
	uint64_t keyword; /* its bit in this mailbox, 0 when it has none */
	struct slice text, name;
	struct uid_set uids;
	struct search_node *children, *next;
	struct search_node *wanted; /* the next leaf that the scan looks for */
	uint32_t question;          /* asked of the files of words, counted from 1; 0: none */
};

enum {
	SEARCH_DEPTH_MAX = 200,
	SEARCH_ARENA_BYTES_MAX = 32 << 20,
	SEARCH_PARTS_BYTES_MAX = 32 << 20, /* description of one message, unpacked */
};

struct search_scan { /* of one message's text: search_scan.c */
	bool active;
	struct search_walk walk;
	struct search_listener listener;
	struct search_node *wanted;
	size_t overlap; /* folded bytes kept from piece to piece */
};

struct search_index;

struct search {
	struct view *view;
	struct mailbox *mailbox;
	struct arena *arena;
	struct search_node *root;
	uint32_t uid_next, uid_last; /* what is left to look at */
	int64_t now_s;
	struct search_index *index; /* what the files of words said; NULL: they were not asked, or not yet */
	bool index_over;            /* nothing more is to be asked */
	uint64_t opened;            /* messages that were looked at beyond their entry */

	bool in_message;
	struct entry entry; /* the message being looked at */
	enum search_stage stage;
	struct arena *parts;
	bool described, unpacked, unreadable;
	uint64_t thread;
	struct email_room room;
	struct slice packed;                /* the description, in it */
	struct mail_message brief, message; /* stand on it */
	struct body_reader *reader;
	struct buffer header, text, folded; /* scratch */
	struct search_scan scan;
};

/* search_tree.c */
MUST_CHECK int search_compile(
	struct search *search, const struct search_criterion *criterion, unsigned depth, struct search_node **ret_node);
void search_reset(struct search_node *node);                                /* all verdicts open */
void search_find_keywords(struct search *search, struct search_node *node); /* keywords may appear while we search */
enum search_verdict search_eval(struct search *search, struct search_node *node, enum search_stage stage);

/* search_text.c: what a leaf needs beyond the entry. A message that cannot be read matches nothing. */
enum search_verdict search_leaf_described(struct search *search, const struct search_node *node);
enum search_verdict search_leaf_header(struct search *search, const struct search_node *node, enum search_stage stage);
bool search_describe(struct search *search); /* email_find() and a look into the description */
bool search_unpack(struct search *search);   /* all of the description */
bool search_open_reader(struct search *search);
bool search_text_has(struct slice haystack, struct slice needle); /* both folded */
void search_message_done(struct search *search);

/* search_index.c: asking the files of words. */
bool search_index_is_due(const struct search *search); /* there is something to ask first */
MUST_CHECK int search_index_step(struct search *search);
void search_index_free(struct search *search);

/* search_answers.c: what they said. */
enum search_verdict search_index_verdict(struct search *search, const struct search_node *node);
/* Of all criteria and any message, once they were asked (`index` is there, and over). */
enum search_verdict search_index_look(struct search *search, uint64_t email);

/* search_scan.c */
void search_scan_start(struct search *search); /* looks for every leaf that is open and matters */
/* One piece; *ret_done when every wanted leaf is decided. -ENOMEM. */
MUST_CHECK int search_scan_step(struct search *search, bool *ret_done);
void search_scan_stop(struct search *search);

#endif
