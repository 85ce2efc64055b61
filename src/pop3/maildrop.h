/*
 * The maildrop: what INBOX held at login, and what is marked as deleted. What there is to know of a message is asked for when it is needed, so that
 * opening a maildrop costs the same however many messages are in it; a bit each is kept once one of them is marked.
 *
 * Messages are numbered from 1 (RFC 1939 §5); functions take such numbers and give false, or -ENOENT, for those that name nothing.
 */
#ifndef PENFOLD_POP3_MAILDROP_H
#define PENFOLD_POP3_MAILDROP_H

#include "base/buffer.h"
#include "store/store.h"

struct pop3_message {
	uint32_t uid;
	uint64_t email, bytes;
};

struct pop3_maildrop {
	/* Always the same message for a number, whatever happens to INBOX meanwhile. Numbers are those of the maildrop. */
	int (*find)(void *context, uint32_t number, struct pop3_message *ret_message);
	void *context;
	uint32_t count;
	uint64_t bytes;      /* of all */
	uint32_t live;       /* not marked */
	uint64_t live_bytes; /* of those */
	unsigned char *marks;
};

void maildrop_init(struct pop3_maildrop *drop, uint32_t count, uint64_t bytes,
	int (*find)(void *context, uint32_t number, struct pop3_message *ret_message), void *context);
void maildrop_free(struct pop3_maildrop *drop);

bool maildrop_has(const struct pop3_maildrop *drop, uint32_t number); /* there, and not marked */
bool maildrop_is_marked(const struct pop3_maildrop *drop, uint32_t number);
MUST_CHECK int maildrop_message(
	const struct pop3_maildrop *drop, uint32_t number, struct pop3_message *ret_message); /* marked or not */
/* The next number after `number` that is not marked; 0 after the last. */
uint32_t maildrop_next(const struct pop3_maildrop *drop, uint32_t number);
MUST_CHECK int maildrop_mark(struct pop3_maildrop *drop, uint32_t number); /* also where it is marked already */
void maildrop_unmark_all(struct pop3_maildrop *drop);
/* The UIDs of all that are marked, added to `list`. */
MUST_CHECK int maildrop_marked(const struct pop3_maildrop *drop, struct uid_list *list);
/*
 * The unique-id (RFC 1939 §7): the hexadecimal EMAILID and UID. The EMAILID alone would be the same for copies of one email in the maildrop;
 * the UID alone comes again for another message when a data directory is put back to an earlier state.
 */
void maildrop_put_uidl(const struct pop3_message *message, struct buffer *out);

#endif
