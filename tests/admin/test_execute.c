#include "support.h"

struct world {
	struct test_dir dir;
	struct store *store;
	struct admin_services services;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct store_settings settings;

	*state = world;
	test_dir_make(&world->dir);
	settings = test_settings(&world->dir, 1);
	if (store_open(&settings, &world->store) != 0)
		return -1;
	world->services = (struct admin_services){.store = world->store, .cost = auth_cost_fast};
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	store_close(&world->store);
	test_dir_remove(&world->dir);
	free(world);
	return 0;
}

static const struct admin_services *services_of(void **state)
{
	return &((struct world *)*state)->services;
}

/* The answer's value, printed without spaces. */
static void expect_field(const struct admin_services *services, const char *request, const char *name, const char *text)
{
	json_t *json = test_execute(services, request, NULL);
	char *got = json_dumps(json_object_get(json, name), JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(got);
	assert_string_equal(got, text);
	free(got);
	json_decref(json);
}

static void test_domains(void **state)
{
	const struct admin_services *services = services_of(state);

	expect_field(services, "{\"cmd\":\"domain.list\"}", "domains", "[]");
	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"Example.COM\"}");
	expect_field(services, "{\"cmd\":\"domain.list\"}", "domains", "[\"example.com\",\"example.org\"]");
	expect_refused(services, "{\"cmd\":\"domain.add\",\"domain\":\"EXAMPLE.org\"}", "exists");
	expect_refused(services, "{\"cmd\":\"domain.add\",\"domain\":\"not a domain\"}", "invalid");
	expect_refused(services, "{\"cmd\":\"domain.add\"}", "invalid");
	expect_refused(services, "{\"cmd\":\"domain.add\",\"domain\":5}", "invalid");
	expect_refused(services, "{\"cmd\":\"domain.delete\",\"domain\":\"example.net\"}", "not-found");
	expect_ok(services, "{\"cmd\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"x\"}");
	expect_refused(services, "{\"cmd\":\"domain.delete\",\"domain\":\"example.org\"}", "busy");
	expect_ok(services, "{\"cmd\":\"domain.delete\",\"domain\":\"example.com\"}");
	expect_field(services, "{\"cmd\":\"domain.list\"}", "domains", "[\"example.org\"]");
}

static void find(struct world *world, const char *address, struct arena **arena, struct directory_account *account)
{
	assert_int_equal(arena_new(1 << 16, arena), 0);
	assert_int_equal(directory_account_find(world->store, slice_of(address), *arena, account), 0);
}

static int verify(struct world *world, const char *address, const char *password)
{
	struct directory_account account;
	struct arena *arena;
	int error;

	find(world, address, &arena, &account);
	error = auth_secret_verify(account.secret, slice_of(password), &auth_cost_fast);
	arena_free(&arena);
	return error;
}

