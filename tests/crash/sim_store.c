#include "sim_store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/ids.h"

const char *const sim_addresses[PLAIN_ACCOUNTS] = {"ann@example.org", "bob@example.org", "cid@example.org"};
const char *const sim_domains[PLAIN_DOMAINS] = {"example.org", "example.net", "example.com"};
const char *const sim_aliases[PLAIN_ALIASES] = {"all@example.org", "info@example.org", "team@example.org"};
const char *const sim_keywords[PLAIN_KEYWORDS] = {"$One", "$Two", "$Three", "$Four"};

uint64_t sim_chance(struct sim_store *sim, uint64_t of)
{
	sim->random ^= sim->random << 13;
	sim->random ^= sim->random >> 7;
	sim->random ^= sim->random << 17;
	return (sim->random * 0x2545f4914f6cdd1dULL >> 33) % of;
}

void sim_say(struct sim_store *sim, const char *format, ...)
{
	va_list args;

	if (!sim->verbose)
		return;
	(void)fprintf(stderr, "[%u] ", sim->round);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
}

void sim_wrong(struct sim_store *sim, const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "seed %llu, life %u: ", (unsigned long long)sim->seed, sim->round);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
	_exit(1);
}

/* ---- Time and chance, for the store ---- */

static int64_t wall_ms(void *context)
{
	struct sim_store *sim = context;

	return 1772359200000 + sim->skew_ms + sim_threads_now_us(sim->threads) / 1000;
}

static int64_t monotonic_us(void *context)
{
	return sim_threads_now_us(((struct sim_store *)context)->threads);
}

static void random_bytes(void *context, void *bytes, size_t len)
{
	struct sim_store *sim = context;
	unsigned char *to = bytes;

	for (size_t i = 0; i < len; i++) {
		sim->clock_random = sim->clock_random * 6364136223846793005u + 1442695040888963407u;
		to[i] = (unsigned char)(sim->clock_random >> 56);
	}
}

/* ---- What the store says ---- */

static void durable(void *context, uint64_t seq)
{
	struct sim_store *sim = context;

	if (sim_files_is_stopped(sim->files)) /* a sync that was in time, but nobody can be told any more */
		return;
	if (seq <= sim->promised || seq > sim->appended)
		sim_wrong(sim, "record %llu was called durable after %llu", (unsigned long long)seq,
			(unsigned long long)sim->promised);
	sim->promised = seq;
}

static void failed(void *context, int error, const char *what)
{
	struct sim_store *sim = context;

	sim_say(sim, "failed: %s: %s", what, strerror(-error));
	if (sim->failed)
		sim_wrong(sim, "it failed twice");
	if (!sim->faults && !sim_files_is_stopped(sim->files))
		sim_wrong(sim, "failed: %s: %s", what, strerror(-error));
	sim->failed = true;
	sim->seen->failures += sim->faults;
	for (unsigned i = 0; sim->faults && i < sim->open_count; i++)
		sim->seen->records_failed[sim->open_records[i].kind] += sim->open_records[i].seq > sim->promised;
}

static void notice(void *context, const char *event, struct slice detail)
{
	struct sim_store *sim = context;

	sim_say(sim, "%s: %.*s", event, SLICE_ARG(detail));
	if (strcmp(event, "journal-damaged") == 0 || strcmp(event, "journal-short") == 0 ||
		strcmp(event, "email-damaged") == 0)
		sim_wrong(sim, "%s: %.*s", event, SLICE_ARG(detail));
	sim->seen->rebuilt += strcmp(event, "index-damaged") == 0;
}

/* ---- Records on their way ---- */

static void take_made_mailbox(struct sim_store *sim, const struct op_mailbox *op)
{
	char name[PLAIN_NAME_ROOM];
	struct plain_mailbox *mailbox;

	(void)snprintf(name, sizeof(name), "%.*s", SLICE_ARG(op->name));
	mailbox = plain_mailbox(&sim->next, name);
	if (!mailbox || mailbox->id)
		sim_wrong(sim, "mailbox %s was made", name);
	if (plain_mailbox_by_id(&sim->next, op->id))
		sim_wrong(sim, "mailbox %s got the id of another one", name);
	if (op->uidvalidity <= sim->plain->uidvalidity_floor[sim->which])
		sim_wrong(sim, "mailbox %s got UIDVALIDITY %u, there has been %u", name, op->uidvalidity,
			sim->plain->uidvalidity_floor[sim->which]);
	sim_say(sim, "mailbox %s gets id %llx", name, (unsigned long long)op->id);
	mailbox->id = op->id;
	mailbox->uidvalidity = op->uidvalidity;
}

