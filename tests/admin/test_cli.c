#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support.h"

struct world {
	struct test_dir dir;
	char socket[80];
	FILE *in, *out, *err;
	char *out_text, *err_text;
	size_t out_len, err_len;
	struct admin_place place;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	test_dir_make(&world->dir);
	(void)snprintf(world->socket, sizeof(world->socket), "%s/control", world->dir.path);
	world->place = (struct admin_place){
		.socket = slice_of(world->socket), .store = test_settings(&world->dir, 4), .cost = auth_cost_fast};
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	free(world->out_text);
	free(world->err_text);
	test_dir_remove(&world->dir);
	free(world);
	return 0;
}

/* Runs a command (its words separated by single spaces) with this standard input; what it printed stays in the world. */
static int run(struct world *world, const char *input, const char *line)
{
	char words[2000];
	char *argv[140];
	int argc = 0, status;

	(void)snprintf(words, sizeof(words), "%s", line);
	for (char *at = words; at && argc < 139; argc++) {
		argv[argc] = at;
		at = strchr(at, ' ');
		if (at)
			*at++ = '\0';
	}
	argv[argc] = NULL;
	free(world->out_text);
	free(world->err_text);
	world->place.in = tmpfile();
	assert_non_null(world->place.in);
	(void)fputs(input, world->place.in);
	rewind(world->place.in);
	world->place.out = open_memstream(&world->out_text, &world->out_len);
	world->place.err = open_memstream(&world->err_text, &world->err_len);
	status = admin_cli_main(argc, argv, &world->place);
	(void)fclose(world->place.in);
	(void)fclose(world->place.out);
	(void)fclose(world->place.err);
	return status;
}

static void expect_run(struct world *world, const char *line, int status)
{
	int got = run(world, "secret\n", line);

	if (got != status)
		fail_msg("%s: %d, %s%s", line, got, world->out_text, world->err_text);
	/* What failed says why, and nothing else; no password is ever printed. */
	assert_true((status == 0) == (world->err_len == 0));
	assert_null(strstr(world->out_text, "secret"));
	assert_null(strstr(world->err_text, "secret"));
}

static void test_a_directory_from_nothing(void **state)
{
	struct world *world = *state;

	expect_run(world, "domain add example.org", 0);
	expect_run(world, "domain add example.org", 1);
	assert_non_null(strstr(world->err_text, "here already"));
	expect_run(world, "domain list", 0);
	assert_string_equal(world->out_text, "example.org\n");
	expect_run(world, "account add ann@example.org --quota 5G --password-file -", 0);
	expect_run(world, "account add ann@example.org --password-file -", 1);
	expect_run(world, "account add --hash={MD5-CRYPT}$1$saltsalt$9xy1btjgzLYfb7hivXtC// bob@example.org", 0);
	expect_run(world, "account add carl@example.net --password-file -", 1);
	assert_non_null(strstr(world->err_text, "not served here"));
	expect_run(world, "account list", 0);
	assert_non_null(strstr(world->out_text, "ann@example.org"));
	assert_non_null(strstr(world->out_text, "5.0 GiB"));
	expect_run(world, "account list example.org --json", 0);
	assert_int_equal(world->out_text[0], '[');
	expect_run(world, "account info ann@example.org", 0);
	assert_non_null(strstr(world->out_text, "INBOX"));
	assert_non_null(strstr(world->out_text, "used      0 bytes in 0 messages"));
	expect_run(world, "account info --json ann@example.org", 0);
	assert_non_null(strstr(world->out_text, "\"quota_bytes\": 5368709120"));
	expect_run(world, "account info eve@example.org", 1);
	expect_run(world, "alias add info@example.org ann@example.org bob@example.org", 0);
	expect_run(world, "alias list", 0);
	assert_string_equal(world->out_text, "info@example.org: ann@example.org bob@example.org\n");
	expect_run(world, "alias delete info@example.org bob@example.org", 0);
	expect_run(world, "alias list example.org --json", 0);
	assert_null(strstr(world->out_text, "bob@"));
	expect_run(world, "alias delete info@example.org", 0);
	expect_run(world, "account delete --yes bob@example.org", 0);
	expect_run(world, "account list", 0);
	assert_null(strstr(world->out_text, "bob@"));
	expect_run(world, "domain delete example.org", 1);
}

