/*
 * The real files, but with syncs that take as long as a test wants: for whether answers wait until what they tell of is durable.
 */
#ifndef PENFOLD_TESTS_HELD_SYNC_H
#define PENFOLD_TESTS_HELD_SYNC_H

#include <pthread.h>

#include "store/disk/file.h"

struct held_sync {
	struct file_system files; /* for a store's settings; must live as long as the store */
	pthread_mutex_t lock;
	pthread_cond_t let_go;
	bool held;
};

void held_sync_init(struct held_sync *sync);
/* No sync that begins from now on ends before the release. Any thread. */
void held_sync_hold(struct held_sync *sync);
void held_sync_release(struct held_sync *sync);

#endif
