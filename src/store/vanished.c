/* What was expunged from a mailbox since a MODSEQ: RFC 7162. */
#include "store/resident.h"

static bool is_known(struct uid_set known, uint32_t uid)
{
	return !known.count || uid_set_has(known, uid);
}

/* The mailbox's history was forgotten up to this MODSEQ; from the same snapshot as the history itself. */
static int history_floor(struct resident_mailbox *mailbox, MDB_txn *txn, uint64_t *ret_modseq)
{
	struct index_key key = key_of(mailbox->row.pub.id);
	struct mailbox_row row = {.history_modseq = 0};
	struct slice value = {NULL, 0};
	int error =
		index_get(mailbox->row.pub.account->shard->store->index, txn, TABLE_MAILBOXES, key_slice(&key), &value);

	if (error == -ENOENT) {
		*ret_modseq = 0;
		return 0;
	}
	if (!error)
		error = mailbox_row_read(value, &row);
	if (error)
		return error;
	*ret_modseq = row.history_modseq;
	mailbox_row_clear(&row);
	return 0;
}

static int vanished_indexed(struct resident_mailbox *mailbox, MDB_txn *txn, uint64_t modseq, struct uid_set known,
	struct uid_list *vanished)
{
	struct index_key key = key_expunged(mailbox->row.pub.id, modseq + 1, 0);
	struct index_walk walk = {NULL};
	int error = index_walk_from(
		mailbox->row.pub.account->shard->store->index, txn, TABLE_EXPUNGED, key_slice(&key), &walk);

	while (!error && key_number(walk.key, 0) == mailbox->row.pub.id) {
		uint32_t uid = key_number32(walk.key, 16);

		if (uid && is_known(known, uid))
			uid_list_add(vanished, uid, uid);
		error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	return error == -ENOENT ? 0 : error;
}

static int vanished_pending(struct resident_mailbox *mailbox, uint64_t after_seq, uint64_t modseq, struct uid_set known,
	struct uid_list *vanished)
{
	struct uid_list all = UID_LIST_INIT(UINT32_MAX);
	int error = resident_vanished(mailbox, after_seq, modseq, &all);

	for (size_t i = 0; !error && i < all.count; i++) {
		if (!known.count)
			uid_list_add(vanished, all.ranges[i].first, all.ranges[i].last);
		for (uint64_t uid = all.ranges[i].first; known.count && uid <= all.ranges[i].last; uid++) {
			if (is_known(known, (uint32_t)uid))
				uid_list_add(vanished, (uint32_t)uid, (uint32_t)uid);
		}
	}
	uid_list_free(&all);
	return error;
}

/* Every UID of the range that no entry has. */
static void absent_add(const struct resident_mailbox *mailbox, struct uid_range range, struct uid_list *vanished)
{
	uint64_t uid = range.first;

	for (size_t at = entries_from(mailbox, range.first);
		at < mailbox->count && mailbox->entries[at].uid <= range.last; at++) {
		if (mailbox->entries[at].uid > uid)
			uid_list_add(vanished, (uint32_t)uid, mailbox->entries[at].uid - 1);
		uid = (uint64_t)mailbox->entries[at].uid + 1;
	}
	if (uid <= range.last)
		uid_list_add(vanished, (uint32_t)uid, range.last);
}

static int vanished_guessed(struct resident_mailbox *mailbox, struct uid_set known, struct uid_list *vanished)
{
	struct uid_range all = {1, mailbox->row.pub.uidnext - 1};
	int error = resident_entries(mailbox);

	if (error)
		return error;
	if (!known.count && all.last)
		absent_add(mailbox, all, vanished);
	for (size_t i = 0; i < known.count; i++) {
		struct uid_range range = known.ranges[i];

		/* A UID not given out yet has not vanished. */
		range.last = MIN(range.last, all.last);
		if (range.first <= range.last)
			absent_add(mailbox, range, vanished);
	}
	return 0;
}

int mailbox_vanished(struct mailbox *mailbox, uint64_t modseq, struct uid_set known, struct uid_list *vanished)
{
	struct resident_mailbox *m = resident_of(mailbox);
	struct shard *shard = mailbox->account->shard;
	uint64_t reaches;
	MDB_txn *txn;
	int error;

	if (mailbox->deleted)
		return -ESTALE;
	error = shard_snapshot(shard, &txn);
	if (!error)
		error = history_floor(m, txn, &reaches);
	if (error)
		return error;
	if (reaches > modseq) {
		error = vanished_guessed(m, known, vanished);
	} else {
		error = vanished_indexed(m, txn, modseq, known, vanished);
		if (!error)
			error = vanished_pending(m, shard->txn_applied, modseq, known, vanished);
	}
	return error ? error : vanished->error;
}
