#include "store/dictionary.h"
#include "store/body.h"

#include <zdict.h>

enum { SAMPLES_MAX = 512, SAMPLES_BYTES_MAX = 1 << 20, SAMPLE_BYTES_MAX = 8192, SAMPLE_BYTES_MIN = 64 };
/* LZ4 finds nothing in a larger one that would be worth what it takes of the processor's cache. */
static const size_t dictionary_bytes[DICTIONARY_KINDS] = {[DICTIONARY_MESSAGES] = STORE_DICTIONARY_BYTES_MAX,
	[DICTIONARY_DESCRIPTIONS] = STORE_DESCRIPTION_DICTIONARY_BYTES_MAX};

enum dictionary_kind dictionary_kind(uint32_t id)
{
	return id & DICTIONARY_DESCRIPTION_ID ? DICTIONARY_DESCRIPTIONS : DICTIONARY_MESSAGES;
}

void dictionaries_init(struct store *store)
{
	lock_init(&store->dictionaries.lock, store->settings.threads);
}

static void dictionary_free(struct dictionary *dictionary)
{
	ZSTD_freeCDict(dictionary->pack);
	ZSTD_freeDDict(dictionary->unpack);
	free(dictionary->describe);
	free(dictionary->bytes);
	free(dictionary);
}

static void samples_free(struct dictionary_training *t)
{
	free(t->samples);
	free(t->sample_bytes);
	t->samples = NULL;
	t->sample_bytes = NULL;
	t->sample_count = t->samples_len = 0;
	t->ready = false;
}

void dictionaries_free(struct store *store)
{
	struct dictionaries *d = &store->dictionaries;

	while (d->all) {
		struct dictionary *dictionary = d->all;

		d->all = dictionary->next;
		dictionary_free(dictionary);
	}
	for (int kind = 0; kind < DICTIONARY_KINDS; kind++)
		samples_free(&d->training[kind]);
	frame_contexts_free_all(d);
	lock_free(&d->lock);
}

const struct dictionary *dictionary_current(struct store *store, enum dictionary_kind kind)
{
	return atomic_load(&store->dictionaries.training[kind].current);
}

const struct dictionary *dictionary_find(struct store *store, uint32_t id)
{
	/* The newest is what nearly everything is packed with, and never changed: no lock for it. */
	const struct dictionary *dictionary = dictionary_current(store, dictionary_kind(id));

	if (dictionary && dictionary->id == id)
		return dictionary;
	lock_take(&store->dictionaries.lock);
	dictionary = store->dictionaries.all;
	while (dictionary && dictionary->id != id)
		dictionary = dictionary->next;
	lock_give(&store->dictionaries.lock);
	return dictionary;
}

struct slice dictionary_content(const struct dictionary *dictionary)
{
	return slice_make(dictionary->bytes + dictionary->head, dictionary->len - dictionary->head);
}

/* LZ4 keeps a pointer to the content, which stays where it is. */
static void describe_prepare(struct dictionary *dictionary)
{
	size_t head = ZDICT_getDictHeaderSize(dictionary->bytes, dictionary->len);
	struct slice content;

	dictionary->head = ZDICT_isError(head) || head > dictionary->len ? 0 : head;
	content = dictionary_content(dictionary);
	dictionary->describe = calloc(1, sizeof(*dictionary->describe));
	if (dictionary->describe) {
		(void)LZ4_initStream(dictionary->describe, sizeof(*dictionary->describe));
		(void)LZ4_loadDict(dictionary->describe, content.at, (int)content.len);
	}
}

static bool dictionary_prepare(struct dictionary *dictionary)
{
	if (dictionary_kind(dictionary->id) == DICTIONARY_DESCRIPTIONS) {
		describe_prepare(dictionary);
		return dictionary->describe;
	}
	dictionary->pack = ZSTD_createCDict(dictionary->bytes, dictionary->len, TEXT_LEVEL);
	dictionary->unpack = ZSTD_createDDict(dictionary->bytes, dictionary->len);
	return dictionary->pack && dictionary->unpack;
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
	if (!dictionary->bytes || !dictionary_prepare(dictionary)) {
		dictionary_free(dictionary);
		return -ENOMEM;
	}
	lock_take(&d->lock);
	dictionary->next = d->all;
	d->all = dictionary;
	lock_give(&d->lock);
	return 0;
}

