/* Making, renaming and deleting mailboxes. */
#include "store/resident.h"

static struct slice parent_of(struct slice name)
{
	size_t at = slice_find_last_byte(name, '/');

	return slice_first(name, at == SIZE_MAX ? 0 : at);
}

static uint32_t next_uidvalidity(const struct account *account, uint32_t nth)
{
	int64_t now = clock_wall_ms(account->shard->store->settings.clock) / 1000;
	uint32_t least = account->row.uidvalidity + 1;

	/* Never twice in an account, so that a name made anew is never taken for the old one (RFC 9051 §2.3.1.1). */
	return MAX(least, now > 0 && now < UINT32_MAX ? (uint32_t)now : least) + nth;
}

struct creation {
	struct account *account;
	struct buffer *change;
	uint64_t modseq;
	uint32_t count;
};

static void put_create(struct creation *c, struct slice name, unsigned special_use)
{
	struct op_mailbox op = {.id = account_new_id(c->account, c->count),
		.modseq = c->modseq,
		.uidvalidity = next_uidvalidity(c->account, c->count),
		.special_use = special_use,
		.name = name};

	op_put_mailbox(c->change, OP_MAILBOX_CREATE, &op);
	c->count++;
}

/* Parents first; at most STORE_MAILBOX_DEPTH_MAX deep. */
static void put_parents(struct creation *c, struct slice name)
{
	for (size_t i = 1; i < name.len; i++) {
		struct slice parent = slice_first(name, i);

		if (name.at[i] == '/' && !mailbox_find(c->account, parent))
			put_create(c, parent, 0);
	}
}

static bool special_use_is_taken(struct account *account, unsigned special_use)
{
	for (size_t i = 0; special_use && i < account->mailbox_count; i++) {
		if (account->mailboxes[i]->row.pub.special_use & special_use)
			return true;
	}
	return false;
}

int mailbox_create(struct account *account, struct slice name, unsigned special_use, const struct actor *actor,
	struct mailbox **ret_mailbox)
{
	struct buffer normal = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 4);
	struct creation c = {account, NULL, account->row.modseq + 1, 0};
	struct mailbox *made;
	int error = mailbox_name_normalise(name, &normal);

	if (!error && mailbox_find(account, buffer_slice(&normal)))
		error = -EEXIST;
	if (!error && special_use_is_taken(account, special_use))
		error = -EEXIST;
	if (!error && account->mailbox_count + STORE_MAILBOX_DEPTH_MAX > STORE_MAILBOXES_MAX)
		error = -ENOBUFS;
	if (!error)
		error = change_start(account, actor, &c.change);
	if (error)
		goto out;
	put_parents(&c, buffer_slice(&normal));
	put_create(&c, buffer_slice(&normal), special_use);
	error = change_commit(account, NULL, 0, CHANGE_SMALL, NULL, NULL, NULL);
	if (error)
		goto out;
	made = mailbox_find(account, buffer_slice(&normal));
	CHECK(made);
	for (struct slice up = parent_of(made->name); up.len; up = parent_of(up)) {
		struct mailbox *parent = mailbox_find(account, up);

		if (parent && resident_of(parent)->row.pub.highestmodseq == c.modseq)
			account_tell(account, parent);
	}
	account_tell(account, made);
	*ret_mailbox = made;
out:
	buffer_free(&normal);
	return error;
}

int mailbox_delete(struct account *account, struct mailbox *mailbox, const struct actor *actor)
{
	struct op_mailbox op = {.id = mailbox->id, .modseq = account->row.modseq + 1};
	struct buffer *change;
	int error;

	if (name_is_inbox(mailbox->name))
		return -EPERM;
	if (mailbox->deleted)
		return -ESTALE;
	error = resident_entries(resident_of(mailbox));
	if (!error)
		error = change_start(account, actor, &change);
	if (error)
		return error;
	op_put_mailbox(change, OP_MAILBOX_DELETE, &op);
	return change_commit(account, NULL, 0, CHANGE_SMALL, NULL, mailbox, NULL);
}

