/*
 * Of session.c, dispatch.c, answer.c, idle.c and append.c only: how a session runs.
 *
 * One command at a time: while `cursor` is set no input is read. A turn() is posted to the loop when something is left to do that must not be done
 * inside a callback of the store, or that should wait for other sessions' turns.
 */
#ifndef PENFOLD_IMAP_PRIVATE_H
#define PENFOLD_IMAP_PRIVATE_H

#include "imap/input.h"
#include "imap/session.h"

struct imap_append;

struct imap_refusal { /* of a command whose rest is being skipped */
	bool bad;
	const char *code, *text;
};

struct imap_cursor {
	enum imap_run (*step)(struct imap_session *s, void *state);
	void (*release)(void *state);
	void *state;
};

struct imap_session_private {
	struct imap_session session;
	struct imap_session_private *next, *previous; /* in services->sessions */

	struct imap_input input;

	struct imap_command command; /* in flight or being answered */
	struct imap_cursor cursor;
	struct imap_append *append;
	struct imap_refusal refusal;
	struct buffer idle_tag;
	unsigned bad_count;

	struct net_task task;
	bool posted;
	bool freed;    /* only waits for the posted task */
	bool finished; /* BYE is written, the stream is closing */
	bool aborted;
	bool paused;
	bool stopping;     /* the server ends: BYE after the command in flight */
	bool news;         /* the view has changes */
	bool lost;         /* the selected mailbox was deleted; nothing selected since */
	const char *ended; /* the account is gone: text of the BYE */

	struct net_timer *timer;
	int64_t last_input_ms;
	struct account_listener listener;

	uint64_t session_id;
	struct buffer address; /* of the account */
	char peer[65], device[65];
};

/* ---- session.c ---- */
void session_post(struct imap_session_private *p); /* run a turn soon */
/* "* BYE text", and the end. `text` may begin with a response code. */
void session_bye(struct imap_session_private *p, const char *text);
void session_finish(struct imap_session_private *p); /* what was written is the last */
/* The command in flight is over: scratch memory goes, the next one may come. */
void session_command_over(struct imap_session_private *p);

/* The callbacks that start.c hands to loop, stream, timer and account. */
void session_turn(struct net_task *task);
size_t session_on_input(void *owner, struct slice bytes);
void session_on_drained(void *owner);
void session_on_closed(void *owner, int error);
void session_on_timer(void *owner);
void session_on_account_changed(struct account_listener *listener, struct mailbox *mailbox);
void session_on_account_ended(struct account_listener *listener);

/* ---- dispatch.c ---- */
void session_take(struct imap_session_private *p, enum imap_input_event event);
MUST_CHECK int session_need_arena(struct imap_session_private *p);
struct imap_lexer session_lexer(struct imap_session_private *p, struct slice text);
/* Refuses the literal that was just `announced`, or the rest of the command. */
void session_refuse(struct imap_session_private *p, bool announced, const struct imap_refusal *refusal);
void session_continue_request(struct imap_session_private *p); /* "+ OK" */

/* ---- answer.c ---- */
/* News of the view, then CLOSED when its mailbox is gone. */
void session_news(struct imap_session_private *p, bool with_expunges);

/* ---- idle.c ---- */
void idle_news(struct imap_session_private *p);
void idle_line(struct imap_session_private *p, struct slice line);

#endif