static void test_accounts_and_their_secrets(void **state)
{
	const struct admin_services *services = services_of(state);

	expect_refused(services, "{\"cmd\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"secret\"}",
		"not-found");
	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	expect_ok(services, "{\"cmd\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"secret\"}");
	assert_int_equal(verify(*state, "ann@example.org", "secret"), 0);
	assert_int_equal(verify(*state, "ann@example.org", "Secret"), -EACCES);
	expect_refused(
		services, "{\"cmd\":\"account.add\",\"address\":\"Ann@example.org\",\"password\":\"x\"}", "exists");
	expect_refused(services, "{\"cmd\":\"account.add\",\"address\":\"ann\",\"password\":\"x\"}", "invalid");
	expect_refused(services, "{\"cmd\":\"account.add\",\"address\":\"bob@example.org\"}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"account.add\",\"address\":\"bob@example.org\",\"password\":\"\"}", "invalid");
	expect_refused(services, "{\"cmd\":\"account.add\",\"address\":\"bob@example.org\",\"password\":\"a\\u0007\"}",
		"invalid");
	expect_refused(services,
		"{\"cmd\":\"account.add\",\"address\":\"bob@example.org\",\"password\":\"x\",\"hash\":\"$1$saltsalt$"
		"9xy1btjgzLYfb7hivXtC//\"}",
		"invalid");
	expect_refused(
		services, "{\"cmd\":\"account.add\",\"address\":\"bob@example.org\",\"hash\":\"{PLAIN}x\"}", "invalid");
	expect_refused(services, "{\"cmd\":\"account.add\",\"address\":\"bob@example.org\",\"hash\":7}", "invalid");
	expect_ok(services,
		"{\"cmd\":\"account.add\",\"address\":\"bob@example.org\",\"hash\":\"{MD5-CRYPT}$1$saltsalt$"
		"9xy1btjgzLYfb7hivXtC//\"}");
	assert_int_equal(verify(*state, "bob@example.org", "secret"), 0);
	expect_ok(services, "{\"cmd\":\"account.passwd\",\"address\":\"bob@example.org\",\"password\":\"new one\"}");
	assert_int_equal(verify(*state, "bob@example.org", "new one"), 0);
	assert_int_equal(verify(*state, "bob@example.org", "secret"), -EACCES);
	expect_refused(services, "{\"cmd\":\"account.passwd\",\"address\":\"eve@example.org\",\"password\":\"x\"}",
		"not-found");
	expect_ok(services, "{\"cmd\":\"account.delete\",\"address\":\"bob@example.org\"}");
	expect_refused(services, "{\"cmd\":\"account.delete\",\"address\":\"bob@example.org\"}", "not-found");
}

static void test_settings_of_an_account(void **state)
{
	const struct admin_services *services = services_of(state);
	struct directory_account account;
	struct arena *arena;

	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	expect_ok(services,
		"{\"cmd\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"x\",\"quota_bytes\":1000}");
	find(*state, "ann@example.org", &arena, &account);
	assert_int_equal(account.quota_bytes, 1000);
	assert_int_equal(account.allowed, ALLOW_ALL);
	arena_free(&arena);
	expect_ok(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"quota_bytes\":5368709120}");
	expect_ok(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"allow\":[\"IMAP\",\"pop3\"]}");
	expect_ok(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"disabled\":true}");
	find(*state, "ann@example.org", &arena, &account);
	assert_true(account.quota_bytes == 5368709120);
	assert_int_equal(account.allowed, ALLOW_IMAP | ALLOW_POP3);
	assert_true(account.disabled);
	arena_free(&arena);
	expect_ok(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"allow\":[],\"disabled\":false,"
			    "\"quota_bytes\":0}");
	find(*state, "ann@example.org", &arena, &account);
	assert_int_equal(account.allowed, 0);
	assert_false(account.disabled);
	assert_int_equal(account.quota_bytes, 0);
	arena_free(&arena);
	expect_refused(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\"}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"quota_bytes\":-1}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"quota_bytes\":\"1\"}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"allow\":\"imap\"}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"allow\":[\"x\"]}", "invalid");
	expect_refused(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"allow\":[1]}", "invalid");
	expect_refused(services, "{\"cmd\":\"account.set\",\"address\":\"ann@example.org\",\"disabled\":1}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"account.set\",\"address\":\"eve@example.org\",\"disabled\":true}", "not-found");
}

