#include "store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/body.h"
#include "store/disk/disk.h"
#include "store/frame_cache.h"
#include "store/resident.h"
#include "store/searcher.h"

enum { PATH_ROOM = 4096 };

struct store_settings store_settings_default(void)
{
	return (struct store_settings){.shards = 1,
		.retention_s = 2592000,
		.message_bytes_max = 104857600,
		.messages_max = 2000000,
		.segment_bytes = 67108864,
		.apply_delay_ms = 1000,
		.pending_bytes_max = 536870912,
		.resident_accounts = 20000,
		.compact_bytes_per_s = 16777216,
		.repack_after_s = 86400,
		.search_batch = 128,
		.body_cache_bytes = 67108864};
}

void store_fail(struct store *store, int error, const char *what)
{
	if (!atomic_exchange(&store->failed, true) && store->settings.failed)
		store->settings.failed(store->settings.context, error, what);
	lock_take(&store->applier.lock);
	store->applier.failed = true;
	condition_wake_all(&store->applier.done);
	condition_wake_all(&store->applier.work);
	lock_give(&store->applier.lock);
}

void store_notice(struct store *store, const char *event, const char *format, ...)
{
	struct buffer text = BUFFER_INIT(1024);
	va_list args;

	if (!store->settings.notice)
		return;
	va_start(args, format);
	buffer_vprintf(&text, format, args);
	va_end(args);
	store->settings.notice(store->settings.context, event, buffer_slice(&text));
	buffer_free(&text);
}

static void log_durable(void *context, struct record *first, uint64_t seq)
{
	struct store *store = context;

	atomic_store(&store->durable, seq);
	if (store->settings.durable)
		store->settings.durable(store->settings.context, seq);
	applier_queue(store, first, seq);
}

static void log_failed(void *context, int error, const char *what)
{
	store_fail(context, error, what);
}

/* Those of shards go with them. */
static void log_dropped(void *context, struct record *first)
{
	(void)context;
	while (first) {
		struct pending *pending = CONTAINER_OF(first, struct pending, record);

		first = first->next;
		if (pending->owner == PENDING_OF_APPLIER)
			pending_unhold(pending);
	}
}

static void log_notice(void *context, const char *event, struct slice detail)
{
	struct store *store = context;

	if (store->settings.notice)
		store->settings.notice(store->settings.context, event, detail);
}

/* ---- Appending ---- */

struct folding pending_folding(const struct pending *pending)
{
	return (struct folding){.account = pending->record.account,
		.seq = pending->record.seq,
		.place = pending->record.place,
		.change = {pending->change, pending->change_bytes},
		.bodies_at = pending->bodies_at};
}

void pending_unhold(struct pending *pending)
{
	if (atomic_fetch_sub(&pending->holds, 1) == 1)
		free(pending);
}

/*
 * What is durable waits in memory until it is in the index, which may find no room for a long time. Changes that free space or are small go
 * a little further, so that people can clean up, but not for ever: setting flags is one of them.
 */
static bool is_behind(const struct store *store, bool reserve)
{
	uint64_t max = store->settings.pending_bytes_max;

	return atomic_load(&store->pending_bytes) > max + (reserve ? max / 8 : 0);
}

static int append(
	struct store *store, const struct appending *what, enum pending_owner owner, struct pending **ret_pending)
{
	struct slice kept = what->kind == RECORD_CHANGE ? slice_from(what->change, 4) : what->change;
	struct slice few[8], *parts = few;
	struct pending *pending;
	int error;

	if (atomic_load(&store->failed))
		return -EIO;
	if (is_behind(store, what->reserve))
		return -ENOSPC;
	pending = malloc(sizeof(*pending) + kept.len);
	if (what->body_count + 1 > ARRAY_LEN(few))
		parts = malloc((what->body_count + 1) * sizeof(*parts));
	if (!pending || !parts) {
		free(pending);
		return -ENOMEM;
	}
	memset(pending, 0, sizeof(*pending));
	pending->record.account = what->account;
	pending->record.kind = (uint8_t)what->kind;
	pending->owner = owner;
	pending->holds = 2;
	pending->change_bytes = (uint32_t)kept.len;
	pending->bodies_at = (uint32_t)what->change.len;
	if (kept.len)
		memcpy(pending->change, kept.at, kept.len);
	parts[0] = what->change;
	for (size_t i = 0; i < what->body_count; i++)
		parts[i + 1] = what->bodies[i];
	/* Counted before: the applier takes it off again, perhaps before append() returns. */
	atomic_fetch_add(&store->pending_bytes, sizeof(*pending) + kept.len);
	error = store->log->ops->append(store->log, &pending->record, parts, what->body_count + 1, what->reserve);
	if (parts != few)
		free(parts);
	if (error) {
		atomic_fetch_sub(&store->pending_bytes, sizeof(*pending) + kept.len);
		free(pending);
		return error == -EMSGSIZE ? -ENOBUFS : error;
	}
	*ret_pending = pending;
	return 0;
}

