/* Changes to what is in a mailbox: flags, expunging, copying and moving. */
#include "store/resident.h"

/* Collects the UIDs an operation is about, as exact ranges: for its record and for whoever asked. */
struct selection {
	struct uid_range open; /* not written yet; first 0: none */
	uint32_t last;
	uint64_t ranges, entries;
	struct buffer *out;
	struct uid_list *list; /* may be NULL */
};

static void selection_close(struct selection *s)
{
	if (!s->open.first)
		return;
	range_put(s->out, &s->last, s->open);
	s->ranges++;
	if (s->list)
		uid_list_add(s->list, s->open.first, s->open.last);
	s->open.first = 0;
}

static void selection_add(struct selection *s, uint32_t uid)
{
	s->entries++;
	if (s->open.first && s->open.last + 1 == uid) {
		s->open.last = uid;
		return;
	}
	selection_close(s);
	s->open = (struct uid_range){uid, uid};
}

static struct op_list selection_ranges(const struct selection *s)
{
	return (struct op_list){s->ranges, buffer_slice(s->out)};
}

static int selection_error(const struct selection *s)
{
	if (s->list && s->list->error)
		return s->list->error;
	return buffer_error(s->out);
}

/* Calls back for each entry of the set that is there. */
static void entries_each(struct resident_mailbox *mailbox, struct uid_set uids,
	void (*each)(void *context, const struct entry *entry), void *context)
{
	for (size_t r = 0; r < uids.count; r++) {
		size_t at = entries_from(mailbox, uids.ranges[r].first);

		for (; at < mailbox->count && mailbox->entries[at].uid <= uids.ranges[r].last; at++)
			each(context, &mailbox->entries[at]);
	}
}

static int mailbox_use(struct mailbox *mailbox)
{
	return mailbox->deleted ? -ESTALE : resident_entries(resident_of(mailbox));
}

/* ---- STORE ---- */

struct storing {
	struct selection selection;
	struct uid_list *modified;
	uint64_t unchanged_since;
	enum flags_mode mode;
	unsigned flags;
	uint64_t keywords;
};

static bool store_changes(const struct storing *s, const struct entry *entry)
{
	unsigned flags = entry->flags & FLAGS_ALL;

	switch (s->mode) {
	case FLAGS_REPLACE:
		return flags != s->flags || entry->keywords != s->keywords;
	case FLAGS_ADD:
		return (s->flags & ~flags) || (s->keywords & ~entry->keywords);
	default:
		return (s->flags & flags) || (s->keywords & entry->keywords);
	}
}

static void store_one(void *context, const struct entry *entry)
{
	struct storing *s = context;

	if (entry->modseq > s->unchanged_since) {
		if (s->modified)
			uid_list_add(s->modified, entry->uid, entry->uid);
	} else if (store_changes(s, entry)) {
		selection_add(&s->selection, entry->uid);
	}
}

/* Removing a keyword nobody has must not make it known. */
static void keywords_known_only(const struct mailbox *mailbox, const struct flag_set *flags, uint64_t *ret_bits)
{
	uint64_t bits = 0;
	unsigned bit;

	for (size_t i = 0; i < flags->keyword_count; i++) {
		if (mailbox_row_keyword(mailbox, flags->keywords[i], &bit))
			bits |= (uint64_t)1 << bit;
	}
	*ret_bits = bits;
}

int entries_store(struct mailbox *mailbox, struct uid_set uids, enum flags_mode mode, const struct flag_set *flags,
	uint64_t unchanged_since, struct view *by, const struct actor *actor, struct uid_list *changed,
	struct uid_list *modified)
{
	struct account *account = mailbox->account;
	struct shard *shard = account->shard;
	struct storing s = {.modified = modified, .unchanged_since = unchanged_since, .mode = mode};
	struct op_flags op = {.mailbox = mailbox->id, .modseq = account->row.modseq + 1, .mode = mode};
	struct buffer *change;
	int error = mailbox_use(mailbox);

