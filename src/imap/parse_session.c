/* Arguments of the commands about the session itself: ENABLE, ID, and those that come too late. */
#include "imap/session.h"

enum { ID_FIELDS_MAX = 30 /* RFC 2971 §3.3 */ };

bool parse_ignored(struct imap_lexer *l, struct imap_command *c)
{
	(void)c;
	l->rest = (struct slice){NULL, 0};
	return true;
}

static const struct {
	struct slice name;
	unsigned bits;
} capabilities[] = {
	{{"CONDSTORE", 9}, ENABLED_CONDSTORE},
	{{"QRESYNC", 7}, ENABLED_CONDSTORE | ENABLED_QRESYNC}, /* RFC 7162 §3.2.3 */
	{{"UTF8=ACCEPT", 11}, ENABLED_UTF8},
	{{"IMAP4rev2", 9}, ENABLED_REV2},
};

bool parse_enable(struct imap_lexer *l, struct imap_command *c)
{
	struct slice name;

	do {
		if (!lex_space(l) || !lex_atom(l, &name))
			return false;
		/* RFC 5161 §3.1: what is unknown or cannot be enabled is passed over. */
		for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
			if (slice_equal_nocase(name, capabilities[i].name))
				c->enable |= capabilities[i].bits;
		}
	} while (lex_more(l));
	return true;
}

static bool lex_id_field(struct imap_lexer *l, struct imap_id_args *args)
{
	struct slice name, value;
	bool nil;

	if (!lex_string(l, &name) || !lex_space(l) || !lex_nstring(l, &value, &nil))
		return false;
	if (slice_equal_nocase(name, SLICE("name")))
		args->name = value;
	if (slice_equal_nocase(name, SLICE("version")))
		args->version = value;
	return true;
}

bool parse_id(struct imap_lexer *l, struct imap_command *c)
{
	unsigned fields = 0;

	if (!lex_space(l))
		return false;
	if (lex_keyword(l, SLICE("NIL")))
		return true;
	if (!lex_byte(l, '('))
		return false;
	while (!lex_peek(l, ')')) {
		if (++fields > ID_FIELDS_MAX) {
			l->problem = "Too many fields";
			return false;
		}
		if (!lex_id_field(l, &c->id) || (!lex_peek(l, ')') && !lex_space(l)))
			return false;
	}
	return lex_byte(l, ')');
}
