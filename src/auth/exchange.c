/* SASL exchanges (RFC 4422), the server's side, on GNU SASL. */
#include <sodium.h>

#include "auth/internal.h"

enum {
	STEPS_MAX = 6, /* LOGIN needs three; an empty response may come before each mechanism's first */
	ARENA_MAX = 65536,
	BINDING_MAX = 1024, /* bytes of channel binding data in base64 */
};

static const struct mechanism {
	const char *name;
	enum auth_scheme scheme; /* AUTH_UNKNOWN: sends the password itself */
	bool is_bound;           /* to the TLS channel */
} mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", AUTH_SCRAM_SHA_256, true},
	{"SCRAM-SHA-1-PLUS", AUTH_SCRAM_SHA_1, true},
	{"SCRAM-SHA-256", AUTH_SCRAM_SHA_256, false},
	{"SCRAM-SHA-1", AUTH_SCRAM_SHA_1, false},
	{"PLAIN", AUTH_UNKNOWN, false},
	{"LOGIN", AUTH_UNKNOWN, false},
};
enum { MECHANISM_LOGIN = 5 };

struct auth_exchange {
	const struct auth_settings *settings;
	const struct mechanism *mechanism;
	Gsasl *gsasl;
	Gsasl_session *session;
	struct arena *arena;
	struct auth_identity identity; /* of the user that was looked up; empty when there is none */
	struct slice user;             /* as typed */
	struct slice name;             /* the same prepared; empty when it cannot be */
	enum auth_state state;
	unsigned steps;
	bool may_succeed; /* a real account, whose secret this mechanism checked or is about to check */
	int error;        /* a temporary failure on the way */
};

static bool is_offered(const struct mechanism *mechanism, const struct auth_connection *connection)
{
	if (mechanism->is_bound)
		return connection->tls_exporter.len || connection->tls_unique.len;
	return mechanism->scheme != AUTH_UNKNOWN || connection->confidential;
}

void auth_mechanisms(const struct auth_connection *connection, struct buffer *out)
{
	const char *separator = "";

	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (!is_offered(&mechanisms[i], connection))
			continue;
		buffer_printf(out, "%s%s", separator, mechanisms[i].name);
		separator = " ";
	}
}

/* ---- Who ---- */

static void keep_user(struct auth_exchange *exchange, const char *typed)
{
	struct slice user = slice_first(slice_of(typed), AUTH_USER_MAX);

	if (arena_copy(exchange->arena, user, &exchange->user) != 0)
		exchange->error = -ENOMEM;
}

/* Looks the user up. A name that cannot be anybody's is an unknown user, too: the exchange goes on. */
static void find_identity(struct auth_exchange *exchange, const char *typed)
{
	struct auth_identity identity = {.account = 0};
	struct auth_text prepared;
	int error;

	keep_user(exchange, typed);
	error = auth_prepare(slice_of(typed), false, &prepared);
	if (error == -EINVAL || (!error && prepared.len > AUTH_USER_MAX))
		return;
	if (!error)
		error = arena_copy(exchange->arena, slice_make(prepared.at, prepared.len), &exchange->name);
	if (!error)
		error = exchange->settings->lookup.find(
			exchange->settings->lookup.context, exchange->name, exchange->arena, &identity);
	if (error && error != -ENOENT)
		exchange->error = error;
	else if (!error)
		exchange->identity = identity;
}

static const char *property_text(const struct auth_exchange *exchange, Gsasl_property property)
{
	const char *text = gsasl_property_fast(exchange->session, property);

	return text ? text : "";
}

/*
 * Nobody acts for somebody else here: the authorization identity is empty or names the same user (RFC 4616 §2,
 * RFC 5802 §5.1), as typed or by the account's own address.
 */
static bool is_own_authzid(const struct auth_exchange *exchange)
{
	struct slice authzid = slice_of(property_text(exchange, GSASL_AUTHZID));
	struct auth_text prepared;
	struct slice name;

	if (authzid.len == 0)
		return true;
	if (auth_prepare(authzid, false, &prepared) != 0)
		return false;
	name = slice_make(prepared.at, prepared.len);
	return slice_equal_nocase(name, exchange->identity.address) || slice_equal_nocase(name, exchange->name);
}

/* ---- What GNU SASL asks ---- */

static int check_password(struct auth_exchange *exchange)
{
	const struct auth_settings *settings = exchange->settings;
	int error;

	find_identity(exchange, property_text(exchange, GSASL_AUTHID));
	if (exchange->error)
		return GSASL_AUTHENTICATION_ERROR;
	error = auth_cache_verify(settings->cache, exchange->identity.address, exchange->identity.secret,
		slice_of(property_text(exchange, GSASL_PASSWORD)), &settings->cost);
	if (error == -ENOMEM || error == -EIO)
		exchange->error = error;
	if (error || !is_own_authzid(exchange))
		return GSASL_AUTHENTICATION_ERROR;
	exchange->may_succeed = true;
	return GSASL_OK;
}

