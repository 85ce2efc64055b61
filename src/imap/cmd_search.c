#include "imap/cursor.h"
#include "imap/search.h"
#include "imap/sync.h"

/*
 * SEARCH: RFC 9051 §6.4.4, RFC 3501 §6.4.4, ESEARCH (RFC 4731), SEARCHRES (RFC 5182), MODSEQ (RFC 7162 §3.1.5).
 *
 * It looks for a few milliseconds at a time, so that the other sessions of the shard are served in between; then the answer is written
 * as the client takes it.
 */

enum { BUDGET_US = 3000 };

struct search_state {
	const struct imap_command *command;
	const struct imap_search *args;
	struct search *search;
	bool found_all;
	struct uid_list found; /* UIDs */
	uint64_t modseq;       /* highest found */
	/* writing the answer */
	bool writing, written_any;
	struct sync_walk walk;
	struct uid_range range; /* ESEARCH ALL: the range being put together, 0 when none */
};

static void search_release(void *state)
{
	struct search_state *run = state;

	search_free(&run->search);
	uid_list_free(&run->found);
	for (struct search_set *set = run->args->sets; set; set = set->next)
		uid_list_free(&set->uids);
}

/*
 * "1:*" of an empty mailbox. RFC 9051 §9 (seq-number) would have it BAD, and for other commands it is; but clients search like that without a
 * look at EXISTS, and no other server minds.
 */
static bool is_all_of_nothing(struct imap_session *s, const struct search_set *set)
{
	return view_count(s->view) == 0 && !set->uid && set->set.count == 1 && set->set.ranges[0].first == 0;
}

static int resolve_sets(struct imap_session *s, const struct imap_search *args)
{
	int rc = 0;

	for (struct search_set *set = args->sets; set && !rc; set = set->next) {
		if (!is_all_of_nothing(s, set))
			rc = session_resolve(s, &set->set, set->uid, &set->uids);
		set->criterion->uids = uid_list_set(&set->uids);
	}
	return rc;
}

static bool is_esearch(const struct imap_session *s, const struct search_state *run)
{
	return run->args->extended || (s->enabled & ENABLED_REV2);
}

/* ---- What was found ---- */

static int note_modseqs(struct imap_session *s, struct search_state *run)
{
	const struct uid_list *found = &run->found;
	unsigned ends = run->args->returns & (RETURN_MIN | RETURN_MAX);
	struct sync_walk walk = {0};
	struct entry entry;
	uint32_t seq;
	int rc = 0;

	/* RFC 7162 §3.1.10: with MIN or MAX alone it is that of the messages so returned. */
	bool ends_only = is_esearch(s, run) && ends && !(run->args->returns & (RETURN_ALL | RETURN_COUNT));
	uint32_t min = found->count ? found->ranges[0].first : 0;
	uint32_t max = found->count ? found->ranges[found->count - 1].last : 0;

	while (sync_walk_next(s, found, &walk, &seq, &entry, &rc)) {
		if (ends_only && !((ends & RETURN_MIN) && entry.uid == min) &&
			!((ends & RETURN_MAX) && entry.uid == max))
			continue;
		run->modseq = MAX(run->modseq, entry.modseq);
	}
	return rc;
}

/* RFC 9051 §6.4.4.1, Table 4. */
static int save(struct imap_session *s, const struct search_state *run)
{
	const struct uid_list *found = &run->found;
	unsigned returns = run->args->returns;

	if (!(returns & RETURN_SAVE))
		return 0;
	uid_list_free(&s->saved);
	s->saved = UID_LIST_INIT(SYNC_RANGES_MAX);
	if (!found->count)
		return 0;
	if ((returns & (RETURN_ALL | RETURN_COUNT)) || !(returns & (RETURN_MIN | RETURN_MAX)))
		return sync_copy_uids(found, &s->saved);
	if (returns & RETURN_MIN)
		uid_list_add(&s->saved, found->ranges[0].first, found->ranges[0].first);
	if (returns & RETURN_MAX)
		uid_list_add(&s->saved, found->ranges[found->count - 1].last, found->ranges[found->count - 1].last);
	return s->saved.error;
}

/* ---- Writing the answer ---- */

static uint64_t number_of(struct imap_session *s, const struct search_state *run, uint32_t uid)
{
	uint32_t seq;

	if (run->command->uid)
		return uid;
	return view_seq_of(s->view, uid, &seq) ? 0 : seq;
}

static uint64_t count_found(struct imap_session *s, const struct search_state *run)
{
	struct sync_walk walk = {0};
	struct entry entry;
	uint32_t seq;
	uint64_t count = 0;
	int error = 0;

	while (sync_walk_next(s, &run->found, &walk, &seq, &entry, &error))
		count++;
	return count;
}

static void esearch_begin(struct imap_session *s, struct search_state *run)
{
	struct buffer *out = session_out(s);
	const struct uid_list *found = &run->found;
	unsigned returns = run->args->returns;

	buffer_put_text(out, "* ESEARCH (TAG ");
	put_string(out, run->command->tag, false);
	buffer_put_text(out, run->command->uid ? ") UID" : ")");
	if (found->count && (returns & RETURN_MIN)) {
		buffer_put_text(out, " MIN ");
		buffer_put_u64(out, number_of(s, run, found->ranges[0].first));
	}
	if (found->count && (returns & RETURN_MAX)) {
		buffer_put_text(out, " MAX ");
		buffer_put_u64(out, number_of(s, run, found->ranges[found->count - 1].last));
	}
	if (returns & RETURN_COUNT) {
		buffer_put_text(out, " COUNT ");
		buffer_put_u64(out, count_found(s, run));
	}
}

