/*
 * Fibers: code with a stack of its own that can give way in the middle and be resumed there. A fiber runs on the thread that resumes it.
 */
#ifndef PENFOLD_BENCH_FIBER_H
#define PENFOLD_BENCH_FIBER_H

#include "base/base.h"

#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct fiber *fiber_new(void (*run)(void *context), void *context);
void fiber_free(struct fiber **fiber);  /* one that ended */
bool fiber_resume(struct fiber *fiber); /* until it gives way; false when it has ended */
void fiber_yield(struct fiber *fiber);  /* from inside */

#endif
