/*
 * What comes over the control socket: each line of the input is a request to one small store, which is kept from input to input. Whatever it
 * is, the answer is one line, a JSON object that says whether it went well.
 */
#include <jansson.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/admin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS_MAX = 8, ANSWER_MAX = 16 << 20 };

struct bench {
	char dir[64];
	struct store *store;
	struct admin_services services;
};

static struct bench *bench_here(void)
{
	static struct bench bench;

	return &bench;
}

static void bench_remove(void)
{
	struct bench *bench = bench_here();
	pid_t child;

	store_close(&bench->store);
	child = fork();
	if (child == 0) {
		execlp("rm", "rm", "-rf", bench->dir, (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		(void)waitpid(child, NULL, 0);
}

static struct bench *bench_make(void)
{
	struct bench *bench = bench_here();
	struct store_settings settings = store_settings_default();

	if (bench->store)
		return bench;
	(void)snprintf(bench->dir, sizeof(bench->dir), "%s/penfold-fuzz-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(bench->dir));
	settings.dir = slice_of(bench->dir);
	settings.shards = 1;
	settings.segment_bytes = 1 << 20;
	settings.apply_delay_ms = 0;
	CHECK(store_open(&settings, &bench->store) == 0);
	bench->services = (struct admin_services){.store = bench->store, .cost = auth_cost_fast};
	(void)atexit(bench_remove);
	return bench;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench *bench = bench_make();
	struct buffer answer = BUFFER_INIT(ANSWER_MAX);
	struct slice rest = slice_make(data, size);

	for (unsigned i = 0; i < REQUESTS_MAX && rest.len; i++) {
		int request;
		json_t *json;

		buffer_reset(&answer);
		admin_execute(&bench->services, slice_split(&rest, '\n'), &request, &answer);
		CHECK(buffer_error(&answer) == 0 && answer.len > 0);
		CHECK(slice_find_byte(buffer_slice(&answer), '\n') == answer.len - 1);
		json = json_loadb(answer.at, answer.len, 0, NULL);
		CHECK(json && json_is_boolean(json_object_get(json, "ok")));
		json_decref(json);
	}
	buffer_free(&answer);
	return 0;
}
