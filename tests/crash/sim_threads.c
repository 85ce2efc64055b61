#include "sim_threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { FIBERS_MAX = 8, STACK_BYTES = 1 << 20, STEP_US = 15 };

struct fiber {
	enum { FIBER_UNUSED, FIBER_READY, FIBER_ASLEEP, FIBER_ENDED } state;
	ucontext_t context;
	char *stack;
	void *(*run)(void *arg);
	void *arg;
	const void *at;
	int64_t until_us;
	struct sim_threads *of;
	void *asan; /* its fake stack while another one runs */
};

struct sim_threads {
	struct thread_system system;
	struct fiber fibers[FIBERS_MAX]; /* the first is the main one */
	struct fiber *now;
	uint64_t random;
	unsigned pace;
	int64_t now_us;
	const void *main_stack; /* AddressSanitizer wants to know */
	size_t main_stack_bytes;
};

static unsigned chance(struct sim_threads *t, unsigned of)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (unsigned)((t->random * 0x2545f4914f6cdd1dULL >> 33) % of);
}

/* ---- Going from one to the other ---- */

static void leave(struct sim_threads *t, struct fiber *from, struct fiber *to)
{
#ifdef WITH_ASAN
	bool main = to == &t->fibers[0];

	__sanitizer_start_switch_fiber(from->state == FIBER_ENDED ? NULL : &from->asan,
		main ? t->main_stack : to->stack, main ? t->main_stack_bytes : STACK_BYTES);
#else
	(void)t;
	(void)from;
	(void)to;
#endif
}

static void arrive(struct fiber *self, bool first)
{
#ifdef WITH_ASAN
	struct sim_threads *t = self->of;

	if (first && !t->main_stack)
		__sanitizer_finish_switch_fiber(NULL, &t->main_stack, &t->main_stack_bytes);
	else
		__sanitizer_finish_switch_fiber(first ? NULL : self->asan, NULL, NULL);
#else
	(void)self;
	(void)first;
#endif
}

static void go_to(struct sim_threads *t, struct fiber *to)
{
	struct fiber *from = t->now;

	if (to == from)
		return;
	t->now = to;
	leave(t, from, to);
	CHECK(swapcontext(&from->context, &to->context) == 0);
	arrive(from, false);
}

static void wake_those_due(struct sim_threads *t)
{
	for (unsigned i = 0; i < FIBERS_MAX; i++)
		if (t->fibers[i].state == FIBER_ASLEEP && t->fibers[i].until_us <= t->now_us)
			t->fibers[i].state = FIBER_READY;
}

static void report_deadlock(const struct sim_threads *t)
{
	(void)fprintf(stderr, "simulation: nobody can go on (%u threads beside the main one)\n", sim_threads_count(t));
	CHECK(!"a deadlock, or a lost wake-up");
}

static void pass_time(struct sim_threads *t)
{
	int64_t next = INT64_MAX;

	for (unsigned i = 0; i < FIBERS_MAX; i++)
		if (t->fibers[i].state == FIBER_ASLEEP)
			next = MIN(next, t->fibers[i].until_us);
	if (next == INT64_MAX)
		report_deadlock(t);
	t->now_us = MAX(t->now_us, next);
}

static void somebody_goes_on(struct sim_threads *t)
{
	struct fiber *ready[FIBERS_MAX];
	unsigned count = 0;

	t->now_us += chance(t, STEP_US);
	while (!count) {
		wake_those_due(t);
		for (unsigned i = 0; i < FIBERS_MAX; i++)
			if (t->fibers[i].state == FIBER_READY)
				ready[count++] = &t->fibers[i];
		if (!count)
			pass_time(t);
	}
	go_to(t, ready[count > 1 ? chance(t, count) : 0]);
}

void sim_threads_point(struct sim_threads *t)
{
	if (chance(t, t->pace) == 0)
		somebody_goes_on(t);
}

/* ---- What threads do ---- */

static void run_fiber(unsigned low, unsigned high)
{
	struct fiber *self = (struct fiber *)((uintptr_t)high << 32 | low);

	arrive(self, true);
	(void)self->run(self->arg);
	self->state = FIBER_ENDED;
	self->of->system.wake(self->of, self, true);
	somebody_goes_on(self->of);
}

static void prepare(struct fiber *fiber)
{
	if (!fiber->stack)
		fiber->stack = mmap(
			NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(fiber->stack != MAP_FAILED && getcontext(&fiber->context) == 0);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&fiber->context, (void (*)(void))run_fiber, 2, (unsigned)(uintptr_t)fiber,
		(unsigned)((uintptr_t)fiber >> 32));
}

