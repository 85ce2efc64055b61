#include "server/core.h"

enum { WORKERS_MAX = 64 };

struct worker_pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct worker_job *first, **last;
	bool ending;
	unsigned count;
	pthread_t threads[WORKERS_MAX];
};

static void *worker_run(void *argument)
{
	struct worker_pool *pool = argument;

	CHECK(pthread_mutex_lock(&pool->lock) == 0);
	for (;;) {
		struct worker_job *job = pool->first;

		if (!job && pool->ending)
			break;
		if (!job) {
			CHECK(pthread_cond_wait(&pool->more, &pool->lock) == 0);
			continue;
		}
		pool->first = job->next;
		if (!pool->first)
			pool->last = &pool->first;
		CHECK(pthread_mutex_unlock(&pool->lock) == 0);
		job->work(job);
		CHECK(pthread_mutex_lock(&pool->lock) == 0);
	}
	CHECK(pthread_mutex_unlock(&pool->lock) == 0);
	return NULL;
}

int worker_pool_new(unsigned threads, struct worker_pool **ret_pool)
{
	struct worker_pool *pool = calloc(1, sizeof(*pool));
	int error = 0;

	if (!pool)
		return -ENOMEM;
	pool->last = &pool->first;
	CHECK(pthread_mutex_init(&pool->lock, NULL) == 0);
	CHECK(pthread_cond_init(&pool->more, NULL) == 0);
	for (unsigned i = 0; i < MIN(threads, (unsigned)WORKERS_MAX) && !error; i++) {
		error = -pthread_create(&pool->threads[i], NULL, worker_run, pool);
		if (!error)
			pool->count++;
	}
	if (error) {
		worker_pool_free(&pool);
		return error;
	}
	*ret_pool = pool;
	return 0;
}

void worker_pool_add(struct worker_pool *pool, struct worker_job *job)
{
	job->next = NULL;
	CHECK(pthread_mutex_lock(&pool->lock) == 0);
	*pool->last = job;
	pool->last = &job->next;
	CHECK(pthread_cond_signal(&pool->more) == 0);
	CHECK(pthread_mutex_unlock(&pool->lock) == 0);
}

void worker_pool_free(struct worker_pool **pool_place)
{
	struct worker_pool *pool = *pool_place;

	if (!pool)
		return;
	CHECK(pthread_mutex_lock(&pool->lock) == 0);
	pool->ending = true;
	CHECK(pthread_cond_broadcast(&pool->more) == 0);
	CHECK(pthread_mutex_unlock(&pool->lock) == 0);
	for (unsigned i = 0; i < pool->count; i++)
		(void)pthread_join(pool->threads[i], NULL);
	(void)pthread_cond_destroy(&pool->more);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
	*pool_place = NULL;
}
