/* PLAIN (RFC 4616) for who was here not long ago: no exchange, no hashing. */
#include "auth/internal.h"

/* RFC 4616 §2: nobody acts for somebody else, as in an exchange. */
static bool is_own(struct slice authzid, struct slice user, const struct auth_identity *identity)
{
	return authzid.len == 0 || slice_equal_nocase(authzid, identity->address) || slice_equal_nocase(authzid, user);
}

int auth_plain_remembered(const struct auth_settings *settings, const struct auth_connection *connection,
	struct slice message, struct arena *arena, struct auth_identity *ret_identity)
{
	struct auth_identity identity;
	struct slice authzid = slice_split(&message, '\0');
	struct slice user = slice_split(&message, '\0');
	struct slice password = message;

	if (!connection->confidential || user.len == 0 || user.len > AUTH_USER_MAX || password.len == 0 ||
		password.len > AUTH_PASSWORD_MAX)
		return -ENOENT;
	/* Anything else has to be prepared first. */
	if (!auth_is_printable(authzid) || !auth_is_printable(user) || !auth_is_printable(password))
		return -ENOENT;
	if (settings->lookup.find(settings->lookup.context, user, arena, &identity) != 0)
		return -ENOENT;
	if (!auth_cache_has(settings->cache, identity.address, identity.secret, password) ||
		!is_own(authzid, user, &identity))
		return -ENOENT;
	*ret_identity = identity;
	return 0;
}