static void take_emails(struct sim_store *sim, const struct op_append *op)
{
	struct plain_mailbox *mailbox = plain_mailbox_by_id(&sim->next, op->mailbox);
	struct reader r = op_list_reader(op->items);
	struct append_entry item;

	for (unsigned i = 0; mailbox && i < mailbox->count; i++)
		if (!mailbox->messages[i].email && append_entry_next(&r, &item))
			mailbox->messages[i].email = item.email.id;
}

static unsigned account_of(const struct sim_store *sim, uint64_t id)
{
	unsigned i = 0;

	while (i < PLAIN_ACCOUNTS && !(sim->plain->now[i].there && sim->plain->now[i].id == id))
		i++;
	return i;
}

/* By retention, on its own. */
static void take_purge(struct sim_store *sim, uint64_t account, const struct op_purge *op, uint64_t seq)
{
	unsigned which = account_of(sim, account);

	if (which == PLAIN_ACCOUNTS)
		return;
	plain_purge(&sim->plain->now[which], op->mailbox, op->modseq);
	if (sim->changing && sim->which == which)
		plain_purge(&sim->next, op->mailbox, op->modseq);
	(void)seq;
}

static void take_ops(struct sim_store *sim, const struct record *record, struct slice change, unsigned *ret_ops)
{
	bool mine = sim_threads_is_main(sim->threads) && record->kind == RECORD_CHANGE;
	struct reader r = READER_INIT(change);
	struct change_head head;
	struct op op;

	if (record->kind == RECORD_CHANGE)
		change_head_read(&r, &head);
	while (op_next(&r, &op)) {
		*ret_ops |= 1u << op.kind;
		if (mine && op.kind == OP_MAILBOX_CREATE)
			take_made_mailbox(sim, &op.mailbox);
		else if (mine && op.kind == OP_APPEND)
			take_emails(sim, &op.append);
		else if (mine && op.kind == OP_ACCOUNT_SET && sim->which < PLAIN_ACCOUNTS)
			sim->next.id = record->account;
		else if (op.kind == OP_PURGE)
			take_purge(sim, record->account, &op.purge, record->seq);
	}
	CHECK(!reader_error(&r));
}

/* Is it the change that is being made, and not one that the store makes by itself in the same thread? */
static bool is_change(const struct sim_store *sim, const struct record *record, unsigned ops)
{
	return sim->changing && !sim->committed && record->kind == RECORD_CHANGE && sim_threads_is_main(sim->threads) &&
	       !(ops & (1u << OP_PURGE | 1u << OP_ACCOUNT_PURGE | 1u << OP_RELOCATE));
}

static void take_change(struct sim_store *sim, uint64_t seq)
{
	if (sim->which == PLAIN_DIRECTORY)
		sim->plain->directory_now = sim->next_directory;
	else
		sim->plain->now[sim->which] = sim->next;
	sim->committed = true;
	plain_changed(sim->plain, sim->which, seq);
}

static void forget_durable(struct sim_store *sim)
{
	unsigned left = 0;

	for (unsigned i = 0; i < sim->open_count; i++)
		if (sim->open_records[i].seq > sim->promised)
			sim->open_records[left++] = sim->open_records[i];
	sim->open_count = left;
}

static void note_record(struct sim_store *sim, const struct record *record, unsigned ops)
{
	sim->seen->records[record->kind]++;
	for (unsigned i = 0; i < OP_KINDS; i++)
		sim->seen->ops[i] += ops >> i & 1;
	if (sim->open_count == ARRAY_LEN(sim->open_records))
		forget_durable(sim);
	if (sim->open_count == ARRAY_LEN(sim->open_records))
		return;
	sim->open_records[sim->open_count].seq = record->seq;
	sim->open_records[sim->open_count].kind = record->kind;
	sim->open_records[sim->open_count++].ops = ops;
}

