#include "net/stream.h"

/* Rounds of work that streams make for each other in one turn, before others get their say. */
enum { ROUNDS_MAX = 4, CLOSING_TURNS_MAX = 64 };

void loop_make_due(struct net_loop *loop, struct net_stream *stream)
{
	if (stream->is_due || stream->freed)
		return;
	stream->is_due = true;
	stream->due_round = loop->due_round;
	TAILQ_INSERT_TAIL(&loop->due, stream, due_link);
}

void loop_forget_due(struct net_loop *loop, struct net_stream *stream)
{
	if (!stream->is_due)
		return;
	stream->is_due = false;
	TAILQ_REMOVE(&loop->due, stream, due_link);
}

/* Streams that became due while this round ran carry its number and wait for the next. */
static void run_round(struct net_loop *loop)
{
	struct net_stream *stream;
	uint64_t round = ++loop->due_round;

	while ((stream = TAILQ_FIRST(&loop->due)) && stream->due_round < round) {
		loop_forget_due(loop, stream);
		stream_run_due(stream);
	}
}

static void keep_spinning(uv_idle_t *spin)
{
	(void)spin;
}

static void on_end_of_turn(uv_prepare_t *prepare)
{
	struct net_loop *loop = prepare->data;

	for (int i = 0; i < ROUNDS_MAX && !TAILQ_EMPTY(&loop->due); i++)
		run_round(loop);
	if (TAILQ_EMPTY(&loop->due))
		(void)uv_idle_stop(&loop->spin);
	else
		(void)uv_idle_start(&loop->spin, keep_spinning);
}

static void run_posted(struct net_loop *loop)
{
	struct net_task *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
	struct net_task *oldest = NULL;

	while (newest) {
		struct net_task *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct net_task *task = oldest;

		oldest = task->next; /* the task's memory may be gone when it has run */
		task->run(task);
	}
}

static void on_wake(uv_async_t *wake)
{
	struct net_loop *loop = wake->data;

	run_posted(loop);
	stream_release_waiting(loop);
}

static int start_handles(struct net_loop *loop)
{
	int error = uv_async_init(&loop->uv, &loop->wake, on_wake);

	if (error)
		return error;
	loop->wake.data = loop;
	/* These cannot fail: they only link a struct into the loop. */
	CHECK(uv_prepare_init(&loop->uv, &loop->end_of_turn) == 0);
	CHECK(uv_prepare_start(&loop->end_of_turn, on_end_of_turn) == 0);
	loop->end_of_turn.data = loop;
	CHECK(uv_idle_init(&loop->uv, &loop->spin) == 0);
	return wheel_init(loop);
}

int net_loop_new(struct net_loop **ret_loop)
{
	struct net_loop *loop = calloc(1, sizeof(*loop));
	int error;

	if (!loop)
		return -ENOMEM;
	TAILQ_INIT(&loop->due);
	TAILQ_INIT(&loop->waiting);
	error = uv_loop_init(&loop->uv);
	if (error)
		goto out;
	error = start_handles(loop);
	if (error) {
		(void)uv_loop_close(&loop->uv);
		goto out;
	}
	*ret_loop = loop;
	loop = NULL;
out:
	free(loop);
	return error;
}

void net_loop_free(struct net_loop **loop_at)
{
	struct net_loop *loop = *loop_at;
	int turns = 0;

	if (!loop)
		return;
	*loop_at = NULL;
	run_posted(loop);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->end_of_turn, NULL);
	uv_close((uv_handle_t *)&loop->spin, NULL);
	uv_close((uv_handle_t *)&loop->wheel.timer, NULL);
	while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0)
		CHECK(++turns < CLOSING_TURNS_MAX); /* otherwise something on this loop was not freed */
	CHECK(uv_loop_close(&loop->uv) == 0);
	free(loop);
}

void net_loop_run(struct net_loop *loop)
{
	loop->running = true;
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->running = false;
	/* What the last turn wrote leaves too. */
	run_round(loop);
}

void net_loop_stop(struct net_loop *loop)
{
	uv_stop(&loop->uv);
}

int64_t net_loop_now_ms(const struct net_loop *loop)
{
	return (int64_t)uv_now(&loop->uv);
}

void net_loop_post(struct net_loop *loop, struct net_task *task)
{
	struct net_task *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);

	do
		task->next = newest;
	while (!atomic_compare_exchange_weak_explicit(
		&loop->posted, &newest, task, memory_order_release, memory_order_relaxed));
	/* Whoever found the list empty wakes the loop for all that come after. */
	if (!newest)
		CHECK(uv_async_send(&loop->wake) == 0);
}

void net_loop_release(struct net_loop *loop, uint64_t seq)
{
	uint64_t released = atomic_load(&loop->released);
	uint64_t awaited;

	do {
		if (released >= seq)
			return;
	} while (!atomic_compare_exchange_weak(&loop->released, &released, seq));
	/*
	 * The loop stores `awaited` and then looks at `released`; here it is the other way round. Both are sequentially
	 * consistent, so at least one side sees the other.
	 */
	awaited = atomic_load(&loop->awaited);
	if (awaited && awaited <= seq)
		CHECK(uv_async_send(&loop->wake) == 0);
}
