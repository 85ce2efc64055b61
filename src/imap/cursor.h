/* Running a command as a cursor: its first piece at once, the others when there is room (session_continue()). */
#ifndef PENFOLD_IMAP_CURSOR_H
#define PENFOLD_IMAP_CURSOR_H

#include "imap/session.h"

static inline enum imap_run cursor_run(struct imap_session *s,
	enum imap_run (*step)(struct imap_session *s, void *state), void (*release)(void *state), void *state)
{
	if (step(s, state) == RUN_MORE)
		return session_continue(s, step, release, state);
	if (release)
		release(state);
	return RUN_DONE;
}

#endif
