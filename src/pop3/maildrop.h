/*
 * The maildrop: what INBOX held at login, and what is marked as deleted. Pure memory, 20 bytes a message.
 *
 * Messages are numbered from 1 (RFC 1939 §5); functions take such numbers and give false for those that name nothing.
 */
#ifndef PENFOLD_POP3_MAILDROP_H
#define PENFOLD_POP3_MAILDROP_H

#include "base/buffer.h"
#include "store/store.h"

struct pop3_maildrop {
	uint32_t count, room;
	uint32_t live;       /* not marked */
	uint64_t live_bytes; /* of those */
	uint32_t *uids;
	uint64_t *emails;
	uint64_t *sizes; /* the top bit marks the message as deleted */
};

/* For at most `room` messages. -ENOMEM. */
MUST_CHECK int maildrop_init(struct pop3_maildrop *drop, uint32_t room);
void maildrop_free(struct pop3_maildrop *drop);
bool maildrop_add(struct pop3_maildrop *drop, uint32_t uid, uint64_t email, uint64_t bytes); /* false: it is full */

bool maildrop_has(const struct pop3_maildrop *drop, uint32_t number); /* there, and not marked */
bool maildrop_is_marked(const struct pop3_maildrop *drop, uint32_t number);
uint64_t maildrop_bytes(const struct pop3_maildrop *drop, uint32_t number);
uint64_t maildrop_email(const struct pop3_maildrop *drop, uint32_t number);
/* The next number after `number` that is not marked; 0 after the last. */
uint32_t maildrop_next(const struct pop3_maildrop *drop, uint32_t number);
void maildrop_mark(struct pop3_maildrop *drop, uint32_t number);
void maildrop_unmark_all(struct pop3_maildrop *drop);
/* The UIDs of all that are marked, added to `list`, whose error says whether that went well. */
void maildrop_marked(const struct pop3_maildrop *drop, struct uid_list *list);
/*
 * The unique-id (RFC 1939 §7): the hexadecimal EMAILID and UID. The EMAILID alone would be the same for copies of one email in the maildrop;
 * the UID alone comes again for another message when a data directory is put back to an earlier state.
 */
void maildrop_put_uidl(const struct pop3_maildrop *drop, uint32_t number, struct buffer *out);

#endif
