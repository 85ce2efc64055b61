#include "store/search_internal.h"

enum {
	ENTRIES_PER_LOOK = 256, /* entries decided between two looks at the clock */
	RUN_MAX = 4096          /* the same, of those that the files of words decide at once */
};

/* Without an upper bound of its own every search ends with the last UID; sets that all matches must be in narrow it. */
static void narrow(struct search *search, const struct search_criterion *criterion)
{
	struct uid_set uids = criterion->uids;

	if (criterion->kind == SEARCH_AND)
		for (const struct search_criterion *child = criterion->children; child; child = child->next)
			narrow(search, child);
	if (criterion->kind != SEARCH_UIDS)
		return;
	if (uids.count == 0) {
		search->uid_last = 0;
		return;
	}
	search->uid_next = MAX(search->uid_next, uids.ranges[0].first);
	search->uid_last = MIN(search->uid_last, uids.ranges[uids.count - 1].last);
}

int search_new(struct view *view, const struct search_criterion *criteria, struct search **ret_search)
{
	struct search *search = calloc(1, sizeof(*search));
	int rc;

	if (!search)
		return -ENOMEM;
	search->view = view;
	search->mailbox = view_mailbox(view);
	search->uid_next = 1;
	search->uid_last = UINT32_MAX;
	search->now_s = clock_wall_ms(store_clock(account_store(search->mailbox->account))) / 1000;
	search->room = EMAIL_ROOM_INIT;
	search->header = BUFFER_INIT(SEARCH_HEADER_BYTES_MAX);
	search->text = search->folded = BUFFER_INIT(SEARCH_TEXT_BYTES_MAX);
	search_walk_init(&search->scan.walk);
	rc = arena_new(SEARCH_ARENA_BYTES_MAX, &search->arena);
	if (!rc)
		rc = arena_new(SEARCH_PARTS_BYTES_MAX, &search->parts);
	if (!rc)
		rc = search_compile(search, criteria, 0, &search->root);
	if (rc) {
		search_free(&search);
		return rc == -ENOBUFS ? -ENOMEM : rc;
	}
	narrow(search, criteria);
	search_reset(search->root);
	*ret_search = search;
	return 0;
}

void search_free(struct search **search)
{
	struct search *s = *search;

	if (!s)
		return;
	search_message_done(s);
	search_index_free(s);
	search_walk_free(&s->scan.walk);
	arena_free(&s->arena);
	arena_free(&s->parts);
	email_room_free(&s->room);
	buffer_free(&s->header);
	buffer_free(&s->text);
	buffer_free(&s->folded);
	free(s);
	*search = NULL;
}

/*
 * Carries the message on by one stage, or by one piece of its body.
 */
static int message_step(struct search *search, enum search_verdict *ret_verdict)
{
	bool done;
	int rc;

	if (search->stage < STAGE_BODY) {
		*ret_verdict = search_eval(search, search->root, search->stage++);
		return 0;
	}
	if (!search->scan.active)
		search_scan_start(search);
	rc = search_scan_step(search, &done);
	if (!rc)
		*ret_verdict = search_eval(search, search->root, STAGE_BODY);
	return rc;
}

/* Ends the message in hand; the next one starts afresh. Entries that are gone but not told of match nothing any more. */
static void message_end(struct search *search, enum search_verdict verdict, struct uid_list *uids)
{
	if (verdict == VERDICT_YES && !view_entry_is_expunged(search->view, search->entry.uid))
		uid_list_add(uids, search->entry.uid, search->entry.uid);
	search_message_done(search);
	search_reset(search->root);
	search->opened += search->stage > STAGE_DESCRIPTION;
	search->stage = STAGE_ENTRY;
	search->uid_next = search->entry.uid + 1;
	search->in_message = false;
}

/* Of the entries that are there, those that the files of words decide, one behind the other; *seq is the next one's number. */
static int run_decide(struct search *search, uint32_t *seq, struct uid_list *uids, uint32_t *looked)
{
	enum search_verdict verdict = VERDICT_NO;
	const struct entry *entries;
	uint32_t count, i;
	int rc = view_entries(search->view, *seq, &entries, &count);

	if (rc)
		return rc;
	for (i = 0; i < MIN(count, (uint32_t)RUN_MAX) && entries[i].uid <= search->uid_last; i++) {
		verdict = search_index_look(search, entries[i].email);
		if (verdict == VERDICT_OPEN)
			break;
		if (verdict == VERDICT_YES)
			uid_list_add(uids, entries[i].uid, entries[i].uid);
	}
	if (i)
		search->uid_next = entries[i - 1].uid + 1;
	*seq += i;
	*looked += i;
	return uids->error;
}

/* 0, or -ENOENT after the last. */
static int message_begin(struct search *search, uint32_t *seq, struct uid_list *uids, uint32_t *looked)
{
	int rc = 0;

	if (search->uid_next > search->uid_last || search->uid_next == 0)
		return -ENOENT;
	if (*seq == 0)
		rc = view_seq_from(search->view, search->uid_next, seq);
	if (!rc && *seq <= view_count(search->view) && search->index && search->index_over)
		rc = run_decide(search, seq, uids, looked);
	if (rc)
		return rc;
	if (*seq > view_count(search->view))
		return -ENOENT;
	rc = view_entry(search->view, (*seq)++, &search->entry);
	if (!rc && search->entry.uid > search->uid_last)
		return -ENOENT;
	search->in_message = !rc;
	return rc;
}

/* One message as far as `deadline_us` allows. */
static int look_at_message(struct search *search, const struct clock_source *clock, int64_t deadline_us,
	struct uid_list *uids, bool *ret_late)
{
	enum search_verdict verdict = VERDICT_OPEN;
	bool cheap = true;
	int rc = 0;

	while (!rc && verdict == VERDICT_OPEN && !*ret_late) {
		rc = message_step(search, &verdict);
		cheap = search->stage <= STAGE_DESCRIPTION;
		if (!cheap)
			*ret_late = clock_monotonic_us(clock) >= deadline_us;
	}
	if (!rc && verdict != VERDICT_OPEN) {
		message_end(search, verdict, uids);
		rc = uids->error;
	}
	return rc;
}

int search_step(struct search *search, int64_t budget_us, struct uid_list *uids, bool *ret_done)
{
	const struct clock_source *clock = store_clock(account_store(search->mailbox->account));
	int64_t deadline_us = clock_monotonic_us(clock) + budget_us;
	uint32_t seq = 0, looked = 0;
	bool late = false;
	int rc = 0;

	search_find_keywords(search, search->root);
	/* What the store lent out ended with the last turn of the loop; the scan stands on a copy. */
	search->described = false;
	while (!late) {
		if (!search->in_message && search_index_is_due(search)) {
			rc = search_index_step(search);
			late = clock_monotonic_us(clock) >= deadline_us;
			if (rc)
				break;
			continue;
		}
		if (!search->in_message)
			rc = message_begin(search, &seq, uids, &looked);
		if (!rc)
			rc = look_at_message(search, clock, deadline_us, uids, &late);
		if (rc)
			break;
		if (++looked < ENTRIES_PER_LOOK)
			continue;
		late = clock_monotonic_us(clock) >= deadline_us;
		looked = 0;
	}
	if (rc && rc != -ENOENT)
		return rc;
	*ret_done = rc == -ENOENT;
	return 0;
}
