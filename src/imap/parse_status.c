#include "imap/status.h"

static const struct {
	struct slice name;
	enum imap_status_item item;
} items[] = {
	{{"MESSAGES", 8}, STATUS_MESSAGES},
	{{"UIDNEXT", 7}, STATUS_UIDNEXT},
	{{"UIDVALIDITY", 11}, STATUS_UIDVALIDITY},
	{{"UNSEEN", 6}, STATUS_UNSEEN},
	{{"DELETED", 7}, STATUS_DELETED},
	{{"SIZE", 4}, STATUS_SIZE},
	{{"RECENT", 6}, STATUS_RECENT},
	{{"HIGHESTMODSEQ", 13}, STATUS_HIGHESTMODSEQ},
	{{"MAILBOXID", 9}, STATUS_MAILBOXID},
	{{"APPENDLIMIT", 11}, STATUS_APPENDLIMIT},
};

static bool lex_status_item(struct imap_lexer *l, unsigned *all)
{
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		if (lex_keyword(l, items[i].name)) {
			*all |= items[i].item;
			return true;
		}
	}
	l->problem = l->problem ? l->problem : "Unknown status item";
	return false;
}

bool lex_status_items(struct imap_lexer *l, unsigned *ret_items)
{
	unsigned all = 0;

	if (!lex_byte(l, '('))
		return false;
	do {
		if (!lex_status_item(l, &all))
			return false;
	} while (!lex_peek(l, ')') && lex_space(l));
	if (!lex_byte(l, ')'))
		return false;
	*ret_items = all;
	return true;
}

bool parse_status(struct imap_lexer *l, struct imap_command *c)
{
	return lex_space(l) && lex_mailbox(l, &c->status.mailbox) && lex_space(l) &&
	       lex_status_items(l, &c->status.items);
}
