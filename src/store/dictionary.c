#include "store/dictionary.h"
#include "store/body.h"

#include <zdict.h>

enum {
	SAMPLES_MAX = 512,
	SAMPLES_BYTES_MAX = 1 << 20,
	SAMPLE_BYTES_MAX = 8192,
	SAMPLE_BYTES_MIN = 64,
	DICTIONARY_BYTES = 32768,
	ZSTD_LEVEL = 1
};

void dictionaries_init(struct store *store)
{
	lock_init(&store->dictionaries.lock, store->settings.threads);
}

static void dictionary_free(struct dictionary *dictionary)
{
	ZSTD_freeCDict(dictionary->pack);
	ZSTD_freeDDict(dictionary->unpack);
	free(dictionary->bytes);
	free(dictionary);
}

static void samples_free(struct dictionaries *d)
{
	free(d->samples);
	free(d->sample_bytes);
	d->samples = NULL;
	d->sample_bytes = NULL;
	d->sample_count = d->samples_len = 0;
	d->ready = false;
}

void dictionaries_free(struct store *store)
{
	struct dictionaries *d = &store->dictionaries;

	while (d->all) {
		struct dictionary *dictionary = d->all;

		d->all = dictionary->next;
		dictionary_free(dictionary);
	}
	samples_free(d);
	frame_contexts_free_all(d);
	lock_free(&d->lock);
}

const struct dictionary *dictionary_find(struct store *store, uint32_t id)
{
	struct dictionary *dictionary;

	lock_take(&store->dictionaries.lock);
	dictionary = store->dictionaries.all;
	while (dictionary && dictionary->id != id)
		dictionary = dictionary->next;
	lock_give(&store->dictionaries.lock);
	return dictionary;
}

int dictionary_learn(struct store *store, uint32_t id, struct slice bytes)
{
	struct dictionaries *d = &store->dictionaries;
	struct dictionary *dictionary = calloc(1, sizeof(*dictionary));

	if (!dictionary)
		return -ENOMEM;
	dictionary->id = id;
	dictionary->len = bytes.len;
	dictionary->bytes = malloc(bytes.len + 1);
	if (dictionary->bytes && bytes.len)
		memcpy(dictionary->bytes, bytes.at, bytes.len);
	if (dictionary->bytes) {
		dictionary->pack = ZSTD_createCDict(dictionary->bytes, bytes.len, ZSTD_LEVEL);
		dictionary->unpack = ZSTD_createDDict(dictionary->bytes, bytes.len);
	}
	if (!dictionary->pack || !dictionary->unpack) {
		dictionary_free(dictionary);
		return -ENOMEM;
	}
	lock_take(&d->lock);
	dictionary->next = d->all;
	d->all = dictionary;
	lock_give(&d->lock);
	return 0;
}

int dictionaries_load(struct store *store)
{
	struct dictionaries *d = &store->dictionaries;
	struct index_walk walk = {NULL};
	MDB_txn *txn;
	int error = index_begin(store->index, false, &txn);

	if (error)
		return error;
	error = index_walk_from(store->index, txn, TABLE_DICTIONARIES, (struct slice){NULL, 0}, &walk);
	while (!error) {
		error = dictionary_learn(store, (uint32_t)key_number(walk.key, 0), slice_from(walk.value, 8));
		if (!error)
			error = index_walk_next(&walk);
	}
	index_walk_end(&walk);
	mdb_txn_abort(txn);
	if (error != -ENOENT)
		return error;
	atomic_store(&d->current, d->all);
	atomic_store(&d->wanted, !d->all);
	return 0;
}

/* ---- Training ---- */

void dictionary_sample(struct store *store, struct slice message)
{
	struct dictionaries *d = &store->dictionaries;
	bool full = false;

	if (!atomic_load_explicit(&d->wanted, memory_order_relaxed) || message.len < SAMPLE_BYTES_MIN ||
		message.len > DICTIONARY_MESSAGE_MAX)
		return;
	message = slice_first(message, SAMPLE_BYTES_MAX);
	lock_take(&d->lock);
	if (!d->samples && !d->ready) {
		d->samples = malloc(SAMPLES_BYTES_MAX);
		d->sample_bytes = malloc(SAMPLES_MAX * sizeof(*d->sample_bytes));
	}
	if (d->samples && d->sample_bytes && !d->ready) {
		memcpy(d->samples + d->samples_len, message.at, message.len);
		d->samples_len += message.len;
		d->sample_bytes[d->sample_count++] = message.len;
		full = d->sample_count == SAMPLES_MAX || d->samples_len > SAMPLES_BYTES_MAX - SAMPLE_BYTES_MAX;
	}
	if (full) {
		d->ready = true;
		atomic_store(&d->wanted, false);
	}
	lock_give(&d->lock);
	if (full)
		upkeep_wake(store);
}

bool dictionary_is_due(struct store *store)
{
	bool ready;

	lock_take(&store->dictionaries.lock);
	ready = store->dictionaries.ready;
	lock_give(&store->dictionaries.lock);
	return ready;
}

/* In the journal, and durable, before the first frame that needs it. */
static int dictionary_adopt(struct store *store, struct slice bytes)
{
	struct dictionaries *d = &store->dictionaries;
	uint32_t id = d->all ? d->all->id + 1 : 1;
	struct buffer record = BUFFER_INIT(DICTIONARY_BYTES + 4);
	struct appending what = {.kind = RECORD_DICTIONARY};
	uint64_t seq;
	int error;

	buffer_put_le32(&record, id);
	buffer_put(&record, bytes);
	what.change = buffer_slice(&record);
	error = buffer_error(&record);
	if (!error)
		error = store_append(store, &what, NULL, &seq);
	if (!error)
		error = store_wait_durable(store, seq);
	if (!error)
		error = dictionary_learn(store, id, bytes);
	if (!error)
		atomic_store(&d->current, d->all);
	buffer_free(&record);
	return error;
}

int dictionary_train(struct store *store)
{
	struct dictionaries *d = &store->dictionaries;
	char *bytes = malloc(DICTIONARY_BYTES);
	size_t len = 0;
	int error = bytes ? 0 : -ENOMEM;

	/* Nobody adds samples any more: they are this thread's now. */
	if (!error)
		len = ZDICT_trainFromBuffer(
			bytes, DICTIONARY_BYTES, d->samples, d->sample_bytes, (unsigned)d->sample_count);
	/* Messages that have nothing in common do without. */
	if (!error && !ZDICT_isError(len))
		error = dictionary_adopt(store, slice_make(bytes, len));
	lock_take(&d->lock);
	samples_free(d);
	lock_give(&d->lock);
	free(bytes);
	return error;
}

int dictionary_rewrite(struct store *store, uint32_t id, uint64_t *ret_seq)
{
	const struct dictionary *dictionary = dictionary_find(store, id);
	struct buffer record = BUFFER_INIT(UINT32_MAX);
	struct appending what = {.kind = RECORD_DICTIONARY, .reserve = true};
	int error;

	if (!dictionary)
		return 0;
	buffer_put_le32(&record, id);
	buffer_put(&record, slice_make(dictionary->bytes, dictionary->len));
	what.change = buffer_slice(&record);
	error = buffer_error(&record);
	if (!error)
		error = store_append(store, &what, NULL, ret_seq);
	buffer_free(&record);
	return error;
}