/* The newest of a kind, if there is one. */
static struct dictionary *dictionary_newest(struct dictionaries *d, enum dictionary_kind kind)
{
	struct dictionary *dictionary = d->all;

	while (dictionary && dictionary_kind(dictionary->id) != kind)
		dictionary = dictionary->next;
	return dictionary;
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
	for (int kind = 0; kind < DICTIONARY_KINDS; kind++) {
		struct dictionary *newest = dictionary_newest(d, kind);

		atomic_store(&d->training[kind].current, newest);
		atomic_store(&d->training[kind].wanted, !newest);
	}
	return 0;
}

/* ---- Training ---- */

void dictionary_sample(struct store *store, enum dictionary_kind kind, struct slice sample)
{
	struct dictionaries *d = &store->dictionaries;
	struct dictionary_training *t = &d->training[kind];
	bool full = false;

	if (!atomic_load_explicit(&t->wanted, memory_order_relaxed) || sample.len < SAMPLE_BYTES_MIN ||
		sample.len > DICTIONARY_MESSAGE_MAX)
		return;
	sample = slice_first(sample, SAMPLE_BYTES_MAX);
	lock_take(&d->lock);
	if (!t->samples && !t->ready) {
		t->samples = malloc(SAMPLES_BYTES_MAX);
		t->sample_bytes = malloc(SAMPLES_MAX * sizeof(*t->sample_bytes));
	}
	if (t->samples && t->sample_bytes && !t->ready) {
		memcpy(t->samples + t->samples_len, sample.at, sample.len);
		t->samples_len += sample.len;
		t->sample_bytes[t->sample_count++] = sample.len;
		full = t->sample_count == SAMPLES_MAX || t->samples_len > SAMPLES_BYTES_MAX - SAMPLE_BYTES_MAX;
	}
	if (full) {
		t->ready = true;
		atomic_store(&t->wanted, false);
	}
	lock_give(&d->lock);
	if (full)
		upkeep_wake(store);
}

static bool training_is_due(struct dictionaries *d, enum dictionary_kind kind)
{
	bool ready;

	lock_take(&d->lock);
	ready = d->training[kind].ready;
	lock_give(&d->lock);
	return ready;
}

bool dictionary_is_due(struct store *store)
{
	return training_is_due(&store->dictionaries, DICTIONARY_MESSAGES) ||
	       training_is_due(&store->dictionaries, DICTIONARY_DESCRIPTIONS);
}

/* In the journal, and durable, before the first frame that needs it. */
static int dictionary_adopt(struct store *store, enum dictionary_kind kind, struct slice bytes)
{
	struct dictionaries *d = &store->dictionaries;
	struct dictionary *newest = dictionary_newest(d, kind);
	uint32_t first = kind == DICTIONARY_DESCRIPTIONS ? DICTIONARY_DESCRIPTION_ID : 0;
	uint32_t id = (newest ? newest->id : first) + 1;
	struct buffer record = BUFFER_INIT(STORE_DICTIONARY_BYTES_MAX + 4);
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
		atomic_store(&d->training[kind].current, d->all);
	buffer_free(&record);
	return error;
}

static int kind_train(struct store *store, enum dictionary_kind kind)
{
	struct dictionaries *d = &store->dictionaries;
	struct dictionary_training *t = &d->training[kind];
	char *bytes = malloc(STORE_DICTIONARY_BYTES_MAX);
	size_t len = 0;
	int error = bytes ? 0 : -ENOMEM;

	/* Nobody adds samples any more: they are this thread's now. */
	if (!error)
		len = ZDICT_trainFromBuffer(
			bytes, dictionary_bytes[kind], t->samples, t->sample_bytes, (unsigned)t->sample_count);
	/* Texts that have nothing in common do without. */
	if (!error && !ZDICT_isError(len))
		error = dictionary_adopt(store, kind, slice_make(bytes, len));
	lock_take(&d->lock);
	samples_free(t);
	lock_give(&d->lock);
	free(bytes);
	return error;
}

int dictionary_train(struct store *store)
{
	int error = 0;

	for (int kind = 0; !error && kind < DICTIONARY_KINDS; kind++)
		if (training_is_due(&store->dictionaries, kind))
			error = kind_train(store, kind);
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
