/*
 * Asking a file: block by block, each unpacked once for all questions.
 *
 * Words come first, those of columns, too. What they leave open of a column is looked for in its values, but only in blocks where that is less work than
 * a look at each message would be.
 */
#include "store/words/internal.h"

enum { FEW = 16 /* messages: so many can be looked at in the time that a block of values takes */ };

struct asked {
	const struct words_question *question;
	struct pieces pieces; /* none: all values are looked through */
	bool can;             /* be answered at all */
	unsigned streams;     /* bits: what is looked through for it */
	uint64_t *hits, *sure;
	uint64_t *left;           /* of a column: in blocks with few */
	uint64_t *of[PIECES_MAX]; /* of each piece, in the stream */
	bool full[PIECES_MAX];    /* all have it: there is nothing more to find out */
	bool wanted;              /* the block in hand */
};
struct words_ask {
	struct asked *asked;
	size_t count;
	struct words_segment *segment;
	size_t words; /* of a set of bits */
	uint64_t *sets;
	size_t set_count;
	uint32_t *scratch;
	enum words_stream stream;
	size_t next_block;
	struct block block;
};

static bool pieces_find(struct pieces *pieces, const struct words_question *question)
{
	bool can = true;

	pieces->exact = true;
	if (question->text.len)
		can = pieces_add(pieces, question->text);
	if (question->name.len && can) {
		can = pieces_add(pieces, question->name);
		pieces->exact = false; /* it may be in the other one's value */
	}
	return can && pieces->count > 0;
}

static void question_take(struct asked *a, const struct words_question *question)
{
	bool of_column = question->streams < 1u << WORDS_COLUMNS;

	a->question = question;
	a->can = pieces_find(&a->pieces, question);
	a->streams = question->streams;
	if (!of_column)
		return;
	if (a->can)
		a->streams = question->streams << WORDS_OF_COLUMN | (a->pieces.exact ? 0 : question->streams);
	else
		a->pieces.count = 0;
	a->can = true;
}

int words_ask_new(const struct words_question *questions, size_t count, struct words_ask **ret_ask)
{
	struct words_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return -ENOMEM;
	ask->block = BLOCK_INIT;
	ask->count = count;
	ask->asked = calloc(count, sizeof(*ask->asked));
	if (!ask->asked) {
		words_ask_free(&ask);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		question_take(&ask->asked[i], &questions[i]);
		ask->set_count += 3 + ask->asked[i].pieces.count;
	}
	*ret_ask = ask;
	return 0;
}

void words_ask_free(struct words_ask **ask)
{
	if (!*ask)
		return;
	block_free(&(*ask)->block);
	free((*ask)->asked);
	free((*ask)->sets);
	free((*ask)->scratch);
	free(*ask);
	*ask = NULL;
}

/* Some question is about it. */
static bool is_asked(const struct words_ask *ask, enum words_stream stream)
{
	for (size_t i = 0; i < ask->count; i++)
		if (ask->asked[i].can && ask->asked[i].streams >> stream & 1)
			return true;
	return false;
}

/* Words, and then columns. */
static enum words_stream stream_behind(enum words_stream stream)
{
	if (stream == WORDS_COLUMNS - 1)
		return WORDS_STREAMS_ALL;
	return stream == WORDS_STREAMS_ALL - 1 ? 0 : stream + 1;
}

static void stream_begin(struct words_ask *ask, enum words_stream stream)
{
	while (stream < WORDS_STREAMS_ALL && !is_asked(ask, stream))
		stream = stream_behind(stream);
	ask->stream = stream;
	ask->next_block = ask->segment->first_block[stream];
}

static void sets_give(struct words_ask *ask, struct asked *a, uint64_t **at)
{
	uint64_t **const sets[] = {&a->hits, &a->sure, &a->left};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++, *at += ask->words)
		*sets[i] = *at;
	for (size_t i = 0; i < a->pieces.count; i++, *at += ask->words)
		a->of[i] = *at;
	memset(a->full, 0, sizeof(a->full));
}

