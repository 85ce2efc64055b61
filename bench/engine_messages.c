#include "engine.h"

enum { WORDS = 4096 };

struct maker {
	uint64_t random;
	char words[WORDS][12];
};

static uint64_t chance(struct maker *m, uint64_t of)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (m->random * 0x2545f4914f6cdd1dULL >> 32) % of;
}

/* Syllables, so that words share parts as those of a language do. */
static void make_words(struct maker *m)
{
	static const char *const syllables[] = {"ta", "ne", "ri", "so", "mu", "la", "ke", "vi", "do", "par", "ten",
		"sil", "ver", "mon", "gra", "ste", "th", "ing", "er", "on", "an", "es", "ic", "al"};

	for (unsigned i = 0; i < WORDS; i++) {
		size_t len = 0;

		for (uint64_t n = 1 + chance(m, 3); n > 0; n--) {
			const char *s = syllables[chance(m, ARRAY_LEN(syllables))];

			memcpy(m->words[i] + len, s, strlen(s));
			len += strlen(s);
		}
		m->words[i][len] = '\0';
	}
}

/* Few words are frequent, most are rare. */
static const char *word(struct maker *m)
{
	uint64_t range = WORDS >> chance(m, 9);

	return m->words[chance(m, range)];
}

static void put_text(struct maker *m, struct buffer *b, size_t bytes)
{
	size_t end = b->len + bytes;
	size_t line = b->len;

	while (b->len < end) {
		buffer_put_text(b, word(m));
		if (b->len - line < 66) {
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

/* Some of it like a picture, which nothing makes smaller, the rest like a document. */
static void put_attachment(struct maker *m, struct buffer *b, size_t bytes)
{
	struct buffer line = BUFFER_INIT(256);

	for (size_t done = 0; done < bytes; done += 57) {
		unsigned char raw[57];

		for (unsigned i = 0; i < sizeof(raw); i++)
			raw[i] = done < bytes / 5 * 2 ? (unsigned char)chance(m, 256) : (unsigned char)(i * 3);
		if (done >= bytes / 5 * 2)
			for (unsigned i = 0; i < 12; i++)
				raw[i] = (unsigned char)chance(m, 64);
		buffer_reset(&line);
		buffer_put_base64(&line, (struct slice){(const char *)raw, sizeof(raw)});
		buffer_put(b, buffer_slice(&line));
		buffer_put_text(b, "\r\n");
	}
	buffer_free(&line);
}

static void put_header(struct maker *m, struct buffer *b, unsigned number)
{
	buffer_printf(b,
		"Received: from mail-%u.example.net (mail-%u.example.net [192.0.2.%u])\r\n"
		"\tby mx.example.org with ESMTPS id %016llx;\r\n\tMon, 2 Mar 2026 10:%02u:%02u +0000\r\n",
		number % 7, number % 7, number % 250, (unsigned long long)m->random, number / 60 % 60, number % 60);
	buffer_printf(b, "Message-ID: <%016llx.%u@example.net>\r\nDate: Mon, 2 Mar 2026 10:%02u:%02u +0000\r\n",
		(unsigned long long)chance(m, UINT32_MAX), number, number / 60 % 60, number % 60);
	buffer_printf(b, "From: %s %s <%s@example.net>\r\nTo: user@example.org\r\nSubject: %s %s %s %s\r\n", word(m),
		word(m), word(m), word(m), word(m), word(m), word(m));
	buffer_put_text(b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=-part\"\r\n\r\n");
}

static void put_part(struct buffer *b, const char *type, const char *encoding)
{
	buffer_printf(b, "--=-part\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", type, encoding);
}

static void put_message(struct maker *m, struct buffer *b, unsigned number)
{
	put_header(m, b, number);
	put_part(b, "text/plain; charset=utf-8", "7bit");
	put_text(m, b, 800 + (size_t)chance(m, 6400));
	if (number % 10 < 5) {
		put_part(b, "text/html; charset=utf-8", "quoted-printable");
		put_html(m, b, 4000 + (size_t)chance(m, 12000));
	}
	if (number % 10 >= 7) {
		put_part(b, "application/octet-stream; name=\"attached.bin\"", "base64");
		put_attachment(m, b, 20000 + (size_t)chance(m, 30000));
	}
	buffer_put_text(b, "--=-part--\r\n");
	CHECK(buffer_error(b) == 0);
}

void messages_make(struct messages *messages, uint64_t seed)
{
	struct maker *m = calloc(1, sizeof(*m));

	CHECK(m);
	m->random = seed | 1;
	make_words(m);
	messages->bytes = 0;
	for (unsigned i = 0; i < BENCH_POOL; i++) {
		messages->pool[i] = BUFFER_INIT(1048576);
		put_message(m, &messages->pool[i], i);
		messages->bytes += messages->pool[i].len;
	}
	free(m);
}

void messages_free(struct messages *messages)
{
	for (unsigned i = 0; i < BENCH_POOL; i++)
		buffer_free(&messages->pool[i]);
}