	if (!error)
		error = change_start(account, actor, &change);
	if (error)
		return error;
	s.flags = op.flags = flags->flags & FLAGS_ALL;
	if (mode == FLAGS_REMOVE)
		keywords_known_only(mailbox, flags, &s.keywords);
	else
		error = keywords_bits(mailbox, flags->keywords, flags->keyword_count, &shard->list2,
			&op.new_keywords.count, &s.keywords);
	if (error)
		return error;
	s.selection = (struct selection){.out = &shard->list, .list = changed};
	entries_each(resident_of(mailbox), uids, store_one, &s);
	selection_close(&s.selection);
	error = selection_error(&s.selection);
	if (!error && modified)
		error = modified->error;
	if (error || !s.selection.entries)
		return error;
	op.keywords = s.keywords;
	op.new_keywords.bytes = buffer_slice(&shard->list2);
	op.ranges = selection_ranges(&s.selection);
	op_put_flags(change, &op);
	return change_commit(account, NULL, 0, CHANGE_FLAGS, by, mailbox, NULL);
}

/* ---- EXPUNGE ---- */

struct expunging {
	struct selection selection;
	bool only_deleted;
};

static void expunge_one(void *context, const struct entry *entry)
{
	struct expunging *e = context;

	if (!e->only_deleted || (entry->flags & FLAG_DELETED))
		selection_add(&e->selection, entry->uid);
}

/*
 * Folding must find everything it needs in memory or in the index without failing: the record is in the journal by then. Looking
 * shared emails up beforehand makes sure of that.
 */
static void share_look_up(void *context, const struct entry *entry)
{
	struct account *account = context;
	uint32_t live;

	if ((entry->flags & ENTRY_SHARED) && !resident_share(account, entry->email, &live) &&
		number_map_put(&account->shares, entry->email, live))
		return;
}

int entries_expunge(struct mailbox *mailbox, struct uid_set uids, bool only_deleted, const struct actor *actor,
	struct uid_list *expunged)
{
	struct account *account = mailbox->account;
	struct expunging e = {.only_deleted = only_deleted};
	struct op_expunge op = {.mailbox = mailbox->id, .modseq = account->row.modseq + 1};
	struct buffer *change;
	int error;

	if (only_deleted && !mailbox->flagged_deleted && !mailbox->deleted)
		return 0;
	error = mailbox_use(mailbox);
	if (!error)
		error = change_start(account, actor, &change);
	if (error)
		return error;
	e.selection = (struct selection){.out = &account->shard->list, .list = expunged};
	entries_each(resident_of(mailbox), uids, expunge_one, &e);
	selection_close(&e.selection);
	error = selection_error(&e.selection);
	if (error || !e.selection.entries)
		return error;
	entries_each(resident_of(mailbox), uids, share_look_up, account);
	op.ranges = selection_ranges(&e.selection);
	op_put_expunge(change, &op);
	return change_commit(account, NULL, 0, CHANGE_SMALL, NULL, mailbox, NULL);
}

/* ---- COPY, MOVE ---- */

struct copying {
	struct selection selection;
	struct buffer *entries;
	const struct mailbox *source, *target;
	struct buffer fresh;
	uint64_t fresh_count;
	uint64_t map[STORE_KEYWORDS_MAX]; /* the target's bit of each of the source's keywords; 0: not needed yet */
	int error;
};

/*
 * Keywords that the target has no room for stay behind: better a message in the trash without one of its labels than a trash that
 * takes no messages.
 */
static int keyword_translate(struct copying *c, unsigned bit)
{
	int error = keywords_bits(c->target, &c->source->keywords[bit], 1, &c->fresh, &c->fresh_count, &c->map[bit]);

	return error == -ENOBUFS ? buffer_error(&c->fresh) : error;
}

static uint64_t keywords_translate(struct copying *c, uint64_t bits)
{
	uint64_t translated = 0;

	for (unsigned i = 0; i < c->source->keyword_count && bits >> i; i++) {
		if (!(bits >> i & 1))
			continue;
		if (!c->map[i] && !c->error)
			c->error = keyword_translate(c, i);
		translated |= c->map[i];
	}
	return translated;
}

static void copy_one(void *context, const struct entry *entry)
{
	struct copying *c = context;
	struct entry copy = *entry;

	selection_add(&c->selection, entry->uid);
	copy.keywords = keywords_translate(c, entry->keywords);
	copied_entry_put(c->entries, &copy);
}

