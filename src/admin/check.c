/* check.start and check.poll: what `penfold check` asks of a server that runs. */
#include "admin/internal.h"

enum { ACCOUNTS_MAX = 10000, ARENA_MAX = 65536, LINES_MAX = 4194304 };

static bool is_set(const struct admin_call *call, const char *field)
{
	return json_is_true(json_object_get(call->request, field));
}

static int account_number(const struct admin_call *call, struct slice address, uint64_t *ret_id)
{
	struct directory_account account;
	struct arena *arena = NULL;
	int error = arena_new(ARENA_MAX, &arena);

	if (!error)
		error = directory_account_find(call->services->store, address, arena, &account);
	if (!error)
		*ret_id = account.id;
	if (arena)
		arena_free(&arena);
	return error;
}

static json_t *start(const struct admin_call *call, uint64_t *ids)
{
	const struct store_check check = {
		.rebuild_index = is_set(call, "rebuild_index"), .salvage = is_set(call, "salvage")};
	const json_t *addresses = json_object_get(call->request, "addresses");
	size_t count = json_array_size(addresses);
	int error;

	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(addresses, i);
		struct slice address = {NULL, 0};

		if (json_is_string(one))
			address = slice_make(json_string_value(one), json_string_length(one));
		error = account_number(call, address, &ids[i]);
		if (error)
			return admin_refuse_address(error, address);
	}
	error = store_check_start(call->services->store, &check, ids, count);
	if (error == -EBUSY)
		return admin_refuse(error, "A check is running already.");
	return error ? admin_refuse_plainly(error) : admin_done();
}

/* addresses: array; without: all accounts. */
json_t *admin_check_start(struct admin_call *call)
{
	size_t count = json_array_size(json_object_get(call->request, "addresses"));
	uint64_t *ids;
	json_t *answer;

	if (count > ACCOUNTS_MAX)
		return admin_refuse(-ENOBUFS, "At most %d accounts at a time.", ACCOUNTS_MAX);
	ids = calloc(count + 1, sizeof(*ids));
	answer = ids ? start(call, ids) : admin_refuse_plainly(-ENOMEM);
	free(ids);
	return answer;
}

/* lines: what was found since the last time; over; and then sound, or error: why it could not go on. */
json_t *admin_check_poll(struct admin_call *call)
{
	struct buffer lines = BUFFER_INIT(LINES_MAX);
	bool over = false;
	int error = store_check_poll(call->services->store, &lines, &over);
	json_t *json = json_pack(
		"{s:o,s:b,s:b}", "lines", admin_string(buffer_slice(&lines)), "over", over, "sound", over && !error);

	if (json && error && error != -EBADMSG)
		json_object_set_new(json, "failure", json_string(strerror(-error)));
	buffer_free(&lines);
	return admin_done_with("check", json);
}
