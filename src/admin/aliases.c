/* alias.add, alias.list, alias.delete */
#include "admin/internal.h"
#include "store/address.h"

/* The targets of one alias while they change; the slices point into `arena`. */
struct targets {
	struct slice address; /* the alias, in the store's form */
	struct slice all[DIRECTORY_ALIAS_TARGETS_MAX];
	size_t count;
	struct arena *arena;
	bool found;
	int error;
};

enum { TARGETS_ARENA_MAX = 262144 };

static size_t target_index(const struct targets *targets, struct slice target)
{
	for (size_t i = 0; i < targets->count; i++) {
		if (slice_equal(targets->all[i], target))
			return i;
	}
	return SIZE_MAX;
}

static void target_add(struct targets *targets, struct slice target)
{
	if (targets->error || target_index(targets, target) != SIZE_MAX)
		return;
	if (targets->count == DIRECTORY_ALIAS_TARGETS_MAX) {
		targets->error = -ENOBUFS;
		return;
	}
	targets->error = arena_copy(targets->arena, target, &targets->all[targets->count]);
	if (!targets->error)
		targets->count++;
}

static void target_remove(struct targets *targets, struct slice target)
{
	size_t i = target_index(targets, target);

	if (i == SIZE_MAX) {
		targets->error = -ENOENT;
		return;
	}
	targets->all[i] = targets->all[--targets->count];
}

static bool collect(void *context, struct slice address, const struct slice *all, size_t count)
{
	struct targets *targets = context;

	if (!slice_equal_nocase(address, targets->address))
		return true;
	targets->found = true;
	for (size_t i = 0; i < count; i++)
		target_add(targets, all[i]);
	return false;
}

/* What the alias has now. */
static int targets_load(const struct admin_call *call, struct targets *targets)
{
	struct slice domain, detail;
	int error = arena_new(TARGETS_ARENA_MAX, &targets->arena);
	struct buffer address = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4);

	if (!error)
		error = address_normalise(admin_text(call, "address"), false, &address, &detail);
	if (!error)
		error = arena_copy(targets->arena, buffer_slice(&address), &targets->address);
	buffer_free(&address);
	if (error)
		return error;
	domain = slice_from(targets->address, slice_find_last_byte(targets->address, '@') + 1);
	error = directory_aliases(call->services->store, domain, collect, targets);
	return error ? error : targets->error;
}

/* Applies `each` to the targets that the request lists, in the store's form. */
static int targets_from(
	const json_t *listed, struct targets *targets, void (*each)(struct targets *targets, struct slice target))
{
	struct buffer form = BUFFER_INIT(DIRECTORY_ADDRESS_MAX * 4);
	const json_t *value;
	struct slice detail;
	size_t i;

	json_array_foreach(listed, i, value)
	{
		buffer_reset(&form);
		if (!json_is_string(value))
			targets->error = -EINVAL;
		else
			targets->error = address_normalise(
				slice_make(json_string_value(value), json_string_length(value)), false, &form, &detail);
		if (!targets->error)
			each(targets, buffer_slice(&form));
		if (targets->error)
			break;
	}
	buffer_free(&form);
	return targets->error;
}

static json_t *refuse_alias(int error, struct slice address)
{
	if (error == -EINVAL)
		return admin_refuse(error, "An alias and its targets are addresses.");
	if (error == -EEXIST)
		return admin_refuse(error, "There is an account %.*s already.", SLICE_ARG(address));
	if (error == -ENOBUFS)
		return admin_refuse(error, "An alias has at most %d targets.", DIRECTORY_ALIAS_TARGETS_MAX);
	return admin_refuse_plainly(error);
}

json_t *admin_alias_add(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	const json_t *listed = json_object_get(call->request, "targets");
	struct targets targets = {.arena = NULL};
	int error = json_array_size(listed) == 0 ? -EINVAL : targets_load(call, &targets);

	if (!error)
		error = targets_from(listed, &targets, target_add);
	if (!error)
		error = directory_alias_set(call->services->store, targets.address, targets.all, targets.count);
	if (targets.arena)
		arena_free(&targets.arena);
	if (error == -ENOENT)
		return admin_refuse(
			error, "%.*s or a target is in a domain that is not served here.", SLICE_ARG(address));
	return error ? refuse_alias(error, address) : admin_done();
}

json_t *admin_alias_delete(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	const json_t *listed = json_object_get(call->request, "targets");
	struct targets targets = {.arena = NULL};
	int error = listed && json_array_size(listed) == 0 ? -EINVAL : targets_load(call, &targets);
	bool found = targets.found;

	if (!error && !found)
		error = -ENOENT;
	if (!error && listed)
		error = targets_from(listed, &targets, target_remove);
	if (!error)
		error = directory_alias_set(
			call->services->store, targets.address, targets.all, listed ? targets.count : 0);
	if (targets.arena)
		arena_free(&targets.arena);
	if (error == -ENOENT && found)
		return admin_refuse(error, "The alias %.*s has no such target.", SLICE_ARG(address));
	if (error == -ENOENT)
		return admin_refuse(error, "There is no alias %.*s.", SLICE_ARG(address));
	return error ? refuse_alias(error, address) : admin_done();
}

/* ---- Listing ---- */

struct alias {
	struct slice address;
	const struct slice *targets;
	size_t count;
};

static json_t *alias_json(const void *of)
{
	const struct alias *alias = of;
	json_t *targets = json_array();

	for (size_t i = 0; i < alias->count; i++)
		json_array_append_new(targets, admin_string(alias->targets[i]));
	return json_pack("{s:o,s:o}", "address", admin_string(alias->address), "targets", targets);
}

static bool add_alias(void *context, struct slice address, const struct slice *targets, size_t count)
{
	const struct alias alias = {address, targets, count};

	return admin_page_add(context, address, alias_json, &alias);
}

json_t *admin_alias_list(struct admin_call *call)
{
	struct slice domain = admin_text(call, "domain");
	struct admin_page page;
	int error = admin_page_start(call, &page);

	if (!error)
		error = directory_aliases(call->services->store, domain, add_alias, &page);
	return admin_page_end(&page, error, "aliases");
}
