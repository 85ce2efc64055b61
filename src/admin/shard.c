/* Visiting an account on the thread it belongs to. */
#include <pthread.h>

#include "admin/internal.h"

enum { PATIENCE_MS = 10000, GLANCE_MS = 50 };

/* Shared by who waits and who works; freed by whichever comes last. */
struct errand {
	struct net_task task;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool is_done, is_abandoned;
	struct admin_services services;
	struct admin_visit visit;
	json_t *json;
	int error;
};

static void errand_free(struct errand *errand)
{
	pthread_mutex_destroy(&errand->lock);
	pthread_cond_destroy(&errand->ended);
	json_decref(errand->json);
	free(errand);
}

static void errand_run(struct net_task *task)
{
	struct errand *errand = CONTAINER_OF(task, struct errand, task);
	const struct admin_visit *visit = &errand->visit;
	json_t *json = NULL;
	bool is_abandoned;
	int error;

	error = visit->run(&errand->services, visit->shard, visit->account_id, &json);
	pthread_mutex_lock(&errand->lock);
	errand->json = json;
	errand->error = error;
	errand->is_done = true;
	is_abandoned = errand->is_abandoned;
	pthread_cond_signal(&errand->ended);
	pthread_mutex_unlock(&errand->lock);
	if (is_abandoned)
		errand_free(errand);
}

static struct timespec glance(void)
{
	struct timespec until;

	CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
	until.tv_nsec += GLANCE_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return until;
}

/* Waits a glance at a time, because a shard whose loop has ended never answers. True when the errand was done. */
static bool errand_wait(struct errand *errand, const _Atomic bool *cancelled)
{
	int64_t end_us = clock_monotonic_us(clock_system()) + (int64_t)PATIENCE_MS * 1000;
	bool is_done;

	pthread_mutex_lock(&errand->lock);
	while (!errand->is_done && !(cancelled && *cancelled) && clock_monotonic_us(clock_system()) < end_us) {
		struct timespec until = glance();

		(void)pthread_cond_timedwait(&errand->ended, &errand->lock, &until);
	}
	is_done = errand->is_done;
	errand->is_abandoned = !is_done;
	pthread_mutex_unlock(&errand->lock);
	return is_done;
}

int admin_visit_shard(const struct admin_call *call, const struct admin_visit *visit, json_t **ret_json)
{
	const struct admin_services *services = call->services;
	struct errand *errand;
	json_t *json = NULL;
	int error;

	if (!services->loops) {
		error = visit->run(services, visit->shard, visit->account_id, &json);
		goto out;
	}
	errand = calloc(1, sizeof(*errand));
	if (!errand || pthread_mutex_init(&errand->lock, NULL) != 0 || pthread_cond_init(&errand->ended, NULL) != 0) {
		free(errand);
		return -ENOMEM;
	}
	errand->task.run = errand_run;
	errand->services = *services;
	errand->visit = *visit;
	net_loop_post(services->loops[visit->shard], &errand->task);
	if (!errand_wait(errand, call->cancelled))
		return call->cancelled && *call->cancelled ? -ECANCELED : -ETIMEDOUT;
	json = json_incref(errand->json);
	error = errand->error;
	errand_free(errand);
out:
	if (error)
		json_decref(json);
	else
		*ret_json = json;
	return error;
}
