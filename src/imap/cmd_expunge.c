#include "imap/cursor.h"
#include "imap/sync.h"

/* EXPUNGE (RFC 9051 §6.4.3) and UID EXPUNGE (§6.4.9, RFC 4315 §2.1). */

struct expunge_state {
	bool any; /* something was expunged */
};

/* Every expunge is told of before the answer, however slowly the client reads. */
static enum imap_run tell(struct imap_session *s, void *state)
{
	const struct expunge_state *expunge = state;

	session_sync(s, true);
	if (session_is_full(s) && view_has_changes(s->view))
		return RUN_MORE;
	if (expunge->any && (s->enabled & ENABLED_QRESYNC))
		session_ok_printf(s, "[HIGHESTMODSEQ %llu] Expunged", /* RFC 7162 §3.2.7 */
			(unsigned long long)view_mailbox(s->view)->highestmodseq);
	else
		session_ok(s, NULL, "Expunged");
	return RUN_DONE;
}

static int expunge_set(struct imap_session *s, const struct imap_command *command, struct uid_list *expunged)
{
	static const struct uid_range everything = {1, UINT32_MAX};
	struct uid_list uids = UID_LIST_INIT(1);
	int rc;

	if (!command->uid)
		return entries_expunge(
			view_mailbox(s->view), (struct uid_set){&everything, 1}, true, &s->actor, expunged);
	rc = session_resolve(s, &command->set, true, &uids);
	if (!rc && uids.count)
		rc = entries_expunge(view_mailbox(s->view), uid_list_set(&uids), true, &s->actor, expunged);
	uid_list_free(&uids);
	return rc;
}

enum imap_run cmd_expunge(struct imap_session *s, const struct imap_command *command)
{
	struct uid_list expunged = UID_LIST_INIT(SYNC_RANGES_MAX);
	struct expunge_state *state = arena_zalloc(session_arena(s), 1, sizeof(*state));
	int rc;

	if (s->read_only) {
		session_no(s, "CANNOT", "Mailbox is selected read-only");
		return RUN_DONE;
	}
	rc = state ? expunge_set(s, command, &expunged) : -ENOBUFS;
	if (state)
		state->any = expunged.count != 0;
	uid_list_free(&expunged);
	if (!rc)
		return cursor_run(s, tell, NULL, state);
	session_error(s, rc);
	return RUN_DONE;
}