static int copy_check(const struct copying *c, bool move)
{
	int error = c->error;

	if (!error)
		error = selection_error(&c->selection);
	if (!error)
		error = buffer_error(c->entries);
	if (!error)
		error = buffer_error(&c->fresh);
	if (!error && c->selection.entries >= UINT32_MAX - c->target->uidnext)
		error = -ENOBUFS;
	if (!error && !move && account_is_full(c->target->account, c->selection.entries))
		error = -EDQUOT;
	return error;
}

int entries_copy(struct mailbox *mailbox, struct uid_set uids, struct mailbox *target, bool move,
	const struct actor *actor, struct uid_list *from, struct uid_list *to)
{
	struct account *account = mailbox->account;
	struct copying c = {.source = mailbox, .target = target};
	struct op_copy op = {.mailbox = mailbox->id,
		.target = target->id,
		.modseq = account->row.modseq + 1,
		.first_uid = target->uidnext,
		.move = move};
	struct buffer *change;
	int error = target->deleted ? -ESTALE : mailbox_use(mailbox);

	if (!error && target->account != account)
		error = -EINVAL;
	if (!error && !move && account_is_full(account, 1))
		error = -EDQUOT; /* before all of them are listed */
	if (!error)
		error = change_start(account, actor, &change);
	if (error)
		return error;
	c.fresh = BUFFER_INIT(STORE_KEYWORDS_MAX * (STORE_KEYWORD_NAME_MAX + 2));
	c.entries = &account->shard->list2;
	c.selection = (struct selection){.out = &account->shard->list, .list = from};
	entries_each(resident_of(mailbox), uids, copy_one, &c);
	selection_close(&c.selection);
	error = copy_check(&c, move);
	if (error || !c.selection.entries)
		goto out;
	if (!move)
		entries_each(resident_of(mailbox), uids, share_look_up, account);
	op.new_keywords = (struct op_list){c.fresh_count, buffer_slice(&c.fresh)};
	op.ranges = selection_ranges(&c.selection);
	op.entries = (struct op_list){c.selection.entries, buffer_slice(c.entries)};
	op_put_copy(change, &op);
	/* Before it happens: afterwards there must be nothing left that can fail. */
	if (to) {
		uid_list_add(to, op.first_uid, op.first_uid + (uint32_t)c.selection.entries - 1);
		error = to->error;
	}
	if (!error)
		error = change_commit(account, NULL, 0, CHANGE_LARGE, NULL, mailbox, target);
out:
	buffer_free(&c.fresh);
	return error;
}

int entries_move_all(struct mailbox *mailbox, uint64_t target, uint64_t modseq, struct buffer *change)
{
	struct shard *shard = mailbox->account->shard;
	struct resident_mailbox *source = resident_of(mailbox);
	struct buffer keywords = BUFFER_INIT(STORE_KEYWORDS_MAX * (STORE_KEYWORD_NAME_MAX + 2));
	struct selection selection = {.out = &shard->list};
	struct op_copy op = {.mailbox = mailbox->id, .target = target, .modseq = modseq, .first_uid = 1, .move = true};
	int error;

	for (unsigned i = 0; i < mailbox->keyword_count; i++)
		buffer_put_sized(&keywords, mailbox->keywords[i]);
	for (size_t i = 0; i < source->count; i++) {
		selection_add(&selection, source->entries[i].uid);
		copied_entry_put(&shard->list2, &source->entries[i]);
	}
	selection_close(&selection);
	op.new_keywords = (struct op_list){mailbox->keyword_count, buffer_slice(&keywords)};
	op.ranges = selection_ranges(&selection);
	op.entries = (struct op_list){selection.entries, buffer_slice(&shard->list2)};
	error = buffer_error(&shard->list2) ? buffer_error(&shard->list2) : selection_error(&selection);
	if (!error)
		error = buffer_error(&keywords);
	if (!error && selection.entries)
		op_put_copy(change, &op);
	buffer_free(&keywords);
	return error;
}

/* ---- Without a view ---- */

bool mailbox_entry_from(struct mailbox *mailbox, uint32_t uid, struct entry *ret_entry, int *ret_error)
{
	struct resident_mailbox *m = resident_of(mailbox);
	int error = mailbox_use(mailbox);
	size_t at;

	*ret_error = error;
	if (error)
		return false;
	at = entries_from(m, uid);
	if (at == m->count)
		return false;
	*ret_entry = m->entries[at];
	ret_entry->flags &= FLAGS_ALL;
	return true;
}
