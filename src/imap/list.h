/*
 * LIST, extended LIST and LSUB: RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154, RFC 3501 §6.3.9.
 */
#ifndef PENFOLD_IMAP_LIST_H
#define PENFOLD_IMAP_LIST_H

#include "imap/status.h"

enum { LIST_PATTERNS_MAX = 100, LIST_PATTERN_BYTES_MAX = 2 * STORE_MAILBOX_NAME_MAX };

struct imap_list {
	bool lsub;
	bool extended; /* the extended syntax: an empty pattern has no special meaning */
	bool select_subscribed, select_special_use, recursive_match;
	bool return_subscribed;
	unsigned status_items;  /* 0: no STATUS */
	struct slice *patterns; /* canonical: the reference in front, INBOX in upper case, no empty ones */
	size_t pattern_count;
	bool root; /* LIST "" "": hierarchy separator and root */
};

enum list_name_flag {
	NAME_EXISTS = 1,
	NAME_SUBSCRIBED = 2,
	NAME_HAS_CHILDREN = 4,
	NAME_SUBSCRIBED_BELOW = 8, /* a descendant is subscribed */
	NAME_SELECTED_BELOW = 16,  /* a descendant meets the selection options */
	NAME_MATCHED = 32,         /* the name matches a pattern */
	NAME_UNMATCHED_BELOW = 64, /* a descendant meets the selection options and matches no pattern */
};
struct list_name {
	struct slice name;
	uint64_t mailbox; /* id; 0 when it does not exist */
	unsigned special_use, flags;
};
/*
 * Every name there is to list: mailboxes, subscribed names without one, and parents nobody made; in hierarchical order. A copy, so that a long
 * answer may go on while mailboxes change.
 */
struct list_names {
	struct list_name *names;
	size_t count, room;
	struct arena *arena; /* of the texts; borrowed */
};
/* -ENOMEM, -ENOBUFS: the arena is full. */
MUST_CHECK int list_names_gather(struct account *account, const struct imap_list *args, struct list_names *names);
void list_names_free(struct list_names *names);
/*
 * Marks which names match, from *at on, for as long as a turn of the loop may take; true when all are done. Then NAME_UNMATCHED_BELOW is right, too.
 */
bool list_names_match(struct list_names *names, const struct imap_list *args, size_t *at);
bool list_name_is_selected(const struct list_name *name, const struct imap_list *args);

/* Does the name match the pattern ("*", "%")? Takes at most the product of both lengths. Pure. */
bool list_match(struct slice pattern, struct slice name);

/* `* LIST (attributes) "/" name ["OLDNAME" ...]` of one mailbox. */
void put_list_mailbox(struct imap_session *s, const struct mailbox *mailbox, struct slice old_name);

#endif
