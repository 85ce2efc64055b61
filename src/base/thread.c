#include "base/thread.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int thread_start(const struct thread_system *by, void *(*run)(void *arg), void *arg, struct thread *ret_thread)
{
	struct thread thread = {.by = by};
	int error =
		by ? by->start(by->context, run, arg, &thread.replaced) : -pthread_create(&thread.real, NULL, run, arg);

	if (!error)
		*ret_thread = thread;
	return error;
}

void thread_join(struct thread *thread)
{
	if (thread->by)
		thread->by->join(thread->by->context, thread->replaced);
	else
		(void)pthread_join(thread->real, NULL);
}

int64_t thread_now_us(const struct thread_system *by)
{
	struct timespec now;

	if (by)
		return by->now_us(by->context);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct timespec time_of(int64_t us)
{
	return (struct timespec){us / 1000000, us % 1000000 * 1000};
}

void thread_pause(const struct thread_system *by, int64_t us)
{
	struct timespec pause = time_of(us);

	if (by)
		by->sleep(by->context, NULL, NULL, by->now_us(by->context) + us);
	else
		(void)nanosleep(&pause, NULL);
}

void thread_run_below_others(const struct thread_system *by)
{
	if (!by)
		(void)setpriority(PRIO_PROCESS, 0, 10); /* of this thread only, on Linux */
}

void lock_init(struct lock *lock, const struct thread_system *by)
{
	*lock = (struct lock){.by = by};
	CHECK(pthread_mutex_init(&lock->mutex, NULL) == 0);
}

void lock_free(struct lock *lock)
{
	(void)pthread_mutex_destroy(&lock->mutex);
}

/* Times to wait until are those of thread_now_us(). */
void condition_init(struct condition *condition, const struct thread_system *by)
{
	pthread_condattr_t monotonic;

	condition->by = by;
	CHECK(pthread_condattr_init(&monotonic) == 0);
	CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	CHECK(pthread_cond_init(&condition->cond, &monotonic) == 0);
	(void)pthread_condattr_destroy(&monotonic);
}

void condition_free(struct condition *condition)
{
	(void)pthread_cond_destroy(&condition->cond);
}

void condition_wait(struct condition *condition, struct lock *lock)
{
	if (condition->by)
		condition->by->sleep(condition->by->context, condition, lock, INT64_MAX);
	else
		(void)pthread_cond_wait(&condition->cond, &lock->mutex);
}

void condition_wait_until(struct condition *condition, struct lock *lock, int64_t until_us)
{
	struct timespec until = time_of(until_us);

	if (condition->by)
		condition->by->sleep(condition->by->context, condition, lock, until_us);
	else
		(void)pthread_cond_timedwait(&condition->cond, &lock->mutex, &until);
}

void condition_wake(struct condition *condition)
{
	if (condition->by)
		condition->by->wake(condition->by->context, condition, false);
	else
		(void)pthread_cond_signal(&condition->cond);
}

void condition_wake_all(struct condition *condition)
{
	if (condition->by)
		condition->by->wake(condition->by->context, condition, true);
	else
		(void)pthread_cond_broadcast(&condition->cond);
}

void word_wait(const struct thread_system *by, _Atomic uint32_t *word, uint32_t value)
{
	if (!by)
		(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	else if (atomic_load(word) == value)
		by->sleep(by->context, (const void *)(uintptr_t)word, NULL, INT64_MAX);
}

void word_wake(const struct thread_system *by, _Atomic uint32_t *word, bool all)
{
	if (!by)
		(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT_MAX : 1, NULL, NULL, 0);
	else
		by->wake(by->context, (const void *)(uintptr_t)word, all);
}
