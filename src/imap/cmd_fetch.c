#include "imap/cursor.h"
#include "imap/fetch_run.h"

/* FETCH: RFC 9051 §6.4.5, RFC 7162 §3.1.4 and §3.2.6. Which messages, in which order, and the end of it. */

enum {
	WORK_PER_TURN = 2000,          /* messages passed over before others get their turn */
	WORK_OF_COUNTING = 50,         /* so much is one piece decoded without output */
	SEEN_MESSAGES_MAX = 1000,      /* made \Seen by one journal record... */
	SEEN_BYTES_MAX = 256 << 10,    /* ...but not far ahead of what is being sent */
	SCRATCH_KEPT_BYTES = 64 << 10, /* from message to message */
};

static void message_release(struct fetch_run *run)
{
	body_reader_free(&run->reader);
	fetch_decoding_free(run);
	buffer_recycle(&run->scratch, SCRATCH_KEPT_BYTES);
	email_room_recycle(&run->room, SCRATCH_KEPT_BYTES);
	run->in_message = false;
	run->found = run->unpacked = false;
}

static void fetch_release(void *state)
{
	struct fetch_run *run = state;

	message_release(run);
	buffer_free(&run->scratch);
	email_room_free(&run->room);
	uid_list_free(&run->uids);
	uid_list_free(&run->vanished);
	uid_list_free(&run->made_seen);
	arena_free(&run->parts);
}

/*
 * Sets \Seen on the messages that are about to be sent: as one change for many, but only for as many as fit into the output queue, so that a client that goes
 * away has not marked what it never got. A full disk keeps nobody from reading: then \Seen stays as it is.
 */
static void make_seen(struct fetch_run *run, struct sync_walk walk)
{
	static const struct flag_set seen = {.flags = FLAG_SEEN};
	struct imap_session *s = run->session;
	struct uid_list unseen = UID_LIST_INIT(SEEN_MESSAGES_MAX);
	struct entry entry;
	uint32_t seq;
	uint64_t bytes = 0;
	unsigned count = 0;
	int error = 0;

	while (count < SEEN_MESSAGES_MAX && bytes < SEEN_BYTES_MAX &&
		sync_walk_next(s, &run->uids, &walk, &seq, &entry, &error)) {
		run->seen_through = entry.uid;
		bytes += entry.bytes;
		count++;
		if (!(entry.flags & FLAG_SEEN))
			uid_list_add(&unseen, entry.uid, entry.uid);
	}
	uid_list_free(&run->made_seen);
	if (unseen.count && entries_store(view_mailbox(s->view), uid_list_set(&unseen), FLAGS_ADD, &seen, UINT64_MAX,
				    s->view, &s->actor, &run->made_seen, NULL))
		uid_list_free(&run->made_seen);
	uid_list_free(&unseen);
}

static bool needs_email(const struct fetch_run *run)
{
	return run->args->bodies ||
	       (run->args->items & (FETCH_THREADID | FETCH_ENVELOPE | FETCH_BODYSTRUCTURE | FETCH_BODY));
}

/* Begins the answer for a message, unless it cannot be read at all: then the tagged answer will say so. */
static void message_begin(struct fetch_run *run)
{
	run->in_bodies = false;
	run->found = run->unpacked = false;
	if (needs_email(run) && !fetch_find(run))
		return;
	run->in_message = true;
	run->stored_left = run->args->items & (FETCH_ENVELOPE | FETCH_BODYSTRUCTURE | FETCH_BODY);
	run->body = run->args->bodies;
	fetch_put_items(run);
}

/* The next message; false when there is none. */
static bool message_next(struct fetch_run *run, int *ret_error)
{
	struct imap_session *s = run->session;
	struct sync_walk before = run->walk;

	if (!sync_walk_next(s, &run->uids, &run->walk, &run->seq, &run->entry, ret_error))
		return false;
	if (run->sets_seen && run->entry.uid > run->seen_through) {
		make_seen(run, before);
		*ret_error = view_entry(s->view, run->seq, &run->entry);
		if (*ret_error)
			return false;
	}
	message_begin(run);
	return true;
}

