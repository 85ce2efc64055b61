/* From shard to shard: the message into every account it is for. */
#include "base/utf8.h"
#include "lmtp/session.h"
#include "mail/mail.h"

/* Targets in a row on one shard before its other sessions have a turn. */
enum { TARGETS_PER_TURN = 16 };

/* 0: the same; -ENOENT: it is another; -ENOMEM: cannot be told. */
static int same_name(struct slice name, struct slice wanted)
{
	struct buffer a = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 4), b = BUFFER_INIT(STORE_MAILBOX_NAME_MAX * 4);
	int error;

	if (utf8_is_ascii(name) || utf8_is_ascii(wanted))
		return slice_equal_nocase(name, wanted) ? 0 : -ENOENT;
	mail_text_fold(name, &a);
	mail_text_fold(wanted, &b);
	error = buffer_error(&a) ? buffer_error(&a) : buffer_error(&b);
	if (error != -ENOMEM)
		error = !error && slice_equal(buffer_slice(&a), buffer_slice(&b)) ? 0 : -ENOENT;
	buffer_free(&a);
	buffer_free(&b);
	return error;
}

static int find_named(struct account *account, struct slice wanted, struct mailbox **ret_mailbox)
{
	struct buffer name = BUFFER_INIT(STORE_MAILBOX_NAME_MAX);
	struct mailbox *mailbox = NULL;
	int error = mailbox_name_normalise(wanted, &name);

	if (!error)
		mailbox = mailbox_find(account, buffer_slice(&name));
	buffer_free(&name);
	if (error == -ENOMEM)
		return error;
	if (mailbox) {
		*ret_mailbox = mailbox;
		return 0;
	}
	while ((mailbox = mailbox_next(account, mailbox))) {
		error = same_name(mailbox->name, wanted);
		if (error == -ENOENT)
			continue;
		if (!error)
			*ret_mailbox = mailbox;
		return error;
	}
	return -ENOENT;
}

static int find_below_inbox(struct account *account, struct slice wanted, struct mailbox **ret_mailbox)
{
	struct buffer name = BUFFER_INIT(STORE_MAILBOX_NAME_MAX);
	int error;

	buffer_put(&name, SLICE("INBOX/"));
	buffer_put(&name, wanted);
	error = buffer_error(&name);
	if (!error)
		error = find_named(account, buffer_slice(&name), ret_mailbox);
	buffer_free(&name);
	return error == -ENOMEM ? error : error ? -ENOENT : 0;
}

int lmtp_mailbox_for(struct account *account, struct slice detail, struct mailbox **ret_mailbox)
{
	struct buffer levels = BUFFER_INIT(STORE_MAILBOX_NAME_MAX);
	struct mailbox *mailbox = NULL;
	int error = -ENOENT;

	for (size_t i = 0; i < detail.len; i++)
		buffer_put_byte(&levels, detail.at[i] == '.' ? '/' : detail.at[i]);
	if (buffer_error(&levels) == -ENOMEM) {
		error = -ENOMEM;
	} else if (detail.len && buffer_error(&levels) == 0 && utf8_is_valid(detail)) {
		struct slice with_slashes = buffer_slice(&levels);

		error = find_named(account, detail, &mailbox);
		if (error == -ENOENT)
			error = find_named(account, with_slashes, &mailbox);
		if (error == -ENOENT)
			error = find_below_inbox(account, detail, &mailbox);
		if (error == -ENOENT)
			error = find_below_inbox(account, with_slashes, &mailbox);
	}
	buffer_free(&levels);
	if (error == -ENOMEM)
		return error;
	*ret_mailbox = error ? mailbox_inbox(account) : mailbox;
	return 0;
}

/*
 * Has an earlier recipient brought the message to this mailbox? Its account is of the same shard, so that nothing is still on its way. With
 * the limits as they are this costs 50 ms in all for the worst message there can be.
 */
static bool is_there(const struct lmtp_envelope *envelope, uint32_t before, uint64_t account, uint64_t mailbox)
{
	for (uint32_t i = 0; i < before; i++) {
		const struct lmtp_target *t = &envelope->targets[i];

		if (t->account == account && t->mailbox == mailbox && t->error == 0)
			return true;
	}
	return false;
}

static int append(struct lmtp_session *s, struct account *account, uint32_t index)
{
	struct lmtp_envelope *envelope = &s->protocol.envelope;
	struct lmtp_target *target = &envelope->targets[index];
	struct append_item item = {.ingest = s->ingest, .internaldate = INT64_MIN};
	struct mailbox *mailbox;
	uint32_t uid;
	int error = lmtp_mailbox_for(account, target->detail, &mailbox);

	if (error)
		return error;
	target->mailbox = mailbox->id;
	if (is_there(envelope, index, target->account, target->mailbox))
		return 0;
	error = mailbox_append(mailbox, &item, 1, &s->actor, &uid);
	/* Here it would not mean that there is no such user, and must not make the message come back to its sender. */
	return error == -ENOENT ? -EIO : error;
}

static void deliver_to(struct lmtp_session *s, uint32_t index)
{
	struct lmtp_target *target = &s->protocol.envelope.targets[index];
	struct store *store = s->services->store;
	struct shard *shard = store_shard(store, store_shard_of(store, target->account));
	struct account *account;

	target->error = account_open(shard, target->account, &account);
	if (target->error)
		return;
	target->error = append(s, account, index);
	s->delivered_seq = MAX(s->delivered_seq, account_seq(account));
	account_release(&account);
}

static void post_next(struct lmtp_session *s);

static void on_shard(struct net_task *task)
{
	struct lmtp_session *s = CONTAINER_OF(task, struct lmtp_session, task);
	const struct lmtp_envelope *envelope = &s->protocol.envelope;
	struct store *store = s->services->store;
	unsigned shard = store_shard_of(store, envelope->targets[s->next_target].account);

	for (int i = 0; i < TARGETS_PER_TURN && s->next_target < envelope->target_count; i++) {
		if (store_shard_of(store, envelope->targets[s->next_target].account) != shard)
			break;
		deliver_to(s, s->next_target++);
	}
	post_next(s);
}

static void on_session_loop(struct net_task *task)
{
	lmtp_session_delivered(CONTAINER_OF(task, struct lmtp_session, task));
}

static void post_next(struct lmtp_session *s)
{
	const struct lmtp_envelope *envelope = &s->protocol.envelope;
	struct net_loop *loop = s->services->loop;

	s->task.run = on_session_loop;
	if (s->next_target < envelope->target_count) {
		s->task.run = on_shard;
		loop = s->services
			       ->loops[store_shard_of(s->services->store, envelope->targets[s->next_target].account)];
	}
	net_loop_post(loop, &s->task);
}

void lmtp_deliver(struct lmtp_session *s)
{
	s->next_target = 0;
	s->actor = (struct actor){
		.protocol = STORE_BY_LMTP,
		.device = buffer_slice(&s->protocol.client),
		.address = buffer_slice(&s->address),
	};
	post_next(s);
}
