#include "store/resident.h"

uint64_t account_id(const struct account *account)
{
	return account->id;
}

struct shard *account_shard(const struct account *account)
{
	return account->shard;
}

struct store *account_store(const struct account *account)
{
	return account->shard->store;
}

uint64_t account_seq(const struct account *account)
{
	return account->seq > atomic_load(&account->shard->store->durable) ? account->seq : 0;
}

uint64_t account_highestmodseq(const struct account *account)
{
	return account->row.modseq;
}

struct account_quota account_quota(const struct account *account)
{
	return (struct account_quota){account->row.used_bytes, account->row.quota_bytes, account->row.used_messages};
}

unsigned account_users(const struct account *account)
{
	return account->refs;
}

bool account_is_full(const struct account *account, uint64_t more)
{
	uint64_t most = account->shard->store->settings.messages_max;

	for (size_t i = 0; i < account->mailbox_count && more <= most; i++)
		more += account->mailboxes[i]->row.pub.messages;
	return more > most;
}

void account_listen(struct account *account, struct account_listener *listener)
{
	listener->next = account->listeners;
	account->listeners = listener;
}

void account_unlisten(struct account *account, struct account_listener *listener)
{
	struct account_listener **link = &account->listeners;

	while (*link && *link != listener)
		link = &(*link)->next;
	if (*link)
		*link = listener->next;
	listener->next = NULL;
}

/* ---- The maildrop ---- */

static void text_keep(char *to, size_t room, struct slice text)
{
	size_t len = MIN(text.len, room - 1);

	if (len)
		memcpy(to, text.at, len);
	to[len] = '\0';
}

int account_maildrop_hold(struct account *account, const struct actor *actor, struct maildrop_holder *ret_holder)
{
	if (account->held) {
		*ret_holder = account->holder;
		return -EBUSY;
	}
	text_keep(account->holder.address, sizeof(account->holder.address), actor->address);
	text_keep(account->holder.device, sizeof(account->holder.device), actor->device);
	account->holder.since_ms = clock_wall_ms(account->shard->store->settings.clock);
	account->held = true;
	return 0;
}

void account_maildrop_release(struct account *account)
{
	account->held = false;
	account->maildrop_last_ms = clock_wall_ms(account->shard->store->settings.clock);
}

int64_t account_maildrop_last_ms(const struct account *account)
{
	return account->maildrop_last_ms;
}

/* ---- Subscriptions ---- */

int account_subscribe(struct account *account, struct slice name, bool subscribed, const struct actor *actor)
{
	struct buffer normal = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 4), *change;
	int error = mailbox_name_normalise(name, &normal);

	if (error || name_set_has(&account->subscriptions, buffer_slice(&normal)) == subscribed)
		goto out;
	if (subscribed && account->subscriptions.count >= STORE_MAILBOXES_MAX) {
		error = -ENOBUFS;
		goto out;
	}
	error = change_start(account, actor, &change);
	if (error)
		goto out;
	op_put_name(change, OP_SUBSCRIBE, subscribed, buffer_slice(&normal));
	error = change_commit(account, NULL, 0, CHANGE_SMALL, NULL, NULL, NULL);
out:
	buffer_free(&normal);
	return error;
}

bool account_is_subscribed(struct account *account, struct slice name)
{
	return name_set_has(&account->subscriptions, name_is_inbox(name) ? SLICE("INBOX") : name);
}

const struct slice *account_subscriptions(struct account *account, size_t *ret_count)
{
	*ret_count = account->subscriptions.count;
	return account->subscriptions.names;
}