static void test_account_set(void **state)
{
	struct world *world = *state;

	expect_run(world, "domain add example.org", 0);
	expect_run(world, "account add ann@example.org --password-file -", 0);
	expect_run(world, "account set ann@example.org --allow imap,pop3 --quota 500M --disable", 0);
	expect_run(world, "account list", 0);
	assert_non_null(strstr(world->out_text, "500.0 MiB"));
	assert_non_null(strstr(world->out_text, "imap,pop3 "));
	assert_non_null(strstr(world->out_text, "disabled"));
	expect_run(world, "account set ann@example.org --enable --quota none", 0);
	expect_run(world, "account info ann@example.org", 0);
	assert_non_null(strstr(world->out_text, "quota     none"));
	assert_null(strstr(world->out_text, "disabled"));
	expect_run(world, "account set ann@example.org", 1);
	expect_run(world, "account set ann@example.org --allow imap,gopher", 1);
	expect_run(world, "account set ann@example.org --enable --disable", 2);
	expect_run(world, "account set ann@example.org --quota 5X", 2);
	expect_run(world, "account set ann@example.org --quota G", 2);
	expect_run(world, "account set ann@example.org --quota 99999999999G", 2);
}

/* The password that works, asked of the data directory itself. */
static int verify(struct world *world, const char *password)
{
	struct store_settings settings = test_settings(&world->dir, 1);
	struct directory_account account;
	struct arena *arena;
	struct store *store;
	int error;

	assert_int_equal(store_open(&settings, &store), 0);
	assert_int_equal(arena_new(1 << 16, &arena), 0);
	assert_int_equal(directory_account_find(store, SLICE("ann@example.org"), arena, &account), 0);
	error = auth_secret_verify(account.secret, slice_of(password), &auth_cost_fast);
	arena_free(&arena);
	store_close(&store);
	return error;
}

static void test_passwords(void **state)
{
	struct world *world = *state;
	char path[100], line[200];
	const char *generated;
	FILE *file;

	expect_run(world, "domain add example.org", 0);
	expect_run(world, "account add ann@example.org --password-file -", 0);
	assert_int_equal(verify(world, "secret"), 0);
	/* Only the first line, without its end. */
	(void)snprintf(path, sizeof(path), "%s/password", world->dir.path);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs("  pass \xc3\xa4 word \r\nsecond line\n", file);
	(void)fclose(file);
	(void)snprintf(line, sizeof(line), "account passwd ann@example.org --password-file %s", path);
	expect_run(world, line, 0);
	assert_int_equal(verify(world, "  pass \xc3\xa4 word "), 0);
	expect_run(world, "account passwd ann@example.org --password-file /nowhere/at/all", 1);
	expect_run(world, "account passwd --generate ann@example.org", 0);
	generated = strstr(world->out_text, "Its password is: ");
	assert_non_null(generated);
	generated += strlen("Its password is: ");
	(void)snprintf(path, sizeof(path), "%.23s", generated);
	assert_int_equal(verify(world, path), 0);
	expect_run(world, "account passwd ann@example.org", 2); /* no terminal to ask on */
	expect_run(world, "account passwd ann@example.org --generate --password-file -", 2);
	expect_run(world, "account passwd ann@example.org --hash nonsense", 1);
	assert_int_equal(run(world, "", "account passwd ann@example.org --password-file -"), 1);
	assert_int_equal(run(world, "\n", "account passwd ann@example.org --password-file -"), 1);
	assert_int_equal(run(world, "caf\xe9\n", "account passwd ann@example.org --password-file -"), 1);
	assert_int_equal(verify(world, path), 0);
}

static void test_deleting_asks(void **state)
{
	struct world *world = *state;

	expect_run(world, "domain add example.org", 0);
	expect_run(world, "account add ann@example.org --password-file -", 0);
	assert_int_equal(run(world, "", "account delete ann@example.org"), 1);
	assert_int_equal(run(world, "y\n", "account delete ann@example.org"), 1);
	assert_int_equal(run(world, "no\n", "account delete ann@example.org"), 1);
	expect_run(world, "account info ann@example.org", 0);
	assert_int_equal(run(world, "Yes\n", "account delete ann@example.org"), 0);
	expect_run(world, "account info ann@example.org", 1);
}

