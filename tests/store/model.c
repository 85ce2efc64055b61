#include "model.h"

unsigned model_random(struct model *m, unsigned below)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(m->seed >> 33) % below;
}

static struct model_mailbox *model_add(struct model *m, const char *name)
{
	for (size_t i = 0; i < MODEL_MAILBOXES; i++) {
		struct model_mailbox *b = &m->mailboxes[i];

		if (b->used)
			continue;
		b->used = true;
		b->count = 0;
		b->uidnext = 1;
		(void)snprintf(b->name, sizeof(b->name), "%s", name);
		return b;
	}
	return NULL;
}

struct model *model_new(uint64_t seed, struct account *account)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->seed = seed;
	for (struct mailbox *b = mailbox_next(account, NULL); b; b = mailbox_next(account, b)) {
		char name[64];

		(void)snprintf(name, sizeof(name), "%.*s", SLICE_ARG(b->name));
		assert_non_null(model_add(m, name));
	}
	return m;
}

static struct model_mailbox *model_pick(struct model *m)
{
	for (;;) {
		struct model_mailbox *b = &m->mailboxes[model_random(m, MODEL_MAILBOXES)];

		if (b->used)
			return b;
	}
}

static struct mailbox *real(struct account *account, const struct model_mailbox *b)
{
	return mailbox_named(account, b->name);
}

static struct model_message *model_deliver(struct model_mailbox *b, unsigned number)
{
	struct model_message *message = &b->messages[b->count++];

	*message = (struct model_message){.uid = b->uidnext++, .number = number};
	return message;
}

static void step_deliver(struct model *m, struct account *account)
{
	struct model_mailbox *b = model_pick(m);
	struct model_message *message;

	if (b->count + 1 >= MODEL_MESSAGES)
		return;
	message = model_deliver(b, m->next_number);
	assert_int_equal(deliver_numbered(real(account, b), m->next_number++), message->uid);
	message->modseq = account_highestmodseq(account);
}

/* A random range of UIDs. */
static struct uid_range model_range(struct model *m, const struct model_mailbox *b)
{
	uint32_t first = 1 + model_random(m, b->uidnext + 1);

	return (struct uid_range){first, first + model_random(m, model_random(m, 4) ? 3 : 200)};
}

static bool in_range(const struct model_message *message, struct uid_range range)
{
	return !message->expunged && message->uid >= range.first && message->uid <= range.last;
}

static unsigned flags_after(unsigned old, enum flags_mode mode, unsigned flags)
{
	return mode == FLAGS_REPLACE ? flags : mode == FLAGS_ADD ? old | flags : old & ~flags;
}

static void step_flags(struct model *m, struct account *account)
{
	static const struct slice keyword = {"$Model", 6};
	struct model_mailbox *b = model_pick(m);
	struct uid_range range = model_range(m, b);
	enum flags_mode mode = (enum flags_mode)model_random(m, 3);
	struct flag_set set = {.flags = model_random(m, 32), .keywords = &keyword, .keyword_count = model_random(m, 2)};
	uint64_t modseq = account_highestmodseq(account) + 1;
	uint64_t since = model_random(m, 3) ? UINT64_MAX : model_random(m, (unsigned)modseq);

	assert_int_equal(entries_store(real(account, b), (struct uid_set){&range, 1}, mode, &set, since, NULL,
				 &actor_imap, NULL, NULL),
		0);
	for (size_t i = 0; i < b->count; i++) {
		struct model_message *message = &b->messages[i];
		unsigned flags = flags_after(message->flags, mode, set.flags);
		bool with = flags_after(message->keyword, mode, set.keyword_count == 1) != 0;

		if (!in_range(message, range) || message->modseq > since ||
			(flags == message->flags && with == message->keyword))
			continue;
		message->flags = flags;
		message->keyword = with;
		message->modseq = modseq;
	}
}

static void model_expunge(struct model_message *message, uint64_t modseq)
{
	message->expunged = true;
	message->expunged_modseq = modseq;
}

static void step_expunge(struct model *m, struct account *account)
{
	struct model_mailbox *b = model_pick(m);
	struct uid_range range = model_range(m, b);
	bool only_deleted = model_random(m, 2);
	uint64_t modseq = account_highestmodseq(account) + 1;

	assert_int_equal(
		entries_expunge(real(account, b), (struct uid_set){&range, 1}, only_deleted, &actor_imap, NULL), 0);
	for (size_t i = 0; i < b->count; i++) {
		if (in_range(&b->messages[i], range) && (!only_deleted || (b->messages[i].flags & FLAG_DELETED)))
			model_expunge(&b->messages[i], modseq);
	}
}

static void step_copy(struct model *m, struct account *account)
{
	struct model_mailbox *b = model_pick(m), *target = model_pick(m);
	struct uid_range range = model_range(m, b);
	bool move = model_random(m, 2) && b != target;
	uint64_t modseq = account_highestmodseq(account) + 1;
	size_t count = b->count;

	range.last = MIN(range.last, range.first + 20);
	if (target->count + 25 > MODEL_MESSAGES)
		return;
	assert_int_equal(entries_copy(real(account, b), (struct uid_set){&range, 1}, real(account, target), move,
				 &actor_imap, NULL, NULL),
		0);
	for (size_t i = 0; i < count; i++) {
		struct model_message *copy;

		if (!in_range(&b->messages[i], range))
			continue;
		copy = model_deliver(target, b->messages[i].number);
		copy->flags = b->messages[i].flags;
		copy->keyword = b->messages[i].keyword;
		copy->modseq = modseq;
		if (move)
			model_expunge(&b->messages[i], modseq);
	}
}

