#include <utf8proc.h>

#include "base/utf8.h"
#include "store/account.h"
#include "store/names.h"

static const struct slice inbox = {"INBOX", 5};

int name_compare(struct slice a, struct slice b)
{
	size_t len = MIN(a.len, b.len);

	for (size_t i = 0; i < len; i++) {
		if (a.at[i] == b.at[i])
			continue;
		if (a.at[i] == '/')
			return -1;
		if (b.at[i] == '/')
			return 1;
		return (unsigned char)a.at[i] < (unsigned char)b.at[i] ? -1 : 1;
	}
	return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

bool name_is_below(struct slice name, struct slice parent)
{
	return name.len > parent.len && name.at[parent.len] == '/' && slice_starts(name, parent);
}

bool name_is_inbox(struct slice name)
{
	return slice_equal_nocase(name, inbox);
}

/* C0, DEL and C1 controls, and the line and paragraph separators (RFC 5198 §2). */
static bool is_control(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

int mailbox_name_validate(struct slice name)
{
	struct slice levels = name, rest = name;
	unsigned depth = 0;

	if (name.len == 0 || name.len > STORE_MAILBOX_NAME_MAX)
		return -EINVAL;
	while (levels.at) {
		if (slice_split(&levels, '/').len == 0 || ++depth > STORE_MAILBOX_DEPTH_MAX)
			return -EINVAL;
	}
	while (rest.len) {
		int32_t c = utf8_next(&rest);

		if (c < 0 || is_control(c) || c == '%' || c == '*')
			return -EINVAL;
	}
	return 0;
}

int mailbox_name_compose(struct slice name, struct buffer *out)
{
	utf8proc_uint8_t *composed = NULL;
	utf8proc_ssize_t len;

	if (utf8_is_ascii(name)) {
		buffer_put(out, name);
		return buffer_error(out);
	}
	len = utf8proc_map((const utf8proc_uint8_t *)name.at, (utf8proc_ssize_t)name.len, &composed,
		UTF8PROC_STABLE | UTF8PROC_COMPOSE);

	if (len < 0)
		return len == UTF8PROC_ERROR_NOMEM ? -ENOMEM : -EINVAL;
	buffer_put(out, slice_make(composed, (size_t)len));
	free(composed);
	return buffer_error(out);
}

int mailbox_name_normalise(struct slice name, struct buffer *out)
{
	struct slice rest = name, first;
	size_t start = out->len;
	int error = mailbox_name_validate(name);

	if (error)
		return error;
	first = slice_split(&rest, '/');
	if (name_is_inbox(first)) {
		buffer_put(out, inbox);
		name = slice_from(name, first.len);
	}
	error = mailbox_name_compose(name, out);
	if (!error)
		error = buffer_error(out);
	if (error)
		return error;
	return mailbox_name_validate(slice_from(buffer_slice(out), start));
}

/* Index of the first name that is not before `name`. */
static size_t set_from(const struct name_set *set, struct slice name)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (name_compare(set->names[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool name_set_has(const struct name_set *set, struct slice name)
{
	size_t at = set_from(set, name);

	return at < set->count && slice_equal(set->names[at], name);
}

int name_set_add(struct name_set *set, struct slice name)
{
	size_t at = set_from(set, name);
	char *copy;

	if (at < set->count && slice_equal(set->names[at], name))
		return 0;
	if (set->count == set->room) {
		size_t room = MAX(set->room * 2, 8);
		struct slice *grown = realloc(set->names, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		set->names = grown;
		set->room = room;
	}
	copy = malloc(name.len + 1);
	if (!copy)
		return -ENOMEM;
	if (name.len)
		memcpy(copy, name.at, name.len);
	memmove(set->names + at + 1, set->names + at, (set->count - at) * sizeof(*set->names));
	set->names[at] = (struct slice){copy, name.len};
	set->count++;
	return 0;
}

static void name_free(struct slice name)
{
	union {
		const char *in;
		char *out;
	} owned = {name.at};

	free(owned.out);
}

void name_set_remove(struct name_set *set, struct slice name)
{
	size_t at = set_from(set, name);

	if (at == set->count || !slice_equal(set->names[at], name))
		return;
	name_free(set->names[at]);
	set->count--;
	memmove(set->names + at, set->names + at + 1, (set->count - at) * sizeof(*set->names));
}

void name_set_free(struct name_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		name_free(set->names[i]);
	free(set->names);
	*set = (struct name_set){NULL, 0, 0};
}

void name_set_encode(const struct name_set *set, struct buffer *out)
{
	for (size_t i = 0; i < set->count; i++)
		buffer_put_sized(out, set->names[i]);
}

int name_set_decode(struct slice bytes, struct name_set *ret_set)
{
	struct name_set set = {NULL, 0, 0};
	struct reader r = READER_INIT(bytes);
	int error = 0;

	while (!error && r.rest.len && !reader_error(&r)) {
		struct slice name = reader_sized(&r);

		error = reader_error(&r);
		if (!error)
			error = name_set_add(&set, name);
	}
	if (!error)
		error = reader_error(&r);
	if (error) {
		name_set_free(&set);
		return error;
	}
	*ret_set = set;
	return 0;
}
