#include "imap/session.h"

static bool fail(struct imap_lexer *l, const char *problem)
{
	if (!l->problem)
		l->problem = problem;
	return false;
}

/* RFC 7162 §7: "*" and "$" are not allowed in the sets of QRESYNC. */
static bool lex_known_set(struct imap_lexer *l, struct imap_set *ret)
{
	if (!lex_set(l, ret))
		return false;
	for (size_t i = 0; i < ret->count; i++) {
		if (ret->ranges[i].first == 0)
			return fail(l, "\"*\" is not allowed here");
	}
	return !ret->saved || fail(l, "\"$\" is not allowed here");
}

/* seq-match-data */
static bool lex_matches(struct imap_lexer *l, struct imap_select_args *args)
{
	return lex_byte(l, '(') && lex_known_set(l, &args->match_seqs) && lex_space(l) &&
	       lex_known_set(l, &args->match_uids) && lex_byte(l, ')');
}

/* RFC 7162 §3.2.5: (uidvalidity modseq [known-uids] [(seqs uids)]) */
static bool lex_qresync(struct imap_lexer *l, struct imap_select_args *args)
{
	uint64_t uidvalidity;

	if (!lex_space(l) || !lex_byte(l, '(') || !lex_nz_number(l, UINT32_MAX, &uidvalidity) || !lex_space(l) ||
		!lex_nz_number(l, INT64_MAX, &args->modseq))
		return false;
	args->uidvalidity = (uint32_t)uidvalidity;
	args->qresync = true;
	if (lex_peek(l, ' ') && lex_space(l) && !lex_peek(l, '(')) {
		if (!lex_known_set(l, &args->known_uids))
			return false;
		if (lex_peek(l, ' '))
			(void)lex_space(l);
	}
	if (lex_peek(l, '(') && !lex_matches(l, args))
		return false;
	return lex_byte(l, ')');
}

static bool lex_select_param(struct imap_lexer *l, struct imap_select_args *args)
{
	if (lex_keyword(l, SLICE("CONDSTORE"))) {
		args->condstore = true;
		return true;
	}
	if (lex_keyword(l, SLICE("QRESYNC")))
		return lex_qresync(l, args);
	return fail(l, "Unknown SELECT parameter");
}

bool parse_select(struct imap_lexer *l, struct imap_command *c)
{
	if (!lex_space(l) || !lex_mailbox(l, &c->select.mailbox))
		return false;
	if (!lex_more(l))
		return true;
	if (!lex_space(l) || !lex_byte(l, '('))
		return false;
	do {
		if (!lex_select_param(l, &c->select))
			return false;
	} while (!lex_peek(l, ')') && lex_space(l));
	return lex_byte(l, ')');
}