static int set_base64(Gsasl_session *session, Gsasl_property property, struct slice bytes)
{
	struct buffer text = BUFFER_INIT(BINDING_MAX);
	int rc = GSASL_MALLOC_ERROR;

	buffer_put_base64(&text, bytes);
	(void)buffer_text(&text);
	if (buffer_error(&text) == 0)
		rc = gsasl_property_set(session, property, buffer_text(&text));
	buffer_free(&text);
	return rc;
}

static int offer_scram(struct auth_exchange *exchange)
{
	const struct auth_settings *settings = exchange->settings;
	enum auth_scheme scheme = exchange->mechanism->scheme;
	struct auth_scram scram;
	struct slice text;
	char iterations[16];
	int rc;

	find_identity(exchange, property_text(exchange, GSASL_AUTHID));
	if (auth_item_find(exchange->identity.secret, scheme, &text) == 0 &&
		auth_scram_parse(text, scheme, &scram) == 0)
		exchange->may_succeed = true;
	else
		auth_scram_invent(settings->fake_salt_key, exchange->user, scheme,
			MAX(settings->cost.scram_iterations, 1), &scram);
	(void)snprintf(iterations, sizeof(iterations), "%u", scram.iterations);
	rc = gsasl_property_set(exchange->session, GSASL_SCRAM_ITER, iterations);
	if (rc == GSASL_OK)
		rc = set_base64(exchange->session, GSASL_SCRAM_SALT, slice_make(scram.salt, scram.salt_len));
	if (rc == GSASL_OK)
		rc = set_base64(exchange->session, GSASL_SCRAM_STOREDKEY, slice_make(scram.stored_key, scram.key_len));
	if (rc == GSASL_OK)
		rc = set_base64(exchange->session, GSASL_SCRAM_SERVERKEY, slice_make(scram.server_key, scram.key_len));
	if (rc != GSASL_OK)
		exchange->error = -ENOMEM;
	return rc;
}

static int answer_gsasl(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	struct auth_exchange *exchange = gsasl_session_hook_get(session);

	(void)gsasl;
	if (!exchange) /* the session is being made */
		return GSASL_NO_CALLBACK;
	if (property == GSASL_VALIDATE_SIMPLE)
		return check_password(exchange);
	if (property == GSASL_SCRAM_ITER && exchange->mechanism->scheme != AUTH_UNKNOWN)
		return offer_scram(exchange);
	return GSASL_NO_CALLBACK;
}

/* ---- The exchange ---- */

static const struct mechanism *mechanism_find(struct slice name, const struct auth_connection *connection)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (slice_equal_nocase(name, slice_of(mechanisms[i].name)) && is_offered(&mechanisms[i], connection))
			return &mechanisms[i];
	}
	return NULL;
}

/*
 * Also without -PLUS GNU SASL is told of the channel: then it refuses the flag `y`, which says that somebody took -PLUS out
 * of the list of mechanisms on its way to the client (RFC 5802 §6).
 */
static int start_session(struct auth_exchange *exchange, const struct auth_connection *connection)
{
	if (gsasl_init(&exchange->gsasl) != GSASL_OK)
		return -ENOMEM;
	gsasl_callback_set(exchange->gsasl, answer_gsasl);
	if (gsasl_server_start(exchange->gsasl, exchange->mechanism->name, &exchange->session) != GSASL_OK)
		return -ENOENT;
	gsasl_session_hook_set(exchange->session, exchange);
	if (connection->tls_exporter.len &&
		set_base64(exchange->session, GSASL_CB_TLS_EXPORTER, connection->tls_exporter) != GSASL_OK)
		return -ENOMEM;
	if (connection->tls_unique.len &&
		set_base64(exchange->session, GSASL_CB_TLS_UNIQUE, connection->tls_unique) != GSASL_OK)
		return -ENOMEM;
	return 0;
}

int auth_exchange_new(const struct auth_settings *settings, const struct auth_connection *connection,
	struct slice mechanism, struct auth_exchange **ret_exchange)
{
	const struct mechanism *found = mechanism_find(mechanism, connection);
	struct auth_exchange *exchange;
	int error;

