/*
 * Inside store search: the compiled criteria, and the message being looked at.
 *
 * A message passes through stages, each dearer than the one before, until the criteria are decided. An index that replaces the scan of bodies
 * would answer the leaves of STAGE_BODY; nothing else needs to know.
 */
#ifndef PENFOLD_STORE_SEARCH_INTERNAL_H
#define PENFOLD_STORE_SEARCH_INTERNAL_H

#include "mail/mail.h"
#include "store/search.h"

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
};

enum {
	SEARCH_DEPTH_MAX = 200,
	SEARCH_ARENA_BYTES_MAX = 32 << 20,
	SEARCH_PARTS_BYTES_MAX = 32 << 20, /* description of one message, unpacked */
	SEARCH_HEADER_BYTES_MAX = 1 << 20, /* of a header block are looked at */
	SEARCH_TEXT_BYTES_MAX = 32 << 20,  /* of decoded text at a time: a header's, or a piece's */
	SEARCH_PIECE_BYTES = 64 << 10,     /* of a body between two looks at the clock */
};

struct search_scan { /* of one message's text: search_scan.c */
	bool active, in_body;
	uint32_t part;
	uint64_t at, left; /* of the part's body */
	struct mail_decoder *decoder;
	struct search_node *wanted;
	size_t overlap; /* folded bytes kept from piece to piece */
	struct buffer decoded, window;
};

struct search {
	struct view *view;
	struct mailbox *mailbox;
	struct arena *arena;
	struct search_node *root;
	uint32_t uid_next, uid_last; /* what is left to look at */
	int64_t now_s;

	bool in_message;
	struct entry entry; /* the message being looked at */
	enum search_stage stage;
	struct arena *parts;
	bool described, unpacked, unreadable;
	uint64_t thread;
	struct mail_message brief, message; /* `message` stands on its own copy of the description */
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
bool search_unpack(struct search *search);   /* all of the description, copied */
bool search_open_reader(struct search *search);
struct slice search_read_header(struct search *search, const struct mail_part *part);
bool search_text_has(struct slice haystack, struct slice needle); /* both folded */
void search_message_done(struct search *search);

/* search_scan.c */
void search_scan_start(struct search *search); /* looks for every leaf that is open and matters */
/* One piece; *ret_done when every wanted leaf is decided. -ENOMEM. */
MUST_CHECK int search_scan_step(struct search *search, bool *ret_done);
void search_scan_stop(struct search *search);

#endif
