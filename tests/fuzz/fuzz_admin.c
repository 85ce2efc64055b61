/*
 * What comes over the control socket: each line of the input is a request to one small store, which is kept from input to input. Whatever it
 * is, the answer is one line, a JSON object that says whether it went well.
 */
#include <jansson.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS_MAX = 8, ANSWER_MAX = 16 << 20 };

static struct admin_services *services_here(void)
{
	static struct admin_services services = {.store = NULL};

	return &services;
}

static void services_end(void)
{
	store_close(&services_here()->store);
}

static const struct admin_services *services_make(void)
{
	struct admin_services *services = services_here();
	struct store_settings settings = store_settings_default();

	if (services->store)
		return services;
	settings.dir = slice_of(stage_folder());
	settings.shards = 1;
	settings.segment_bytes = 1 << 20;
	settings.apply_delay_ms = 0;
	services->cost = auth_cost_fast;
	CHECK(store_open(&settings, &services->store) == 0);
	CHECK(atexit(services_end) == 0); /* before the folder goes */
	return services;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct admin_services *services = services_make();
	struct buffer answer = BUFFER_INIT(ANSWER_MAX);
	struct slice rest = slice_make(data, size);

	for (unsigned i = 0; i < REQUESTS_MAX && rest.len; i++) {
		int request;
		json_t *json;

		buffer_reset(&answer);
		admin_execute(services, slice_split(&rest, '\n'), &request, &answer);
		CHECK(buffer_error(&answer) == 0 && answer.len > 0);
		CHECK(slice_find_byte(buffer_slice(&answer), '\n') == answer.len - 1);
		json = json_loadb(answer.at, answer.len, 0, NULL);
		CHECK(json && json_is_boolean(json_object_get(json, "ok")));
		json_decref(json);
	}
	buffer_free(&answer);
	return 0;
}
