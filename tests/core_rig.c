#include "core_rig.h"

#include <fcntl.h>
#include <ftw.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { TICK_MS = 200, SEGMENT_BYTES = 4 << 20, POLL_US = 1000, POLLS = 30000, FILL_BATCH = 1000, TURNS = 20 };

static const struct actor other_device = {STORE_BY_IMAP, {"laptop", 6}, {"192.0.2.9", 9}};

/* ---- Start and end ---- */

static void durable(void *context, uint64_t seq)
{
	struct core_rig *rig = context;

	for (unsigned i = 0; i < RIG_SHARDS; i++)
		if (rig->loops[i])
			net_loop_release(rig->loops[i], seq);
}

static void failed(void *context, int error, const char *what)
{
	const struct core_rig *rig = context;

	if (rig->failed_status)
		_exit(rig->failed_status);
	(void)fprintf(stderr, "store failed: %s: %s\n", what, strerror(-error));
	abort();
}

static void tick(struct core_rig *rig, unsigned shard)
{
	shard_tick(store_shard(rig->store, shard));
	net_timer_start(rig->ticks[shard], TICK_MS);
}

static void tick_0(void *owner)
{
	tick(owner, 0);
}

static void tick_1(void *owner)
{
	tick(owner, 1);
}

static void *run_loop(void *loop)
{
	net_loop_run(loop);
	return NULL;
}

static void open_store(struct core_rig *rig, const struct file_system *files)
{
	struct store_settings settings = store_settings_default();

	settings.dir = slice_of(rig->dir);
	settings.shards = RIG_SHARDS;
	settings.segment_bytes = SEGMENT_BYTES;
	settings.files = files;
	settings.message_bytes_max = RIG_MESSAGE_MAX;
	settings.durable = durable;
	settings.failed = failed;
	settings.context = rig;
	assert_int_equal(store_open(&settings, &rig->store), 0);
}

static void make_services(struct core_rig *rig, unsigned i)
{
	rig->lmtp[i] = (struct lmtp_services){
		.loop = rig->loops[i],
		.store = rig->store,
		.loops = rig->loops,
		.hostname = SLICE("host.example.org"),
		.log = rig->log,
		.limits = lmtp_limits_default,
	};
	rig->lmtp[i].limits.message_bytes_max = RIG_MESSAGE_MAX;
	rig->pop3[i] = (struct pop3_services){
		.loop = rig->loops[i],
		.shard = store_shard(rig->store, i),
		.log = rig->log,
		.limits = pop3_limits_default,
		.mechanisms = SLICE("SCRAM-SHA-256 PLAIN"),
		.expire_days = POP3_EXPIRE_NEVER,
	};
}

static void start_in(struct core_rig *rig, const char *dir, const struct file_system *files)
{
	int error;
	static void (*const ticking[RIG_SHARDS])(void *owner) = {tick_0, tick_1};

	*rig = (struct core_rig){.store = NULL};
	(void)snprintf(rig->dir, sizeof(rig->dir), "%s", dir);
	assert_int_equal(log_new(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_DEBUG, &rig->log), 0);
	for (unsigned i = 0; i < RIG_SHARDS; i++)
		assert_int_equal(net_loop_new(&rig->loops[i]), 0);
	open_store(rig, files);
	error = directory_domain_add(rig->store, SLICE("example.org"));
	assert_true(error == 0 || error == -EEXIST);
	for (unsigned i = 0; i < RIG_SHARDS; i++) {
		make_services(rig, i);
		assert_int_equal(net_timer_new(rig->loops[i], ticking[i], rig, &rig->ticks[i]), 0);
		net_timer_start(rig->ticks[i], TICK_MS);
		assert_int_equal(pthread_create(&rig->threads[i], NULL, run_loop, rig->loops[i]), 0);
	}
}

void core_rig_start_in(struct core_rig *rig, const char *dir)
{
	start_in(rig, dir, NULL);
}

