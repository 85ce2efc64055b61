/* What people and the server do to a store, by chance; beside it the same is done to the model. */
#include <stdio.h>
#include <string.h>

#include "sim_store.h"

enum { DATE_FROM = 1700000000 };

static const struct actor actor_imap = {STORE_BY_IMAP, {"phone", 5}, {"127.0.0.1", 9}};
static const struct actor actor_lmtp = {STORE_BY_LMTP, {"mx.example.org", 14}, {"127.0.0.2", 9}};

/* ---- Picking ---- */

/* An account that is there; PLAIN_ACCOUNTS: none. */
static unsigned pick_account(struct sim_store *sim)
{
	unsigned from = (unsigned)sim_chance(sim, PLAIN_ACCOUNTS);

	for (unsigned i = 0; i < PLAIN_ACCOUNTS; i++) {
		unsigned which = (from + i) % PLAIN_ACCOUNTS;

		if (sim->plain->now[which].there && !sim->plain->now[which].disabled)
			return which;
	}
	return PLAIN_ACCOUNTS;
}

static struct plain_mailbox *pick_mailbox(struct sim_store *sim, struct plain_account *account)
{
	unsigned from = sim_chance(sim, 3) ? 0 : (unsigned)sim_chance(sim, PLAIN_MAILBOXES);

	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++) {
		struct plain_mailbox *mailbox = &account->mailboxes[(from + i) % PLAIN_MAILBOXES];

		if (mailbox->used)
			return mailbox;
	}
	return NULL;
}

static bool is_inbox(const struct plain_mailbox *mailbox)
{
	return strcmp(mailbox->name, "INBOX") == 0;
}

/* What one change of an account needs. */
struct change {
	struct plain_account *plain; /* the copy that is changed */
	struct account *account;
	struct plain_mailbox *mailbox;
	struct mailbox *real;
};

/* False: there is none, or it cannot be had because all is over. */
static bool change_begin_in(struct sim_store *sim, struct change *c)
{
	unsigned which = pick_account(sim);
	uint64_t id;
	int error;

	if (which == PLAIN_ACCOUNTS)
		return false;
	id = sim->plain->now[which].id;
	error = account_open(store_shard(sim->store, store_shard_of(sim->store, id)), id, &c->account);
	if (error && !sim_is_over(sim) && !sim->faults)
		sim_wrong(sim, "account %s does not open: %s", sim_addresses[which], strerror(-error));
	if (error)
		return false;
	c->plain = sim_change(sim, which);
	c->mailbox = pick_mailbox(sim, c->plain);
	c->real = mailbox_find(c->account, slice_of(c->mailbox->name));
	if (!c->real)
		sim_wrong(sim, "mailbox %s is not there", c->mailbox->name);
	return true;
}

static void change_end(struct sim_store *sim, struct change *c, int error, bool expected, const char *what)
{
	sim_changed(sim, error, expected, what);
	account_release(&c->account);
}

static uint64_t next_modseq(struct change *c)
{
	return ++c->plain->modseq;
}

/* ---- Messages ---- */

static int ingest_number(struct sim_store *sim, uint32_t number, struct ingest **ret_ingest)
{
	struct buffer text = BUFFER_INIT(1 << 21);
	struct ingest *ingest = NULL;
	int error = ingest_new(sim->store, &ingest);

	sim_message(number, &text);
	if (!error)
		error = ingest_write(ingest, buffer_slice(&text));
	if (!error)
		error = ingest_finish(ingest);
	buffer_free(&text);
	if (error)
		ingest_free(&ingest);
	else
		*ret_ingest = ingest;
	return error;
}

static size_t pick_keywords(struct sim_store *sim, struct slice names[PLAIN_KEYWORDS], uint16_t *ret_bits)
{
	size_t count = 0;

	*ret_bits = sim_chance(sim, 3) ? 0 : (uint16_t)sim_chance(sim, 1 << PLAIN_KEYWORDS);
	for (unsigned i = 0; i < PLAIN_KEYWORDS; i++)
		if (*ret_bits >> i & 1)
			names[count++] = slice_of(sim_keywords[i]);
	return count;
}

enum { TOGETHER_MAX = 3 };

