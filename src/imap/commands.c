#include "imap/command.h"

/* clang-format off: one line per command */
#define BOTH WHEN_ANY
#define TOLD EXPUNGES_TOLD
#define KEPT EXPUNGES_KEPT_BACK

const struct imap_command_info imap_commands[] = {
	{"CAPABILITY", BOTH, false, TOLD, NULL, cmd_capability},
	{"NOOP", BOTH, false, TOLD, NULL, cmd_noop},
	{"LOGOUT", BOTH, false, TOLD, NULL, cmd_logout},
	{"ID", BOTH, false, TOLD, parse_id, cmd_id},
	{"STARTTLS", BOTH, false, TOLD, NULL, cmd_too_late},
	{"AUTHENTICATE", BOTH, false, TOLD, parse_ignored, cmd_too_late},
	{"LOGIN", BOTH, false, TOLD, parse_ignored, cmd_too_late},
	{"ENABLE", BOTH, false, TOLD, parse_enable, cmd_enable},
	{"SELECT", BOTH, false, TOLD, parse_select, cmd_select},
	{"EXAMINE", BOTH, false, TOLD, parse_select, cmd_select},
	{"CREATE", BOTH, false, TOLD, parse_create, cmd_create},
	{"DELETE", BOTH, false, TOLD, parse_mailbox, cmd_delete},
	{"RENAME", BOTH, false, TOLD, parse_rename, cmd_rename},
	{"SUBSCRIBE", BOTH, false, TOLD, parse_mailbox, cmd_subscribe},
	{"UNSUBSCRIBE", BOTH, false, TOLD, parse_mailbox, cmd_subscribe},
	{"LIST", BOTH, false, TOLD, parse_list, cmd_list},
	{"LSUB", BOTH, false, TOLD, parse_lsub, cmd_list},
	{"NAMESPACE", BOTH, false, TOLD, NULL, cmd_namespace},
	{"STATUS", BOTH, false, TOLD, parse_status, cmd_status},
	{"APPEND", BOTH, false, TOLD, parse_append, NULL},
	{"IDLE", BOTH, false, TOLD, NULL, cmd_idle},
	{"CHECK", WHEN_SELECTED, false, TOLD, NULL, cmd_noop},
	{"CLOSE", WHEN_SELECTED, false, TOLD, NULL, cmd_close},
	{"UNSELECT", WHEN_SELECTED, false, TOLD, NULL, cmd_unselect},
	{"EXPUNGE", WHEN_SELECTED, true, TOLD, parse_uid_expunge, cmd_expunge},
	{"SEARCH", WHEN_SELECTED, true, KEPT, parse_search, cmd_search},
	{"FETCH", WHEN_SELECTED, true, KEPT, parse_fetch, cmd_fetch},
	{"STORE", WHEN_SELECTED, true, KEPT, parse_store, cmd_store},
	{"COPY", WHEN_SELECTED, true, TOLD, parse_copy, cmd_copy},
	{"MOVE", WHEN_SELECTED, true, TOLD, parse_copy, cmd_copy},
};
const size_t imap_command_count = ARRAY_LEN(imap_commands);
/* clang-format on */

/* RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">. */
static bool lex_tag(struct imap_lexer *l, struct slice *ret)
{
	struct imap_lexer before = *l;
	struct slice tag;

	if (lex_peek(l, '"') || lex_peek(l, '{') || slice_starts(l->rest, SLICE("~{")) || !lex_astring(l, &tag) ||
		slice_find_byte(tag, '+') != SIZE_MAX) {
		*l = before;
		l->problem = "Missing or invalid tag";
		return false;
	}
	*ret = tag;
	return true;
}

static const struct imap_command_info *find_command(struct slice name, bool uid)
{
	for (size_t i = 0; i < imap_command_count; i++) {
		const struct imap_command_info *info = &imap_commands[i];

		if (slice_equal_nocase(name, slice_of(info->name)))
			return !uid || info->has_uid ? info : NULL;
	}
	return NULL;
}

int imap_command_name(struct imap_lexer *l, struct imap_command *ret_command)
{
	struct slice name;

	if (!lex_tag(l, &ret_command->tag))
		return -EBADMSG;
	if (!lex_space(l) || !lex_atom(l, &name)) {
		l->problem = "Missing command";
		return -EBADMSG;
	}
	ret_command->uid = slice_equal_nocase(name, SLICE("UID"));
	if (ret_command->uid && (!lex_space(l) || !lex_atom(l, &name))) {
		l->problem = "Missing command behind UID";
		return -EBADMSG;
	}
	ret_command->info = find_command(name, ret_command->uid);
	return ret_command->info ? 0 : -ENOENT;
}

int imap_command_parse(struct imap_lexer *lexer, struct imap_command *ret_command, const char **ret_problem)
{
	int error;

	*ret_command = (struct imap_command){0};
	error = imap_command_name(lexer, ret_command);
	if (error == -ENOENT)
		*ret_problem = "Unknown command";
	if (error == -EBADMSG)
		*ret_problem = lexer->problem;
	if (error < 0)
		return error;
	if ((!ret_command->info->parse || ret_command->info->parse(lexer, ret_command)) && lex_end(lexer))
		return 0;
	*ret_problem = lexer->problem ? lexer->problem : "Invalid arguments";
	return lexer->too_big ? -ENOBUFS : -EBADMSG;
}
