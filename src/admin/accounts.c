/* account.add, list, passwd, set, delete; info is in info.c */
#include "admin/internal.h"

enum { ALLOW_KINDS = 4 };

static const char *const allow_names[ALLOW_KINDS] = {"imap", "pop3", "jmap", "smtp"}; /* bit i of ALLOW_ */

/* ---- What is about an address ---- */

json_t *admin_refuse_address(int error, struct slice address)
{
	if (error == -EINVAL)
		return admin_refuse(error, "\"%.*s\" is not an address.", SLICE_ARG(address));
	if (error == -ENOENT)
		return admin_refuse(error, "There is no account %.*s.", SLICE_ARG(address));
	return admin_refuse_plainly(error);
}

/*
 * The secret that a request gives: a password to be hashed, or a hash from elsewhere. Appends it, or returns the answer that
 * refuses.
 */
static json_t *take_secret(const struct admin_call *call, struct buffer *secret)
{
	struct slice hash = admin_text(call, "hash");
	int error;

	if (admin_has(call, "password") == admin_has(call, "hash"))
		return admin_refuse(-EINVAL, "Give a password or a hash.");
	if (admin_has(call, "hash")) {
		if (auth_secret_validate(hash) != 0)
			return admin_refuse(-EINVAL, "This hash is of no kind that can be checked, or would cost too "
						     "much to check.");
		buffer_put(secret, hash);
		error = buffer_error(secret);
		return error ? admin_refuse_plainly(error) : NULL;
	}
	error = auth_secret_make(admin_text(call, "password"), &call->services->cost, secret);
	if (error == -EINVAL)
		return admin_refuse(error,
			"This password cannot be used: it is empty, longer than %d bytes, not "
			"UTF-8, or has characters that SASLprep forbids.",
			AUTH_PASSWORD_MAX);
	return error ? admin_refuse_plainly(error) : NULL;
}

static json_t *take_quota(const struct admin_call *call, uint64_t *ret_bytes)
{
	const json_t *value = json_object_get(call->request, "quota_bytes");

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return admin_refuse(-EINVAL, "A quota is a number of bytes; 0: none.");
	*ret_bytes = (uint64_t)json_integer_value(value);
	return NULL;
}

/* ---- Adding and changing ---- */

json_t *admin_account_add(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	struct buffer secret = BUFFER_INIT(AUTH_SECRET_MAX);
	uint64_t quota_bytes = 0, id;
	json_t *answer = NULL;
	int error;

	if (admin_has(call, "quota_bytes"))
		answer = take_quota(call, &quota_bytes);
	if (!answer)
		answer = take_secret(call, &secret);
	if (answer)
		goto out;
	error = directory_account_add(
		call->services->store, address, buffer_slice(&secret), quota_bytes, &admin_actor, &id);
	if (error == -EEXIST)
		answer = admin_refuse(error, "There is an account or alias %.*s already.", SLICE_ARG(address));
	else if (error == -ENOENT)
		answer =
			admin_refuse(error, "The domain of %.*s is not served here; add it first.", SLICE_ARG(address));
	else
		answer = error ? admin_refuse_address(error, address)
			       : admin_done_with("id", json_integer((json_int_t)id));
out:
	buffer_free(&secret);
	return answer;
}

json_t *admin_account_passwd(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	struct buffer secret = BUFFER_INIT(AUTH_SECRET_MAX);
	struct directory_change change = {NULL, NULL, NULL, NULL};
	json_t *answer = take_secret(call, &secret);
	struct slice text = buffer_slice(&secret);
	int error;

	if (!answer) {
		change.secret = &text;
		error = directory_account_change(call->services->store, address, &change, &admin_actor);
		answer = error ? admin_refuse_address(error, address) : admin_done();
	}
	buffer_free(&secret);
	return answer;
}

static bool allow_bit(const json_t *name, unsigned *allowed)
{
	for (unsigned i = 0; i < ALLOW_KINDS; i++) {
		if (json_is_string(name) &&
			slice_equal_nocase(slice_of(json_string_value(name)), slice_of(allow_names[i]))) {
			*allowed |= 1u << i;
			return true;
		}
	}
	return false;
}

static json_t *take_allowed(const struct admin_call *call, unsigned *ret_allowed)
{
	const json_t *names = json_object_get(call->request, "allow");
	unsigned allowed = 0;
	const json_t *name;
	size_t i;

	if (!json_is_array(names))
		return admin_refuse(-EINVAL, "What is allowed is an array of protocols.");
	json_array_foreach(names, i, name)
	{
		if (!allow_bit(name, &allowed))
			return admin_refuse(-EINVAL, "What can be allowed is imap, pop3, jmap, smtp.");
	}
	*ret_allowed = allowed;
	return NULL;
}

json_t *admin_account_set(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	struct directory_change change = {NULL, NULL, NULL, NULL};
	const json_t *disabled = json_object_get(call->request, "disabled");
	bool is_disabled = json_is_true(disabled);
	uint64_t quota_bytes;
	unsigned allowed;
	json_t *answer = NULL;
	int error;

	if (admin_has(call, "quota_bytes")) {
		answer = take_quota(call, &quota_bytes);
		change.quota_bytes = &quota_bytes;
	}
	if (!answer && admin_has(call, "allow")) {
		answer = take_allowed(call, &allowed);
		change.allowed = &allowed;
	}
	if (!answer && disabled && !json_is_boolean(disabled))
		answer = admin_refuse(-EINVAL, "\"disabled\" is true or false.");
	if (answer)
		return answer;
	change.disabled = disabled ? &is_disabled : NULL;
	if (!change.quota_bytes && !change.allowed && !change.disabled)
		return admin_refuse(-EINVAL, "There is nothing to set.");
	error = directory_account_change(call->services->store, address, &change, &admin_actor);
	return error ? admin_refuse_address(error, address) : admin_done();
}

json_t *admin_account_delete(struct admin_call *call)
{
	struct slice address = admin_text(call, "address");
	int error = directory_account_delete(call->services->store, address, &admin_actor);

	return error ? admin_refuse_address(error, address) : admin_done();
}

/* ---- Listing ---- */

static json_t *allowed_json(unsigned allowed)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < ALLOW_KINDS; i++) {
		if (allowed & 1u << i)
			json_array_append_new(names, json_string(allow_names[i]));
	}
	return names;
}

json_t *admin_account_json(const void *of)
{
	const struct directory_account *account = of;
	json_t *address = admin_string(account->address);

	return json_pack("{s:o,s:I,s:I,s:o,s:b,s:b,s:I}", "address", address, "id", (json_int_t)account->id,
		"quota_bytes", (json_int_t)account->quota_bytes, "allow", allowed_json(account->allowed), "disabled",
		(int)account->disabled, "password", (int)(account->secret.len > 0), "created_ms",
		(json_int_t)account->created_ms);
}

static bool add_account(void *context, const struct directory_account *account)
{
	return admin_page_add(context, account->address, admin_account_json, account);
}

json_t *admin_account_list(struct admin_call *call)
{
	struct slice domain = admin_text(call, "domain");
	struct admin_page page;
	int error = admin_page_start(call, &page);

	if (!error)
		error = directory_accounts(call->services->store, domain, add_account, &page);
	return admin_page_end(&page, error, "accounts");
}
