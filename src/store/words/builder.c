/* Gathering the words of messages until they are written: a table of terms for each stream, and, message by message, which of them it has. */
#include "base/hash.h"
#include "store/words/internal.h"

enum {
	TABLE_FIRST = 4096,
	TERM_BYTES_MAX = 1 << 30,
	TEXT_TAIL_MAX = 131072, /* of one word: what is longer is none */
	ASCII = 128
};

struct term {
	uint32_t at, length; /* in the table's text */
	uint32_t hash;
	uint32_t count; /* messages that have it */
	uint32_t last;  /* ordinal + 1 of the last of them */
};
struct table {
	struct buffer text, terms, pairs; /* struct term; uint32_t: indices of terms, message by message */
	uint32_t *slots;                  /* index + 1 of a term; 0: free */
	uint32_t room;                    /* a power of two */
	uint32_t count;
	struct buffer ends; /* uint32_t for each message: how many pairs there were after it */
};

struct words_builder {
	uint64_t seed;
	struct table tables[WORDS_STREAMS_ALL - WORDS_COLUMNS];
	struct buffer columns[WORDS_COLUMNS]; /* varint ordinal, sized value */
	size_t column_lengths[WORDS_COLUMNS]; /* before the message in hand */
	struct buffer numbers;                /* uint32_t */
	uint32_t count, number;
	size_t in_message[WORDS_STREAMS_ALL - WORDS_COLUMNS]; /* bytes of its different terms */
	bool too_large;
	int error;
};

static struct term *terms_of(const struct table *t)
{
	return (struct term *)(void *)t->terms.at;
}

int words_builder_new(uint64_t seed, struct words_builder **ret_builder)
{
	struct words_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->seed = seed;
	b->numbers = BUFFER_INIT(TERM_BYTES_MAX);
	for (size_t i = 0; i < ARRAY_LEN(b->tables); i++) {
		struct table *t = &b->tables[i];

		t->text = t->terms = t->pairs = t->ends = BUFFER_INIT(TERM_BYTES_MAX);
	}
	for (size_t i = 0; i < WORDS_COLUMNS; i++)
		b->columns[i] = BUFFER_INIT(TERM_BYTES_MAX);
	*ret_builder = b;
	return 0;
}

void words_builder_free(struct words_builder **builder)
{
	struct words_builder *b = *builder;

	if (!b)
		return;
	for (size_t i = 0; i < ARRAY_LEN(b->tables); i++) {
		buffer_free(&b->tables[i].text);
		buffer_free(&b->tables[i].terms);
		buffer_free(&b->tables[i].pairs);
		buffer_free(&b->tables[i].ends);
		free(b->tables[i].slots);
	}
	for (size_t i = 0; i < WORDS_COLUMNS; i++)
		buffer_free(&b->columns[i]);
	buffer_free(&b->numbers);
	free(b);
	*builder = NULL;
}

size_t words_builder_bytes(const struct words_builder *b)
{
	size_t bytes = b->numbers.len;

	for (size_t i = 0; i < ARRAY_LEN(b->tables); i++) {
		const struct table *t = &b->tables[i];

		bytes += t->text.len + t->terms.len + t->pairs.len + t->ends.len + t->room * sizeof(*t->slots);
	}
	for (size_t i = 0; i < WORDS_COLUMNS; i++)
		bytes += b->columns[i].len;
	return bytes;
}

uint32_t words_builder_count(const struct words_builder *b)
{
	return b->count;
}

/* ---- The table ---- */

static void note(struct words_builder *b, int error)
{
	if (!b->error)
		b->error = error;
}

static int table_grow(struct table *t)
{
	uint32_t room = t->room ? t->room * 2 : TABLE_FIRST;
	uint32_t *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t at = terms_of(t)[i].hash & (room - 1);

		while (slots[at])
			at = (at + 1) & (room - 1);
		slots[at] = i + 1;
	}
	free(t->slots);
	t->slots = slots;
	t->room = room;
	return 0;
}

/* Where the term is, or would be. */
static uint32_t *slot_of(const struct table *t, struct slice text, uint32_t hash)
{
	uint32_t at = hash & (t->room - 1);

	for (; t->slots[at]; at = (at + 1) & (t->room - 1)) {
		const struct term *term = &terms_of(t)[t->slots[at] - 1];

		if (term->hash == hash && term->length == text.len &&
			memcmp(t->text.at + term->at, text.at, text.len) == 0)
			break;
	}
	return &t->slots[at];
}

static struct term *term_add(struct words_builder *b, struct table *t, struct slice text, uint32_t hash, uint32_t *slot)
{
	struct term term = {.at = (uint32_t)t->text.len, .length = (uint32_t)text.len, .hash = hash};

