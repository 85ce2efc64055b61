#include "lmtp/parse.h"

static bool is_value_byte(char c)
{
	/* RFC 5321 §4.1.2 esmtp-value, RFC 6531 §3.3 with UTF-8. */
	return (unsigned char)c > ' ' && c != '=' && c != 0x7f;
}

static bool is_hex_upper(char c)
{
	return byte_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* RFC 3461 §4 xtext. */
static bool is_xtext(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] != '+')
			continue;
		if (i + 2 >= s.len || !is_hex_upper(s.at[i + 1]) || !is_hex_upper(s.at[i + 2]))
			return false;
		i += 2;
	}
	return s.len > 0;
}

static bool is_notify(struct slice value)
{
	size_t count = 0;

	if (slice_equal_nocase(value, SLICE("NEVER")))
		return true;
	while (value.len) {
		struct slice word = slice_split(&value, ',');

		if (!slice_equal_nocase(word, SLICE("SUCCESS")) && !slice_equal_nocase(word, SLICE("FAILURE")) &&
			!slice_equal_nocase(word, SLICE("DELAY")))
			return false;
		count++;
	}
	return count > 0;
}

/* RFC 1870 §3: up to 20 digits; a size beyond 64 bits is as good as the greatest one. */
static enum lmtp_syntax parse_size(struct slice value, struct lmtp_command *command)
{
	int error = slice_to_u64(value, UINT64_MAX, &command->size);

	if (error == -ERANGE && value.len <= 20)
		command->size = UINT64_MAX;
	else if (error)
		return LMTP_SYNTAX_PARAMETER;
	command->has_size = true;
	return LMTP_SYNTAX_OK;
}

static enum lmtp_syntax parse_body(struct slice value, struct lmtp_command *command UNUSED)
{
	/* Every message is kept as 8-bit: the two kinds make no difference (RFC 6152 §2). */
	if (slice_equal_nocase(value, SLICE("7BIT")) || slice_equal_nocase(value, SLICE("8BITMIME")))
		return LMTP_SYNTAX_OK;
	return LMTP_SYNTAX_PARAMETER;
}

static enum lmtp_syntax parse_smtputf8(struct slice value, struct lmtp_command *command)
{
	command->smtputf8 = true;
	return value.len ? LMTP_SYNTAX_PARAMETER : LMTP_SYNTAX_OK;
}

/*
 * RFC 3461 is not announced: nothing is done about delivery status here, the client keeps that task. Clients that send its parameters
 * nevertheless are understood.
 */
static enum lmtp_syntax parse_ret(struct slice value, struct lmtp_command *command UNUSED)
{
	bool known = slice_equal_nocase(value, SLICE("FULL")) || slice_equal_nocase(value, SLICE("HDRS"));

	return known ? LMTP_SYNTAX_OK : LMTP_SYNTAX_PARAMETER;
}

static enum lmtp_syntax parse_envid(struct slice value, struct lmtp_command *command UNUSED)
{
	return is_xtext(value) ? LMTP_SYNTAX_OK : LMTP_SYNTAX_PARAMETER;
}

static enum lmtp_syntax parse_notify(struct slice value, struct lmtp_command *command UNUSED)
{
	return is_notify(value) ? LMTP_SYNTAX_OK : LMTP_SYNTAX_PARAMETER;
}

static enum lmtp_syntax parse_orcpt(struct slice value, struct lmtp_command *command UNUSED)
{
	size_t semicolon = slice_find_byte(value, ';');
	bool sound = semicolon != SIZE_MAX && semicolon > 0;

	if (!sound)
		return LMTP_SYNTAX_PARAMETER;
	/* RFC 6533 §3: the utf-8 type has an encoding of its own. */
	if (slice_equal_nocase(slice_first(value, semicolon), SLICE("utf-8")))
		return semicolon + 1 < value.len ? LMTP_SYNTAX_OK : LMTP_SYNTAX_PARAMETER;
	return is_xtext(slice_from(value, semicolon + 1)) ? LMTP_SYNTAX_OK : LMTP_SYNTAX_PARAMETER;
}

static const struct parameter {
	const char *name;
	enum lmtp_verb verb;
	bool needs_value;
	enum lmtp_syntax (*parse)(struct slice value, struct lmtp_command *command);
} parameters[] = {
	{"SIZE", LMTP_MAIL, true, parse_size},
	{"BODY", LMTP_MAIL, true, parse_body},
	{"SMTPUTF8", LMTP_MAIL, false, parse_smtputf8},
	{"RET", LMTP_MAIL, true, parse_ret},
	{"ENVID", LMTP_MAIL, true, parse_envid},
	{"NOTIFY", LMTP_RCPT, true, parse_notify},
	{"ORCPT", LMTP_RCPT, true, parse_orcpt},
};

static enum lmtp_syntax parse_parameter(struct slice word, struct lmtp_command *command, unsigned *seen)
{
	bool has_value = slice_find_byte(word, '=') != SIZE_MAX;
	struct slice name = slice_split(&word, '=');

	if (name.len == 0 || (has_value && word.len == 0))
		return LMTP_SYNTAX_PARAMETER;
	for (size_t i = 0; i < word.len; i++)
		if (!is_value_byte(word.at[i]))
			return LMTP_SYNTAX_PARAMETER;
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
		const struct parameter *p = &parameters[i];

