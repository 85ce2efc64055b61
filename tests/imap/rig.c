#include "rig.h"

#include <ftw.h>
#include <semaphore.h>
#include <unistd.h>

enum { TICK_MS = 200, SEGMENT_BYTES = 4 << 20, POLL_US = 200, ACCOUNTS_MAX = 1000, TURNS = 20 };

static void durable(void *context, uint64_t seq)
{
	struct rig *rig = context;

	if (rig->loop)
		net_loop_release(rig->loop, seq);
}

static void failed(void *context, int error, const char *what)
{
	struct rig *rig = context;

	if (rig->failed_status)
		_exit(rig->failed_status);
	(void)fprintf(stderr, "store failed: %s: %s\n", what, strerror(-error));
	abort();
}

static void tick(void *owner)
{
	struct rig *rig = owner;

	shard_tick(rig->services.shard);
	net_timer_start(rig->tick, TICK_MS);
}

static void *run_loop(void *owner)
{
	struct rig *rig = owner;

	net_loop_run(rig->loop);
	return NULL;
}

static int open_store(struct rig *rig, const struct file_system *files)
{
	struct store_settings settings = store_settings_default();

	settings.dir = slice_of(rig->dir);
	settings.shards = 1;
	settings.segment_bytes = SEGMENT_BYTES;
	settings.files = files;
	settings.durable = durable;
	settings.failed = failed;
	settings.context = rig;
	return store_open(&settings, &rig->store);
}

static int start_in(struct rig *rig, const char *dir, const struct file_system *files)
{
	int error;

	*rig = (struct rig){0};
	(void)snprintf(rig->dir, sizeof(rig->dir), "%s", dir);
	error = net_loop_new(&rig->loop);
	if (error < 0)
		return error;
	error = open_store(rig, files);
	if (error < 0)
		return error;
	error = directory_domain_add(rig->store, SLICE("example.org"));
	if (error < 0 && error != -EEXIST)
		return error;
	rig->services = (struct imap_services){
		.loop = rig->loop,
		.shard = store_shard(rig->store, 0),
		.hostname = SLICE("imap.example.org"),
		.limits = imap_limits_default,
		.mechanisms = SLICE("SCRAM-SHA-256 PLAIN"),
	};
	error = net_timer_new(rig->loop, tick, rig, &rig->tick);
	if (error < 0)
		return error;
	net_timer_start(rig->tick, TICK_MS);
	return -pthread_create(&rig->thread, NULL, run_loop, rig);
}

int rig_start_in(struct rig *rig, const char *dir)
{
	return start_in(rig, dir, NULL);
}

