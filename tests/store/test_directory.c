/* The directory: domains, accounts, aliases, resolving. */
#include "support.h"

static void world_new(struct world *w)
{
	world_make(w);
	world_open(w);
	world_account(w);
}

struct targets {
	char text[512];
};

static void target(void *context, const struct directory_account *account, struct slice detail)
{
	struct targets *t = context;
	size_t at = strlen(t->text);

	(void)snprintf(t->text + at, sizeof(t->text) - at, "%s%.*s+%.*s", at ? "," : "", SLICE_ARG(account->address),
		SLICE_ARG(detail));
}

static void assert_resolves(struct world *w, const char *address, int error, const char *expected)
{
	struct targets t = {""};

	assert_int_equal(directory_resolve(w->store, slice_of(address), target, &t), error);
	assert_string_equal(t.text, expected);
}

static void add(struct world *w, const char *address)
{
	uint64_t id;

	assert_int_equal(directory_account_add(w->store, slice_of(address), SLICE("x"), 0, &actor_imap, &id), 0);
}

static void addresses_have_one_form(void **state)
{
	struct directory_account account;
	struct arena *arena;
	struct world w;

	(void)state;
	world_new(&w);
	assert_int_equal(arena_new(65536, &arena), 0);
	assert_int_equal(directory_domain_add(w.store, SLICE("B\xC3\xBC"
							     "cher.example")),
		0);
	assert_int_equal(directory_domain_add(w.store, SLICE("xn--bcher-kva.example")), -EEXIST);
	assert_int_equal(directory_domain_add(w.store, SLICE("not a domain")), -EINVAL);
	add(&w, "Eve@b\xC3\xBC"
		"cher.example");
	assert_int_equal(directory_account_find(w.store, SLICE("eVE@XN--bcher-kva.Example"), arena, &account), 0);
	assert_true(slice_equal(account.address, SLICE("eve@xn--bcher-kva.example")));
	assert_int_equal(directory_account_find(w.store, SLICE("ann+x@example.org"), arena, &account), -ENOENT);
	assert_int_equal(directory_account_find(w.store, SLICE("no address"), arena, &account), -ENOENT);
	assert_int_equal(directory_account_by_id(w.store, w.account_id, arena, &account), 0);
	assert_true(slice_equal(account.address, SLICE("ann@example.org")));
	assert_true(slice_equal(account.secret, SLICE("{PLAIN}secret")));
	assert_int_equal(account.allowed, ALLOW_ALL);
	arena_free(&arena);
	world_free(&w);
}

static void adding_is_refused_for_a_reason(void **state)
{
	struct world w;
	uint64_t id;

	(void)state;
	world_new(&w);
	assert_int_equal(directory_account_add(w.store, SLICE("ann@example.org"), SLICE("x"), 0, NULL, &id), -EEXIST);
	assert_int_equal(directory_account_add(w.store, SLICE("ann+x@example.org"), SLICE("x"), 0, NULL, &id), -EINVAL);
	assert_int_equal(directory_account_add(w.store, SLICE("a b@example.org"), SLICE("x"), 0, NULL, &id), -EINVAL);
	assert_int_equal(directory_account_add(w.store, SLICE("ann@other.org"), SLICE("x"), 0, NULL, &id), -ENOENT);
	assert_int_equal(directory_domain_delete(w.store, SLICE("example.org")), -EBUSY);
	assert_int_equal(directory_domain_delete(w.store, SLICE("other.org")), -ENOENT);
	world_free(&w);
}

static void mail_goes_where_it_should(void **state)
{
	struct slice two[] = {SLICE("ann@example.org"), SLICE("bob+news@example.org")};
	struct slice loop[] = {SLICE("sales@example.org"), SLICE("all@example.org")};
	struct world w;

	(void)state;
	world_new(&w);
	add(&w, "bob@example.org");
	assert_resolves(&w, "ANN@Example.ORG", 0, "ann@example.org+");
	assert_resolves(&w, "ann+Lists@example.org", 0, "ann@example.org+Lists");
	assert_resolves(&w, "nobody@example.org", -ENOENT, "");
	assert_resolves(&w, "ann@example.com", -EXDEV, "");
	assert_resolves(&w, "nonsense", -ENOENT, "");
	assert_int_equal(directory_alias_set(w.store, SLICE("sales@example.org"), two, 2), 0);
	assert_int_equal(directory_alias_set(w.store, SLICE("ann@example.org"), two, 2), -EEXIST);
	assert_resolves(&w, "sales@example.org", 0, "ann@example.org+,bob@example.org+news");
	/* A loop is followed once, and each account is told once. */
	assert_int_equal(directory_alias_set(w.store, SLICE("all@example.org"), loop, 2), 0);
	assert_resolves(&w, "all@example.org", 0, "ann@example.org+,bob@example.org+news");
	assert_int_equal(directory_account_delete(w.store, SLICE("bob@example.org"), &actor_imap), 0);
	assert_resolves(&w, "all@example.org", 0, "ann@example.org+");
	world_reopen(&w);
	assert_resolves(&w, "all@example.org", 0, "ann@example.org+");
	assert_int_equal(directory_alias_set(w.store, SLICE("all@example.org"), NULL, 0), 0);
	assert_resolves(&w, "all@example.org", -ENOENT, "");
	assert_int_equal(directory_alias_set(w.store, SLICE("all@example.org"), NULL, 0), -ENOENT);
	world_free(&w);
}