static void plain_append(struct sim_store *sim, struct change *c, struct append_item *items,
	struct slice names[][PLAIN_KEYWORDS], size_t count)
{
	c->mailbox->highestmodseq = next_modseq(c);
	for (size_t i = 0; i < count; i++) {
		struct plain_message *message = plain_deliver(c->mailbox, ++sim->numbers);

		message->modseq = c->plain->modseq;
		message->flags = (uint16_t)(sim_chance(sim, 2) ? 0 : sim_chance(sim, FLAGS_ALL + 1));
		items[i].flags.flags = message->flags;
		items[i].flags.keyword_count = pick_keywords(sim, names[i], &message->keywords);
		items[i].flags.keywords = names[i];
		message->date = DATE_FROM + message->number;
		items[i].internaldate = message->date;
	}
}

static void step_deliver(struct sim_store *sim)
{
	size_t count = sim_chance(sim, 6) ? 1 : 1 + sim_chance(sim, TOGETHER_MAX);
	struct append_item items[TOGETHER_MAX] = {{.zone = 0}};
	struct slice names[TOGETHER_MAX][PLAIN_KEYWORDS];
	struct change c;
	uint32_t first, uid = 0;
	int error = 0;

	if (!change_begin_in(sim, &c))
		return;
	if (c.mailbox->count + count > PLAIN_MESSAGES) {
		change_end(sim, &c, 0, false, "no room to deliver");
		return;
	}
	first = c.mailbox->uidnext;
	plain_append(sim, &c, items, names, count);
	for (size_t i = 0; i < count && !error; i++)
		error = ingest_number(sim, sim->numbers - (uint32_t)(count - 1 - i), &items[i].ingest);
	/* A slow client: housekeeping has its turn while frames lie in the journal that no record names yet. */
	if (!error && sim_chance(sim, 12) == 0)
		sim_threads_pause(sim->threads, 61000000);
	if (!error)
		error = mailbox_append(c.real, items, count, &actor_lmtp, &uid);
	if (!error && uid != first)
		sim_wrong(sim, "a new message got UID %u instead of %u", uid, first);
	for (size_t i = 0; i < count; i++)
		ingest_free(&items[i].ingest);
	change_end(sim, &c, error, true, "deliver");
}

/* A client that went away in the middle of a message: its first frames are in the journal. */
void sim_abandon(struct sim_store *sim)
{
	struct ingest *ingest = NULL;
	uint32_t number = sim->numbers + 1;
	int error;

	while (sim_message_bytes(number) < 300000)
		number++;
	sim->numbers = number;
	error = ingest_number(sim, number, &ingest);
	if (error && !sim_is_over(sim) && !sim->faults)
		sim_wrong(sim, "taking in: %s", strerror(-error));
	ingest_free(&ingest);
	sim_say(sim, "abandoned a message");
}

static struct uid_range pick_range(struct sim_store *sim, const struct plain_mailbox *mailbox)
{
	uint32_t first = 1 + (uint32_t)sim_chance(sim, mailbox->uidnext + 1);

	return (struct uid_range){first, first + (uint32_t)sim_chance(sim, sim_chance(sim, 4) ? 3 : 100)};
}

static bool is_in(const struct plain_message *message, struct uid_range range)
{
	return !message->gone && message->uid >= range.first && message->uid <= range.last;
}

static unsigned after(unsigned old, enum flags_mode mode, unsigned given)
{
	return mode == FLAGS_REPLACE ? given : mode == FLAGS_ADD ? old | given : old & ~given;
}

static void step_flags(struct sim_store *sim)
{
	struct slice names[PLAIN_KEYWORDS];
	enum flags_mode mode = (enum flags_mode)sim_chance(sim, 3);
	struct flag_set set = {.flags = (unsigned)sim_chance(sim, FLAGS_ALL + 1), .keywords = names};
	struct uid_range range;
	struct change c;
	uint16_t keywords;
	bool changed = false;
	int error;

	set.keyword_count = pick_keywords(sim, names, &keywords);
	if (!change_begin_in(sim, &c))
		return;
	range = pick_range(sim, c.mailbox);
	for (unsigned i = 0; i < c.mailbox->count; i++) {
		struct plain_message *m = &c.mailbox->messages[i];
		unsigned flags = after(m->flags, mode, set.flags), words = after(m->keywords, mode, keywords);

		if (!is_in(m, range) || (flags == m->flags && words == m->keywords))
			continue;
		m->flags = (uint16_t)flags;
		m->keywords = (uint16_t)words;
		m->modseq = c.plain->modseq + 1;
		changed = true;
	}
	if (changed)
		c.mailbox->highestmodseq = next_modseq(&c);
	error = entries_store(
		c.real, (struct uid_set){&range, 1}, mode, &set, UINT64_MAX, NULL, &actor_imap, NULL, NULL);
	change_end(sim, &c, error, changed, "flags");
}

