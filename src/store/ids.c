#include "store/email.h"

const char *store_protocol_name(enum store_protocol protocol)
{
	static const char *const names[] = {[STORE_BY_SERVER] = "server",
		[STORE_BY_ADMIN] = "admin",
		[STORE_BY_LMTP] = "lmtp",
		[STORE_BY_SMTP] = "smtp",
		[STORE_BY_IMAP] = "imap",
		[STORE_BY_POP3] = "pop3",
		[STORE_BY_JMAP] = "jmap",
		[STORE_BY_WEBMAIL] = "webmail",
		[STORE_BY_SIEVE] = "sieve"};

	return (size_t)protocol < ARRAY_LEN(names) ? names[protocol] : "unknown";
}

void object_id_put(struct buffer *b, char kind, uint64_t id)
{
	buffer_printf(b, "%c%016llx", kind, (unsigned long long)id);
}

int object_id_parse(struct slice text, char kind, uint64_t *ret_id)
{
	uint64_t id = 0;

	if (text.len != 17 || text.at[0] != kind)
		return -EINVAL;
	for (size_t i = 1; i < text.len; i++) {
		char c = text.at[i];

		if (byte_is_digit(c))
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -EINVAL;
	}
	*ret_id = id;
	return 0;
}
