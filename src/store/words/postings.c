/*
 * Postings, in whichever form is the smallest for so many of so many: nothing where all have it; one number; a bit for each; or what each is more than the
 * one before, by Rice's code with the parameter that fits the mean.
 */
#include "store/words/internal.h"

enum { DENSE = 20, DENSE_OF = 7 /* from 7 of 20 on a bit for each is smaller */ };

static uint32_t number_bytes(uint32_t of)
{
	return of <= 1 << 8 ? 1 : of <= 1 << 16 ? 2 : of <= 1 << 24 ? 3 : 4;
}

static bool is_dense(uint32_t count, uint32_t of)
{
	return (uint64_t)count * DENSE >= (uint64_t)of * DENSE_OF;
}

bool postings_length(uint32_t count, uint32_t of, uint32_t *ret_bytes)
{
	if (count == of)
		*ret_bytes = 0;
	else if (count == 1)
		*ret_bytes = number_bytes(of);
	else if (is_dense(count, of))
		*ret_bytes = of / 8 + (of % 8 != 0);
	else
		return false;
	return true;
}

/* Of gaps with the mean m it is floor(log2(-ln(golden ratio - 1) * 2 * (m + 0.5))). */
static unsigned rice_parameter(uint32_t count, uint32_t of)
{
	uint64_t fit = (2 * (uint64_t)(of - count) + count) * 481 / (1000 * (uint64_t)count);

	return fit ? 63 - (unsigned)__builtin_clzll(fit) : 0;
}

struct bit_writer {
	struct buffer *out;
	uint64_t window;
	unsigned have;
};

static void put_bits(struct bit_writer *w, uint64_t bits, unsigned count)
{
	w->window |= bits << w->have;
	w->have += count;
	while (w->have >= 8) {
		buffer_put_byte(w->out, (char)(unsigned char)w->window);
		w->window >>= 8;
		w->have -= 8;
	}
}

static void put_rice(const uint32_t *ordinals, uint32_t count, uint32_t of, struct buffer *out)
{
	unsigned k = rice_parameter(count, of);
	struct bit_writer w = {out, 0, 0};
	uint32_t next = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t gap = ordinals[i] - next, zeros = gap >> k;

		next = ordinals[i] + 1;
		for (; zeros >= 32; zeros -= 32)
			put_bits(&w, 0, 32);
		put_bits(&w, (uint64_t)1 << zeros, zeros + 1);
		if (k)
			put_bits(&w, gap & (((uint32_t)1 << k) - 1), k);
	}
	if (w.have)
		put_bits(&w, 0, 8 - w.have);
}

void postings_put(const uint32_t *ordinals, uint32_t count, uint32_t of, struct buffer *out)
{
	uint32_t bytes;
	char *room;

	if (!postings_length(count, of, &bytes)) {
		put_rice(ordinals, count, of, out);
		return;
	}
	room = buffer_room(out, bytes);
	if (!room || !bytes)
		return;
	memset(room, 0, bytes);
	if (count == 1)
		for (uint32_t i = 0; i < bytes; i++)
			room[i] = (char)(ordinals[0] >> (8 * i));
	else
		for (uint32_t i = 0; i < count; i++)
			room[ordinals[i] / 8] = (char)(room[ordinals[i] / 8] | 1 << ordinals[i] % 8);
	buffer_added(out, bytes);
}

struct bit_reader {
	const unsigned char *at, *end;
	uint64_t window;
	unsigned have;
};

static inline void refill(struct bit_reader *r)
{
	while (r->have <= 56 && r->at < r->end) {
		r->window |= (uint64_t)*r->at++ << r->have;
		r->have += 8;
	}
}

/* How many zeros before the next one, which is taken, too. */
static inline int take_zeros(struct bit_reader *r, uint32_t of, uint32_t *ret_zeros)
{
	uint32_t zeros = 0;

	for (;;) {
		unsigned run;

		refill(r);
		if (!r->have)
			return -EBADMSG;
		if (r->window) {
			run = (unsigned)__builtin_ctzll(r->window);
			zeros += run;
			r->window = r->window >> run >> 1;
			r->have -= run + 1;
			break;
		}
		zeros += r->have;
		r->have = 0;
		if (zeros > of)
			return -EBADMSG;
	}
	*ret_zeros = zeros;
	return 0;
}

static int read_rice(struct slice bytes, uint32_t count, uint32_t of, uint32_t *ret_ordinals)
{
	unsigned k = rice_parameter(count, of);
	struct bit_reader r = {(const unsigned char *)bytes.at, (const unsigned char *)bytes.at + bytes.len, 0, 0};
	uint64_t next = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t zeros = 0;
		int error = take_zeros(&r, of, &zeros);

		if (error)
			return error;
		refill(&r);
		if (r.have < k)
			return -EBADMSG;
		next += ((uint64_t)zeros << k) + (r.window & (((uint64_t)1 << k) - 1));
		r.window >>= k;
		r.have -= k;
		if (next >= of)
			return -EBADMSG;
		ret_ordinals[i] = (uint32_t)next++;
	}
	return r.at == r.end && r.have < 8 ? 0 : -EBADMSG;
}

static int read_one(struct slice bytes, uint32_t of, uint32_t *ret_ordinal)
{
	uint32_t ordinal = 0;

	for (size_t i = 0; i < bytes.len; i++)
		ordinal |= (uint32_t)(unsigned char)bytes.at[i] << (8 * i);
	if (ordinal >= of)
		return -EBADMSG;
	*ret_ordinal = ordinal;
	return 0;
}

static int read_dense(struct slice bytes, uint32_t count, uint32_t of, uint32_t *ret_ordinals)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < of; i++) {
		if (!((unsigned char)bytes.at[i / 8] >> i % 8 & 1))
			continue;
		if (found == count)
			return -EBADMSG;
		ret_ordinals[found++] = i;
	}
	return found == count ? 0 : -EBADMSG;
}

int postings_read(struct slice bytes, uint32_t count, uint32_t of, uint32_t *ret_ordinals)
{
	uint32_t length;

	if (count == 0 || count > of)
		return -EBADMSG;
	if (!postings_length(count, of, &length))
		return read_rice(bytes, count, of, ret_ordinals);
	if (bytes.len != length)
		return -EBADMSG;
	if (count == of) {
		for (uint32_t i = 0; i < of; i++)
			ret_ordinals[i] = i;
		return 0;
	}
	return count == 1 ? read_one(bytes, of, ret_ordinals) : read_dense(bytes, count, of, ret_ordinals);
}

int postings_mark(struct slice bytes, uint32_t count, uint32_t of, uint32_t *scratch, uint64_t *bits)
{
	int error = postings_read(bytes, count, of, scratch);

	for (uint32_t i = 0; !error && i < count; i++)
		bits[scratch[i] / 64] |= (uint64_t)1 << scratch[i] % 64;
	return error;
}
