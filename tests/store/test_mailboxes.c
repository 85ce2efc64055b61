/* Mailboxes: names, making, renaming, deleting, subscriptions, special use. */
#include "support.h"

static void world_new(struct world *w)
{
	world_make(w);
	world_open(w);
	world_account(w);
}

/* All names in order, separated by commas. */
static void assert_names(struct account *account, const char *expected)
{
	struct buffer names = BUFFER_INIT(65536);

	for (struct mailbox *m = mailbox_next(account, NULL); m; m = mailbox_next(account, m)) {
		if (names.len)
			buffer_put_byte(&names, ',');
		buffer_put(&names, m->name);
	}
	assert_string_equal(buffer_text(&names), expected);
	buffer_free(&names);
}

static void assert_normal(const char *given, const char *expected)
{
	struct buffer out = BUFFER_INIT(4096);

	assert_int_equal(mailbox_name_normalise(slice_of(given), &out), expected ? 0 : -EINVAL);
	if (expected)
		assert_string_equal(buffer_text(&out), expected);
	buffer_free(&out);
}

static void names_are_checked_and_normalised(void **state)
{
	(void)state;
	assert_normal("inbox", "INBOX");
	assert_normal("iNBox/sub", "INBOX/sub");
	assert_normal("sub/inbox", "sub/inbox");
	assert_normal("Entw\xC3\xBCrfe", "Entw\xC3\xBCrfe");
	assert_normal("Entwu\xCC\x88rfe", "Entw\xC3\xBCrfe");
	assert_normal("\xD0\xBF\xD0\xB8\xD1\x81\xD1\x8C\xD0\xBC\xD0\xB0/\xE6\x97\xA5\xE6\x9C\xAC",
		"\xD0\xBF\xD0\xB8\xD1\x81\xD1\x8C\xD0\xBC\xD0\xB0/\xE6\x97\xA5\xE6\x9C\xAC");
	assert_normal("", NULL);
	assert_normal("/a", NULL);
	assert_normal("a/", NULL);
	assert_normal("a//b", NULL);
	assert_normal("a*b", NULL);
	assert_normal("a%b", NULL);
	assert_normal("a\tb", NULL);
	assert_normal("a\xFF", NULL);
	assert_normal("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20",
		"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20");
	assert_normal("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21", NULL);
}

static void a_new_account_has_its_mailboxes(void **state)
{
	struct world w;
	size_t count;

	(void)state;
	world_new(&w);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash");
	assert_int_equal(mailbox_named(w.account, "Sent")->special_use, SPECIAL_SENT);
	assert_ptr_equal(mailbox_find(w.account, SLICE("inBOX")), mailbox_inbox(w.account));
	(void)account_subscriptions(w.account, &count);
	assert_int_equal(count, 6);
	assert_true(account_is_subscribed(w.account, SLICE("inbox")));
	world_free(&w);
}

static void making_makes_parents(void **state)
{
	struct mailbox *made, *other;
	struct world w;

	(void)state;
	world_new(&w);
	assert_int_equal(mailbox_create(w.account, SLICE("a/b/c"), 0, &actor_imap, &made), 0);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,a,a/b,a/b/c");
	assert_int_equal(mailbox_create(w.account, SLICE("a/b"), 0, &actor_imap, &other), -EEXIST);
	assert_int_equal(mailbox_create(w.account, SLICE("inbox"), 0, &actor_imap, &other), -EEXIST);
	assert_int_equal(mailbox_create(w.account, SLICE("New"), SPECIAL_SENT, &actor_imap, &other), -EEXIST);
	assert_int_equal(mailbox_create(w.account, SLICE("a-b"), SPECIAL_IMPORTANT, &actor_imap, &other), 0);
	/* Children come right after their parent. */
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,a,a/b,a/b/c,a-b");
	world_reopen(&w);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,a,a/b,a/b/c,a-b");
	world_free(&w);
}

