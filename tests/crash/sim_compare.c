/* Is everything in the store that the model says, and nothing else? */
#include <stdio.h>
#include <string.h>

#include "mail/mail.h"
#include "sim_store.h"

struct comparing {
	struct sim_store *sim;
	const char *address;
	struct account *account;
	bool thorough;
	struct buffer expected, got;
	uint64_t bytes; /* of bodies that were read */
};

enum { BODIES_BYTES = 60000 };

/* What cannot be read because all is over says nothing. */
static bool failed(struct comparing *c, int error, const char *what)
{
	if (!error)
		return false;
	if (!sim_is_over(c->sim) && !c->sim->faults)
		sim_wrong(c->sim, "%s: %s: %s", c->address, what, strerror(-error));
	return true;
}

static void same(struct comparing *c, const struct plain_mailbox *m, const char *what, uint64_t got, uint64_t expected)
{
	if (got != expected)
		sim_wrong(c->sim, "%s, %s: %s is %llu, not %llu", c->address, m ? m->name : "account", what,
			(unsigned long long)got, (unsigned long long)expected);
}

/* ---- Bodies ---- */

static void compare_body(struct comparing *c, const struct plain_message *m)
{
	struct body_reader *reader;
	int error;

	c->bytes += sim_message_is_small(m->number) ? 0 : sim_message_bytes(m->number);
	buffer_reset(&c->got);
	error = body_reader_new(c->account, m->email, &reader);
	if (!error) {
		error = body_reader_read(reader, 0, UINT64_MAX, &c->got);
		body_reader_free(&reader);
	}
	if (failed(c, error, "a body"))
		return;
	sim_message(m->number, &c->expected);
	if (!slice_equal(buffer_slice(&c->got), buffer_slice(&c->expected)))
		sim_wrong(c->sim, "%s: message %u, UID %u, is not what was delivered", c->address, m->number, m->uid);
}

/* All small ones, and of the large ones as many as there is time for. */
static bool is_read(struct comparing *c, const struct plain_message *m)
{
	if (m->gone && m->moved)
		return false;
	if (c->thorough)
		return true;
	return sim_message_is_small(m->number) ? sim_chance(c->sim, 4) == 0
					       : sim_chance(c->sim, 8) == 0 && c->bytes < BODIES_BYTES;
}

/* ---- Entries ---- */

static uint16_t keywords_of(const struct mailbox *mailbox, const struct entry *entry)
{
	uint16_t bits = 0;

	for (unsigned i = 0; i < mailbox->keyword_count; i++)
		for (unsigned k = 0; k < PLAIN_KEYWORDS && entry->keywords >> i & 1; k++)
			if (slice_equal(mailbox->keywords[i], slice_of(sim_keywords[k])))
				bits |= (uint16_t)(1 << k);
	return bits;
}

static void compare_entry(struct comparing *c, const struct plain_mailbox *m, const struct plain_message *message,
	const struct mailbox *mailbox, const struct entry *entry)
{
	same(c, m, "the next UID", entry->uid, message->uid);
	same(c, m, "flags", entry->flags, message->flags);
	same(c, m, "keywords", keywords_of(mailbox, entry), message->keywords);
	same(c, m, "MODSEQ", entry->modseq, message->modseq);
	same(c, m, "email", entry->email, message->email);
	same(c, m, "size", entry->bytes, sim_message_bytes(message->number));
	same(c, m, "date", entry->internaldate, message->date);
}

static void compare_entries(struct comparing *c, const struct plain_mailbox *m, struct mailbox *mailbox)
{
	struct entry entry;
	uint32_t uid = 1;
	int error;

	for (unsigned i = 0; i < m->count; i++) {
		const struct plain_message *message = &m->messages[i];

		if (is_read(c, message))
			compare_body(c, message);
		if (message->gone)
			continue;
		if (!mailbox_entry_from(mailbox, uid, &entry, &error)) {
			if (failed(c, error, "an entry"))
				return;
			sim_wrong(c->sim, "%s, %s: UID %u is missing", c->address, m->name, message->uid);
		}
		compare_entry(c, m, message, mailbox, &entry);
		uid = entry.uid + 1;
	}
	if (mailbox_entry_from(mailbox, uid, &entry, &error))
		sim_wrong(c->sim, "%s, %s: there is UID %u", c->address, m->name, entry.uid);
	(void)failed(c, error, "an entry");
}

/* RFC 7162: what vanished after a MODSEQ. Where history does not reach back: everything that is not there. */
static void compare_vanished(
	struct comparing *c, const struct plain_mailbox *m, struct mailbox *mailbox, uint64_t since)
{
	struct uid_list expected = UID_LIST_INIT(1000), got = UID_LIST_INIT(1000);
	unsigned at = 0;