int words_ask_begin(struct words_ask *ask, struct words_segment *segment)
{
	uint64_t *at;

	free(ask->sets);
	free(ask->scratch);
	ask->segment = segment;
	ask->words = segment->count / 64 + 1;
	ask->sets = calloc(ask->set_count * ask->words, sizeof(*ask->sets));
	ask->scratch = malloc(segment->count * sizeof(*ask->scratch));
	at = ask->sets;
	if (!ask->sets || !ask->scratch)
		return -ENOMEM;
	for (size_t i = 0; i < ask->count; i++)
		sets_give(ask, &ask->asked[i], &at);
	stream_begin(ask, WORDS_COLUMNS);
	return 0;
}

/* ---- A block of words ---- */

static uint32_t ends_between(const char *from, const char *to)
{
	uint32_t count = 0;

	for (; from < to; from++)
		count += *from == (char)TERM_END;
	return count;
}

/* Each term that has the piece gives its messages. */
static int look_for_piece(struct words_ask *ask, struct slice piece, uint64_t *bits)
{
	struct slice rest = buffer_slice(&ask->block.text), bytes;
	const struct term_place *places = NULL;
	uint32_t index = 0;
	size_t found;
	int error = 0;

	/* The rest begins with the TERM_END before the term with that index. */
	while (!error && (found = slice_find(rest, piece)) != SIZE_MAX) {
		const char *inside = rest.at + found + (piece.at[0] == (char)TERM_END);

		index += ends_between(rest.at + 1, inside);
		error = block_read_postings(ask->segment, &ask->block, &places);
		if (error || index >= ask->block.count)
			break;
		bytes = slice_first(
			slice_from(buffer_slice(&ask->block.postings), places[index].at), places[index].bytes);
		error = postings_mark(bytes, places[index].count, ask->segment->count, ask->scratch, bits);
		rest = slice_from(rest, (size_t)(inside - rest.at));
		rest = slice_from(rest, slice_find_byte(rest, (char)TERM_END));
		index++;
	}
	return error;
}

static bool is_full(const uint64_t *bits, uint32_t count)
{
	for (uint32_t i = 0; i < count / 64; i++)
		if (bits[i] != UINT64_MAX)
			return false;
	return count % 64 == 0 || bits[count / 64] == ((uint64_t)1 << count % 64) - 1;
}

static int look_for_pieces(struct words_ask *ask, struct asked *a)
{
	int error = 0;

	for (size_t i = 0; !error && i < a->pieces.count; i++) {
		const struct piece *piece = &a->pieces.list[i];

		if (a->full[i])
			continue;
		error = look_for_piece(ask, (struct slice){piece->bytes, piece->len}, a->of[i]);
		a->full[i] = is_full(a->of[i], ask->segment->count);
	}
	return error;
}

static int look_in_terms(struct words_ask *ask, const struct block_place *place)
{
	int error = block_read_terms(ask->segment, place, &ask->block);

	for (size_t i = 0; !error && i < ask->count; i++) {
		struct asked *a = &ask->asked[i];

		if (a->can && (a->streams >> ask->stream & 1))
			error = look_for_pieces(ask, a);
	}
	return error;
}

/* ---- A block of values ---- */

static void bit_set(uint64_t *bits, uint32_t at)
{
	bits[at / 64] |= (uint64_t)1 << at % 64;
}

static void look_in_values(const struct block *block, struct slice needle, uint64_t *bits)
{
	const struct value_place *places = block_values(block), *place = places, *last = places + block->count;
	struct slice text = buffer_slice(&block->text);
	size_t at = 0, found;

	for (uint32_t i = 0; i < block->count && !needle.len; i++)
		bit_set(bits, places[i].ordinal);
	while (needle.len && (found = slice_find(slice_from(text, at), needle)) != SIZE_MAX) {
		at += found;
		while (place < last && place->at + place->bytes <= at)
			place++;
		if (place == last)
			break;
		if (at + needle.len <= place->at + place->bytes) {
			bit_set(bits, place->ordinal);
			at = place->at + place->bytes; /* once is enough */
		} else {
			at++; /* across two values */
		}
	}
}