/* The next thing to do for the message in hand. */
static void message_step(struct fetch_run *run)
{
	if (run->flow != FLOW_NONE) {
		fetch_flow_step(run);
	} else if (run->stored_left) {
		fetch_put_stored(run);
	} else if (run->in_bodies && run->body && run->body->next) {
		run->body = run->body->next;
		fetch_body_begin(run);
	} else if (!run->in_bodies && run->body) {
		run->in_bodies = true;
		fetch_body_begin(run);
	} else {
		buffer_put(session_out(run->session), SLICE(")\r\n"));
		message_release(run);
	}
}

static enum imap_run fetch_end(struct fetch_run *run, int error)
{
	struct imap_session *s = run->session;

	if (error)
		session_error(s, error);
	else if (run->unknown_cte)
		session_no(s, "UNKNOWN-CTE", "A part cannot be decoded");
	else if (run->damaged)
		session_no(s, "CORRUPTION", "Some messages cannot be read"); /* RFC 5530 §3 */
	else if (run->gone)
		session_no(s, "EXPUNGEISSUED", "Some messages are not there any more");
	else
		session_ok(s, NULL, "Fetched");
	return RUN_DONE;
}

static enum imap_run fetch_step(struct imap_session *s, void *state)
{
	struct fetch_run *run = state;
	int error = 0;

	/* What the store lent out last turn is not good any more. */
	run->found = run->unpacked = false;
	if (!sync_put_earlier(s, &run->vanished, &run->vanished_from))
		return RUN_MORE;
	for (unsigned work = 0; work < WORK_PER_TURN && !session_is_full(s); work++) {
		if (run->flow == FLOW_COUNT)
			work += WORK_OF_COUNTING;
		if (run->in_message)
			message_step(run);
		else if (!message_next(run, &error))
			return fetch_end(run, error);
		if (run->aborted) {
			session_abort(s);
			return RUN_DONE;
		}
	}
	return RUN_MORE;
}

/* RFC 7162 §3.2.6: what it takes to ask for VANISHED. */
static bool vanished_is_allowed(struct imap_session *s, const struct imap_command *command)
{
	return !command->fetch->vanished ||
	       (command->uid && command->fetch->has_changed_since && (s->enabled & ENABLED_QRESYNC));
}

static int fetch_prepare(struct imap_session *s, const struct imap_command *command, struct fetch_run *run)
{
	const struct imap_fetch *args = command->fetch;
	struct uid_list known = UID_LIST_INIT(1);
	int rc = session_resolve(s, &args->set, command->uid, &run->uids);

	if (!rc)
		rc = arena_new(FETCH_PARTS_BYTES_MAX, &run->parts);
	if (!rc && args->vanished)
		rc = sync_known_uids(s, &args->set, 1, &known);
	if (!rc && args->vanished)
		rc = sync_vanished(s, args->changed_since, &known, &run->vanished);
	uid_list_free(&known);
	return rc;
}

enum imap_run cmd_fetch(struct imap_session *s, const struct imap_command *command)
{
	struct fetch_run *run = arena_zalloc(session_arena(s), 1, sizeof(*run));
	int rc;

	if (!vanished_is_allowed(s, command)) {
		session_bad(s, NULL, "VANISHED needs UID FETCH, CHANGEDSINCE and QRESYNC enabled");
		return RUN_DONE;
	}
	if (!run) {
		session_error(s, -ENOBUFS);
		return RUN_DONE;
	}
	run->session = s;
	run->args = command->fetch;
	if (run->args->has_changed_since)
		run->walk.changed_since = run->args->changed_since;
	run->sets_seen = run->args->sets_seen && !s->read_only;
	run->piece_bytes = sync_piece_bytes(s);
	run->scratch = BUFFER_INIT(FETCH_SCRATCH_BYTES_MAX);
	run->room = EMAIL_ROOM_INIT;
	run->made_seen = UID_LIST_INIT(SEEN_MESSAGES_MAX);
	rc = fetch_prepare(s, command, run);
	if (rc) {
		sync_set_error(s, rc);
		fetch_release(run);
		return RUN_DONE;
	}
	if (run->args->items & FETCH_MODSEQ)
		session_enable_condstore(s);
	return cursor_run(s, fetch_step, fetch_release, run);
}
