/* A request in, an answer out: the table of commands. */
#include <stdarg.h>

#include "admin/internal.h"

const struct actor admin_actor = {STORE_BY_ADMIN, {"admin", 5}, {NULL, 0}};

/* Every field a command takes; one that is not in the list is refused, so that a typing error does not pass unseen. */
static const struct command {
	const char *name;
	const char *fields;
	bool changes; /* goes to the log */
	json_t *(*run)(struct admin_call *call);
} commands[] = {
	{"domain.add", "domain", true, admin_domain_add},
	{"domain.list", "", false, admin_domain_list},
	{"domain.delete", "domain", true, admin_domain_delete},
	/* password or hash: one of them. */
	{"account.add", "address password hash quota_bytes", true, admin_account_add},
	/* after: the last address of the page before, as `more` gave it. */
	{"account.list", "domain after", false, admin_account_list},
	{"account.info", "address", false, admin_account_info},
	{"account.passwd", "address password hash", true, admin_account_passwd},
	/* allow: array of imap, pop3, jmap, smtp. */
	{"account.set", "address quota_bytes allow disabled", true, admin_account_set},
	{"account.delete", "address", true, admin_account_delete},
	/* targets: array; added to those the alias has. */
	{"alias.add", "address targets", true, admin_alias_add},
	{"alias.list", "domain after", false, admin_alias_list},
	/* targets: which to take off it; without: all of it. */
	{"alias.delete", "address targets", true, admin_alias_delete},
	/* addresses: array; without: all. What is found has to be asked for. */
	{"check.start", "addresses rebuild_index salvage", true, admin_check_start},
	{"check.poll", "", false, admin_check_poll},
	/* Space is given back now; whether it is done has to be asked for. */
	{"compact.start", "", true, admin_compact_start},
	{"compact.poll", "", false, admin_compact_poll},
	{"status", "", false, admin_status},
	{"reload", "", true, admin_reload},
	{"stop", "", true, admin_stop},
};

/* ---- Fields ---- */

struct slice admin_text(const struct admin_call *call, const char *field)
{
	const json_t *value = json_object_get(call->request, field);

	return json_is_string(value) ? slice_make(json_string_value(value), json_string_length(value))
				     : (struct slice){NULL, 0};
}

bool admin_has(const struct admin_call *call, const char *field)
{
	return json_object_get(call->request, field) != NULL;
}

static bool is_listed(const char *fields, const char *name)
{
	struct slice rest = slice_of(fields);

	while (rest.len) {
		if (slice_equal(slice_split(&rest, ' '), slice_of(name)))
			return true;
	}
	return false;
}

/* A field that is not among those the command takes, or NULL. */
static const char *stray_field(const struct command *command, json_t *request)
{
	const char *name;
	json_t *value;

	json_object_foreach(request, name, value)
	{
		if (!slice_equal(slice_of(name), SLICE("cmd")) && !is_listed(command->fields, name))
			return name;
	}
	return NULL;
}

/* ---- Answers ---- */

static const char *code_of(int error)
{
	switch (error) {
	case -EINVAL:
	case -ERANGE:
		return "invalid";
	case -EEXIST:
		return "exists";
	case -ENOENT:
		return "not-found";
	case -EBUSY:
		return "busy";
	case -ENOBUFS:
	case -EDQUOT:
		return "over-limit";
	case -ENOSPC:
		return "no-space";
	case -EOPNOTSUPP:
	case -ETIMEDOUT:
	case -ECANCELED:
		return "unavailable";
	default:
		return "failed";
	}
}

json_t *admin_done(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *admin_done_with(const char *name, json_t *value)
{
	return json_pack("{s:b,s:o}", "ok", 1, name, value);
}

json_t *admin_string(struct slice text)
{
	return json_stringn(text.len ? text.at : "", text.len);
}

json_t *admin_refuse(int error, const char *format, ...)
{
	struct buffer text = BUFFER_INIT(2048);
	json_t *answer;
	va_list args;

	va_start(args, format);
	buffer_vprintf(&text, format, args);
	va_end(args);
	answer = json_pack("{s:b,s:s,s:s}", "ok", 0, "error", buffer_text(&text), "code", code_of(error));
	buffer_free(&text);
	return answer;
}

json_t *admin_refuse_plainly(int error)
{
	if (error == -ENOSPC)
		return admin_refuse(error, "There is no room on the disk; nothing was changed.");
	if (error == -ETIMEDOUT || error == -ECANCELED)
		return admin_refuse(error, "The server did not answer in time.");
	return admin_refuse(error, "That failed: %s.", strerror(-error));
}

static int put_json(const char *bytes, size_t len, void *context)
{
	buffer_put(context, slice_make(bytes, len));
	return 0;
}

static void put_answer(json_t *json, struct buffer *answer)
{
	size_t start = answer->len;

	if (json && json_dump_callback(json, put_json, answer, JSON_COMPACT) == 0)
		buffer_put_byte(answer, '\n');
	if (json && buffer_error(answer) == 0)
		return;
	buffer_reset(answer);
	answer->len = start;
	buffer_put_text(answer, "{\"ok\":false,\"error\":\"The answer is too long.\",\"code\":\"over-limit\"}\n");
}

/* ---- Running ---- */

static void log_change(const struct admin_call *call, const struct command *command, const json_t *answer)
{
	struct slice about = admin_text(call, "address");
	const char *code = json_string_value(json_object_get(answer, "code"));

	if (about.len == 0)
		about = admin_text(call, "domain");
	LOG(call->services->log, LOG_INFO, "admin", {"command", slice_of(command->name)}, {"about", about},
		{"result", code ? slice_of(code) : SLICE("ok")});
}

static json_t *run(struct admin_call *call)
{
	struct slice name = admin_text(call, "cmd");

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *stray;
		json_t *answer;

		if (!slice_equal(name, slice_of(commands[i].name)))
			continue;
		stray = stray_field(&commands[i], call->request);
		if (stray)
			return admin_refuse(-EINVAL, "%s takes no field \"%s\".", commands[i].name, stray);
		answer = commands[i].run(call);
		if (commands[i].changes)
			log_change(call, &commands[i], answer);
		return answer;
	}
	return admin_refuse(-EINVAL, "There is no command \"%.*s\".", SLICE_ARG(name));
}

/* jansson gives its strings out read-only; a password is wiped all the same before it goes back to the heap. */
static void wipe_password(json_t *request)
{
	json_t *password = json_object_get(request, "password");

	if (json_is_string(password))
		explicit_bzero((char *)(uintptr_t)json_string_value(password), json_string_length(password));
}

void admin_execute_call(const struct admin_services *services, const _Atomic bool *cancelled, struct slice request,
	int *ret_request, struct buffer *answer)
{
	struct admin_call call = {.services = services, .cancelled = cancelled, .asked = -1};
	json_t *json;

	call.request = json_loadb(request.len ? request.at : "", request.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(call.request))
		json = run(&call);
	else
		json = admin_refuse(-EINVAL, "A request is a JSON object on a line.");
	put_answer(json, answer);
	wipe_password(call.request);
	json_decref(json);
	json_decref(call.request);
	if (ret_request)
		*ret_request = call.asked;
}

void admin_execute(const struct admin_services *services, struct slice request, int *ret_request, struct buffer *answer)
{
	admin_execute_call(services, NULL, request, ret_request, answer);
}
