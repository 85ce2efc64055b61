/* What one seed stands for: a store that lives many short lives, each ended by a cut. */
#ifndef PENFOLD_TESTS_SIM_LIFE_H
#define PENFOLD_TESTS_SIM_LIFE_H

#include "sim_store.h"

enum { SIM_LIVES = 40 };

void sim_lives(struct sim_store *sim, uint64_t seed);
/* The same with a disk that lies (SIM_LIE_...): is to go wrong. */
void sim_lives_on_a_liar(struct sim_store *sim, uint64_t seed, unsigned lies);
/* One life in which the n-th operation that changes something fails. False: it ended before. */
bool sim_life_with_fault(struct sim_store *sim, uint64_t seed, uint64_t n, int error);

#endif
