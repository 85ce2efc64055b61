#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config, defaults;
	struct buffer problem = BUFFER_INIT(4096);
	struct arena *arena;

	if (arena_new(1 << 16, &arena))
		return 0;
	config_defaults(&defaults);
	if (config_parse(slice_make(data, size), "f", arena, &config, &problem) == 0) {
		CHECK(problem.len == 0);
		config_restart_keys(&defaults, &config, &problem);
		(void)!config_validate(&config, &problem);
	} else {
		CHECK(problem.len > 0 && slice_starts(buffer_slice(&problem), SLICE("f:")));
	}
	buffer_free(&problem);
	arena_free(&arena);
	return 0;
}