static void test_account_info(void **state)
{
	const struct admin_services *services = services_of(state);
	json_t *json, *account, *mailboxes;

	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	expect_ok(services, "{\"cmd\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"hidden\",\"quota_"
			    "bytes\":4096}");
	json = test_execute(services, "{\"cmd\":\"account.info\",\"address\":\"ann@example.org\"}", NULL);
	account = json_object_get(json, "account");
	assert_string_equal(json_string_value(json_object_get(account, "address")), "ann@example.org");
	assert_int_equal(json_integer_value(json_object_get(account, "quota_bytes")), 4096);
	assert_int_equal(json_integer_value(json_object_get(account, "used_bytes")), 0);
	assert_true(json_integer_value(json_object_get(account, "created_ms")) > 0);
	mailboxes = json_object_get(account, "mailboxes");
	assert_int_equal(json_array_size(mailboxes), 6); /* INBOX and those with a special use */
	for (size_t i = 0; i < json_array_size(mailboxes); i++) {
		json_t *mailbox = json_array_get(mailboxes, i);

		assert_true(json_string_length(json_object_get(mailbox, "name")) > 0);
		assert_int_equal(json_integer_value(json_object_get(mailbox, "messages")), 0);
		assert_int_equal(json_integer_value(json_object_get(mailbox, "uidnext")), 1);
	}
	json_decref(json);
	expect_refused(services, "{\"cmd\":\"account.info\",\"address\":\"eve@example.org\"}", "not-found");
}

static void test_aliases(void **state)
{
	const struct admin_services *services = services_of(state);

	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	expect_ok(services, "{\"cmd\":\"account.add\",\"address\":\"ann@example.org\",\"password\":\"x\"}");
	expect_ok(
		services, "{\"cmd\":\"alias.add\",\"address\":\"Info@example.org\",\"targets\":[\"ann@example.org\"]}");
	expect_ok(services, "{\"cmd\":\"alias.add\",\"address\":\"info@example.org\",\"targets\":[\"bob@example.org\","
			    "\"Ann@example.org\"]}");
	expect_field(services, "{\"cmd\":\"alias.list\"}", "aliases",
		"[{\"address\":\"info@example.org\",\"targets\":[\"ann@example.org\",\"bob@example.org\"]}]");
	expect_ok(services,
		"{\"cmd\":\"alias.delete\",\"address\":\"info@example.org\",\"targets\":[\"ann@example.org\"]}");
	expect_field(services, "{\"cmd\":\"alias.list\",\"domain\":\"example.org\"}", "aliases",
		"[{\"address\":\"info@example.org\",\"targets\":[\"bob@example.org\"]}]");
	expect_refused(services,
		"{\"cmd\":\"alias.delete\",\"address\":\"info@example.org\",\"targets\":[\"ann@example.org\"]}",
		"not-found");
	expect_refused(services, "{\"cmd\":\"alias.add\",\"address\":\"info@example.org\",\"targets\":[]}", "invalid");
	expect_refused(services, "{\"cmd\":\"alias.add\",\"address\":\"info@example.org\"}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"alias.add\",\"address\":\"info@example.org\",\"targets\":[null]}", "invalid");
	expect_refused(
		services, "{\"cmd\":\"alias.add\",\"address\":\"info\",\"targets\":[\"ann@example.org\"]}", "invalid");
	expect_refused(services,
		"{\"cmd\":\"alias.add\",\"address\":\"ann@example.org\",\"targets\":[\"bob@example.org\"]}", "exists");
	expect_refused(
		services, "{\"cmd\":\"account.add\",\"address\":\"info@example.org\",\"password\":\"x\"}", "exists");
	expect_refused(services,
		"{\"cmd\":\"alias.add\",\"address\":\"x@example.net\",\"targets\":[\"ann@example.org\"]}", "not-found");
	expect_ok(services, "{\"cmd\":\"alias.delete\",\"address\":\"info@example.org\"}");
	expect_refused(services, "{\"cmd\":\"alias.delete\",\"address\":\"info@example.org\"}", "not-found");
	expect_field(services, "{\"cmd\":\"alias.list\"}", "aliases", "[]");
}

