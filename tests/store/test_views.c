/* Views: the numbers a session knows stay until it is told. */
#include "support.h"

struct session {
	struct view *view;
	unsigned woken;
};

static void woken(void *owner)
{
	((struct session *)owner)->woken++;
}

static void expect(struct session *s, bool with_expunges, int kind, uint32_t seq, uint32_t uid)
{
	struct view_change change;

	assert_int_equal(view_next(s->view, with_expunges, &change), 0);
	assert_int_equal(change.kind, kind);
	assert_int_equal(change.seq, seq);
	assert_int_equal(change.uid, uid);
}

static void select_inbox(struct world *w, struct session *s)
{
	*s = (struct session){NULL, 0};
	assert_int_equal(view_open(mailbox_inbox(w->account), woken, s, &s->view), 0);
}

static void world_with(struct world *w, unsigned messages)
{
	world_make(w);
	world_open(w);
	world_account(w);
	for (unsigned i = 1; i <= messages; i++)
		deliver_numbered(mailbox_inbox(w->account), i);
}

static void new_messages_are_told_once(void **state)
{
	struct world w;
	struct session s;

	(void)state;
	world_with(&w, 2);
	select_inbox(&w, &s);
	assert_int_equal(view_count(s.view), 2);
	deliver_numbered(mailbox_inbox(w.account), 3);
	deliver_numbered(mailbox_inbox(w.account), 4);
	assert_int_equal(s.woken, 1);
	assert_int_equal(view_count(s.view), 2);
	expect(&s, true, VIEW_EXISTS, 4, 0);
	expect(&s, true, VIEW_NONE, 0, 0);
	assert_false(view_has_changes(s.view));
	deliver_numbered(mailbox_inbox(w.account), 5);
	assert_int_equal(s.woken, 2);
	expect(&s, true, VIEW_EXISTS, 5, 0);
	view_close(&s.view);
	world_free(&w);
}

static void entries_are_lent_as_far_as_they_lie_together(void **state)
{
	static const struct {
		uint32_t seq, count;
	} expected[] = {{1, 1}, {2, 0}, {3, 0}, {4, 1}, {5, 0}, {6, 2}, {7, 1}};
	const struct entry *entries = NULL;
	uint32_t count = 0;
	struct world w;
	struct session s;

	(void)state;
	world_with(&w, 7);
	select_inbox(&w, &s);
	deliver_numbered(mailbox_inbox(w.account), 8); /* nobody was told of it */
	assert_int_equal(view_entries(s.view, 2, &entries, &count), 0);
	assert_int_equal(count, 6);
	assert_int_equal(expunge(mailbox_inbox(w.account), 2, 3), 2);
	assert_int_equal(expunge(mailbox_inbox(w.account), 5, 5), 1);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(view_entries(s.view, expected[i].seq, &entries, &count), 0);
		assert_int_equal(count, expected[i].count);
		for (uint32_t n = 0; n < count; n++)
			assert_int_equal(entries[n].uid, expected[i].seq + n);
	}
	assert_int_equal(view_entries(s.view, 0, &entries, &count), -ENOENT);
	assert_int_equal(view_entries(s.view, 8, &entries, &count), -ENOENT);
	view_close(&s.view);
	world_free(&w);
}

static void expunged_entries_keep_their_numbers_until_told(void **state)
{
	struct world w;
	struct session s;
	struct entry entry;
	uint32_t seq;

	(void)state;
	world_with(&w, 6);
	select_inbox(&w, &s);
	assert_int_equal(expunge(mailbox_inbox(w.account), 2, 3), 2);
	assert_int_equal(expunge(mailbox_inbox(w.account), 5, 5), 1);
	assert_int_equal(view_count(s.view), 6);
	for (uint32_t i = 1; i <= 6; i++) {
		assert_int_equal(view_entry(s.view, i, &entry), 0);
		assert_int_equal(entry.uid, i);
		assert_int_equal(view_seq_of(s.view, i, &seq), 0);
		assert_int_equal(seq, i);
		assert_int_equal(view_seq_from(s.view, i, &seq), 0);
		assert_int_equal(seq, i);
		assert_int_equal(view_entry_is_expunged(s.view, i), i == 2 || i == 3 || i == 5);
	}
	expect(&s, false, VIEW_NONE, 0, 0);
	deliver_numbered(mailbox_inbox(w.account), 7);
	expect(&s, false, VIEW_EXISTS, 7, 0);
	expect(&s, true, VIEW_EXPUNGED, 5, 5);
	expect(&s, true, VIEW_EXPUNGED, 3, 3);
	expect(&s, true, VIEW_EXPUNGED, 2, 2);
	expect(&s, true, VIEW_NONE, 0, 0);
	assert_int_equal(view_count(s.view), 4);
	assert_int_equal(view_entry(s.view, 4, &entry), 0);
	assert_int_equal(entry.uid, 7);
	assert_int_equal(view_seq_of(s.view, 5, &seq), -ENOENT);
	assert_int_equal(view_seq_from(s.view, 100, &seq), 0);
	assert_int_equal(seq, 5);
	view_close(&s.view);
	world_free(&w);
}

static void what_came_and_went_is_never_told(void **state)
{
	struct world w;
	struct session s;

	(void)state;
	world_with(&w, 1);
	select_inbox(&w, &s);
	deliver_numbered(mailbox_inbox(w.account), 2);
	assert_int_equal(expunge(mailbox_inbox(w.account), 2, 2), 1);
	expect(&s, true, VIEW_NONE, 0, 0);
	deliver_numbered(mailbox_inbox(w.account), 3);
	expect(&s, true, VIEW_EXISTS, 2, 0);
	expect(&s, true, VIEW_NONE, 0, 0);
	view_close(&s.view);
	world_free(&w);
}

