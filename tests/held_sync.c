#include "held_sync.h"

static int wait_and_sync(void *context, int file)
{
	struct held_sync *sync = context;

	(void)pthread_mutex_lock(&sync->lock);
	while (sync->held)
		(void)pthread_cond_wait(&sync->let_go, &sync->lock);
	(void)pthread_mutex_unlock(&sync->lock);
	return file_system_real.sync(file_system_real.context, file);
}

void held_sync_init(struct held_sync *sync)
{
	sync->files = file_system_real;
	sync->files.sync = wait_and_sync;
	sync->files.context = sync; /* the real ones use none */
	sync->held = false;
	(void)pthread_mutex_init(&sync->lock, NULL);
	(void)pthread_cond_init(&sync->let_go, NULL);
}

static void set_held(struct held_sync *sync, bool held)
{
	(void)pthread_mutex_lock(&sync->lock);
	sync->held = held;
	(void)pthread_cond_broadcast(&sync->let_go);
	(void)pthread_mutex_unlock(&sync->lock);
}

void held_sync_hold(struct held_sync *sync)
{
	set_held(sync, true);
}

void held_sync_release(struct held_sync *sync)
{
	set_held(sync, false);
}
