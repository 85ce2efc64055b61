/*
 * Threads: an email joins the thread of the first id among its References (or In-Reply-To) and its own Message-ID that the account
 * has met before, else it begins one. Ids are remembered as hashes.
 */
#include "base/hash.h"
#include "store/body.h"
#include "store/resident.h"

enum { THREAD_REFERENCES_MAX = 32 };

static void put_hash(struct buffer *out, struct slice id)
{
	uint64_t hash = hash64(id, 0);

	buffer_put_le64(out, hash ? hash : 1);
}

uint32_t thread_hashes(const struct mail_message *message, struct buffer *out)
{
	uint32_t count = message->reference_count, taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		/* Of a very long list the first, which began the thread, and the newest. */
		if (i && count - i >= THREAD_REFERENCES_MAX)
			continue;
		put_hash(out, message->references[i]);
		taken++;
	}
	if (message->message_id.len) {
		put_hash(out, message->message_id);
		taken++;
	}
	return taken;
}

static int hash_find(struct account *account, uint64_t hash, uint64_t *ret_thread)
{
	struct index_key key = key_pair(account->id, hash);
	MDB_txn *txn;
	int error;

	if (number_map_get(&account->threads, hash, ret_thread))
		return 0;
	error = shard_snapshot(account->shard, &txn);
	return error ? error
		     : index_get_number(account->shard->store->index, txn, TABLE_THREADS, key_slice(&key), ret_thread);
}

int thread_find(struct account *account, struct slice hashes, uint64_t *ret_thread, struct buffer *fresh,
	uint64_t *ret_fresh_count)
{
	struct reader r = READER_INIT(hashes);
	uint64_t thread = 0;

	while (r.rest.len) {
		uint64_t hash = reader_le64(&r), found = 0;
		int error = hash_find(account, hash, &found);

		if (error && error != -ENOENT)
			return error;
		if (error) {
			buffer_put_le64(fresh, hash);
			++*ret_fresh_count;
		} else if (!thread) {
			thread = found;
		}
	}
	*ret_thread = thread;
	return buffer_error(fresh);
}
