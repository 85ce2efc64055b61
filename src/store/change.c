/* Every change of an account: encoded, appended to the journal, folded into memory, told to whoever listens. In that order. */
#include "store/ids.h"
#include "store/resident.h"

int change_start(struct account *account, const struct actor *actor, struct buffer **ret_change)
{
	struct shard *shard = account->shard;

	shard_inbox_run(shard);
	if (account->row.deleted || account->stale)
		return -ESTALE;
	buffer_reset(&shard->change);
	buffer_reset(&shard->list);
	buffer_reset(&shard->list2);
	change_begin(&shard->change, actor, clock_wall_ms(shard->store->settings.clock));
	*ret_change = &shard->change;
	return 0;
}

static void pending_link(struct account *account, struct pending *pending, bool awaited)
{
	struct shard *shard = account->shard;

	pending->account = account;
	if (account->pending_last)
		account->pending_last->next_of_account = pending;
	else
		account->pending_first = pending;
	account->pending_last = pending;
	if (shard->pending_last)
		shard->pending_last->next_of_shard = pending;
	else
		shard->pending_first = pending;
	shard->pending_last = pending;
	if (awaited)
		account->seq = pending->record.seq;
}

int change_restore(struct account *account, struct pending *pending)
{
	int error = 0;

	/* Folding changes entries only where they are loaded; whoever makes a change has loaded them. */
	for (size_t i = 0; !error && i < account->mailbox_count; i++)
		error = resident_entries(account->mailboxes[i]);
	pending_link(account, pending, true);
	return error ? error : resident_fold(account, pending, NULL);
}

int change_commit(struct account *account, const struct slice *bodies, size_t body_count, enum change_kind kind,
	struct view *by, struct mailbox *mailbox, struct mailbox *other)
{
	struct store *store = account->shard->store;
	struct buffer *change = &account->shard->change;
	struct appending what = {account->id, RECORD_CHANGE, {NULL, 0}, bodies, body_count, kind != CHANGE_LARGE};
	struct pending *pending;
	int error;

	change_finish(change);
	error = buffer_error(change);
	if (error)
		return error;
	what.change = buffer_slice(change);
	error = store_append_owned(store, &what, &pending);
	if (error)
		return error;
	pending_link(account, pending, kind != CHANGE_FLAGS || !store->settings.flags_unsynced);
	error = resident_fold(account, pending, by);
	if (error) {
		/* It is in the journal, so it has happened; only this memory no longer says so. */
		store_fail(store, error, "folding a change into memory");
		return error;
	}
	if (mailbox)
		account_tell(account, mailbox);
	if (other && other != mailbox)
		account_tell(account, other);
	account_gone_sweep(account);
	return 0;
}

uint64_t account_new_id(const struct account *account, uint64_t nth)
{
	return id_make(account->id, account->row.next_id + nth);
}

void account_tell(struct account *account, struct mailbox *mailbox)
{
	struct account_listener *next;

	for (struct view *view = resident_of(mailbox)->views; view; view = view->next)
		view_wake(view);
	for (struct account_listener *l = account->listeners; l; l = next) {
		next = l->next;
		if (l->changed)
			l->changed(l, mailbox);
	}
}

/* RFC 9051 §9: a keyword is an atom; a backslash begins only system flags. */
static bool keyword_is_valid(struct slice name)
{
	if (name.len == 0 || name.len > STORE_KEYWORD_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.at[i];

		if (c <= ' ' || c >= 0x7f || strchr("(){%*\"\\]", c))
			return false;
	}
	return true;
}

/* Place of a name among the sized names in `fresh`; their count when it is not there. */
static uint64_t fresh_find(const struct buffer *fresh, struct slice name)
{
	struct reader r = READER_INIT(buffer_slice(fresh));
	uint64_t at = 0;

	while (r.rest.len && !slice_equal_nocase(reader_sized(&r), name))
		at++;
	return at;
}

int keywords_bits(const struct mailbox *mailbox, const struct slice *names, size_t count, struct buffer *fresh,
	uint64_t *fresh_count, uint64_t *ret_bits)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned bit;

		if (!keyword_is_valid(names[i]))
			return -EINVAL;
		if (!mailbox_row_keyword(mailbox, names[i], &bit)) {
			uint64_t place = fresh_find(fresh, names[i]);

			if (mailbox->keyword_count + place >= STORE_KEYWORDS_MAX)
				return -ENOBUFS;
			if (place == *fresh_count) {
				buffer_put_sized(fresh, names[i]);
				++*fresh_count;
			}
			bit = mailbox->keyword_count + (unsigned)place;
		}
		bits |= (uint64_t)1 << bit;
	}
	*ret_bits = bits;
	return buffer_error(fresh);
}
