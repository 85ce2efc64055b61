#include "pop3/maildrop.h"

enum { BITS = 8 };

void maildrop_init(struct pop3_maildrop *drop, uint32_t count, uint64_t bytes,
	int (*find)(void *context, uint32_t number, struct pop3_message *ret_message), void *context)
{
	*drop = (struct pop3_maildrop){
		.find = find, .context = context, .count = count, .bytes = bytes, .live = count, .live_bytes = bytes};
}

void maildrop_free(struct pop3_maildrop *drop)
{
	free(drop->marks);
	*drop = (struct pop3_maildrop){0};
}

static bool is_number(const struct pop3_maildrop *drop, uint32_t number)
{
	return number >= 1 && number <= drop->count;
}

static bool has_mark(const struct pop3_maildrop *drop, uint32_t number)
{
	uint32_t at = number - 1;

	return drop->marks && (drop->marks[at / BITS] >> (at % BITS) & 1);
}

bool maildrop_is_marked(const struct pop3_maildrop *drop, uint32_t number)
{
	return is_number(drop, number) && has_mark(drop, number);
}

bool maildrop_has(const struct pop3_maildrop *drop, uint32_t number)
{
	return is_number(drop, number) && !has_mark(drop, number);
}

int maildrop_message(const struct pop3_maildrop *drop, uint32_t number, struct pop3_message *ret_message)
{
	return is_number(drop, number) ? drop->find(drop->context, number, ret_message) : -ENOENT;
}

uint32_t maildrop_next(const struct pop3_maildrop *drop, uint32_t number)
{
	while (number < drop->count)
		if (maildrop_has(drop, ++number))
			return number;
	return 0;
}

int maildrop_mark(struct pop3_maildrop *drop, uint32_t number)
{
	struct pop3_message message;
	int error = maildrop_message(drop, number, &message);

	if (error || has_mark(drop, number))
		return error;
	if (!drop->marks)
		drop->marks = calloc(1, (drop->count + (size_t)BITS - 1) / BITS);
	if (!drop->marks)
		return -ENOMEM;
	drop->marks[(number - 1) / BITS] |= (unsigned char)(1 << ((number - 1) % BITS));
	drop->live--;
	drop->live_bytes -= message.bytes;
	return 0;
}

void maildrop_unmark_all(struct pop3_maildrop *drop)
{
	free(drop->marks);
	drop->marks = NULL;
	drop->live = drop->count;
	drop->live_bytes = drop->bytes;
}

int maildrop_marked(const struct pop3_maildrop *drop, struct uid_list *list)
{
	uint32_t first = 0, last = 0;

	/* In whole ranges: a list of a million UIDs would otherwise be asked to grow a million times. */
	for (uint32_t number = 1; number <= drop->count; number++) {
		struct pop3_message message;
		int error;

		if (!has_mark(drop, number))
			continue;
		error = maildrop_message(drop, number, &message);
		if (error)
			return error;
		if (first && message.uid != last + 1)
			uid_list_add(list, first, last);
		if (first == 0 || message.uid != last + 1)
			first = message.uid;
		last = message.uid;
	}
	if (first)
		uid_list_add(list, first, last);
	return list->error;
}

void maildrop_put_uidl(const struct pop3_message *message, struct buffer *out)
{
	buffer_printf(out, "%016llx.%x", (unsigned long long)message->email, message->uid);
}