	for (uint32_t uid = 1; uid < m->uidnext; uid++) {
		bool gone = since < m->history;

		while (at < m->count && m->messages[at].uid < uid)
			at++;
		if (at < m->count && m->messages[at].uid == uid)
			gone = m->messages[at].gone && (gone || m->messages[at].modseq > since);
		if (gone)
			uid_list_add(&expected, uid, uid);
	}
	if (!failed(c, mailbox_vanished(mailbox, since, (struct uid_set){NULL, 0}, &got), "what vanished")) {
		same(c, m, "ranges that vanished", got.count, expected.count);
		for (size_t i = 0; i < got.count; i++) {
			same(c, m, "vanished", got.ranges[i].first, expected.ranges[i].first);
			same(c, m, "vanished", got.ranges[i].last, expected.ranges[i].last);
		}
	}
	uid_list_free(&expected);
	uid_list_free(&got);
}

static void compare_all_vanished(struct comparing *c, const struct plain_mailbox *m, struct mailbox *mailbox)
{
	uint64_t modseq = account_highestmodseq(c->account);

	if (!c->thorough) {
		compare_vanished(c, m, mailbox, sim_chance(c->sim, modseq + 1));
		return;
	}
	for (uint64_t since = 0; since <= modseq; since++)
		compare_vanished(c, m, mailbox, since);
}

static void compare_counters(struct comparing *c, const struct plain_mailbox *m, const struct mailbox *mailbox)
{
	uint64_t messages = 0, unseen = 0, deleted = 0, bytes = 0;

	for (unsigned i = 0; i < m->count; i++) {
		const struct plain_message *message = &m->messages[i];

		if (message->gone)
			continue;
		messages++;
		unseen += !(message->flags & FLAG_SEEN);
		deleted += !!(message->flags & FLAG_DELETED);
		bytes += sim_message_bytes(message->number);
	}
	same(c, m, "messages", mailbox->messages, messages);
	same(c, m, "unseen", mailbox->unseen, unseen);
	same(c, m, "deleted", mailbox->flagged_deleted, deleted);
	same(c, m, "bytes", mailbox->bytes, bytes);
}

static void compare_mailbox(struct comparing *c, const struct plain_mailbox *m)
{
	struct mailbox *mailbox = mailbox_find(c->account, slice_of(m->name));

	if (!mailbox)
		sim_wrong(c->sim, "%s: mailbox %s is missing", c->address, m->name);
	same(c, m, "id", mailbox->id, m->id);
	same(c, m, "UIDVALIDITY", mailbox->uidvalidity, m->uidvalidity);
	same(c, m, "UIDNEXT", mailbox->uidnext, m->uidnext);
	same(c, m, "HIGHESTMODSEQ", mailbox->highestmodseq, m->highestmodseq);
	same(c, m, "special use", mailbox->special_use, m->special_use);
	compare_counters(c, m, mailbox);
	compare_entries(c, m, mailbox);
	compare_all_vanished(c, m, mailbox);
	if (c->sim->settings.search_batch && sim_chance(c->sim, 3) == 0)
		sim_search(c->sim, mailbox);
}

/* ---- Accounts ---- */

static void compare_quota(struct comparing *c, const struct plain_account *account)
{
	struct account_quota quota = account_quota(c->account);
	const struct plain_message *seen[PLAIN_MAILBOXES * PLAIN_MESSAGES];
	uint64_t bytes = 0, count = 0;

	for (unsigned b = 0; b < PLAIN_MAILBOXES; b++) {
		const struct plain_mailbox *m = &account->mailboxes[b];

		for (unsigned i = 0; m->used && i < m->count; i++) {
			uint64_t at = 0;

			if (m->messages[i].gone)
				continue;
			while (at < count && seen[at]->number != m->messages[i].number)
				at++;
			if (at < count)
				continue;
			seen[count++] = &m->messages[i];
			bytes += sim_message_bytes(m->messages[i].number);
		}
	}
	same(c, NULL, "messages of the quota", quota.used_messages, count);
	same(c, NULL, "bytes of the quota", quota.used_bytes, bytes);
	same(c, NULL, "the quota", quota.limit_bytes, account->quota);
}

static void compare_subscriptions(struct comparing *c, const struct plain_account *account)
{
	size_t count, expected = 0;

	(void)account_subscriptions(c->account, &count);
	for (unsigned i = 0; i < PLAIN_NAMES; i++) {
		if (!account->subscriptions[i][0])
			continue;
		expected++;
		if (!account_is_subscribed(c->account, slice_of(account->subscriptions[i])))
			sim_wrong(c->sim, "%s: %s is not subscribed", c->address, account->subscriptions[i]);
	}
	same(c, NULL, "subscriptions", count, expected);
}

