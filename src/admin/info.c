/* account.info and status: what has to be asked of shards. reload and stop: what has to be done by the caller. */
#include "admin/internal.h"
#include "store/account.h"

enum { INFO_ARENA_MAX = 65536 };

/* ---- account.info ---- */

static json_t *mailbox_json(const struct mailbox *mailbox)
{
	return json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "name", admin_string(mailbox->name), "messages",
		(json_int_t)mailbox->messages, "unseen", (json_int_t)mailbox->unseen, "bytes",
		(json_int_t)mailbox->bytes, "uidvalidity", (json_int_t)mailbox->uidvalidity, "uidnext",
		(json_int_t)mailbox->uidnext, "highestmodseq", (json_int_t)mailbox->highestmodseq);
}

static json_t *sessions_json(const struct admin_services *services, unsigned shard, uint64_t account_id)
{
	struct admin_sessions sessions = {0, 0, 0};

	if (!services->sessions)
		return NULL;
	services->sessions(services->context, shard, account_id, &sessions);
	return json_pack(
		"{s:i,s:i,s:i}", "imap", (int)sessions.imap, "pop3", (int)sessions.pop3, "lmtp", (int)sessions.lmtp);
}

static int look_at_account(
	const struct admin_services *services, unsigned shard, uint64_t account_id, json_t **ret_json)
{
	struct account *account;
	struct account_quota quota;
	json_t *mailboxes, *json;
	int error = account_open(store_shard(services->store, shard), account_id, &account);

	if (error)
		return error;
	quota = account_quota(account);
	mailboxes = json_array();
	for (struct mailbox *box = mailbox_next(account, NULL); box; box = mailbox_next(account, box))
		json_array_append_new(mailboxes, mailbox_json(box));
	json = json_pack("{s:I,s:I,s:o}", "used_bytes", (json_int_t)quota.used_bytes, "used_messages",
		(json_int_t)quota.used_messages, "mailboxes", mailboxes);
	if (services->sessions)
		json_object_set_new(json, "sessions", sessions_json(services, shard, account_id));
	account_release(&account);
	if (!json)
		return -ENOMEM;
	*ret_json = json;
	return 0;
}

json_t *admin_account_info(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	struct admin_visit visit = {.run = look_at_account};
	struct directory_account account;
	struct arena *arena = NULL;
	json_t *json = NULL, *inside = NULL;
	int error = arena_new(INFO_ARENA_MAX, &arena);

	if (!error)
		error = directory_account_find(call->services->store, address, arena, &account);
	if (!error) {
		json = admin_account_json(&account);
		visit.account_id = account.id;
		visit.shard = store_shard_of(call->services->store, account.id);
		error = admin_visit_shard(call, &visit, &inside);
	}
	if (!error && json_object_update(json, inside) != 0)
		error = -ENOMEM;
	json_decref(inside);
	if (arena)
		arena_free(&arena);
	if (error) {
		json_decref(json);
		return admin_refuse_address(error, address);
	}
	return admin_done_with("account", json);
}

/* ---- status ---- */

static int look_at_shard(const struct admin_services *services, unsigned shard, uint64_t account_id, json_t **ret_json)
{
	*ret_json = sessions_json(services, shard, account_id);
	return *ret_json ? 0 : -ENOMEM;
}

/* All shards' sessions added up. */
static int count_sessions(const struct admin_call *call, json_t **ret_json)
{
	static const char *const names[] = {"imap", "pop3", "lmtp"};
	json_int_t sums[ARRAY_LEN(names)] = {0, 0, 0};

	for (unsigned shard = 0; shard < store_shard_count(call->services->store); shard++) {
		const struct admin_visit visit = {.shard = shard, .run = look_at_shard};
		json_t *json = NULL;
		int error = admin_visit_shard(call, &visit, &json);

		if (error)
			return error;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			sums[i] += json_integer_value(json_object_get(json, names[i]));
		json_decref(json);
	}
	*ret_json = json_pack("{s:I,s:I,s:I}", names[0], sums[0], names[1], sums[1], names[2], sums[2]);
	return *ret_json ? 0 : -ENOMEM;
}

json_t *admin_status(struct admin_call *call)
{
	struct store *store = call->services->store;
	struct store_stats stats;
	json_t *json, *sessions = NULL;
	int error = call->services->sessions ? count_sessions(call, &sessions) : 0;

	if (error)
		return admin_refuse_plainly(error);
	store_stats(store, &stats);
	json = json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "shards", (int)store_shard_count(store),
		"records", (json_int_t)stats.records, "record_bytes", (json_int_t)stats.record_bytes, "syncs",
		(json_int_t)stats.syncs, "segments", (json_int_t)stats.segments, "segment_bytes",
		(json_int_t)stats.segment_bytes, "live_bytes", (json_int_t)stats.live_bytes, "pending_records",
		(json_int_t)stats.pending_records, "accounts_resident", (json_int_t)stats.accounts_resident,
		"durable_seq", (json_int_t)store_durable_seq(store));
	if (sessions)
		json_object_set_new(json, "sessions", sessions);
	return admin_done_with("status", json);
}

/* ---- reload, stop ---- */

static json_t *ask(struct admin_call *call, enum admin_request request)
{
	if (!call->services->request)
		return admin_refuse(-EOPNOTSUPP, "No server is running.");
	call->asked = (int)request;
	return admin_done();
}

json_t *admin_reload(struct admin_call *call)
{
	return ask(call, ADMIN_RELOAD);
}

json_t *admin_stop(struct admin_call *call)
{
	return ask(call, ADMIN_STOP);
}