static void take_record(struct sim_store *sim, const struct record *record, struct slice payload)
{
	struct slice change = payload;
	uint32_t bodies_at;
	unsigned ops = 0;

	if (record->seq != sim->appended + 1)
		sim_wrong(sim, "record %llu came after %llu", (unsigned long long)record->seq,
			(unsigned long long)sim->appended);
	sim->appended = record->seq;
	if (record->kind == RECORD_CHANGE)
		CHECK(change_split(payload, &change, &bodies_at) == 0);
	if (record->kind == RECORD_CHANGE || record->kind == RECORD_SNAPSHOT_PART)
		take_ops(sim, record, change, &ops);
	note_record(sim, record, ops);
	if (is_change(sim, record, ops)) {
		take_change(sim, record->seq);
	} else if (ops & 1u << OP_PURGE) {
		unsigned which = account_of(sim, record->account);

		if (which < PLAIN_ACCOUNTS)
			plain_changed(sim->plain, which, record->seq);
	}
}

static struct sim_store *sim_of(struct durability *tap)
{
	return CONTAINER_OF(tap, struct sim_store, tap);
}

static int tap_append(
	struct durability *d, struct record *record, const struct slice *parts, size_t part_count, bool small_reserve)
{
	struct sim_store *sim = sim_of(d);
	int error;

	error = sim->log->ops->append(sim->log, record, parts, part_count, small_reserve);
	/* The engine's first part is the change, of snapshots the second. */
	if (!error)
		take_record(sim, record, parts[record->kind == RECORD_SNAPSHOT_PART && part_count > 1]);
	return error;
}

static void tap_close(struct durability **d)
{
	struct sim_store *sim = sim_of(*d);

	sim->log->ops->close(&sim->log);
	*d = NULL;
}

static uint64_t tap_durable_seq(struct durability *d)
{
	return sim_of(d)->log->ops->durable_seq(sim_of(d)->log);
}

static uint64_t tap_last_seq(struct durability *d)
{
	return sim_of(d)->log->ops->last_seq(sim_of(d)->log);
}

static int tap_wait(struct durability *d, uint64_t seq)
{
	return sim_of(d)->log->ops->wait(sim_of(d)->log, seq);
}

static int tap_read(struct durability *d, const struct record_place *place, uint32_t offset, uint32_t bytes, char *to)
{
	return sim_of(d)->log->ops->read(sim_of(d)->log, place, offset, bytes, to);
}

static int tap_pin(struct durability *d, uint64_t segment)
{
	return sim_of(d)->log->ops->pin(sim_of(d)->log, segment);
}

static void tap_unpin(struct durability *d, uint64_t segment)
{
	sim_of(d)->log->ops->unpin(sim_of(d)->log, segment);
}

static int tap_segments(
	struct durability *d, int (*each)(void *context, const struct segment_info *info), void *context)
{
	return sim_of(d)->log->ops->segments(sim_of(d)->log, each, context);
}

static int tap_segment_read(struct durability *d, uint64_t segment, const struct segment_reading *reading)
{
	return sim_of(d)->log->ops->segment_read(sim_of(d)->log, segment, reading);
}

static int tap_mend(struct durability *d, const struct log_damage *damage)
{
	return sim_of(d)->log->ops->mend(sim_of(d)->log, damage);
}

static int tap_segment_drop(struct durability *d, uint64_t segment)
{
	struct sim_store *sim = sim_of(d);
	int error = sim->log->ops->segment_drop(sim->log, segment);

	sim->seen->drops += !error;
	return error;
}

static int tap_turn(struct durability *d)
{
	return sim_of(d)->log->ops->turn(sim_of(d)->log);
}

static int tap_room(struct durability *d, uint64_t *ret_bytes)
{
	return sim_of(d)->log->ops->room(sim_of(d)->log, ret_bytes);
}

static void tap_figures(struct durability *d, uint64_t *ret_records, uint64_t *ret_bytes, uint64_t *ret_syncs)
{
	sim_of(d)->log->ops->figures(sim_of(d)->log, ret_records, ret_bytes, ret_syncs);
}

