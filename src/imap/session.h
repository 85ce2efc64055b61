/*
 * The inside of an IMAP session, for cmd_*.c. One thread: the shard's.
 *
 * Output goes to session_out() and is marked with the account's newest change by the session itself, at the end of every piece of work: commands never think
 * of durability. Scratch memory of a command: session_arena(), emptied after it.
 */
#ifndef PENFOLD_IMAP_SESSION_H
#define PENFOLD_IMAP_SESSION_H

#include "imap/command.h"
#include "imap/imap.h"

enum imap_enabled {
	ENABLED_CONDSTORE = 1,
	ENABLED_QRESYNC = 2,
	ENABLED_UTF8 = 4,
	ENABLED_REV2 = 8,
};

struct imap_session {
	struct imap_services *services;
	struct net_stream *stream;
	struct account *account;
	struct actor actor;
	unsigned enabled;
	struct view *view; /* the selected mailbox, or NULL */
	bool read_only;    /* EXAMINE */
	bool idling;
	struct uid_list saved;  /* SEARCHRES: UIDs of $; empty after SELECT */
	uint64_t synced_modseq; /* sync.c: HIGHESTMODSEQ when the client last knew every change of the view */
	struct arena *arena;
	const struct imap_command *command;   /* in flight, for the answer's tag */
	struct imap_session_private *private; /* session.c's own */
};

struct buffer *session_out(struct imap_session *s);
struct arena *session_arena(struct imap_session *s);
/* The output queue is full: a cursor should stop here and return RUN_MORE; it is called again when there is room. */
bool session_is_full(const struct imap_session *s);

/*
 * Runs `step` again after this turn, as soon as the output queue has room, until it returns RUN_DONE. `release` is called
 * exactly once, when it is done or the session ends. `state` should be from session_arena().
 */
enum imap_run session_continue(struct imap_session *s, enum imap_run (*step)(struct imap_session *s, void *state),
	void (*release)(void *state), void *state);

/*
 * The tagged answer of the command in flight: first the untagged news of the selected mailbox (session_sync()), then "TAG OK [code] text". `code` is without
 * brackets, or NULL.
 */
void session_ok(struct imap_session *s, const char *code, const char *text);
void session_no(struct imap_session *s, const char *code, const char *text);
void session_bad(struct imap_session *s, const char *code, const char *text);
void session_ok_printf(struct imap_session *s, const char *format, ...)
	PRINTF_LIKE(2, 3); /* "[CODE ...] text" in one */
/*
 * NO with the fitting code and text for a store error: -ENOENT NONEXISTENT, -EEXIST ALREADYEXISTS, -EDQUOT OVERQUOTA, -ENOSPC UNAVAILABLE,
 * -EPERM CANNOT, -ENOBUFS LIMIT, ...
 */
void session_error(struct imap_session *s, int error);

/*
 * Ends the connection without another byte, for when a literal that was announced cannot be completed. The cursor that calls it then
 * returns RUN_DONE.
 */
void session_abort(struct imap_session *s);

/*
 * Untagged news of the view: EXPUNGE/VANISHED (unless kept back), EXISTS, FETCH FLAGS (MODSEQ). sync.c. Stops when the
 * output queue is full; what is left stays queued (view_has_changes()) for the next call: while idling, when the queue has drained.
 */
void session_sync(struct imap_session *s, bool with_expunges);
/* One untagged FETCH with FLAGS (UID, MODSEQ as the session's state asks). */
void session_put_flags(struct imap_session *s, uint32_t seq, const struct entry *entry, bool with_uid);
/* "VANISHED (EARLIER) ..." or EXPUNGE lines; sync.c. */
void session_put_vanished(struct imap_session *s, const struct uid_list *uids, bool earlier);
/*
 * RFC 7162 §3.2.5: what SELECT (QRESYNC ...) reports after its other answers. A piece at a time, like a cursor's step: false
 * when the output queue is full, then call it again with the same *progress (0 at the start) when there is room; true when all is
 * written. Nothing when UIDVALIDITY differs. sync.c.
 */
bool session_qresync(struct imap_session *s, const struct imap_select_args *args, uint64_t *progress);
void session_enable_condstore(struct imap_session *s); /* idempotent: first CONDSTORE-enabling command, RFC 7162 §3.1 */
void session_deselect(struct imap_session *s);         /* closes the view, writes nothing */

/*
 * A sequence set of the client (numbers, or UIDs) as UIDs of the view, ascending, disjoint. Numbers that are out of range: -EINVAL (BAD;
 * RFC 9051 §6.4.8 says UIDs are silently left out). `$` is the saved result.
 */
MUST_CHECK int session_resolve(struct imap_session *s, const struct imap_set *set, bool uid, struct uid_list *ret_uids);

/* ---- Writing answers: write.c ---- */
void put_string(struct buffer *b, struct slice text, bool utf8);  /* quoted when it can be, else a literal */
void put_nstring(struct buffer *b, struct slice text, bool utf8); /* NIL when empty with NULL pointer */
void put_mailbox(struct imap_session *s, struct slice name);      /* astring: modified UTF-7, or UTF-8 when enabled */
void put_flags(struct buffer *b, const struct mailbox *mailbox, const struct entry *entry, bool deleted_too);
/* All that there are in the mailbox; `settable`: and "\*" while there is room for one more keyword (RFC 9051 §7.1). */
void put_all_flags(struct buffer *b, const struct mailbox *mailbox, bool settable);
void put_uid_set(struct buffer *b, struct uid_set set);              /* "1:3,7" */
void put_date_time(struct buffer *b, int64_t seconds, int16_t zone); /* "17-Jul-1996 02:44:25 -0700", quoted */

#endif