	buffer_put(&t->text, text);
	buffer_put(&t->terms, slice_make(&term, sizeof(term)));
	if (buffer_error(&t->text) || buffer_error(&t->terms)) {
		note(b, -ENOMEM);
		return NULL;
	}
	*slot = ++t->count;
	return &terms_of(t)[t->count - 1];
}

static void put_term(struct words_builder *b, enum words_stream stream, struct slice text)
{
	struct table *t = &b->tables[stream - WORDS_COLUMNS];
	uint32_t hash = (uint32_t)hash64(text, b->seed), *slot, index;
	struct term *term;

	if (b->error || b->too_large)
		return;
	if ((t->count + 1) * 2 > t->room)
		note(b, table_grow(t));
	if (b->error)
		return;
	slot = slot_of(t, text, hash);
	term = *slot ? &terms_of(t)[*slot - 1] : term_add(b, t, text, hash, slot);
	if (!term || term->last == b->count + 1)
		return;
	term->last = b->count + 1;
	term->count++;
	b->in_message[stream - WORDS_COLUMNS] += text.len;
	b->too_large |= b->in_message[stream - WORDS_COLUMNS] > WORDS_OF_EMAIL_MAX;
	index = *slot - 1;
	buffer_put(&t->pairs, slice_make(&index, sizeof(index)));
	note(b, buffer_error(&t->pairs));
}

/* ---- A message ---- */

void words_builder_begin(struct words_builder *b, uint32_t number)
{
	b->number = number;
	b->too_large = false;
	for (size_t i = 0; i < ARRAY_LEN(b->in_message); i++)
		b->in_message[i] = 0;
	for (size_t i = 0; i < WORDS_COLUMNS; i++)
		b->column_lengths[i] = b->columns[i].len;
}

void words_builder_value(struct words_builder *b, enum words_stream column, struct slice folded)
{
	CHECK(column < WORDS_COLUMNS);
	b->too_large |= folded.len > VALUE_MAX;
	if (b->too_large)
		return;
	buffer_put_varint(&b->columns[column], b->count);
	buffer_put_sized(&b->columns[column], folded);
	note(b, buffer_error(&b->columns[column]));
	(void)words_builder_text(b, WORDS_OF_COLUMN + column, folded, true);
}

/* A long one in pieces that overlap (pieces.c). */
static void put_word(struct words_builder *b, enum words_stream stream, struct slice word)
{
	for (; word.len > WORDS_TERM_MAX; word = slice_from(word, WORDS_TERM_MAX - TERM_OVERLAP))
		put_term(b, stream, slice_first(word, WORDS_TERM_MAX));
	put_term(b, stream, word);
}

static void put_chars(struct words_builder *b, enum words_stream stream, struct slice chars)
{
	do {
		put_term(b, stream, token_first_chars(chars, 2));
		chars = slice_from(chars, token_first_chars(chars, 1).len);
	} while (token_first_chars(chars, 1).len < chars.len);
}

/* ASCII's own signs, of which there are so many, are put once for all that is given. */
static void put_signs(struct words_builder *b, enum words_stream stream, const bool *seen)
{
	for (unsigned i = 0; i < ASCII; i++) {
		char sign = (char)i;

		if (seen[i])
			put_term(b, stream, (struct slice){&sign, 1});
	}
}

size_t words_builder_text(struct words_builder *b, enum words_stream stream, struct slice folded, bool last)
{
	struct slice rest = folded, before = rest;
	bool signs[ASCII] = {false};
	struct token token;

	CHECK(stream >= WORDS_COLUMNS);
	for (; token_next(&rest, &token); before = rest) {
		bool runs = token.class == TOKEN_WORD || token.class == TOKEN_CHARS;

		if (runs && !rest.len && !last)
			break; /* it may go on */
		if (token.class == TOKEN_WORD)
			put_word(b, stream, token.text);
		else if (token.class == TOKEN_CHARS)
			put_chars(b, stream, token.text);
		else if (token.class == TOKEN_SIGN && token.text.len == 1)
			signs[(unsigned char)token.text.at[0]] = true;
		else if (token.class == TOKEN_SIGN)
			put_term(b, stream, token.text);
	}
	put_signs(b, stream, signs);
	b->too_large |= before.len > TEXT_TAIL_MAX;
	return b->too_large ? 0 : before.len;
}

/* As if it had not been: terms that only it had are left with no message. */
static void take_back(struct words_builder *b)
{
	for (size_t i = 0; i < ARRAY_LEN(b->tables); i++) {
		struct table *t = &b->tables[i];
		const uint32_t *pairs = (const uint32_t *)(const void *)t->pairs.at;
		const uint32_t *ends = (const uint32_t *)(const void *)t->ends.at;
		size_t kept = b->count ? ends[b->count - 1] : 0;

		for (size_t at = kept; at < t->pairs.len / sizeof(*pairs); at++) {
			struct term *term = &terms_of(t)[pairs[at]];

			term->count--;
			term->last = 0;
		}
		buffer_truncate(&t->pairs, kept * sizeof(*pairs));
	}
	for (size_t i = 0; i < WORDS_COLUMNS; i++)
		buffer_truncate(&b->columns[i], b->column_lengths[i]);
}

