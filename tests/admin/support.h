/* What the tests of admin share: a store in a folder of its own. */
#ifndef PENFOLD_TESTS_ADMIN_SUPPORT_H
#define PENFOLD_TESTS_ADMIN_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <jansson.h>
#include <unistd.h>

#include "admin/admin.h"
#include "store/account.h"
#include "store/directory.h"
#include "store/email.h"

struct test_dir {
	char path[64];
};

static inline void test_dir_make(struct test_dir *dir)
{
	(void)snprintf(dir->path, sizeof(dir->path), "/tmp/penfold-admin-XXXXXX");
	assert_non_null(mkdtemp(dir->path));
}

static inline int test_remove(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static inline void test_dir_remove(struct test_dir *dir)
{
	(void)nftw(dir->path, test_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void test_durable(void *context, uint64_t seq)
{
	(void)context;
	(void)seq;
}

static inline void test_failed(void *context, int error, const char *what)
{
	(void)context;
	print_error("store failed: %s: %s\n", what, strerror(-error));
	abort();
}

static inline struct store_settings test_settings(const struct test_dir *dir, unsigned shards)
{
	struct store_settings settings = store_settings_default();

	settings.dir = slice_of(dir->path);
	settings.shards = shards;
	settings.segment_bytes = 1 << 20;
	settings.durable = test_durable;
	settings.failed = test_failed;
	return settings;
}

/* Executes and parses the answer, which must be one line. */
static inline json_t *test_execute(const struct admin_services *services, const char *request, int *ret_request)
{
	struct buffer answer = BUFFER_INIT(1 << 24);
	json_t *json;

	admin_execute(services, slice_of(request), ret_request, &answer);
	assert_true(answer.len > 0);
	assert_int_equal(slice_find_byte(buffer_slice(&answer), '\n'), answer.len - 1);
	json = json_loadb(answer.at, answer.len, 0, NULL);
	assert_true(json_is_object(json));
	buffer_free(&answer);
	return json;
}

static inline void expect_ok(const struct admin_services *services, const char *request)
{
	json_t *json = test_execute(services, request, NULL);

	if (!json_is_true(json_object_get(json, "ok")))
		fail_msg("%s: %s", request, json_string_value(json_object_get(json, "error")));
	json_decref(json);
}

static inline void expect_refused(const struct admin_services *services, const char *request, const char *code)
{
	json_t *json = test_execute(services, request, NULL);

	assert_true(json_is_false(json_object_get(json, "ok")));
	assert_true(json_string_length(json_object_get(json, "error")) > 10);
	if (!slice_equal(slice_of(json_string_value(json_object_get(json, "code"))), slice_of(code)))
		fail_msg("%s: %s", request, json_string_value(json_object_get(json, "error")));
	json_decref(json);
}

#endif
