/* Stored secrets that an admin may paste: taken apart, judged, and checked where that is cheap. */
#include "auth/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_cheap(const struct auth_item *item)
{
	struct auth_scram scram;

	if (item->scheme == AUTH_CRYPT)
		return slice_starts(item->text, SLICE("$1$"));
	return item->scheme != AUTH_ARGON2 && item->scheme != AUTH_UNKNOWN &&
	       auth_scram_parse(item->text, item->scheme, &scram) == 0 && scram.iterations < 10;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct auth_cost cost = {.argon2_passes = 1, .argon2_memory_kib = 8, .scram_iterations = 1};
	struct slice secret = slice_make(data, size);
	struct slice rest = secret;
	struct auth_text prepared;
	struct auth_item item;
	bool cheap = true, sound = true, any = false;

	while (auth_item_next(&rest, &item)) {
		CHECK(item.text.len <= size);
		cheap &= is_cheap(&item);
		sound &= item.scheme != AUTH_UNKNOWN;
		any = true;
	}
	if (auth_secret_validate(secret) == 0)
		CHECK(sound && any);
	if (cheap && any) {
		int error = auth_secret_verify(secret, SLICE("pencil"), &cost);

		CHECK(error == 0 || error == -EACCES || error == -EBADMSG || error == -ENOMEM);
	}
	if (auth_prepare(secret, true, &prepared) == 0)
		CHECK(prepared.len > 0 && prepared.len <= AUTH_PASSWORD_MAX && prepared.at[prepared.len] == '\0');
	return 0;
}
