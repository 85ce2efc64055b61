/* SUBSCRIBE and UNSUBSCRIBE: RFC 9051 §6.3.7, §6.3.8. Names may be subscribed that are no mailboxes (yet, or any more). */
#include "imap/session.h"

enum imap_run cmd_subscribe(struct imap_session *s, const struct imap_command *command)
{
	bool subscribe = command->info->name[0] == 'S';
	int error = mailbox_name_validate(command->mailbox);

	if (!error)
		error = account_subscribe(s->account, command->mailbox, subscribe, &s->actor);
	if (error < 0)
		session_error(s, error);
	else
		session_ok(s, NULL, subscribe ? "Subscribed" : "Unsubscribed");
	return RUN_DONE;
}
