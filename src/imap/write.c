#include "base/utf8.h"
#include "imap/session.h"

static bool can_be_quoted(struct slice text, bool utf8)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (!c || c == '\r' || c == '\n' || (c >= 0x80 && !utf8))
			return false;
	}
	return !utf8 || utf8_is_valid(text);
}

/* RFC 9051 §9 astring as an atom; never one that could be read as NIL. */
static bool is_plain(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c <= ' ' || c >= 0x7f || memchr("(){%*\"\\", c, 8))
			return false;
	}
	return text.len && !slice_equal_nocase(text, SLICE("NIL"));
}

static void put_quoted(struct buffer *b, struct slice text)
{
	buffer_put_byte(b, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			buffer_put_byte(b, '\\');
		buffer_put_byte(b, text.at[i]);
	}
	buffer_put_byte(b, '"');
}

void put_string(struct buffer *b, struct slice text, bool utf8)
{
	if (can_be_quoted(text, utf8)) {
		put_quoted(b, text);
		return;
	}
	/* NUL may only stand in a literal8 (RFC 9051 §4.3). */
	buffer_printf(b, "%s{%zu}\r\n", slice_find_byte(text, '\0') == SIZE_MAX ? "" : "~", text.len);
	buffer_put(b, text);
}

void put_nstring(struct buffer *b, struct slice text, bool utf8)
{
	if (!text.at && !text.len)
		buffer_put_text(b, "NIL");
	else
		put_string(b, text, utf8);
}

void put_mailbox(struct imap_session *s, struct slice name)
{
	bool utf8 = s->enabled & (ENABLED_UTF8 | ENABLED_REV2);
	struct buffer *out = session_out(s);
	struct buffer encoded = BUFFER_INIT(8 * name.len + 8); /* a lone character of one byte becomes five */

	if (!utf8) {
		imap_utf7_encode(name, &encoded);
		name = buffer_slice(&encoded);
	}
	if (is_plain(name))
		buffer_put(out, name);
	else
		put_string(out, name, utf8);
	buffer_free(&encoded);
}

/* No printf here or in dates: they are written for each message that a client lists. */
static const struct {
	unsigned flag;
	struct slice name;
} flag_names[] = {
	{FLAG_ANSWERED, {"\\Answered", 9}},
	{FLAG_FLAGGED, {"\\Flagged", 8}},
	{FLAG_DELETED, {"\\Deleted", 8}},
	{FLAG_SEEN, {"\\Seen", 5}},
	{FLAG_DRAFT, {"\\Draft", 6}},
};

static struct slice put_flag_names(
	struct buffer *b, const struct mailbox *mailbox, const struct entry *entry, bool deleted_too)
{
	struct slice separator = SLICE("");

	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
		if (!(entry->flags & flag_names[i].flag) || (flag_names[i].flag == FLAG_DELETED && !deleted_too))
			continue;
		buffer_put(b, separator);
		buffer_put(b, flag_names[i].name);
		separator = SLICE(" ");
	}
	for (unsigned i = 0; i < mailbox->keyword_count; i++) {
		if (!(entry->keywords >> i & 1))
			continue;
		buffer_put(b, separator);
		buffer_put(b, mailbox->keywords[i]);
		separator = SLICE(" ");
	}
	return separator;
}

void put_flags(struct buffer *b, const struct mailbox *mailbox, const struct entry *entry, bool deleted_too)
{
	buffer_put_byte(b, '(');
	(void)put_flag_names(b, mailbox, entry, deleted_too);
	buffer_put_byte(b, ')');
}

void put_all_flags(struct buffer *b, const struct mailbox *mailbox, bool settable)
{
	const struct entry all = {.flags = FLAGS_ALL, .keywords = UINT64_MAX};
	struct slice separator;

	buffer_put_byte(b, '(');
	separator = put_flag_names(b, mailbox, &all, true);
	if (settable && mailbox->keyword_count < STORE_KEYWORDS_MAX) {
		buffer_put(b, separator);
		buffer_put(b, SLICE("\\*"));
	}
	buffer_put_byte(b, ')');
}

void put_uid_set(struct buffer *b, struct uid_set set)
{
	for (size_t i = 0; i < set.count; i++) {
		if (i)
			buffer_put_byte(b, ',');
		buffer_put_u64(b, set.ranges[i].first);
		if (set.ranges[i].last == set.ranges[i].first)
			continue;
		buffer_put_byte(b, ':');
		buffer_put_u64(b, set.ranges[i].last);
	}
}

static void put_two_digits(char *to, int number)
{
	to[0] = (char)('0' + number / 10);
	to[1] = (char)('0' + number % 10);
}

void put_date_time(struct buffer *b, int64_t seconds, int16_t zone)
{
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct civil_time t = civil_of(seconds, zone);
	int minutes = zone < 0 ? -zone : zone;
	char text[] = "\"dd-mmm-yyyy hh:mm:ss +hhmm\"";

	if (t.year < 0 || t.year > 9999 || minutes >= 100 * 60) {
		buffer_printf(b, "\"%2d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", t.day, months[t.month - 1], t.year,
			t.hour, t.minute, t.second, zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
		return;
	}
	put_two_digits(text + 1, t.day);
	if (t.day < 10)
		text[1] = ' ';
	memcpy(text + 4, months[t.month - 1], 3);
	put_two_digits(text + 8, t.year / 100);
	put_two_digits(text + 10, t.year % 100);
	put_two_digits(text + 13, t.hour);
	put_two_digits(text + 16, t.minute);
	put_two_digits(text + 19, t.second);
	text[22] = zone < 0 ? '-' : '+';
	put_two_digits(text + 23, minutes / 60);
	put_two_digits(text + 25, minutes % 60);
	buffer_put(b, slice_make(text, sizeof(text) - 1));
}