static struct fiber *find_unused(struct sim_threads *t)
{
	unsigned i = 1;

	while (i < FIBERS_MAX && t->fibers[i].state != FIBER_UNUSED)
		i++;
	CHECK(i < FIBERS_MAX);
	return &t->fibers[i];
}

static int start(void *context, void *(*run)(void *arg), void *arg, void **ret_thread)
{
	struct fiber *fiber = find_unused(context);

	prepare(fiber);
	fiber->run = run;
	fiber->arg = arg;
	fiber->asan = NULL;
	fiber->state = FIBER_READY;
	*ret_thread = fiber;
	return 0;
}

static void sleep_at(void *context, const void *at, struct lock *lock, int64_t until_us)
{
	struct sim_threads *t = context;
	struct fiber *self = t->now;

	self->at = at;
	self->until_us = until_us;
	self->state = FIBER_ASLEEP;
	if (lock)
		t->system.give(t, lock);
	somebody_goes_on(t);
	if (lock)
		t->system.take(t, lock);
}

/* One of them: whichever it is. */
static void wake(void *context, const void *at, bool all)
{
	struct sim_threads *t = context;
	unsigned from = chance(t, FIBERS_MAX);

	for (unsigned i = 0; i < FIBERS_MAX; i++) {
		struct fiber *fiber = &t->fibers[(from + i) % FIBERS_MAX];

		if (fiber->state != FIBER_ASLEEP || fiber->at != at || !at)
			continue;
		fiber->state = FIBER_READY;
		if (!all)
			return;
	}
}

static void join(void *context, void *thread)
{
	struct sim_threads *t = context;
	struct fiber *fiber = thread;

	while (fiber->state != FIBER_ENDED)
		sleep_at(t, fiber, NULL, INT64_MAX);
	fiber->state = FIBER_UNUSED;
}

static void take(void *context, struct lock *lock)
{
	struct sim_threads *t = context;

	sim_threads_point(t);
	CHECK(lock->holder != t->now);
	while (lock->holder)
		sleep_at(t, lock, NULL, INT64_MAX);
	lock->holder = t->now;
}

static void give(void *context, struct lock *lock)
{
	struct sim_threads *t = context;

	CHECK(lock->holder == t->now);
	lock->holder = NULL;
	wake(t, lock, true);
}

static int64_t now_us(void *context)
{
	return ((struct sim_threads *)context)->now_us;
}

/* ---- The simulation's side ---- */

struct sim_threads *sim_threads_new(void)
{
	struct sim_threads *t = calloc(1, sizeof(*t));

	CHECK(t);
	t->system = (struct thread_system){start, join, take, give, sleep_at, wake, now_us, t};
	for (unsigned i = 0; i < FIBERS_MAX; i++)
		t->fibers[i].of = t;
	t->now = &t->fibers[0];
	t->now->state = FIBER_READY;
	sim_threads_reset(t, 0);
	return t;
}

void sim_threads_free(struct sim_threads **t)
{
	for (unsigned i = 1; i < FIBERS_MAX; i++)
		if ((*t)->fibers[i].stack)
			(void)munmap((*t)->fibers[i].stack, STACK_BYTES);
	free(*t);
	*t = NULL;
}

void sim_threads_reset(struct sim_threads *t, uint64_t seed)
{
	CHECK(sim_threads_is_main(t) && sim_threads_count(t) == 0);
	t->random = seed * 0x9e3779b97f4a7c15ULL | 1;
	t->now_us = 1000000;
	t->pace = 4;
}

void sim_threads_set_pace(struct sim_threads *t, unsigned pace)
{
	t->pace = pace;
}

const struct thread_system *sim_threads_system(struct sim_threads *t)
{
	return &t->system;
}

void sim_threads_pause(struct sim_threads *t, int64_t us)
{
	sleep_at(t, NULL, NULL, t->now_us + us);
}

bool sim_threads_is_main(const struct sim_threads *t)
{
	return t->now == &t->fibers[0];
}

int64_t sim_threads_now_us(const struct sim_threads *t)
{
	return t->now_us;
}

unsigned sim_threads_count(const struct sim_threads *t)
{
	unsigned count = 0;

	for (unsigned i = 1; i < FIBERS_MAX; i++)
		count += t->fibers[i].state != FIBER_UNUSED;
	return count;
}
