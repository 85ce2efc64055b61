/* The housekeeping thread: trains dictionaries, lets go of what is past its retention, compacts. */
#include "store/upkeep.h"

#include <malloc.h>

#include "store/body.h"
#include "store/frame_cache.h"

enum { ROUND_S_MAX = 60, SWEEP_US = 60000000 };

void upkeep_init(struct store *store)
{
	struct upkeep *u = &store->upkeep;
	const struct thread_system *threads = store->settings.threads;

	lock_init(&u->lock, threads);
	lock_init(&u->wake_lock, threads);
	condition_init(&u->wake, threads);
}

void upkeep_free(struct store *store)
{
	lock_free(&store->upkeep.lock);
	lock_free(&store->upkeep.wake_lock);
	condition_free(&store->upkeep.wake);
	number_map_free(&store->upkeep.looked_at);
	number_map_free(&store->upkeep.stuck);
}

bool upkeep_is_stopping(struct store *store)
{
	bool stopping;

	lock_take(&store->upkeep.wake_lock);
	stopping = store->upkeep.stopping;
	lock_give(&store->upkeep.wake_lock);
	return stopping || atomic_load(&store->failed);
}

/*
 * Unpacked frames that nobody wanted for a while go. When they were the last ones, everybody is away: the moment for the heap to give back what
 * they left, which it would keep.
 */
static void frames_sweep(struct store *store, int64_t now_us)
{
	struct upkeep *u = &store->upkeep;

	if (now_us < u->sweep_us || !store->frame_cache)
		return;
	u->sweep_us = now_us + SWEEP_US;
	if (frame_cache_sweep(store->frame_cache) && !store->settings.threads)
		(void)malloc_trim(0);
}

static void pause_until(struct store *store, int64_t us, bool is_idle)
{
	struct upkeep *u = &store->upkeep;
	int64_t now_us = thread_now_us(store->settings.threads), until_us = now_us + us;

	frames_sweep(store, now_us);
	lock_take(&u->wake_lock);
	if (!u->stopping && !(is_idle && u->compact_wanted))
		condition_wait_until(&u->wake, &u->wake_lock, until_us);
	lock_give(&u->wake_lock);
}

void upkeep_pause(struct store *store, int64_t us)
{
	pause_until(store, us, false);
}

/* What goes wrong here (a full disk, mostly) is told and tried again next time; nothing depends on it. */
static void told(struct store *store, const char *event, int error)
{
	if (error && error != -ECANCELED)
		store_notice(store, event, "%s", strerror(-error));
}

static bool compact_is_wanted(struct store *store)
{
	bool wanted;

	lock_take(&store->upkeep.wake_lock);
	wanted = store->upkeep.compact_wanted;
	lock_give(&store->upkeep.wake_lock);
	return wanted;
}

static void compact_asked(struct store *store)
{
	struct upkeep *u = &store->upkeep;
	int error = store_compact(store);

	told(store, "compaction-failed", error);
	lock_take(&u->wake_lock);
	u->compact_wanted = false;
	u->compact_error = error;
	lock_give(&u->wake_lock);
}

static void *upkeep_run(void *context)
{
	struct store *store = context;
	int64_t pause_s = MIN((int64_t)(store->settings.retention_s / 10 + 1), ROUND_S_MAX);
	int64_t next_us = thread_now_us(store->settings.threads) + pause_s * 1000000;

	thread_run_below_others(store->settings.threads); /* serving comes first */
	while (!upkeep_is_stopping(store)) {
		int64_t now = thread_now_us(store->settings.threads);

		if (dictionary_is_due(store))
			told(store, "dictionary-failed", dictionary_train(store));
		if (compact_is_wanted(store)) {
			compact_asked(store);
			continue;
		}
		if (now < next_us) {
			pause_until(store, next_us - now, true);
			continue;
		}
		lock_take(&store->upkeep.lock);
		told(store, "retention-failed", retention_run(store));
		told(store, "compaction-failed", compact_run(store, false));
		lock_give(&store->upkeep.lock);
		next_us = thread_now_us(store->settings.threads) + (store->upkeep.has_more ? 0 : pause_s * 1000000);
	}
	return NULL;
}

int upkeep_start(struct store *store)
{
	int error = thread_start(store->settings.threads, upkeep_run, store, &store->upkeep.thread);

	store->upkeep.running = !error;
	return error;
}

void upkeep_wake(struct store *store)
{
	lock_take(&store->upkeep.wake_lock);
	condition_wake(&store->upkeep.wake);
	lock_give(&store->upkeep.wake_lock);
}

void upkeep_stop(struct store *store)
{
	struct upkeep *u = &store->upkeep;

	lock_take(&u->wake_lock);
	u->stopping = true;
	condition_wake_all(&u->wake);
	lock_give(&u->wake_lock);
	if (u->running)
		thread_join(&u->thread);
	u->running = false;
}

int store_compact(struct store *store)
{
	int error;

	lock_take(&store->upkeep.lock);
	error = store_wait_applied(store, store->log->ops->last_seq(store->log));
	if (!error)
		error = retention_run(store);
	if (!error)
		error = compact_run(store, true);
	lock_give(&store->upkeep.lock);
	return error;
}

int store_compact_start(struct store *store)
{
	struct upkeep *u = &store->upkeep;
	int error = 0;

	lock_take(&u->wake_lock);
	if (u->compact_wanted)
		error = -EALREADY;
	u->compact_wanted = true;
	condition_wake(&u->wake);
	lock_give(&u->wake_lock);
	return error;
}

int store_compact_poll(struct store *store, bool *ret_over)
{
	struct upkeep *u = &store->upkeep;
	int error;

	lock_take(&u->wake_lock);
	*ret_over = !u->compact_wanted || u->stopping;
	error = u->stopping ? -ECANCELED : u->compact_error;
	lock_give(&u->wake_lock);
	return *ret_over ? error : 0;
}