static void uidvalidity_is_never_the_same_again(void **state)
{
	struct mailbox *made;
	struct world w;
	uint32_t last = 0;
	uint64_t last_id = 0;

	(void)state;
	world_new(&w);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(mailbox_create(w.account, SLICE("again"), 0, &actor_imap, &made), 0);
		assert_true(made->uidvalidity > last);
		assert_true(made->id > last_id);
		last = made->uidvalidity;
		last_id = made->id;
		assert_int_equal(mailbox_delete(w.account, made, &actor_imap), 0);
		if (i == 2)
			world_reopen(&w);
	}
	world_free(&w);
}

static void renaming_takes_the_children_along(void **state)
{
	struct mailbox *a, *child;
	uint64_t id;
	struct world w;

	(void)state;
	world_new(&w);
	assert_int_equal(mailbox_create(w.account, SLICE("a/b/c"), 0, &actor_imap, &child), 0);
	assert_int_equal(mailbox_create(w.account, SLICE("ab"), 0, &actor_imap, &a), 0);
	id = child->id;
	deliver_numbered(child, 1);
	a = mailbox_named(w.account, "a");
	assert_int_equal(mailbox_rename(w.account, a, SLICE("a/x"), &actor_imap), -EINVAL);
	assert_int_equal(mailbox_rename(w.account, a, SLICE("ab"), &actor_imap), -EEXIST);
	assert_int_equal(mailbox_rename(w.account, a, SLICE("y/z"), &actor_imap), 0);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,ab,y,y/z,y/z/b,y/z/b/c");
	assert_int_equal(mailbox_named(w.account, "y/z/b/c")->id, id);
	world_kill_and_reopen(&w);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,ab,y,y/z,y/z/b,y/z/b/c");
	assert_int_equal(mailbox_named(w.account, "y/z/b/c")->messages, 1);
	world_free(&w);
}

static void renaming_inbox_moves_what_is_in_it(void **state)
{
	struct mailbox *inbox, *moved;
	struct world w;

	(void)state;
	world_new(&w);
	inbox = mailbox_inbox(w.account);
	for (unsigned i = 1; i <= 3; i++)
		deliver_numbered(inbox, i);
	flag(inbox, 2, 2, FLAGS_ADD, FLAG_SEEN);
	expunge(inbox, 1, 1);
	assert_int_equal(mailbox_rename(w.account, inbox, SLICE("Old/2025"), &actor_imap), 0);
	inbox = mailbox_inbox(w.account);
	moved = mailbox_named(w.account, "Old/2025");
	assert_int_equal(inbox->messages, 0);
	assert_int_equal(inbox->uidnext, 4);
	assert_int_equal(moved->messages, 2);
	assert_int_equal(moved->unseen, 1);
	assert_int_equal(entry_of(moved, 1).flags, FLAG_SEEN);
	assert_int_equal(account_quota(w.account).used_messages, 2);
	world_reopen(&w);
	assert_int_equal(mailbox_named(w.account, "Old/2025")->messages, 2);
	world_free(&w);
}

static void deleting_leaves_the_children(void **state)
{
	struct mailbox *made;
	struct world w;

	(void)state;
	world_new(&w);
	assert_int_equal(mailbox_create(w.account, SLICE("a/b"), 0, &actor_imap, &made), 0);
	assert_int_equal(account_subscribe(w.account, SLICE("a"), true, &actor_imap), 0);
	deliver_numbered(mailbox_named(w.account, "a"), 1);
	assert_int_equal(mailbox_delete(w.account, mailbox_named(w.account, "a"), &actor_imap), 0);
	assert_int_equal(mailbox_delete(w.account, mailbox_inbox(w.account), &actor_imap), -EPERM);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,a/b");
	assert_true(account_is_subscribed(w.account, SLICE("a")));
	assert_int_equal(account_quota(w.account).used_messages, 0);
	assert_int_equal(account_quota(w.account).used_bytes, 0);
	world_reopen(&w);
	assert_names(w.account, "Archive,Drafts,INBOX,Junk,Sent,Trash,a/b");
	assert_true(account_is_subscribed(w.account, SLICE("a")));
	assert_int_equal(account_subscribe(w.account, SLICE("a"), false, &actor_imap), 0);
	assert_false(account_is_subscribed(w.account, SLICE("a")));
	world_free(&w);
}