static const struct durability_ops tap_ops = {
	.close = tap_close,
	.append = tap_append,
	.turn = tap_turn,
	.durable_seq = tap_durable_seq,
	.last_seq = tap_last_seq,
	.wait = tap_wait,
	.read = tap_read,
	.pin = tap_pin,
	.unpin = tap_unpin,
	.segments = tap_segments,
	.segment_read = tap_segment_read,
	.mend = tap_mend,
	.segment_drop = tap_segment_drop,
	.room = tap_room,
	.figures = tap_figures,
};

/* ---- Changes ---- */

struct plain_account *sim_change(struct sim_store *sim, unsigned which)
{
	sim->which = which;
	sim->changing = true;
	sim->committed = false;
	if (which == PLAIN_DIRECTORY)
		sim->next_directory = sim->plain->directory_now;
	else
		sim->next = sim->plain->now[which];
	return &sim->next;
}

void sim_changed(struct sim_store *sim, int error, bool expected, const char *what)
{
	sim->changing = false;
	sim_say(sim, "%s: %s: %s, record %llu", sim->which < PLAIN_ACCOUNTS ? sim_addresses[sim->which] : "directory",
		what, error ? strerror(-error) : "done", sim->committed ? (unsigned long long)sim->appended : 0);
	if (sim_is_over(sim))
		return;
	if (error && !sim->faults)
		sim_wrong(sim, "%s: %s", what, strerror(-error));
	if (!error && sim->committed != expected)
		sim_wrong(sim, "%s: %s", what, expected ? "there was no change" : "there was a change");
	sim->seen->refused += error && !sim->committed;
}

/* ---- Lives ---- */

static void shut_tap(struct sim_store *sim)
{
	sim->log = sim->store->log;
	sim->tap.ops = &tap_ops;
	sim->store->log = &sim->tap;
}

static void settle(struct sim_store *sim)
{
	uint64_t last = store_durable_seq(sim->store);

	sim_say(sim, "open: %llu were promised, %llu are there, %llu were appended", (unsigned long long)sim->promised,
		(unsigned long long)last, (unsigned long long)sim->appended);
	if (last < sim->promised)
		sim_wrong(sim, "record %llu was promised, the log ends with %llu", (unsigned long long)sim->promised,
			(unsigned long long)last);
	if (last > sim->appended)
		sim_wrong(sim, "record %llu was never written", (unsigned long long)last);
	sim->seen->kept_changes += last - sim->promised;
	sim->seen->lost_changes += sim->appended - last;
	plain_cut(sim->plain, last);
	sim->promised = sim->appended = last;
	sim->open_count = 0;
}

int sim_open(struct sim_store *sim)
{
	int error;

	sim->failed = false;
	sim->checking = SIM_CHECKS;
	sim->round++;
	sim->settings.shards = 1 + (unsigned)sim_chance(sim, 2);
	sim->settings.apply_delay_ms = sim_chance(sim, 3) ? 1 + sim_chance(sim, 40) : 1000;
	sim->settings.compact_bytes_per_s = sim_chance(sim, 2) ? 16777216 : (uint64_t)1 << 33;
	sim->settings.repack_after_s = (uint64_t[]){0, 1800, STORE_REPACK_NEVER}[sim_chance(sim, 3)];
	sim->settings.body_cache_bytes = sim->round % 3 * 65536; /* none, too small, large enough */
	error = store_open(&sim->settings, &sim->store);
	if (error) {
		sim->store = NULL;
		sim_say(sim, "does not open: %s", strerror(-error));
		if (!sim_files_is_stopped(sim->files) && !sim->faults)
			sim_wrong(sim, "it does not open: %s", strerror(-error));
		return error;
	}
	shut_tap(sim);
	settle(sim);
	sim->seen->opened++;
	return 0;
}

void sim_open_surely(struct sim_store *sim)
{
	int error = sim_open(sim);

	if (error)
		sim_wrong(sim, "it does not open: %s", strerror(-error));
}

bool sim_is_over(const struct sim_store *sim)
{
	return sim_files_is_stopped(sim->files) || sim->failed;
}