static void step_expunge(struct sim_store *sim)
{
	bool only_deleted = sim_chance(sim, 2), changed = false;
	struct uid_range range;
	struct change c;
	int error;

	if (!change_begin_in(sim, &c))
		return;
	range = pick_range(sim, c.mailbox);
	for (unsigned i = 0; i < c.mailbox->count; i++) {
		struct plain_message *m = &c.mailbox->messages[i];

		if (!is_in(m, range) || (only_deleted && !(m->flags & FLAG_DELETED)))
			continue;
		m->gone = changed = true;
		m->modseq = c.plain->modseq + 1;
	}
	if (changed)
		c.mailbox->highestmodseq = next_modseq(&c);
	error = entries_expunge(c.real, (struct uid_set){&range, 1}, only_deleted, &actor_imap, NULL);
	change_end(sim, &c, error, changed, "expunge");
}

static unsigned count_in(const struct plain_mailbox *mailbox, struct uid_range range)
{
	unsigned count = 0;

	for (unsigned i = 0; i < mailbox->count; i++)
		count += is_in(&mailbox->messages[i], range);
	return count;
}

/* Room for them is there. */
static void plain_copy(
	struct plain_mailbox *from, struct uid_range range, struct plain_mailbox *to, bool move, uint64_t modseq)
{
	unsigned count = from->count;

	for (unsigned i = 0; i < count; i++) {
		struct plain_message *m = &from->messages[i], *copy;

		if (!is_in(m, range))
			continue;
		copy = plain_deliver(to, m->number);
		copy->date = m->date;
		copy->flags = m->flags;
		copy->keywords = m->keywords;
		copy->email = m->email;
		copy->modseq = modseq;
		if (!move)
			continue;
		m->gone = m->moved = true;
		m->modseq = modseq;
	}
	to->highestmodseq = modseq;
	if (move)
		from->highestmodseq = modseq;
}

static void step_copy(struct sim_store *sim)
{
	struct plain_mailbox *target;
	struct mailbox *real;
	struct uid_range range;
	struct change c;
	unsigned count;
	bool move;
	int error;

	if (!change_begin_in(sim, &c))
		return;
	target = pick_mailbox(sim, c.plain);
	range = pick_range(sim, c.mailbox);
	move = sim_chance(sim, 2) && target != c.mailbox;
	count = count_in(c.mailbox, range);
	real = mailbox_find(c.account, slice_of(target->name));
	if (target->count + count > PLAIN_MESSAGES || !real) {
		change_end(sim, &c, 0, false, "no room to copy");
		return;
	}
	if (count)
		plain_copy(c.mailbox, range, target, move, next_modseq(&c));
	error = entries_copy(c.real, (struct uid_set){&range, 1}, real, move, &actor_imap, NULL, NULL);
	change_end(sim, &c, error, count > 0, move ? "move" : "copy");
}

/* ---- Mailboxes ---- */

static void pick_name(struct sim_store *sim, const struct change *c, char name[PLAIN_NAME_ROOM])
{
	unsigned n = (unsigned)sim_chance(sim, 6);

	if (sim_chance(sim, 3))
		(void)snprintf(name, PLAIN_NAME_ROOM, "Box %u", n);
	else
		(void)snprintf(name, PLAIN_NAME_ROOM, "Box %u/%u", n, (unsigned)sim_chance(sim, 3));
	(void)c;
}

/* With its parent, if there is none. NULL: there is no room. */
static struct plain_mailbox *plain_make(struct change *c, const char *name, uint64_t modseq)
{
	const char *slash = strchr(name, '/');
	struct plain_mailbox *made;
	char parent[PLAIN_NAME_ROOM];