/* Those bits of the word that stand for ordinals from `first` to `last`. */
static uint64_t bits_from_to(uint32_t word, uint32_t first, uint32_t last)
{
	uint64_t from = first > word * 64 ? UINT64_MAX << first % 64 : UINT64_MAX;
	uint64_t to = last < word * 64 + 63 ? ((uint64_t)1 << (last % 64 + 1)) - 1 : UINT64_MAX;

	return from & to;
}

/* So many of the messages that may have it can have values in the block. */
static uint32_t count_in(const struct block_place *place, const uint64_t *bits)
{
	uint32_t count = 0;

	for (uint32_t w = place->first / 64; w <= place->last / 64; w++)
		count += (uint32_t)__builtin_popcountll(bits[w] & bits_from_to(w, place->first, place->last));
	return count;
}

/* A few of them are left for others to look at. */
static bool is_wanted(const struct block_place *place, struct asked *a)
{
	uint32_t count = a->pieces.count ? count_in(place, a->hits) : UINT32_MAX;

	if (count >= FEW)
		return true;
	for (uint32_t w = place->first / 64; count && w <= place->last / 64; w++)
		a->left[w] |= a->hits[w] & bits_from_to(w, place->first, place->last);
	return false;
}

static int look_in_column(struct words_ask *ask, const struct block_place *place)
{
	bool any = false;
	int error = 0;

	for (size_t i = 0; i < ask->count; i++) {
		struct asked *a = &ask->asked[i];

		a->wanted = (a->streams >> ask->stream & 1) && is_wanted(place, a);
		any |= a->wanted;
	}
	if (any)
		error = block_read_values(ask->segment, place, &ask->block);
	for (size_t i = 0; any && !error && i < ask->count; i++)
		if (ask->asked[i].wanted)
			look_in_values(&ask->block, ask->asked[i].question->text, ask->asked[i].sure);
	return error;
}

/* ---- */

/* What has all pieces in this stream of words. */
static void words_end(struct words_ask *ask, struct asked *a)
{
	for (size_t w = 0; w < ask->words; w++) {
		uint64_t all = UINT64_MAX;

		for (size_t piece = 0; piece < a->pieces.count; piece++) {
			all &= a->of[piece][w];
			a->of[piece][w] = 0;
		}
		a->hits[w] |= all;
		a->sure[w] |= a->pieces.exact ? all : 0;
	}
	memset(a->full, 0, sizeof(a->full));
}

static void values_end(struct words_ask *ask, struct asked *a)
{
	for (size_t w = 0; w < ask->words; w++)
		a->hits[w] = a->sure[w] | a->left[w];
}

static void stream_end(struct words_ask *ask)
{
	for (size_t i = 0; i < ask->count; i++) {
		struct asked *a = &ask->asked[i];

		if (!a->can || !(a->streams >> ask->stream & 1))
			continue;
		if (ask->stream < WORDS_COLUMNS)
			values_end(ask, a);
		else
			words_end(ask, a);
	}
}

int words_ask_step(struct words_ask *ask, bool *ret_done)
{
	int error = 0;

	if (ask->stream < WORDS_STREAMS_ALL && ask->next_block < ask->segment->first_block[ask->stream + 1]) {
		const struct block_place *place = &ask->segment->blocks[ask->next_block++];

		error = ask->stream < WORDS_COLUMNS ? look_in_column(ask, place) : look_in_terms(ask, place);
	} else if (ask->stream < WORDS_STREAMS_ALL) {
		stream_end(ask);
		stream_begin(ask, stream_behind(ask->stream));
	}
	if (!error)
		*ret_done = ask->stream == WORDS_STREAMS_ALL;
	return error;
}

const uint64_t *words_ask_hits(const struct words_ask *ask, size_t question, const uint64_t **ret_sure)
{
	const struct asked *a = &ask->asked[question];

	if (!a->can)
		return NULL;
	*ret_sure = a->sure;
	return a->hits;
}