static void test_what_is_not_understood(void **state)
{
	struct world *world = *state;
	static const char *const lines[] = {"domain", "domain frobnicate", "domain add", "domain add a b",
		"domain list x", "domain list --yes", "domain add example.org --json", "account add",
		"account add a@b --quota", "account add a@b --generate=yes", "account list --frob",
		"alias add info@example.org", "status now", "check --rebuild", "compact now", "account info --json"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		expect_run(world, lines[i], 2);
	assert_int_equal(access(world->socket, F_OK), -1);
}

static void test_help(void **state)
{
	struct world *world = *state;
	static const char *const lines[] = {"domain --help", "account help", "account add --help", "account passwd -h",
		"alias -h", "status --help", "check --help"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		expect_run(world, lines[i], 0);
		assert_non_null(strstr(world->out_text, "penfold "));
	}
}

static void test_only_help_needs_no_configuration(void **state UNUSED)
{
	char *help[] = {"account", "add", "--help", NULL}, *wrong[] = {"account", "frob", NULL};
	char *real[] = {"account", "list", NULL};

	assert_true(admin_cli_is_help(3, help));
	assert_true(admin_cli_is_help(2, wrong));
	assert_false(admin_cli_is_help(2, real));
	assert_true(admin_cli_knows(SLICE("account")));
	assert_true(admin_cli_knows(SLICE("check")));
	assert_false(admin_cli_knows(SLICE("serve")));
	assert_false(admin_cli_knows(SLICE("")));
}

static void test_the_configuration_is_taken_out(void **state UNUSED)
{
	char *first[] = {"account", "-c", "file", "list", "--json", NULL};
	char *later[] = {"account", "list", "--config=other", NULL};
	char *none[] = {"account", "add", "--", "-c", "x", NULL};
	char *cut[] = {"account", "list", "-c", NULL};
	int argc = 5;

	assert_string_equal(admin_cli_config(&argc, first), "file");
	assert_int_equal(argc, 3);
	assert_string_equal(first[1], "list");
	assert_string_equal(first[2], "--json");
	assert_null(first[3]);
	argc = 3;
	assert_string_equal(admin_cli_config(&argc, later), "other");
	assert_int_equal(argc, 2);
	argc = 5;
	assert_null(admin_cli_config(&argc, none));
	assert_int_equal(argc, 5);
	argc = 3;
	assert_null(admin_cli_config(&argc, cut));
	assert_int_equal(argc, 3);
}

static void test_nothing_runs(void **state)
{
	struct world *world = *state;

	expect_run(world, "domain add example.org", 0);
	expect_run(world, "stop", 1);
	expect_run(world, "reload", 1);
	assert_int_equal(run(world, "", "status"), 0);
	assert_non_null(strstr(world->err_text, "No server is running"));
	assert_non_null(strstr(world->out_text, "journal"));

	expect_run(world, "check", 0);
	expect_run(world, "check --rebuild-index", 0);
	expect_run(world, "compact", 0);
	assert_non_null(strstr(world->out_text, "The journal has"));
	expect_run(world, "domain list", 0);
	assert_string_equal(world->out_text, "example.org\n");
}

static void test_a_directory_in_use_is_left_alone(void **state)
{
	struct world *world = *state;
	struct store_settings settings = test_settings(&world->dir, 1);
	struct store *store;

	assert_int_equal(store_open(&settings, &store), 0);
	expect_run(world, "domain list", 1);
	assert_non_null(strstr(world->err_text, "in use"));
	expect_run(world, "check", 1);
	store_close(&store);
	expect_run(world, "domain list", 0);
}

/*
 * What root makes with the command line the server must be able to open afterwards: it belongs to the directory's owner, or to the
 * server's user when there is no directory yet.
 */
static void test_root_works_as_the_owner(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	struct world *world = *state;
	char path[120];
	struct stat status;

	if (geteuid() != 0 || !nobody)
		return;
	assert_int_equal(chown(world->dir.path, nobody->pw_uid, nobody->pw_gid), 0);
	(void)snprintf(path, sizeof(path), "%s/made", world->dir.path);
	for (int made = 0; made < 2; made++) {
		pid_t child = fork();
		int ended;

		assert_true(child >= 0);
		if (child == 0) {
			world->place.user = made ? SLICE("nobody") : SLICE("");
			world->place.store.dir = made ? slice_of(path) : slice_of(world->dir.path);
			_exit(run(world, "", "domain add example.org"));
		}
		assert_int_equal(waitpid(child, &ended, 0), child);
		assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
	}
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, nobody->pw_uid);
	(void)snprintf(path, sizeof(path), "%s/index", world->dir.path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, nobody->pw_uid);
	assert_int_equal(status.st_gid, nobody->pw_gid);
	(void)snprintf(path, sizeof(path), "%s/made/index", world->dir.path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, nobody->pw_uid);
}

