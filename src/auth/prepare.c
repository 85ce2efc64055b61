/* SASLprep (RFC 4013), by GNU SASL and GNU Libidn. */
#include <sodium.h>

#include "auth/internal.h"
#include "base/utf8.h"

void auth_wipe(void *at, size_t len)
{
	sodium_memzero(at, len);
}

static int prepare_with(const char *text, Gsasl_saslprep_flags flags, struct auth_text *ret_text)
{
	char *prepared = NULL;
	size_t len;
	int error = -EINVAL;
	int rc = gsasl_saslprep(text, flags, &prepared, NULL);

	if (rc == GSASL_MALLOC_ERROR)
		return -ENOMEM;
	if (rc != GSASL_OK)
		return -EINVAL;
	len = strlen(prepared);
	if (len > 0 && len <= AUTH_PASSWORD_MAX) {
		memcpy(ret_text->at, prepared, len + 1);
		ret_text->len = len;
		error = 0;
	}
	auth_wipe(prepared, len);
	gsasl_free(prepared);
	return error;
}

bool auth_is_printable(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < ' ' || text.at[i] > '~')
			return false;
	return true;
}

static void keep_as_is(struct slice text, struct auth_text *ret_text)
{
	memcpy(ret_text->at, text.at, text.len);
	ret_text->at[text.len] = '\0';
	ret_text->len = text.len;
}

int auth_prepare(struct slice text, bool stored, struct auth_text *ret_text)
{
	char copy[AUTH_PASSWORD_MAX + 1];
	struct auth_text strict, loose;
	int strict_error, loose_error, error;

	if (text.len == 0 || text.len > AUTH_PASSWORD_MAX || !utf8_is_valid(text) ||
		slice_find_byte(text, '\0') != SIZE_MAX)
		return -EINVAL;
	if (auth_is_printable(text)) {
		keep_as_is(text, ret_text);
		return 0;
	}
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	/*
	 * GNU SASL 2.2 reads its flag the wrong way round: GSASL_ALLOW_UNASSIGNED forbids. So both are tried: what both
	 * accept is fit to be stored, what either accepts may be asked for. Where both accept, both give the same text.
	 */
	strict_error = prepare_with(copy, 0, &strict);
	loose_error = prepare_with(copy, GSASL_ALLOW_UNASSIGNED, &loose);
	error = strict_error ? strict_error : loose_error;
	if (!stored && (strict_error == 0 || loose_error == 0))
		error = 0;
	if (!error)
		*ret_text = strict_error ? loose : strict;
	auth_wipe(copy, sizeof(copy));
	auth_wipe(&strict, sizeof(strict));
	auth_wipe(&loose, sizeof(loose));
	return error;
}
