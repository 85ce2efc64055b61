#include "failing.h"

#include <stdatomic.h>

static _Thread_local struct {
	bool counting;
	size_t count, fail_at;
} allocations;
static atomic_bool happened;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void failing_start(size_t fail_at)
{
	atomic_store(&happened, false);
	allocations.count = 0;
	allocations.fail_at = fail_at;
	allocations.counting = true;
}

size_t failing_stop(void)
{
	allocations.counting = false;
	return allocations.count;
}

bool failing_happened(void)
{
	return atomic_load(&happened);
}

size_t failing_each(void (*run)(void *context), void *context)
{
	size_t fail_at = 0;

	do {
		failing_start(fail_at);
		run(context);
		(void)failing_stop();
	} while (fail_at++ == 0 || failing_happened());
	return fail_at - 2;
}

static bool fails(void)
{
	if (!allocations.counting || ++allocations.count != allocations.fail_at)
		return false;
	atomic_store(&happened, true);
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}
