/* A store with one account that has some mail: what records are folded into by the fuzzer and where memory is short. */
#ifndef PENFOLD_TESTS_FUZZ_STAGE_H
#define PENFOLD_TESTS_FUZZ_STAGE_H

#include "store/index_rows.h"
#include "store/store.h"

struct stage {
	struct store *store;
	struct index_rows *rows;
	uint64_t account;
};

/* The same each time; its files are gone already, however the process ends. */
struct stage *stage_make(void);

#endif