static void compare_identity(struct comparing *c, const struct plain_account *account)
{
	struct directory_account got;
	struct arena *arena;
	int error;

	CHECK(arena_new(1 << 16, &arena) == 0);
	error = directory_account_find(c->sim->store, slice_of(c->address), arena, &got);
	if (account->there && !failed(c, error, "looking it up")) {
		same(c, NULL, "number", got.id, account->id);
		same(c, NULL, "secret", got.secret.len, account->secret % 17);
		same(c, NULL, "quota", got.quota_bytes, account->quota);
		same(c, NULL, "disabled", got.disabled, account->disabled);
	} else if (!account->there && error != -ENOENT && !sim_is_over(c->sim)) {
		sim_wrong(c->sim, "%s is there", c->address);
	}
	arena_free(&arena);
}

static void compare_account(struct comparing *c, const struct plain_account *account)
{
	struct store *store = c->sim->store;
	size_t mailboxes = 0;
	int error;

	compare_identity(c, account);
	if (!account->there)
		return;
	error = account_open(store_shard(store, store_shard_of(store, account->id)), account->id, &c->account);
	if (failed(c, error, "opening it"))
		return;
	same(c, NULL, "MODSEQ", account_highestmodseq(c->account), account->modseq);
	for (unsigned i = 0; i < PLAIN_MAILBOXES; i++) {
		if (account->mailboxes[i].used)
			compare_mailbox(c, &account->mailboxes[i]);
		mailboxes += account->mailboxes[i].used;
	}
	for (struct mailbox *b = mailbox_next(c->account, NULL); b; b = mailbox_next(c->account, b))
		mailboxes--;
	same(c, NULL, "mailboxes too few", mailboxes, 0);
	compare_quota(c, account);
	compare_subscriptions(c, account);
	account_release(&c->account);
}

/* ---- The directory ---- */

struct found {
	struct sim_store *sim;
	unsigned domains, aliases, accounts;
};

static bool domain_found(void *context, struct slice domain)
{
	struct found *found = context;
	unsigned i = 0;

	while (i < PLAIN_DOMAINS && !slice_equal(domain, slice_of(sim_domains[i])))
		i++;
	if (i == PLAIN_DOMAINS || !found->sim->plain->directory_now.domains[i])
		sim_wrong(found->sim, "there is domain %.*s", SLICE_ARG(domain));
	found->domains++;
	return true;
}

static bool alias_found(void *context, struct slice address, const struct slice *targets, size_t count)
{
	struct found *found = context;
	unsigned i = 0, bits = 0;

	while (i < PLAIN_ALIASES && !slice_equal(address, slice_of(sim_aliases[i])))
		i++;
	for (size_t t = 0; t < count; t++)
		for (unsigned a = 0; a < PLAIN_ACCOUNTS; a++)
			bits |= (unsigned)slice_equal(targets[t], slice_of(sim_addresses[a])) << a;
	if (i == PLAIN_ALIASES || !bits || found->sim->plain->directory_now.aliases[i] != bits)
		sim_wrong(found->sim, "alias %.*s goes to %x", SLICE_ARG(address), bits);
	found->aliases++;
	return true;
}

static bool account_found(void *context, const struct directory_account *account)
{
	struct found *found = context;

	(void)account;
	found->accounts++;
	return true;
}

static void compare_directory(struct comparing *c)
{
	const struct plain_directory *directory = &c->sim->plain->directory_now;
	struct found found = {.sim = c->sim};
	unsigned domains = 0, aliases = 0, accounts = 0;
	int error = directory_domains(c->sim->store, domain_found, &found);

	if (!error)
		error = directory_aliases(c->sim->store, (struct slice){NULL, 0}, alias_found, &found);
	if (!error)
		error = directory_accounts(c->sim->store, (struct slice){NULL, 0}, account_found, &found);
	if (failed(c, error, "walking"))
		return;
	for (unsigned i = 0; i < PLAIN_DOMAINS; i++)
		domains += directory->domains[i];
	for (unsigned i = 0; i < PLAIN_ALIASES; i++)
		aliases += directory->aliases[i] != 0;
	for (unsigned i = 0; i < PLAIN_ACCOUNTS; i++)
		accounts += c->sim->plain->now[i].there;
	same(c, NULL, "domains", found.domains, domains);
	same(c, NULL, "aliases", found.aliases, aliases);
	same(c, NULL, "accounts", found.accounts, accounts);
}

void sim_compare(struct sim_store *sim, bool thorough)
{
	struct comparing c = {.sim = sim,
		.address = "directory",
		.thorough = thorough,
		.expected = BUFFER_INIT(1 << 21),
		.got = BUFFER_INIT(1 << 21)};

	compare_directory(&c);
	for (unsigned i = 0; i < PLAIN_ACCOUNTS && !sim_is_over(sim); i++) {
		c.address = sim_addresses[i];
		compare_account(&c, &sim->plain->now[i]);
	}
	buffer_free(&c.expected);
	buffer_free(&c.got);
}