static int subscribe_numbered(struct account *account, unsigned number)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "sub%u", number);
	return account_subscribe(account, slice_of(name), true, &actor_imap);
}

static void subscriptions_have_a_most(void **state)
{
	unsigned number = 0;
	struct world w;
	size_t count;

	(void)state;
	world_new(&w);
	for ((void)account_subscriptions(w.account, &count); count < STORE_MAILBOXES_MAX; count++)
		assert_int_equal(subscribe_numbered(w.account, number++), 0);
	assert_int_equal(subscribe_numbered(w.account, number), -ENOBUFS);
	assert_int_equal(subscribe_numbered(w.account, 0), 0); /* it is already */
	world_reopen(&w);
	assert_int_equal(subscribe_numbered(w.account, number), -ENOBUFS);
	(void)account_subscriptions(w.account, &count);
	assert_int_equal(count, STORE_MAILBOXES_MAX);
	assert_int_equal(account_subscribe(w.account, SLICE("sub7"), false, &actor_imap), 0);
	assert_int_equal(subscribe_numbered(w.account, number), 0);
	assert_int_equal(subscribe_numbered(w.account, 7), -ENOBUFS);
	world_free(&w);
}

struct listening {
	struct account_listener listener;
	unsigned changed, ended;
};

static void on_changed(struct account_listener *listener, struct mailbox *mailbox)
{
	(void)mailbox;
	CONTAINER_OF(listener, struct listening, listener)->changed++;
}

static void on_ended(struct account_listener *listener)
{
	CONTAINER_OF(listener, struct listening, listener)->ended++;
}

static void listeners_hear_of_changes_and_of_the_end(void **state)
{
	struct listening l = {.listener = {.changed = on_changed, .ended = on_ended}};
	bool disabled = true;
	struct directory_change change = {.disabled = &disabled};
	struct mailbox *made;
	struct world w;

	(void)state;
	world_new(&w);
	account_listen(w.account, &l.listener);
	deliver_numbered(mailbox_inbox(w.account), 1);
	assert_int_equal(l.changed, 1);
	assert_int_equal(mailbox_create(w.account, SLICE("n"), 0, &actor_imap, &made), 0);
	assert_int_equal(l.changed, 2);
	assert_int_equal(directory_account_change(w.store, SLICE("ann@example.org"), &change, &actor_imap), 0);
	shard_tick(w.shard);
	assert_int_equal(l.ended, 1);
	shard_tick(w.shard);
	assert_int_equal(l.ended, 1);
	world_free(&w);
}

static void one_session_holds_the_maildrop(void **state)
{
	struct maildrop_holder holder;
	struct world w;

	(void)state;
	world_new(&w);
	assert_int_equal(account_maildrop_last_ms(w.account), 0);
	assert_int_equal(account_maildrop_hold(w.account, &actor_pop3, &holder), 0);
	assert_int_equal(account_maildrop_hold(w.account, &actor_pop3, &holder), -EBUSY);
	assert_string_equal(holder.address, "127.0.0.3");
	assert_string_equal(holder.device, "laptop");
	assert_int_equal(holder.since_ms, w.now_ms);
	w.now_ms += 5;
	account_maildrop_release(w.account);
	assert_int_equal(account_maildrop_last_ms(w.account), w.now_ms);
	assert_int_equal(account_maildrop_hold(w.account, &actor_pop3, &holder), 0);
	account_maildrop_release(w.account);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_checked_and_normalised),
		cmocka_unit_test(a_new_account_has_its_mailboxes),
		cmocka_unit_test(making_makes_parents),
		cmocka_unit_test(uidvalidity_is_never_the_same_again),
		cmocka_unit_test(renaming_takes_the_children_along),
		cmocka_unit_test(renaming_inbox_moves_what_is_in_it),
		cmocka_unit_test(deleting_leaves_the_children),
		cmocka_unit_test(subscriptions_have_a_most),
		cmocka_unit_test(listeners_hear_of_changes_and_of_the_end),
		cmocka_unit_test(one_session_holds_the_maildrop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
