#include "messages.h"

#include <math.h>

enum { HEAD_MAX = 4096, WORD_MAX = 24 };

struct messages {
	char words[MESSAGES_WORDS][WORD_MAX];
	struct buffer pool[MESSAGES_POOL];
};

/* Whoever makes one message: its chances come from the message's number alone. */
struct maker {
	const struct messages *messages;
	uint64_t random;
};

static uint64_t next(struct maker *m)
{
	uint64_t z = (m->random += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t chance(struct maker *m, uint64_t of)
{
	return (next(m) >> 32) * of >> 32;
}

/* Half are smaller than the median, a few are very much larger; never beyond 16 times the median. */
static size_t log_normal(struct maker *m, double median, double sigma)
{
	double normal = -6;

	for (unsigned i = 0; i < 12; i++)
		normal += (double)(next(m) >> 11) / 0x1p53;
	return (size_t)(median * MIN(exp(sigma * normal), 16));
}

static struct maker maker_of(const struct messages *messages, enum message_kind kind, uint64_t number, unsigned part)
{
	struct maker m = {messages, number * 8 + (uint64_t)kind * 2 + part};

	(void)next(&m);
	return m;
}

/* Syllables, so that words share parts as those of a language do. */
static void make_words(struct messages *messages)
{
	static const char *const syllables[] = {"ta", "ne", "ri", "so", "mu", "la", "ke", "vi", "do", "par", "ten",
		"sil", "ver", "mon", "gra", "ste", "th", "ing", "er", "on", "an", "es", "ic", "al"};
	struct maker m = {messages, 42};

	for (unsigned i = 0; i < MESSAGES_WORDS; i++) {
		uint64_t rare = i < 256 ? 1 : i < 4096 ? 2 : 3;
		size_t len = 0;

		for (uint64_t n = rare + chance(&m, 3); n > 0; n--) {
			const char *s = syllables[chance(&m, ARRAY_LEN(syllables))];

			memcpy(messages->words[i] + len, s, strlen(s));
			len += strlen(s);
		}
		messages->words[i][len] = '\0';
	}
}

/* Few words are frequent, most are rare. */
static const char *word(struct maker *m)
{
	uint64_t range = MESSAGES_WORDS >> chance(m, 13);

	return m->messages->words[chance(m, range)];
}

static void put_text(struct maker *m, struct buffer *b, size_t bytes)
{
	size_t end = b->len + bytes;
	size_t line = b->len;

	while (b->len < end) {
		buffer_put_text(b, word(m));
		if (b->len - line < 54) {
			buffer_put_text(b, chance(m, 9) ? " " : ", ");
			continue;
		}
		buffer_put_text(b, chance(m, 6) ? "\r\n" : ".\r\n\r\n");
		line = b->len;
	}
	buffer_put_text(b, "\r\n");
}

static void put_html(struct maker *m, struct buffer *b, size_t bytes)
{
	size_t end = b->len + bytes;

	buffer_put_text(b, "<html><body style=3D\"font-family: sans-serif; color: #222\">\r\n");
	while (b->len < end) {
		buffer_put_text(b, "<tr><td class=3D\"cell\" style=3D\"padding: 4px 8px\"><p>\r\n");
		put_text(m, b, 200 + (size_t)chance(m, 300));
		buffer_put_text(b, "</p></td></tr>\r\n");
	}
	buffer_put_text(b, "</body></html>\r\n");
}

/* Three of four are pictures and packed documents, which nothing makes smaller; the others tables and text. */
static void put_attachment(struct maker *m, struct buffer *b, size_t bytes)
{
	struct buffer raw = BUFFER_INIT(MESSAGE_MAX);
	bool packed = chance(m, 4) != 0;

	if (packed) {
		for (size_t i = 0; i < bytes; i += 8)
			buffer_put_le64(&raw, next(m));
	} else {
		while (raw.len < bytes)
			buffer_printf(&raw, "%llu;%s;%s;%llu.%02u\n", (unsigned long long)chance(m, 100000), word(m),
				word(m), (unsigned long long)chance(m, 1000), (unsigned)chance(m, 100));
	}
	for (struct slice rest = buffer_slice(&raw); rest.len; rest = slice_from(rest, 57)) {
		buffer_put_base64(b, slice_first(rest, 57));
		buffer_put_text(b, "\r\n");
	}
	buffer_free(&raw);
}

static void put_part(struct buffer *b, const char *type, const char *encoding)
{
	buffer_printf(b, "--=-part\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", type, encoding);
}

static void put_mixed_body(struct maker *m, struct buffer *b)
{
	put_part(b, "text/plain; charset=utf-8", "7bit");
	put_text(m, b, 200 + log_normal(m, 1400, 0.9));
	if (chance(m, 100) < 60) {
		put_part(b, "text/html; charset=utf-8", "quoted-printable");
		put_html(m, b, 500 + log_normal(m, 6000, 0.8));
	}
	if (chance(m, 100) < 20) {
		put_part(b, "application/octet-stream; name=\"attached.bin\"", "base64");
		put_attachment(m, b, 500 + log_normal(m, 28500, 0.9));
	}
	buffer_put_text(b, "--=-part--\r\n");
}

void messages_put_id(enum message_kind kind, uint64_t number, struct buffer *out)
{
	buffer_printf(out, "<%c.%llu.bench@example.net>", "msu"[kind], (unsigned long long)number);
}

static struct maker start_subject(const struct messages *messages, enum message_kind kind, uint64_t number)
{
	return maker_of(messages, kind, number, 0);
}

static void put_subject(struct maker *m, struct buffer *out)
{
	for (uint64_t n = 2 + chance(m, 5); n > 0; n--) {
		buffer_put_text(out, word(m));
		if (n > 1)
			buffer_put_byte(out, ' ');
	}
}

void messages_put_subject(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out)
{
	struct maker m = start_subject(messages, kind, number);

	put_subject(&m, out);
}

void messages_put_sender(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out)
{
	struct maker m = {messages, ~(number * 4 + (uint64_t)kind)};

	buffer_printf(out, "%s.%s@example.net", word(&m), word(&m));
}

void messages_put_head(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *b)
{
	struct maker m = start_subject(messages, kind, number);
	unsigned day = 1 + (unsigned)(number / 86400 % 28), hour = (unsigned)(number / 3600 % 24);
	unsigned minute = (unsigned)(number / 60 % 60), second = (unsigned)(number % 60);

	buffer_printf(b,
		"Received: from mail-%u.example.net (mail-%u.example.net [192.0.2.%u])\r\n"
		"\tby mx.example.org with ESMTPS id %016llx;\r\n\t%u Mar 2026 %02u:%02u:%02u +0000\r\n",
		(unsigned)(number % 7), (unsigned)(number % 7), (unsigned)(number % 250),
		(unsigned long long)(number * 0x9e3779b97f4a7c15ULL), day, hour, minute, second);
	buffer_put_text(b, "Subject: ");
	put_subject(&m, b);
	buffer_printf(b, "\r\nFrom: %s %s <", word(&m), word(&m));
	messages_put_sender(messages, kind, number, b);
	buffer_put_text(b, ">\r\nTo: user@example.org\r\nMessage-ID: ");
	messages_put_id(kind, number, b);
	buffer_printf(
		b, "\r\nDate: %u Mar 2026 %02u:%02u:%02u +0000\r\nMIME-Version: 1.0\r\n", day, hour, minute, second);
	buffer_put_text(b, kind == MESSAGE_SMALL ? "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
						 : "Content-Type: multipart/mixed; boundary=\"=-part\"\r\n\r\n");
}

struct slice messages_body(
	const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *scratch)
{
	struct maker m = maker_of(messages, kind, number, 1);
	size_t at = scratch->len;

	if (kind == MESSAGE_MIXED)
		return buffer_slice(&messages->pool[number % MESSAGES_POOL]);
	if (kind == MESSAGE_SMALL)
		put_text(&m, scratch, 2000 + (size_t)chance(&m, 1900));
	else
		put_mixed_body(&m, scratch);
	return slice_from(buffer_slice(scratch), at);
}

void messages_put(const struct messages *messages, enum message_kind kind, uint64_t number, struct buffer *out)
{
	struct slice body;

	messages_put_head(messages, kind, number, out);
	body = messages_body(messages, kind, number, out);
	if (kind == MESSAGE_MIXED)
		buffer_put(out, body);
}

struct messages *messages_new(bool with_pool)
{
	struct messages *messages = calloc(1, sizeof(*messages));

	CHECK(messages);
	make_words(messages);
	for (unsigned i = 0; i < MESSAGES_POOL && with_pool; i++) {
		struct maker m = maker_of(messages, MESSAGE_MIXED, i, 1);

		messages->pool[i] = BUFFER_INIT(MESSAGE_MAX);
		put_mixed_body(&m, &messages->pool[i]);
		CHECK(buffer_error(&messages->pool[i]) == 0);
	}
	return messages;
}

void messages_free(struct messages **messages)
{
	if (!*messages)
		return;
	for (unsigned i = 0; i < MESSAGES_POOL; i++)
		buffer_free(&(*messages)->pool[i]);
	free(*messages);
	*messages = NULL;
}

const char *messages_word(const struct messages *messages, bool rare, uint64_t seed)
{
	struct maker m = {messages, seed};

	return messages->words[rare ? MESSAGES_WORDS / 2 + chance(&m, MESSAGES_WORDS / 2) : 1024 + chance(&m, 1024)];
}

static bool parse_id(struct slice stored, enum message_kind *ret_kind, uint64_t *ret_number)
{
	struct slice head = slice_first(stored, HEAD_MAX);
	size_t at = slice_find(head, SLICE("\nMessage-ID: <"));
	const char *kind;
	struct slice rest;

	if (at == SIZE_MAX || head.len - at < 20)
		return false;
	rest = slice_from(head, at + 14);
	kind = memchr("msu", rest.at[0], 3);
	if (!kind || rest.at[1] != '.')
		return false;
	*ret_kind = (enum message_kind)(*kind == 'm' ? MESSAGE_MIXED : *kind == 's' ? MESSAGE_SMALL : MESSAGE_UNIQUE);
	rest = slice_from(rest, 2);
	return slice_to_u64(slice_split(&rest, '.'), UINT64_MAX, ret_number) == 0;
}

const char *messages_wrong(
	const struct messages *messages, struct slice stored, bool exact, struct buffer *scratch, uint64_t *ret_number)
{
	enum message_kind kind;
	struct slice head, body;
	uint64_t number;
	size_t head_len;

	if (!parse_id(stored, &kind, &number))
		return "a message that is none of ours";
	if (kind == MESSAGE_MIXED && !messages->pool[0].len)
		return "a message of a kind that is not used here";
	buffer_reset(scratch);
	messages_put_head(messages, kind, number, scratch);
	head_len = scratch->len;
	body = messages_body(messages, kind, number, scratch);
	CHECK(buffer_error(scratch) == 0);
	head = slice_first(buffer_slice(scratch), head_len);
	if (stored.len < head.len + body.len || (exact && stored.len != head.len + body.len))
		return "a message of another length";
	stored = slice_from(stored, stored.len - head.len - body.len);
	if (!slice_equal(slice_first(stored, head.len), head) || !slice_equal(slice_from(stored, head.len), body))
		return "a message whose bytes are not those that were sent";
	*ret_number = number;
	return NULL;
}
