#include "base/base.h"

void check_failed(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "penfold: check failed: %s (%s:%d)\n", what, file, line);
	abort();
}