static void test_an_alias_has_a_hundred_targets_at_most(void **state)
{
	const struct admin_services *services = services_of(state);
	char request[200];

	expect_ok(services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	for (int i = 0; i < DIRECTORY_ALIAS_TARGETS_MAX; i++) {
		(void)snprintf(request, sizeof(request),
			"{\"cmd\":\"alias.add\",\"address\":\"all@example.org\",\"targets\":[\"user%d@example.org\"]}",
			i);
		expect_ok(services, request);
	}
	expect_refused(services,
		"{\"cmd\":\"alias.add\",\"address\":\"all@example.org\",\"targets\":[\"one-more@example.org\"]}",
		"over-limit");
}

static void test_long_lists_come_in_pages(void **state)
{
	enum { COUNT = 2500 };
	struct world *world = *state;
	struct directory_account *accounts = calloc(COUNT, sizeof(*accounts));
	char(*names)[32] = calloc(COUNT, sizeof(*names)), request[200], after[64] = "";
	const struct actor actor = {STORE_BY_ADMIN, {NULL, 0}, {NULL, 0}};
	size_t seen = 0, pages = 0, added;

	assert_non_null(accounts);
	assert_non_null(names);
	expect_ok(&world->services, "{\"cmd\":\"domain.add\",\"domain\":\"example.org\"}");
	for (size_t i = 0; i < COUNT; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "user%zu@example.org", i);
		accounts[i] = (struct directory_account){.address = slice_of(names[i]), .allowed = ALLOW_ALL};
	}
	assert_int_equal(directory_accounts_add(world->store, accounts, COUNT, &actor, &added), 0);
	do {
		json_t *json, *page;

		(void)snprintf(request, sizeof(request),
			"{\"cmd\":\"account.list\",\"domain\":\"example.org\",\"after\":\"%s\"}", after);
		json = test_execute(&world->services, request, NULL);
		page = json_object_get(json, "accounts");
		assert_true(json_array_size(page) > 0);
		seen += json_array_size(page);
		pages++;
		/* What is listed is never listed again. */
		for (size_t i = 0; i < json_array_size(page); i++) {
			unsigned number;
			const char *address = json_string_value(json_object_get(json_array_get(page, i), "address"));

			assert_int_equal(sscanf(address, "user%u@", &number), 1);
			assert_int_equal(accounts[number].disabled, false);
			accounts[number].disabled = true;
		}
		(void)snprintf(after, sizeof(after), "%s",
			json_is_string(json_object_get(json, "more")) ? json_string_value(json_object_get(json, "more"))
								      : "");
		json_decref(json);
	} while (*after);
	assert_int_equal(seen, COUNT);
	assert_int_equal(pages, 3);
	free(accounts);
	free(names);
}

static void test_status_and_requests(void **state)
{
	struct world *world = *state;
	struct admin_services services = world->services;
	json_t *json = test_execute(&services, "{\"cmd\":\"status\"}", NULL);
	int asked = 5;

	assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "status"), "shards")), 1);
	assert_null(json_object_get(json_object_get(json, "status"), "sessions"));
	json_decref(json);
	expect_refused(&services, "{\"cmd\":\"stop\"}", "unavailable");
	json = test_execute(&services, "{\"cmd\":\"status\"}", &asked);
	assert_int_equal(asked, -1);
	json_decref(json);
}

static void test_requests_that_make_no_sense(void **state)
{
	static const char *const bad[] = {"", " ", "{", "[]", "null", "\"domain.list\"", "{}", "{\"cmd\":1}",
		"{\"cmd\":\"\"}", "{\"cmd\":\"domain\"}", "{\"cmd\":\"domain.list\",\"extra\":1}",
		"{\"cmd\":\"domain.list\"} x", "{\"cmd\":\"domain.list\",\"cmd\":\"domain.list\"}",
		"{\"cmd\":\"domain.list\\u0000\"}", "{\"cmd\":\"\xff\"}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_refused(services_of(state), bad[i], "invalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_domains, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accounts_and_their_secrets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_settings_of_an_account, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_account_info, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_aliases, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_alias_has_a_hundred_targets_at_most, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_lists_come_in_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status_and_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_requests_that_make_no_sense, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("admin/execute", tests, NULL, NULL);
}