static void alias(struct world *w, const char *address, const char *to)
{
	struct slice target = slice_of(to);

	assert_int_equal(directory_alias_set(w->store, slice_of(address), &target, 1), 0);
}

static void aliases_lead_so_far(void **state)
{
	struct world w;
	char from[64], to[64] = "ann@example.org";

	(void)state;
	world_new(&w);
	for (unsigned i = 10; i > 0; i--) {
		(void)snprintf(from, sizeof(from), "a%u@example.org", i);
		alias(&w, from, to);
		memcpy(to, from, sizeof(to));
	}
	assert_resolves(&w, "a1@example.org", 0, "ann@example.org+");
	alias(&w, "a0@example.org", "a1@example.org");
	assert_resolves(&w, "a0@example.org", -ENOBUFS, "");
	assert_resolves(&w, "a1+x@example.org", 0, "ann@example.org+");
	world_free(&w);
}

static void count_target(void *context, const struct directory_account *found, struct slice detail)
{
	(void)found;
	(void)detail;
	++*(unsigned *)context;
}

/* `first`, `first` + 1, ... : accounts or aliases. */
static void alias_numbered(struct world *w, const char *address, const char *form, unsigned first, unsigned count)
{
	char texts[DIRECTORY_ALIAS_TARGETS_MAX][64];
	struct slice targets[DIRECTORY_ALIAS_TARGETS_MAX];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "%s%u@example.org", form, first + i);
		targets[i] = slice_of(texts[i]);
	}
	assert_int_equal(directory_alias_set(w->store, slice_of(address), targets, count), 0);
}

/* Lists of a hundred: ten of them are a thousand accounts, with the lists themselves a few more than are followed further. */
static void an_address_stands_for_so_many(void **state)
{
	static struct directory_account accounts[1100];
	static char addresses[ARRAY_LEN(accounts)][32];
	struct world w;
	unsigned found = 0;
	size_t added;

	(void)state;
	world_new(&w);
	for (unsigned i = 0; i < ARRAY_LEN(accounts); i++) {
		(void)snprintf(addresses[i], sizeof(addresses[i]), "m%u@example.org", i);
		accounts[i] = (struct directory_account){.address = slice_of(addresses[i]), .allowed = ALLOW_ALL};
	}
	assert_int_equal(directory_accounts_add(w.store, accounts, ARRAY_LEN(accounts), &actor_imap, &added), 0);
	for (unsigned i = 0; i < 11; i++) {
		char list[32];

		(void)snprintf(list, sizeof(list), "list%u@example.org", i);
		alias_numbered(&w, list, "m", 100 * i, 100);
	}
	alias_numbered(&w, "all@example.org", "list", 0, 10);
	assert_int_equal(directory_resolve(w.store, SLICE("all@example.org"), count_target, &found), 0);
	assert_int_equal(found, 1000);
	found = 0;
	alias_numbered(&w, "all@example.org", "list", 0, 11);
	assert_int_equal(directory_resolve(w.store, SLICE("all@example.org"), count_target, &found), -ENOBUFS);
	assert_int_equal(found, 1000);
	world_free(&w);
}

static void changes_are_seen_at_once(void **state)
{
	struct slice secret = SLICE("new");
	uint64_t quota = 1000;
	unsigned allowed = ALLOW_IMAP;
	struct directory_change change = {.secret = &secret, .quota_bytes = &quota, .allowed = &allowed};
	struct directory_account account;
	struct arena *arena;
	struct world w;

	(void)state;
	world_new(&w);
	assert_int_equal(arena_new(65536, &arena), 0);
	assert_int_equal(directory_account_change(w.store, SLICE("ann@example.org"), &change, &actor_imap), 0);
	assert_int_equal(directory_account_find(w.store, SLICE("ann@example.org"), arena, &account), 0);
	assert_true(slice_equal(account.secret, secret));
	assert_int_equal(account.allowed, ALLOW_IMAP);
	assert_false(account.disabled);
	shard_tick(w.shard);
	assert_int_equal(account_quota(w.account).limit_bytes, 1000);
	assert_int_equal(directory_account_change(w.store, SLICE("eve@example.org"), &change, &actor_imap), -ENOENT);
	arena_free(&arena);
	world_free(&w);
}

