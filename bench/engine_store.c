#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "store/directory.h"
#include "store/email.h"

enum { ACCOUNTS = 1000, TICK_US = 200000 };

/*
 * As in the server: sessions live on their shard's loop. One takes a message in, delivers it, and has its answer held back until the journal says
 * that it is durable; meanwhile the loop serves the others.
 */
struct session {
	uint64_t waits_for; /* 0: ready for its next message */
};

struct delivery {
	const struct bench *bench;
	struct store *store;
	_Atomic unsigned next;
	_Atomic uint64_t durable;
	pthread_mutex_t lock;
	pthread_cond_t news;
	pthread_barrier_t start;
};

struct loop {
	pthread_t id;
	struct delivery *delivery;
	struct shard *shard;
	uint64_t accounts[ACCOUNTS];
	unsigned account_count, session_count;
	struct session sessions[BENCH_WRITERS_MAX];
};

static void on_durable(void *context, uint64_t seq)
{
	struct delivery *d = context;

	pthread_mutex_lock(&d->lock);
	atomic_store(&d->durable, seq);
	pthread_cond_broadcast(&d->news);
	pthread_mutex_unlock(&d->lock);
}

static void on_failed(void *context, int error, const char *what)
{
	(void)context;
	(void)fprintf(stderr, "store: %s: %s\n", what, strerror(-error));
	abort();
}

static uint64_t deliver(struct loop *loop, unsigned number)
{
	struct delivery *d = loop->delivery;
	struct slice bytes = buffer_slice(&d->bench->messages->pool[number % BENCH_POOL]);
	struct actor actor = {STORE_BY_LMTP, SLICE("mx.example.org"), SLICE("192.0.2.1")};
	struct append_item item = {.internaldate = INT64_MIN};
	struct account *account;
	uint32_t uid;
	uint64_t seq;

	CHECK(ingest_new(d->store, &item.ingest) == 0);
	CHECK(ingest_write(item.ingest, bytes) == 0 && ingest_finish(item.ingest) == 0);
	CHECK(account_open(loop->shard, loop->accounts[number % loop->account_count], &account) == 0);
	CHECK(mailbox_append(mailbox_inbox(account), &item, 1, &actor, &uid) == 0);
	seq = account_seq(account);
	account_release(&account);
	ingest_free(&item.ingest);
	return seq;
}

/* False: nothing is left to take in and nothing waits. */
static bool turn(struct loop *loop, uint64_t durable, bool *ret_idle)
{
	struct delivery *d = loop->delivery;
	bool alive = false;

	*ret_idle = true;
	for (unsigned i = 0; i < loop->session_count; i++) {
		struct session *session = &loop->sessions[i];
		unsigned number;

		if (session->waits_for > durable) {
			alive = true;
			continue;
		}
		session->waits_for = 0;
		number = atomic_fetch_add(&d->next, 1);
		if (number >= d->bench->count)
			continue;
		session->waits_for = deliver(loop, number);
		*ret_idle = false;
		alive = true;
	}
	return alive;
}

static void *loop_run(void *arg)
{
	struct loop *loop = arg;
	struct delivery *d = loop->delivery;
	double ticked = bench_now();
	uint64_t durable = 0;
	bool idle;

	(void)pthread_barrier_wait(&d->start);
	while (turn(loop, durable, &idle)) {
		if (idle) {
			pthread_mutex_lock(&d->lock);
			while (atomic_load(&d->durable) == durable)
				pthread_cond_wait(&d->news, &d->lock);
			pthread_mutex_unlock(&d->lock);
		}
		durable = atomic_load(&d->durable);
		if (bench_now() - ticked > TICK_US / 1e6) {
			shard_tick(loop->shard);
			ticked = bench_now();
		}
	}
	return NULL;
}

static void add_accounts(struct store *store)
{
	struct directory_account *accounts = calloc(ACCOUNTS, sizeof(*accounts));
	struct arena *arena;
	struct actor actor = {.protocol = STORE_BY_ADMIN};
	size_t added;

	CHECK(accounts && arena_new(1048576, &arena) == 0);
	CHECK(directory_domain_add(store, SLICE("example.org")) == 0);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "user%u@example.org", i);
		accounts[i].allowed = ALLOW_ALL;
		CHECK(arena_copy(arena, slice_of(name), &accounts[i].address) == 0);
	}
	CHECK(directory_accounts_add(store, accounts, ACCOUNTS, &actor, &added) == 0);
	arena_free(&arena);
	free(accounts);
}

static void find_accounts(struct store *store, struct loop *loops)
{
	struct arena *arena;

	CHECK(arena_new(1048576, &arena) == 0);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		struct directory_account found;
		struct loop *loop;
		char name[64];

		(void)snprintf(name, sizeof(name), "user%u@example.org", i);
		CHECK(directory_account_find(store, slice_of(name), arena, &found) == 0);
		loop = &loops[store_shard_of(store, found.id)];
		loop->accounts[loop->account_count++] = found.id;
	}
	arena_free(&arena);
}

static struct store *open_store(unsigned writers, struct delivery *delivery, const char *dir)
{
	struct store_settings settings = store_settings_default();
	struct store *store;