void core_rig_start_on(struct core_rig *rig, const struct file_system *files)
{
	char dir[64];

	(void)snprintf(dir, sizeof(dir), "%s/penfold-rig-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(dir));
	start_in(rig, dir, files);
}

void core_rig_start(struct core_rig *rig)
{
	core_rig_start_on(rig, NULL);
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

void core_rig_call(struct core_rig *rig, unsigned shard, void (*run)(void *context), void *context)
{
	struct call call = {.task.run = call_run, .run = run, .context = context};

	(void)sem_init(&call.done, 0, 0);
	net_loop_post(rig->loops[shard], &call.task);
	while (sem_wait(&call.done) < 0)
		;
	(void)sem_destroy(&call.done);
}

static void do_nothing(void *context)
{
	(void)context;
}

/* Each call waits for a turn of a loop, more of them than anything here needs that goes on by itself, from shard to shard. */
void core_rig_settle(struct core_rig *rig)
{
	for (unsigned turn = 0; turn < TURNS * RIG_SHARDS; turn++)
		core_rig_call(rig, turn % RIG_SHARDS, do_nothing, NULL);
}

struct counting {
	struct core_rig *rig;
	unsigned shard, sessions;
};

static void count_sessions(void *context)
{
	struct counting *c = context;

	c->sessions += c->rig->lmtp[c->shard].session_count + c->rig->pop3[c->shard].session_count;
}

void core_rig_wait_sessions(struct core_rig *rig)
{
	for (int polls = 0; polls < POLLS; polls++) {
		struct counting c = {.rig = rig};

		for (c.shard = 0; c.shard < RIG_SHARDS; c.shard++)
			core_rig_call(rig, c.shard, count_sessions, &c);
		if (c.sessions == 0)
			return;
		(void)usleep(POLL_US);
	}
	fail_msg("sessions do not end");
}

struct ending {
	struct core_rig *rig;
	unsigned shard;
};

static void end_loop(void *context)
{
	struct ending *e = context;

	net_timer_free(&e->rig->ticks[e->shard]);
	net_loop_stop(e->rig->loops[e->shard]);
}

static int remove_one(const char *path, const struct stat *info UNUSED, int kind UNUSED, struct FTW *where UNUSED)
{
	return remove(path);
}

void core_rig_stop(struct core_rig *rig)
{
	core_rig_wait_sessions(rig);
	for (unsigned i = 0; i < RIG_SHARDS; i++) {
		struct ending e = {rig, i};

		core_rig_call(rig, i, end_loop, &e);
		assert_int_equal(pthread_join(rig->threads[i], NULL), 0);
	}
	store_close(&rig->store);
	for (unsigned i = 0; i < RIG_SHARDS; i++)
		net_loop_free(&rig->loops[i]);
	log_free(&rig->log);
	(void)nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Connections ---- */

struct connecting {
	struct core_rig *rig;
	unsigned shard;
	int fd, error;
	struct pop3_start start;
};

static void connect_lmtp(void *context)
{
	struct connecting *c = context;
	struct sockaddr_storage peer = {.ss_family = AF_UNIX};

	c->error = lmtp_session_new(&c->rig->lmtp[c->shard], c->fd, &peer);
}

static void connect_pop3(void *context)
{
	struct connecting *c = context;

	c->error = pop3_session_new(&c->rig->pop3[c->shard], c->fd, &c->start);
}

static struct transcript_socket connect_session(struct connecting *c, void (*start)(void *context))
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	c->fd = fds[1];
	core_rig_call(c->rig, c->shard, start, c);
	assert_int_equal(c->error, 0);
	return (struct transcript_socket){.fd = fds[0], .input = BUFFER_INIT(64 << 20)};
}

struct transcript_socket core_rig_lmtp(struct core_rig *rig, unsigned loop)
{
	struct connecting c = {.rig = rig, .shard = loop};

	return connect_session(&c, connect_lmtp);
}

struct transcript_socket core_rig_pop3(
	struct core_rig *rig, uint64_t account, const char *device, const char *pipelined)
{
	struct connecting c = {
		.rig = rig,
		.shard = store_shard_of(rig->store, account),
		.start = {account, SLICE("ann@example.org"), SLICE("192.0.2.1"), slice_of(device), 0x5e55, true, false,
			slice_of(pipelined)},
	};

	return connect_session(&c, connect_pop3);
}

void core_rig_hang_up(struct transcript_socket *socket)
{
	(void)close(socket->fd);
	buffer_free(&socket->input);
}

void core_rig_play(struct transcript_socket *socket, const char *text)
{
	struct transcript io = transcript_over(socket);

	transcript_play(&io, text);
}

static void send_stuffed(const struct transcript *io, struct slice message)
{
	struct buffer stuffed = BUFFER_INIT(64 << 20);

	for (size_t i = 0; i < message.len; i++) {
		if (message.at[i] == '.' &&
			(i == 0 || (i >= 2 && message.at[i - 1] == '\n' && message.at[i - 2] == '\r')))
			buffer_put_byte(&stuffed, '.');
		buffer_put_byte(&stuffed, message.at[i]);
	}
	assert_int_equal(buffer_error(&stuffed), 0);
	io->send(io->context, buffer_slice(&stuffed));
	buffer_free(&stuffed);
}

void core_rig_deliver(struct core_rig *rig, const char *recipient, struct slice message)
{
	struct transcript_socket s = core_rig_lmtp(rig, 0);
	struct transcript io = transcript_over(&s);
	struct buffer rcpt = BUFFER_INIT(500);

	buffer_printf(&rcpt,
		"S: 220 *\nC: LHLO mx.example.net\nS: 250-host.example.org\nS: 250-*\nS: 250-*\nS: 250-*\n"
		"S: 250-*\nS: 250-*\nS: 250 *\nC: MAIL FROM:<sender@example.net>\nS: 250 *\n"
		"C: RCPT TO:<%s>\nS: 250 *\nC: DATA\nS: 354 *\n",
		recipient);
	transcript_play(&io, buffer_text(&rcpt));
	send_stuffed(&io, message);
	transcript_play(&io, "C: .\nS: 250 2.1.5 *\nC: QUIT\nS: 221 *\nS. closed\n");
	core_rig_hang_up(&s);
	buffer_free(&rcpt);
}

/* ---- Accounts ---- */

uint64_t core_rig_account(struct core_rig *rig, const char *address, uint64_t quota_bytes)
{
	const struct actor admin = {.protocol = STORE_BY_ADMIN};
	uint64_t id;

	assert_int_equal(
		directory_account_add(rig->store, slice_of(address), (struct slice){NULL, 0}, quota_bytes, &admin, &id),
		0);
	return id;
}

struct looking {
	struct core_rig *rig;
	uint64_t account_id;
	const char *mailbox;
	struct account *account;
	struct buffer *out;
	uint32_t count, uid;
	int error;
	void (*run)(struct looking *l, struct mailbox *mailbox);
};

static void look(void *context)
{
	struct looking *l = context;
	unsigned shard = store_shard_of(l->rig->store, l->account_id);
	struct mailbox *mailbox;

	l->error = account_open(store_shard(l->rig->store, shard), l->account_id, &l->account);
	if (l->error)
		return;
	mailbox = l->mailbox ? mailbox_find(l->account, slice_of(l->mailbox)) : mailbox_inbox(l->account);
	l->run(l, mailbox);
	account_release(&l->account);
}

static void look_on_shard(struct looking *l)
{
	core_rig_call(l->rig, store_shard_of(l->rig->store, l->account_id), look, l);
	assert_int_equal(l->error, 0);
}

static void count_messages(struct looking *l, struct mailbox *mailbox)
{
	l->count = mailbox ? mailbox->messages : 0;
}

uint32_t core_rig_count(struct core_rig *rig, uint64_t account, const char *mailbox)
{
	struct looking l = {.rig = rig, .account_id = account, .mailbox = mailbox, .run = count_messages};

	look_on_shard(&l);
	return l.count;
}

static void read_newest(struct looking *l, struct mailbox *mailbox)
{
	struct entry entry = {0};
	struct body_reader *reader;

	while (mailbox_entry_from(mailbox, entry.uid + 1, &entry, &l->error))
		;
	if (l->error || !entry.uid)
		return;
	l->error = body_reader_new(l->account, entry.email, &reader);
	if (l->error)
		return;
	l->error = body_reader_read(reader, 0, entry.bytes, l->out);
	body_reader_free(&reader);
}

void core_rig_newest(struct core_rig *rig, uint64_t account, const char *mailbox, struct buffer *out)
{
	struct looking l = {.rig = rig, .account_id = account, .mailbox = mailbox, .run = read_newest, .out = out};

	look_on_shard(&l);
	assert_int_equal(buffer_error(out), 0);
}

static void expunge_one(struct looking *l, struct mailbox *mailbox)
{
	const struct uid_range range = {l->uid, l->uid};
	struct uid_list expunged = UID_LIST_INIT(10);

	l->error = entries_expunge(mailbox, (struct uid_set){&range, 1}, false, &other_device, &expunged);
	uid_list_free(&expunged);
}

void core_rig_expunge(struct core_rig *rig, uint64_t account, uint32_t uid)
{
	struct looking l = {.rig = rig, .account_id = account, .run = expunge_one, .uid = uid};

	look_on_shard(&l);
}

static void make_mailbox(struct looking *l, struct mailbox *mailbox)
{
	l->error = mailbox ? -EEXIST : mailbox_create(l->account, slice_of(l->mailbox), 0, &other_device, &mailbox);
}

void core_rig_mailbox(struct core_rig *rig, uint64_t account, const char *mailbox)
{
	struct looking l = {.rig = rig, .account_id = account, .mailbox = mailbox, .run = make_mailbox};

	look_on_shard(&l);
}

static void fill(struct looking *l, struct mailbox *mailbox)
{
	struct append_item items[FILL_BATCH];
	struct ingest *ingest = NULL;
	uint32_t uid;

	l->error = ingest_new(l->rig->store, &ingest);
	if (l->error == 0)
		l->error = ingest_write(ingest, SLICE("Subject: one of many\r\n\r\nHello\r\n"));
	if (l->error == 0)
		l->error = ingest_finish(ingest);
	for (size_t i = 0; i < FILL_BATCH; i++)
		items[i] = (struct append_item){.ingest = ingest, .internaldate = INT64_MIN};
	for (uint32_t done = 0; done < l->count && l->error == 0; done += FILL_BATCH)
		l->error =
			mailbox_append(mailbox, items, MIN((uint32_t)FILL_BATCH, l->count - done), &other_device, &uid);
	ingest_free(&ingest);
}

void core_rig_fill(struct core_rig *rig, uint64_t account, uint32_t count)
{
	struct looking l = {.rig = rig, .account_id = account, .run = fill, .count = count};

	look_on_shard(&l);
}