		if (p->verb != command->verb || !slice_equal_nocase(name, slice_of(p->name)))
			continue;
		if ((*seen & 1u << i) || has_value != p->needs_value)
			return LMTP_SYNTAX_PARAMETER;
		*seen |= 1u << i;
		return p->parse(word, command);
	}
	return LMTP_SYNTAX_UNKNOWN;
}

static enum lmtp_syntax parse_parameters(struct slice rest, struct lmtp_command *command)
{
	unsigned seen = 0;

	if (rest.len && rest.at[0] != ' ')
		return LMTP_SYNTAX_ARGUMENT;
	while (rest.len) {
		struct slice word = slice_split(&rest, ' ');
		enum lmtp_syntax syntax;

		if (word.len == 0)
			continue;
		syntax = parse_parameter(word, command, &seen);
		if (syntax)
			return syntax;
	}
	return LMTP_SYNTAX_OK;
}

/* MAIL FROM:<path> parameters, RCPT TO:<path> parameters. */
static enum lmtp_syntax parse_envelope(struct slice rest, struct lmtp_command *command)
{
	bool mail = command->verb == LMTP_MAIL;
	struct slice prefix = mail ? SLICE("FROM:") : SLICE("TO:");
	enum lmtp_syntax bad = mail ? LMTP_SYNTAX_SENDER : LMTP_SYNTAX_RECIPIENT, syntax;

	if (!slice_starts_nocase(rest, prefix))
		return LMTP_SYNTAX_ARGUMENT;
	rest = slice_from(rest, prefix.len);
	while (rest.len && rest.at[0] == ' ')
		rest = slice_from(rest, 1);
	if (lmtp_path_parse(&rest, &command->path) || (!mail && command->path.text.len == 0))
		return bad;
	syntax = parse_parameters(rest, command);
	if (syntax == LMTP_SYNTAX_OK && mail && !command->path.is_ascii && !command->smtputf8)
		return LMTP_SYNTAX_NEEDS_UTF8;
	return syntax;
}

/* The client's name goes into Received as it is: a domain or an address literal, and nothing that could be more (RFC 5321 §4.1.1.1). */
static enum lmtp_syntax parse_name(struct slice rest, struct lmtp_command *command)
{
	struct slice name = slice_trim(rest);

	if (name.len == 0 || name.len > LMTP_NAME_MAX)
		return LMTP_SYNTAX_ARGUMENT;
	for (size_t i = 0; i < name.len; i++)
		if (!byte_is_alpha(name.at[i]) && !byte_is_digit(name.at[i]) && !strchr("-._:[]", name.at[i]))
			return LMTP_SYNTAX_ARGUMENT;
	command->name = name;
	return LMTP_SYNTAX_OK;
}

static enum lmtp_syntax parse_chunk(struct slice rest, struct lmtp_command *command)
{
	struct slice size, last;

	rest = slice_trim(rest);
	size = slice_split(&rest, ' ');
	last = slice_trim(rest);
	if (slice_to_u64(size, INT64_MAX, &command->chunk_bytes))
		return LMTP_SYNTAX_CHUNK;
	if (last.len && !slice_equal_nocase(last, SLICE("LAST")))
		return LMTP_SYNTAX_CHUNK;
	command->chunk_is_last = last.len > 0;
	return LMTP_SYNTAX_OK;
}

static enum lmtp_syntax parse_nothing(struct slice rest, struct lmtp_command *command UNUSED)
{
	return slice_trim(rest).len ? LMTP_SYNTAX_ARGUMENT : LMTP_SYNTAX_OK;
}

static enum lmtp_syntax parse_anything(struct slice rest UNUSED, struct lmtp_command *command UNUSED)
{
	return LMTP_SYNTAX_OK;
}

static enum lmtp_syntax parse_something(struct slice rest, struct lmtp_command *command UNUSED)
{
	return slice_trim(rest).len ? LMTP_SYNTAX_OK : LMTP_SYNTAX_ARGUMENT;
}

static const struct verb {
	const char *name;
	enum lmtp_verb verb;
	enum lmtp_syntax (*parse)(struct slice rest, struct lmtp_command *command);
} verbs[] = {
	{"LHLO", LMTP_LHLO, parse_name},
	{"HELO", LMTP_HELO, parse_anything},
	{"EHLO", LMTP_HELO, parse_anything},
	{"MAIL", LMTP_MAIL, parse_envelope},
	{"RCPT", LMTP_RCPT, parse_envelope},
	{"DATA", LMTP_DATA, parse_nothing},
	{"BDAT", LMTP_BDAT, parse_chunk},
	{"RSET", LMTP_RSET, parse_nothing},
	{"NOOP", LMTP_NOOP, parse_anything},
	{"VRFY", LMTP_VRFY, parse_something},
	{"EXPN", LMTP_EXPN, parse_anything},
	{"HELP", LMTP_HELP, parse_anything},
	{"QUIT", LMTP_QUIT, parse_nothing},
};

enum lmtp_syntax lmtp_command_parse(struct slice line, struct lmtp_command *ret_command)
{
	struct lmtp_command command = {0};
	struct slice name = slice_split(&line, ' ');
	enum lmtp_syntax syntax;

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!slice_equal_nocase(name, slice_of(verbs[i].name)))
			continue;
		command.verb = verbs[i].verb;
		syntax = verbs[i].parse(line, &command);
		if (syntax == LMTP_SYNTAX_OK)
			*ret_command = command;
		return syntax;
	}
	return LMTP_SYNTAX_VERB;
}