	settings.dir = slice_of(dir);
	settings.shards = (unsigned)MIN(MAX(sysconf(_SC_NPROCESSORS_ONLN), 1), STORE_SHARDS_MAX);
	settings.shards = MIN(settings.shards, writers);
	settings.durable = on_durable;
	settings.failed = on_failed;
	settings.context = delivery;
	CHECK(mkdir(dir, 0700) == 0 || errno == EEXIST);
	CHECK(store_open(&settings, &store) == 0);
	return store;
}

static double run_loops(struct delivery *delivery, struct loop *loops, unsigned count)
{
	double began;

	CHECK(pthread_barrier_init(&delivery->start, NULL, count + 1) == 0);
	for (unsigned i = 0; i < count; i++) {
		loops[i].delivery = delivery;
		loops[i].shard = store_shard(delivery->store, i);
		loops[i].session_count =
			delivery->bench->writers / count + (i < delivery->bench->writers % count ? 1 : 0);
		CHECK(pthread_create(&loops[i].id, NULL, loop_run, &loops[i]) == 0);
	}
	(void)pthread_barrier_wait(&delivery->start);
	began = bench_now();
	for (unsigned i = 0; i < count; i++)
		CHECK(pthread_join(loops[i].id, NULL) == 0);
	pthread_barrier_destroy(&delivery->start);
	return bench_now() - began;
}

/*
 * What a new store does once - the dictionary for small messages is made from the first ones - is not what is measured: a first round goes
 * before, and then all the work in the background is waited for.
 */
static void warm_up(struct delivery *delivery, struct loop *loops)
{
	double before;

	(void)run_loops(delivery, loops, store_shard_count(delivery->store));
	atomic_store(&delivery->next, 0);
	CHECK(store_wait_applied(delivery->store, store_durable_seq(delivery->store)) == 0);
	do {
		before = bench_cpu();
		(void)usleep(300000);
	} while (bench_cpu() - before > 0.03);
}

struct result bench_store(const struct bench *bench)
{
	struct delivery delivery = {
		.bench = bench, .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
	struct store_stats before, after;
	struct result result;
	struct loop *loops;
	char dir[4096];

	(void)snprintf(dir, sizeof(dir), "%s/store", bench->dir);
	delivery.store = open_store(bench->writers, &delivery, dir);
	loops = calloc(store_shard_count(delivery.store), sizeof(*loops));
	CHECK(loops);
	add_accounts(delivery.store);
	find_accounts(delivery.store, loops);
	warm_up(&delivery, loops);
	store_stats(delivery.store, &before);
	result.cpu_seconds = bench_cpu();
	result.seconds = run_loops(&delivery, loops, store_shard_count(delivery.store));
	store_stats(delivery.store, &after);
	/* What is still to be applied belongs to it. */
	CHECK(store_wait_applied(delivery.store, store_durable_seq(delivery.store)) == 0);
	result.cpu_seconds = bench_cpu() - result.cpu_seconds;
	result.syncs = after.syncs - before.syncs;
	result.bytes = after.record_bytes - before.record_bytes;
	store_close(&delivery.store);
	bench_remove(dir);
	free(loops);
	return result;
}

/* ---- Recovery ---- */

static void fill(const struct bench *bench, const char *dir)
{
	struct delivery delivery = {
		.bench = bench, .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
	struct loop *loops;

	delivery.store = open_store(bench->writers, &delivery, dir);
	loops = calloc(store_shard_count(delivery.store), sizeof(*loops));
	CHECK(loops);
	find_accounts(delivery.store, loops);
	(void)run_loops(&delivery, loops, store_shard_count(delivery.store));
	store_close(&delivery.store);
	free(loops);
}

static double time_opening(const char *dir, uint64_t *ret_applied)
{
	struct delivery delivery = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
	double seconds = bench_now();

	delivery.store = open_store(1, &delivery, dir);
	seconds = bench_now() - seconds;
	*ret_applied = store_applied_seq(delivery.store);
	store_close(&delivery.store);
	return seconds;
}

static void copy_file(const char *from, const char *to)
{
	static char piece[1 << 20];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t got;

	CHECK(in && out);
	while ((got = fread(piece, 1, sizeof(piece), in)) > 0)
		CHECK(fwrite(piece, 1, got, out) == got);
	CHECK(fclose(in) == 0 && fclose(out) == 0);
}

/* An index as it was before the messages came is what a crash leaves at worst: all of them are the tail to be folded again. */
void bench_recovery(const struct bench *bench)
{
	struct delivery delivery = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
	char dir[4096], index[4200], old[4200];
	uint64_t before, tail, all;
	double replay, rebuild;

	(void)snprintf(dir, sizeof(dir), "%s/recovery", bench->dir);
	(void)snprintf(index, sizeof(index), "%s/index/data.mdb", dir);
	(void)snprintf(old, sizeof(old), "%s/old.mdb", bench->dir);
	delivery.store = open_store(1, &delivery, dir);
	add_accounts(delivery.store);
	before = store_durable_seq(delivery.store);
	store_close(&delivery.store);
	copy_file(index, old);
	fill(bench, dir);
	copy_file(old, index);
	replay = time_opening(dir, &tail);
	(void)snprintf(index, sizeof(index), "%s/index", dir);
	bench_remove(index);
	rebuild = time_opening(dir, &all);
	printf("\nrecovery of a tail of %llu records (%u messages): %.2f s; of everything, without an index: %.2f s\n",
		(unsigned long long)(tail - before), bench->count, replay, rebuild);
	bench_remove(dir);
}