int rig_start_on(struct rig *rig, const struct file_system *files)
{
	char dir[sizeof(rig->dir)];

	(void)snprintf(dir, sizeof(dir), "%s/penfold-imap-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(dir) ? start_in(rig, dir, files) : -errno;
}

int rig_start(struct rig *rig)
{
	return rig_start_on(rig, NULL);
}

struct call {
	struct net_task task;
	void (*run)(void *context);
	void *context;
	sem_t done;
};

static void call_run(struct net_task *task)
{
	struct call *call = CONTAINER_OF(task, struct call, task);

	call->run(call->context);
	(void)sem_post(&call->done);
}

void rig_call(struct rig *rig, void (*run)(void *context), void *context)
{
	struct call call = {.task.run = call_run, .run = run, .context = context};

	(void)sem_init(&call.done, 0, 0);
	net_loop_post(rig->loop, &call.task);
	while (sem_wait(&call.done) < 0)
		;
	(void)sem_destroy(&call.done);
}

static void do_nothing(void *context)
{
	(void)context;
}

/* Each call waits for a turn of the loop, more of them than anything here needs that goes on by itself. */
void rig_settle(struct rig *rig)
{
	for (int turn = 0; turn < TURNS; turn++)
		rig_call(rig, do_nothing, NULL);
}

struct count {
	struct rig *rig;
	unsigned sessions;
};

static void count_sessions(void *context)
{
	struct count *count = context;

	count->sessions = count->rig->services.session_count;
}

void rig_wait_sessions(struct rig *rig)
{
	struct count count = {rig, 0};

	for (;;) {
		rig_call(rig, count_sessions, &count);
		if (!count.sessions)
			return;
		(void)usleep(POLL_US);
	}
}

static void end(void *context)
{
	struct rig *rig = context;

	net_timer_free(&rig->tick);
	net_loop_stop(rig->loop);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

void rig_stop(struct rig *rig)
{
	rig_wait_sessions(rig);
	rig_call(rig, end, rig);
	(void)pthread_join(rig->thread, NULL);
	store_close(&rig->store);
	net_loop_free(&rig->loop);
	(void)nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int rig_account(struct rig *rig, uint64_t quota_bytes, uint64_t *ret_id)
{
	const struct actor actor = {.protocol = STORE_BY_ADMIN};
	char address[64];

	(void)snprintf(address, sizeof(address), "user%u@example.org", rig->accounts++);
	return directory_account_add(rig->store, slice_of(address), SLICE(""), quota_bytes, &actor, ret_id);
}

static int find_id(struct rig *rig, struct slice address, struct arena *arena, uint64_t *ret_id)
{
	struct directory_account found;
	int error = directory_account_find(rig->store, address, arena, &found);

	if (!error)
		*ret_id = found.id;
	return error;
}

int rig_accounts(struct rig *rig, uint64_t quota_bytes, size_t count, uint64_t *ret_ids)
{
	const struct actor actor = {.protocol = STORE_BY_ADMIN};
	static const size_t address_room = 64;
	struct directory_account *accounts;
	struct arena *arena;
	size_t added;
	int error = arena_new(1 << 20, &arena);

	if (error < 0)
		return error;
	accounts = arena_zalloc(arena, count, sizeof(*accounts));
	CHECK(accounts && count <= ACCOUNTS_MAX);
	for (size_t i = 0; i < count; i++) {
		char *address = arena_alloc(arena, address_room);

		CHECK(address);
		(void)snprintf(address, address_room, "user%u@example.org", rig->accounts++);
		accounts[i] = (struct directory_account){
			.address = slice_of(address), .quota_bytes = quota_bytes, .allowed = ALLOW_ALL};
	}
	error = directory_accounts_add(rig->store, accounts, count, &actor, &added);
	for (size_t i = 0; i < count && !error; i++)
		error = find_id(rig, accounts[i].address, arena, &ret_ids[i]);
	arena_free(&arena);
	return error;
}

struct connect {
	struct rig *rig;
	uint64_t account_id;
	struct slice pipelined;
	int fd, error;
};

static void connect_session(void *context)
{
	struct connect *c = context;
	const struct imap_start start = {
		.account_id = c->account_id,
		.address = SLICE("user@example.org"),
		.peer = SLICE("127.0.0.1:4711"),
		.session_id = 1,
		.tag = SLICE("login"),
		.pipelined = c->pipelined,
	};

	c->error = imap_session_new(&c->rig->services, c->fd, &start);
}

int rig_connect(struct rig *rig, uint64_t account_id, struct slice pipelined, int *ret_fd)
{
	struct connect c = {.rig = rig, .account_id = account_id, .pipelined = pipelined};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	c.fd = fds[1];
	rig_call(rig, connect_session, &c);
	if (c.error < 0) {
		(void)close(fds[0]);
		return c.error;
	}
	*ret_fd = fds[0];
	return 0;
}

struct delivery {
	struct rig *rig;
	uint64_t account_id;
	struct slice mailbox;
	struct ingest *ingest;
	int error;
};

static void deliver(void *context)
{
	struct delivery *d = context;
	const struct actor actor = {.protocol = STORE_BY_LMTP};
	struct append_item item = {.ingest = d->ingest, .internaldate = INT64_MIN};
	struct account *account;
	struct mailbox *mailbox;
	uint32_t uid;

	d->error = account_open(d->rig->services.shard, d->account_id, &account);
	if (d->error < 0)
		return;
	mailbox = mailbox_find(account, d->mailbox);
	d->error = mailbox ? mailbox_append(mailbox, &item, 1, &actor, &uid) : -ENOENT;
	account_release(&account);
}

int rig_deliver(struct rig *rig, uint64_t account_id, struct slice mailbox, struct slice message)
{
	struct delivery d = {.rig = rig, .account_id = account_id, .mailbox = mailbox};

	d.error = ingest_new(rig->store, &d.ingest);
	if (d.error < 0)
		return d.error;
	d.error = ingest_write(d.ingest, message);
	if (!d.error)
		d.error = ingest_finish(d.ingest);
	if (!d.error)
		rig_call(rig, deliver, &d);
	ingest_free(&d.ingest);
	return d.error;
}