	if (slash) {
		(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
		if (!plain_mailbox(c->plain, parent)) {
			made = plain_mailbox_add(c->plain, parent);
			if (!made)
				return NULL;
			made->highestmodseq = modseq;
		}
	}
	made = plain_mailbox_add(c->plain, name);
	if (made)
		made->highestmodseq = modseq;
	return made;
}

static void step_create(struct sim_store *sim)
{
	char name[PLAIN_NAME_ROOM];
	struct mailbox *made;
	struct change c;
	int error;

	if (!change_begin_in(sim, &c))
		return;
	pick_name(sim, &c, name);
	if (plain_mailbox(c.plain, name)) {
		error = mailbox_create(c.account, slice_of(name), 0, &actor_imap, &made);
		change_end(sim, &c, error == -EEXIST ? 0 : error, false, "create what there is");
		return;
	}
	if (!plain_make(&c, name, next_modseq(&c))) {
		c.plain = sim_change(sim, sim->which);
		change_end(sim, &c, 0, false, "no room to create");
		return;
	}
	error = mailbox_create(c.account, slice_of(name), 0, &actor_imap, &made);
	change_end(sim, &c, error, true, "create");
}

/* Of a mailbox and all below it. */
static void plain_rename(struct change *c, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++) {
		struct plain_mailbox *m = &c->plain->mailboxes[i];
		char rest[PLAIN_NAME_ROOM];

		if (!m->used || strncmp(m->name, from, len) != 0 || (m->name[len] != '\0' && m->name[len] != '/'))
			continue;
		(void)snprintf(rest, sizeof(rest), "%s", m->name + len);
		(void)snprintf(m->name, sizeof(m->name), "%.16s%.24s", to, rest);
	}
}

static void step_rename(struct sim_store *sim)
{
	char name[PLAIN_NAME_ROOM], old[PLAIN_NAME_ROOM];
	struct plain_mailbox *made;
	struct change c;
	uint64_t modseq;
	int error;

	if (!change_begin_in(sim, &c))
		return;
	(void)snprintf(name, sizeof(name), "New %u", (unsigned)sim_chance(sim, 1000000));
	if (plain_mailbox(c.plain, name)) { /* the same number twice: seed 1004 came by it */
		error = mailbox_rename(c.account, c.real, slice_of(name), &actor_imap);
		change_end(sim, &c, error == -EEXIST ? 0 : error, false, "rename to what there is");
		return;
	}
	modseq = next_modseq(&c);
	if (is_inbox(c.mailbox)) {
		made = plain_make(&c, name, modseq);
		if (made && count_in(c.mailbox, (struct uid_range){1, UINT32_MAX}))
			plain_copy(c.mailbox, (struct uid_range){1, UINT32_MAX}, made, true, modseq);
	} else {
		made = c.mailbox;
		(void)snprintf(old, sizeof(old), "%s", c.mailbox->name);
		plain_rename(&c, old, name);
	}
	if (!made) {
		c.plain = sim_change(sim, sim->which);
		change_end(sim, &c, 0, false, "no room to rename");
		return;
	}
	error = mailbox_rename(c.account, c.real, slice_of(name), &actor_imap);
	change_end(sim, &c, error, true, "rename");
}

static void step_delete(struct sim_store *sim)
{
	struct change c;
	int error;

	if (!change_begin_in(sim, &c))
		return;
	if (is_inbox(c.mailbox)) {
		error = mailbox_delete(c.account, c.real, &actor_imap);
		change_end(sim, &c, error == -EPERM ? 0 : error, false, "delete INBOX");
		return;
	}
	(void)next_modseq(&c);
	c.mailbox->used = false;
	error = mailbox_delete(c.account, c.real, &actor_imap);
	change_end(sim, &c, error, true, "delete");
}

static char *plain_subscription(struct plain_account *account, const char *name)
{
	for (unsigned i = 0; i < PLAIN_NAMES; i++)
		if (strcmp(account->subscriptions[i], name) == 0)
			return account->subscriptions[i];
	return NULL;
}

static void step_subscribe(struct sim_store *sim)
{
	char name[PLAIN_NAME_ROOM], *place;
	struct change c;
	bool on = sim_chance(sim, 2), changed;
	int error;

	if (!change_begin_in(sim, &c))
		return;
	pick_name(sim, &c, name);
	place = plain_subscription(c.plain, name);
	changed = on != (place != NULL);
	if (changed) {
		place = on ? plain_subscription(c.plain, "") : place;
		if (!place) {
			change_end(sim, &c, 0, false, "no room to subscribe");
			return;
		}
		(void)snprintf(place, PLAIN_NAME_ROOM, "%s", on ? name : "");
	}
	error = account_subscribe(c.account, slice_of(name), on, &actor_imap);
	change_end(sim, &c, error, changed, on ? "subscribe" : "unsubscribe");
}

/* ---- The directory ---- */