int store_append_owned(struct store *store, const struct appending *what, struct pending **ret_pending)
{
	return append(store, what, PENDING_OF_SHARD, ret_pending);
}

int store_append(struct store *store, const struct appending *what, struct record_place *ret_place, uint64_t *ret_seq)
{
	struct pending *pending;
	int error = append(store, what, PENDING_OF_APPLIER, &pending);

	if (error)
		return error;
	if (ret_place)
		*ret_place = pending->record.place;
	if (ret_seq)
		*ret_seq = pending->record.seq;
	pending_unhold(pending);
	return 0;
}

/* ---- Opening and closing ---- */

static int dir_lock(struct store *store)
{
	char path[PATH_ROOM];

	int error = file_make_dir(store->settings.files, store->dir);

	/* Who may not look beyond it (Landlock) has not made it either. */
	if (error && error != -EACCES)
		return error;
	(void)snprintf(path, sizeof(path), "%s/lock", store->dir);
	store->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock_file < 0)
		return -errno;
	if (flock(store->lock_file, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

static int log_open(struct store *store)
{
	struct disk_settings settings = disk_settings_default();
	char path[PATH_ROOM];

	(void)snprintf(path, sizeof(path), "%s/journal", store->dir);
	settings.dir = slice_of(path);
	settings.segment_bytes = store->settings.segment_bytes;
	/* More than two segments need not wait. */
	settings.staging_bytes_max = MIN(settings.staging_bytes_max, 2 * settings.segment_bytes);
	settings.files = store->settings.files;
	settings.clock = store->settings.clock;
	settings.threads = store->settings.threads;
	settings.events = (struct durability_events){log_durable, log_failed, log_notice, store, log_dropped};
	return disk_open(&settings, &store->log);
}

/* No index: it has to be made. One that LMDB could come to harm with is not opened. */
static int index_find(struct store *store, bool *ret_make)
{
	struct slice dir = slice_of(store->dir);
	struct buffer detail = BUFFER_INIT(1024);
	bool fresh = false;
	int error = index_verify(dir, INDEX_NAME, &detail);

	if (!error)
		error = index_open(
			store->settings.files, dir, INDEX_NAME, store->settings.index_bytes_max, &store->index, &fresh);
	if (error == -EBADMSG || error == -EIO) {
		store_notice(store, "index-damaged", "%s; it is made anew from the journal",
			detail.len ? buffer_text(&detail) : strerror(-error));
		fresh = true;
		error = 0;
	}
	if (error == -ENOENT) { /* none is begun there, which a power cut could leave as a torn one */
		fresh = true;
		error = 0;
	}
	if (!error && fresh)
		index_close(&store->index);
	buffer_free(&detail);
	if (!error)
		*ret_make = fresh;
	return error;
}

/* From the journal, beside the one that may be there: it goes only when the new one is whole. */
static int index_make(struct store *store, bool salvage)
{
	struct slice dir = slice_of(store->dir);
	bool fresh;
	int error = index_open(
		store->settings.files, dir, INDEX_NEW_NAME, store->settings.index_bytes_max, &store->index, &fresh);

	if (!error)
		error = store_rebuild(store, salvage);
	index_close(&store->index);
	if (error && index_remove(store->settings.files, dir, INDEX_NEW_NAME)) /* the next start will try again */
		store_notice(store, "index-left", "what was begun of a new index could not be removed");
	if (!error)
		error = index_replace(store->settings.files, dir);
	return error ? error
		     : index_open(store->settings.files, dir, INDEX_NAME, store->settings.index_bytes_max,
			       &store->index, &fresh);
}

/* A log is replayed once for each time it is opened. */
static int index_remake(struct store *store, bool salvage)
{
	int error;

	store_notice(store, "index-damaged", "what is new does not fit; it is made anew from the journal");
	store->index_damaged = false;
	store->log->ops->close(&store->log);
	index_close(&store->index);
	error = log_open(store);
	return error ? error : index_make(store, salvage);
}

static int shards_make(struct store *store)
{
	int error = 0;

	store->shards = calloc(store->settings.shards, sizeof(*store->shards));
	if (!store->shards)
		return -ENOMEM;
	for (unsigned i = 0; !error && i < store->settings.shards; i++)
		error = shard_new(store, i, &store->shards[i]);
	return error;
}

static void shards_free(struct store *store)
{
	for (unsigned i = 0; store->shards && i < store->settings.shards; i++)
		shard_free(&store->shards[i]);
	free(store->shards);
	store->shards = NULL;
}

static int store_new(const struct store_settings *settings, struct store **ret_store)
{
	struct store *store;
	int error;

	if (settings->shards < 1 || settings->shards > STORE_SHARDS_MAX || !settings->dir.len)
		return -EINVAL;
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->settings = *settings;
	if (!store->settings.clock)
		store->settings.clock = clock_system();
	if (!store->settings.files)
		store->settings.files = &file_system_real;
	store->lock_file = -1;
	store->dir = strndup(settings->dir.at, settings->dir.len);
	lock_init(&store->directory_lock, settings->threads);
	lock_init(&store->ingests.lock, settings->threads);
	applier_init(store);
	upkeep_init(store);
	online_init(store);
	dictionaries_init(store);
	*ret_store = store;
	error = store->dir ? searcher_new(store) : -ENOMEM;
	if (!error)
		error = frame_cache_new(settings->body_cache_bytes, settings->threads, &store->frame_cache);
	return error;
}

static void store_free(struct store *store)
{
	shards_free(store);
	ingests_free(store);
	dictionaries_free(store);
	frame_cache_free(&store->frame_cache);
	index_close(&store->index);
	applier_free(store);
	upkeep_free(store);
	online_free(store);
	searcher_free(store);
	lock_free(&store->directory_lock);
	lock_free(&store->ingests.lock);
	if (store->lock_file >= 0)
		close(store->lock_file);
	free(store->dir);
	free(store);
}

int store_open_quiet(const struct store_settings *settings, bool rebuild, bool salvage, struct store **ret_store)
{
	struct store *store = NULL;
	bool make = rebuild;
	int error = store_new(settings, &store);

	if (!error)
		error = dir_lock(store);
	if (!error)
		error = index_remove(store->settings.files, slice_of(store->dir), INDEX_NEW_NAME);
	if (!error && !make)
		error = index_find(store, &make);
	if (!error)
		error = log_open(store);
	if (!error)
		error = shards_make(store);
	if (!error)
		error = make ? index_make(store, salvage) : store_recover(store, salvage);
	if (error == -EBADMSG && store->index_damaged)
		error = index_remake(store, salvage);
	if (!error)
		error = store_recovered(store);
	if (!error)
		error = dictionaries_load(store);
	if (error && store) {
		if (store->log)
			store->log->ops->close(&store->log);
		store_free(store);
		return error;
	}
	if (!error)
		*ret_store = store;
	return error;
}

int store_open(const struct store_settings *settings, struct store **ret_store)
{
	struct store *store;
	int error = store_open_quiet(settings, false, false, &store);

	if (!error) {
		searcher_prepare(store);
		error = applier_start(store);
		if (!error)
			error = upkeep_start(store);
		if (!error)
			error = searcher_start(store);
		if (error)
			store_close(&store);
	}
	if (!error)
		*ret_store = store;
	return error;
}

void store_close(struct store **store)
{
	if (!*store)
		return;
	applier_end_waits(*store);
	searcher_stop(*store);
	upkeep_stop(*store);
	online_stop(*store);
	/* First the log, so that everything accepted reaches the applier's queue, then that. */
	(*store)->log->ops->close(&(*store)->log);
	applier_stop(*store);
	store_free(*store);
	*store = NULL;
}

/* ---- Figures ---- */

struct shard *store_shard(struct store *store, unsigned index)
{
	CHECK(index < store->settings.shards);
	return store->shards[index];
}

unsigned store_shard_of(const struct store *store, uint64_t account_id)
{
	return (unsigned)((account_id * 0x9E3779B97F4A7C15u) >> 32) % store->settings.shards;
}

unsigned store_shard_count(const struct store *store)
{
	return store->settings.shards;
}

const struct clock_source *store_clock(const struct store *store)
{
	return store->settings.clock;
}

uint64_t store_durable_seq(const struct store *store)
{
	return atomic_load(&store->durable);
}

uint64_t store_applied_seq(const struct store *store)
{
	return atomic_load(&store->applied);
}

int store_wait_durable(struct store *store, uint64_t seq)
{
	return store->log->ops->wait(store->log, seq);
}

static int segment_count(void *context, const struct segment_info *info)
{
	struct store_stats *stats = context;

	stats->segments++;
	stats->segment_bytes += info->bytes;
	return 0;
}

static void live_count(struct store *store, struct store_stats *stats)
{
	struct index_walk walk = {NULL};
	MDB_txn *txn;
	int error;

	if (index_begin(store->index, false, &txn))
		return;
	for (error = index_walk_from(store->index, txn, TABLE_SEGMENTS, (struct slice){NULL, 0}, &walk); !error;
		error = index_walk_next(&walk)) {
		struct segment_row row;

		if (segment_row_read(walk.value, &row) == 0)
			stats->live_bytes += row.live;
	}
	index_walk_end(&walk);
	mdb_txn_abort(txn);
}

void store_stats(struct store *store, struct store_stats *ret_stats)
{
	struct store_stats stats = {0};
	uint64_t applied = atomic_load(&store->applied), durable = atomic_load(&store->durable);

	store->log->ops->figures(store->log, &stats.records, &stats.record_bytes, &stats.syncs);
	(void)store->log->ops->segments(store->log, segment_count, &stats);
	live_count(store, &stats);
	stats.pending_records = durable > applied ? durable - applied : 0;
	for (unsigned i = 0; i < store->settings.shards; i++)
		stats.accounts_resident += atomic_load(&store->shards[i]->resident);
	stats.searched = atomic_load(&store->searcher->opened);
	*ret_stats = stats;
}