/* ---- A terminal ---- */

struct typist {
	int master;
	const char *const *answers; /* one per prompt */
	char seen[4000];
	size_t seen_len;
};

/* Types the next answer whenever a prompt has come. */
static void *type(void *argument)
{
	struct typist *typist = argument;
	size_t from = 0;

	while (typist->seen_len < sizeof(typist->seen) - 1) {
		ssize_t got = read(
			typist->master, typist->seen + typist->seen_len, sizeof(typist->seen) - 1 - typist->seen_len);

		if (got <= 0)
			break;
		typist->seen_len += (size_t)got;
		if (*typist->answers &&
			slice_ends(slice_make(typist->seen + from, typist->seen_len - from), SLICE(": "))) {
			from = typist->seen_len;
			if (write(typist->master, *typist->answers, strlen(*typist->answers)) < 0)
				break;
			typist->answers++;
		}
	}
	return NULL;
}

static int run_on_terminal(struct world *world, const char *const *answers, struct typist *typist)
{
	char *argv[] = {"account", "passwd", "ann@example.org", NULL};
	pthread_t thread;
	FILE *terminal;
	int status, slave;

	memset(typist, 0, sizeof(*typist));
	typist->answers = answers;
	typist->master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(typist->master >= 0);
	assert_int_equal(grantpt(typist->master), 0);
	assert_int_equal(unlockpt(typist->master), 0);
	slave = open(ptsname(typist->master), O_RDWR | O_NOCTTY);
	terminal = fdopen(slave, "r+");
	assert_non_null(terminal);
	assert_int_equal(pthread_create(&thread, NULL, type, typist), 0);
	world->place.in = world->place.out = world->place.err = terminal;
	status = admin_cli_main(3, argv, &world->place);
	(void)fclose(terminal); /* the typist reads the end */
	(void)pthread_join(thread, NULL);
	(void)close(typist->master);
	return status;
}

static void test_asking_on_a_terminal(void **state)
{
	struct world *world = *state;
	static const char *const same[] = {"new one\r", "new one\r", NULL};
	static const char *const edited[] = {"gone\x15nex\x7fw\xc3\xa4\x7f two\r", "new two\r", NULL};
	static const char *const other[] = {"third\r", "fourth\r", NULL};
	static const char *const empty[] = {"\r", NULL};
	static const char *const stopped[] = {"new\x03", NULL};
	struct typist typist;

	expect_run(world, "domain add example.org", 0);
	expect_run(world, "account add ann@example.org --password-file -", 0);
	assert_int_equal(run_on_terminal(world, same, &typist), 0);
	assert_null(strstr(typist.seen, "new one")); /* no echo */
	assert_int_equal(verify(world, "new one"), 0);
	assert_int_equal(run_on_terminal(world, edited, &typist), 0);
	assert_int_equal(verify(world, "new two"), 0);
	assert_int_equal(run_on_terminal(world, other, &typist), 1);
	assert_int_equal(run_on_terminal(world, empty, &typist), 1);
	assert_int_equal(run_on_terminal(world, stopped, &typist), 1);
	assert_int_equal(verify(world, "new two"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_directory_from_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_account_set, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_passwords, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleting_asks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_not_understood, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_help, set_up, tear_down),
		cmocka_unit_test(test_only_help_needs_no_configuration),
		cmocka_unit_test(test_the_configuration_is_taken_out),
		cmocka_unit_test_setup_teardown(test_nothing_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_directory_in_use_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_root_works_as_the_owner, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_asking_on_a_terminal, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("admin/cli", tests, NULL, NULL);
}
