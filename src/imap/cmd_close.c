/* CLOSE and UNSELECT: RFC 9051 §6.4.1, §6.4.2. */
#include "imap/session.h"

enum imap_run cmd_close(struct imap_session *s, const struct imap_command *command)
{
	static const struct uid_range all = {1, UINT32_MAX};
	struct mailbox *mailbox = view_mailbox(s->view);
	int error = 0;

	(void)command;
	if (!s->read_only && mailbox->flagged_deleted) {
		struct uid_list expunged = UID_LIST_INIT(UINT32_MAX);

		error = entries_expunge(mailbox, (struct uid_set){&all, 1}, true, &s->actor, &expunged);
		uid_list_free(&expunged);
	}
	if (error < 0) {
		session_error(s, error);
		return RUN_DONE;
	}
	session_deselect(s);
	session_ok(s, NULL, "Mailbox closed");
	return RUN_DONE;
}
