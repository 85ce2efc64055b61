/*
 * Threads behind struct thread_system that run one at a time: which one goes on, at every lock and wherever else the simulation asks, and
 * what time it is, follow from a seed. Time passes a little with every step, and when all are asleep up to the first who wants to wake.
 * That nobody can ever go on again - a deadlock, or a wake-up that was lost - is found at once, and ends the process.
 *
 * The thread that made it counts as one of them: the main one.
 */
#ifndef PENFOLD_TESTS_SIM_THREADS_H
#define PENFOLD_TESTS_SIM_THREADS_H

#include "base/thread.h"

struct sim_threads;

struct sim_threads *sim_threads_new(void);
void sim_threads_free(struct sim_threads **t);
void sim_threads_reset(struct sim_threads *t, uint64_t seed); /* all but the main one have ended */
const struct thread_system *sim_threads_system(struct sim_threads *t);

/* At one of so many points another thread may go on. */
void sim_threads_set_pace(struct sim_threads *t, unsigned pace);
void sim_threads_point(struct sim_threads *t); /* perhaps another one goes on here */
void sim_threads_pause(struct sim_threads *t, int64_t us);
bool sim_threads_is_main(const struct sim_threads *t);
int64_t sim_threads_now_us(const struct sim_threads *t);
unsigned sim_threads_count(const struct sim_threads *t); /* running, without the main one */

#endif