static void step_create(struct model *m, struct account *account)
{
	char name[64];
	struct mailbox *made;

	(void)snprintf(name, sizeof(name), "Box %u", m->next_name++);
	if (model_add(m, name))
		assert_int_equal(mailbox_create(account, slice_of(name), 0, &actor_imap, &made), 0);
}

static void step_rename(struct model *m, struct account *account)
{
	struct model_mailbox *b = model_pick(m);
	char name[64];

	(void)snprintf(name, sizeof(name), "Renamed %u", m->next_name++);
	if (strcmp(b->name, "INBOX") == 0)
		return;
	assert_int_equal(mailbox_rename(account, real(account, b), slice_of(name), &actor_imap), 0);
	(void)snprintf(b->name, sizeof(b->name), "%s", name);
}

static void step_delete(struct model *m, struct account *account)
{
	struct model_mailbox *b = model_pick(m);

	if (strcmp(b->name, "INBOX") == 0)
		return;
	assert_int_equal(mailbox_delete(account, real(account, b), &actor_imap), 0);
	b->used = false;
}

void model_step(struct model *m, struct account *account)
{
	unsigned what = model_random(m, 100);

	if (what < 45)
		step_deliver(m, account);
	else if (what < 65)
		step_flags(m, account);
	else if (what < 75)
		step_expunge(m, account);
	else if (what < 92)
		step_copy(m, account);
	else if (what < 96)
		step_create(m, account);
	else if (what < 98)
		step_rename(m, account);
	else
		step_delete(m, account);
}

/* ---- Comparing ---- */

static void compare_body(struct account *account, const struct entry *entry, unsigned number)
{
	size_t len;
	char *body = body_of(account, entry->email, &len), line[64];

	(void)snprintf(line, sizeof(line), "\r\n\r\nThis is number %u.\r\n", number);
	assert_int_equal(len, entry->bytes);
	assert_non_null(strstr(body, line));
	free(body);
}

static void compare_message(struct mailbox *mailbox, const struct model_message *message, bool with_body)
{
	struct entry entry = entry_of(mailbox, message->uid);

	assert_int_equal(entry.flags, message->flags);
	assert_int_equal(entry.keywords != 0, message->keyword);
	assert_int_equal(entry.modseq, message->modseq);
	if (with_body)
		compare_body(mailbox->account, &entry, message->number);
}

static void compare_vanished(struct model *m, struct mailbox *mailbox, const struct model_mailbox *b)
{
	uint64_t since = m->forgotten_modseq +
			 model_random(m, (unsigned)(account_highestmodseq(mailbox->account) - m->forgotten_modseq) + 1);
	struct uid_list expected = UID_LIST_INIT(MODEL_MESSAGES), vanished = UID_LIST_INIT(MODEL_MESSAGES);

	for (size_t i = 0; i < b->count; i++) {
		if (b->messages[i].expunged && b->messages[i].expunged_modseq > since)
			uid_list_add(&expected, b->messages[i].uid, b->messages[i].uid);
	}
	assert_int_equal(mailbox_vanished(mailbox, since, (struct uid_set){NULL, 0}, &vanished), 0);
	assert_int_equal(vanished.count, expected.count);
	for (size_t i = 0; i < vanished.count; i++) {
		assert_int_equal(vanished.ranges[i].first, expected.ranges[i].first);
		assert_int_equal(vanished.ranges[i].last, expected.ranges[i].last);
	}
	uid_list_free(&expected);
	uid_list_free(&vanished);
}

static void compare_mailbox(struct model *m, struct account *account, struct model_mailbox *b, bool with_bodies)
{
	struct mailbox *mailbox = real(account, b);
	uint32_t messages = 0, unseen = 0, deleted = 0;

	for (size_t i = 0; i < b->count; i++) {
		const struct model_message *message = &b->messages[i];

		if (message->expunged) {
			assert_false(has_uid(mailbox, message->uid));
			continue;
		}
		messages++;
		unseen += !(message->flags & FLAG_SEEN);
		deleted += !!(message->flags & FLAG_DELETED);
		m->used_numbers[message->number] = true;
		compare_message(mailbox, message, with_bodies);
	}
	assert_int_equal(mailbox->messages, messages);
	assert_int_equal(mailbox->unseen, unseen);
	assert_int_equal(mailbox->flagged_deleted, deleted);
	assert_int_equal(mailbox->uidnext, b->uidnext);
	compare_vanished(m, mailbox, b);
}

void model_compare(struct model *m, struct account *account, bool with_bodies)
{
	size_t mailboxes = 0, used = 0;

	memset(m->used_numbers, 0, sizeof(m->used_numbers));
	for (size_t i = 0; i < MODEL_MAILBOXES; i++) {
		if (m->mailboxes[i].used)
			compare_mailbox(m, account, &m->mailboxes[i], with_bodies);
		mailboxes += m->mailboxes[i].used;
	}
	for (struct mailbox *b = mailbox_next(account, NULL); b; b = mailbox_next(account, b))
		mailboxes--;
	assert_int_equal(mailboxes, 0);
	for (size_t i = 0; i < m->next_number; i++)
		used += m->used_numbers[i];
	assert_int_equal(account_quota(account).used_messages, used);
}
