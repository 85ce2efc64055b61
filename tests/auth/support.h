/* What the tests of auth share: accounts in memory, and GNU SASL's client played against an exchange. */
#ifndef PENFOLD_TESTS_AUTH_SUPPORT_H
#define PENFOLD_TESTS_AUTH_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gsasl.h>

#include "auth/auth.h"

struct test_account {
	const char *address;
	const char *secret;
};

/* A lookup of `accounts` (ended by a NULL address), by name without regard to case. Account number = place + 1. */
struct test_lookup {
	const struct test_account *accounts;
	int error; /* returned instead, when not 0 */
	unsigned calls;
};

static inline int test_find(void *context, struct slice user, struct arena *arena, struct auth_identity *ret_identity)
{
	struct test_lookup *lookup = context;

	lookup->calls++;
	if (lookup->error)
		return lookup->error;
	for (size_t i = 0; lookup->accounts[i].address; i++) {
		struct auth_identity identity = {.account = i + 1};

		if (!slice_equal_nocase(user, slice_of(lookup->accounts[i].address)))
			continue;
		if (arena_copy(arena, slice_of(lookup->accounts[i].address), &identity.address) != 0 ||
			arena_copy(arena, slice_of(lookup->accounts[i].secret), &identity.secret) != 0)
			return -ENOMEM;
		*ret_identity = identity;
		return 0;
	}
	return -ENOENT;
}

/* What the client knows and does. */
struct test_client {
	const char *user, *password, *authzid;
	struct slice tls_exporter, tls_unique;
};

static inline int test_client_property(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	const struct test_client *client = gsasl_callback_hook_get(gsasl);
	char bytes[1024];
	struct buffer text = {
		bytes, 0, sizeof(bytes), sizeof(bytes), 0}; /* allocates nothing: tests/memory counts ours */
	struct slice binding = property == GSASL_CB_TLS_UNIQUE ? client->tls_unique : client->tls_exporter;
	int rc = GSASL_NO_CALLBACK;

	if (property == GSASL_AUTHID)
		rc = gsasl_property_set(session, property, client->user);
	else if (property == GSASL_PASSWORD)
		rc = gsasl_property_set(session, property, client->password);
	else if (property == GSASL_AUTHZID && client->authzid)
		rc = gsasl_property_set(session, property, client->authzid);
	else if ((property == GSASL_CB_TLS_EXPORTER || property == GSASL_CB_TLS_UNIQUE) && binding.len) {
		buffer_put_base64(&text, binding);
		rc = gsasl_property_set(session, property, buffer_text(&text));
	}
	return rc;
}

/*
 * Plays the exchange to its end. `ret_trusts` (may be NULL): does the client trust the server, too? AUTH_FAILED when the
 * client itself gives up.
 */
static inline enum auth_state test_play(
	struct auth_exchange *exchange, const char *mechanism, const struct test_client *who, bool *ret_trusts)
{
	struct test_client client = *who;
	struct buffer out = BUFFER_INIT(AUTH_STEP_MAX);
	enum auth_state state = AUTH_CONTINUE;
	Gsasl_session *session;
	Gsasl *gsasl;
	int rc = GSASL_NEEDS_MORE;

	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	gsasl_callback_set(gsasl, test_client_property);
	gsasl_callback_hook_set(gsasl, &client);
	assert_int_equal(gsasl_client_start(gsasl, mechanism, &session), GSASL_OK);
	if (slice_equal(slice_of(mechanism), SLICE("LOGIN"))) /* the server speaks first */
		state = auth_exchange_step(exchange, SLICE(""), &out);
	for (int step = 0; step < 5 && state == AUTH_CONTINUE && rc == GSASL_NEEDS_MORE; step++) {
		char *answer = NULL;
		size_t answer_len = 0;

		rc = gsasl_step(session, buffer_text(&out), out.len, &answer, &answer_len);
		if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
			state = AUTH_FAILED;
			break;
		}
		buffer_reset(&out);
		state = auth_exchange_step(exchange, slice_make(answer, answer_len), &out);
		gsasl_free(answer);
	}
	if (state == AUTH_DONE && rc == GSASL_NEEDS_MORE) {
		char *answer = NULL;
		size_t answer_len = 0;

		rc = gsasl_step(session, buffer_text(&out), out.len, &answer, &answer_len);
		gsasl_free(answer);
	}
	if (ret_trusts)
		*ret_trusts = rc == GSASL_OK;
	gsasl_finish(session);
	gsasl_done(gsasl);
	buffer_free(&out);
	return state;
}

#endif