static void put_range(struct imap_session *s, struct search_state *run)
{
	struct buffer *out = session_out(s);

	if (!run->range.first)
		return;
	buffer_put_text(out, run->written_any ? "," : " ALL ");
	buffer_put_u64(out, run->range.first);
	if (run->range.last != run->range.first) {
		buffer_put_byte(out, ':');
		buffer_put_u64(out, run->range.last);
	}
	run->written_any = true;
}

/* One found message in the answer; the numbers of ESEARCH come together as ranges. */
static void put_found(struct imap_session *s, struct search_state *run, uint32_t number)
{
	if (!is_esearch(s, run)) {
		buffer_put_byte(session_out(s), ' ');
		buffer_put_u64(session_out(s), number);
	} else if (run->range.first && number == run->range.last + 1) {
		run->range.last = number;
	} else {
		put_range(s, run);
		run->range = (struct uid_range){number, number};
	}
}

static void answer_end(struct imap_session *s, struct search_state *run)
{
	struct buffer *out = session_out(s);

	if (is_esearch(s, run)) {
		put_range(s, run);
		if (run->args->has_modseq && run->found.count)
			buffer_printf(out, " MODSEQ %llu", (unsigned long long)run->modseq);
	} else if (run->args->has_modseq && run->found.count) {
		buffer_printf(out, " (MODSEQ %llu)", (unsigned long long)run->modseq);
	}
	buffer_put_text(out, "\r\n");
}

static void answer_begin(struct imap_session *s, struct search_state *run)
{
	run->writing = true;
	if (is_esearch(s, run))
		esearch_begin(s, run);
	else
		buffer_put_text(session_out(s), "* SEARCH");
	/* What an ESEARCH does not list need not be walked. */
	if (is_esearch(s, run) && !(run->args->returns & RETURN_ALL))
		run->walk.range = run->found.count;
}

static enum imap_run write_step(struct imap_session *s, struct search_state *run)
{
	struct entry entry;
	uint32_t seq;
	int error = 0;

	/* RFC 9051 §6.4.4: SAVE alone suppresses the answer. */
	if (run->args->returns != RETURN_SAVE) {
		if (!run->writing)
			answer_begin(s, run);
		while (sync_walk_next(s, &run->found, &run->walk, &seq, &entry, &error)) {
			put_found(s, run, run->command->uid ? entry.uid : seq);
			if (session_is_full(s))
				return RUN_MORE;
		}
		answer_end(s, run);
	}
	session_ok(s, NULL, "Search done");
	return RUN_DONE;
}

/* ---- Searching ---- */

static void failed(struct imap_session *s, const struct search_state *run, int error)
{
	/* RFC 9051 §6.4.4.1: NO empties `$`, BAD does not. */
	if ((run->args->returns & RETURN_SAVE) && error != -EINVAL)
		uid_list_free(&s->saved);
	sync_set_error(s, error);
}

static enum imap_run search_run_step(struct imap_session *s, void *state)
{
	struct search_state *run = state;
	int rc = 0;

	if (run->found_all)
		return write_step(s, run);
	rc = search_step(run->search, BUDGET_US, &run->found, &run->found_all);
	if (!rc && !run->found_all)
		return RUN_MORE;
	if (!rc && run->args->has_modseq)
		rc = note_modseqs(s, run);
	if (!rc)
		rc = save(s, run);
	if (!rc)
		return write_step(s, run);
	failed(s, run, rc);
	return RUN_DONE;
}

/* RFC 6855 §3: no CHARSET once UTF8=ACCEPT is enabled. */
static bool charset_is_fine(struct imap_session *s, const struct imap_search *args)
{
	if (args->has_charset && (s->enabled & ENABLED_UTF8)) {
		session_bad(s, NULL, "No CHARSET with UTF8=ACCEPT");
		return false;
	}
	if (!args->bad_charset)
		return true;
	if (args->returns & RETURN_SAVE)
		uid_list_free(&s->saved);
	session_no(s, "BADCHARSET (US-ASCII UTF-8)", "Unknown charset");
	return false;
}

enum imap_run cmd_search(struct imap_session *s, const struct imap_command *command)
{
	struct imap_search *args = command->search;
	struct search_state *run = arena_zalloc(session_arena(s), 1, sizeof(*run));
	int rc;

	if (!charset_is_fine(s, args))
		return RUN_DONE;
	if (!run) {
		session_error(s, -ENOBUFS);
		return RUN_DONE;
	}
	run->command = command;
	run->args = args;
	run->found = UID_LIST_INIT(SYNC_RANGES_MAX);
	if (args->has_modseq)
		session_enable_condstore(s);
	rc = resolve_sets(s, args);
	if (!rc)
		rc = search_new(s->view, args->criteria, &run->search);
	if (!rc)
		return cursor_run(s, search_run_step, search_release, run);
	failed(s, run, rc);
	search_release(run);
	return RUN_DONE;
}