void sim_close(struct sim_store *sim)
{
	if (!sim->store)
		return;
	sim_check_ends(sim);
	store_close(&sim->store);
	if (sim_threads_count(sim->threads))
		sim_wrong(sim, "threads are left");
	if (sim_is_over(sim))
		return;
	sim->seen->clean_ends++;
	if (sim->promised != sim->appended && !sim->faults)
		sim_wrong(sim, "closed, but %llu of %llu records were never called durable",
			(unsigned long long)(sim->appended - sim->promised), (unsigned long long)sim->appended);
}

static void note_cut(struct sim_store *sim)
{
	for (unsigned i = 0; i < sim->open_count; i++) {
		if (sim->open_records[i].seq <= sim->promised)
			continue;
		sim->seen->records_cut[sim->open_records[i].kind]++;
		for (unsigned op = 0; op < OP_KINDS; op++)
			sim->seen->ops_cut[op] += sim->open_records[i].ops >> op & 1;
	}
	sim->open_count = 0;
}

void sim_crash(struct sim_store *sim, bool power_cut)
{
	note_cut(sim);
	sim->seen->recycled += sim_index_recycled(sim->index);
	sim_index_close(sim->index);
	if (power_cut)
		sim_files_power_cut(sim->files);
	else
		sim_files_restart(sim->files);
	sim_index_settle(sim->index);
	sim->seen->cuts++;
	sim->seen->restarts += !power_cut;
	sim_say(sim, power_cut ? "power cut" : "restart");
}

void sim_lose_index(struct sim_store *sim)
{
	sim_index_lose(sim->index);
	sim->seen->lost_indexes++;
	sim_say(sim, "the index is lost");
}

/* ---- Making one ---- */

struct sim_store *sim_store_new(const char *tmpfs, struct sim_seen *seen)
{
	struct sim_store *sim = calloc(1, sizeof(*sim));

	CHECK(sim);
	(void)snprintf(sim->dir, sizeof(sim->dir), "%s/penfold-sim-%d", tmpfs, (int)getpid());
	CHECK(mkdir(sim->dir, 0700) == 0);
	sim->seen = seen;
	sim->files = sim_files_new(0);
	sim->threads = sim_threads_new();
	sim->index = sim_index_new(sim->files, sim->dir, sim->threads);
	sim->plain = plain_new();
	sim->clock = (struct clock_source){wall_ms, monotonic_us, random_bytes, sim};
	return sim;
}

void sim_store_free(struct sim_store **sim)
{
	char path[96];

	sim_index_lose((*sim)->index);
	(void)snprintf(path, sizeof(path), "%s/lock", (*sim)->dir);
	(void)unlink(path);
	(void)rmdir((*sim)->dir);
	plain_free(&(*sim)->plain);
	sim_index_free(&(*sim)->index);
	sim_threads_free(&(*sim)->threads);
	sim_files_free(&(*sim)->files);
	free(*sim);
	*sim = NULL;
}

void sim_store_reset(struct sim_store *sim, uint64_t seed)
{
	CHECK(!sim->store);
	sim_index_close(sim->index);
	sim_files_reset(sim->files, seed);
	sim_index_settle(sim->index);
	sim_threads_reset(sim->threads, seed);
	plain_reset(sim->plain);
	sim->seed = seed;
	sim->random = seed * 0xd1342543de82ef95ULL | 1;
	sim->clock_random = seed;
	sim->skew_ms = 0;
	sim->round = 0;
	sim->promised = sim->appended = 0;
	sim->numbers = seed % 8 == 5 ? SIM_HEAVY : 0;
	sim->failed = sim->faults = sim->changing = false;
	sim->settings = store_settings_default();
	sim->settings.dir = slice_of(sim->dir);
	sim->settings.segment_bytes = 393216;
	sim->settings.retention_s = 3600;
	sim->settings.resident_accounts = 0;
	sim->settings.search_batch =
		seed % 32 == 1 ? 3 : 0; /* some have a search index; files of few emails, so that there are many */
	sim->settings.files = sim_index_system(sim->index);
	sim->settings.clock = &sim->clock;
	sim->settings.threads = sim_threads_system(sim->threads);
	sim->settings.durable = durable;
	sim->settings.failed = failed;
	sim->settings.notice = notice;
	sim->settings.context = sim;
}