static void a_deleted_account_is_gone_and_its_number_too(void **state)
{
	struct account *again;
	uint64_t id, old;
	uint32_t uid;
	struct world w;
	struct append_item item = {.internaldate = INT64_MIN};

	(void)state;
	world_new(&w);
	old = w.account_id;
	assert_int_equal(directory_account_delete(w.store, SLICE("ann@example.org"), &actor_imap), 0);
	assert_int_equal(account_open(w.shard, old, &again), -ENOENT);
	item.ingest = ingest_of(&w, "Subject: late\r\n\r\n");
	assert_int_equal(mailbox_append(mailbox_inbox(w.account), &item, 1, &actor_lmtp, &uid), -ESTALE);
	ingest_free(&item.ingest);
	account_release(&w.account);
	w.account_id = 0;
	assert_int_equal(directory_account_add(w.store, SLICE("ann@example.org"), SLICE("x"), 0, NULL, &id), 0);
	assert_true(id > old);
	w.now_ms += (int64_t)w.settings.retention_s * 1000 + 1;
	assert_int_equal(store_compact(w.store), 0);
	world_close(&w);
	world_forget_index(&w);
	world_open(&w);
	w.shard = store_shard(w.store, store_shard_of(w.store, old));
	assert_int_equal(account_open(w.shard, old, &again), -ENOENT);
	w.shard = store_shard(w.store, store_shard_of(w.store, id));
	assert_int_equal(account_open(w.shard, id, &w.account), 0);
	assert_resolves(&w, "ann@example.org", 0, "ann@example.org+");
	world_free(&w);
}

static uint32_t inbox_uidvalidity(struct world *w)
{
	struct account *account;
	uint64_t id;
	uint32_t uidvalidity;

	assert_int_equal(directory_account_add(w->store, SLICE("bob@example.org"), SLICE("x"), 0, NULL, &id), 0);
	assert_int_equal(account_open(store_shard(w->store, store_shard_of(w->store, id)), id, &account), 0);
	uidvalidity = mailbox_inbox(account)->uidvalidity;
	account_release(&account);
	return uidvalidity;
}

/* RFC 9051 §2.3.1.1: a client that knew the old one must not take the new one's messages for those it has. */
static void an_account_made_again_has_new_uidvalidities(void **state)
{
	uint32_t last = 0;
	struct world w;

	(void)state;
	world_new(&w);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t uidvalidity = inbox_uidvalidity(&w);

		assert_true(uidvalidity > last);
		last = uidvalidity;
		assert_int_equal(directory_account_delete(w.store, SLICE("bob@example.org"), NULL), 0);
		w.now_ms -= i * 1000;
		if (i == 2) {
			world_close(&w);
			world_forget_index(&w);
			world_open(&w);
		}
	}
	world_free(&w);
}

static void set_disabled(struct world *w, bool disabled)
{
	struct directory_change change = {.disabled = &disabled};

	assert_int_equal(directory_account_change(w->store, SLICE("ann@example.org"), &change, NULL), 0);
	shard_tick(w->shard);
}

/* Whoever is in memory without a session is told of nothing, and is let go like everybody else. */
static void nobody_need_listen_when_an_account_is_disabled(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	w.settings.resident_accounts = 0;
	world_open(&w);
	world_account(&w);
	account_release(&w.account);
	set_disabled(&w, true);
	set_disabled(&w, false);
	assert_int_equal(account_open(w.shard, w.account_id, &w.account), 0);
	shard_tick(w.shard);
	deliver_numbered(mailbox_inbox(w.account), 1);
	world_free(&w);
}

static bool count_account(void *context, const struct directory_account *account)
{
	(void)account;
	return ++*(size_t *)context < 1000000;
}

static bool count_domain(void *context, struct slice domain)
{
	(void)domain;
	++*(size_t *)context;
	return true;
}

static void walks_keep_to_their_domain(void **state)
{
	struct world w;
	size_t count = 0;

	(void)state;
	world_new(&w);
	assert_int_equal(directory_domain_add(w.store, SLICE("example.org.example")), 0);
	assert_int_equal(directory_domain_add(w.store, SLICE("example")), 0);
	add(&w, "a@example");
	add(&w, "b@example.org.example");
	add(&w, "c@example.org");
	assert_int_equal(directory_accounts(w.store, SLICE("example.org"), count_account, &count), 0);
	assert_int_equal(count, 2);
	count = 0;
	assert_int_equal(directory_accounts(w.store, SLICE("example"), count_account, &count), 0);
	assert_int_equal(count, 1);
	count = 0;
	assert_int_equal(directory_accounts(w.store, SLICE(""), count_account, &count), 0);
	assert_int_equal(count, 4);
	count = 0;
	assert_int_equal(directory_domains(w.store, count_domain, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(directory_account_delete(w.store, SLICE("a@example"), NULL), 0);
	assert_int_equal(directory_domain_delete(w.store, SLICE("example")), 0);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_have_one_form),
		cmocka_unit_test(adding_is_refused_for_a_reason),
		cmocka_unit_test(mail_goes_where_it_should),
		cmocka_unit_test(aliases_lead_so_far),
		cmocka_unit_test(an_address_stands_for_so_many),
		cmocka_unit_test(changes_are_seen_at_once),
		cmocka_unit_test(a_deleted_account_is_gone_and_its_number_too),
		cmocka_unit_test(an_account_made_again_has_new_uidvalidities),
		cmocka_unit_test(nobody_need_listen_when_an_account_is_disabled),
		cmocka_unit_test(walks_keep_to_their_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
