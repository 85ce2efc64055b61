/* Runs a fuzz target once on each file of some folders, without libFuzzer: for valgrind and other sanitizers. Prints TAP. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_BYTES_MAX = 1 << 20 };

/* In memory of exactly its size, so that one byte too many is seen. */
static void replay(const char *folder, const char *name)
{
	struct buffer path = BUFFER_INIT(4096);
	uint8_t *bytes = malloc(SEED_BYTES_MAX), *exact;
	FILE *file;
	size_t len;

	buffer_printf(&path, "%s/%s", folder, name);
	file = fopen(buffer_text(&path), "re");
	CHECK(file && bytes);
	len = fread(bytes, 1, SEED_BYTES_MAX, file);
	CHECK(len < SEED_BYTES_MAX && !ferror(file));
	(void)fclose(file);
	exact = malloc(MAX(len, (size_t)1));
	CHECK(exact);
	memcpy(exact, bytes, len);
	(void)LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	free(bytes);
	buffer_free(&path);
}

int main(int argc, char **argv)
{
	unsigned seeds = 0;

	CHECK(argc > 1);
	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		struct dirent *entry;

		CHECK(folder);
		while ((entry = readdir(folder))) {
			if (entry->d_name[0] == '.')
				continue;
			replay(argv[i], entry->d_name);
			(void)printf("ok %u - %s\n", ++seeds, entry->d_name);
		}
		(void)closedir(folder);
	}
	(void)printf("1..%u\n", seeds);
	return seeds ? 0 : 1;
}