int words_builder_end(struct words_builder *b, bool list)
{
	if (b->error)
		return b->error == -ENOBUFS ? -ENOMEM : b->error;
	if (!list || b->too_large) {
		take_back(b);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(b->tables); i++) {
		uint32_t end = (uint32_t)(b->tables[i].pairs.len / sizeof(end));

		buffer_put(&b->tables[i].ends, slice_make(&end, sizeof(end)));
		note(b, buffer_error(&b->tables[i].ends));
	}
	buffer_put(&b->numbers, slice_make(&b->number, sizeof(b->number)));
	note(b, buffer_error(&b->numbers));
	b->count += !b->error;
	return b->error ? -ENOMEM : 0;
}

/* ---- Writing ---- */

struct sorted {
	struct slice text;
	uint32_t index;
};

static int by_text(const void *a, const void *b)
{
	return slice_compare(((const struct sorted *)a)->text, ((const struct sorted *)b)->text);
}

/* What each message has becomes what has each term: `at` says where a term's ordinals begin, at the end of filling where the next one's do. */
static void turn(const struct table *t, uint32_t count, uint32_t *at, uint32_t *ordinals)
{
	const uint32_t *pairs = (const uint32_t *)(const void *)t->pairs.at;
	const uint32_t *ends = (const uint32_t *)(const void *)t->ends.at;
	uint32_t sum = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		at[i] = sum;
		sum += terms_of(t)[i].count;
	}
	for (uint32_t ordinal = 0, pair = 0; ordinal < count; ordinal++)
		for (; pair < ends[ordinal]; pair++)
			ordinals[at[pairs[pair]]++] = ordinal;
}

static int write_terms(const struct words_builder *b, const struct table *t, struct words_writer *w)
{
	struct sorted *sorted = malloc((t->count + 1) * sizeof(*sorted));
	uint32_t *at = malloc((t->count + 1) * sizeof(*at));
	uint32_t *ordinals = malloc(t->pairs.len + sizeof(*ordinals));
	int error = sorted && at && ordinals ? 0 : -ENOMEM;

	for (uint32_t i = 0; !error && i < t->count; i++) {
		const struct term *term = &terms_of(t)[i];

		sorted[i] = (struct sorted){{t->text.at + term->at, term->length}, i};
	}
	if (!error && t->count) {
		qsort(sorted, t->count, sizeof(*sorted), by_text);
		turn(t, b->count, at, ordinals);
	}
	for (uint32_t i = 0; !error && i < t->count; i++) {
		uint32_t count = terms_of(t)[sorted[i].index].count;

		if (count)
			words_writer_term(w, sorted[i].text, ordinals + at[sorted[i].index] - count, count);
	}
	free(sorted);
	free(at);
	free(ordinals);
	return error;
}

static void write_column(const struct buffer *column, struct words_writer *w)
{
	struct reader r = READER_INIT(buffer_slice(column));

	while (r.rest.len && !r.error) {
		uint32_t ordinal = (uint32_t)reader_varint(&r);

		words_writer_value(w, ordinal, reader_sized(&r));
	}
}

static void forget(struct words_builder *b)
{
	for (size_t i = 0; i < ARRAY_LEN(b->tables); i++) {
		struct table *t = &b->tables[i];

		buffer_free(&t->text);
		buffer_free(&t->terms);
		buffer_free(&t->pairs);
		buffer_free(&t->ends);
		free(t->slots);
		t->slots = NULL;
		t->room = t->count = 0;
	}
	for (size_t i = 0; i < WORDS_COLUMNS; i++)
		buffer_reset(&b->columns[i]);
	buffer_reset(&b->numbers);
	b->count = 0;
	b->error = 0;
}

int words_builder_write(
	struct words_builder *b, const struct file_system *files, const char *path, const struct words_id *id)
{
	struct words_writer *w;
	int error = words_writer_new(files, path, id, (const uint32_t *)(const void *)b->numbers.at, b->count, &w);

	if (error)
		return error;
	for (enum words_stream i = 0; i < WORDS_COLUMNS; i++) {
		words_writer_stream(w, i);
		write_column(&b->columns[i], w);
	}
	for (enum words_stream i = WORDS_COLUMNS; !error && i < WORDS_STREAMS_ALL; i++) {
		words_writer_stream(w, i);
		error = write_terms(b, &b->tables[i - WORDS_COLUMNS], w);
	}
	error = words_writer_end(&w, error);
	forget(b);
	return error;
}
