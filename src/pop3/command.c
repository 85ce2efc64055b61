#include "pop3/command.h"

enum arguments { NONE, MESSAGE, MESSAGE_MAYBE, MESSAGE_AND_LINES, WORD_MAYBE, ANYTHING };

static const struct {
	const char *name;
	enum pop3_verb verb;
	enum arguments arguments;
} verbs[] = {
	{"CAPA", POP3_CAPA, NONE},
	{"DELE", POP3_DELE, MESSAGE},
	{"LANG", POP3_LANG, WORD_MAYBE},
	{"LIST", POP3_LIST, MESSAGE_MAYBE},
	{"NOOP", POP3_NOOP, NONE},
	{"QUIT", POP3_QUIT, NONE},
	{"RETR", POP3_RETR, MESSAGE},
	{"RSET", POP3_RSET, NONE},
	{"STAT", POP3_STAT, NONE},
	{"TOP", POP3_TOP, MESSAGE_AND_LINES},
	{"UIDL", POP3_UIDL, MESSAGE_MAYBE},
	{"APOP", POP3_LOGIN, ANYTHING},
	{"AUTH", POP3_LOGIN, ANYTHING},
	{"PASS", POP3_LOGIN, ANYTHING},
	{"STLS", POP3_LOGIN, ANYTHING},
	{"USER", POP3_LOGIN, ANYTHING},
	{"UTF8", POP3_LOGIN, ANYTHING},
};

/* The next argument of *rest; empty at the end. More than one space between them is tolerated. */
static struct slice next_word(struct slice *rest)
{
	struct slice word = {NULL, 0};

	while (rest->len && word.len == 0)
		word = slice_split(rest, ' ');
	return word;
}

/* A decimal number; a greater one than fits becomes `beyond`. */
static bool take_number(struct slice word, uint32_t beyond, uint32_t *ret_number)
{
	uint64_t value = beyond;
	int error = slice_to_u64(word, UINT32_MAX, &value);

	if (error && error != -ERANGE)
		return false;
	*ret_number = error ? beyond : (uint32_t)value;
	return true;
}

static bool take_message(struct slice *rest, struct pop3_command *command)
{
	struct slice word = next_word(rest);

	command->has_number = word.len > 0;
	return command->has_number && take_number(word, 0, &command->number);
}

static bool take_arguments(struct slice rest, enum arguments arguments, struct pop3_command *command)
{
	bool sound = true;

	switch (arguments) {
	case ANYTHING:
		return true;
	case NONE:
		break;
	case MESSAGE:
		sound = take_message(&rest, command);
		break;
	case MESSAGE_MAYBE:
		sound = take_message(&rest, command) || !command->has_number;
		break;
	case MESSAGE_AND_LINES:
		sound = take_message(&rest, command) && take_number(next_word(&rest), UINT32_MAX, &command->lines);
		break;
	case WORD_MAYBE:
		command->word = next_word(&rest);
		break;
	}
	return sound && next_word(&rest).len == 0;
}

enum pop3_syntax pop3_command_parse(struct slice line, struct pop3_command *ret_command)
{
	struct pop3_command command = {0};
	struct slice name = slice_split(&line, ' ');

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!slice_equal_nocase(name, slice_of(verbs[i].name)))
			continue;
		command.verb = verbs[i].verb;
		if (!take_arguments(line, verbs[i].arguments, &command))
			return POP3_SYNTAX_ARGUMENT;
		*ret_command = command;
		return POP3_SYNTAX_OK;
	}
	return POP3_SYNTAX_VERB;
}
