/*
 * One allocation of one thread fails. What this test and our modules allocate goes by these wrappers (-Wl,--wrap, see meson.build); libraries have
 * their own.
 */
#ifndef PENFOLD_TESTS_MEMORY_FAILING_H
#define PENFOLD_TESTS_MEMORY_FAILING_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the calling thread's allocations count, from 1; that with the number `fail_at` fails. 0: none does. */
void failing_start(size_t fail_at);
/* How many there were. */
size_t failing_stop(void);
/* Has the one been reached since failing_start() of whatever thread? */
bool failing_happened(void);
/*
 * Runs something once with all the memory it wants, then once for each allocation it made, which fails, and once more. In `run`, failing_happened()
 * tells what to expect. Returns how many allocations there are.
 */
size_t failing_each(void (*run)(void *context), void *context);

#endif
