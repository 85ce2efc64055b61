/* The housekeeping thread: trains dictionaries, lets go of what is past its retention, compacts. */
#include <sys/resource.h>

#include "store/body.h"
#include "store/upkeep.h"

enum { ROUND_S_MAX = 60 };

void upkeep_init(struct store *store)
{
	struct upkeep *u = &store->upkeep;
	pthread_condattr_t attr;

	pthread_mutex_init(&u->lock, NULL);
	pthread_mutex_init(&u->wake_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&u->wake, &attr);
	pthread_condattr_destroy(&attr);
}

void upkeep_free(struct store *store)
{
	pthread_mutex_destroy(&store->upkeep.lock);
	pthread_mutex_destroy(&store->upkeep.wake_lock);
	pthread_cond_destroy(&store->upkeep.wake);
	number_map_free(&store->upkeep.looked_at);
}

bool upkeep_is_stopping(struct store *store)
{
	bool stopping;

	pthread_mutex_lock(&store->upkeep.wake_lock);
	stopping = store->upkeep.stopping;
	pthread_mutex_unlock(&store->upkeep.wake_lock);
	return stopping || atomic_load(&store->failed);
}

void upkeep_pause(struct store *store, int64_t us)
{
	struct upkeep *u = &store->upkeep;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += us / 1000000;
	until.tv_nsec += us % 1000000 * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&u->wake_lock);
	if (!u->stopping)
		pthread_cond_timedwait(&u->wake, &u->wake_lock, &until);
	pthread_mutex_unlock(&u->wake_lock);
}

/* What goes wrong here (a full disk, mostly) is told and tried again next time; nothing depends on it. */
static void told(struct store *store, const char *event, int error)
{
	if (error && error != -ECANCELED)
		store_notice(store, event, "%s", strerror(-error));
}

static void *upkeep_run(void *context)
{
	struct store *store = context;
	int64_t pause_s = MIN((int64_t)(store->settings.retention_s / 10 + 1), ROUND_S_MAX);
	int64_t next_us = clock_monotonic_us(clock_system()) + pause_s * 1000000;

	/* Of this thread only, on Linux: serving comes first. */
	(void)setpriority(PRIO_PROCESS, 0, 10);
	while (!upkeep_is_stopping(store)) {
		int64_t now = clock_monotonic_us(clock_system());

		if (dictionary_is_due(store))
			told(store, "dictionary-failed", dictionary_train(store));
		if (now < next_us) {
			upkeep_pause(store, next_us - now);
			continue;
		}
		pthread_mutex_lock(&store->upkeep.lock);
		told(store, "retention-failed", retention_run(store));
		told(store, "compaction-failed", compact_run(store, false));
		pthread_mutex_unlock(&store->upkeep.lock);
		next_us = clock_monotonic_us(clock_system()) + pause_s * 1000000;
	}
	return NULL;
}

int upkeep_start(struct store *store)
{
	int error = pthread_create(&store->upkeep.thread, NULL, upkeep_run, store);

	store->upkeep.running = !error;
	return -error;
}

void upkeep_wake(struct store *store)
{
	pthread_mutex_lock(&store->upkeep.wake_lock);
	pthread_cond_signal(&store->upkeep.wake);
	pthread_mutex_unlock(&store->upkeep.wake_lock);
}

void upkeep_stop(struct store *store)
{
	struct upkeep *u = &store->upkeep;

	pthread_mutex_lock(&u->wake_lock);
	u->stopping = true;
	pthread_cond_broadcast(&u->wake);
	pthread_mutex_unlock(&u->wake_lock);
	if (u->running)
		pthread_join(u->thread, NULL);
	u->running = false;
}

int store_compact(struct store *store)
{
	int error;

	pthread_mutex_lock(&store->upkeep.lock);
	error = store_wait_applied(store, store->log->ops->last_seq(store->log));
	if (!error)
		error = retention_run(store);
	if (!error)
		error = compact_run(store, true);
	pthread_mutex_unlock(&store->upkeep.lock);
	return error;
}
