#include "load.h"

#include <pthread.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fiber.h"

enum { EVENTS = 256, TICK_MS = 100 };

/* One thread's share of the clients: those whose index is its own, modulo the number of threads. */
struct worker {
	struct load *load;
	struct stats stats;
	struct client *clients;
	unsigned count, left, sleepers;
	int epoll;
	pthread_t thread;
};

uint64_t load_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t client_chance(struct client *client, uint64_t of)
{
	uint64_t z = (client->random += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return ((z ^ (z >> 31)) >> 32) * of >> 32;
}

/* ---- From inside a fiber ---- */

int client_wait(struct client *client)
{
	client->ready = false;
	client->wake_ns = load_now() + (uint64_t)client->load->timeout_ms * 1000000;
	while (!client->ready) {
		fiber_yield(client->fiber);
		if (!client->ready && load_now() >= client->wake_ns)
			return -ETIMEDOUT;
	}
	return 0;
}

void client_sleep(struct client *client, unsigned ms)
{
	client->wake_ns = load_now() + (uint64_t)ms * 1000000;
	client->sleeping = true;
	client->worker->sleepers++;
	while (load_now() < client->wake_ns)
		fiber_yield(client->fiber);
	client->worker->sleepers--;
	client->sleeping = false;
}

static void arrived(struct client *client)
{
	uint64_t none = 0;

	if (client->arrived)
		return;
	client->arrived = true;
	if (atomic_fetch_add(&client->load->arrived, 1) + 1 == client->load->clients)
		(void)atomic_compare_exchange_strong(&client->load->start_ns, &none, load_now());
}

void client_arrive(struct client *client)
{
	arrived(client);
	while (atomic_load(&client->load->start_ns) == 0)
		client_sleep(client, 1);
}

bool client_next(struct client *client, uint64_t *ret_number)
{
	struct load *load = client->load;
	double passed = (double)(load_now() - atomic_load(&load->start_ns)) / 1e9;
	uint64_t number;

	/* A server that answers nothing right is not worth waiting for. */
	if ((load->seconds > 0 && passed >= load->seconds) || atomic_load(&load->errors) > 1000)
		return false;
	number = atomic_fetch_add(&load->taken, 1);
	if (load->count && number >= load->count)
		return false;
	if (load->gap_ms)
		client_sleep(client, load->gap_ms);
	*ret_number = number;
	return true;
}

void client_done(struct client *client, uint64_t since_ns, uint64_t ops, uint64_t bytes)
{
	struct stats *stats = &client->worker->stats;
	uint64_t now = load_now();

	if (stats->count == stats->room) {
		stats->room = stats->room ? stats->room * 2 : 4096;
		stats->latencies_ns = realloc(stats->latencies_ns, stats->room * sizeof(*stats->latencies_ns));
		CHECK(stats->latencies_ns);
	}
	if (stats->count == 0)
		stats->first_ns = now - since_ns;
	stats->latencies_ns[stats->count++] = now - since_ns;
	stats->last_ns = now;
	stats->ops += ops;
	stats->bytes += bytes;
}

int client_error(struct client *client, const char *format, ...)
{
	struct stats *stats = &client->worker->stats;
	va_list args;

	atomic_fetch_add(&client->load->errors, 1);
	if (stats->note[0])
		return -EBADMSG;
	va_start(args, format);
	(void)vsnprintf(stats->note, sizeof(stats->note), format, args);
	va_end(args);
	return -EBADMSG;
}

const char *client_user(struct client *client, uint64_t number, char ret_name[static 128])
{
	const struct load *load = client->load;

	(void)snprintf(ret_name, 128, "user%llu@%s", (unsigned long long)(load->first_user + number % load->users),
		load->domain);
	return ret_name;
}

/* ---- The loop ---- */

void worker_watch(struct worker *worker, int fd, struct client *client)
{
	/* Edges only: a fiber waits only after the kernel has said that it would block. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = client};

	CHECK(epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void live(void *context)
{
	struct client *client = context;

	client->load->workload->run(client);
	arrived(client);
}

static void resume(struct worker *worker, struct client *client)
{
	if (client->over || fiber_resume(client->fiber))
		return;
	client->over = true;
	worker->left--;
	buffer_free(&client->scratch);
	fiber_free((struct fiber **)&client->fiber);
}

static void wake_late_ones(struct worker *worker, uint64_t now)
{
	for (unsigned i = 0; i < worker->count; i++) {
		struct client *client = &worker->clients[i];

		if (!client->over && client->wake_ns <= now)
			resume(worker, client);
	}
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct epoll_event events[EVENTS];
	uint64_t looked = load_now();

	for (unsigned i = 0; i < worker->count; i++)
		resume(worker, &worker->clients[i]);
	while (worker->left) {
		int n = epoll_wait(worker->epoll, events, EVENTS, worker->sleepers ? 1 : TICK_MS);
		uint64_t now = load_now();

		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;

			client->ready = true;
			if (!client->sleeping)
				resume(worker, client);
		}
		if (now - looked >= (worker->sleepers ? 1 : TICK_MS) * 1000000ULL) {
			wake_late_ones(worker, now);
			looked = now;
		}
	}
	return NULL;
}

static void worker_init(struct worker *worker, struct load *load, unsigned first)
{
	worker->load = load;
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	CHECK(worker->epoll >= 0);
	worker->clients = calloc(load->clients / load->threads + 1, sizeof(*worker->clients));
	CHECK(worker->clients);
	for (unsigned i = first; i < load->clients; i += load->threads) {
		struct client *client = &worker->clients[worker->count++];

		*client = (struct client){.worker = worker, .load = load, .index = i, .random = i + 1};
		client->scratch = BUFFER_INIT(MESSAGE_MAX);
		client->fiber = fiber_new(live, client);
	}
	worker->left = worker->count;
}

static void add_up(struct stats *sum, const struct stats *stats)
{
	sum->ops += stats->ops;
	sum->bytes += stats->bytes;
	sum->last_ns = MAX(sum->last_ns, stats->last_ns);
	if (!sum->first_ns)
		sum->first_ns = stats->first_ns;
	if (!sum->note[0])
		(void)snprintf(sum->note, sizeof(sum->note), "%s", stats->note);
	if (!stats->count)
		return;
	sum->room = sum->count + stats->count;
	sum->latencies_ns = realloc(sum->latencies_ns, sum->room * sizeof(*sum->latencies_ns));
	CHECK(sum->latencies_ns);
	memcpy(sum->latencies_ns + sum->count, stats->latencies_ns, stats->count * sizeof(*stats->latencies_ns));
	sum->count = sum->room;
}

void load_run(struct load *load, struct stats *ret_stats)
{
	struct worker *workers = calloc(load->threads, sizeof(*workers));

	CHECK(workers);
	for (unsigned i = 0; i < load->threads; i++)
		worker_init(&workers[i], load, i);
	for (unsigned i = 0; i < load->threads; i++)
		CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	for (unsigned i = 0; i < load->threads; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		add_up(ret_stats, &workers[i].stats);
		(void)close(workers[i].epoll);
		free(workers[i].clients);
		free(workers[i].stats.latencies_ns);
	}
	free(workers);
}