static void step_account_add(struct sim_store *sim, unsigned which)
{
	static const char *const first[] = {"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"};
	static const unsigned uses[] = {0, SPECIAL_ARCHIVE, SPECIAL_DRAFTS, SPECIAL_JUNK, SPECIAL_SENT, SPECIAL_TRASH};
	struct plain_account *account = sim_change(sim, which);
	uint64_t id = 0;
	int error;

	memset(account, 0, sizeof(*account));
	account->there = true;
	account->modseq = 1;
	account->secret = (unsigned)sim_chance(sim, 1000);
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		plain_mailbox_add(account, first[i])->special_use = uses[i];
		(void)snprintf(account->subscriptions[i], PLAIN_NAME_ROOM, "%s", first[i]);
	}
	error = directory_account_add(sim->store, slice_of(sim_addresses[which]),
		slice_first(SLICE("secretsecretsecret"), account->secret % 17), 0, &actor_imap, &id);
	if (!error && id != sim->plain->now[which].id)
		sim_wrong(sim, "the new account has number %llu", (unsigned long long)id);
	sim_changed(sim, error, true, "add account");
}

static void step_account_change(struct sim_store *sim, unsigned which)
{
	struct plain_account *account = sim_change(sim, which);
	struct directory_change change = {0};
	struct slice secret;
	int error;

	account->disabled = !account->disabled && sim_chance(sim, 2);
	account->secret = (unsigned)sim_chance(sim, 1000);
	account->quota = sim_chance(sim, 2) ? 0 : (uint64_t)1 << 40;
	secret = slice_first(SLICE("secretsecretsecret"), account->secret % 17);
	change.secret = &secret;
	change.quota_bytes = &account->quota;
	change.disabled = &account->disabled;
	error = directory_account_change(sim->store, slice_of(sim_addresses[which]), &change, &actor_imap);
	sim_changed(sim, error, true, "change account");
}

static void step_account_delete(struct sim_store *sim, unsigned which)
{
	struct plain_account *account = sim_change(sim, which);
	int error;

	memset(account, 0, sizeof(*account));
	error = directory_account_delete(sim->store, slice_of(sim_addresses[which]), &actor_imap);
	sim_changed(sim, error, true, "delete account");
}

static void step_account(struct sim_store *sim)
{
	unsigned which = (unsigned)sim_chance(sim, PLAIN_ACCOUNTS);

	if (!sim->plain->now[which].there)
		step_account_add(sim, which);
	else if (sim_chance(sim, 3) || sim->plain->now[which].disabled)
		step_account_change(sim, which);
	else
		step_account_delete(sim, which);
}

static void step_domain(struct sim_store *sim)
{
	unsigned which = 1 + (unsigned)sim_chance(sim, PLAIN_DOMAINS - 1);
	struct slice name = slice_of(sim_domains[which]);
	bool on;
	int error;

	(void)sim_change(sim, PLAIN_DIRECTORY);
	on = !sim->next_directory.domains[which];
	sim->next_directory.domains[which] = on;
	error = on ? directory_domain_add(sim->store, name) : directory_domain_delete(sim->store, name);
	sim_changed(sim, error, true, on ? "add domain" : "delete domain");
}

static void step_alias(struct sim_store *sim)
{
	unsigned which = (unsigned)sim_chance(sim, PLAIN_ALIASES),
		 bits = (unsigned)sim_chance(sim, 1 << PLAIN_ACCOUNTS);
	struct slice targets[PLAIN_ACCOUNTS];
	size_t count = 0;
	int error;

	(void)sim_change(sim, PLAIN_DIRECTORY);
	for (unsigned i = 0; i < PLAIN_ACCOUNTS; i++)
		if (bits >> i & 1)
			targets[count++] = slice_of(sim_addresses[i]);
	if (!count && !sim->next_directory.aliases[which])
		return;
	sim->next_directory.aliases[which] = bits;
	error = directory_alias_set(sim->store, slice_of(sim_aliases[which]), targets, count);
	sim_changed(sim, error, true, "set alias");
}

/* ---- What happens by itself ---- */

static void tick(struct sim_store *sim)
{
	for (unsigned i = 0; i < store_shard_count(sim->store); i++)
		shard_tick(store_shard(sim->store, i));
}

static void step_compact(struct sim_store *sim)
{
	int error = store_compact(sim->store);

	sim_say(sim, "compact: %s", strerror(-error));
	if (error && !sim_is_over(sim) && !sim->faults)
		sim_wrong(sim, "compacting: %s", strerror(-error));
}