/* INBOX: what is in it moves to a new mailbox (RFC 9051 §6.3.6). */
static int rename_inbox(
	struct account *account, struct mailbox *inbox, struct slice new_name, const struct actor *actor)
{
	struct creation c = {account, NULL, account->row.modseq + 1, 0};
	uint64_t target;
	int error = resident_entries(resident_of(inbox));

	if (!error)
		error = change_start(account, actor, &c.change);
	if (error)
		return error;
	put_parents(&c, new_name);
	target = account_new_id(account, c.count);
	put_create(&c, new_name, 0);
	error = entries_move_all(inbox, target, c.modseq, c.change);
	if (!error)
		error = change_commit(account, NULL, 0, CHANGE_LARGE, NULL, inbox, NULL);
	if (!error)
		account_tell(account, mailbox_find(account, new_name));
	return error;
}

/* The new name of a mailbox that is renamed, or below one that is; -EEXIST, -EINVAL. */
static int renamed(
	struct account *account, const struct mailbox *m, struct slice old, struct slice new_name, struct buffer *out)
{
	struct mailbox *there;

	buffer_reset(out);
	buffer_put(out, new_name);
	buffer_put(out, slice_from(m->name, old.len));
	if (buffer_error(out) || mailbox_name_validate(buffer_slice(out)))
		return -EINVAL;
	there = mailbox_find(account, buffer_slice(out));
	return there ? -EEXIST : 0;
}

static int put_renames(struct creation *c, struct mailbox *mailbox, struct slice new_name, struct buffer *name)
{
	struct account *account = c->account;

	for (size_t i = 0; i < account->mailbox_count; i++) {
		struct mailbox *m = &account->mailboxes[i]->row.pub;
		struct op_mailbox op = {.id = m->id, .modseq = c->modseq};
		int error;

		if (m != mailbox && !name_is_below(m->name, mailbox->name))
			continue;
		error = renamed(account, m, mailbox->name, new_name, name);
		if (error)
			return error;
		op.name = buffer_slice(name);
		op_put_mailbox(c->change, OP_MAILBOX_RENAME, &op);
	}
	return 0;
}

static int rename_tree(
	struct account *account, struct mailbox *mailbox, struct slice new_name, const struct actor *actor)
{
	struct buffer name = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 2);
	struct creation c = {account, NULL, account->row.modseq + 1, 0};
	int error = change_start(account, actor, &c.change);

	if (error)
		return error;
	put_parents(&c, new_name);
	error = put_renames(&c, mailbox, new_name, &name);
	if (!error)
		error = change_commit(account, NULL, 0, CHANGE_SMALL, NULL, NULL, NULL);
	buffer_free(&name);
	if (error)
		return error;
	account_tell(account, mailbox);
	for (struct mailbox *m = mailbox_next(account, mailbox); m && name_is_below(m->name, mailbox->name);
		m = mailbox_next(account, m))
		account_tell(account, m);
	return 0;
}

int mailbox_rename(struct account *account, struct mailbox *mailbox, struct slice new_name, const struct actor *actor)
{
	struct buffer normal = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 4);
	struct slice name;
	int error;

	if (mailbox->deleted)
		return -ESTALE;
	error = mailbox_name_normalise(new_name, &normal);
	name = buffer_slice(&normal);
	if (!error && mailbox_find(account, name))
		error = -EEXIST;
	if (!error && account->mailbox_count + STORE_MAILBOX_DEPTH_MAX > STORE_MAILBOXES_MAX)
		error = -ENOBUFS;
	if (!error && name_is_inbox(mailbox->name))
		error = rename_inbox(account, mailbox, name, actor);
	else if (!error && name_is_below(name, mailbox->name))
		error = -EINVAL;
	else if (!error)
		error = rename_tree(account, mailbox, name, actor);
	buffer_free(&normal);
	return error;
}
