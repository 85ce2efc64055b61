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

/* A folder, in memory where there is one; removed when the process ends by itself. The same each time. */
const char *stage_folder(void);
/* The same each time; its files are gone already, however the process ends. */
struct stage *stage_make(void);

#endif
