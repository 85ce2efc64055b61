#include "pop3/maildrop.h"

#define MARK (UINT64_C(1) << 63)

int maildrop_init(struct pop3_maildrop *drop, uint32_t room)
{
	size_t n = MAX(room, 1u);

	*drop = (struct pop3_maildrop){
		.room = room,
		.uids = malloc(n * sizeof(*drop->uids)),
		.emails = malloc(n * sizeof(*drop->emails)),
		.sizes = malloc(n * sizeof(*drop->sizes)),
	};
	if (drop->uids && drop->emails && drop->sizes)
		return 0;
	maildrop_free(drop);
	return -ENOMEM;
}

void maildrop_free(struct pop3_maildrop *drop)
{
	free(drop->uids);
	free(drop->emails);
	free(drop->sizes);
	*drop = (struct pop3_maildrop){0};
}

bool maildrop_add(struct pop3_maildrop *drop, uint32_t uid, uint64_t email, uint64_t bytes)
{
	if (drop->count == drop->room)
		return false;
	drop->uids[drop->count] = uid;
	drop->emails[drop->count] = email;
	drop->sizes[drop->count] = bytes & ~MARK;
	drop->count++;
	drop->live++;
	drop->live_bytes += bytes & ~MARK;
	return true;
}

static bool is_number(const struct pop3_maildrop *drop, uint32_t number)
{
	return number >= 1 && number <= drop->count;
}

bool maildrop_is_marked(const struct pop3_maildrop *drop, uint32_t number)
{
	return is_number(drop, number) && (drop->sizes[number - 1] & MARK);
}

bool maildrop_has(const struct pop3_maildrop *drop, uint32_t number)
{
	return is_number(drop, number) && !(drop->sizes[number - 1] & MARK);
}

uint64_t maildrop_bytes(const struct pop3_maildrop *drop, uint32_t number)
{
	return is_number(drop, number) ? drop->sizes[number - 1] & ~MARK : 0;
}

uint64_t maildrop_email(const struct pop3_maildrop *drop, uint32_t number)
{
	return is_number(drop, number) ? drop->emails[number - 1] : 0;
}

uint32_t maildrop_next(const struct pop3_maildrop *drop, uint32_t number)
{
	while (number < drop->count)
		if (maildrop_has(drop, ++number))
			return number;
	return 0;
}

void maildrop_mark(struct pop3_maildrop *drop, uint32_t number)
{
	if (!maildrop_has(drop, number))
		return;
	drop->live--;
	drop->live_bytes -= drop->sizes[number - 1];
	drop->sizes[number - 1] |= MARK;
}

void maildrop_unmark_all(struct pop3_maildrop *drop)
{
	drop->live = drop->count;
	drop->live_bytes = 0;
	for (uint32_t i = 0; i < drop->count; i++) {
		drop->sizes[i] &= ~MARK;
		drop->live_bytes += drop->sizes[i];
	}
}

void maildrop_marked(const struct pop3_maildrop *drop, struct uid_list *list)
{
	uint32_t first = 0, last = 0;

	/* In whole ranges: a list of a million UIDs would otherwise be asked to grow a million times. */
	for (uint32_t i = 0; i < drop->count; i++) {
		if (!(drop->sizes[i] & MARK))
			continue;
		if (first && drop->uids[i] != last + 1)
			uid_list_add(list, first, last);
		if (first == 0 || drop->uids[i] != last + 1)
			first = drop->uids[i];
		last = drop->uids[i];
	}
	if (first)
		uid_list_add(list, first, last);
}

void maildrop_put_uidl(const struct pop3_maildrop *drop, uint32_t number, struct buffer *out)
{
	if (is_number(drop, number))
		buffer_printf(out, "%016llx.%x", (unsigned long long)drop->emails[number - 1], drop->uids[number - 1]);
}
