/*
 * Threads, locks and conditions, replaceable as a whole: who has threads of its own takes a `struct thread_system`, so that a simulation
 * can run them one at a time, in an order that comes from a seed, and let time pass when it likes. NULL stands for the real ones.
 *
 * Locks are not recursive. Conditions may wake without reason. Times are microseconds of thread_now_us(), which never goes back.
 */
#ifndef PENFOLD_BASE_THREAD_H
#define PENFOLD_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct thread_system;

struct lock {
	pthread_mutex_t mutex;
	const struct thread_system *by;
	void *holder; /* for `by` */
};
struct condition {
	pthread_cond_t cond;
	const struct thread_system *by;
};
struct thread {
	pthread_t real;
	const struct thread_system *by;
	void *replaced; /* for `by` */
};

/* What a replacement does. None of it fails but `start`. */
struct thread_system {
	int (*start)(void *context, void *(*run)(void *arg), void *arg, void **ret_thread);
	void (*join)(void *context, void *thread);
	void (*take)(void *context, struct lock *lock);
	void (*give)(void *context, struct lock *lock);
	/* Until woken at that address, or until that time; INT64_MAX: never. `lock`, when there is one, is given meanwhile. */
	void (*sleep)(void *context, const void *at, struct lock *lock, int64_t until_us);
	void (*wake)(void *context, const void *at, bool all);
	int64_t (*now_us)(void *context);
	void *context;
};

MUST_CHECK int thread_start(
	const struct thread_system *by, void *(*run)(void *arg), void *arg, struct thread *ret_thread);
void thread_join(struct thread *thread);
int64_t thread_now_us(const struct thread_system *by);
void thread_pause(const struct thread_system *by, int64_t us);
/* The calling thread is served after the others of the process. */
void thread_run_below_others(const struct thread_system *by);

void lock_init(struct lock *lock, const struct thread_system *by);
void lock_free(struct lock *lock);
static inline void lock_take(struct lock *lock)
{
	if (lock->by)
		lock->by->take(lock->by->context, lock);
	else
		pthread_mutex_lock(&lock->mutex);
}
static inline void lock_give(struct lock *lock)
{
	if (lock->by)
		lock->by->give(lock->by->context, lock);
	else
		pthread_mutex_unlock(&lock->mutex);
}

void condition_init(struct condition *condition, const struct thread_system *by);
void condition_free(struct condition *condition);
void condition_wait(struct condition *condition, struct lock *lock);
void condition_wait_until(struct condition *condition, struct lock *lock, int64_t until_us);
void condition_wake(struct condition *condition); /* one of those who wait */
void condition_wake_all(struct condition *condition);

/* A word to wait at without a lock (futex): as long as it has that value, until woken. */
void word_wait(const struct thread_system *by, _Atomic uint32_t *word, uint32_t value);
void word_wake(const struct thread_system *by, _Atomic uint32_t *word, bool all);

#endif
