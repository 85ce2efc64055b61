#include "imap/cursor.h"
#include "imap/sync.h"

/*
 * STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3): a slice of messages at a time, each slice one journal record, then the answers for it.
 */

enum {
	SLICE_MESSAGES = 10000,
	CONDITIONAL_SLICE_MESSAGES = 1000,
	/* With more failures than fit into an answer, what is left of the set fails unseen. */
	MODIFIED_RANGES_MAX = 3000,
};

struct store_state {
	const struct imap_command *command;
	struct uid_list uids;     /* all that the command names */
	struct sync_walk walk;    /* how far it is */
	struct uid_list slice;    /* those of the slice in hand */
	struct sync_walk told;    /* how far they are answered */
	struct uid_list changed;  /* in this slice */
	struct uid_list modified; /* failed UNCHANGEDSINCE, in the whole command */
	bool some_gone;
};

static void store_release(void *state)
{
	struct store_state *store = state;

	uid_list_free(&store->uids);
	uid_list_free(&store->slice);
	uid_list_free(&store->changed);
	uid_list_free(&store->modified);
}

static bool is_conditional(const struct store_state *store)
{
	return store->command->store.unchanged_since != UINT64_MAX;
}

/* Takes the next messages into the slice; false when there are none. */
static bool slice_next(struct imap_session *s, struct store_state *store, int *ret_error)
{
	unsigned messages_max = is_conditional(store) ? CONDITIONAL_SLICE_MESSAGES : SLICE_MESSAGES;
	struct entry entry;
	uint32_t seq;
	unsigned count = 0;

	uid_list_free(&store->slice);
	uid_list_free(&store->changed);
	store->told = (struct sync_walk){0};
	while (count < messages_max && sync_walk_next(s, &store->uids, &store->walk, &seq, &entry, ret_error)) {
		uid_list_add(&store->slice, entry.uid, entry.uid);
		if (view_entry_is_expunged(s->view, entry.uid))
			store->some_gone = true;
		count++;
	}
	if (!*ret_error)
		*ret_error = store->slice.error;
	return count != 0 && !*ret_error;
}

static int slice_store(struct imap_session *s, struct store_state *store)
{
	const struct imap_store_args *args = &store->command->store;
	struct mailbox *mailbox = view_mailbox(s->view);
	unsigned keywords = mailbox->keyword_count;
	int rc = entries_store(mailbox, uid_list_set(&store->slice), args->mode, &args->flags, args->unchanged_since,
		s->view, &s->actor, &store->changed, &store->modified);

	/* A keyword is told of in FLAGS before it stands at a message (RFC 9051 §7.3.5). */
	if (mailbox->keyword_count != keywords)
		session_sync(s, false);
	rc = rc ? rc : store->changed.error;
	return rc ? rc : store->modified.error;
}

/* What could not be looked at any more counts as modified: the client fetches it and tries again. */
static int rest_failed(struct imap_session *s, struct store_state *store)
{
	struct entry entry;
	uint32_t seq;
	int error = 0;

	if (store->modified.count <= MODIFIED_RANGES_MAX ||
		!sync_walk_next(s, &store->uids, &store->walk, &seq, &entry, &error))
		return error;
	uid_list_add(&store->modified, entry.uid, store->uids.ranges[store->uids.count - 1].last);
	store->walk.range = store->uids.count;
	return store->modified.error;
}

/*
 * The answer for one message: its flags unless .SILENT, or unless the condition failed; what changed without being shown tells its new MODSEQ
 * (RFC 7162 §3.1.3).
 */
static void tell_message(
	struct imap_session *s, const struct store_state *store, uint32_t seq, const struct entry *entry)
{
	bool uid = store->command->uid;
	bool failed = uid_set_has(uid_list_set(&store->modified), entry->uid);

	if (failed || !store->command->store.silent) {
		session_put_flags(s, seq, entry, uid);
	} else if ((s->enabled & ENABLED_CONDSTORE) && uid_set_has(uid_list_set(&store->changed), entry->uid)) {
		buffer_printf(session_out(s), "* %u FETCH (UID %u MODSEQ (%llu))\r\n", seq, entry->uid,
			(unsigned long long)entry->modseq);
	}
}

/* False when the output queue is full before the end. */
static bool tell_slice(struct imap_session *s, struct store_state *store, int *ret_error)
{
	struct entry entry;
	uint32_t seq;

	while (!session_is_full(s)) {
		if (!sync_walk_next(s, &store->slice, &store->told, &seq, &entry, ret_error))
			return true;
		tell_message(s, store, seq, &entry);
	}
	return false;
}

static int put_modified(struct imap_session *s, const struct store_state *store, struct buffer *b)
{
	struct uid_list numbers = UID_LIST_INIT(SYNC_RANGES_MAX);
	struct sync_walk walk = {0};
	struct entry entry;
	uint32_t seq;
	int error = 0;

	if (store->command->uid) {
		put_uid_set(b, uid_list_set(&store->modified));
		return buffer_error(b);
	}
	while (sync_walk_next(s, &store->modified, &walk, &seq, &entry, &error))
		uid_list_add(&numbers, seq, seq);
	error = error ? error : numbers.error;
	if (!error)
		put_uid_set(b, uid_list_set(&numbers));
	uid_list_free(&numbers);
	return error ? error : buffer_error(b);
}

static enum imap_run done(struct imap_session *s, struct store_state *store)
{
	struct buffer set = BUFFER_INIT(1 << 20);

	if (store->modified.count) {
		int error = put_modified(s, store, &set);

		if (error)
			session_error(s, error);
		else
			session_ok_printf(s, "[MODIFIED %s] Some messages were changed meanwhile", buffer_text(&set));
		buffer_free(&set);
	} else if (store->some_gone) {
		/* RFC 2180 §4.2: done for those that are there. */
		session_ok(s, "EXPUNGEISSUED", "Stored; some messages have been expunged");
	} else {
		session_ok(s, NULL, "Stored");
	}
	return RUN_DONE;
}

static enum imap_run store_step(struct imap_session *s, void *state)
{
	struct store_state *store = state;
	int error = 0;

	if (!tell_slice(s, store, &error))
		return RUN_MORE;
	if (!error)
		error = rest_failed(s, store);
	if (!error && slice_next(s, store, &error))
		error = slice_store(s, store);
	if (!error && (!tell_slice(s, store, &error) || store->walk.range < store->uids.count))
		return RUN_MORE;
	if (!error)
		return done(s, store);
	session_error(s, error);
	return RUN_DONE;
}

enum imap_run cmd_store(struct imap_session *s, const struct imap_command *command)
{
	struct store_state *store = arena_zalloc(session_arena(s), 1, sizeof(*store));
	int rc;

	if (s->read_only) {
		session_no(s, "CANNOT", "Mailbox is selected read-only");
		return RUN_DONE;
	}
	if (!store) {
		session_error(s, -ENOBUFS);
		return RUN_DONE;
	}
	store->command = command;
	store->uids = UID_LIST_INIT(1);
	store->slice = store->changed = store->modified = UID_LIST_INIT(SYNC_RANGES_MAX);
	rc = session_resolve(s, &command->store.set, command->uid, &store->uids);
	if (rc) {
		sync_set_error(s, rc);
		return RUN_DONE;
	}
	if (command->store.unchanged_since != UINT64_MAX)
		session_enable_condstore(s);
	return cursor_run(s, store_step, store_release, store);
}
