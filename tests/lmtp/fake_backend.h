/*
 * A delivery that happens in memory, for tests of the state machine. Addresses decide what becomes of them: nobody@ is unknown, *@elsewhere
 * is not ours, off@ is disabled, full@ is over quota at the end, disk@ finds no room, both@ is an alias of two, half@ of two one of which fails.
 */
#ifndef PENFOLD_TESTS_LMTP_FAKE_BACKEND_H
#define PENFOLD_TESTS_LMTP_FAKE_BACKEND_H

#include "lmtp/protocol.h"

struct fake {
	struct lmtp_protocol *protocol;
	struct buffer message; /* of the last delivery, or so far */
	bool open;             /* between begin() and deliver() or abandon() */
	bool slow;             /* deliver() does not finish by itself */
	unsigned begun, delivered, abandoned, answers;
	int begin_error, write_error;
};
struct lmtp_backend fake_backend(struct fake *fake);
void fake_deliver_now(struct fake *fake);

#endif
