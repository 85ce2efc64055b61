#include "fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* OpenSSL needs most of it; pages that are never touched cost nothing. The lowest one is a guard. */
enum { FIBER_STACK = 256 << 10, FIBER_GUARD = 4096 };

struct fiber {
	ucontext_t own, outside;
	char *stack;
	void (*run)(void *context);
	void *context;
	const void *outside_stack; /* AddressSanitizer wants to know of every change of stacks */
	size_t outside_size;
	void *fake;
	bool ended;
};

static void leaves(void **fake, const void *to, size_t size)
{
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(fake, to, size);
#else
	(void)fake;
	(void)to;
	(void)size;
#endif
}

static void arrives(void *fake, const void **from, size_t *size)
{
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(fake, from, size);
#else
	(void)fake;
	(void)from;
	(void)size;
#endif
}

static void start(unsigned high, unsigned low)
{
	struct fiber *fiber = (struct fiber *)(((uintptr_t)high << 32) | low);

	arrives(NULL, &fiber->outside_stack, &fiber->outside_size);
	fiber->run(fiber->context);
	fiber->ended = true;
	leaves(NULL, fiber->outside_stack, fiber->outside_size);
	(void)swapcontext(&fiber->own, &fiber->outside);
}

struct fiber *fiber_new(void (*run)(void *context), void *context)
{
	struct fiber *fiber = calloc(1, sizeof(*fiber));
	uintptr_t address = (uintptr_t)fiber;

	CHECK(fiber);
	fiber->run = run;
	fiber->context = context;
	fiber->stack =
		mmap(NULL, FIBER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(fiber->stack != MAP_FAILED);
	CHECK(mprotect(fiber->stack, FIBER_GUARD, PROT_NONE) == 0);
	CHECK(getcontext(&fiber->own) == 0);
	fiber->own.uc_stack.ss_sp = fiber->stack;
	fiber->own.uc_stack.ss_size = FIBER_STACK;
	makecontext(&fiber->own, (void (*)(void))start, 2, (unsigned)(address >> 32), (unsigned)address);
	return fiber;
}

void fiber_free(struct fiber **fiber)
{
	if (!*fiber)
		return;
	(void)munmap((*fiber)->stack, FIBER_STACK);
	free(*fiber);
	*fiber = NULL;
}

bool fiber_resume(struct fiber *fiber)
{
	void *fake = NULL;

	leaves(&fake, fiber->stack, FIBER_STACK);
	(void)swapcontext(&fiber->outside, &fiber->own);
	arrives(fake, NULL, NULL);
	return !fiber->ended;
}

void fiber_yield(struct fiber *fiber)
{
	leaves(&fiber->fake, fiber->outside_stack, fiber->outside_size);
	(void)swapcontext(&fiber->own, &fiber->outside);
	arrives(fiber->fake, &fiber->outside_stack, &fiber->outside_size);
}
