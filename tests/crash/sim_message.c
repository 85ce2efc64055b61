#include "sim_store.h"

/* A step of a generator that has nothing to do with the others. */
static uint64_t scramble(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* Mostly small ones; some that fill segments; a few that need frames of their own. */
static size_t body_bytes(uint32_t number, bool *ret_dense)
{
	uint64_t state = number;
	uint64_t dice = scramble(&state) % 1000, more = scramble(&state);

	if (number & SIM_HEAVY)
		dice = dice < 400 ? 0 : 890 + dice % 100;
	*ret_dense = dice >= 900;
	if (dice < 900)
		return 40 + more % 1200;
	if (dice < 958)
		return 4000 + more % 20000;
	if (dice < 991)
		return 90000 + more % 130000;
	*ret_dense = more & 1;
	return 270000 + (more >> 1) % 200000;
}

/* Lines that do not shrink much, and such that do: messages are cut out of them. */
enum { HEAD_BYTES = 165 /* without numbers */ };
enum { LINE_BYTES = 78, QUARRY_BYTES = LINE_BYTES * 8192 };

static const char *dense_quarry(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static char quarry[QUARRY_BYTES];
	uint64_t state = 4711;

	for (size_t i = 0; i < QUARRY_BYTES && !quarry[QUARRY_BYTES - 1]; i++) {
		size_t column = i % LINE_BYTES;

		quarry[i] = column == LINE_BYTES - 2   ? '\r'
			    : column == LINE_BYTES - 1 ? '\n'
						       : digits[scramble(&state) & 63];
	}
	return quarry;
}

static const char *sparse_quarry(void)
{
	static const char line[] = "This is a line of a message, of which there are many, and it is not the last\r\n";
	static char quarry[QUARRY_BYTES];

	_Static_assert(sizeof(line) == LINE_BYTES + 1, "");
	for (size_t i = 0; i < QUARRY_BYTES && !quarry[QUARRY_BYTES - 1]; i += LINE_BYTES)
		memcpy(quarry + i, line, LINE_BYTES);
	return quarry;
}

static size_t put_head(uint32_t number, struct buffer *out)
{
	size_t before = out->len;

	buffer_printf(out,
		"From: Bob <bob@example.org>\r\nTo: ann@example.org\r\nSubject: Number %u\r\n"
		"Message-ID: <%u@example.org>\r\nIn-Reply-To: <%u@example.org>\r\n"
		"Date: Sun, 1 Mar 2026 10:00:00 +0000\r\n\r\n",
		number, number, number / 3);
	return out->len - before;
}

void sim_message(uint32_t number, struct buffer *out)
{
	uint64_t state = number + 77777;
	bool dense;
	size_t bytes = body_bytes(number, &dense), from = scramble(&state) % ((QUARRY_BYTES - bytes) / LINE_BYTES);

	buffer_reset(out);
	(void)put_head(number, out);
	buffer_put(out, slice_make((dense ? dense_quarry() : sparse_quarry()) + from * LINE_BYTES, bytes));
	CHECK(!buffer_error(out));
	if (out->at[out->len - 1] == '\r')
		out->at[out->len - 1] = '.';
}

uint64_t sim_message_bytes(uint32_t number)
{
	size_t digits = 3;
	bool dense;

	for (uint32_t n = number; n >= 10; n /= 10)
		digits += 2;
	for (uint32_t n = number / 3; n >= 10; n /= 10)
		digits++;
	return HEAD_BYTES + digits + body_bytes(number, &dense);
}

bool sim_message_is_small(uint32_t number)
{
	bool dense;

	return body_bytes(number, &dense) < 4000;
}