void sim_keep_house(struct sim_store *sim)
{
	if (sim_is_over(sim))
		return;
	sim->skew_ms += 4000000;
	step_compact(sim);
}

void sim_learn(struct sim_store *sim)
{
	if (sim->seed % 16 != 7)
		return;
	for (unsigned i = 0; i < 640 && !sim_is_over(sim); i++) {
		struct ingest *ingest = NULL;
		uint32_t number = ++sim->numbers;

		if (!sim_message_is_small(number))
			continue;
		if (ingest_number(sim, number, &ingest) && !sim_is_over(sim) && !sim->faults)
			sim_wrong(sim, "taking in message %u", number);
		ingest_free(&ingest);
	}
	/* In half of the cases the end comes while it is written. */
	if (!sim->faults && sim_chance(sim, 2))
		sim_files_stop_at(sim->files, 1 + sim_chance(sim, 5));
	sim_threads_pause(sim->threads, 1000);
}

static void step_wait(struct sim_store *sim)
{
	uint64_t seq = sim->appended;
	bool applied = sim_chance(sim, 3) == 0;
	int error = applied ? store_wait_applied(sim->store, seq) : store_wait_durable(sim->store, seq);

	if (error && !sim_is_over(sim) && !sim->faults)
		sim_wrong(sim, "waiting: %s", strerror(-error));
	if (!error && sim->promised < seq && !sim_is_over(sim))
		sim_wrong(sim, "waited for record %llu, %llu was called durable", (unsigned long long)seq,
			(unsigned long long)sim->promised);
	sim_say(sim, "waited for %llu", (unsigned long long)seq);
}

static void step_time(struct sim_store *sim, unsigned dice)
{
	if (dice < 60)
		sim_threads_pause(sim->threads, 1 + (int64_t)sim_chance(sim, 5000));
	else if (dice < 75)
		sim_threads_pause(sim->threads, (int64_t)sim_chance(sim, 2000000));
	else if (dice < 85)
		sim_threads_pause(sim->threads, 61000000); /* housekeeping has its turn */
	else
		sim->skew_ms += 4000000; /* what was expunged before may be forgotten */
	sim_say(sim, "time passed");
}

/* Changes nothing. */
static void step_search(struct sim_store *sim)
{
	unsigned which = pick_account(sim);
	struct account *account;
	struct mailbox *mailbox;
	uint64_t id;

	if (which == PLAIN_ACCOUNTS)
		return;
	id = sim->plain->now[which].id;
	if (account_open(store_shard(sim->store, store_shard_of(sim->store, id)), id, &account))
		return;
	mailbox = mailbox_find(account, slice_of(pick_mailbox(sim, &sim->plain->now[which])->name));
	if (mailbox)
		sim_search(sim, mailbox);
	account_release(&account);
}

static void step(struct sim_store *sim)
{
	static const struct {
		unsigned share;
		void (*step)(struct sim_store *sim);
	} steps[] = {{300, step_deliver}, {110, step_flags}, {110, step_expunge}, {110, step_copy}, {35, step_create},
		{20, step_rename}, {25, step_delete}, {20, step_subscribe}, {25, step_account}, {10, step_domain},
		{10, step_alias}, {8, sim_abandon}, {60, step_wait}, {40, tick}, {14, step_compact},
		{6, sim_check_begin}};
	unsigned dice = (unsigned)sim_chance(sim, 1000);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (dice < steps[i].share) {
			steps[i].step(sim);
			return;
		}
		dice -= steps[i].share;
	}
	step_time(sim, (unsigned)sim_chance(sim, 100));
}

void sim_work(struct sim_store *sim, unsigned steps)
{
	for (unsigned i = 0; i < steps && !sim_is_over(sim); i++) {
		step(sim);
		sim_check_watch(sim);
		if (sim->settings.search_batch && !sim_is_over(sim) && sim_chance(sim, 12) == 0)
			step_search(sim);
	}
}

void sim_begin(struct sim_store *sim)
{
	if (!sim_is_over(sim) && !sim->plain->directory_now.domains[0]) {
		(void)sim_change(sim, PLAIN_DIRECTORY);
		sim->next_directory.domains[0] = true;
		sim_changed(sim, directory_domain_add(sim->store, slice_of(sim_domains[0])), true, "add domain");
	}
	if (!sim_is_over(sim) && sim->plain->directory_now.domains[0] && pick_account(sim) == PLAIN_ACCOUNTS &&
		!sim->plain->now[0].there)
		step_account_add(sim, 0);
}
