#include "imap/status.h"

#include "store/email.h"

static void put_item(struct buffer *out, const char **separator, const char *name, uint64_t value)
{
	buffer_printf(out, "%s%s %llu", *separator, name, (unsigned long long)value);
	*separator = " ";
}

void put_status(struct imap_session *s, const struct mailbox *mailbox, unsigned items)
{
	const struct {
		enum imap_status_item item;
		const char *name;
		uint64_t value;
	} numbers[] = {
		{STATUS_MESSAGES, "MESSAGES", mailbox->messages},
		{STATUS_RECENT, "RECENT", 0}, /* obsolete: nothing is ever recent (RFC 9051 App. E 20) */
		{STATUS_UIDNEXT, "UIDNEXT", mailbox->uidnext},
		{STATUS_UIDVALIDITY, "UIDVALIDITY", mailbox->uidvalidity},
		{STATUS_UNSEEN, "UNSEEN", mailbox->unseen},
		{STATUS_DELETED, "DELETED", mailbox->flagged_deleted},
		{STATUS_SIZE, "SIZE", mailbox->bytes},
		{STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", mailbox->highestmodseq},
		{STATUS_APPENDLIMIT, "APPENDLIMIT", s->services->limits.append_bytes_max},
	};
	struct buffer *out = session_out(s);
	const char *separator = "";

	buffer_put_text(out, "* STATUS ");
	put_mailbox(s, mailbox->name);
	buffer_put_text(out, " (");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (items & numbers[i].item)
			put_item(out, &separator, numbers[i].name, numbers[i].value);
	}
	if (items & STATUS_MAILBOXID) {
		buffer_printf(out, "%sMAILBOXID (", separator);
		object_id_put(out, 'M', mailbox->id);
		buffer_put_byte(out, ')');
	}
	buffer_put_text(out, ")\r\n");
}

enum imap_run cmd_status(struct imap_session *s, const struct imap_command *command)
{
	struct mailbox *mailbox = mailbox_find(s->account, command->status.mailbox);

	if (!mailbox) {
		session_error(s, -ENOENT);
		return RUN_DONE;
	}
	/* RFC 7162 §3.1: asking for HIGHESTMODSEQ enables CONDSTORE. */
	if (command->status.items & STATUS_HIGHESTMODSEQ)
		session_enable_condstore(s);
	put_status(s, mailbox, command->status.items);
	session_ok(s, NULL, "Status completed");
	return RUN_DONE;
}