	if (!found)
		return -ENOENT;
	if (sodium_init() < 0)
		return -EIO;
	exchange = calloc(1, sizeof(*exchange));
	if (!exchange)
		return -ENOMEM;
	exchange->settings = settings;
	exchange->mechanism = found;
	exchange->state = AUTH_CONTINUE;
	error = arena_new(ARENA_MAX, &exchange->arena);
	if (!error)
		error = start_session(exchange, connection);
	if (error)
		auth_exchange_free(&exchange);
	else
		*ret_exchange = exchange;
	return error;
}

void auth_exchange_free(struct auth_exchange **exchange)
{
	if (!*exchange)
		return;
	if ((*exchange)->session)
		gsasl_finish((*exchange)->session);
	if ((*exchange)->gsasl)
		gsasl_done((*exchange)->gsasl);
	if ((*exchange)->arena)
		arena_free(&(*exchange)->arena);
	free(*exchange);
	*exchange = NULL;
}

/* One step of GNU SASL, which wants its input NUL-terminated. */
static int step_gsasl(struct auth_exchange *exchange, struct slice in, struct buffer *out)
{
	char *copy = malloc(in.len + 1);
	char *answer = NULL;
	size_t answer_len = 0;
	int rc;

	if (!copy)
		return GSASL_MALLOC_ERROR;
	if (in.len)
		memcpy(copy, in.at, in.len);
	copy[in.len] = '\0';
	rc = gsasl_step(exchange->session, copy, in.len, &answer, &answer_len);
	auth_wipe(copy, in.len);
	free(copy);
	if ((rc == GSASL_OK || rc == GSASL_NEEDS_MORE) && answer_len)
		buffer_put(out, slice_make(answer, answer_len));
	gsasl_free(answer);
	return rc;
}

/*
 * LOGIN (draft-murchison-sasl-login). The challenges are those that one widespread client insists on, as the draft allows;
 * and a name that comes as initial response, which the draft does not know, is taken for the answer to the first one.
 */
static int step_login(struct auth_exchange *exchange, struct slice in, struct buffer *out)
{
	struct buffer ignored = BUFFER_INIT(256);
	bool is_first = exchange->steps == 1;
	int rc;

	if (is_first && in.len) {
		rc = step_gsasl(exchange, (struct slice){NULL, 0}, &ignored);
		is_first = false;
		if (rc != GSASL_NEEDS_MORE)
			goto out;
	}
	rc = step_gsasl(exchange, in, &ignored);
	if (rc == GSASL_NEEDS_MORE)
		buffer_put_text(out, is_first ? "Username:" : "Password:");
out:
	buffer_free(&ignored);
	return rc;
}

static bool is_acceptable(const struct auth_exchange *exchange, struct slice in)
{
	const struct mechanism *mechanism = exchange->mechanism;

	if (in.len > AUTH_STEP_MAX || exchange->steps > STEPS_MAX)
		return false;
	/* A bound channel with a mechanism that does not bind: GNU SASL would let it pass (RFC 5802 §6). */
	return mechanism->scheme == AUTH_UNKNOWN || mechanism->is_bound || exchange->user.len || in.len == 0 ||
	       in.at[0] != 'p';
}

static enum auth_state state_after(const struct auth_exchange *exchange, int rc)
{
	if (exchange->error || rc == GSASL_MALLOC_ERROR || rc == GSASL_CRYPTO_ERROR)
		return AUTH_UNAVAILABLE;
	if (rc == GSASL_NEEDS_MORE)
		return AUTH_CONTINUE;
	return rc == GSASL_OK && exchange->may_succeed && is_own_authzid(exchange) ? AUTH_DONE : AUTH_FAILED;
}

enum auth_state auth_exchange_step(struct auth_exchange *exchange, struct slice in, struct buffer *out)
{
	size_t start = out->len;
	int rc = GSASL_MECHANISM_PARSE_ERROR;

	if (exchange->state != AUTH_CONTINUE)
		return exchange->state == AUTH_DONE ? AUTH_FAILED : exchange->state;
	exchange->steps++;
	if (is_acceptable(exchange, in))
		rc = exchange->mechanism == &mechanisms[MECHANISM_LOGIN] ? step_login(exchange, in, out)
									 : step_gsasl(exchange, in, out);
	exchange->state = state_after(exchange, rc);
	if (buffer_error(out))
		exchange->state = AUTH_UNAVAILABLE;
	if (exchange->state == AUTH_FAILED || exchange->state == AUTH_UNAVAILABLE)
		buffer_truncate(out, start);
	return exchange->state;
}

const struct auth_identity *auth_exchange_identity(const struct auth_exchange *exchange)
{
	return exchange->state == AUTH_DONE ? &exchange->identity : NULL;
}

struct slice auth_exchange_user(const struct auth_exchange *exchange)
{
	return exchange->user;
}
