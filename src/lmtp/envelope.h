/*
 * The envelope of one message: sender, recipients, and the accounts they stand for. Bounded memory of its own.
 *
 * A recipient is one RCPT that was accepted and gets one answer; it stands for one or more targets. A target is a folder of an account.
 */
#ifndef PENFOLD_LMTP_ENVELOPE_H
#define PENFOLD_LMTP_ENVELOPE_H

#include "base/arena.h"
#include "lmtp/parse.h"

struct lmtp_target {
	uint64_t account;
	struct slice detail; /* the folder asked for; may be empty */
	uint64_t mailbox;    /* where delivery put it */
	int error;           /* how delivery ended: 0 or -errno */
};
struct lmtp_recipient {
	struct slice text; /* the path as given */
	uint32_t first_target, target_count;
};
struct lmtp_envelope {
	struct arena *arena;
	struct slice sender; /* the path as given; empty for <> */
	bool smtputf8;
	struct lmtp_recipient *recipients;
	uint32_t recipient_count, recipient_room;
	struct lmtp_target *targets;
	uint32_t target_count, target_room, targets_max;
};

MUST_CHECK int lmtp_envelope_init(struct lmtp_envelope *envelope, uint32_t recipients_max, uint32_t targets_max);
void lmtp_envelope_free(struct lmtp_envelope *envelope);
void lmtp_envelope_reset(struct lmtp_envelope *envelope); /* empties it for the next message */
MUST_CHECK int lmtp_envelope_sender(struct lmtp_envelope *envelope, struct slice text, bool smtputf8);
/* A new recipient without targets. -ENOBUFS, -ENOMEM. lmtp_envelope_drop() takes the newest away again, with its targets. */
MUST_CHECK int lmtp_envelope_recipient(struct lmtp_envelope *envelope, struct slice text);
MUST_CHECK int lmtp_envelope_target(struct lmtp_envelope *envelope, uint64_t account, struct slice detail);
void lmtp_envelope_drop(struct lmtp_envelope *envelope);
/*
 * What became of a recipient: 0 when all of its targets have the message, else the error that is worth most: one that may pass comes before
 * one that lasts, because nothing is lost by trying again.
 */
MUST_CHECK int lmtp_envelope_result(const struct lmtp_envelope *envelope, uint32_t recipient);
/* Will the error last (5.x.x) or may it pass (4.x.x)? */
bool lmtp_error_lasts(int error);

#endif