static void flags_are_told_to_others_only(void **state)
{
	struct uid_range range = {2, 3};
	struct flag_set seen = {.flags = FLAG_SEEN};
	struct session a, b;
	struct world w;

	(void)state;
	world_with(&w, 4);
	select_inbox(&w, &a);
	select_inbox(&w, &b);
	assert_int_equal(entries_store(mailbox_inbox(w.account), (struct uid_set){&range, 1}, FLAGS_ADD, &seen,
				 UINT64_MAX, a.view, &actor_imap, NULL, NULL),
		0);
	assert_int_equal(a.woken, 0);
	assert_int_equal(b.woken, 1);
	expect(&a, true, VIEW_NONE, 0, 0);
	expect(&b, true, VIEW_FLAGS, 2, 2);
	expect(&b, true, VIEW_FLAGS, 3, 3);
	expect(&b, true, VIEW_NONE, 0, 0);
	view_close(&a.view);
	view_close(&b.view);
	world_free(&w);
}

static void many_changed_flags_are_found_by_looking(void **state)
{
	struct session s;
	struct world w;
	struct entry entry;

	(void)state;
	world_with(&w, 400);
	select_inbox(&w, &s);
	assert_int_equal(flag(mailbox_inbox(w.account), 7, 7, FLAGS_ADD, FLAG_FLAGGED), 1);
	assert_int_equal(flag(mailbox_inbox(w.account), 50, 400, FLAGS_ADD, FLAG_SEEN), 351);
	assert_int_equal(flag(mailbox_inbox(w.account), 9, 9, FLAGS_ADD, FLAG_FLAGGED), 1);
	assert_int_equal(expunge(mailbox_inbox(w.account), 60, 60), 1);
	expect(&s, false, VIEW_FLAGS, 7, 7);
	expect(&s, false, VIEW_FLAGS, 9, 9);
	for (uint32_t uid = 50; uid <= 400; uid++) {
		if (uid != 60)
			expect(&s, false, VIEW_FLAGS, uid, uid);
	}
	expect(&s, true, VIEW_EXPUNGED, 60, 60);
	expect(&s, true, VIEW_NONE, 0, 0);
	assert_int_equal(view_entry(s.view, 60, &entry), 0);
	assert_int_equal(entry.uid, 61);
	view_close(&s.view);
	world_free(&w);
}

static void a_deleted_mailbox_stays_readable(void **state)
{
	struct mailbox *mailbox;
	struct session s = {NULL, 0};
	struct entry entry;
	struct world w;

	(void)state;
	world_with(&w, 0);
	assert_int_equal(mailbox_create(w.account, SLICE("Projects"), 0, &actor_imap, &mailbox), 0);
	deliver_numbered(mailbox, 1);
	assert_int_equal(view_open(mailbox, woken, &s, &s.view), 0);
	assert_int_equal(mailbox_delete(w.account, mailbox, &actor_imap), 0);
	assert_int_equal(s.woken, 1);
	assert_true(view_mailbox_is_gone(s.view));
	assert_null(mailbox_find(w.account, SLICE("Projects")));
	assert_int_equal(view_entry(s.view, 1, &entry), 0);
	assert_int_equal(entry.uid, 1);
	assert_true(view_entry_is_expunged(s.view, 1));
	expect(&s, true, VIEW_NONE, 0, 0);
	view_close(&s.view);
	world_free(&w);
}

static void the_first_unseen_is_found(void **state)
{
	struct session s;
	struct world w;
	uint32_t seq;

	(void)state;
	world_with(&w, 3);
	select_inbox(&w, &s);
	assert_int_equal(view_first_unseen(s.view, &seq), 0);
	assert_int_equal(seq, 1);
	flag(mailbox_inbox(w.account), 1, 2, FLAGS_ADD, FLAG_SEEN);
	assert_int_equal(view_first_unseen(s.view, &seq), 0);
	assert_int_equal(seq, 3);
	flag(mailbox_inbox(w.account), 3, 3, FLAGS_ADD, FLAG_SEEN);
	assert_int_equal(view_first_unseen(s.view, &seq), -ENOENT);
	view_close(&s.view);
	world_free(&w);
}

/* Entries are let go of when nobody asks for a while, and come back when somebody does. */
static void an_idle_view_holds_no_entries(void **state)
{
	struct session s;
	struct world w;
	struct entry entry;

	(void)state;
	world_with(&w, 3);
	select_inbox(&w, &s);
	assert_int_equal(view_entry(s.view, 1, &entry), 0);
	assert_int_equal(expunge(mailbox_inbox(w.account), 2, 2), 1);
	world_settle(&w);
	w.now_ms += 60000;
	for (int i = 0; i < 70; i++)
		shard_tick(w.shard);
	deliver_numbered(mailbox_inbox(w.account), 4);
	expect(&s, true, VIEW_EXPUNGED, 2, 2);
	expect(&s, true, VIEW_EXISTS, 3, 0);
	assert_int_equal(view_entry(s.view, 3, &entry), 0);
	assert_int_equal(entry.uid, 4);
	view_close(&s.view);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_messages_are_told_once),
		cmocka_unit_test(entries_are_lent_as_far_as_they_lie_together),
		cmocka_unit_test(expunged_entries_keep_their_numbers_until_told),
		cmocka_unit_test(what_came_and_went_is_never_told),
		cmocka_unit_test(flags_are_told_to_others_only),
		cmocka_unit_test(many_changed_flags_are_found_by_looking),
		cmocka_unit_test(a_deleted_mailbox_stays_readable),
		cmocka_unit_test(the_first_unseen_is_found),
		cmocka_unit_test(an_idle_view_holds_no_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
